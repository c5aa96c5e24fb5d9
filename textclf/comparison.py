"""The table that ends a fitting: every plan and every alternative on the same held-out texts, and who is ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from training.measure import interval

PLANS = ("full", "accurate", "balanced", "fastest")
SURE = 1.96  # standard errors: an interval of 95 %
TELLING = 1.5  # points: with a larger standard error, texts are too few to call two level
QUICKER = 1.5  # times, below which two are as fast as each other


class Row(NamedTuple):
    """One way to classify. ``accuracy`` and its 95 % interval are of test texts, ``validation`` chose its settings."""

    name: str
    ours: bool
    accuracy: float
    low: float
    high: float
    validation: float | None
    ms: float
    megabytes: float


def difference(one: Tensor, other: Tensor) -> tuple[float, float]:
    """By how many points one is ahead on the same texts (N,), and the standard error of that."""
    ahead = 100 * (one.float() - other.float())
    return float(ahead.mean()), float(ahead.std(correction=0)) / math.sqrt(len(ahead))


def level(one: Tensor, other: Tensor) -> bool:
    """Whether two are as often right, as far as these texts tell, and they tell points apart."""
    ahead, error = difference(one, other)
    return abs(ahead) <= SURE * error <= SURE * TELLING


def verdict(ours: Row, rival: Row, hits: Mapping[str, Tensor]) -> str:
    """Which of the two to take, in a sentence; ``rival`` is the best alternative on validation."""
    ahead, error = difference(hits[ours.name], hits[rival.name])
    points = f"{abs(ahead):.1f} points (standard error {error:.1f})"
    speed = rival.ms / max(ours.ms, 1e-9)
    slower = f"{_times(1 / speed)} as fast" if speed < 1 / QUICKER else ""
    which = f", which is {slower}," if slower else ""
    if ahead > SURE * error:
        return f"{ours.name} is ahead of the best alternative, {rival.name}{which or ','} by {points}"
    if ahead < -SURE * error:
        return f"{rival.name} is ahead of {ours.name} by {points}: take that"
    if error > TELLING:
        few = f"{len(hits[ours.name]):,} test texts are too few"
        what = f"{ours.name} from the best alternative, {rival.name}{which.removesuffix(',')}"
        return f"{few} to tell {what}: they are {points} apart"
    if slower:
        return f"{rival.name} is level with {ours.name}, within {points}, and {slower}: take that"
    gain = f", and {ours.name} is {_times(speed)} as fast" if speed > QUICKER else ""
    return f"{ours.name} is level with the best alternative, {rival.name}, within {points}{gain}"


def _times(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 3 else f"{ratio:.1f} times"


def lines(rows: Sequence[Row], n: int) -> list[str]:
    """The table in columns, for a terminal."""
    head = ("", f"right of {n:,}", "95 % interval", "validation", "ms", "MB")
    cells = [head, *((_name(row), *_numbers(row)) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    return [
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in cells
    ]


def _name(row: Row) -> str:
    return f"plan {row.name}" if row.ours else row.name


def _numbers(row: Row) -> tuple[str, ...]:
    held = "-" if row.validation is None else f"{row.validation:.1%}"
    return (
        f"{row.accuracy:.1%}", f"{row.low:.1%} to {row.high:.1%}", held, f"{row.ms:.2f}", f"{row.megabytes:.1f}",
    )  # fmt: skip


def row(
    name: str, ours: bool, facts: Mapping[str, Any], n: int, validation: float | None, ms: float, size: float
) -> Row:
    """Of what an evaluation says about one way to classify."""
    return Row(
        name,
        ours,
        facts["accuracy"],
        *interval(round(facts["accuracy"] * n), n),
        validation,
        round(ms, 3),
        round(size, 2),
    )
