"""Pictures as the components take them: data URLs."""

from __future__ import annotations

import base64

import torch
from PIL import Image
from torch import Tensor

from affinevae.picture import to_png

LARGEST = 1024  # pixels a side that are kept of a visitor's picture: at most 4 MB, where a photo has 64


def smaller(picture: Image.Image) -> Image.Image:
    """A picture of at most ``LARGEST`` pixels a side."""
    if max(picture.size) > LARGEST:
        picture = picture.copy()
        picture.thumbnail((LARGEST, LARGEST))
    return picture


def png(image: Tensor, side: int | None = None) -> str:
    """``(C, S, S)`` as a data URL."""
    return data_url(to_png(image, side))


def data_url(data: bytes, kind: str = "image/png") -> str:
    """Bytes that travel inside the page."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def side_by_side(images: Tensor) -> str:
    """``(n, C, S, S)`` in one row."""
    return png(torch.cat(list(images), -1))
