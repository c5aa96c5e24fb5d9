"""The data sets of classifiers: in memory, or streamed from a folder of class folders."""

from __future__ import annotations

from pathlib import Path

from training.datasets import KNOWN, ImageData, load_images
from training.streamed import stream_images

SMALL = 32  # networks of up to this size take small pictures as they are


def load(data: str, size: int, channels: int | None = None) -> ImageData:
    """Train, validation and test by name, file or folder, for networks of ``size`` pixels; always divided alike.

    A folder may hold more than fits in memory (ImageNet's layout): its pictures are decoded as they are needed.

    Raises:
        DataError: unknown, unreadable or unusable data, in one sentence.
    """
    path = Path(data).expanduser()
    if data not in KNOWN and path.is_dir():
        return stream_images(path, size, channels)
    return load_images(data, channels=channels, size=size if size > SMALL else None)
