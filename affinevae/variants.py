"""Variants of training shapes: the mirror image, and stretches along the axes in which furniture varies anyway."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

STRETCH = 0.2  # largest change of a side, in log units
BATCH = 256


def with_variants(shapes: Tensor, variants: int, seed: int) -> Tensor:
    """Occupancy grids (N, 1, R, R, R) uint8, followed by ``variants`` varied copies of each.

    Raises:
        ValueError: for images, whose mirror image may be another thing (a letter).
    """
    if not variants:
        return shapes
    if shapes.ndim != 5:
        raise ValueError("--variants are for shapes: a mirrored picture may show something else")
    generator = torch.Generator().manual_seed(seed)
    copies = [vary(part, generator) for _ in range(variants) for part in shapes.split(BATCH)]
    return torch.cat([shapes, *copies])


def vary(shapes: Tensor, generator: torch.Generator) -> Tensor:
    """Each grid mirrored or not, and stretched by its own factor along each axis; solid or empty, as it came."""
    scale = torch.exp(STRETCH * (2 * torch.rand(len(shapes), 3, generator=generator) - 1))
    sign = torch.ones(len(shapes), 3)
    sign[:, 2] -= 2 * torch.randint(
        2, (len(shapes),), generator=generator
    )  # grid_sample counts axes from the last: this is x
    matrix = F.pad(torch.diag_embed(sign / scale), (0, 1))
    grid = F.affine_grid(matrix, list(shapes.shape), align_corners=False)
    varied = F.grid_sample(shapes.float(), grid, align_corners=False)
    return (varied > 127).to(torch.uint8) * 255
