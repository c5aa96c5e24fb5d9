"""What two tabs draw from: the outlines of clothes, and smooth lines. Ours, free to redistribute with the code."""

from __future__ import annotations

import numpy as np

Points = list[tuple[float, float]]

# Outlines with their grey, drawn one over the other: control points in percent of the frame, y down.
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


def smooth(points: Points, steps: int = 5) -> Points:
    """A smooth line (Catmull-Rom) through the points but the first and last: these say where it comes from and goes."""
    p = np.array(points)
    t = (np.arange(steps) / steps)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return [(float(x), float(y)) for x, y in np.concatenate([*parts, p[-2:-1]])]
