"""Triangles to solid occupancy grids, in numpy: what ``voxels.py`` offers as tensors.

Apart from it so that the process in which the page parses strangers' files loads this file without torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from scipy import ndimage

from affinevae.polygons import Array, MeshError

FILL = 15 / 16  # radius of the enclosing sphere, in pose coordinates
FARTHEST = 1e5  # distance from the origin in radii; beyond it 32-bit coordinates are coarser than a cell
MAX_SAMPLES = 10_000_000  # about a second, and 100 times the surface of a sphere
BLOCK, CHUNK = 100_000, 500_000  # triangles and samples held at once
SPACING = 0.44  # of samples, in fine cells
WITHIN_REACH = 0.85  # fine cells: no point of a triangle this long is half a cell from all its corners
LATTICES = 4  # triangles up to this many times longer are cut alike along all edges, the rest in rows


class Triangles(Protocol):
    """A mesh of ``affinevae.meshes`` or of trimesh."""

    @property
    def vertices(self) -> Any:
        """Points ``(n, 3)``."""

    @property
    def faces(self) -> Any:
        """Corners ``(m, 3)``, rows of points."""


def occupancy(mesh: Triangles, size: int) -> Array:
    """The solid inside of a mesh, bool ``(size, size, size)`` indexed [x, y, z], normalised by ``enclosing_sphere``.

    Any soup of triangles will do: orientation, duplicates and cracks narrower than half a cell do not matter.
    The surface is marked on a grid twice as fine, and what a flood from outside does not reach is inside. A box
    without a lid therefore stays a box without a lid. A cell is occupied if half of it is, surface cells
    counting half, so that solids neither swell nor shrink; and if it holds a part too thin to have an inside,
    so that the legs of a chair stay.

    Raises:
        MeshError: no faces, a point, NaN, too far from the origin, or far too much surface.
    """
    surface = _surface(_in_fine_cells(mesh, size), np.asarray(mesh.faces), 2 * size)
    outside, _ = ndimage.label(~surface)
    inside = (outside != outside[0, 0, 0]) & ~surface
    # Thick is where a cube of 3 fine cells fits: it holds a whole cell, so that half of one is occupied.
    thick = _grown(~_grown(~(inside | surface)))
    thin = surface & ~_grown(thick)  # not the last bits of curved and slanted surfaces
    thin = surface & _grown(thin)  # but back to where a leg meets the seat
    filled = _pooled(inside + 0.5 * surface) >= 4
    return filled | (_pooled(thin) >= 1)


def enclosing_sphere(points: Array) -> tuple[Array, float]:
    """Centre ``(3,)`` and radius of the smallest sphere around points ``(n, 3)``, n >= 1.

    The farthest point joins the support until nothing lies outside (Gaertner, "Fast and robust smallest enclosing
    balls", ESA 1999); flat, straight and single points are no special case.
    """
    support, centre, radius = points[:1], points[0], 0.0
    for _ in range(100):  # about ten are needed; the radius grows in each
        distance = np.linalg.norm(points - centre, axis=1)
        farthest = int(distance.argmax())
        if distance[farthest] <= radius * (1 + 1e-9):
            break
        support, centre, radius = _smallest(np.vstack([support, points[farthest]]))
    return centre, float(np.linalg.norm(points - centre, axis=1).max())


def _smallest(points: Array) -> tuple[Array, Array, float]:
    """Support, centre and radius of the smallest sphere around at most five points."""
    best: tuple[Array, Array, float] = (points, points.mean(0), np.inf)
    for count in range(2, min(len(points), 4) + 1):
        for chosen in combinations(range(len(points)), count):
            support = points[list(chosen)]
            edges = support[1:] - support[0]
            # Equally far from all of them, and in their plane or line: the least squares of least norm.
            centre = support[0] + np.linalg.lstsq(2 * edges, (edges**2).sum(1), rcond=1e-12)[0]
            radius = float(np.linalg.norm(support - centre, axis=1).max())
            if radius < best[2] and np.linalg.norm(points - centre, axis=1).max() <= radius * (1 + 1e-10):
                best = support, centre, radius
    return best


def _in_fine_cells(mesh: Triangles, size: int) -> Array:
    """Vertices ``(n, 3)``, normalised, in cells of half the size: the frame is [0, 2 size]^3."""
    vertices, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces)
    if not len(faces):
        raise MeshError(
            "The mesh has no faces; a point cloud or lines cannot be filled, so export triangles."
        )
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise MeshError("The mesh has faces with corners that do not exist; export it again.")
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    points = vertices[used]
    if not np.isfinite(points).all():
        raise MeshError("The mesh has coordinates that are not finite numbers; export it again.")
    largest = float(np.abs(points).max()) or 1.0  # divided by first: squares of 1e200 overflow
    centre, radius = enclosing_sphere(points / largest)
    if radius == 0:
        raise MeshError("All points of the mesh are the same; it has no shape.")
    if radius * FARTHEST < 1:
        raise MeshError("The mesh lies too far from the origin for its size; centre it and export it again.")
    return ((vertices / largest - centre) * (FILL / radius) + 1) * size


def _surface(vertices: Array, faces: Array, side: int) -> Array:
    """Cells that the triangles touch, bool ``(side + 2,) * 3`` with an empty border.

    Every point of a triangle has a sample within half a cell, so no step between the centres of two neighbour
    cells passes a closed surface unseen.
    """
    cells = np.zeros((side + 2,) * 3, bool)
    left = MAX_SAMPLES
    for start in range(0, len(faces), BLOCK):
        for points in _samples(vertices[faces[start : start + BLOCK]]):
            left -= len(points)
            if left < 0:
                raise MeshError(
                    "The mesh has too much surface folded into its size; simplify it and send that."
                )
            at = np.clip(points.astype(np.int32), 0, side - 1) + 1
            cells[at[:, 0], at[:, 1], at[:, 2]] = True
    return cells


def _samples(triangles: Array) -> Iterator[Array]:
    """Points ``(n, 3)`` on the triangles, chunk by chunk."""
    lengths = np.linalg.norm(np.roll(triangles, -1, 1) - triangles, axis=2)
    parts = np.ceil(lengths.max(1) / WITHIN_REACH)
    for count in range(1, LATTICES + 1):
        yield (_lattice(count) @ triangles[np.maximum(parts, 1) == count]).reshape(-1, 3)
    large = parts > LATTICES
    triangles, lengths = triangles[large], lengths[large]
    order = (lengths.argmax(1)[:, None] + np.arange(3)) % 3  # the longest edge first
    a, b, c = np.moveaxis(np.take_along_axis(triangles, order[..., None], 1), 1, 0)
    length = lengths.max(1)
    height = np.linalg.norm(np.cross(b - a, c - a), axis=1) / length
    rows = np.ceil(height / SPACING).astype(np.int64) + 1
    total = np.cumsum(rows * (length / SPACING + 2))  # more than there will be
    chunk = (total // CHUNK).astype(np.int64)
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(chunk)) + 1):
        yield _rows_of_samples(a[part], b[part], c[part], length[part], rows[part])


def _lattice(count: int) -> Array:
    """Barycentric coordinates ``(n, 3)`` that cut each edge in ``count``."""
    first, second = np.triu_indices(count + 1)
    return np.stack([first, second - first, count - second], 1) / count


def _rows_of_samples(a: Array, b: Array, c: Array, length: Array, rows: Array) -> Array:
    """Rows parallel to the longest edge ``a b``, each with as many samples as it needs."""
    triangle, row = _counted(rows)
    t = row / np.maximum(rows - 1, 1)[triangle]
    start = a[triangle] + t[:, None] * (c - a)[triangle]
    step = (1 - t)[:, None] * (b - a)[triangle]
    columns = np.ceil((1 - t) * length[triangle] / SPACING).astype(np.int64) + 1
    line, column = _counted(columns)
    return start[line] + (column / np.maximum(columns - 1, 1)[line])[:, None] * step[line]


def _counted(counts: Array) -> tuple[Array, Array]:
    """For counts (2, 3): whose (0, 0, 1, 1, 1) and which (0, 1, 0, 1, 2)."""
    whose = np.repeat(np.arange(len(counts)), counts)
    return whose, np.arange(len(whose)) - (np.cumsum(counts) - counts)[whose]


def _grown(cells: Array) -> Array:
    """With all 26 neighbours."""
    for axis in range(3):
        at = np.moveaxis(cells, axis, 0)
        cells = at.copy()
        cells[1:] |= at[:-1]
        cells[:-1] |= at[1:]
        cells = np.moveaxis(cells, 0, axis)
    return cells


def _pooled(fine: Array) -> Array:
    """Sums over 2 x 2 x 2 cells inside the border."""
    inner = fine[1:-1, 1:-1, 1:-1]
    half = inner.shape[0] // 2
    return inner.reshape(half, 2, half, 2, half, 2).sum((1, 3, 5))
