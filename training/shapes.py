"""Sets of voxel shapes: a ``.npz`` of occupancy grids, or a folder or ``.zip`` of meshes.

Meshes are made into grids by a function that the caller brings, because this room knows no model. A set of grids:

- ``grids`` (N, S, S, S), or their last axis packed eight to a byte (N, S, S, S / 8), indexed x, y, z with z up; whole
  numbers above 0 are occupied, and of floats in [0, 1] those of at least one half. ``pose01`` is read alike;
- ``labels`` (N,), ``split`` (N,) and ``classes`` as in sets of images.

Meshes lie in folders as :mod:`training.folders` understands them: ModelNet's, ShapeNet's, class folders, or flat.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from rich.progress import track

from training.datasets import (
    MAX_BYTES,
    Array,
    DataError,
    ImageData,
    Table,
    divide,
    labelled,
    report_on,
    sentence,
    take,
)
from training.folders import Found, is_litter, list_files, read_layout, split_of
from training.pictures import SUFFIXES as PICTURES
from training.report import ADVICE, DataReport, listed, refuse_unreadable

MESHES = (
    ".glb",
    ".ply",
    ".obj",
    ".off",
    ".stl",
)  # where an object is there in several, the first of them is read
SIDES = range(8, 65)  # cells
MAX_MESH_BYTES = 200_000_000  # one mesh, unpacked
GRIDS = ("grids", "pose01")
SCENES = "{} is not read, export it as GLB"
OTHERS = {
    **{f".{kind}": SCENES.format(kind.upper()) for kind in ("fbx", "dae", "3ds", "blend", "3mf", "x3d", "wrl", "usd")},
    **dict.fromkeys((".usda", ".usdc", ".usdz"), SCENES.format("USD")),
    ".gltf": "of glTF only the binary form is read, export it as GLB",
    **dict.fromkeys((".stp", ".step", ".igs", ".iges", ".brep"), "solids of CAD are not read, export them as STL"),
    **dict.fromkeys((".pcd", ".xyz", ".las", ".laz", ".e57"), "points without faces cannot be filled"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"), "archives inside are not read, unpack them"),
    **dict.fromkeys((".binvox", ".vox", ".nrrd"), "grids are read from one .npz, with an array called grids"),
}  # fmt: skip

T = TypeVar("T")
Voxelize = Callable[[bytes, str, int], Array]  # a file's bytes, its suffix without the dot, cells a side


def holds_shapes(path: Path) -> bool:
    """Whether a file or folder holds voxel shapes or meshes rather than images.

    Raises:
        DataError: an archive that is damaged, folders that cannot be listed, or grids under another name.
    """
    if path.suffix.lower() == ".npz" and path.is_file():
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if any(key in arrays.files for key in (*GRIDS, "images", "jpeg")):
                    return any(key in arrays.files for key in GRIDS)
                meant = {key: shape for key in arrays.files if _cubic(shape := arrays[key].shape)}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
            return False  # whatever it is, the reader of images says what is wrong with it
        if meant:
            key, shape = next(iter(meant.items()))
            raise DataError(
                f"{path.name} holds no array called grids: if {key}, {shape}, is it, save it as grids"
            )
        return False
    if not (path.is_dir() or _is_archive(path)):
        return False
    with _opened(path) as (names, _):
        suffixes = {PurePosixPath(name).suffix.lower() for name in names if not is_litter(name)}
    return bool(suffixes & set(MESHES)) or bool(suffixes & set(OTHERS) and not suffixes & set(PICTURES))


def _cubic(shape: tuple[int, ...]) -> bool:
    """Whether an array may be of grids."""
    sides = [n for n in shape[1:] if n != 1]
    return len(sides) == 3 and len(set(sides)) == 1 and sides[0] in SIDES


def load_shapes(
    path: Path,
    voxelize: Voxelize,
    size: int = 32,
    validation: int | float | None = None,
    seed: int = 0,
    advice: str = ADVICE,
) -> ImageData:
    """Grids ``(N, 1, S, S, S)`` of bytes, 0 and 255, divided into train, validation and test.

    Args:
        path: a ``.npz``, a folder or a ``.zip`` of meshes.
        voxelize: makes a mesh file into an occupancy grid; raises ``ValueError`` with one sentence.
        size: cells a side of grids made from meshes.
        validation, seed: as in :func:`training.datasets.load_images`.
        advice: what to do where meshes cannot be read, as the end of the sentence that names them all.

    Raises:
        DataError: unreadable or unusable data, in one sentence.
    """
    if path.suffix.lower() == ".npz":
        table, what = _read_grids(path), "shapes"
    else:
        table, what = _read_meshes(path, voxelize, size, advice), "meshes"
    grids, name = np.asarray(table.pictures), path.resolve().name
    grids, labels, classes = labelled(grids, table, name, "shape")
    rows = divide(table.split, labels, len(grids), validation, seed, name)
    train, held, test = (take(grids[..., None] * np.uint8(255), labels, part) for part in rows)
    report = report_on(table, len(grids), labels, classes, rows, what)
    report = replace(
        report, what="files" if what == "meshes" else what, notes=(*report.notes, *_met_before(grids, rows))
    )
    return ImageData(train, held, test, classes, name.split(".")[0], None, name, report=report)


def write_shapes(
    source: Path,
    output: Path,
    voxelize: Voxelize,
    size: int = 32,
    *,
    leave_out: bool = False,
    advice: str = ADVICE,
) -> DataReport:
    """Voxelise meshes once into a ``.npz`` that :func:`load_shapes` reads; returns what was found and read.

    Args:
        leave_out: meshes that cannot be read are left out and named in the report; without, they are a ``DataError``.
        source, voxelize, size, advice: as in :func:`load_shapes`.
    """
    table = _read_meshes(source, voxelize, size, None if leave_out else advice)
    grids, labels, classes = labelled(np.asarray(table.pictures), table, source.resolve().name, "shape")
    arrays: dict[str, Any] = {"grids": np.packbits(grids, axis=-1)}
    if labels is not None:
        arrays |= {"labels": labels, "classes": np.array(classes)}
    if table.split is not None:
        arrays["split"] = table.split
    fresh = output.with_name(output.name + ".new.npz")
    np.savez_compressed(fresh, **arrays)
    fresh.replace(output)
    left = sum(map(len, table.left_out.values()))
    read = len(arrays["grids"])
    return DataReport(read + left, read, table.left_out, table.layout, notes=table.notes)


def _read_grids(path: Path) -> Table:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            key = next(key for key in GRIDS if key in arrays.files)
            grids = np.asarray(arrays[key])
            found = {
                key: np.asarray(arrays[key]) for key in ("labels", "split", "classes") if key in arrays.files
            }
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "pickle" in str(error):
            raise DataError(
                f"{path.name} holds Python objects: save numbers and words as plain arrays"
            ) from error
        raise DataError(f"{path.name} is damaged: make it again, or fetch it again") from error
    if grids.ndim == 4 and grids.dtype == np.uint8 and grids.shape[3] * 8 == grids.shape[2]:
        grids = np.unpackbits(grids, axis=-1)
    if grids.ndim == 5:  # one channel, first or last
        grids = grids[:, 0] if grids.shape[1] == 1 else grids[..., 0] if grids.shape[4] == 1 else grids
    if grids.ndim != 4 or len(set(grids.shape[1:])) > 1 or grids.shape[-1] not in SIDES or not len(grids):
        raise DataError(
            f"{path.name}: {key} must be (N, S, S, S) with S from {SIDES[0]} to {SIDES[-1]}, not {grids.shape}"
        )
    cells = _occupied(grids, path.name)
    empty = [f"shape {i}" for i in np.flatnonzero(~cells.any((1, 2, 3)))]
    if empty:
        raise DataError(
            f"{path.name}: {len(empty):,} of {len(cells):,} shapes are empty: {listed(empty)}; leave them out"
        )
    split, classes = found.get("split"), found.get("classes")
    if split is not None and split.dtype.kind in "US":
        split = _split_words(split.astype(str), path.name)
    names = None if classes is None else tuple(classes.ravel().astype(str).tolist())
    return Table(cells, found.get("labels"), split, names, "arrays")


def _occupied(grids: Array, name: str) -> Array:
    """Cells as zeros and ones, uint8."""
    if grids.dtype.kind not in "biuf":
        raise DataError(f"{name}: grids are not numbers but {grids.dtype}")
    low, high = grids.min(), grids.max()
    if not low >= 0 or (grids.dtype.kind == "f" and not high <= 1):  # NaN is neither
        raise DataError(
            f"{name}: grids hold {low:g} to {high:g}, not whole numbers from 0 or floats in [0, 1]: save occupancies, "
            "not distances"
        )
    return (grids >= 0.5 if grids.dtype.kind == "f" else grids > 0).astype(np.uint8)


def _split_words(words: Array, name: str) -> Array:
    codes = {word: split_of(word) for word in set(words.tolist())}
    if unknown := sorted(word for word, code in codes.items() if code is None):
        raise DataError(f"{name}: split {unknown[0]!r} is none of train, validation and test")
    return np.array([codes[word] for word in words.tolist()])


def _read_meshes(path: Path, voxelize: Voxelize, size: int, advice: str | None) -> Table:
    """``advice`` of None leaves out what cannot be read."""
    name = path.resolve().name
    if size not in SIDES:
        raise DataError(f"shapes must be {SIDES[0]} to {SIDES[-1]} cells a side, not {size}")
    with _opened(path) as (names, read):
        found = read_layout(names, MESHES, "meshes", where=name, others=OTHERS)
        files, again = _once(found.files)
        if len(files) < 3:
            beside = sum(
                PurePosixPath(left).suffix.lower() in PICTURES for left in names if not is_litter(left)
            )
            raise DataError(
                f"{name} holds {len(files)} {'mesh' if len(files) == 1 else 'meshes'}, and three are the fewest: one "
                "to learn from, one to choose by, one to test"
                + (f"; to train on its {beside:,} pictures take the meshes out" if beside else "")
            )
        if len(files) * size**3 > MAX_BYTES:
            raise DataError(
                f"{name} holds {len(files):,} meshes, which as grids are more than {MAX_BYTES:,} bytes"
            )

        def grid(file: Found) -> Array | str:
            try:
                cells = voxelize(read(file.name), PurePosixPath(file.name).suffix[1:].lower(), size)
            except UNREADABLE as error:
                return _fault(error)
            return cells if cells.any() else "it fills no cell"

        with ThreadPool(os.cpu_count()) as pool:
            made = list(track(pool.imap(grid, files), "voxelising", len(files), transient=True))
    faults = {file.name: cells for file, cells in zip(files, made, strict=True) if isinstance(cells, str)}
    if advice is not None or len(faults) == len(files):
        refuse_unreadable(faults, len(files), "meshes", name, advice or ADVICE)
    files = [file for file in files if file.name not in faults]
    left_out = defaultdict[str, tuple[str, ...]](tuple, found.left_out)
    for file, fault in faults.items():
        left_out[f"cannot be read: {fault}"] += (file,)
    labels = [file.label for file in files]
    return Table(
        np.stack([cells for cells in made if not isinstance(cells, str)]).astype(np.uint8),
        None if None in labels else labels,
        np.array([file.split for file in files]) if found.parted else None,
        layout=found.layout,
        left_out=left_out | again,
        notes=found.notes,
    )


UNREADABLE = (
    ValueError,
    OSError,
    RuntimeError,
    MemoryError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def _fault(error: BaseException) -> str:
    """As it stands in brackets behind a name."""
    said = (error.strerror if isinstance(error, OSError) else sentence(error)) or type(error).__name__
    return said[0].lower() + said[1:].rstrip(".")


def _once(files: Sequence[Found]) -> tuple[list[Found], dict[str, tuple[str, ...]]]:
    """Objects that are there in several formats once; reason -> names of the other files."""
    best: dict[str, Found] = {}
    for file in files:
        stem = str(PurePosixPath(file.name).with_suffix(""))
        known = best.setdefault(stem, file)
        if MESHES.index(_suffix(file)) < MESHES.index(_suffix(known)):
            best[stem] = file
    kept = set(best.values())
    others = tuple(file.name for file in files if file not in kept)
    return [f for f in files if f in kept], {
        "the same name in another format is read": others
    } if others else {}


def _suffix(file: Found) -> str:
    return PurePosixPath(file.name).suffix.lower()


def _met_before(grids: Array, rows: Sequence[Array]) -> list[str]:
    """What to say of test shapes that training has seen: an object twice, or two that only a finer grid tells apart."""
    cells = np.packbits(grids, axis=-1).reshape(len(grids), -1)
    seen = {cells[i].tobytes() for i in rows[0]}
    met = sum(cells[i].tobytes() in seen for i in rows[2])
    return (
        [f"{met:,} of {len(rows[2]):,} test shapes are the same, cell for cell, as one to train on"]
        if met
        else []
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """Names of the files below a folder or in a ``.zip``, relative to it, and how to read one."""
    if path.is_dir():
        yield list_files(path), lambda name: _limited(path / name, (path / name).stat().st_size).read_bytes()
        return
    if not _is_archive(path):
        raise DataError(f"{path.name} is neither a folder nor a .zip of meshes")
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path.name} is damaged, or no .zip: fetch it again, or unpack it and name the folder"
        )
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        yield list(sizes), lambda name: archive.read(_limited(name, sizes[name]))


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def _limited(file: T, size: int) -> T:
    """A file of so many bytes, unless it is too large."""
    if size > MAX_MESH_BYTES:
        raise ValueError(f"larger than {MAX_MESH_BYTES / 1e6:g} MB; reduce its faces")
    return file
