"""Drawings to start from: our own, as vector strokes, free to redistribute with the code."""

from __future__ import annotations

import numpy as np

from affinevae.picture import GRID, Stroke, turned

Points = list[tuple[float, float]]

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

# Outlines with their grey, drawn one over the other.
CLOTHES: dict[str, list[tuple[float, Points]]] = {
    "T-shirt": [
        (0.75, [(36, 14), (64, 14), (90, 30), (82, 46), (71, 40), (71, 88), (29, 88), (29, 40), (18, 46), (10, 30)]),
        (0.0, [(41, 13), (59, 13), (55, 20), (45, 20)]),
        (0.55, [(29, 40), (34, 34), (34, 88), (29, 88)]),
    ],
    "trousers": [
        (0.7, [(34, 8), (66, 8), (70, 92), (55, 92), (50, 36), (45, 92), (30, 92)]),
        (0.9, [(34, 8), (66, 8), (66, 14), (34, 14)]),
    ],
    "dress": [
        (0.75, [(40, 7), (45, 16), (55, 16), (60, 7), (63, 26), (58, 42), (70, 93), (30, 93), (42, 42), (37, 26)]),
        (0.5, [(42, 42), (58, 42), (59, 46), (41, 46)]),
    ],
    "sneaker": [
        (0.8, [(9, 36), (24, 34), (36, 44), (52, 36), (62, 46), (90, 56), (92, 66), (9, 66)]),
        (0.35, [(9, 62), (92, 62), (92, 68), (9, 68)]),
    ],
    "bag": [
        (0.6, [(30, 40), (36, 16), (64, 16), (70, 40), (63, 40), (59, 23), (41, 23), (37, 40)]),
        (0.8, [(12, 38), (88, 38), (92, 84), (8, 84)]),
        (0.5, [(12, 50), (88, 50), (88, 54), (12, 54)]),
    ],
    "pullover": [
        (0.7, [(38, 14), (62, 14), (80, 26), (92, 78), (80, 82), (70, 46), (71, 88), (29, 88), (30, 46), (20, 82),
               (8, 78), (20, 26)]),
        (0.3, [(41, 14), (59, 14), (54, 19), (46, 19)]),
    ],
    "coat": [
        (0.7, [(37, 9), (63, 9), (80, 20), (90, 76), (79, 79), (71, 42), (72, 93), (28, 93), (29, 42),
               (21, 79), (10, 76), (20, 20)]),
        (0.3, [(48, 9), (52, 9), (52, 93), (48, 93)]),
    ],
    "boot": [
        (0.75, [(30, 12), (56, 12), (56, 46), (88, 62), (90, 80), (28, 80), (26, 46)]),
        (0.35, [(28, 80), (90, 80), (90, 87), (28, 87)]),
    ],
}  # fmt: skip

TILTS = (35, -60, 110, 200, -25, 75, 150, -130)  # degrees, one an example


def names(clothes: bool) -> list[str]:
    """What the examples show, in order."""
    return list(CLOTHES if clothes else DIGITS)


def example(clothes: bool, index: int) -> tuple[Stroke, ...]:
    """The strokes of an example, turned."""
    name = names(clothes)[index]
    strokes = (
        [_outline(grey, p) for grey, p in CLOTHES[name]] if clothes else [_line(p) for p in DIGITS[name]]
    )
    return turned(strokes, TILTS[index])


def _outline(grey: float, points: Points) -> Stroke:
    return Stroke(_on_grid(points), True, grey)


def _line(points: Points) -> Stroke:
    return Stroke(_on_grid(smooth([points[0], *points, points[-1]])))


def _on_grid(points: Points) -> tuple[tuple[int, int], ...]:
    return tuple((round(x * GRID / 100), round(y * GRID / 100)) for x, y in points)


def smooth(points: Points, steps: int = 5) -> Points:
    """A smooth line (Catmull-Rom) through the points but the first and last: these say where it comes from and goes."""
    p = np.array(points)
    t = (np.arange(steps) / steps)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return [(float(x), float(y)) for x, y in np.concatenate([*parts, p[-2:-1]])]
