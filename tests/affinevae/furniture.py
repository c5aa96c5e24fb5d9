"""Small furniture that the tests make themselves: no rotation of the cube leaves any of it as it is."""

from __future__ import annotations

import torch
from torch import Tensor


def furniture(n: int, side: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``n`` upright one-armed chairs, corner sofas and desks with drawers: uint8 grids, kind (n,)."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(3, (n,), generator=generator)
    grids = torch.zeros(n, 1, side, side, side)
    builds = torch.randint(0, 3, (n, 3), generator=generator).tolist()
    for (grid,), k, (a, b, c) in zip(grids, kind.tolist(), builds, strict=True):
        wide, deep = 12 + a - 1, 12 + b - 1
        if k == 0:  # chair
            for x, y in ((4, 4), (4, deep - 2), (wide - 2, 4), (wide - 2, deep - 2)):
                grid[x : x + 2, y : y + 2, 2:7] = 1
            grid[4:wide, 4:deep, 6:8] = 1
            grid[4:6, 4:deep, 8 : 12 + c] = 1
            grid[4:wide, 4:6, 8:10] = 1
        elif k == 1:  # sofa
            grid[3:wide, 3:deep, 3:6] = 1
            grid[3:6, 3:deep, 6 : 9 + c] = 1
            grid[6:wide, deep - 2 : deep, 6:8] = 1
            grid[wide : wide + 2, 3:6, 3:6] = 1
        else:  # desk
            grid[3:wide, 2 : deep + 1, 9:11] = 1
            grid[3:wide, 2:6, 2:9] = 1
            grid[3:5, deep - 1 : deep + 1, 2:9] = 1
            grid[3:5, 3:deep, 11 : 12 + c] = 1
    return (grids * 255).to(torch.uint8), kind
