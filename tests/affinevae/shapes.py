"""Small pictures that the tests make themselves: asymmetric shapes, so that every orientation is a different image."""

from __future__ import annotations

import torch
from torch import Tensor


def shapes(n: int, side: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``n`` upright letters F, L and P-like flags of varying build, uint8 (n, 1, side, side), with their kind (n,)."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(3, (n,), generator=generator)
    images = torch.zeros(n, 1, side, side)
    size = torch.rand(n, 2, generator=generator)
    for image, k, (a, b) in zip(images, kind.tolist(), size.tolist(), strict=True):
        top, left, width = 4, 7, 2
        reach = left + 5 + round(3 * a)
        image[:, top : side - 4, left : left + width] = 1
        if k == 0:
            image[:, top : top + width, left:reach] = 1
            image[:, top + 5 : top + 5 + width, left : reach - 2] = 1
        elif k == 1:
            image[:, side - 4 - width : side - 4, left:reach] = 1
        else:
            image[:, top : top + 4 + round(3 * b), left:reach] = 1
    return (images * 255).to(torch.uint8), kind
