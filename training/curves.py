"""What the parts of a model cost at each size: a table that predicts the latency of a plan without running it.

Parts are timed apart and in turns, each at several sizes (a text's length, a picture's side), and a plan's time is
the sum of its parts'. That ranks plans, which is enough to search with; what a search finds is timed as a whole.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from typing import TypeVar

from training.measure import compare

Part = TypeVar("Part")
Curve = tuple[tuple[int, float], ...]  # (size, milliseconds), sizes rising


def measured(
    calls: Mapping[Part, Mapping[int, Callable[[], object]]], rounds: int = 5, repeats: int = 3
) -> dict[Part, Curve]:
    """Part -> its median milliseconds at each size, all of them timed in turns on one thread.

    Args:
        calls: part -> size -> one run of it.
    """
    named = {f"{i} {size}": call for i, sizes in enumerate(calls.values()) for size, call in sizes.items()}
    times = compare(named, rounds=rounds, repeats=repeats)
    return {
        part: tuple((size, times[f"{i} {size}"].median_ms) for size in sorted(sizes))
        for i, (part, sizes) in enumerate(calls.items())
    }


def at(curve: Curve, size: int) -> float:
    """Milliseconds at a size, on the line between its measured neighbours (or through the nearest two)."""
    if len(curve) == 1:
        return curve[0][1]
    place = bisect.bisect_left([n for n, _ in curve], size)
    right = min(max(place, 1), len(curve) - 1)
    (a, low), (b, high) = curve[right - 1], curve[right]
    return max(0.0, low + (high - low) * (size - a) / (b - a))
