"""Between pictures of people (any size, paper or screen) and the images that a model was trained on.

A model knows one framing: bright on black, centred, about as large as its training data. ``fit_picture`` and
``draw_strokes`` bring a file and a drawing there with one resampling. Size is measured as the largest extent over
all directions, so that turning a drawing does not change its scale.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from affinevae.affine import enlarge, turn
from training.pictures import Preparation, as_rgb, prepare_all, upright

Array = NDArray[Any]

GRID = 256  # strokes lie on an integer grid of this side, so that a link can carry them exactly
DIRECTIONS = 32  # in which the extent is measured
SUPERSAMPLE = 8  # of drawn strokes
WORKING_SIDE = 512  # larger pictures are reduced to this before anything else
CONTRAST = 0.08  # less than this between paper and ink is an empty picture
FITS, EVEN = 6, 0.06  # of the light on the paper; light that differs by less is even
DARKEST = 0.1  # of lit paper
INSIDE = 0.15  # of the ink, which must be left without what reaches in from the border
LARGEST_ZOOM = 4.0  # of a drawing: a dot stays a dot


class EmptyPicture(ValueError):
    """There is nothing in the picture; the message is one sentence."""


@dataclass(frozen=True)
class Stroke:
    """A line, or an outline to fill, over ``GRID`` x ``GRID`` cells, y down; ``grey`` in [0, 1]."""

    points: tuple[tuple[int, int], ...]
    filled: bool = False
    grey: float = 1.0


def fit_picture(
    picture: Image.Image,
    size: int,
    channels: int,
    fill: float = 0.7,
    learned: Preparation | None = None,
    drawn: bool = True,
) -> Tensor:
    """A picture as a model of ``size`` pixels expects it, ``(1, channels, size, size)`` in [0, 1].

    A picture as large as the training ones is prepared as they were, and so is every picture of a model whose training
    pictures were no centred drawings. Otherwise, grey: paper becomes black, the content is centred by its mass and its
    largest extent becomes ``fill`` of the frame. RGB: padded to a square. A picture that already has the right size on
    a dark ground is left as it is.

    Args:
        learned, drawn: how training pictures were prepared, see :class:`~affinevae.model.AffineVAEConfig`.

    Raises:
        EmptyPicture: a drawing of one colour all over.
    """
    picture = upright(picture)
    if learned is not None and learned.size and (not drawn or picture.size == (learned.size, learned.size)):
        return in_frame(prepare_all([picture], learned), size)
    picture = _flatten_alpha(picture)
    if channels == 3:
        return _to_tensor(_padded_square(picture.convert("RGB")).resize((size, size), Image.Resampling.BOX))
    grey = picture.convert("L")
    if grey.size == (size, size) and _border(np.asarray(grey) / 255) < 0.2:
        return _require_content(_to_tensor(grey))
    grey.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    return _framed(_ink(np.asarray(grey) / 255), size, fill)


def in_frame(images: Tensor, size: int) -> Tensor:
    """Pictures ``(B, C, s, s)`` in the middle of a black frame of ``size`` pixels, as training lays them."""
    return turn(enlarge(images, size), torch.eye(2, 3).expand(len(images), 2, 3))


def draw_strokes(
    strokes: Sequence[Stroke], size: int, channels: int = 1, fill: float = 0.7, pen: float = 0.08
) -> Tensor:
    """Strokes drawn with a pen of ``pen`` of the frame, framed like ``fit_picture``: ``(1, channels, size, size)``.

    The geometry is scaled, not the pixels: small drawings get the same pen as large ones, and no blur.

    Raises:
        EmptyPicture: no stroke.
    """
    points = [np.asarray(s.points, dtype=float) for s in strokes if len(s.points)]
    if not points:
        raise EmptyPicture("There is nothing to look at yet: draw something first.")
    large = size * SUPERSAMPLE
    scale = min((fill - pen) * large / max(extent(np.concatenate(points)), 1e-6), LARGEST_ZOOM * large / GRID)
    # Drawn twice: where the mass lies is only known once the strokes overlap.
    middle = (np.concatenate(points).min(0) + np.concatenate(points).max(0)) / 2
    for _ in range(2):
        canvas = _drawn(strokes, large, scale, middle, pen * large)
        middle = middle + (_mass_centre(np.asarray(canvas) / 255) - large / 2) / scale
    return _to_tensor(canvas.reduce(SUPERSAMPLE)).expand(-1, channels, -1, -1).contiguous()


def turned(strokes: Sequence[Stroke], degrees: float) -> tuple[Stroke, ...]:
    """Strokes turned counter-clockwise about the middle of the grid, and kept on it."""
    c, s, middle = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), GRID / 2

    def move(x: float, y: float) -> tuple[int, int]:
        x, y = x - middle, y - middle
        moved = (round(middle + c * x + s * y), round(middle - s * x + c * y))
        return min(max(moved[0], 0), GRID - 1), min(max(moved[1], 0), GRID - 1)

    return tuple(Stroke(tuple(move(*p) for p in s.points), s.filled, s.grey) for s in strokes)


def extent(points: Array) -> float:
    """The largest width over all directions (Feret diameter) of points ``(n, 2)``."""
    angle = np.arange(DIRECTIONS) * (np.pi / DIRECTIONS)
    along = points @ np.stack([np.cos(angle), np.sin(angle)])
    return float((along.max(0) - along.min(0)).max())


def to_picture(image: Tensor, side: int | None = None) -> Image.Image:
    """``(C, S, S)`` in [0, 1] as a picture; larger ``side``: smooth, as these are pictures of things."""
    pixels = (image.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return picture if side is None else picture.resize((side, side), Image.Resampling.BICUBIC)


def to_png(image: Tensor, side: int | None = None) -> bytes:
    """``(C, S, S)`` in [0, 1] as a PNG file."""
    file = io.BytesIO()
    to_picture(image, side).save(file, "PNG")
    return file.getvalue()


def to_gif(frames: Tensor, side: int = 160, milliseconds: int = 60) -> bytes:
    """``(n, C, S, S)`` in [0, 1] as an endless GIF."""
    large = F.interpolate(frames.float(), (side, side), mode="bicubic", align_corners=False)
    pictures = [to_picture(frame) for frame in large]
    if frames.shape[1] == 3:  # Pillow's own choice of a palette takes 20 times as long
        pictures = [picture.quantize(128, Image.Quantize.FASTOCTREE) for picture in pictures]
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)
    return file.getvalue()


def _flatten_alpha(picture: Image.Image) -> Image.Image:
    """Transparent paper becomes white under dark ink and black under light ink."""
    return as_rgb(picture, "contrast") if picture.has_transparency_data else picture


def _border(values: Array) -> float:
    return float(np.median(np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])))


def _paper(values: Array) -> Array:
    """How bright the paper is everywhere: where its border is uneven, a curved surface through what is no ink.

    Light falls off over a photographed page by more than faint ink is dark.
    """
    flat, rows, columns = _border(values), *values.shape
    if min(rows, columns) < 16:
        return np.full(values.shape, flat)
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * y, x**2, y**2], -1)
    step = max(1, max(rows, columns) // 64)
    sample, light = terms[::step, ::step].reshape(-1, 6), values[::step, ::step].ravel()
    known = np.abs(sample[:, 1:3]).max(1) > 0.85
    surface = np.full(len(light), flat)
    for _ in range(FITS):
        near = known & (np.abs(light - surface) < max(2.5 * _spread((light - surface)[known]), EVEN))
        if near.sum() < 0.05 * len(light):
            return np.full(values.shape, flat)
        factors = np.linalg.lstsq(sample[near], light[near], rcond=None)[0]
        surface, known = sample @ factors, np.ones_like(known)
    fitted = terms @ factors
    return np.full(values.shape, flat) if np.ptp(fitted) < EVEN else np.clip(fitted, 0, 1)


def _spread(values: Array) -> float:
    """A standard deviation that outliers do not move."""
    return 1.48 * float(np.median(np.abs(values - np.median(values))))


def _without_edges(ink: Array) -> Array:
    """Without what reaches in from outside of the picture, a table's edge or a shadow, where something else is left."""
    from scipy import ndimage  # a quarter of a second, which the page's start does not wait for

    parts, count = ndimage.label(ink > 0, np.ones((3, 3)))
    edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    inside = np.where(np.isin(parts, edge), 0, ink)
    return inside if count and inside.sum() > INSIDE * ink.sum() else ink


def _ink(values: Array) -> Array:
    """Distance from the paper's brightness, the strongest ink at 1."""
    border, paper = _border(values), _paper(values)
    # Ink takes a share of the light that falls on paper; what glows on a dark ground adds to it.
    ink = 1 - values / np.maximum(paper, DARKEST) if border > 0.5 else values - paper
    strongest = float(np.quantile(ink, 0.999)) if ink.size > 1000 else float(ink.max())
    if strongest < CONTRAST:
        raise EmptyPicture("The picture is one colour all over: there is no shape in it.")
    ink = np.clip(ink / strongest, 0, 1)
    return _without_edges(np.where(ink < 0.12, 0, ink))  # the grain of paper and of JPEG


def _framed(ink: Array, size: int, fill: float) -> Tensor:
    rows, columns = np.nonzero(ink > 0.3)
    half = max(extent(np.stack([columns, rows], 1) * 1.0) + 1, 2) / (2 * fill)
    centre = _mass_centre(ink)
    pad = math.ceil(half) + 1
    padded = Image.fromarray(np.pad(ink * 255, pad).astype(np.uint8))
    box = (*(centre + pad - half), *(centre + pad + half))
    # The mass may lie so far off the middle that the window leaves even the padded picture.
    box = tuple(min(max(b, 0), padded.size[i % 2]) for i, b in enumerate(box))
    return _require_content(_to_tensor(padded.resize((size, size), Image.Resampling.HAMMING, box=box)))


def _mass_centre(values: Array) -> Array:
    """``(x, y)`` in pixels from the corner, of pixels' middles."""
    total = max(float(values.sum()), 1e-9)
    x, y = np.arange(values.shape[1]) + 0.5, np.arange(values.shape[0]) + 0.5
    return np.array([values.sum(0) @ x, values.sum(1) @ y]) / total


def _drawn(strokes: Sequence[Stroke], side: int, scale: float, middle: Array, pen: float) -> Image.Image:
    canvas = Image.new("L", (side, side))
    draw = ImageDraw.Draw(canvas)
    for stroke in strokes:
        points = [tuple((np.asarray(p) - middle) * scale + side / 2) for p in stroke.points]
        tone = round(255 * stroke.grey)
        if stroke.filled and len(points) > 2:
            draw.polygon(points, fill=tone)
            continue
        draw.line(points, fill=tone, width=round(pen), joint="curve")
        for x, y in points:
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=tone)
    return canvas


def _padded_square(picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    square = Image.new(picture.mode, (side, side))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def _to_tensor(picture: Image.Image) -> Tensor:
    values = torch.from_numpy(np.array(picture, dtype=np.float32) / 255)
    return values[None, None] if values.ndim == 2 else values.permute(2, 0, 1)[None]


def _require_content(image: Tensor) -> Tensor:
    if image.amax() - image.amin() < CONTRAST:
        raise EmptyPicture("The picture is one colour all over: there is no shape in it.")
    return image
