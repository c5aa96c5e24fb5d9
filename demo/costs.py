"""The rows of the table that says what an answer takes (``components/costs``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
