"""The data sets of classifiers: in memory, or streamed from a folder of class folders."""

from __future__ import annotations

from pathlib import Path

from training.datasets import KNOWN, ImageData, load_images
from training.pictures import Preparation
from training.streamed import stream_images

SMALL = 32  # networks of up to this size take small pictures as they are


def load(data: str, how: Preparation, small: bool = False) -> ImageData:
    """Train, validation and test by name, file or folder, prepared as ``how`` says; always divided alike.

    A folder may hold more than fits in memory (ImageNet's layout): its pictures are decoded as they are needed.

    Args:
        how: a model's own preparation; for a new model what is asked for, and the pictures decide the rest.
        small: squares of one size of up to ``SMALL`` pixels stay as they are, where the network's are no larger.

    Raises:
        DataError: unknown, unreadable or unusable data, in one sentence.
    """
    path, kept = Path(data).expanduser(), SMALL if small and (how.size or 0) <= SMALL else 0
    if data not in KNOWN and path.is_dir():
        return stream_images(path, how, kept)
    return load_images(data, how, small=kept)
