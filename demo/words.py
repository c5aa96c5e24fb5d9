"""Numbers and lists as the page says them."""

from __future__ import annotations

from collections.abc import Sequence


def percent(probability: float) -> str:
    """Never "100 %": no network can know."""
    if probability >= 0.995:
        return "> 99 %"
    return "< 1 %" if probability < 0.005 else f"{100 * probability:.0f} %"


def listed(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
