"""Pictures to classify: photos in the public domain, and our own scenes, drawn by code. The last is out of scope."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from demo.drawings import CLOTHES, smooth

SIDE, FINE = 128, 4  # pixels, and drawn so many times larger
GRAIN = 4.0  # grey levels: photographs are never flat
# Colour; poly, blob (a smooth outline), oval (two corners) or line; percent of the frame, y down.
Shape = tuple[str, str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Scene:
    """Bands of background, each ``(from, to, colour above, colour below)``, and shapes drawn one over the other."""

    ground: tuple[tuple[float, float, str, str], ...]
    shapes: Sequence[Shape]
    blur: float = 0.6


def _wheel(x: float, y: float, r: float) -> list[Shape]:
    return [("#17181c", "oval", [(x - r, y - r), (x + r, y + r)]),
            ("#9aa1ab", "oval", [(x - 0.5 * r, y - 0.5 * r), (x + 0.5 * r, y + 0.5 * r)])]  # fmt: skip


def _leg(x: float, lean: float, colour: str) -> Shape:
    return (colour, "poly", [(x - 3.4, 58), (x + 3.4, 58), (x + 1.8 + lean, 88), (x - 1.6 + lean, 88)])


SEA = ((0, 46, "#8fb9dc", "#d5e6f1"), (46, 100, "#2f6690", "#173a5a"))
SKY = ((0, 100, "#4f8fd0", "#bcd8ef"),)
MEADOW = ((0, 42, "#9cc3e2", "#dceaf2"), (42, 100, "#7d9c4a", "#4e6b2a"))
STREET = ((0, 55, "#b9c7d2", "#dfe4e6"), (55, 64, "#8d9487", "#7b8277"), (64, 100, "#5d6064", "#45474b"))
LEAVES = ((0, 100, "#6f9447", "#35522a"),)
ROOM = ((0, 100, "#b7a58d", "#7a6751"),)
BRANCHES = ((0, 100, "#b9cfae", "#7fa079"),)

TEXT = "page of text"
PHOTOS: dict[str, Scene] = {
    "ship": Scene(SEA, [
        ("#e9eef2", "poly", [(30, 33), (66, 33), (69, 52), (28, 52)]),
        ("#c9d2da", "poly", [(36, 24), (56, 24), (58, 33), (34, 33)]),
        ("#b3392f", "poly", [(43, 10), (51, 10), (52, 24), (42, 24)]),
        ("#22262c", "poly", [(43, 10), (51, 10), (51, 14), (43, 14)]),
        *[("#3d5870", "poly", [(x, 38), (x + 3, 38), (x + 3, 42), (x, 42)]) for x in range(33, 64, 6)],
        ("#20344a", "poly", [(7, 50), (94, 48), (84, 66), (17, 66)]),
        ("#a8342b", "poly", [(15, 62), (86, 62), (84, 66), (17, 66)]),
        ("#d7e6ef", "blob", [(8, 67), (30, 65), (60, 67), (95, 66), (80, 70), (30, 70)]),
        ("#3f7196", "line", [(5, 80), (34, 79)]), ("#3f7196", "line", [(52, 88), (90, 87)]),
    ]),
    "airplane": Scene(SKY, [
        ("#f4f7fa", "blob", [(4, 84), (16, 76), (30, 80), (36, 88), (20, 92)]),
        ("#f4f7fa", "blob", [(66, 20), (78, 13), (92, 17), (95, 24), (78, 26)]),
        ("#aeb7c2", "poly", [(46, 46), (58, 45), (44, 20), (37, 20)]),
        ("#eef2f5", "blob", [(8, 46), (16, 42), (50, 42), (84, 46), (91, 50), (82, 54), (40, 54), (14, 51)]),
        ("#c4ccd5", "poly", [(40, 52), (60, 51), (36, 84), (28, 84)]),
        ("#2f4d80", "poly", [(8, 46), (17, 45), (13, 25), (6, 25)]),
        ("#c4ccd5", "poly", [(10, 50), (20, 50), (10, 61), (5, 61)]),
        ("#39424e", "poly", [(81, 46.5), (86, 48), (83, 49.5), (79, 48.5)]),
        *[("#5a6675", "oval", [(x, 46.3), (x + 1.6, 48.4)]) for x in range(26, 76, 5)],
        ("#6b7684", "oval", [(43, 58), (52, 64)]),
    ]),
    "car": Scene(STREET, [
        ("#2c2e31", "blob", [(8, 79), (50, 76), (93, 79), (88, 83), (14, 83)]),
        ("#c1272d", "blob", [(6, 66), (10, 55), (27, 50), (36, 35), (64, 34), (76, 49), (92, 55), (95, 68), (92, 76),
                             (10, 76)]),
        ("#bcd3e0", "poly", [(31, 50), (39, 38), (50, 38), (50, 50)]),
        ("#a5c1d1", "poly", [(53, 38), (63, 38), (71, 50), (53, 50)]),
        ("#8f1d22", "line", [(51.5, 50), (51.5, 73)]),
        ("#f6e7b0", "oval", [(88, 57), (94, 62)]), ("#f0b24a", "oval", [(6, 58), (10, 63)]),
        *_wheel(26, 76, 10), *_wheel(76, 76, 10),
    ]),
    "bird": Scene(BRANCHES, [
        ("#8aa97c", "blob", [(2, 8), (24, 2), (36, 18), (16, 30), (2, 24)]),
        ("#6b5138", "poly", [(0, 82), (100, 72), (100, 78), (0, 89)]),
        ("#3d5a80", "poly", [(10, 74), (14, 82), (44, 62), (36, 54)]),
        ("#d9884e", "blob", [(32, 58), (40, 40), (54, 32), (68, 36), (70, 52), (60, 70), (44, 74)]),
        ("#4f7cac", "blob", [(28, 64), (38, 42), (52, 34), (58, 46), (48, 62), (34, 70)]),
        ("#3d648f", "blob", [(30, 65), (42, 50), (53, 48), (46, 61), (36, 68)]),
        ("#4f7cac", "blob", [(52, 34), (56, 20), (70, 16), (79, 26), (75, 38), (62, 42)]),
        ("#f1d9c0", "blob", [(62, 38), (74, 34), (72, 44), (66, 50)]),
        ("#2b2b2b", "poly", [(78, 25), (92, 29), (78, 32)]),
        ("#0e0f12", "oval", [(68, 22), (73, 27)]), ("#ffffff", "oval", [(70.5, 23), (72, 24.5)]),
        ("#4c3a28", "line", [(50, 72), (49, 79)]), ("#4c3a28", "line", [(57, 71), (57, 78)]),
    ]),
    "cat": Scene(ROOM, [
        ("#8c6a45", "blob", [(14, 102), (18, 78), (34, 68), (66, 68), (82, 78), (86, 102)]),
        ("#a57f54", "poly", [(20, 44), (19, 8), (45, 26)]), ("#a57f54", "poly", [(80, 44), (81, 8), (55, 26)]),
        ("#d8a792", "poly", [(25, 34), (23, 16), (38, 27)]), ("#d8a792", "poly", [(75, 34), (77, 16), (62, 27)]),
        ("#b08a5c", "blob", [(50, 20), (74, 28), (86, 50), (74, 72), (50, 80), (26, 72), (14, 50), (26, 28)]),
        *[("#6d4f30", "line", [(x, 22), (50 + (x - 50) * 0.7, 34)]) for x in (38, 50, 62)],
        *[("#6d4f30", "line", [(s, 50), (s + d, 52)]) for s, d in ((16, 9), (84, -9))],
        ("#ecdcc4", "blob", [(36, 60), (50, 55), (64, 60), (62, 73), (50, 77), (38, 73)]),
        ("#c6d77a", "oval", [(28, 42), (43, 54)]), ("#c6d77a", "oval", [(57, 42), (72, 54)]),
        ("#101010", "oval", [(33.5, 42), (38, 54)]), ("#101010", "oval", [(62, 42), (66.5, 54)]),
        ("#c0716a", "poly", [(45, 58), (55, 58), (50, 64)]),
        ("#5b4230", "line", [(50, 64), (50, 68)]), ("#5b4230", "line", [(43, 70), (50, 68), (57, 70)]),
        *[("#f5efe4", "line", [(50 + s * 16, 64 + d), (50 + s * 40, 61 + 3 * d)]) for s in (-1, 1) for d in (0, 3)],
    ]),
    "horse": Scene(MEADOW, [
        _leg(34, -3, "#5b3820"), _leg(64, 3, "#5b3820"), _leg(28, 1, "#7a4b2a"), _leg(70, -2, "#7a4b2a"),
        ("#2b1a10", "blob", [(22, 44), (14, 50), (12, 70), (16, 76), (19, 58), (25, 50)]),
        ("#7a4b2a", "blob", [(20, 46), (32, 39), (54, 42), (70, 38), (76, 48), (72, 61), (54, 63), (36, 63), (24, 60)]),
        ("#7a4b2a", "blob", [(62, 46), (70, 26), (80, 14), (86, 18), (83, 34), (78, 50), (70, 58)]),
        ("#7a4b2a", "blob", [(77, 15), (84, 13), (96, 31), (95, 37), (89, 37), (80, 27)]),
        ("#7a4b2a", "poly", [(78, 16), (80, 7), (84, 14)]),
        ("#2b1a10", "blob", [(78, 12), (70, 22), (62, 42), (67, 43), (75, 28), (81, 17)]),
        ("#120b07", "oval", [(84, 20), (86.5, 22.5)]), ("#4a2d19", "oval", [(91.5, 32), (94, 34)]),
        *[("#2a1c12", "poly", [(x - 3, 86), (x + 3, 86), (x + 3, 90), (x - 3, 90)]) for x in (31, 29, 68, 67)],
    ]),
    "frog": Scene(LEAVES, [
        ("#4c7035", "blob", [(0, 70), (30, 62), (70, 64), (100, 72), (100, 102), (0, 102)]),
        ("#4f8f2f", "blob", [(10, 86), (8, 66), (22, 54), (36, 66), (32, 86), (20, 92)]),
        ("#4f8f2f", "blob", [(90, 86), (92, 66), (78, 54), (64, 66), (68, 86), (80, 92)]),
        ("#68b23c", "blob", [(50, 34), (72, 40), (82, 58), (76, 82), (50, 90), (24, 82), (18, 58), (28, 40)]),
        ("#d7e3a0", "blob", [(50, 64), (68, 66), (72, 78), (50, 89), (28, 78), (32, 66)]),
        ("#68b23c", "oval", [(22, 22), (44, 46)]), ("#68b23c", "oval", [(56, 22), (78, 46)]),
        ("#e8c84a", "oval", [(26, 26), (40, 41)]), ("#e8c84a", "oval", [(60, 26), (74, 41)]),
        ("#0d0f0a", "oval", [(29, 30), (37, 37)]), ("#0d0f0a", "oval", [(63, 30), (71, 37)]),
        ("#2f5a1d", "line", [(26, 58), (38, 63), (50, 64.5), (62, 63), (74, 58)]),
        *[("#3f7a26", "oval", [(x, y), (x + 5, y + 4)]) for x, y in ((36, 47), (58, 46), (47, 42), (24, 68), (72, 70))],
    ]),
    TEXT: Scene(((0, 100, "#fdfcf8", "#f6f4ec"),), [
        *[("#2b2b30", "line", [(x, y), (x + w, y)]) for y in range(9, 96, 7) for x, w in
          (((8, 11), (22, 18), (43, 9), (55, 22), (80, 11)) if y % 2 else ((8, 19), (30, 10), (43, 24), (70, 20)))],
    ], blur=0.3),
}  # fmt: skip
WORN = ("T-shirt", "trousers", "bag", "boot", "sneaker", "dress", "coat")
BLACK = ((0, 100, "#000000", "#000000"),)
CLOCK = "clock"


Kind = Literal["photos", "drawn", "worn"]
TAKEN = ("t-shirt", "jeans", "hoodie", "shoes", "boots", "denim-skirt", "cap")  # see photos/LICENSE.md
FOLDER = Path(__file__).parent / "photos"


def names(kind: Kind) -> list[str]:
    """What the examples of a kind show, in order."""
    if kind == "photos":
        return [*(name.replace("-", " ") for name in TAKEN), TEXT]
    return [*WORN, CLOCK] if kind == "worn" else list(PHOTOS)


@functools.cache
def example(kind: Kind, index: int) -> Image.Image:
    """An example: a photo, or a drawing of ``SIDE`` pixels a side, grey on black for those who know clothes in grey."""
    if kind == "photos" and index < len(TAKEN):
        return Image.open(FOLDER / f"{TAKEN[index]}.jpg").convert("RGB")
    name = names(kind)[index]
    if kind == "worn":
        shapes = (
            _clock() if name == CLOCK else [(_grey(grey), "poly", points) for grey, points in CLOTHES[name]]
        )
        return _painted(Scene(BLACK, shapes)).convert("L")
    scene = PHOTOS[name]
    soft = _painted(scene).filter(ImageFilter.GaussianBlur(scene.blur))
    grain = np.random.default_rng(0).normal(0, GRAIN, (SIDE, SIDE, 1))
    return Image.fromarray((np.asarray(soft) + grain).clip(0, 255).astype(np.uint8))


def _painted(scene: Scene) -> Image.Image:
    large = SIDE * FINE
    canvas = Image.new("RGB", (large, large))
    for start, end, above, below in scene.ground:
        top, bottom = round(start * large / 100), round(end * large / 100)
        share = Image.linear_gradient("L").resize((large, bottom - top))
        colours = Image.new("RGB", share.size, below), Image.new("RGB", share.size, above)
        canvas.paste(Image.composite(*colours, share), (0, top))
    draw = ImageDraw.Draw(canvas)
    for colour, kind, points in scene.shapes:
        xy = [(x * large / 100, y * large / 100) for x, y in points]
        if kind == "poly":
            draw.polygon(xy, colour)
        elif kind == "blob":  # a closed smooth outline through the points
            draw.polygon(smooth([xy[-1], *xy, *xy[:2]])[:-1], colour)
        elif kind == "oval":
            draw.ellipse([*xy[0], *xy[1]], colour)
        else:
            draw.line(xy, colour, width=round(0.014 * large), joint="curve")
    return canvas.reduce(FINE)


def _clock() -> list[Shape]:
    """The face of a clock, at ten past ten."""
    white, black = _grey(1), _grey(0)
    rim: list[Shape] = [(white, "oval", [(5, 5), (95, 95)]), (black, "oval", [(8.5, 8.5), (91.5, 91.5)])]
    ticks = [_hand(30 * tick, 33 if tick % 3 else 29, 38, 1.2) for tick in range(12)]
    return [*rim, *ticks, _hand(305, -3, 22, 2.4), _hand(60, -3, 32, 1.6)]


def _hand(degrees: float, start: float, end: float, width: float) -> Shape:
    x, y = math.sin(math.radians(degrees)), -math.cos(math.radians(degrees))
    corners = ((start, -width), (start, width), (end, width), (end, -width))
    return (
        _grey(1),
        "poly",
        [(50 + along * x - aside * y, 50 + along * y + aside * x) for along, aside in corners],
    )


def _grey(share: float) -> str:
    return f"#{round(255 * share):02x}" + 2 * f"{round(255 * share):02x}"
