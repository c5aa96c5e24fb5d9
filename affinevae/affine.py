"""Pose groups for images and the warp that applies them.

A pose says how an object is turned: ``A = R(angle) exp(S)`` and a shift ``t`` carry the canonical object to the
image, ``p_image = A p_canonical + t``. Coordinates are isotropic with the origin in the middle of the frame, x to
the right, y **up**, and the nearest border at 1; angles are radians, counter-clockwise. ``S`` is symmetric, so
``exp(-S) R(-angle)`` is the exact inverse and no pose can shrink an object to nothing: scale, aspect and shear live
in log space under a Gaussian prior, while the angle is uniform on the circle and never penalised.

The prior is put on a lattice (``Parameter.step``): a pose chosen by looking at the image then has a price in nats,
``-log p(pose)``, instead of being free. After spatial transformers (Jaderberg et al. 2015, arXiv:1506.02025) and the
affine VAE (Bidart & Wong 2019, arXiv:1905.05300), which inverted unconstrained matrices and charged nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Parameter:
    """One coordinate of a pose: its lattice ``step`` and the deviation of its Gaussian prior.

    ``std=None`` marks the angle: periodic, uniform, ``2 pi / step`` lattice points.
    """

    name: str
    step: float
    std: float | None = None

    @property
    def periodic(self) -> bool:
        return self.std is None

    def log_prior(self, cell: Tensor) -> Tensor:
        """Log probability of lattice points, given as integers. Same shape as ``cell``."""
        if self.std is None:
            return torch.full(cell.shape, math.log(self.step / (2 * math.pi)), device=cell.device)
        reach = round(LATTICE_REACH * self.std / self.step)
        cells = torch.arange(-reach, reach + 1, device=cell.device)
        log_mass = torch.log_softmax(-0.5 * (cells * self.step / self.std) ** 2, 0)
        inside = cell.abs() <= reach
        return torch.where(inside, log_mass[(cell.clamp(-reach, reach) + reach).long()], -math.inf)


LATTICE_REACH = 3.0  # the Gaussian priors end at this many deviations
ANGLES = 64  # lattice points on the circle, 5.6 degrees apart; poses are refined between them

ANGLE = Parameter("angle", 2 * math.pi / ANGLES)
SHIFTS = (Parameter("shift_x", 0.05, 0.15), Parameter("shift_y", 0.05, 0.15))
SCALE = Parameter("log_scale", 0.05, 0.2)
SHAPE = (Parameter("log_aspect", 0.05, 0.15), Parameter("shear", 0.05, 0.15))


@dataclass(frozen=True)
class PoseGroup:
    """A named set of pose parameters; poses are tensors ``(..., P)`` in the order of ``parameters``."""

    name: str
    parameters: tuple[Parameter, ...]

    @property
    def dim(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @property
    def max_nats(self) -> float:
        """The most that a pose can cost, in nats: log K for K angles, more with Gaussian parameters."""
        reach = (0 if p.std is None else round(LATTICE_REACH * p.std / p.step) for p in self.parameters)
        pairs = zip(self.parameters, reach, strict=True)
        return -sum(float(p.log_prior(torch.tensor([r]))) for p, r in pairs)

    def steps(self, like: Tensor) -> Tensor:
        """Lattice steps, ``(P,)``."""
        return torch.tensor([p.step for p in self.parameters], dtype=like.dtype, device=like.device)

    def identity(self, n: int) -> Tensor:
        """The pose that changes nothing, ``(n, P)``."""
        return torch.zeros(n, self.dim)

    def to_cells(self, pose: Tensor) -> Tensor:
        """Nearest lattice point of each pose ``(..., P)``, as integers; angles wrap, the rest is clamped."""
        cells = (pose / self.steps(pose)).round()
        if not self.parameters:
            return cells.long()
        columns = [
            column.remainder(round(2 * math.pi / p.step))
            if p.std is None
            else column.clamp(-(r := round(LATTICE_REACH * p.std / p.step)), r)
            for p, column in zip(self.parameters, cells.unbind(-1), strict=True)
        ]
        return torch.stack(columns, -1).long()

    def from_cells(self, cells: Tensor) -> Tensor:
        """Poses of lattice points, ``(..., P)``; angles in (-pi, pi]."""
        steps = torch.tensor([p.step for p in self.parameters], device=cells.device)
        return self.wrap(cells * steps)

    def wrap(self, pose: Tensor) -> Tensor:
        """The same poses with angles in (-pi, pi]."""
        angle = math.pi - torch.remainder(math.pi - pose[..., :1], 2 * math.pi)
        return torch.cat([angle, pose[..., 1:]], -1)

    def log_prior(self, cells: Tensor) -> Tensor:
        """Log prior of lattice points ``(..., P)``, in nats: ``(...)``."""
        per = [p.log_prior(c) for p, c in zip(self.parameters, cells.unbind(-1), strict=True)]
        return sum(per, torch.zeros(cells.shape[:-1], device=cells.device))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Poses from the prior, ``(n, P)``: uniform angles, Gaussian parameters cut at three deviations."""
        columns = []
        for p in self.parameters:
            if p.std is None:
                columns.append((torch.rand(n, generator=generator) * 2 - 1) * math.pi)
            else:
                draw = torch.randn(n, generator=generator).clamp(-LATTICE_REACH, LATTICE_REACH)
                columns.append(draw * p.std)
        return torch.stack(columns, -1) if columns else torch.zeros(n, 0)

    def matrix(self, pose: Tensor) -> Tensor:
        """Maps canonical to image coordinates: ``(B, P) -> (B, 2, 3)`` of ``[A | t]``."""
        if not self.parameters:
            return torch.eye(2, 3, device=pose.device).expand(len(pose), 2, 3)
        linear = rotation(pose[:, 0])
        if "log_scale" in self.names:
            linear = linear @ symmetric_exp(self._symmetric(pose))
        shift = pose[:, 1:3] if "shift_x" in self.names else torch.zeros_like(linear[:, 0])
        return torch.cat([linear, shift[:, :, None]], -1)

    def inverse(self, pose: Tensor) -> Tensor:
        """Maps image to canonical coordinates, without inverting a matrix: ``exp(-S) R(-angle) (p - t)``."""
        if not self.parameters:
            return self.matrix(pose)
        linear = rotation(-pose[:, 0])
        if "log_scale" in self.names:
            linear = symmetric_exp(-self._symmetric(pose)) @ linear
        shift = pose[:, 1:3] if "shift_x" in self.names else torch.zeros_like(linear[:, 0])
        return torch.cat([linear, -linear @ shift[:, :, None]], -1)

    def _symmetric(self, pose: Tensor) -> Tensor:
        scale = pose[:, 3]
        aspect, shear = (pose[:, 4], pose[:, 5]) if "shear" in self.names else (scale * 0, scale * 0)
        return torch.stack([scale + aspect, shear, shear, scale - aspect], -1).view(-1, 2, 2)


GROUPS = {
    "none": PoseGroup("none", ()),  # a plain VAE
    "rotation": PoseGroup("rotation", (ANGLE,)),
    "rigid": PoseGroup("rigid", (ANGLE, *SHIFTS)),
    "similarity": PoseGroup("similarity", (ANGLE, *SHIFTS, SCALE)),
    "affine": PoseGroup("affine", (ANGLE, *SHIFTS, SCALE, *SHAPE)),
}


def get_group(name: str) -> PoseGroup:
    """The pose group of that name; ``ValueError`` names the known ones."""
    if name not in GROUPS:
        raise ValueError(f"unknown pose group {name!r}: choose one of {', '.join(GROUPS)}")
    return GROUPS[name]


def rotation(angle: Tensor) -> Tensor:
    """Counter-clockwise rotation matrices, ``(B,) -> (B, 2, 2)``."""
    c, s = angle.cos(), angle.sin()
    return torch.stack([c, -s, s, c], -1).view(-1, 2, 2)


def symmetric_exp(s: Tensor) -> Tensor:
    """Matrix exponential of symmetric 2x2 matrices in closed form, ``(B, 2, 2) -> (B, 2, 2)``.

    With ``S = m I + D`` and ``D`` traceless, ``D^2 = r^2 I``, hence ``exp(S) = e^m (cosh r I + sinh(r)/r D)``.
    """
    m = 0.5 * (s[:, 0, 0] + s[:, 1, 1])[:, None, None]
    eye = torch.eye(2, dtype=s.dtype, device=s.device)
    d = s - m * eye
    r = (d[:, 0, 0] ** 2 + d[:, 0, 1] ** 2).clamp_min(1e-24).sqrt()[:, None, None]
    return m.exp() * (r.cosh() * eye + r.sinh() / r * d)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """``outer`` after ``inner``, both ``(B, 2, 3)``."""
    linear = outer[:, :, :2] @ inner[:, :, :2]
    return torch.cat([linear, outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]], -1)


@lru_cache(maxsize=16)
def _axis(size: int, device: torch.device) -> Tensor:
    return (torch.arange(size, device=device) + 0.5) * (2 / size) - 1


def sampling_grid(matrix: Tensor, size: int) -> Tensor:
    """Where each output pixel looks, in ``grid_sample`` coordinates (y down): ``(B, 2, 3) -> (B, size, size, 2)``.

    Built from outer sums on cached axes, which is several times cheaper than ``F.affine_grid`` on one CPU thread.
    """
    axis = _axis(size, matrix.device)
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
    axis = _axis(image.shape[-1], image.device)
    mass = image.float().mean(1)
    total = mass.sum((1, 2)).clamp_min(1e-6)
    return torch.stack([mass.sum(1) @ axis, -(mass.sum(2) @ axis)], -1) / total[:, None]
