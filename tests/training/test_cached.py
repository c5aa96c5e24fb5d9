"""What is kept of pictures: the same as without, made once, gone on with, and done without where there is no room."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training import cached as module
from training.cached import CachedImages, cached, rows
from training.pictures import Preparation
from training.streamed import StreamedImages


@pytest.fixture
def images(tmp_path: Path) -> StreamedImages:
    """Pictures of one grey each, in frames of all shapes."""
    files = []
    for i in range(9):
        files.append(tmp_path / f"{i}.png")
        Image.new("RGB", (40 + 3 * i, 60 - 2 * i), (20 * i,) * 3).save(files[-1])
    return StreamedImages(files, Preparation(16, 3))


def test_kept_pictures_are_those_of_the_files(images: StreamedImages, tmp_path: Path) -> None:
    exact, larger = (cached(images, tmp_path / "cache", margin) for margin in (1.0, 1.5))
    assert isinstance(exact, CachedImages)
    assert torch.equal(exact[:], images[:])
    assert torch.equal(larger[torch.tensor([8, 2])], images[torch.tensor([8, 2])])
    assert larger.kept.shape == (9, 24, 24, 3)
    assert larger.files == images.files  # what the fingerprint of a run is made of
    torch.manual_seed(0)
    first = larger.random_crops(torch.arange(9), 0.3)
    assert torch.equal(first, images.random_crops(torch.arange(9), 0.3))  # of one grey, wherever they are cut
    assert cached(torch.zeros(2, 3, 16, 16), tmp_path / "none", 1.0).shape == (2, 3, 16, 16)
    assert not (tmp_path / "none").exists()


def test_files_are_decoded_once_and_again_where_they_changed(
    images: StreamedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    opened = StreamedImages.prepared

    def counted(self: StreamedImages, place: int, *how: object) -> object:
        decoded.append(place)
        return opened(self, place, *how)  # type: ignore[arg-type]

    monkeypatch.setattr(StreamedImages, "prepared", counted)
    cached(images, tmp_path / "cache", 1.0)
    cached(images, tmp_path / "cache", 1.0)
    assert sorted(decoded) == list(range(9))
    Image.new("RGB", (30, 31), (1, 2, 3)).save(images.files[4])
    assert cached(images, tmp_path / "cache", 1.0)[4:5].unique().tolist() == [1, 2, 3]


def test_rows_that_a_kill_cut_short_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    made: list[tuple[int, int]] = []

    def make(start: int, stop: int) -> np.ndarray:
        made.append((start, stop))
        return np.arange(start, stop, dtype=np.float32)[:, None] * np.ones(3, np.float32)

    path = tmp_path / "deep" / "rows"
    whole = np.array(rows(path, (10, 3), np.float32, make, "row"))
    assert whole[:, 0].tolist() == list(range(10))
    with path.open("r+b") as file:
        file.truncate(6 * 12 + 5)  # six rows and a part of one
    made.clear()
    assert np.array_equal(rows(path, (10, 3), np.float32, make, "row"), whole)
    assert made == [(6, 10)]
    assert path.stat().st_size == 120


def test_without_room_pictures_are_decoded_as_they_are_needed(
    images: StreamedImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "rows", full)
        assert cached(images, tmp_path / "cache", 1.0) is images
    assert "the disk is full" in capsys.readouterr().err
    monkeypatch.setattr(module, "MOST", 1000)
    assert cached(images, tmp_path / "cache", 1.0) is images
    assert "9 pictures are not kept decoded" in capsys.readouterr().err
