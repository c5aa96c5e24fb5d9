"""The kinds of models that the page shows, and what goes with each: said once."""

from __future__ import annotations

from typing import Literal, NamedTuple

ShapeKind = Literal["image", "shape"]
Kind = Literal[ShapeKind, "classifier", "text"]


class About(NamedTuple):
    """A kind's tab, in links and as it is titled; the library and its class that load it; what is shown to it."""

    tab: str
    title: str
    library: str
    public: str
    examples: str
    dims: int = 0


KINDS: dict[Kind, About] = {
    "image": About("shapes2d", "Shapes in 2D", "affinevae", "AffineVAE", "pictures", 2),
    "shape": About("shapes3d", "Shapes in 3D", "affinevae", "AffineVAE", "shapes", 3),
    "classifier": About("classify", "Classify an image", "classifiers", "CompactCNN", "pictures"),
    "text": About("text", "Classify text", "textclf", "TextClassifier", "texts"),
}


def kind_of(library: str, dims: int = 0) -> Kind | None:
    """The kind of a library's models; of shapes that of so many dimensions."""
    return next((kind for kind, k in KINDS.items() if (k.library, k.dims) == (library, dims)), None)
