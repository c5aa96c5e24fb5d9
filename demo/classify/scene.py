"""A picture and what classifiers say of it: answers, words, times, and how it is written into a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

from PIL import Image
from torch import Tensor

from classifiers.model import energy
from demo import timing
from demo.classify import examples
from demo.models.outside import as_arguments
from demo.models.registry import Classifier, Net
from demo.pictures import smaller
from demo.types import Values
from demo.uploads.values import UploadError, read_integer
from demo.words import percent

TOP = 5


@dataclass(frozen=True)
class Answer:
    """What one network says.

    Args:
        probabilities: of the classes, in their order.
        energy: of its logits; high where no class speaks up.
        scope: energy below which nearly all pictures lie that are like the training ones.
    """

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    energy: float
    scope: float

    @property
    def in_scope(self) -> bool:
        return self.energy <= self.scope

    def top(self, count: int = TOP) -> list[tuple[str, float]]:
        """The likeliest classes, best first."""
        pairs = zip(self.classes, self.probabilities, strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])[:count]


@dataclass(frozen=True)
class Verdict:
    """What a visitor looks at; ``start`` says where the picture came from: upload or example-NUMBER."""

    model: str
    start: str
    picture: Image.Image
    image: Tensor  # (1, C, S, S): as the networks see it
    answers: tuple[Answer, ...]  # the compact network's, and its twin's where there is one

    @property
    def in_scope(self) -> bool:
        return self.answers[0].in_scope


# ---- where a verdict comes from ----


def look_at(loaded: Classifier, picture: Image.Image, start: str = "upload") -> Verdict:
    """Ask the networks about a picture."""
    image = loaded.compact.model.prepare([picture])
    picture = smaller(picture)
    return Verdict(loaded.name, start, picture, image, tuple(answer(net, image) for net in loaded.nets))


def answer(net: Net, image: Tensor) -> Answer:
    """What a network says of one prepared picture."""
    logits = net.model.logits(image)
    scope = float(net.model.get_buffer("scope"))
    return Answer(net.model.classes, tuple(logits.softmax(1)[0].tolist()), float(energy(logits)), scope)


def from_example(loaded: Classifier, index: int) -> Verdict:
    """One of our pictures that suits the model."""
    return look_at(loaded, examples.example(wears_clothes(loaded), index), f"example-{index + 1}")


def opening(loaded: Classifier) -> Verdict:
    """What the tab opens with."""
    return from_example(loaded, 0)


def with_model(scene: Verdict, loaded: Classifier) -> Verdict:
    """An upload seen by other networks; one of their own examples otherwise."""
    return look_at(loaded, scene.picture) if scene.start == "upload" else opening(loaded)


def wears_clothes(loaded: Classifier) -> bool:
    """Whether the networks know clothes in grey rather than photographs."""
    return loaded.compact.model.config.channels == 1


# ---- in words ----


def words(verdict: Verdict) -> str:
    """Who says what, and whether they agree; no certainty about a picture out of scope."""
    said = [a.top(1)[0] for a in verdict.answers]
    name, sure = said[0]
    if len(said) == 1:
        return (
            f"The network says {name}, {percent(sure)}."
            if verdict.in_scope
            else f"If it had to choose: {name}."
        )
    other, as_sure = said[1]
    if name == other:
        return f"Both say {name}." if verdict.in_scope else f"If they had to choose, both would say {name}."
    if not verdict.in_scope:
        return f"If they had to choose, the compact network would say {name} and its dense twin {other}."
    return (
        f"They disagree: the compact network says {name} ({percent(sure)}), "
        f"its dense twin {other} ({percent(as_sure)})."
    )


# ---- time ----


def milliseconds(nets: Sequence[Net], image: Tensor) -> list[float]:
    """Median time of one picture on one thread, the networks taking turns."""
    times = timing.milliseconds({net.name: partial(net.model.logits, image) for net in nets})
    return [times[net.name] for net in nets]


# ---- what one can take away ----


def as_query(verdict: Verdict) -> str:
    """The URL query of the picture; of an upload the model only."""
    query = {"tab": "classify", "model": verdict.model}
    return urlencode(query if verdict.start == "upload" else query | {"start": verdict.start})


def from_query(query: Mapping[str, str], loaded: Classifier) -> Verdict:
    """The verdict that a link describes; ``UploadError`` for a value that no link of ours holds."""
    start = query.get("start", "example-1")
    if not start.startswith("example-"):
        raise UploadError("The link does not say what to start from: start is example-1, example-2, ...")
    count = len(examples.names(wears_clothes(loaded)))
    return from_example(
        loaded, read_integer(start.removeprefix("example-"), "The example in the link", 1, count) - 1
    )


def as_json(model: str, answer: Answer) -> Values:
    """What a network says, in plain numbers."""
    return {
        "model": model,
        "classes": list(answer.classes),
        "probabilities": dict(answer.top()),
        "in_scope": answer.in_scope,
    }


def as_python(verdict: Verdict) -> str:
    """A program that asks the same."""
    expected = ", ".join(f"{name} {p:.2f}" for name, p in verdict.answers[0].top(3))
    return f"""from PIL import Image
from classifiers import CompactCNN
from classifiers.model import energy

model = CompactCNN.from_pretrained({as_arguments(verdict.model)})
picture = Image.open("picture.png")  # any size and mode

# (1, {len(verdict.answers[0].classes)}) probabilities; for the picture shown: {expected}, ...
probabilities = model.predict([picture])[0]
best = model.classes[probabilities.argmax()]

# Unlike anything it was trained on?
out_of_scope = bool(energy(model.logits([picture]))[0] > model.scope)
"""
