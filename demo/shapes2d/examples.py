"""Drawings to start from: our own, as vector strokes, free to redistribute with the code."""

from __future__ import annotations

from affinevae.picture import GRID, Stroke, turned
from demo.drawings import CLOTHES, Points, smooth

# Control points in percent of the frame, y down; curves are smoothed through them.
DIGITS: dict[str, list[Points]] = {
    "2": [[(31, 32), (40, 17), (60, 17), (68, 32), (58, 52), (42, 68), (30, 83)], [(30, 83), (50, 81), (71, 82)]],
    "7": [[(30, 19), (50, 18), (70, 17)], [(70, 17), (60, 42), (50, 64), (44, 85)]],
    "3": [[(32, 24), (50, 15), (66, 26), (62, 42), (46, 48), (66, 56), (68, 74), (50, 86), (31, 77)]],
    "5": [[(67, 17), (52, 18), (38, 18)], [(38, 18), (36, 32), (35, 46)],
          [(35, 46), (52, 41), (67, 52), (68, 70), (53, 84), (31, 80)]],
    "4": [[(40, 16), (34, 36), (29, 55)], [(29, 55), (50, 54), (72, 53)], [(62, 26), (60, 55), (57, 86)]],
    "8": [[(52, 48), (36, 38), (35, 24), (50, 15), (65, 24), (63, 38), (50, 48), (34, 60), (34, 77), (50, 86),
           (66, 77), (66, 60), (52, 48)]],
    "6": [[(62, 16), (46, 28), (36, 48), (34, 68), (46, 85), (64, 78), (66, 62), (52, 52), (37, 62)]],
    "1": [[(54, 15), (51, 38), (49, 62), (46, 85)]],
}  # fmt: skip

TILTS = (35, -60, 110, 200, -25, 75, 150, -130)  # degrees, one an example


def names(clothes: bool) -> list[str]:
    """What the examples show, in order."""
    return list(CLOTHES if clothes else DIGITS)


def example(clothes: bool, index: int) -> tuple[Stroke, ...]:
    """The strokes of an example, turned."""
    name = names(clothes)[index]
    if clothes:
        strokes = [Stroke(_on_grid(points), True, grey) for grey, points in CLOTHES[name]]
    else:
        strokes = [Stroke(_on_grid(smooth([p[0], *p, p[-1]]))) for p in DIGITS[name]]
    return turned(strokes, TILTS[index])


def _on_grid(points: Points) -> tuple[tuple[int, int], ...]:
    return tuple((round(x * GRID / 100), round(y * GRID / 100)) for x, y in points)
