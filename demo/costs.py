"""The rows of the table that says what an answer takes (``components/costs``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from demo.timing import Rounds
from demo.timing import ratio as compared
from demo.types import Values


def row(
    label: str,
    small: str,
    needs: Sequence[float],
    write: Callable[[float], str],
    less: str = "fewer",
    more: str = "more",
) -> Values:
    """A row of numbers, and how many times less the first needs."""
    return plain_row(label, small, [write(need) for need in needs]) | {"ratio": ratio(needs, less, more)}


def timed_row(label: str, small: str, times: Sequence[Rounds]) -> Values:
    """A row of median times, and how many times faster the first is, if this machine lets one tell."""
    values = [f"{median(rounds):.2f} ms" for rounds in times]
    return plain_row(label, small, values) | {"ratio": faster(times)}


def faster(times: Sequence[Rounds]) -> str:
    """``"1.8x faster (1.7 to 2.0)"``: the first against the second; nothing where there is none."""
    if len(times) < 2:
        return ""
    found = compared(*times)
    if not found.is_known:
        return "this machine is too busy to tell"
    if found.low <= 1 <= found.high:
        return "about the same"
    low, middle, high, word = found.low, found.median, found.high, "faster"
    if middle < 1:
        low, middle, high, word = 1 / found.high, 1 / found.median, 1 / found.low, "slower"
    digits = 1 if middle < 9.95 else 0
    return f"{middle:.{digits}f}x {word} ({low:.{digits}f} to {high:.{digits}f})"


def plain_row(label: str, small: str, values: list[str]) -> Values:
    """A row that compares nothing."""
    return {"label": label, "small": small, "values": values, "ratio": ""}


def ratio(needs: Sequence[float], less: str = "fewer", more: str = "more") -> str:
    """``"8.1x fewer"``: what the first needs against the second; nothing where there is none."""
    if len(needs) < 2 or min(needs) <= 0:
        return ""
    first, second = needs
    factor, word = (second / first, less) if second >= first else (first / second, more)
    return "the same" if factor < 1.05 else f"{factor:.{1 if factor < 9.95 else 0}f}x {word}"
