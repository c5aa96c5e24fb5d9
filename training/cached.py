"""What is made once of every example, and read many times: rows in a file beside the run, safe to delete.

Photos are decoded and scaled once, and later crops are cut from what was kept. A file holds rows one after the other,
so its length says how many are done: what was killed goes on, and what is missing is made again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets import as_picture
from training.pictures import Array, Part, Preparation, prepare
from training.progress import Steps, say
from training.streamed import StreamedImages

CACHE = "cache"  # inside a run's folder
MOST = 16 * 2**30  # bytes of pictures that are kept; of the free disk half at most
BLOCK = 256  # rows that are written at once


def digest(*identity: Any) -> str:
    """What tells rows of other examples, or made in another way, from these: a part of their file's name."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:12]


def rows(
    path: Path, shape: tuple[int, ...], kind: type, make: Callable[[int, int], Array], what: str
) -> Array:
    """Rows ``shape`` (N, ...) of a file that is read as it is needed, made where it does not hold them yet.

    Args:
        make: rows ``start`` to ``stop``, as an array of that kind of numbers.
        what: a row is, for the line that says how far the work is.

    Raises:
        OSError: they cannot be written; what is complete stays.
    """
    count, each = shape[0], math.prod(shape[1:]) * np.dtype(kind).itemsize
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if path.exists() else "w+b") as file:
        done = min(count, os.fstat(file.fileno()).st_size // each)
        file.seek(done * each)
        file.truncate()
        with Steps(count, done, what) as shown:
            for start in range(done, count, BLOCK):
                made = make(start, min(count, start + BLOCK))
                file.write(np.ascontiguousarray(made, kind).data)
                file.flush()
                shown.advance({}, len(made))
    return np.memmap(path, kind, "r", shape=shape)


class CachedImages(StreamedImages):
    """Stands where :class:`StreamedImages` does; files are decoded once, to squares a little larger than the pictures.

    Random parts are parts of these squares.
    """

    def __init__(self, images: StreamedImages, folder: Path, margin: float) -> None:
        super().__init__(images.files, images.how)
        _, channels, side, _ = images.shape
        side = round(side * margin)
        whole = replace(self.how, size=side)

        def make(start: int, stop: int) -> Array:
            return np.stack(list(self.workers.map(lambda i: images.prepared(i, whole), range(start, stop))))

        shape = (len(self), side, side, channels)
        self.kept = rows(_file(images, folder, side), shape, np.uint8, make, "decoded picture")

    def prepared(self, place: int, how: Preparation, part: Part | None = None) -> Array:
        # What is kept has been inverted already, where that was wanted.
        return prepare(as_picture(self.kept[place]), replace(how, invert=False), part)


def _file(images: StreamedImages, folder: Path, side: int) -> Path:
    states = [
        (str(file), state.st_size, state.st_mtime_ns) for file in images.files if (state := file.stat())
    ]
    return folder / f"{digest(states, side, asdict(images.how))}.pixels"


def cached(images: Any, folder: Path, margin: float) -> Any:
    """Pictures that are streamed from files, kept in ``folder`` if they fit there; any others as they are.

    Args:
        margin: side of what is kept, as a multiple of the pictures'.
    """
    if not isinstance(images, StreamedImages) or isinstance(images, CachedImages):
        return images
    channels, side = images.shape[1], round(images.shape[2] * margin)
    needed = len(images) * side * side * channels
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    kept = _file(images, folder, side)
    room = min(MOST, shutil.disk_usage(there).free // 2 + (kept.stat().st_size if kept.exists() else 0))
    streamed = f"{needed / 1e9:,.1f} GB: they are decoded anew for each epoch"
    if needed > room:
        say(f"{len(images):,} pictures are not kept decoded, for want of {streamed}")
        return images
    try:
        return CachedImages(images, folder, margin)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        kept.unlink(missing_ok=True)
        say(f"the disk is full, which has no room for decoded pictures of {streamed}")
        return images
