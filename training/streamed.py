"""Folders of images that need not fit in memory: a picture is decoded when a batch asks for it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from training.datasets import (
    DataError,
    ImageData,
    ImageSplit,
    Table,
    divide,
    in_threads,
    report_on,
)
from training.folders import list_files, read_layout
from training.labels import read_labels
from training.pictures import (
    OTHERS,
    SUFFIXES,
    Array,
    Box,
    Part,
    PictureError,
    Preparation,
    check_picture,
    decided,
    in_words,
    open_picture,
    prepare,
)
from training.report import refuse_unreadable

DECODED = 50_000  # of a folder's files that are decoded once to be checked; some minutes on one processor
SAMPLE = 512  # pictures that tell what the set is like


class StreamedImages(Sequence[Tensor]):
    """Stands where ``ImageSplit.images`` does: N pictures (C, size, size) uint8, each file as ``how`` prepares it."""

    def __init__(self, files: Sequence[Path], how: Preparation) -> None:
        if how.size is None or how.channels is None:
            raise ValueError("pictures in batches need one size and one number of channels")
        self.files, self.how, self._shape = list(files), how, (how.channels, how.size, how.size)
        # Pillow decodes without the interpreter's lock
        self.workers = ThreadPoolExecutor(os.cpu_count() or 1)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.files), *self._shape

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: slice | Tensor) -> Tensor:  # type: ignore[override]
        """Pictures (n, C, size, size) of a slice, or of indices (n,)."""
        places = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()
        return self.decoded(places, [None] * len(places))

    def split(self, count: int) -> Iterator[Tensor]:
        """Batches of ``count``, in order."""
        return (self[start : start + count] for start in range(0, len(self), count))

    def random_crops(self, index: Tensor, min_area: float) -> Tensor:
        """Pictures ``index`` (B,), each a random part of its file: ``min_area`` of it to all, a little wide or tall.

        Szegedy et al. 2015 (arXiv:1409.4842). Draws from torch's generator, so a seed makes it the same again.
        """
        draws = torch.rand(len(index), 4).tolist()
        return self.decoded(index.tolist(), [(min_area, *d) for d in draws])

    def decoded(self, places: Sequence[int], crops: Sequence[tuple[float, ...] | None]) -> Tensor:
        """Pictures (n, C, size, size) at places; a crop is ``(min_area, four draws)``, None the whole preparation."""
        pictures = self.workers.map(self._picture, places, crops)
        return torch.from_numpy(np.stack(list(pictures))).permute(0, 3, 1, 2)

    def _picture(self, place: int, crop: tuple[float, ...] | None) -> Array:
        part = None if crop is None else lambda width, height: random_box(width, height, *crop)
        return self.prepared(place, self.how, part)

    def prepared(self, place: int, how: Preparation, part: Part | None = None) -> Array:
        """The pixels (H, W, C) of one file."""
        file = self.files[place]
        try:
            return prepare(open_picture(file), how, part)
        except PictureError as error:  # it was whole when it was checked
            raise DataError(f"{file.name} cannot be read any more: {error}") from error


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


def stream_images(folder: Path, how: Preparation, small: int = 0, seed: int = 0) -> ImageData:
    """A folder of images, divided and prepared as :func:`training.datasets.load_images` does, decoded as needed.

    Every file is opened once, and decoded as cheaply as its kind allows, before the first is used.

    Args:
        how: with a size; what else it leaves open is decided by the pictures.
        small, seed: as in ``load_images``.

    Raises:
        DataError: no images, folders that can be read in two ways, or files that cannot be read, all of them named.
    """
    name = folder.resolve().name
    found = read_layout(list_files(folder), SUFFIXES, "images", where=name, others=OTHERS)
    files, words = [folder / file.name for file in found.files], [file.label for file in found.files]
    sizes, grey = _checked(files, [file.name for file in found.files], name)
    if len(sizes) == 1 and len(side := set(next(iter(sizes)))) == 1 and 8 <= min(side) <= small:
        how = replace(how, size=side.pop())
    table = Table((), None if None in words else words, layout=found.layout, left_out=found.left_out)
    table.notes = (*found.notes, *_unchecked(len(files)))
    labels: Array | None = None
    classes: tuple[str, ...] = ()
    if table.labels is not None:
        spelled = read_labels(table.labels, name)
        labels, classes, table.notes = spelled.index, spelled.classes, (*table.notes, *spelled.notes)
    codes = np.array([file.split for file in found.files])
    rows = divide(codes, labels, len(files), None, seed, name)
    sample = [files[i] for i in rows[0][:: max(1, len(rows[0]) // SAMPLE)]]
    plain = replace(how, channels=1, invert=False)
    wanted = how.invert is None and grey and how.channels != 3
    how = decided(how, grey, [prepare(open_picture(file), plain) for file in sample] if wanted else [])

    def part(chosen: Array) -> ImageSplit:
        images = StreamedImages([files[i] for i in chosen], how)
        return ImageSplit(images, None if labels is None else torch.from_numpy(labels[chosen]))  # type: ignore[arg-type]

    train, held, test = map(part, rows)
    scaled = sizes != {(how.size, how.size)}
    if scaled:
        table.notes = (*table.notes, f"prepared: {in_words(how)}")
    report = report_on(table, len(files), labels, classes, rows)
    return ImageData(train, held, test, classes, name, None, name, how, report, scaled)


def _checked(files: Sequence[Path], names: Sequence[str], where: str) -> tuple[set[tuple[int, int]], bool]:
    """Sizes that occur, and whether all pictures are grey by their kind; ``DataError`` names what cannot be read."""
    step = max(1, -(-len(files) // DECODED))

    def check(item: tuple[int, Path]) -> tuple[tuple[int, int], bool] | str:
        number, file = item
        try:
            state = file.stat()
            return _verified(file, state.st_mtime_ns, state.st_size, number % step == 0)
        except OSError as error:
            return (
                "there is no image file of that name" if isinstance(error, FileNotFoundError) else str(error)
            )

    sizes, faults, grey = set(), {}, True
    answers = in_threads(check, enumerate(files))
    progress = track(answers, "checking pictures", len(files), transient=True)
    for name, answer in zip(names, progress, strict=True):
        if isinstance(answer, str):
            faults[name] = answer
        else:
            sizes.add(answer[0])
            grey = grey and answer[1]
    refuse_unreadable(faults, len(files), "images", where)
    return sizes, grey


@lru_cache(2**17)
def _verified(file: Path, changed: int, size: int, whole: bool) -> tuple[tuple[int, int], bool] | str:
    """Once for each state of a file: a command reads its data again to measure what it trained."""
    try:
        return check_picture(file, whole)
    except PictureError as error:
        return str(error)


def _unchecked(count: int) -> list[str]:
    if count <= DECODED:
        return []
    step = -(-count // DECODED)
    return [
        f"every file was opened and its end looked at, one in {step} decoded: a check of all would take long"
    ]
