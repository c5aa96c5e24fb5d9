"""One way from a picture of any kind to the pixels that a model sees: in training, evaluation, prediction and the page.

How it is done is a ``Preparation``, which a model's config keeps, so that a picture answers tomorrow as it was learned
today. Knows no model and needs nothing that only training installs.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features
from torch import Tensor

from training.orientation import ORIENTATION, TURNS

Array = NDArray[Any]
# Left, top, right and bottom of a part of a picture, in its pixels
Box = tuple[int, int, int, int]
Part = Callable[[int, int], Box]  # of a picture of that width and height
Fit = Literal["crop", "letterbox"]
Ground = Literal["white", "black", "contrast"]

MAX_PIXELS = 50_000_000  # one picture, checked before it is decoded
MAX_STRIP = 2**23  # pixels to which a picture is scaled before its middle is cut out
AVIF = bool(features.check("avif"))
# No EPS: Pillow would start Ghostscript.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", *(("AVIF",) if AVIF else ()))
SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm",
    *((".avif",) if AVIF else ()),
}  # fmt: skip
HEIC = "HEIC is not read, save them as JPEG or PNG"
OTHERS = {
    **dict.fromkeys((".heic", ".heif", ".hif"), HEIC),
    **({} if AVIF else {".avif": "AVIF is read from Pillow 11.3 on, `pip install -U pillow`"}),
    **dict.fromkeys((".svg", ".eps", ".ai", ".pdf"), "drawings are not read, export them as PNG"),
    **dict.fromkeys((".psd", ".xcf", ".kra"), "layered pictures are not read, export them as PNG"),
    **dict.fromkeys(
        (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf"), "raw photos are not read, save JPEG"
    ),
    **dict.fromkeys(
        (".mp4", ".mov", ".avi", ".mkv", ".webm"), "films are not read, save their frames as JPEG"
    ),
    **dict.fromkeys(
        (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"), "archives inside folders are not read, unpack them"
    ),
    **dict.fromkeys(
        (".csv", ".tsv", ".jsonl", ".parquet"), "tables inside folders are not read, name one itself"
    ),
}
STRANGERS = {  # first bytes -> what they are
    b"version https://git-lfs": "a Git LFS pointer, run `git lfs pull`",
    b"<svg": "an SVG drawing, export it as PNG",
    b"<": "a web page or another text, fetch the picture again",
    b"%PDF": "a PDF, export its pictures",
    b"PK\x03\x04": "a zip archive, unpack it",
    b"8BPS": "a Photoshop file, export it as PNG",
}


class PictureError(ValueError):
    """One picture cannot be read; the message is a phrase that stands behind its name, in brackets."""


@dataclass(frozen=True)
class Preparation:
    """How a picture of any size and mode becomes the pixels of a model.

    EXIF's orientation is always applied, and 16-bit grey scaled to 8 bits, not clipped.

    Args:
        size: pixels a side; None leaves a picture as large and as wide as it is.
        channels: 1 grey, 3 RGB; None: grey where the picture is grey by its kind.
        fit: of what is not square: "crop" scales the shorter side and keeps the middle, "letterbox" scales the longer
            side and lays it in the middle of its border's colour.
        ground: what transparent parts lie on: "white", as on a page; "black"; or "contrast", black under bright
            pictures and white under dark ones.
        invert: grey pictures with a bright border are turned into bright things on black; None: whoever reads a set
            of pictures decides for all of it.
    """

    size: int | None = None
    channels: int | None = None
    fit: Fit = "crop"
    ground: Ground = "white"
    invert: bool | None = False

    def check(self) -> Preparation:
        """Itself, or ``ValueError`` with what is wrong."""
        if self.channels not in (None, 1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB), not {self.channels}")
        if self.fit not in ("crop", "letterbox"):
            raise ValueError(f"fit must be crop or letterbox, not {self.fit!r}")
        if self.ground not in ("white", "black", "contrast"):
            raise ValueError(f"ground must be white, black or contrast, not {self.ground!r}")
        if not isinstance(self.invert, (bool, type(None))):
            raise ValueError(f"invert must be true or false, not {self.invert!r}")
        return self


def in_words(how: Preparation) -> str:
    """A preparation for a reader, as it goes on after a comma."""
    size = f"{how.size} x {how.size} pixels" if how.size else "their own size"
    fits = {
        "crop": f"the middle square is scaled to {size}",
        "letterbox": f"the whole is scaled into {size}, beside it lies the border's colour",
    }
    grounds = {
        "white": "transparent parts lie on white",
        "black": "transparent parts lie on black",
        "contrast": "transparent parts lie on black under bright things and on white under dark ones",
    }
    inverts = ", grey on a bright ground is inverted" if how.invert and how.channels == 1 else ""
    return f"{fits[how.fit]}, {grounds[how.ground]}{inverts}"


# ---- files ----


def open_picture(source: bytes | Path) -> Image.Image:
    """The first frame of a picture file, decoded.

    Raises:
        PictureError: whatever is wrong with it.
    """
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source), formats=FORMATS) as image:
            _require_size(image)
            image.load()
            return image
    except Exception as error:  # on damaged bytes Pillow's plugins raise nearly anything
        raise PictureError(_fault(source, error)) from error


def check_picture(source: Path, whole: bool = True) -> tuple[tuple[int, int], bool]:
    """Size, upright, and whether it is grey by its kind, of a file that can be decoded.

    Args:
        whole: decode all of it (a JPEG at an eighth of its size, which reads every byte as well); otherwise only where
            the file's end looks as if something were missing.

    Raises:
        PictureError: whatever is wrong with it.
    """
    try:
        with Image.open(source, formats=FORMATS) as image:
            _require_size(image)
            turned = _orientation(image) >= 5
            size, grey = (image.height, image.width) if turned else image.size, is_grey(image)
            _require_mode(image)
            if whole or not _ends_well(source, str(image.format)):
                image.draft("RGB" if image.mode == "RGB" else None, (1, 1))  # type: ignore[arg-type]
                image.load()
            return size, grey
    except Exception as error:
        raise PictureError(_fault(source, error)) from error


def _require_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise PictureError(f"{image.width}x{image.height} pixels, more than {MAX_PIXELS:,}")


def _ends_well(file: Path, kind: str) -> bool:
    """Whether the last bytes are those of a whole file; only JPEG and PNG say so."""
    ends = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
    if kind not in ends:
        return False
    with file.open("rb") as stream:
        stream.seek(-min(64, file.stat().st_size), io.SEEK_END)
        return ends[kind] in stream.read()


def _fault(source: bytes | Path, error: Exception) -> str:
    if isinstance(error, PictureError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "there is no image file of that name"
    if isinstance(error, PermissionError):
        return "it may not be read"
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels"
    try:
        start = source[:64] if isinstance(source, bytes) else _first(source)
    except OSError as failed:
        return f"it cannot be read: {failed.strerror}"
    if not start:
        return "it is empty"
    if start[4:8] == b"ftyp":
        avif = start[8:12] in (b"avif", b"avis")
        return "an AVIF that is damaged" if avif else "a HEIC photo, save it as JPEG"
    text = start.lstrip(b"\xef\xbb\xbf \r\n")
    strange = next((what for magic, what in STRANGERS.items() if text.startswith(magic)), None)
    unknown = isinstance(error, UnidentifiedImageError)
    return strange or ("not a readable image" if unknown else "damaged or cut off")


def _first(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(64)


# ---- pixels ----


def is_grey(image: Image.Image) -> bool:
    """Whether a picture is grey by its kind: also one whose palette holds nothing but greys."""
    if image.mode == "P":
        palette = image.getpalette() or [0, 0, 1]
        return palette[::3] == palette[1::3] == palette[2::3]
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data say; as it is where they say nothing that can be read."""
    turn = TURNS.get(_orientation(image))
    if turn is None:
        return image
    turned = image.transpose(turn)
    for key in ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"):  # or it would be turned again
        turned.info.pop(key, None)
    return turned


def as_rgb(image: Image.Image, ground: Ground = "white") -> Image.Image:
    """An upright RGB picture; 16-bit grey is scaled, not clipped, and what is transparent lies on ``ground``.

    Raises:
        ValueError: 32-bit pixels, whose white nobody knows.
    """
    _require_mode(image)
    image = upright(image)
    if image.mode.startswith("I"):  # 16 bits, which Pillow opens as 32 in some formats
        return _eight_bits(image).convert("RGB")
    image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        colour = _contrast(image) if ground == "contrast" else ground
        image = Image.alpha_composite(Image.new("RGBA", image.size, colour), image)
    return image.convert("RGB")


def prepare(image: Image.Image, how: Preparation, part: Part | None = None) -> Array:
    """The pixels (H, W, C) uint8 that a model sees of a picture.

    Args:
        part: chooses what to show instead of all that fits, for random crops.

    Raises:
        ValueError: 32-bit pixels, whose white nobody knows.
    """
    channels = how.channels or (1 if is_grey(image) else 3)
    mode, whole = "L" if channels == 1 else "RGB", as_rgb(image, how.ground)
    invert = bool(how.invert) and channels == 1
    if part is None or invert:
        shown = _fitted(whole, how).convert(mode)
        invert = invert and has_bright_border(np.asarray(shown))
    if part is not None:
        whole = whole.convert(mode)
        whole = _framed(whole, max(whole.size), _ground(whole)) if how.fit == "letterbox" else whole
        shown = _resized(whole, how.size or max(whole.size), part(*whole.size))
    shown = ImageOps.invert(shown) if invert else shown
    return np.array(shown).reshape(shown.height, shown.width, channels)


def prepare_all(images: Sequence[Image.Image], how: Preparation) -> Tensor:
    """Pictures of any mode and size as floats (B, channels, size, size) in [0, 1]."""
    return to_floats(
        torch.from_numpy(np.stack([prepare(image, how) for image in images])).permute(0, 3, 1, 2)
    )


def to_floats(pixels: Tensor) -> Tensor:
    """Bytes as floats in [0, 1]: the same numbers wherever they are made."""
    return pixels.float() / 255


def has_bright_border(pixels: Array) -> bool:
    """Whether half of the border of a grey picture (H, W) or (H, W, 1) is brighter than middle grey."""
    return bool(_lower_median(_border(pixels.reshape(*pixels.shape[:2], 1)))[0] > 127)


def decided(how: Preparation, grey: bool, sample: Sequence[Array]) -> Preparation:
    """``how`` with nothing left open, for a set of pictures.

    Grey pictures that lie on black but for one in twenty are kept so for those that a model is shown later: paper
    and ink become light and dark. Any other set is shown as it is.

    Args:
        grey: whether all pictures are grey by their kind.
        sample: prepared pictures (H, W, C) of the set, not inverted.
    """
    channels = how.channels or (1 if grey else 3)
    invert = how.invert
    if invert is None:
        bright = sum(map(has_bright_border, sample)) if channels == 1 else len(sample)
        invert = bool(len(sample)) and bright * 20 <= len(sample)
    return replace(how, channels=channels, invert=invert)


def inverted(pixels: Array) -> Array:
    """Grey pixels (H, W, 1), turned into bright things on black where their border is bright."""
    return 255 - pixels if has_bright_border(pixels) else pixels


def middle(width: int, height: int) -> Box:
    """The largest square in the middle."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def _fitted(image: Image.Image, how: Preparation) -> Image.Image:
    if how.size is None:
        return image
    if how.fit == "letterbox":
        scale = how.size / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        return _framed(image.resize((width, height), Image.Resampling.LANCZOS), how.size, _ground(image))
    width, height = (max(how.size, round(side * how.size / min(image.size))) for side in image.size)
    left, top = (width - how.size) // 2, (height - how.size) // 2
    box = (left, top, left + how.size, top + how.size)
    if width * height <= MAX_STRIP:
        return image.resize((width, height), Image.Resampling.LANCZOS).crop(box)
    # Of a long strip only the middle is scaled, which rounds a little differently.
    return _resized(image, how.size, middle(*image.size))


def _resized(image: Image.Image, size: int, box: Box) -> Image.Image:
    return image.resize((size, size), Image.Resampling.LANCZOS, box)


def _framed(image: Image.Image, side: int, colour: tuple[int, ...]) -> Image.Image:
    """In the middle of a square of a colour, if it is none."""
    if image.size == (side, side):
        return image
    frame = Image.new(image.mode, (side, side), colour if len(colour) > 1 else colour[0])
    frame.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return frame


def _ground(image: Image.Image) -> tuple[int, ...]:
    """The median colour of the border."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    return tuple(int(value) for value in _lower_median(_border(pixels)))


def _border(pixels: Array) -> Array:
    """(H, W, C) -> (2 H + 2 W, C)."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _lower_median(values: Array) -> Array:
    """(N, C) -> (C,)."""
    middle = (len(values) - 1) // 2
    return np.partition(values, middle, axis=0)[middle]


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # EXIF data are as damaged as files are
        return 1


def _require_mode(image: Image.Image) -> None:
    if not (image.width and image.height):
        raise PictureError("it has no pixels")
    if image.mode == "F":
        raise PictureError("floating-point pixels, which have no known white; convert them to 8 or 16 bits")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image.convert("I"))
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise PictureError("32-bit pixels, which have no known white; convert them to 8 or 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _contrast(image: Image.Image) -> str:
    """Black under bright pictures and white under dark ones, of an RGBA picture."""
    values, alpha = np.asarray(image.convert("L")), np.asarray(image.getchannel("A"))
    return "black" if bool((alpha > 0).any()) and values[alpha > 0].mean() > 127 else "white"
