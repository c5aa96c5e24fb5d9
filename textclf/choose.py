"""What ``textclf.fit`` decides by itself: how much of a text is read, and what the minutes are spent on.

Pure functions of what was counted in the data and timed on the machine; each decision carries its reason.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor

USUAL = 256  # tokens that are read of long texts, where the time allows
SHORTEST = 32
STEP = 16  # lengths are multiples of it
CUT = 0.02  # share of texts that may be cut without a thought about where
FIRST = (60.0, 0.1)  # seconds of the first answer, and share of all, whichever is less
TRAIN, TUNE, SEARCH = 0.55, 0.2, 0.08  # shares of what is left after the first answer and the alternatives
PASSES = (3, 15)  # over the training texts: the most, of many and of few
ENOUGH = 100_000  # visits in all, from which on more passes are not worth their time
SEEN = 0.3  # of the training texts at least, or less is read of each
ROUND = 120.0  # seconds of training between checkpoints, about
FEW = 2000  # training texts, below which batches are smaller
# Of a search: plans, texts that each is tried on, and texts that the front is measured on; the largest that fits.
SEARCHES = ((120, 400, 1000), (80, 300, 1000), (60, 250, 800), (40, 200, 600), (30, 150, 400), (24, 100, 300))
HALF = 0.5  # of the full plan's time: the mean over plans of a search


class Choice(NamedTuple):
    """A decision and its reason."""

    name: str
    value: Any
    why: str

    def sentence(self) -> str:
        """For a reader."""
        value = ", ".join(map(str, self.value)) if isinstance(self.value, list) else self.value
        return f"{self.name.replace('_', ' ')} {'all' if value is None else value}: {self.why}"


class Speed(NamedTuple):
    """Seconds a text: to be encoded whole, and to be trained on; of texts cut at ``longest`` tokens."""

    encode: float
    step: float
    longest: int


class Schedule(NamedTuple):
    """Epochs of ``part`` texts (None: all), and how many texts each measures on validation."""

    epochs: int
    part: int | None
    batch: int
    validation: int


def reading(lengths: Tensor, positions: int, asked: int | None = None) -> tuple[Choice, Choice]:
    """How many tokens are read, and whether the middle of longer texts is left out instead of their end.

    Args:
        lengths: of training texts in tokens, [CLS] and [SEP] included, ``(N,)``.
        positions: that the encoder has.
        asked: tokens that somebody wants to be read.
    """
    needed = float(lengths.float().quantile(1 - CUT))
    top = min(USUAL, positions - positions % STEP)
    longest = min(top, max(SHORTEST, STEP * math.ceil(needed / STEP)))
    return _length(lengths, longest, needed), _ends(lengths, asked or longest)


def _length(lengths: Tensor, longest: int, needed: float) -> Choice:
    cut = float((lengths > longest).float().mean())
    said = f"{1 - CUT:.0%} of the texts have up to {needed:.0f} tokens"
    return Choice("max_length", longest, said + (f", and {cut:.0%} are cut" if cut > CUT else ""))


def _ends(lengths: Tensor, longest: int) -> Choice:
    cut = float((lengths > longest).float().mean())
    if cut > CUT:
        return Choice("ends", True, "of longer texts start and end say more than the start alone")
    return Choice("ends", False, "hardly a text is longer than what is read")


def affordable(lengths: Tensor, longest: int, speed: Speed, texts: int, seconds: float) -> Choice | None:
    """Fewer tokens of each text, where otherwise most of the texts would not be seen at all; None: all are fine."""

    def seen(length: int) -> float:
        shorter = lengths.clamp(max=length).float().mean() / lengths.clamp(max=speed.longest).float().mean()
        return seconds / (speed.step * float(shorter) * texts)

    chosen = longest
    while chosen > 2 * SHORTEST and seen(chosen) < SEEN:
        chosen = max(2 * SHORTEST, STEP * round(chosen * 0.75 / STEP))
    if chosen == longest:
        return None
    why = f"with {longest} tokens a text, {seen(longest):.0%} of the training texts could be seen in the time"
    return Choice("max_length", chosen, why)


def first_seconds(total: float) -> float:
    """Seconds that the first answer may take."""
    return min(FIRST[0], FIRST[1] * total)


def first_texts(train: int, held: int, encode: float, seconds: float) -> tuple[int, int]:
    """Training and held-out texts whose embeddings are taken for the first answer."""
    room = max(100, int(seconds / max(encode, 1e-9)))
    for_held = min(held, max(50, room // 4), 1000)
    return min(train, max(50, room - for_held)), for_held


def batch_size(texts: int) -> Choice:
    """Texts a step."""
    few = texts < FEW
    return Choice("batch", 16 if few else 32, f"{texts:,} training texts are {'few' if few else 'enough'}")


def most_passes(texts: int) -> int:
    """Passes over so many texts, more of which are not worth their time."""
    return min(PASSES[1], max(PASSES[0], round(ENOUGH / texts)))


def schedule(
    texts: int, held: int, batch: int, speed: Speed, seconds: float, most: float
) -> tuple[Schedule, str]:
    """What fits into the seconds, ``most`` passes at most, and why.

    Epochs are rounds of a few minutes at most, so that a run that is killed loses little.
    """
    passes = min(most, seconds / (speed.step * texts))
    visits = max(float(min(texts, 4 * batch)), passes * texts)
    a_round = max(4 * batch, int(ROUND / speed.step))
    part = None if texts <= 1.5 * a_round and visits >= texts else min(texts, a_round, int(visits))
    epochs = max(1, int(visits / (part or texts) + 1e-6))
    # Full and smallest plan are measured after each epoch: a twentieth of the time.
    validation = min(held, 1000, max(100, int(0.05 * seconds / (1.3 * speed.encode * epochs))))
    seen = epochs * (part or texts) / texts
    why = f"{seen:.1f} passes over {texts:,} texts" + (
        ", more of which are not worth their time"
        if passes >= most
        else f" fit into {seconds / 60:.1f} minutes"
    )
    return Schedule(epochs, part, batch, validation), why


def search_size(held: int, encode: float, seconds: float) -> tuple[tuple[int, int, int], str]:
    """Plans, texts each and texts of the front that a search of so many seconds can bear, and why."""

    def takes(trials: int, texts: int, final: int) -> float:
        return HALF * encode * (trials * min(texts, held) + 18 * min(final, held))

    fitting = next((size for size in SEARCHES if takes(*size) <= seconds), SEARCHES[-1])
    return fitting, f"about {max(1, takes(*fitting)) / 60:.1f} minutes"


def test_texts(there: int, encode: float, seconds: float, most: int) -> int:
    """Test texts on which four plans in two engines, and the frozen encoder, can be measured in the time."""
    return min(there, most, max(500, int(seconds / (6 * encode))))
