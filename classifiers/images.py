"""Batches of pixels as a classifier takes them; files and PIL pictures come through :mod:`training.pictures`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def check(images: Tensor, channels: int) -> Tensor:
    """Images (B, channels, H, W) as floats; ``ValueError`` says what they should have been."""
    if images.ndim != 4 or images.shape[1] != channels or not images.is_floating_point():
        found = f"{images.dtype} {tuple(images.shape)}"
        raise ValueError(f"images must be floats of shape (B, {channels}, H, W) in [0, 1], not {found}")
    if not (torch.isfinite(images).all() and images.amin() >= 0 and images.amax() <= 1):
        raise ValueError("images must lie in [0, 1] and hold no NaN")
    return images.float()


def resize(images: Tensor, size: int) -> Tensor:
    """Batches (B, C, H, W) to ``size`` pixels a side, where they have another size."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
