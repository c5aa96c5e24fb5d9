"""A picture and what classifiers say of it: answers, words, times, and how it is written into a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlencode

from PIL import Image
from torch import Tensor

from classifiers.model import energy
from demo import timing
from demo.classify import examples
from demo.models.outside import as_arguments
from demo.models.registry import Classifier, Net
from demo.models.stops import FULL, USUAL
from demo.pictures import smaller
from demo.types import Values
from demo.uploads.values import UploadError, read_integer, read_number
from demo.words import percent

TOP = 5
MIDDLE = 0.5
PHOTOS_FROM = 64  # pixels a side that a network sees
UNSURE, CLOSE = 0.4, 0.1  # of the likeliest class, and ahead of the next: less is said with a doubt


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
    """What a visitor looks at.

    Args:
        start: where the picture came from: upload or example-NUMBER.
        picture: as it came, made smaller where it was large.
        image: as the networks see it, (1, C, S, S).
        answers: of what is compared: the compact network's and its twin's, or the plan's and the full network's.
        at: where along its longer side the picture is cut to a square, 0 at its start to 1 at its end.
    """

    model: str
    start: str
    picture: Image.Image
    image: Tensor
    answers: tuple[Answer, ...]
    at: float = MIDDLE
    plan: str = FULL

    @property
    def in_scope(self) -> bool:
        return self.answers[0].in_scope


# ---- where a verdict comes from ----


def look_at(
    loaded: Classifier,
    picture: Image.Image,
    start: str = "upload",
    at: float = MIDDLE,
    plan: object = USUAL,
) -> Verdict:
    """Ask the networks about a picture."""
    image, chosen = loaded.compact.model.prepare([cut(picture, at)]), loaded.plan(plan)
    said = tuple(answer(net, image) for net in loaded.nets(chosen))
    return Verdict(loaded.name, start, smaller(picture), image, said, at, chosen)


def cut(picture: Image.Image, at: float) -> Image.Image:
    """The square at a place along a picture's longer side; the whole where the networks would cut its middle anyway."""
    return picture if at == MIDDLE else picture.crop(square(picture, at))


def square(picture: Image.Image, at: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of :func:`cut`'s square."""
    width, height = picture.size
    side = min(width, height)
    left, top = round((width - side) * at), round((height - side) * at)
    return left, top, left + side, top + side


def moved(seen: Verdict, loaded: Classifier, at: float) -> Verdict:
    """The same picture, cut elsewhere."""
    return look_at(loaded, seen.picture, seen.start, at, seen.plan)


def with_plan(seen: Verdict, loaded: Classifier, plan: object) -> Verdict:
    """The same picture, seen by another plan."""
    chosen = loaded.plan(plan)
    said = tuple(answer(net, seen.image) for net in loaded.nets(chosen))
    return replace(seen, answers=said, plan=chosen)


def answer(net: Net, image: Tensor) -> Answer:
    """What a network says of one prepared picture."""
    logits = net.logits(image)
    scope = float(net.model.get_buffer("scope"))
    return Answer(net.model.classes, tuple(logits.softmax(1)[0].tolist()), float(energy(logits)), scope)


def from_example(loaded: Classifier, index: int, at: float = MIDDLE, plan: object = USUAL) -> Verdict:
    """One of our pictures that suits the model."""
    return look_at(loaded, examples.example(example_kind(loaded), index), f"example-{index + 1}", at, plan)


def opening(loaded: Classifier) -> Verdict:
    """What the tab opens with."""
    return from_example(loaded, 0)


def with_model(scene: Verdict, loaded: Classifier) -> Verdict:
    """An upload seen by other networks, and an example that is one of theirs too; else one of their own."""
    kind, place = example_kind(loaded), scene.start.removeprefix("example-")
    if scene.start == "upload" or (
        int(place) <= len(examples.names(kind)) and examples.example(kind, int(place) - 1) is scene.picture
    ):
        return look_at(loaded, scene.picture, scene.start, scene.at)
    return opening(loaded)


def example_kind(loaded: Classifier) -> examples.Kind:
    """What suits networks for grey pictures, for pictures of few pixels, and for photos."""
    config = loaded.compact.model.config
    return "worn" if config.channels == 1 else "photos" if config.size >= PHOTOS_FROM else "drawn"


# ---- in words ----


def words(verdict: Verdict) -> str:
    """Who says what, and whether they agree; no certainty about a picture out of scope, or where none is likely."""
    said = [a.top(2) for a in verdict.answers]
    (name, sure), (next_name, next_sure) = said[0]
    other, other_sure = said[-1][0]
    if not verdict.in_scope:
        if verdict.plan != FULL or name == other:
            both = len(said) > 1 and verdict.plan == FULL
            return (
                f"If they had to choose, both would say {name}." if both else f"If it had to choose: {name}."
            )
        return f"If they had to choose, the compact network would say {name} and its dense twin {other}."
    if sure < UNSURE or sure - next_sure < CLOSE:
        return f"It is not sure: perhaps {name} ({percent(sure)}), or {next_name} ({percent(next_sure)})."
    if len(said) == 1:
        return f"The network says {name}, {percent(sure)}."
    if verdict.plan != FULL:
        full = "" if name == other else f" All of the network: {other}, {percent(other_sure)}."
        return f"{name[0].upper()}{name[1:]}, {percent(sure)}.{full}"
    if name == other:
        return f"Both say {name}."
    return (
        f"They disagree: the compact network says {name} ({percent(sure)}), "
        f"its dense twin {other} ({percent(other_sure)})."
    )


# ---- time ----


def rounds(nets: Sequence[Net], image: Tensor) -> list[timing.Rounds]:
    """Milliseconds of one picture on one thread, round by round, the networks taking turns."""
    times = timing.rounds({str(place): partial(net.logits, image) for place, net in enumerate(nets)})
    return list(times.values())


# ---- what one can take away ----


def as_query(verdict: Verdict) -> str:
    """The URL query of the picture; of an upload the model only."""
    query = {"tab": "classify", "model": verdict.model}
    query |= {"plan": verdict.plan} if verdict.plan != FULL else {}
    if verdict.start != "upload":
        query |= {"start": verdict.start}
        query |= {"at": f"{verdict.at:g}"} if verdict.at != MIDDLE else {}
    return urlencode(query)


def from_query(query: Mapping[str, str], loaded: Classifier) -> Verdict:
    """The verdict that a link describes; ``UploadError`` for a value that no link of ours holds."""
    start = query.get("start", "example-1")
    if not start.startswith("example-"):
        raise UploadError("The link does not say what to start from: start is example-1, example-2, ...")
    count = len(examples.names(example_kind(loaded)))
    index = read_integer(start.removeprefix("example-"), "The example in the link", 1, count)
    return from_example(loaded, index - 1, read_place(query.get("at", MIDDLE)), query.get("plan", FULL))


def read_place(value: object) -> float:
    """Where a picture is cut, to as many digits as a link carries."""
    return round(read_number(value, "The place of the cut", 0, 1), 3)


def as_json(model: str, plan: str, answer: Answer) -> Values:
    """What a network says, in plain numbers."""
    return {
        "model": model,
        "plan": plan,
        "classes": list(answer.classes),
        "probabilities": dict(answer.top()),
        "in_scope": answer.in_scope,
    }


def as_python(verdict: Verdict) -> str:
    """A program that asks the same."""
    expected = ", ".join(f"{name} {p:.2f}" for name, p in verdict.answers[0].top(3))
    moved_to = (
        f"picture = picture.crop({square(verdict.picture, verdict.at)})  # the square that is chosen on the page\n"
        if verdict.at != MIDDLE
        else ""
    )
    planned = f', plan="{verdict.plan}"' if verdict.plan != FULL else ""
    return f"""from PIL import Image
from classifiers import CompactCNN
from classifiers.model import energy

model = CompactCNN.from_pretrained({as_arguments(verdict.model)})
picture = Image.open("picture.png")  # any size and mode
{moved_to}
# (1, {len(verdict.answers[0].classes)}) probabilities; for the picture shown: {expected}, ...
probabilities = model.predict([picture]{planned})[0]
best = model.classes[probabilities.argmax()]

# Unlike anything it was trained on?
out_of_scope = bool(energy(model.logits([picture]{planned}))[0] > model.scope)
"""
