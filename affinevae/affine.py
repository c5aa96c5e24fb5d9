"""Pose groups of images, and the warp that applies them.

Coordinates are isotropic with the origin in the middle of the frame, x to the right, y **up**, and the nearest border
at 1; angles are radians, counter-clockwise. What a pose is, and what it costs: :mod:`affinevae.pose`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from affinevae.pose import Circle, Parameter, PoseGroup, cell_centres

SHIFTS = (Parameter("shift_x", 0.05, 0.15), Parameter("shift_y", 0.05, 0.15))
SCALE = Parameter("log_scale", 0.05, 0.2)
SHAPE = (Parameter("log_aspect", 0.05, 0.15), Parameter("shear", 0.05, 0.15))

GROUPS = {
    "none": PoseGroup("none", 2, None),  # a plain VAE
    "rotation": PoseGroup("rotation", 2, Circle()),
    "rigid": PoseGroup("rigid", 2, Circle(), SHIFTS),
    "similarity": PoseGroup("similarity", 2, Circle(), (*SHIFTS, SCALE)),
    "affine": PoseGroup("affine", 2, Circle(), (*SHIFTS, SCALE, *SHAPE)),
}


def sampling_grid(matrix: Tensor, size: int) -> Tensor:
    """Where each output pixel looks, in ``grid_sample`` coordinates (y down): ``(B, 2, 3) -> (B, size, size, 2)``.

    Built from outer sums on cached axes, which is several times cheaper than ``F.affine_grid`` on one CPU thread.
    """
    axis = cell_centres(size, matrix.device)
    a, b, tx, c, d, ty = matrix.flatten(1).unsqueeze(-1).unbind(1)
    x = (a * axis)[:, None, :] + (tx - b * axis)[:, :, None]
    y = (-c * axis)[:, None, :] + (d * axis - ty)[:, :, None]
    if matrix.requires_grad:
        return torch.stack([x, y], -1)
    grid = torch.empty(len(matrix), size, size, 2, device=matrix.device)
    grid[..., 0], grid[..., 1] = x, y
    return grid


def warp(image: Tensor, matrix: Tensor, background: Tensor | float = 0.0) -> Tensor:
    """``output(p) = image(M p)``: bilinear, ``background`` outside the frame.

    Args:
        image: ``(B, C, S, S)``.
        matrix: ``(B, 2, 3)``, from output to image coordinates. ``group.matrix(pose)`` makes an image canonical,
            ``group.inverse(pose)`` turns a canonical one back.
        background: a number, or ``(C, 1, 1)``; for logits the value that means "nothing here".
    """
    grid = sampling_grid(matrix, image.shape[-1])
    image = image.float()
    if isinstance(background, float) and background == 0.0:
        return F.grid_sample(image, grid, align_corners=False)
    return F.grid_sample(image - background, grid, align_corners=False) + background


SUPERSAMPLE = 2  # turned images are computed at twice their resolution, then averaged down


def enlarge(image: Tensor, size: int) -> Tensor:
    """Lay images in the middle of an empty frame and double its resolution, ready for :func:`turn`.

    Args:
        image: ``(B, C, h, h)`` in [0, 1], ``h <= size``; the result is ``(B, C, 2 size, 2 size)``.
    """
    pad = size - image.shape[-1]
    if pad < 0 or image.shape[-1] != image.shape[-2]:
        raise ValueError(f"cannot lay {tuple(image.shape[-2:])} pixels in a frame of {size}x{size}")
    border = (pad // 2, pad - pad // 2) * 2
    return F.interpolate(F.pad(image, border), scale_factor=SUPERSAMPLE, mode="bicubic", align_corners=False)


def turn(enlarged: Tensor, matrix: Tensor) -> Tensor:
    """Turn enlarged images once, with as little blur as one resampling allows: ``(B, C, 2 S, 2 S) -> (B, C, S, S)``.

    Every image gets exactly one interpolation, an upright one too, because blur that depends on the angle would tell
    a network the orientation. ``matrix`` (B, 2, 3) is ``group.inverse(pose)`` for the pose wanted.
    """
    return F.avg_pool2d(warp(enlarged, matrix), SUPERSAMPLE).clamp(0, 1)


def center_of_mass(image: Tensor) -> Tensor:
    """Centre of brightness in pose coordinates, ``(B, C, S, S) -> (B, 2)``; the middle for an empty image."""
    axis = cell_centres(image.shape[-1], image.device)
    mass = image.float().mean(1)
    total = mass.sum((1, 2)).clamp_min(1e-6)
    return torch.stack([mass.sum(1) @ axis, -(mass.sum(2) @ axis)], -1) / total[:, None]
