"""Streamed folders: the middle square of each file, random parts for training, divided as in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.datasets import DataError, load_images
from training.streamed import StreamedImages, middle, random_box, stream_images


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
    streamed, held = stream_images(folder, 24, None), load_images(str(folder), size=24)
    assert streamed.classes == held.classes == ("kind0", "kind1", "kind2", "kind3")
    for part in ("train", "validation", "test"):
        ours, theirs = getattr(streamed, part), getattr(held, part)
        assert torch.equal(ours.labels, theirs.labels)
        assert ours.images.shape == theirs.images.shape
    whole = torch.cat(list(streamed.train.images.split(7)))
    assert whole.dtype == torch.uint8
    colour = whole.float().mean((2, 3))
    strongest = torch.where(colour.min(1).values > 200, 3, colour.argmax(1))
    assert torch.equal(strongest, streamed.train.labels)


def test_crops_are_random_parts_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 200, dtype=np.uint8), (100, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    images = StreamedImages([tmp_path / "ramp.png"], 16, 1)
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
    assert middle(300, 100) == (100, 0, 200, 100)
    for draws in torch.rand(300, 4).tolist():
        left, top, right, bottom = random_box(40, 30, 0.3, *draws)
        assert 0 <= left < right <= 40
        assert 0 <= top < bottom <= 30
        assert (right - left) * (bottom - top) >= 0.25 * 40 * 30


def test_folders_without_classes_and_files_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class folders"):
        stream_images(tmp_path, 16, None)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"x\.png is not a readable image"):
        StreamedImages([tmp_path / "a" / "x.png"], 16, 3)[:1]
