"""The data sets of affine VAEs: images, or voxel shapes where the data hold shapes or meshes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from affinevae.model import LIMITS
from training.datasets import KNOWN, ImageData, load_images
from training.pictures import Preparation, has_bright_border
from training.places import place
from training.shapes import holds_shapes, load_shapes

SCALED = 60  # pixels a side of pictures that cannot stay as they are, where nobody asks for another size
ADVICE = (
    "replace them or take them out, or write the others once with `python -m affinevae.voxels --source MESHES --output "
    "MESHES.npz --leave-out-unreadable` and train on that"
)
FEW = 0.05  # of the pictures, which do not make the set a mixed one


def load(
    data: str, channels: int | None = None, size: int | None = None, learned: Preparation | None = None
) -> ImageData:
    """Train, validation and test by name, file or folder; always divided alike.

    Args:
        size: of the frame. Meshes are voxelised to it, 32 if left out. Pictures that are all squares of one size that
            fits stay as they are; others are scaled to fill it, on their border's colour; ``SCALED`` if left out.
        learned: how a trained model's pictures were prepared, which is done again.

    Grey pictures on paper are inverted: a frame is black outside of its picture.

    Raises:
        DataError: unknown, unreadable or unusable data, in one sentence.
    """
    path = None if data in KNOWN else place(data)
    if path is not None and holds_shapes(path):
        from affinevae.voxels import voxelize_file  # trimesh takes a second to import

        return load_shapes(path, voxelize_file, size or 32, seed=0, advice=ADVICE)
    if learned is not None:
        return load_images(data, learned, seed=0)
    how = Preparation(size or SCALED, channels, fit="letterbox", ground="contrast")
    return on_black(load_images(data, how, small=min(size or LIMITS[2], LIMITS[2]), seed=0))


def on_black(data: ImageData) -> ImageData:
    """Grey pictures as bright things on black, where nearly all of the training ones lie on one kind of ground."""
    images = data.train.images
    if images.shape[1] != 1:
        return data
    share = sum(has_bright_border(image[0].numpy()) for image in images) / len(images)
    if FEW < share < 1 - FEW:
        return data
    train, validation, test = (
        replace(part, images=_inverted(part.images)) for part in (data.train, data.validation, data.test)
    )
    report = data.report
    if share > FEW:
        note = "grey on a bright ground is inverted: what is outside of a picture is black"
        report = replace(report, notes=(*report.notes, note))
    prepared = replace(data.prepared, invert=True)
    return replace(data, train=train, validation=validation, test=test, prepared=prepared, report=report)


def _inverted(images: Tensor) -> Tensor:
    bright = torch.tensor([has_bright_border(image[0].numpy()) for image in images], dtype=torch.bool)
    return torch.where(bright[:, None, None, None], 255 - images, images) if bright.any() else images
