"""Any picture, as the pixels that a classifier was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def prepare(images: Sequence[Image.Image], size: int, channels: int) -> Tensor:
    """Pictures of any mode and size as floats (B, channels, size, size) in [0, 1].

    The shorter side is scaled to ``size`` and the middle is kept; what is transparent becomes white. Grey networks
    here learned bright things on black, so a grey picture with a bright border is inverted.
    """
    return torch.stack([_prepare(image, size, channels) for image in images])


def _prepare(image: Image.Image, size: int, channels: int) -> Tensor:
    pixels = as_rgb(image).resize(_scaled(image.size, size), Image.Resampling.LANCZOS)
    left, top = (pixels.width - size) // 2, (pixels.height - size) // 2
    pixels = pixels.crop((left, top, left + size, top + size))
    if channels == 1:
        pixels = pixels.convert("L")
    tensor = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8).float() / 255
    tensor = tensor.view(size, size, channels).permute(2, 0, 1)
    return _on_black(tensor) if channels == 1 else tensor


def as_rgb(image: Image.Image) -> Image.Image:
    """An RGB picture; 16-bit grey is scaled, not clipped, and what is transparent becomes white.

    Raises:
        ValueError: floating-point pixels, whose white nobody knows.
    """
    if image.mode == "F":
        raise ValueError("a picture of floating-point pixels has no known white: convert it to 8 or 16 bits")
    if image.mode.startswith("I"):  # 16 bits, which Pillow opens as 32 in some formats
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _scaled(shape: tuple[int, int], size: int) -> tuple[int, int]:
    width, height = (max(size, round(side * size / min(shape))) for side in shape)
    return width, height


def _on_black(image: Tensor) -> Tensor:
    border = torch.cat([image[..., 0, :], image[..., -1, :], image[..., :, 0], image[..., :, -1]], -1)
    return 1 - image if border.median() > 0.5 else image


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
