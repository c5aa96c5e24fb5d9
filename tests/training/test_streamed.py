"""Streamed folders: the middle square of each file, random parts for training, divided as in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training import streamed as module
from training.datasets import DataError, ImageData, load_images
from training.pictures import Preparation
from training.streamed import StreamedImages, random_box, stream_images

Load = Callable[..., ImageData]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four classes told by colour, in pictures of all shapes and kinds."""
    for i in range(80):
        kind = i % 4
        colour = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 250)][kind]
        path = tmp_path / "data" / f"kind{kind}" / f"{i:02}.{'png' if i % 3 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + i, 70 - i // 2), colour).save(path)
    return tmp_path / "data"


def test_a_folder_is_divided_as_in_memory_and_decoded_when_asked(folder: Path) -> None:
    streamed, held = stream_images(folder, Preparation(24)), load_images(str(folder), Preparation(24))
    assert streamed.classes == held.classes == ("kind0", "kind1", "kind2", "kind3")
    for part in ("train", "validation", "test"):
        ours, theirs = getattr(streamed, part), getattr(held, part)
        assert torch.equal(ours.labels, theirs.labels)
        assert torch.equal(torch.cat(list(ours.images.split(7))), theirs.images)
    whole = torch.cat(list(streamed.train.images.split(7)))
    assert whole.dtype == torch.uint8
    colour = whole.float().mean((2, 3))
    strongest = torch.where(colour.min(1).values > 200, 3, colour.argmax(1))
    assert torch.equal(strongest, streamed.train.labels)


def test_crops_are_random_parts_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 200, dtype=np.uint8), (100, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    images = StreamedImages([tmp_path / "ramp.png"], Preparation(16, 1))
    index = torch.zeros(40, dtype=torch.long)
    torch.manual_seed(0)
    first = images.random_crops(index, 0.2)
    torch.manual_seed(0)
    assert torch.equal(first, images.random_crops(index, 0.2))
    spread = first.float().amax((1, 2, 3)) - first.float().amin((1, 2, 3))
    assert spread.min() > 40  # a fifth of the area or more
    assert spread.unique().numel() > 10
    centre = images[:1].float()
    assert 60 < centre.min() < 70  # the middle hundred of two hundred columns
    assert 185 < centre.max() < 195


def test_boxes_lie_within_the_picture() -> None:
    for draws in torch.rand(300, 4).tolist():
        left, top, right, bottom = random_box(40, 30, 0.3, *draws)
        assert 0 <= left < right <= 40
        assert 0 <= top < bottom <= 30
        assert (right - left) * (bottom - top) >= 0.25 * 40 * 30


def test_all_files_that_are_no_pictures_are_named_before_training(folder: Path) -> None:
    (folder.parent / "nothing").mkdir()
    with pytest.raises(DataError, match="nothing is empty: it holds no images"):
        stream_images(folder.parent / "nothing", Preparation(16))
    content = (folder / "kind0" / "00.jpg").read_bytes()
    (folder / "kind1" / "cut.jpg").write_bytes(content[:-30])
    (folder / "kind2" / "x.PNG").write_bytes(b"no picture")
    (folder / "kind2" / "gone.png").symlink_to(folder / "nowhere")
    with pytest.raises(DataError) as refused:
        stream_images(folder, Preparation(16))
    assert str(refused.value) == (
        "data: 3 of 83 images cannot be read: kind1/cut.jpg (damaged or cut off), kind2/gone.png (there is no image "
        "file of that name), kind2/x.PNG (not a readable image); replace them or take them out"
    )
    with pytest.raises(DataError, match="3 of 83 images cannot be read: kind1/cut.jpg"):
        load_images(str(folder), Preparation(16))


def test_a_large_folder_is_decoded_in_part_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DECODED", 20)
    opened: list[bool] = []
    check = module.check_picture
    monkeypatch.setattr(
        module, "check_picture", lambda file, whole: (opened.append(whole), check(file, whole))[1]
    )
    (folder / "kind1" / "cut.jpg").write_bytes((folder / "kind0" / "00.jpg").read_bytes()[:-30])
    with pytest.raises(DataError, match=r"1 of 81 images cannot be read: kind1/cut.jpg"):
        stream_images(folder, Preparation(16))
    (folder / "kind1" / "cut.jpg").unlink()
    assert 15 < sum(opened) < 30
    assert len(opened) == 81
    assert "one in 4 decoded" in " ".join(stream_images(folder, Preparation(16)).report.sentences())


@pytest.mark.parametrize(
    "load", [stream_images, lambda f, how, small=0: load_images(str(f), how, small=small)]
)
def test_the_report_counts_what_is_there(folder: Path, load: Load) -> None:
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "00.jpg").write_bytes(b"")
    (folder / "kind0" / "._00.jpg").write_bytes(b"")
    (folder / "kind0" / "photo.HEIC").write_bytes(b"")
    (folder / "alone").mkdir()
    Image.new("RGB", (9, 9)).save(folder / "alone" / "1.jfif", "JPEG")
    (folder / "nothing").mkdir()
    data = load(folder, Preparation(16))
    assert data.report.sentences() == [
        "84 images found, 81 read, as class folders",
        "2 left out: hidden, or written by another program (.ipynb_checkpoints/00.jpg, kind0/._00.jpg)",
        "1 left out: HEIC is not read, save them as JPEG or PNG (kind0/photo.HEIC)",
        "train: 65 in 5 classes (alone 1, kind0 16, kind1 16, kind2 16, kind3 16)",
        "validation: 8 in 4 classes (kind0 2, kind1 2, kind2 2, kind3 2)",
        "test: 8 in 4 classes (kind0 2, kind1 2, kind2 2, kind3 2)",
        "folder nothing holds no images: it is left out",
        "prepared: the middle square is scaled to 16 x 16 pixels, transparent parts lie on white",
        "trained on but not tested, for want of images: alone",
    ]


def test_small_squares_stay_as_they_are_where_that_is_asked(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / f"c{i % 2}").mkdir(exist_ok=True)
        Image.new("L", (12, 12), 9 * i).save(tmp_path / f"c{i % 2}" / f"{i}.png")
    for small, size in ((0, 24), (8, 24), (16, 12)):
        data = stream_images(tmp_path, Preparation(24), small)
        assert data.train.images.shape[1:] == (1, size, size)
        assert data.prepared == Preparation(size, 1)
        assert torch.equal(
            load_images(str(tmp_path), Preparation(24), small=small).test.images, data.test.images[:9]
        )
