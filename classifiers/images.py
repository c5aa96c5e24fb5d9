"""What a classifier is given, as it takes it: pictures, files and bytes; and batches of floats."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.pictures import PictureError, open_picture

Picture = Image.Image | str | Path | NDArray[Any]  # a file's name, or bytes (H, W) or (H, W, 1 or 3)
KINDS = "a list of PIL pictures, files or arrays of bytes (H, W, 3), or a tensor of floats (B, C, H, W)"


def opened(images: Iterable[Picture]) -> list[Image.Image]:
    """PIL pictures of a list of whatever people hold.

    Raises:
        ValueError: one is no picture, or cannot be read; or there is no list.
    """
    if isinstance(images, Image.Image | str | Path):
        raise ValueError("images must be a list: put one picture in brackets, predict([image])")
    if isinstance(images, np.ndarray) and images.ndim != 4:
        raise ValueError(
            f"an array of images must be bytes (B, H, W, 1 or 3), not {images.dtype} {images.shape}"
        )
    if not isinstance(images, Iterable):
        raise ValueError(f"images must be {KINDS}, not {type(images).__name__}")
    return [_opened(image, i) for i, image in enumerate(images)]


def _opened(image: Picture, place: int) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, str | Path):
        try:
            return open_picture(Path(image).expanduser())
        except PictureError as error:
            raise ValueError(f"image {place}, {image}, cannot be read: {error}") from error
    if not isinstance(image, np.ndarray):
        raise ValueError(f"images must be {KINDS}, and image {place} is a {type(image).__name__}")
    grey = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    if image.dtype != np.uint8 or not (grey.ndim == 2 or (grey.ndim == 3 and grey.shape[-1] == 3)):
        raise ValueError(
            f"image {place} must be bytes (H, W) or (H, W, 1 or 3), not {image.dtype} {image.shape}"
        )
    return Image.fromarray(grey)


def check(images: Tensor, channels: int) -> Tensor:
    """Images (B, channels, H, W) as floats; ``ValueError`` says what they should have been."""
    if images.ndim != 4 or images.shape[1] != channels or not images.is_floating_point():
        found = f"{images.dtype} {tuple(images.shape)}"
        advice = ": divide bytes by 255" if images.dtype == torch.uint8 else ""
        raise ValueError(
            f"images must be floats of shape (B, {channels}, H, W) in [0, 1], not {found}{advice}"
        )
    if not images.numel():
        if len(images):
            raise ValueError(f"images must have pixels, not the shape {tuple(images.shape)}")
        return images.float()
    if not (torch.isfinite(images).all() and images.amin() >= 0 and images.amax() <= 1):
        raise ValueError("images must lie in [0, 1] and hold no NaN")
    return images.float()


def resize(images: Tensor, size: int) -> Tensor:
    """Batches (B, C, H, W) to ``size`` pixels a side, where they have another size."""
    if images.shape[-2:] == (size, size):
        return images
    if not len(images):
        return images.new_zeros(0, images.shape[1], size, size)
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
