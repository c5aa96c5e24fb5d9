"""Folders of images that need not fit in memory: a picture is decoded when a batch asks for it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.datasets import (
    IMAGE_SUFFIXES,
    SPLITS,
    TRAIN,
    Array,
    DataError,
    ImageData,
    ImageSplit,
    Table,
    decode,
    divide,
    folders,
    index_labels,
    labelled_files,
)

# Side of a crop, as a box (left, top, right, bottom) of a picture (width, height)
Box = tuple[int, int, int, int]


class StreamedImages(Sequence[Tensor]):
    """Stands where ``ImageSplit.images`` does: N pictures (C, size, size) uint8, the middle square of each file."""

    def __init__(self, files: Sequence[Path], size: int, channels: int) -> None:
        self.files, self.size, self.channels = list(files), size, channels
        self.workers = ThreadPoolExecutor(
            os.cpu_count() or 1
        )  # Pillow decodes without the interpreter's lock

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.files), self.channels, self.size, self.size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: slice) -> Tensor:  # type: ignore[override]
        """Pictures (n, C, size, size) of a slice."""
        return self.decoded(self.files[rows], [None] * len(self.files[rows]))

    def split(self, count: int) -> Iterator[Tensor]:
        """Batches of ``count``, in order."""
        return (self[start : start + count] for start in range(0, len(self), count))

    def random_crops(self, index: Tensor, min_area: float) -> Tensor:
        """Pictures ``index`` (B,), each a random part of its file: ``min_area`` of it to all, a little wide or tall.

        Szegedy et al. 2015 (arXiv:1409.4842). Draws from torch's generator, so a seed makes it the same again.
        """
        draws = torch.rand(len(index), 4).tolist()
        return self.decoded([self.files[i] for i in index.tolist()], [(min_area, *d) for d in draws])

    def decoded(self, files: Sequence[Path], crops: Sequence[tuple[float, ...] | None]) -> Tensor:
        """Pictures (n, C, size, size) of files; a crop is ``(min_area, four draws)``, None the middle square."""
        pictures = self.workers.map(self._picture, files, crops)
        return torch.from_numpy(np.stack(list(pictures))).permute(0, 3, 1, 2)

    def _picture(self, file: Path, crop: tuple[float, ...] | None) -> Array:
        pixels = decode(file, file.name)
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        box = middle(*image.size) if crop is None else random_box(*image.size, *crop)
        image = image.convert("L" if self.channels == 1 else "RGB")
        image = image.resize((self.size, self.size), Image.Resampling.BICUBIC, box)
        return np.asarray(image).reshape(self.size, self.size, self.channels)


def middle(width: int, height: int) -> Box:
    """The largest square in the middle."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def random_box(
    width: int, height: int, min_area: float, area: float, shape: float, across: float, down: float
) -> Box:
    """A box of ``min_area`` to all of the area, 3:4 to 4:3, anywhere; the last four are draws in [0, 1)."""
    wanted = (min_area + (1 - min_area) * area) * width * height
    ratio = math.exp((2 * shape - 1) * math.log(4 / 3))
    wide = min(width, max(1, round(math.sqrt(wanted * ratio))))
    tall = min(height, max(1, round(math.sqrt(wanted / ratio))))
    left, top = int(across * (width - wide + 1)), int(down * (height - tall + 1))
    return left, top, left + wide, top + tall


def stream_images(folder: Path, size: int, channels: int | None, seed: int = 0) -> ImageData:
    """A folder of class folders (below train/, validation/, test/ or not), divided as ``load_images`` divides it.

    Raises:
        DataError: no images, or none with a class.
    """
    parts = [(SPLITS[d.name.lower()], d) for d in folders(folder) if d.name.lower() in SPLITS]
    parts = parts if TRAIN in dict(parts) else [(TRAIN, folder)]
    found = [(f, label, code) for code, top in parts for f, label in labelled_files(top) if label is not None]
    if not found:
        raise DataError(f"folder {folder.name} holds no class folders of {', '.join(sorted(IMAGE_SUFFIXES))}")
    files, words, codes = zip(*found, strict=True)
    labels, classes = index_labels(Table((), list(words)), len(files), folder.name)
    assert labels is not None

    def part(rows: Array) -> ImageSplit:
        images = StreamedImages([files[i] for i in rows], size, channels or 3)
        return ImageSplit(images, torch.from_numpy(labels[rows]))  # type: ignore[arg-type]

    train, held, test = map(part, divide(np.array(codes), labels, len(files), None, seed, folder.name))
    return ImageData(train, held, test, classes, folder.name, None, folder.name)
