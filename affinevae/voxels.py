"""Meshes to occupancy grids and back.

    python -m affinevae.voxels --source ModelNet10.zip --output modelnet10.npz

makes a folder or archive of meshes into grids once, so that training on them starts at once.

A grid is indexed ``[x, y, z]`` with z up; cell i of an axis has its centre at ``(i + 0.5) * 2 / S - 1``, so that the
frame is the cube [-1, 1]^3. Shapes come in any orientation, so they are normalised by the smallest sphere around
them, which no rotation changes: centred, with radius ``FILL``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import trimesh
from skimage.measure import marching_cubes
from torch import Tensor

from affinevae.meshes import parse_mesh
from affinevae.polygons import Array, MeshError
from affinevae.solid import FILL, enclosing_sphere, occupancy

__all__ = ["FILL", "MeshError", "enclosing_sphere", "load_mesh", "read_shape", "to_mesh", "voxelize"]

Style = Literal["surface", "blocks"]


def load_mesh(path: str | os.PathLike[str]) -> trimesh.Trimesh:
    """A GLB, OBJ, STL, OFF or PLY file as one mesh, z up, without materials; see ``affinevae.meshes.parse_mesh``.

    Raises:
        MeshError: another kind of file, damaged, too large, without faces, or with something that is not read.
        OSError: no such file.
    """
    mesh = parse_mesh(Path(path).read_bytes(), Path(path).suffix[1:].lower())
    return trimesh.Trimesh(*mesh, process=False)


def voxelize(mesh: trimesh.Trimesh, size: int = 32) -> Tensor:
    """The solid inside of a mesh, bool ``(size, size, size)``; see :func:`affinevae.solid.occupancy`.

    Raises:
        MeshError: no faces, a point, NaN, too far from the origin, or far too much surface.
    """
    return torch.from_numpy(occupancy(mesh, size))


def voxelize_file(data: bytes, kind: str, size: int = 32) -> Array:
    """:func:`voxelize` of a mesh file's content; ``kind`` is "glb", "obj", "stl", "off" or "ply"."""
    return occupancy(parse_mesh(data, kind), size)


def read_shape(path: str | os.PathLike[str], size: int = 32) -> Tensor:
    """A mesh file as a model takes it, ``(1, 1, size, size, size)`` of zeros and ones.

    Raises:
        MeshError: see ``load_mesh`` and ``voxelize``.
    """
    return voxelize(load_mesh(path), size)[None, None].float()


def to_mesh(grid: Tensor | Array, level: float = 0.5, style: Style = "surface") -> trimesh.Trimesh:
    """A closed mesh around the cells of at least ``level``, in pose coordinates, normals outward.

    Args:
        grid: ``(S, S, S)`` or ``(1, 1, S, S, S)`` in [0, 1].
        level: in (0, 1].
        style: "surface" is smooth (marching cubes, Lewiner 2003); "blocks" are the cells' outer squares, two
            triangles each.

    Raises:
        MeshError: nothing reaches the level, or the grid is none.
    """
    values = _values(grid)
    if not 0 < level <= 1:
        raise MeshError("The level must be above 0 and at most 1.")
    if not (values >= level).any():
        raise MeshError(f"There is nothing to show: no cell reaches the level {level:g}, so lower it.")
    corners, faces = _blocks(values >= level) if style == "blocks" else _isosurface(values, level)
    return trimesh.Trimesh(corners * (2 / np.array(values.shape)) - 1, faces, process=False)


def _values(grid: Tensor | Array) -> Array:
    values = grid.detach().cpu().float().numpy() if isinstance(grid, Tensor) else np.asarray(grid, np.float32)
    if values.ndim > 3 and set(values.shape[:-3]) == {1}:
        values = values.reshape(values.shape[-3:])
    if values.ndim != 3 or not np.isfinite(values).all():
        raise MeshError("A shape must be one 3D grid of finite numbers.")
    return values


def _isosurface(values: Array, level: float) -> tuple[Array, Array]:
    """Vertices, in cells from the grid's corner, and faces."""
    padded = np.pad(values, 1)  # zeros around, so that the mesh is closed
    # A hair lower: cells at exactly the level count, and must not collapse to points.
    vertices, faces, _, _ = marching_cubes(padded, level * (1 - 1e-3), gradient_direction="ascent")
    return vertices - 0.5, faces.astype(np.int64)


def _blocks(occupied: Array) -> tuple[Array, Array]:
    """Vertices, in cells from the grid's corner and shared, and faces of the squares to an empty cell."""
    padded, squares = np.pad(occupied, 1), []
    for axis in range(3):
        for side in (0, 1):
            neighbour = np.roll(padded, 1 - 2 * side, axis)
            cells = np.argwhere(padded & ~neighbour) - 1
            squares.append(cells[:, None] + _square(axis, side))
    corners, index = np.unique(np.concatenate(squares).reshape(-1, 3), axis=0, return_inverse=True)
    a, b, c, d = index.reshape(-1, 4).T
    return corners.astype(float), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def _square(axis: int, side: int) -> Array:
    """Corners ``(4, 3)`` of a unit cell's square, counter-clockwise seen from outside."""
    around = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])[:: 1 if side else -1]
    square = np.full((4, 3), side)
    square[:, [(axis + 1) % 3, (axis + 2) % 3]] = around
    return square


@dataclass(frozen=True)
class Voxelize:
    """Make a folder or ``.zip`` of meshes into one file of occupancy grids, for training.

    Args:
        source: meshes in class folders; ModelNet's and ShapeNet's as they are.
        output: ``.npz`` to write.
        size: cells a side.
        leave_out_unreadable: go on without meshes that cannot be read, and name them, rather than stop.
    """

    source: Path
    output: Path
    size: int = 32
    leave_out_unreadable: bool = False


def run(options: Voxelize) -> None:
    """Write the grids, and say what was found."""
    from rich.console import Console

    from training.shapes import write_shapes  # needs what only training installs

    if options.output.suffix != ".npz":
        raise ValueError(f"--output must end in .npz, not {options.output.suffix or 'nothing'}")
    if not options.source.exists():
        raise ValueError(f"there is no {options.source}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    report = write_shapes(
        options.source, options.output, voxelize_file, options.size, leave_out=options.leave_out_unreadable,
        advice="replace them, take them out, or add --leave-out-unreadable",
    )  # fmt: skip
    Console().print("\n".join(report.sentences()), highlight=False, markup=False)


if __name__ == "__main__":
    from training.command import command

    command(Voxelize, run, flags=True)
