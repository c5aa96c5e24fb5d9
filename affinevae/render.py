"""Pictures of occupancy grids without a graphics card: the first surface along each parallel ray, shaded by its normal.

For thumbnails and films; the page draws its large views in the browser. All pictures of a call are made in one batch.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CAMERA = (
    math.radians(-60),
    math.radians(22),
)  # azimuth and elevation: from the front right, a little from above
LIGHT = (-0.35, 0.55, 0.76)  # from where the light comes, in the picture: right, up, towards the eye
COLOUR = (0.45, 0.49, 0.94)
STEPS_PER_CELL = 0.8  # samples along a ray; the surface is found between them


def view_axes(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Where right, up and towards-the-eye of a picture point in the world, ``(V,), (V,) -> (V, 3, 3)``, z up.

    Azimuth is counter-clockwise from the x axis as seen from above, elevation is above the horizon, in radians.
    """
    (c, s), (ce, se) = (azimuth.cos(), azimuth.sin()), (elevation.cos(), elevation.sin())
    zero = torch.zeros_like(c)
    right = torch.stack([-s, c, zero], -1)
    up = torch.stack([-se * c, -se * s, ce], -1)
    eye = torch.stack([ce * c, ce * s, se], -1)
    return torch.stack([right, up, eye], -2)


def render(
    grids: Tensor,
    side: int = 64,
    cameras: Tensor | None = None,
    level: float = 0.5,
    colour: tuple[float, float, float] = COLOUR,
) -> Tensor:
    """Pictures of ``grids`` (B, 1, S, S, S): ``(B, 4, side, side)`` red, green, blue and opacity in [0, 1].

    Args:
        side: pixels.
        cameras: azimuth and elevation of each picture, (B, 2); None: all from ``CAMERA``.
        level: the occupancy where the surface lies.
    """
    volume = F.pad(grids[:, 0].float(), (1,) * 6)  # a shape that touches the frame is closed there
    scale = grids.shape[-1] / volume.shape[-1]
    shared = cameras is None
    axes = view_axes(*torch.tensor([CAMERA] if cameras is None else cameras.tolist()).unbind(1))
    axis = (torch.arange(side) + 0.5) * (2 / side) - 1
    depth = torch.linspace(1, -1, round(2 + grids.shape[-1] * STEPS_PER_CELL))
    w, v, u = torch.meshgrid(depth, -axis, axis, indexing="ij")
    points = scale * torch.stack([u, v, w], -1)  # in the picture's frame, (D, side, side, 3)
    along = _sampled(volume, torch.einsum("dhwk,vkx->vdhwx", points, axes), shared)
    t, hit = _first_crossing(along, level)
    where = (1 - 2 * t) * scale  # towards the eye
    spots = torch.stack([points[0, ..., 0].expand_as(where), points[0, ..., 1].expand_as(where), where], -1)
    normal = _normals(volume, torch.einsum("bhwk,bkx->bhwx", spots, axes.expand(len(volume), -1, -1)), axes)
    shade = _shade(normal, where / scale)
    paint = torch.tensor(colour)[:, None, None] * shade[:, None]
    return torch.cat([paint.clamp(0, 1), hit[:, None]], 1)


def over(pictures: Tensor, paper: tuple[float, float, float]) -> Tensor:
    """``(B, 4, H, W)`` with opacity laid on paper of one colour: ``(B, 3, H, W)``."""
    paint, opacity = pictures[:, :3], pictures[:, 3:]
    return paint * opacity + torch.tensor(paper)[:, None, None] * (1 - opacity)


def _sampled(volume: Tensor, points: Tensor, shared: bool) -> Tensor:
    """``volume`` (B, S, S, S) at ``points`` (V, D, H, W, 3) in x, y, z: (B, D, H, W); V is 1 if ``shared``, else B."""
    if shared:  # one set of weights for the whole batch
        found: Tensor = F.grid_sample(volume[None], points.flip(-1), align_corners=False)[0]
        return found
    return F.grid_sample(volume[:, None], points.flip(-1), align_corners=False)[:, 0]


def _first_crossing(along: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Where a ray (B, D, H, W) first rises to the level, in [0, 1] of its length, and how surely it does: (B, H, W)."""
    steps = along.shape[1]
    inside = along >= level
    first = inside.to(torch.uint8).argmax(1, keepdim=True)
    after, before = along.gather(1, first), along.gather(1, (first - 1).clamp_min(0))
    part = (after - level) / (after - before).clamp_min(1e-6)
    t = (first - part.clamp(0, 1)).clamp_min(0)[:, 0] / (steps - 1)
    # A soft edge instead of stairs: rays that almost reach the level are drawn almost.
    hit = (0.5 + 4 * (along.amax(1) - level)).clamp(0, 1)
    return t, hit


def _normals(volume: Tensor, points: Tensor, axes: Tensor) -> Tensor:
    """Unit normals (B, 3, H, W) at ``points`` (B, H, W, 3), in the picture's frame: the slope of the blurred volume."""
    around = torch.cat([axes, -axes], 1) * (
        2 / volume.shape[-1]
    )  # (V, 6, 3): right, up, towards the eye, and back
    blurred = F.avg_pool3d(volume[:, None], 3, 1, 1)[
        :, 0
    ]  # the volume itself is flat on both sides of a surface
    found = _sampled(blurred, points[:, None] + around[:, :, None, None], shared=False)
    return F.normalize(found[:, 3:] - found[:, :3], dim=1)


def _shade(normal: Tensor, towards: Tensor) -> Tensor:
    """Brightness (B, H, W) of a matt surface; what lies further back is a little darker."""
    light = torch.tensor(LIGHT)[:, None, None]
    lit = (normal * light).sum(1).clamp_min(0)
    sky = 0.5 + 0.5 * normal[:, 1]
    return (0.28 + 0.3 * sky + 0.72 * lit) * (0.9 + 0.1 * towards)
