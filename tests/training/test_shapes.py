"""Sets of shapes are read alike from grids, folders and archives; what cannot be read is said in one sentence."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

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
    assert write_shapes(folder, output, voxelize, 8).read == 24
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


def lay(top: Path, *names: str) -> Path:
    """A tree of files, each with a byte of its own, "broken" where its name says so."""
    for i, name in enumerate(names):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"broken" if "broken" in name else bytes([i % 8]))
    return top


def zipped(folder: Path) -> Path:
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as out:
        for file in sorted(folder.rglob("*")):
            out.write(file, file.relative_to(folder))
    return archive


FILES = ("m.obj", "m.mtl", "t.jpg", "m.stl")
LAYOUTS = {
    "ShapeNet": [f"{c}/{i}{c}/models/model_normalized.obj" for c in ("bed", "chair") for i in range(8)],
    "ShapeNet in a folder": [f"Core/v2/{c}/{i}/models/model.obj" for c in ("bed", "chair") for i in range(8)],
    "capitals": [f"{c}/{c}{i}.{kind}" for c in ("bed", "chair") for i, kind in enumerate(["STL", "Obj"] * 4)],
    "litter": [
        f"{c}/{name}" for c in ("bed", "chair") for name in [*(f"{i}.ply" for i in range(8)), "._0.ply", ".old/7.ply"]
    ],
    "textures and formats": [
        *(f"{c}/{i}/{name}" for c in ("bed", "chair") for i in range(8) for name in FILES),
        "bed/8/m.fbx", "chair/8/m.gltf", "chair/9/m.step", "README.md",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_people_have_is_two_classes_of_eight(name: str, tmp_path: Path) -> None:
    folder = lay(tmp_path / "set", *LAYOUTS[name])
    for path in (folder, zipped(folder)):
        assert holds_shapes(path)
        data = load_shapes(path, voxelize, size=8)
        assert data.classes == ("bed", "chair")
        assert data.report.read == 16
        assert sum(sum(counts.values()) for counts in data.report.classes.values()) == 16
        assert data.report.found == len(LAYOUTS[name])
        said = "\n".join(data.report.sentences())
        assert "class folders" in said
        assert ("FBX is not read, export it as GLB (bed/8/m.fbx)" in said) == (name == "textures and formats")
        assert ("16 left out: the same name in another format" in said) == (name == "textures and formats")
        assert ("4 left out: hidden" in said) == (name == "litter")


def test_links_are_followed(tmp_path: Path) -> None:
    store = lay(tmp_path / "store", *(f"{i}.off" for i in range(8)))
    (tmp_path / "set" / "bed").mkdir(parents=True)
    (tmp_path / "set" / "chair").symlink_to(store)
    for file in store.iterdir():
        (tmp_path / "set" / "bed" / file.name).symlink_to(file)
    assert load_shapes(tmp_path / "set", voxelize, size=8).report.read == 16


def test_all_that_cannot_be_read_is_named_or_left_out(tmp_path: Path) -> None:
    folder = lay(tmp_path / "set", *(f"{c}/{i}.off" for c in ("bed", "chair") for i in range(8)), "bed/broken.off",
                 "chair/broken too.stl")  # fmt: skip
    (folder / "chair" / "gone.ply").symlink_to(tmp_path / "nowhere")
    sentence = (
        "set: 3 of 19 meshes cannot be read: bed/broken.off (the mesh has no faces), chair/broken too.stl (the mesh "
        "has no faces), chair/gone.ply (no such file or directory); mend them"
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        load_shapes(folder, voxelize, size=8, advice="mend them")
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        write_shapes(folder, tmp_path / "out.npz", voxelize, 8, advice="mend them")
    report = write_shapes(folder, tmp_path / "out.npz", voxelize, 8, leave_out=True)
    assert (report.found, report.read) == (19, 16)
    assert (
        "2 left out: cannot be read: the mesh has no faces (bed/broken.off, chair/broken too.stl)"
        in report.sentences()
    )
    assert load_shapes(tmp_path / "out.npz", voxelize).report.read == 16
    nothing = lay(tmp_path / "all", *(f"broken{i}.off" for i in range(4)))
    with pytest.raises(DataError, match="4 of 4 meshes cannot be read"):
        write_shapes(nothing, tmp_path / "none.npz", voxelize, 8, leave_out=True)
    assert not (tmp_path / "none.npz").exists()


def test_members_of_an_archive_may_be_broken(tmp_path: Path) -> None:
    archive = zipped(lay(tmp_path / "set", *(f"{i}.off" for i in range(8))))
    data = bytearray(archive.read_bytes())
    data[data.index(b"3.off") + 5] ^= 0xFF  # the content, whose sum is no longer right
    archive.write_bytes(data)
    with pytest.raises(DataError, match=r"1 of 8 meshes cannot be read: 3\.off \(bad CRC"):
        load_shapes(archive, voxelize, size=8)
    archive.write_bytes(bytes(data[:-30]))
    for read in (holds_shapes, lambda path: write_shapes(path, tmp_path / "a.npz", voxelize)):
        with pytest.raises(DataError, match=r"set\.zip is damaged, or no \.zip"):
            read(archive)


def test_folders_of_other_formats_are_told_what_works(tmp_path: Path) -> None:
    folder = lay(tmp_path / "set", "bed/0.fbx", "bed/1.dae", "bed/t.txt")
    assert holds_shapes(folder)
    with pytest.raises(DataError, match=r"no meshes .*FBX is not read, export it as GLB \(bed/0.fbx\)"):
        load_shapes(folder, voxelize)
    lay(folder, "bed/a.png")
    assert not holds_shapes(folder)


def test_a_stray_mesh_is_no_set(tmp_path: Path) -> None:
    folder = lay(
        tmp_path / "set",
        "bed/0.stl",
        *(f"bed/{i}.jpg" for i in range(5)),
        *(f"cat/{i}.png" for i in range(4)),
    )
    with pytest.raises(
        DataError, match="holds 1 mesh, and three are the fewest.*on its 9 pictures take the meshes out"
    ):
        load_shapes(folder, voxelize)


def test_sizes_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    for size in (4, 100):
        with pytest.raises(DataError, match=f"8 to 64 cells a side, not {size}"):
            load_shapes(lay(tmp_path / "set", "broken.off"), voxelize, size)


def test_a_shape_met_in_training_is_said(tmp_path: Path) -> None:
    parts = (("test", 4), ("train", 6), ("validation", 1))
    folder = lay(tmp_path / "set", *(f"{part}/a/{i}.off" for part, n in parts for i in range(n)))
    notes = load_shapes(folder, voxelize, size=8).report.notes
    assert any("2 of 4 test shapes are the same, cell for cell" in note for note in notes)


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_grids_as_people_save_them(tmp_path: Path) -> None:
    cells = grids(20)
    half = np.where(cells > 0, 0.5, 0.4).astype(np.float32)
    for i, kept in enumerate(
        (cells > 0, cells * 255, cells.astype(np.int64), half, cells[:, None], cells[..., None])
    ):
        words = np.array(["train"] * 12 + ["Test"] * 4 + ["val"] * 4)
        labels = np.array([b"bed", b"chair"] * 10) if i % 2 else np.array(["bed", "chair"] * 10)
        data = load_shapes(npz(tmp_path / f"{i}.npz", grids=kept, split=words, labels=labels), voxelize)
        assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 4)
        assert data.classes == ("bed", "chair")
        assert np.array_equal(data.test.images[:, 0].numpy(), cells[12:16] * 255)


def test_grids_without_a_label_are_left_out_and_said(tmp_path: Path) -> None:
    labels = np.array(["bed", "", "chair", "chair"] * 4 + ["bed", "", "chair", "Chair"])
    data = load_shapes(npz(tmp_path / "set.npz", grids=grids(20), labels=labels), voxelize)
    assert data.classes == ("bed", "chair")
    assert data.report.left_out == {"without a label": tuple(f"shape {i}" for i in range(1, 20, 4))}
    assert "'Chair' is read as 'chair': only the case differs" in data.report.notes


def test_grids_under_another_name_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"if voxels, \(20, 8, 8, 8\), is it, save it as grids"):
        holds_shapes(npz(tmp_path / "set.npz", voxels=grids(20), y=np.arange(20)))


@pytest.mark.parametrize(("arrays", "sentence"), [
    ({"grids": np.zeros((4, 8, 8), np.uint8)}, r"grids must be \(N, S, S, S\)"),
    ({"grids": np.zeros((4, 8, 8, 9), np.uint8)}, r"grids must be \(N, S, S, S\)"),
    ({"pose01": np.zeros((4, 4, 4, 4), np.uint8)}, r"pose01 must be .* S from 8 to 64"),
    ({"grids": np.concatenate([grids(20), np.zeros((2, 8, 8, 8), np.uint8)])}, "2 of 22 .* empty: shape 20, shape 21"),
    ({"grids": grids(20) - 0.5}, "-0.5 to 0.5, not whole numbers.*not distances"),
    ({"grids": grids(20) * 2.5}, "0 to 2.5"),
    ({"grids": grids(20) * np.nan}, "nan to nan"),
    ({"grids": grids(20).astype(str)}, "not numbers"),
    ({"grids": grids(20), "labels": np.arange(19)}, "20 .* but labels of shape"),
    ({"grids": grids(20), "split": np.full(20, "a")}, "split 'a' is none of train, validation and test"),
    ({"grids": grids(20), "split": np.arange(20)}, "split must be"),
    ({"grids": grids(20), "labels": np.array([None] * 20, object)}, "Python objects"),
], ids=range(12))  # fmt: skip
def test_grids_that_are_none_are_refused(arrays: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"set\.npz.*{sentence}"):
        load_shapes(npz(tmp_path / "set.npz", **arrays), voxelize)
