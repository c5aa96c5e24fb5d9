"""A walk from what is pinned to what is looked at, laid out: no row or column repeats another."""

from __future__ import annotations

from torch import Tensor

from demo.shapes.steering import Point
from demo.types import Values


def leads_nowhere(pinned: Point, now: Point, near: float) -> bool:
    """Whether both ends are the same, but for ``near`` in the numbers of the pose."""
    return pinned.z == now.z and _alike(pinned, now, near)


def laid_out(rows: Tensor, pinned: Point, now: Point, near: float) -> tuple[Tensor, Values]:
    """Pictures ``(orientations, shapes, ...)`` as they are to stand, and what changes along a row and down a column.

    Ends turned alike leave one row; ends of one shape leave its orientations, as a row.
    """
    if _alike(pinned, now, near):
        return rows[:1], {"across": "shape", "down": ""}
    if pinned.z == now.z:
        return rows[:, :1].transpose(0, 1), {"across": "orientation", "down": ""}
    return rows, {"across": "shape", "down": "orientation"}


def _alike(pinned: Point, now: Point, near: float) -> bool:
    return all(abs(a - b) <= near for a, b in zip(pinned.pose, now.pose, strict=True))
