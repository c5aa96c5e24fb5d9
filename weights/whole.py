"""Whether a model folder is whole: it loads, every number of it is one, and its graphs answer as its weights do."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path

from weights.checkpoint import (
    CONFIG,
    WEIGHTS,
    WeightsError,
    belonging,
    load_tensors,
    read_config,
    read_tensors,
)
from weights.pretrained import Pretrained

LIBRARIES = (
    "affinevae",
    "classifiers",
    "textclf",
)  # imported when asked for; no other, whatever a config says


def class_of(library: str | None) -> type[Pretrained] | None:
    """The class that loads the models of a library, if there is one."""
    if library in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(f"{library}.model")
    return next((kind for kind in Pretrained.__subclasses__() if kind._library() == library), None)


def require_whole(folder: Path) -> tuple[type[Pretrained], int]:
    """The class of the model in ``folder`` and how many graphs were compared with its weights.

    Raises:
        WeightsError: nothing here can load it, it does not load, a number is none, or a graph answers otherwise.
    """
    library = read_config(folder)[0]
    kind = class_of(library)
    if kind is None:
        known = ", ".join(LIBRARIES)
        raise WeightsError(
            f"nothing here can load a model of {library}: {folder / CONFIG} must name one of {known}"
        )
    model = kind.from_pretrained(folder)
    _require_finite_beside(folder)
    return kind, model.compare_graphs()


def require_readable(folder: Path) -> None:
    """``WeightsError`` if a file of the folder cannot be read; for models whose library is not here."""
    read_config(folder)
    read_tensors(folder)
    _require_finite_beside(folder)


def _require_finite_beside(folder: Path) -> None:
    for path in folder.glob("*.safetensors"):
        if path.name != WEIGHTS and belonging([path.name]):
            load_tensors(path)
