"""What a mesh is here, and polygons and strips to triangles, in numpy.

Every reader of meshes gives its faces to this file, so that a polygon means the same in all of them. It is light: the
page's own process, which parses nothing, knows limits and names from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import mapbox_earcut
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

KINDS = ("glb", "obj", "stl", "off", "ply")
ANY_KIND = "a GLB, OBJ, STL, OFF or PLY file"


class MeshError(ValueError):
    """What is wrong with a mesh or a grid, in one plain sentence."""


def unknown_kind(kind: str) -> MeshError:
    """What a file of another suffix is told."""
    return MeshError(
        f"A mesh must be one of {', '.join(KINDS).upper()}, not {kind.upper() or 'unnamed'}; export a GLB."
    )


class Mesh(NamedTuple):
    """A soup of triangles: ``vertices`` (n, 3) float64 and ``faces`` (m, 3) int64, which are rows of them."""

    vertices: Array
    faces: Array


class Limits(NamedTuple):
    """What a file may hold. Checked by what it claims, before any of it is made."""

    faces: int = 20_000_000
    vertices: int = 20_000_000
    parts: int = 100_000  # nodes of a GLB, and the pieces that they place
    json: int = 100_000_000  # bytes of a GLB's description; parsed they take up to 40 times as much

    def check(self, vertices: int, faces: int) -> None:
        """Raises ``MeshError`` where there are more of either."""
        if vertices > self.vertices or faces > self.faces:
            raise MeshError(f"The mesh has {faces:,} faces and {vertices:,} points; it may have {self}.")

    def __str__(self) -> str:
        return f"{self.faces:,} faces and {self.vertices:,} points"


def mesh_of(vertices: Array, polygons: Iterable[Array], limits: Limits) -> Mesh:
    """A mesh of points ``(n, 3)`` and polygons, ``(m, k)`` for each number of corners k.

    Raises:
        MeshError: a corner that is no point, or more points or triangles than the limits allow.
    """
    polygons = [corners for corners in polygons if corners.size]
    limits.check(len(vertices), sum((corners.shape[1] - 2) * len(corners) for corners in polygons))
    for corners in polygons:
        check_corners(corners, len(vertices))
    faces = [triangulate(vertices, corners) for corners in polygons]
    return Mesh(vertices, np.concatenate([np.zeros((0, 3), np.int64), *faces]))


def check_corners(corners: Array, points: int) -> None:
    """Raises ``MeshError`` where a corner is none of so many points."""
    if corners.size and (corners.min() < 0 or corners.max() >= points):
        raise MeshError("The mesh has faces with corners that do not exist; export it again.")


def triangulate(points: Array, corners: Array) -> Array:
    """Triangles ``(m, 3)`` of polygons ``(n, k)``, all of k corners, flat or nearly so, convex or not.

    A polygon is cut into a fan from its first corner where that covers it exactly: where no triangle of the fan
    is turned against the others. The rest, an L or a star, is cut by its ears (Mapbox's earcut).
    """
    count = corners.shape[1]
    if count <= 3:
        return corners if count == 3 else np.zeros((0, 3), np.int64)
    fans = np.stack([corners[:, [0, i, i + 1]] for i in range(1, count - 1)], 1)
    with np.errstate(all="ignore"):  # points may all be one, or not finite
        spokes = points[corners[:, 1:]] - points[corners[:, :1]]
        spokes /= np.abs(spokes).max((1, 2), keepdims=True)  # squares of 1e200 overflow
        areas = np.cross(spokes[:, :-1], spokes[:, 1:])
        normals = areas.sum(1)
        against = (areas * normals[:, None]).sum(2) < -1e-9 * (normals**2).sum(1, keepdims=True)
    concave = np.flatnonzero(against.any(1))
    return np.concatenate(
        [
            np.delete(fans, concave, 0).reshape(-1, 3),
            *(_without_ears(points, corners[i], normals[i]) for i in concave),
        ]
    )


def _without_ears(points: Array, corners: Array, normal: Array) -> Array:
    """Triangles of one polygon ``(k,)``, seen along the axis that its normal is closest to."""
    seen = np.delete(points[corners], np.abs(normal).argmax(), 1)
    cut = mapbox_earcut.triangulate_float64(seen, np.array([len(seen)], np.uint32))
    triangles: Array = corners[cut.astype(np.int64)].reshape(-1, 3)
    return triangles


def strips(corners: Array) -> Array:
    """Triangles of strips ``(n,)``, each ended by -1 or the end; every other one is turned, so that all face alike."""
    at = np.arange(len(corners))
    start = np.maximum.accumulate(np.where(corners < 0, at + 1, 0))
    triangles = np.stack([corners[:-2], corners[1:-1], corners[2:]], 1)
    odd = (at - start)[: len(triangles)] % 2 == 1
    triangles[odd] = triangles[odd][:, [1, 0, 2]]
    return triangles[(triangles >= 0).all(1)]
