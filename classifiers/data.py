"""The data sets of classifiers: in memory, or streamed from a folder of class folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from classifiers.imagenet import readable
from training.datasets import KNOWN, ImageData, ImageSplit, load_images
from training.pictures import Preparation
from training.places import place
from training.report import listed
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
    path, kept = None if data in KNOWN else place(data), SMALL if small and (how.size or 0) <= SMALL else 0
    if path is not None and path.is_dir():
        return stream_images(path, how, kept)
    return load_images(data, how, small=kept)


def in_order(data: ImageData, classes: Sequence[str]) -> ImageData:
    """The data with labels as indices into ``classes``, some of which may have no pictures.

    Folders may be called by ImageNet's WordNet ids in place of its names.

    Raises:
        ValueError: no labels, or a class that is none of them.
    """
    names = data.classes if set(data.classes) <= set(classes) else readable(data.classes)
    unknown = [name for name in names if name not in classes]
    if data.test.labels is None or unknown:
        found = f"other classes than the model ({', '.join(unknown[:5])})" if unknown else "no labels"
        raise ValueError(f"{data.name} has {found}: the model knows {listed(classes, 20)}")
    place = torch.tensor([classes.index(name) for name in names])

    def moved(split: ImageSplit) -> ImageSplit:
        return replace(split, labels=None if split.labels is None else place[split.labels])

    train, validation, test = map(moved, (data.train, data.validation, data.test))
    return replace(data, train=train, validation=validation, test=test, classes=tuple(classes))
