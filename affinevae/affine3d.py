"""Pose groups of voxel shapes, and the warps that apply them.

Grids ``(B, C, S, S, S)`` are indexed x, y, z with z up; cell centres run from -1 to 1 along each axis. Rotations of
space are written as rotation vectors (axis times angle), which are three numbers and have no gimbal to lock; inside
they are quaternions (roma), uniform on SO(3).

The lattice on SO(3) hangs on the 24 rotations of the cube: every rotation is ``exp(v) C`` for the nearest of them,
``C``, with ``v`` in a truncated cube of at most 62.8 degrees (the Voronoi cell of the group of the cube), and ``v`` is
rounded to a cubic lattice. Charts and steps are then as plain as those of an angle, and the volume of SO(3), which
varies by a tenth over a cell, goes into the prior.
"""

from __future__ import annotations

import itertools
import math
from functools import cached_property, lru_cache

import roma
import torch
import torch.nn.functional as F
from torch import Tensor

from affinevae.pose import Circle, Parameter, PoseGroup, Rotations, cell_centres

STEP = math.pi / 24  # of the lattice on SO(3): 7.5 degrees; poses are refined between its points
COVER = 4  # lattice steps between the rotations of the covering: 30 degrees
FILL = 15 / 16  # radius of the sphere that a normalised shape fills
FULL = 0.4  # occupancy at which a resampled cell counts as full: keeps the volume of rods one cell thin


@lru_cache(maxsize=1)
def cube_rotations() -> Tensor:
    """The 24 rotations of a cube as signed permutation matrices, ``(24, 3, 3)``; the first is the identity."""
    found = []
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = torch.zeros(3, 3)
            matrix[torch.arange(3), torch.tensor(axes)] = torch.tensor(signs)
            if torch.linalg.det(matrix) > 0:
                found.append(matrix)
    return torch.stack(found)


@lru_cache(maxsize=1)
def _cube_quaternions() -> Tensor:
    return roma.rotmat_to_unitquat(cube_rotations())


def _nearest_cube(pose: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest cube rotation's index ``(...)``, and the quaternions ``(..., 4)`` of rotation vectors."""
    quaternion = roma.rotvec_to_unitquat(pose.flatten(0, -2)).view(*pose.shape[:-1], 4)
    cube = _cube_quaternions().to(pose)
    return (quaternion @ cube.T).abs().argmax(-1), quaternion


def _gap(a: Tensor, b: Tensor) -> Tensor:
    """Angle between rotation vectors, radians."""
    a, b = torch.broadcast_tensors(a, b)
    qa, qb = (roma.rotvec_to_unitquat(r.flatten(0, -2)) for r in (a, b))
    return 2 * (qa * qb).sum(-1).abs().clamp(max=1).acos().view(a.shape[:-1])


class Cube(Rotations):
    """The 24 axis-aligned rotations: permutations and flips of the grid, exact. Cells are indices."""

    names = ("rot_x", "rot_y", "rot_z")
    columns = 1
    tangent = 0

    @cached_property
    def vectors(self) -> Tensor:
        return roma.unitquat_to_rotvec(_cube_quaternions())

    @cached_property
    def covering(self) -> Tensor:
        return torch.arange(24)[:, None]

    @cached_property
    def neighbourhood(self) -> Tensor:
        return self.covering

    @cached_property
    def coarse(self) -> Tensor:
        return self.covering

    def spread(self, n: int, device: torch.device) -> Tensor:
        return self.covering.to(device).expand(n, -1, -1)

    def bin(self, cells: Tensor) -> Tensor:
        return cells[..., 0]

    def to_cells(self, pose: Tensor) -> Tensor:
        return _nearest_cube(pose)[0][..., None]

    def from_cells(self, cells: Tensor, offset: Tensor | None = None) -> Tensor:
        return self.vectors.to(cells.device)[cells[..., 0]]

    def log_prior(self, cells: Tensor) -> Tensor:
        return torch.full(cells.shape[:-1], -math.log(24), device=cells.device)

    @property
    def max_nats(self) -> float:
        return math.log(24)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.vectors[torch.randint(24, (n,), generator=generator)]

    def wrap(self, pose: Tensor) -> Tensor:
        return self.from_cells(self.to_cells(pose))

    def matrix(self, pose: Tensor) -> Tensor:
        return cube_rotations().to(pose)[self.to_cells(pose)[:, 0]]

    def gap(self, a: Tensor, b: Tensor) -> Tensor:
        return _gap(a, b)


class SO3(Rotations):
    """All rotations of space, uniform. A cell is the nearest cube rotation and three steps away from it."""

    names = ("rot_x", "rot_y", "rot_z")
    columns = 4
    tangent = 3
    REACH = 6  # steps along an axis in which the Voronoi cell ends: 45 degrees

    @cached_property
    def local(self) -> Tensor:
        """Steps ``(M, 3)`` of the lattice points whose boxes meet the Voronoi cell of the identity."""
        axis = torch.arange(-self.REACH, self.REACH + 1)
        steps = torch.cartesian_prod(axis, axis, axis)
        corner = (steps.abs() - 0.5).clamp_min(0) * STEP  # of the box, nearest to the middle
        length = corner.norm(dim=1, keepdim=True).clamp_min(1e-9)
        rodrigues = corner / length * (length / 2).tan()
        inside = (rodrigues.amax(1) <= math.tan(math.pi / 8) + 1e-6) & (rodrigues.sum(1) <= 1 + 1e-6)
        return steps[inside]

    @cached_property
    def _log_volume(self) -> Tensor:
        """Log prior over ``2 REACH + 1`` steps a side: the volume of SO(3) that a step stands for."""
        axis = torch.arange(-self.REACH, self.REACH + 1) * STEP
        half = torch.cartesian_prod(axis, axis, axis).norm(dim=1) / 2  # (13^3,): half the angle of a step
        table = 2 * torch.log(torch.sinc(half / math.pi)).view([len(axis)] * 3)  # (13, 13, 13)
        total = table[tuple((self.local + self.REACH).T)].logsumexp(0) + math.log(24)
        return table - total

    @cached_property
    def covering(self) -> Tensor:
        return self._lattice(torch.tensor([-COVER, 0, COVER]))

    @cached_property
    def coarse(self) -> Tensor:
        return self._lattice(torch.tensor([-3, 3]))  # 45 degrees apart

    @staticmethod
    def _lattice(axis: Tensor) -> Tensor:
        steps = torch.cartesian_prod(axis, axis, axis)
        cube = torch.arange(24).repeat_interleave(len(steps))
        return torch.cat([cube[:, None], steps.repeat(24, 1)], 1)

    @cached_property
    def neighbourhood(self) -> Tensor:
        vectors = self.from_cells(self.covering)  # (648, 3)
        quaternion = roma.rotvec_to_unitquat(vectors)
        near = 2 * (quaternion @ quaternion.T).abs().clamp(max=1).acos() < math.radians(40)
        width = int(near.sum(1).max())
        index = near.float().topk(width, 1).indices
        own = torch.arange(len(near))[:, None].expand_as(index)
        return torch.where(near.gather(1, index), index, own)

    def spread(self, n: int, device: torch.device) -> Tensor:
        local = self.local.to(device)
        step = local[torch.randint(len(local), (n, 1), device=device)].expand(-1, 24, -1)
        cube = torch.arange(24, device=device).expand(n, -1)
        return torch.cat([cube[..., None], step], -1)

    def bin(self, cells: Tensor) -> Tensor:
        third = (cells[..., 1:] / COVER).round().clamp(-1, 1).long() + 1
        return cells[..., 0] * 27 + third[..., 0] * 9 + third[..., 1] * 3 + third[..., 2]

    def to_cells(self, pose: Tensor) -> Tensor:
        cube, quaternion = _nearest_cube(pose)  # (...,), (..., 4)
        back = roma.quat_conjugation(_cube_quaternions().to(pose))[cube]  # (..., 4)
        rest = roma.quat_product(
            quaternion.flatten(0, -2), back.flatten(0, -2)
        )  # (N, 4): what the cube leaves
        steps = (roma.unitquat_to_rotvec(rest).view(pose.shape) / STEP).round().clamp(-self.REACH, self.REACH)
        return torch.cat([cube[..., None], steps.long()], -1)

    def from_cells(self, cells: Tensor, offset: Tensor | None = None) -> Tensor:
        steps = cells[..., 1:] if offset is None else cells[..., 1:] + offset
        turn = roma.rotvec_to_unitquat((steps * STEP).flatten(0, -2))  # (N, 4)
        cube = _cube_quaternions().to(turn)[cells[..., 0].flatten()]  # (N, 4)
        return roma.unitquat_to_rotvec(roma.quat_product(turn, cube)).view(*cells.shape[:-1], 3)

    def log_prior(self, cells: Tensor) -> Tensor:
        index = (cells[..., 1:].clamp(-self.REACH, self.REACH) + self.REACH).unbind(-1)
        return self._log_volume.to(cells.device)[index]

    @property
    def max_nats(self) -> float:
        return -float(self._log_volume[tuple((self.local + self.REACH).T)].min())

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        quaternion = torch.randn(n, 4, generator=generator)  # uniform on the sphere, as Shoemake 1992
        return roma.unitquat_to_rotvec(roma.quat_normalize(quaternion))

    def wrap(self, pose: Tensor) -> Tensor:
        return roma.unitquat_to_rotvec(roma.rotvec_to_unitquat(pose.flatten(0, -2))).view(pose.shape)

    def matrix(self, pose: Tensor) -> Tensor:
        return roma.rotvec_to_rotmat(pose)

    def gap(self, a: Tensor, b: Tensor) -> Tensor:
        return _gap(a, b)


SHIFTS = tuple(Parameter(f"shift_{axis}", 0.05, 0.1) for axis in "xyz")
SCALE = Parameter("log_scale", 0.05, 0.15)
ROTATIONS: dict[str, Rotations] = {"cube": Cube(), "yaw": Circle(3), "rotation": SO3()}
GROUPS = {"none": PoseGroup("none", 3, None)}  # a plain VAE
for _name, _rotations in ROTATIONS.items():
    for _more, _gaussians in {"": (), "+shift": SHIFTS, "+shift+scale": (*SHIFTS, SCALE)}.items():
        GROUPS[_name + _more] = PoseGroup(_name + _more, 3, _rotations, _gaussians)


# Warps -------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _grid_centres(size: int, device: torch.device) -> Tensor:
    """Centres of a grid's cells, ``(S^3, 3)``, the last axis fastest."""
    return torch.cartesian_prod(*[cell_centres(size, device)] * 3)


@lru_cache(maxsize=8)
def _ball(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cells inside the unit ball: their flat indices ``(n,)`` and centres with a one, ``(n, 4)``."""
    centres = _grid_centres(size, device)
    index = (centres.square().sum(1) <= 1).nonzero()[:, 0]
    return index, F.pad(centres[index], (0, 1), value=1.0)


def warp(grid: Tensor, matrix: Tensor, background: Tensor | float = 0.0) -> Tensor:
    """``output(p) = grid(M p)`` inside the unit ball: trilinear, ``background`` outside ball and frame.

    A rotation maps the ball onto itself, and normalised shapes lie within it: half of the frame's cells need no work.

    Args:
        grid: ``(B, C, S, S, S)``.
        matrix: ``(B, 3, 4)``, from output to grid coordinates. ``group.matrix(pose)`` makes a shape canonical,
            ``group.inverse(pose)`` turns a canonical one back.
        background: a number, or ``(C, 1, 1, 1)``; for logits the value that means "nothing here".
    """
    return _resample(grid.float() - background, matrix, grid.shape[-1]) + background


def _resample(grid: Tensor, matrix: Tensor, size: int) -> Tensor:
    """``output(p) = grid(M p)`` inside the unit ball, 0 outside: ``(B, C, R, R, R) -> (B, C, size, size, size)``."""
    index, centres = _ball(size, grid.device)
    # All cells of all grids in one product; grid_sample wants the coordinate of the last axis first.
    where = centres @ matrix[:, [2, 1, 0]].flatten(0, 1).T  # (n, 3 B)
    where = where.unflatten(1, (-1, 3)).transpose(0, 1)
    values = F.grid_sample(grid, where[:, None, None], align_corners=False).flatten(2)
    empty = torch.zeros(*grid.shape[:2], size**3, device=grid.device)
    return empty.index_copy(2, index, values).unflatten(2, (size, size, size))


@lru_cache(maxsize=8)
def _permutations(size: int, device: torch.device) -> Tensor:
    """Where each cell of a cube-rotated grid comes from, ``(24, S^3)`` flat indices."""
    cell = torch.arange(size, device=device)
    doubled = 2 * torch.cartesian_prod(cell, cell, cell) - (size - 1)  # odd numbers around the middle: exact
    turned = doubled.float() @ cube_rotations().to(device).transpose(1, 2)
    x, y, z = ((turned + (size - 1)) / 2).round().long().unbind(-1)
    return (x * size + y) * size + z


def turn_exactly(grid: Tensor, cube: Tensor, inverse: bool = False) -> Tensor:
    """``output(p) = grid(C p)``, or ``grid(C^-1 p)``, for cube rotations by index ``(B,)``: no interpolation."""
    table = _permutations(grid.shape[-1], grid.device)
    index = table[_inverses().to(grid.device)[cube] if inverse else cube]
    return grid.flatten(2).gather(2, index[:, None].expand(-1, grid.shape[1], -1)).view(grid.shape)


@lru_cache(maxsize=1)
def _inverses() -> Tensor:
    """The index of each cube rotation's inverse, ``(24,)``."""
    rotations = cube_rotations()
    same = torch.einsum("aij,bij->ab", rotations.transpose(1, 2), rotations)
    return same.argmax(1)


def grid_spheres(grids: Tensor, directions: int = 128) -> Tensor:
    """Enclosing spheres of occupancy grids ``(N, S, S, S)``: ``(N, 4)`` centre and radius in pose coordinates.

    Of each shape only the corners of its extreme cells in evenly spread directions are looked at.

    Raises:
        ValueError: a grid is empty.
    """
    from affinevae.solid import enclosing_sphere  # takes a second to import, and only data sets need it

    size = grids.shape[-1]
    centres = _grid_centres(size, torch.device("cpu"))
    k = torch.arange(directions) + 0.5
    polar, azimuth = (1 - 2 * k / directions).acos(), math.pi * (1 + 5**0.5) * k  # Fibonacci's spiral
    ray = torch.stack([polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()], 1)
    height = centres @ ray.T  # (S^3, directions)
    spheres = []
    for grid in grids.flatten(1).bool():
        occupied = grid.nonzero()[:, 0]
        if not len(occupied):
            raise ValueError("an occupancy grid is empty: every shape needs at least one full cell")
        corners = centres[occupied[height[occupied].argmax(0)]] + ray / size
        centre, radius = enclosing_sphere(corners.numpy())
        spheres.append([*centre.tolist(), float(radius)])
    return torch.tensor(spheres)


def turn(grids: Tensor, spheres: Tensor, matrix: Tensor, size: int) -> Tensor:
    """Normalise shapes and turn them, with one resampling: ``(B, 1, R, R, R) -> (B, 1, size, size, size)`` of 0 and 1.

    The enclosing sphere becomes the one of radius ``FILL`` in the middle. Every shape is resampled once, an upright
    one too, because blur that depends on the orientation would tell a network about it.

    Args:
        spheres: ``(B, 4)`` from :func:`grid_spheres`.
        matrix: ``(B, 3, 4)``, ``group.inverse(pose)`` for the pose wanted.
    """
    scale = (spheres[:, 3] / FILL)[:, None, None]
    where = torch.cat([scale * matrix[..., :3], scale * matrix[..., 3:] + spheres[:, :3, None]], -1)
    return (_resample(grids.float(), where, size) >= FULL).float()


def center_of_mass(grid: Tensor) -> Tensor:
    """Centre of occupancy in pose coordinates, ``(B, C, S, S, S) -> (B, 3)``; the middle for an empty grid."""
    axis = cell_centres(grid.shape[-1], grid.device)
    mass = grid.float().mean(1)
    total = mass.sum((1, 2, 3)).clamp_min(1e-6)
    moments = [mass.sum(other) @ axis for other in ((2, 3), (1, 3), (1, 2))]
    return torch.stack(moments, -1) / total[:, None]


def iou(a: Tensor, b: Tensor, level: float = 0.5) -> Tensor:
    """Cells that both fill over cells that either fills, ``(B, ...), (B, ...) -> (B,)``. Two empty grids: 1."""
    full_a, full_b = (a >= level).flatten(1), (b >= level).flatten(1)
    union = (full_a | full_b).sum(1)
    return torch.where(union > 0, (full_a & full_b).sum(1) / union.clamp_min(1), 1.0)
