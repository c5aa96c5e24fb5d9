"""Sets of voxel shapes: a ``.npz`` of occupancy grids, or a folder or ``.zip`` of meshes.

Meshes are made into grids by a function that the caller brings, because this room knows no model. A set of grids:

- ``grids`` (N, S, S, S), or their last axis packed eight to a byte (N, S, S, S / 8), uint8, indexed x, y, z with z up;
  ``pose01`` is read alike; ``labels`` (N,), ``split`` (N,) and ``classes`` as in sets of images.

Meshes lie in class folders, below ``train`` and ``test`` or the other way round (ModelNet's archives), or flat.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from rich.progress import track

from training.datasets import SPLITS, TRAIN, Array, DataError, ImageData, Table, divide, index_labels, take

MESHES = {".glb", ".obj", ".stl", ".off", ".ply"}
MAX_SIDE = 64
MAX_MESH_BYTES = 200_000_000  # one mesh, unpacked
GRIDS = ("grids", "pose01")

Voxelize = Callable[[bytes, str, int], Array]  # a file's bytes, its suffix without the dot, cells a side


def holds_shapes(path: Path) -> bool:
    """Whether a file or folder holds voxel shapes or meshes rather than images."""
    try:
        if path.suffix.lower() == ".npz" and path.is_file():
            with np.load(path, allow_pickle=False) as arrays:
                return any(key in arrays.files for key in GRIDS)
        return any(_is_mesh(name) for name in _names(path))
    except (OSError, ValueError, zipfile.BadZipFile):
        return False  # whatever it is, the reader of images says what is wrong with it


def load_shapes(
    path: Path,
    voxelize: Voxelize,
    size: int = 32,
    validation: int | float | None = None,
    seed: int = 0,
) -> ImageData:
    """Grids ``(N, 1, S, S, S)`` of bytes, 0 and 255, divided into train, validation and test.

    Args:
        path: a ``.npz``, a folder or a ``.zip`` of meshes.
        voxelize: makes a mesh file into an occupancy grid; raises ``ValueError`` with one sentence.
        size: cells a side of grids made from meshes.
        validation, seed: as in :func:`training.datasets.load_images`.

    Raises:
        DataError: unreadable or unusable data, in one sentence.
    """
    read = _read_grids if path.suffix.lower() == ".npz" else _read_meshes
    table = read(path, voxelize, size)
    grids, name = np.asarray(table.pictures), path.name.split(".")[0]
    if not grids.any((1, 2, 3)).all():
        raise DataError(f"{path.name}: shape {int(grids.any((1, 2, 3)).argmin())} is empty; leave it out")
    labels, classes = index_labels(table, len(grids), path.name)
    rows = divide(table.split, labels, len(grids), validation, seed, path.name)
    train, held, test = (take(grids[..., None] * np.uint8(255), labels, part) for part in rows)
    return ImageData(train, held, test, classes, name, None, path.name)


def write_shapes(source: Path, output: Path, voxelize: Voxelize, size: int = 32) -> int:
    """Voxelise meshes once into a ``.npz`` that :func:`load_shapes` reads; returns how many there were."""
    table = _read_meshes(source, voxelize, size)
    arrays: dict[str, Any] = {"grids": np.packbits(np.asarray(table.pictures), axis=-1)}
    if table.labels is not None:
        arrays["labels"], arrays["classes"] = index_labels(table, len(arrays["grids"]), source.name)
    if table.split is not None:
        arrays["split"] = table.split
    fresh = output.with_name(output.name + ".new.npz")
    np.savez_compressed(fresh, **arrays)
    fresh.replace(output)
    return len(arrays["grids"])


def _read_grids(path: Path, _: Voxelize, size: int) -> Table:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            grids = next(np.asarray(arrays[key]) for key in GRIDS if key in arrays.files)
            found = {key: np.asarray(arrays[key]) for key in ("labels", "split") if key in arrays.files}
            names = np.asarray(arrays["classes"]) if "classes" in arrays.files else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name} is damaged: make it again, or fetch it again") from error
    if grids.ndim == 4 and grids.dtype == np.uint8 and grids.shape[3] * 8 == grids.shape[2]:
        grids = np.unpackbits(grids, axis=-1)
    side = grids.shape[-1]
    if grids.ndim != 4 or len(set(grids.shape[1:])) > 1 or not 8 <= side <= MAX_SIDE or not len(grids):
        raise DataError(
            f"{path.name}: grids must be (N, S, S, S) with S from 8 to {MAX_SIDE}, not {grids.shape}"
        )
    classes = None if names is None else tuple(str(c) for c in names.ravel())
    return Table((grids > 0).astype(np.uint8), found.get("labels"), found.get("split"), classes)


def _read_meshes(path: Path, voxelize: Voxelize, size: int) -> Table:
    members = sorted(name for name in _names(path) if _is_mesh(name))
    if not members:
        raise DataError(f"{path.name} holds no meshes ({', '.join(sorted(MESHES))})")

    def grid(member: str) -> Array:
        try:
            return voxelize(_bytes(path, member), PurePosixPath(member).suffix[1:].lower(), size)
        except ValueError as error:
            raise DataError(f"{member}: {error}") from error

    with ThreadPool(os.cpu_count()) as pool:
        found = list(track(pool.imap(grid, members), "voxelising", len(members), transient=True))
    labels, splits = zip(*(_place(PurePosixPath(name)) for name in members), strict=True)
    top = min(len(PurePosixPath(name).parts) for name in members) == 1
    codes = None if set(splits) == {None} else np.array([TRAIN if s is None else s for s in splits])
    return Table(np.stack(found).astype(np.uint8), None if top or None in labels else labels, codes)


def _place(name: PurePosixPath) -> tuple[str | None, int | None]:
    """Class and split of a mesh by the folders above it: the nearest one that names no split is the class."""
    folders = [part for part in name.parts[:-1] if part.lower() not in SPLITS]
    splits = [SPLITS[part.lower()] for part in name.parts[:-1] if part.lower() in SPLITS]
    return (folders[-1] if folders else None), (splits[-1] if splits else None)


def _is_mesh(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__")) for part in parts)
    return PurePosixPath(name).suffix.lower() in MESHES and not hidden


def _names(path: Path) -> Iterator[str]:
    """Files below a folder or in a zip, as paths relative to it."""
    if path.is_dir():
        yield from (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    elif path.suffix.lower() == ".zip" and path.is_file():
        with zipfile.ZipFile(path) as archive:
            yield from (entry.filename for entry in archive.infolist() if not entry.is_dir())


def _bytes(path: Path, member: str) -> bytes:
    if path.is_dir():
        file = path / member
        if file.stat().st_size > MAX_MESH_BYTES:
            raise ValueError(f"larger than {MAX_MESH_BYTES / 1e6:g} MB; reduce its faces")
        return file.read_bytes()
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(member).file_size > MAX_MESH_BYTES:
            raise ValueError(f"larger than {MAX_MESH_BYTES / 1e6:g} MB; reduce its faces")
        return archive.read(member)
