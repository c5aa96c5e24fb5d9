"""The data sets of affine VAEs: images, or voxel shapes where the data hold shapes or meshes."""

from __future__ import annotations

from pathlib import Path

from training.datasets import ImageData, load_images
from training.pictures import Preparation
from training.shapes import holds_shapes, load_shapes

ADVICE = (
    "replace them or take them out, or write the others once with `python -m affinevae.voxels --source MESHES --output "
    "MESHES.npz --leave-out-unreadable` and train on that"
)


def load(data: str, channels: int | None = None, size: int | None = None) -> ImageData:
    """Train, validation and test by name, file or folder; always divided alike.

    ``size`` is for meshes: voxels a side, 32 if left out.

    Raises:
        DataError: unknown, unreadable or unusable data, in one sentence.
    """
    path = Path(data).expanduser()
    if holds_shapes(path):
        from affinevae.voxels import voxelize_file  # trimesh takes a second to import

        return load_shapes(path, voxelize_file, size or 32, seed=0, advice=ADVICE)
    return load_images(data, Preparation(channels=channels, ground="contrast"), seed=0)
