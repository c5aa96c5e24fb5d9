"""Objects to start from: small meshes of ours, in ``demo/meshes``, each turned its own way."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from torch import Tensor

MESHES = Path(__file__).parents[1] / "meshes"
FIRST = ("chair", "sofa")  # the first to look at, and the one that is pinned

# Yaw, pitch and roll in degrees, one an example.
TILTS = (
    (35, -40, 20), (-60, 25, 110), (110, 60, -35), (200, -20, 75), (-25, 45, -120), (75, -65, 40), (150, 30, 160),
    (-130, -35, -60),
)  # fmt: skip


def names() -> tuple[str, ...]:
    """What the examples show, in order."""
    stems = sorted(path.stem for path in MESHES.glob("*.glb"))
    return tuple(sorted(stems, key=lambda name: (*FIRST, name).index(name)))


def tilt(index: int) -> tuple[int, int, int]:
    return TILTS[index % len(TILTS)]


@lru_cache(maxsize=64)
def example(index: int, size: int, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """The grid ``(1, 1, size, size, size)`` of an example under ``matrix``, 3 rows of 3 or 4 numbers.

    The mesh is turned, not the grid: no interpolation blurs it.
    """
    from affinevae.voxels import load_mesh, voxelize  # half a second, not spent at the start

    mesh = load_mesh(MESHES / f"{names()[index]}.glb")
    turn = np.eye(4)
    turn[:3, :3] = np.array(matrix)[:, :3]
    mesh.apply_transform(turn)
    return voxelize(mesh, size)[None, None].float()
