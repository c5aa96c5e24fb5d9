"""Sets of shapes are read alike from grids, folders and archives; what cannot be read is said in one sentence."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from training.datasets import Array, DataError
from training.shapes import holds_shapes, load_shapes, write_shapes


def voxelize(data: bytes, kind: str, size: int) -> Array:
    """A stand-in: the file's first byte says which cell is full."""
    if data == b"broken":
        raise ValueError("the mesh has no faces")
    grid = np.zeros((size, size, size), bool)
    grid[data[0] % size, 0, 0] = True
    return grid


def grids(n: int, size: int = 8) -> Array:
    found = np.zeros((n, size, size, size), np.uint8)
    found[np.arange(n), np.arange(n) % size, 1, 2] = 1
    return found


def mesh_folder(top: Path, layout: str = "{name}/{split}/{i}.off") -> Path:
    for k, name in enumerate(("bed", "chair")):
        for i in range(12):
            split = "train" if i < 9 else "test"
            file = top / layout.format(name=name, split=split, i=f"{name}{i}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes([i + 1 + 20 * k]))
    return top


@pytest.mark.parametrize("packed", [False, True])
def test_grids_are_read_packed_or_not(tmp_path: Path, packed: bool) -> None:
    cells, labels, split = grids(40), np.arange(40) % 2, np.arange(40) // 30
    path = tmp_path / "set.npz"
    kept = np.packbits(cells, axis=-1) if packed else cells
    np.savez(path, grids=kept, labels=labels, split=split, classes=np.array(["bed", "chair"]))
    assert holds_shapes(path)
    data = load_shapes(path, voxelize, seed=0)
    assert data.classes == ("bed", "chair")
    assert (len(data.train) + len(data.validation), len(data.test)) == (30, 10)
    assert data.test.images.shape == (10, 1, 8, 8, 8)
    assert np.array_equal(data.test.images[:, 0].numpy(), cells[30:] * 255)


@pytest.mark.parametrize(
    "layout", ["{name}/{split}/{i}.off", "{split}/{name}/{i}.off", "Model/{name}/{split}/{i}.off"]
)
def test_folders_and_archives_of_meshes(tmp_path: Path, layout: str) -> None:
    folder = mesh_folder(tmp_path / "meshes", layout)
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "junk.off").write_bytes(b"broken")
    archive = tmp_path / "meshes.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for file in sorted(folder.rglob("*.off")):
            out.write(file, file.relative_to(folder))
    for path in (folder, archive):
        assert holds_shapes(path)
        data = load_shapes(path, voxelize, size=8, seed=0)
        assert data.classes == ("bed", "chair")
        assert (len(data.train) + len(data.validation), len(data.test)) == (18, 6)
        assert data.test.labels is not None
        assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_meshes_written_once_are_the_same_set(tmp_path: Path) -> None:
    folder, output = mesh_folder(tmp_path / "meshes"), tmp_path / "set.npz"
    assert write_shapes(folder, output, voxelize, 8) == 24
    first, second = (load_shapes(path, voxelize, size=8) for path in (folder, output))
    assert np.array_equal(first.test.images.numpy(), second.test.images.numpy())
    assert first.classes == second.classes
    assert sorted(p.name for p in tmp_path.iterdir()) == ["meshes", "set.npz"]


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    folder = mesh_folder(tmp_path / "flat", "{i}.stl")
    data = load_shapes(folder, voxelize, size=8)
    assert data.train.labels is None
    assert len(data.train) + len(data.validation) + len(data.test) == 24


def test_images_are_not_shapes(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((4, 8, 8), np.uint8))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(b"png")
    (tmp_path / "broken.npz").write_bytes(b"PK not an archive")
    for name in ("images.npz", "folder", "broken.npz", "missing.npz"):
        assert not holds_shapes(tmp_path / name)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "flat.npz", grids=np.zeros((4, 8, 8), np.uint8))
    np.savez(tmp_path / "empty.npz", grids=np.concatenate([grids(20), np.zeros((1, 8, 8, 8), np.uint8)]))
    folder = mesh_folder(tmp_path / "meshes")
    (folder / "bed" / "train" / "zzz.off").write_bytes(b"broken")
    for path, sentence in (
        (tmp_path / "flat.npz", r"grids must be \(N, S, S, S\)"),
        (tmp_path / "empty.npz", "shape 20 is empty"),
        (folder, "bed/train/zzz.off: the mesh has no faces"),
    ):
        with pytest.raises(DataError, match=sentence):
            load_shapes(path, voxelize, size=8)
