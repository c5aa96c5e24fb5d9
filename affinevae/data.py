"""The data sets of affine VAEs: images, or voxel shapes where the data hold shapes or meshes."""

from __future__ import annotations

from pathlib import Path

from training.datasets import ImageData, load_images
from training.pictures import Preparation
from training.shapes import holds_shapes, load_shapes


def load(data: str, channels: int | None = None, size: int | None = None) -> ImageData:
    """Train, validation and test by name, file or folder; always divided alike.

    ``size`` is for meshes: voxels a side, 32 if left out.

    Raises:
        DataError: unknown, unreadable or unusable data, in one sentence.
    """
    path = Path(data).expanduser()
    if holds_shapes(path):
        from affinevae.voxels import voxelize_file  # trimesh takes a second to import

        return load_shapes(path, voxelize_file, size or 32, seed=0)
    return load_images(data, Preparation(channels=channels, ground="contrast"), seed=0)
