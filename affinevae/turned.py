"""Images and shapes in unknown poses, each made from its source by one resampling."""

from __future__ import annotations

import torch
from torch import Tensor

from affinevae import affine, affine3d
from affinevae.groups import get_group
from affinevae.pose import PoseGroup

BATCH = 256  # images turned at once


class Turner:
    """Turns the images of a data set: bytes ``(N, C, h, w)``, or occupancy grids ``(N, 1, R, R, R)``.

    Images are laid in the middle of a frame of ``size`` pixels; shapes are scaled to fill a frame of ``size`` voxels
    whatever their orientation (:func:`affinevae.affine3d.turn`). ``ready`` spends memory to save time when the same
    images are turned again and again.
    """

    def __init__(self, images: Tensor, size: int, ready: bool = False) -> None:
        self.images, self.size, self.dims, self.ready = images, size, images.ndim - 2, ready
        if self.dims == 3:
            self.spheres = affine3d.grid_spheres(images[:, 0] > 127)
        elif ready:
            self.images = torch.cat([to_bytes(self._enlarged(part)) for part in images.split(BATCH)])

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, index: Tensor, matrix: Tensor) -> Tensor:
        """Images ``index`` (B,) under ``group.inverse(pose)`` (B, d, d + 1): floats ``(B, C, size, ...)`` in [0, 1]."""
        chosen = self.images[index]
        if self.dims == 3:
            return affine3d.turn(chosen.float() / 255, self.spheres[index], matrix, self.size)
        return affine.turn(chosen.float() / 255 if self.ready else self._enlarged(chosen), matrix)

    def _enlarged(self, images: Tensor) -> Tensor:
        return affine.enlarge(images.float() / 255, self.size)


def turn_all(images: Tensor, poses: Tensor, group: PoseGroup, size: int) -> Tensor:
    """Turn each image of ``(N, C, ...)`` by its pose (N, P): floats ``(N, C, size, ...)`` in [0, 1]."""
    turner = Turner(images, size)
    parts = zip(torch.arange(len(images)).split(BATCH), poses.split(BATCH), strict=True)
    return torch.cat([turner(index, group.inverse(pose)) for index, pose in parts])


class TurnedImages:
    """Images in unknown poses of a group: index ``(B,)`` to floats ``(B, C, size, ...)`` in [0, 1].

    Each image is turned once, by a pose drawn from ``seed`` that training never sees; with ``anew`` it is turned
    anew at each visit (augmentation: stronger for a plain VAE, and a pose cannot be remembered).
    """

    def __init__(self, images: Tensor, size: int, group: str, seed: int, anew: bool = False) -> None:
        self.group = get_group(group, images.ndim - 2)
        self.poses = self.group.sample(len(images), torch.Generator().manual_seed(seed))
        self.turner = Turner(images, size, ready=True) if anew else None
        self.images = images if anew else to_bytes(turn_all(images, self.poses, self.group, size))

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, index: Tensor) -> Tensor:
        if self.turner is None:
            return self.images[index].float() / 255
        return self.turner(index, self.group.inverse(self.group.sample(len(index))))


def to_bytes(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)
