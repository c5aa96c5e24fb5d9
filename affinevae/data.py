"""The data sets of affine VAEs: images, or voxel shapes where the data hold shapes or meshes."""

from __future__ import annotations

from pathlib import Path

from affinevae.model import LIMITS
from training.datasets import ImageData, load_images
from training.pictures import Preparation
from training.shapes import holds_shapes, load_shapes

SCALED = 60  # pixels a side of pictures that cannot stay as they are, where nobody asks for another size
ADVICE = (
    "replace them or take them out, or write the others once with `python -m affinevae.voxels --source MESHES --output "
    "MESHES.npz --leave-out-unreadable` and train on that"
)


def load(data: str, channels: int | None = None, size: int | None = None) -> ImageData:
    """Train, validation and test by name, file or folder; always divided alike.

    Args:
        size: of the frame. Meshes are voxelised to it, 32 if left out. Pictures that are all squares of one size that
            fits stay as they are; others are scaled to fill it, on their border's colour; ``SCALED`` if left out.

    Raises:
        DataError: unknown, unreadable or unusable data, in one sentence.
    """
    path = Path(data).expanduser()
    if holds_shapes(path):
        from affinevae.voxels import voxelize_file  # trimesh takes a second to import

        return load_shapes(path, voxelize_file, size or 32, seed=0, advice=ADVICE)
    how = Preparation(size or SCALED, channels, fit="letterbox", ground="contrast")
    return load_images(data, how, small=size or LIMITS[2], seed=0)
