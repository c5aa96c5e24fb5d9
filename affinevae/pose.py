"""Poses: how an object is turned, as numbers, as cells of a lattice, and as matrices.

A pose carries the canonical object into the world, ``p_world = A p_canonical + t`` with ``A = R exp(S)``: a rotation
``R``, which is uniform and never penalised, and a symmetric ``S`` (scale, aspect, shear) and a shift ``t``, which are
Gaussian. ``exp(-S) R^T`` is the exact inverse, and since scale lives in log space no pose can shrink an object to
nothing. Coordinates have the origin in the middle of the frame and its nearest border at 1.

The prior is put on a lattice: a pose chosen by looking at the image then has a price in nats, ``-log p(pose)``,
instead of being free. After spatial transformers (Jaderberg et al. 2015, arXiv:1506.02025) and the affine VAE
(Bidart & Wong 2019, arXiv:1905.05300), which inverted unconstrained matrices and charged nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

LATTICE_REACH = 3.0  # the Gaussian priors end at this many deviations
ANGLES = 64  # lattice points on a circle, 5.6 degrees apart; poses are refined between them


@dataclass(frozen=True)
class Parameter:
    """A pose number with a Gaussian prior: the ``step`` of its lattice and the prior's deviation."""

    name: str
    step: float
    std: float

    @property
    def reach(self) -> int:
        return round(LATTICE_REACH * self.std / self.step)

    def log_prior(self, cell: Tensor) -> Tensor:
        """Log probability of lattice points, given as integers. Same shape as ``cell``."""
        cells = torch.arange(-self.reach, self.reach + 1, device=cell.device)
        log_mass = torch.log_softmax(-0.5 * (cells * self.step / self.std) ** 2, 0)
        inside = cell.abs() <= self.reach
        return torch.where(
            inside, log_mass[(cell.clamp(-self.reach, self.reach) + self.reach).long()], -math.inf
        )


class Rotations(ABC):
    """A set of rotations with a uniform prior, and the lattice on it.

    A rotation is ``len(names)`` numbers of a pose and ``columns`` integers of a cell. It can be moved in ``tangent``
    directions; a step is about one cell in each.
    """

    names: tuple[str, ...] = ()
    columns: int = 0
    tangent: int = 0

    @cached_property
    @abstractmethod
    def covering(self) -> Tensor:
        """Cells ``(K, columns)`` spread evenly, where a scorer looks."""

    @cached_property
    @abstractmethod
    def neighbourhood(self) -> Tensor:
        """For each of the covering the entries near it, itself included at least once: ``(K, n)``."""

    @cached_property
    @abstractmethod
    def coarse(self) -> Tensor:
        """Cells ``(M, columns)`` to try first when no scorer has been trained."""

    @abstractmethod
    def spread(self, n: int, device: torch.device) -> Tensor:
        """Few even cells at a random phase for each of n images, so that none is favoured: ``(n, M, columns)``."""

    @abstractmethod
    def bin(self, cells: Tensor) -> Tensor:
        """The entry of the covering that stands for each cell: ``(..., columns) -> (...)``."""

    @abstractmethod
    def to_cells(self, pose: Tensor) -> Tensor: ...

    @abstractmethod
    def from_cells(self, cells: Tensor, offset: Tensor | None = None) -> Tensor:
        """Pose numbers of cells, moved by ``offset`` (..., tangent) steps."""

    @abstractmethod
    def log_prior(self, cells: Tensor) -> Tensor: ...

    @property
    @abstractmethod
    def max_nats(self) -> float:
        """The most that a rotation can cost."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform rotations as pose numbers, ``(n, len(names))``."""

    @abstractmethod
    def wrap(self, pose: Tensor) -> Tensor:
        """The same rotations, written with the smallest numbers."""

    @abstractmethod
    def matrix(self, pose: Tensor) -> Tensor:
        """``(B, len(names)) -> (B, d, d)``."""

    @abstractmethod
    def gap(self, a: Tensor, b: Tensor) -> Tensor:
        """Angle in radians from one to the other, both in pose numbers: ``(...)``."""


class Circle(Rotations):
    """One angle, counter-clockwise, in (-pi, pi]: turns of the plane, or of space about its z axis."""

    names = ("angle",)
    columns = tangent = 1

    def __init__(self, dims: int = 2) -> None:
        self.dims = dims

    @cached_property
    def covering(self) -> Tensor:
        return torch.arange(ANGLES)[:, None]

    @cached_property
    def neighbourhood(self) -> Tensor:
        return (torch.arange(ANGLES)[:, None] + torch.arange(-2, 3)) % ANGLES

    @cached_property
    def coarse(self) -> Tensor:
        return torch.arange(0, ANGLES, 4)[:, None]

    def spread(self, n: int, device: torch.device) -> Tensor:
        phase = torch.randint(4, (n, 1), device=device)
        return (phase + torch.arange(0, ANGLES, 4, device=device))[..., None]

    def bin(self, cells: Tensor) -> Tensor:
        return cells[..., 0]

    def to_cells(self, pose: Tensor) -> Tensor:
        return (pose * (ANGLES / (2 * math.pi))).round().remainder(ANGLES).long()

    def from_cells(self, cells: Tensor, offset: Tensor | None = None) -> Tensor:
        return self.wrap((cells if offset is None else cells + offset) * (2 * math.pi / ANGLES))

    def log_prior(self, cells: Tensor) -> Tensor:
        return torch.full(cells.shape[:-1], -math.log(ANGLES), device=cells.device)

    @property
    def max_nats(self) -> float:
        return math.log(ANGLES)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return ((torch.rand(n, generator=generator) * 2 - 1) * math.pi)[:, None]

    def wrap(self, pose: Tensor) -> Tensor:
        return math.pi - torch.remainder(math.pi - pose, 2 * math.pi)

    def matrix(self, pose: Tensor) -> Tensor:
        c, s = pose[:, 0].cos(), pose[:, 0].sin()
        plane = torch.stack([c, -s, s, c], -1).view(-1, 2, 2)
        if self.dims == 2:
            return plane
        space = torch.eye(3, dtype=pose.dtype, device=pose.device).repeat(len(pose), 1, 1)
        space[:, :2, :2] = plane
        return space

    def gap(self, a: Tensor, b: Tensor) -> Tensor:
        return self.wrap(a - b)[..., 0].abs()


class PoseGroup:
    """A named set of poses ``(..., P)``: the rotation's numbers, then the Gaussian parameters.

    Cells ``(..., Q)`` are integers: the rotation's columns, then one for each Gaussian parameter. ``tangent`` steps
    move a pose: the rotation's, then one for each Gaussian parameter.
    """

    def __init__(
        self, name: str, dims: int, rotations: Rotations | None, gaussians: tuple[Parameter, ...] = ()
    ) -> None:
        self.name, self.dims, self.rotations, self.gaussians = name, dims, rotations, gaussians
        self.turns = len(rotations.names) if rotations else 0  # numbers of the rotation
        self.columns = rotations.columns if rotations else 0  # its integers in a cell
        self.names = (rotations.names if rotations else ()) + tuple(p.name for p in gaussians)
        self.dim = len(self.names)
        self.cell_dim = self.columns + len(gaussians)
        self.tangent = (rotations.tangent if rotations else 0) + len(gaussians)
        self.max_nats = rotations.max_nats if rotations else 0.0
        self.max_nats -= sum(float(p.log_prior(torch.tensor([p.reach]))) for p in gaussians)

    def __repr__(self) -> str:
        return f"PoseGroup({self.name!r}, dims={self.dims})"

    @property
    def shifts(self) -> slice:
        """Where the shift is among the pose's numbers; empty where there is none."""
        return slice(self.turns, self.turns + self.dims if "shift_x" in self.names else self.turns)

    @property
    def exact(self) -> bool:
        """Whether every pose maps the grid's cells onto cells, so that nothing has to be interpolated."""
        return not self.gaussians and not (self.rotations and self.rotations.tangent)

    def identity(self, n: int) -> Tensor:
        """The pose that changes nothing, ``(n, P)``."""
        return torch.zeros(n, self.dim)

    def to_cells(self, pose: Tensor) -> Tensor:
        """Nearest lattice point of each pose, ``(..., P) -> (..., Q)``; rotations wrap, the rest is clamped."""
        parts = [self.rotations.to_cells(pose[..., : self.turns])] if self.rotations else []
        for p, column in zip(self.gaussians, pose[..., self.turns :].unbind(-1), strict=True):
            parts.append((column / p.step).round().clamp(-p.reach, p.reach).long()[..., None])
        return torch.cat(parts, -1) if parts else pose.long()

    def from_cells(self, cells: Tensor, offset: Tensor | None = None) -> Tensor:
        """Poses of lattice points, moved by ``offset`` (..., tangent) steps: ``(..., Q) -> (..., P)``."""
        if not self.rotations:
            return cells.float()
        turning = None if offset is None else offset[..., : self.rotations.tangent]
        parts = [self.rotations.from_cells(cells[..., : self.columns], turning)]
        for k, p in enumerate(self.gaussians):
            column = cells[..., self.columns + k]
            if offset is not None:
                column = column + offset[..., self.rotations.tangent + k]
            parts.append((column * p.step)[..., None])
        return torch.cat(parts, -1)

    def move(self, cells: Tensor, offset: Tensor) -> Tensor:
        """The lattice points ``offset`` (..., tangent) steps away, rounded; clamped at the prior's reach."""
        return self.to_cells(self.from_cells(cells, offset.round()))

    def log_prior(self, cells: Tensor) -> Tensor:
        """Log prior of lattice points ``(..., Q)``, in nats: ``(...)``."""
        total = torch.zeros(cells.shape[:-1], device=cells.device)
        if self.rotations:
            total = total + self.rotations.log_prior(cells[..., : self.columns])
        for k, p in enumerate(self.gaussians):
            total = total + p.log_prior(cells[..., self.columns + k])
        return total

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Poses from the prior, ``(n, P)``: uniform rotations, Gaussian parameters cut at three deviations."""
        parts = [self.rotations.sample(n, generator)] if self.rotations else [torch.zeros(n, 0)]
        for p in self.gaussians:
            draw = torch.randn(n, generator=generator).clamp(-LATTICE_REACH, LATTICE_REACH)
            parts.append((draw * p.std)[:, None])
        return torch.cat(parts, -1)

    def wrap(self, pose: Tensor) -> Tensor:
        """The same poses, with the smallest numbers that describe their rotations."""
        if not self.rotations:
            return pose
        return torch.cat([self.rotations.wrap(pose[..., : self.turns]), pose[..., self.turns :]], -1)

    def gap(self, a: Tensor, b: Tensor) -> Tensor:
        """Angle in radians between the rotations of poses."""
        if not self.rotations:
            return torch.zeros(torch.broadcast_shapes(a.shape, b.shape)[:-1])
        return self.rotations.gap(a[..., : self.turns], b[..., : self.turns])

    def matrix(self, pose: Tensor) -> Tensor:
        """Maps canonical to world coordinates: ``(B, P) -> (B, d, d + 1)`` of ``[A | t]``."""
        if not self.rotations:
            return torch.eye(self.dims, self.dims + 1, device=pose.device).expand(len(pose), -1, -1)
        linear = self.rotations.matrix(pose[:, : self.turns])
        if "log_scale" in self.names:
            linear = linear @ symmetric_exp(self._symmetric(pose))
        return torch.cat([linear, self._shift(pose)[:, :, None]], -1)

    def inverse(self, pose: Tensor) -> Tensor:
        """Maps world to canonical coordinates, without inverting a matrix: ``exp(-S) R^T (p - t)``."""
        if not self.rotations:
            return self.matrix(pose)
        linear = self.rotations.matrix(pose[:, : self.turns]).transpose(1, 2)
        if "log_scale" in self.names:
            linear = symmetric_exp(-self._symmetric(pose)) @ linear
        return torch.cat([linear, -linear @ self._shift(pose)[:, :, None]], -1)

    def _shift(self, pose: Tensor) -> Tensor:
        return pose[:, self.shifts] if "shift_x" in self.names else pose.new_zeros(len(pose), self.dims)

    def _symmetric(self, pose: Tensor) -> Tensor:
        scale = pose[:, self.names.index("log_scale")]
        if self.dims == 3:
            return scale[:, None, None] * torch.eye(3, dtype=pose.dtype, device=pose.device)
        shaped = "shear" in self.names
        aspect, shear = (pose[:, -2], pose[:, -1]) if shaped else (scale * 0, scale * 0)
        return torch.stack([scale + aspect, shear, shear, scale - aspect], -1).view(-1, 2, 2)


@lru_cache(maxsize=16)
def cell_centres(size: int, device: torch.device) -> Tensor:
    """Where the cells of an axis lie in pose coordinates, ``(size,)``: the frame's borders are -1 and 1."""
    return (torch.arange(size, device=device) + 0.5) * (2 / size) - 1


def symmetric_exp(s: Tensor) -> Tensor:
    """Matrix exponential of symmetric matrices: in closed form for 2x2, for multiples of the identity beyond.

    With ``S = m I + D`` and ``D`` traceless, ``D^2 = r^2 I``, hence ``exp(S) = e^m (cosh r I + sinh(r)/r D)``.
    """
    dims = s.shape[-1]
    eye = torch.eye(dims, dtype=s.dtype, device=s.device)
    m = s.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    if dims == 3:
        return m.exp() * eye
    d = s - m * eye
    r = (d[:, 0, 0] ** 2 + d[:, 0, 1] ** 2).clamp_min(1e-24).sqrt()[:, None, None]
    return m.exp() * (r.cosh() * eye + r.sinh() / r * d)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """``outer`` after ``inner``, both ``(B, d, d + 1)``."""
    linear = outer[..., :-1] @ inner[..., :-1]
    return torch.cat([linear, outer[..., :-1] @ inner[..., -1:] + outer[..., -1:]], -1)
