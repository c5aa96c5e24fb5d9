"""Poses from second moments: the principal axes of an image or a shape, and the loss to tell their ways apart.

The cheapest way to a pose, and the first that a practitioner tries: no search, no scorer, nothing to learn. An axis has
no front and no back, so a picture has two candidates, half a turn apart, and a shape four, which its three axes in the
order of their lengths leave open. What is round, or has no long side, has no principal axis: there they are arbitrary.
"""

from __future__ import annotations

import math

import roma
import torch
from torch import Tensor

from affinevae.pose import PoseGroup, cell_centres


def second_moments(grid: Tensor) -> Tensor:
    """Covariance of brightness in pose coordinates, ``(B, C, S, S) -> (B, 2, 2)``, of space ``(B, 3, 3)``.

    About the centre of brightness; zero for an empty grid.
    """
    dims = grid.ndim - 2
    axis = cell_centres(grid.shape[-1], grid.device)
    mass = grid.float().mean(1)
    if dims == 2:
        mass = mass.flip(1).transpose(1, 2)  # rows run down, y runs up: now the first axis is x, the second y
    mass = mass / mass.flatten(1).sum(1).clamp_min(1e-6).view(-1, *[1] * dims)
    others = [tuple(k for k in range(1, dims + 1) if k != own) for own in range(1, dims + 1)]
    lines = [mass.sum(rest) for rest in others]
    mean = torch.stack([line @ axis for line in lines], 1)
    square = [line @ axis**2 for line in lines]
    found = torch.diag_embed(torch.stack(square, 1))
    for a in range(dims):
        for b in range(a + 1, dims):
            rest = tuple(k + 1 for k in range(dims) if k not in (a, b))
            plane = mass.sum(rest) if rest else mass
            found[:, a, b] = found[:, b, a] = torch.einsum("bij,i,j->b", plane, axis, axis)
    return (found - mean[:, :, None] * mean[:, None]) * (mass.flatten(1).sum(1) > 0.5)[:, None, None]


def candidates(grid: Tensor, group: PoseGroup) -> Tensor:
    """Rotations whose canonical view has its principal axes along the frame's, as cells ``(B, M, columns)``.

    Two half a turn apart where a group turns in a plane, the longest axis along x; four of space, the longest along x
    and the shortest along z.
    """
    assert group.rotations is not None
    moments = second_moments(grid)
    if len(group.rotations.names) == 1:
        spread, product = moments[:, 0, 0] - moments[:, 1, 1], moments[:, 0, 1]
        angle = 0.5 * torch.atan2(2 * product, spread)
        return group.rotations.to_cells(torch.stack([angle, angle + math.pi], 1)[..., None])
    axes = torch.linalg.eigh(moments).eigenvectors.flip(2)  # columns, longest first
    axes = torch.cat([axes[..., :2], axes[..., 2:] * torch.linalg.det(axes)[:, None, None]], 2)
    half_turns = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], device=grid.device)
    rotations = axes[:, None] * half_turns[None, :, None]  # (B, 4, 3, 3): columns with their signs
    vectors = roma.rotmat_to_rotvec(rotations.flatten(0, 1)).view(len(grid), 4, 3)
    return group.rotations.to_cells(vectors)
