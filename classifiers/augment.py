"""Whole batches cropped, flipped and partly hidden at once, by one gather; nothing is decoded or copied twice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.streamed import StreamedImages


@dataclass(frozen=True)
class Augment:
    """What training pictures go through.

    Args:
        flip: mirror left and right, half of the time.
        shift: pixels to move by at most, either way; the border is mirrored in.
        min_area: of pictures streamed from files: the least part of one that a crop may hold.
        cutout: side of a square that is hidden (DeVries & Taylor 2017, arXiv:1708.04552); 0 for none.
    """

    flip: bool = True
    shift: int = 4
    min_area: float = 0.35
    cutout: int = 0


class Pictures:
    """Training pictures (N, C, H, W) uint8, kept with channels last: what a gather reads lies together.

    Pictures streamed from files are cropped at random, before they are scaled, in place of shifted.
    """

    def __init__(self, images: Tensor | StreamedImages, augment: Augment) -> None:
        height, width = images.shape[-2:]
        if augment.shift >= min(height, width):
            raise ValueError(f"a shift of {augment.shift} is too large for {height} x {width} pixels")
        self.augment = augment
        self.streamed = images if isinstance(images, StreamedImages) else None
        self.images = torch.empty(0) if self.streamed else images.permute(0, 2, 3, 1).contiguous()  # type: ignore[union-attr]
        self.count, self.shape = len(images), (height, width)

    def __len__(self) -> int:
        return self.count

    def __call__(self, index: Tensor) -> Tensor:
        """Pictures ``index`` (B,), each changed at random: floats (B, C, H, W) in [0, 1], channels last."""
        source, places = self.images, index
        if self.streamed is not None:
            source = self.streamed.random_crops(index, self.augment.min_area).permute(0, 2, 3, 1)
            places = torch.arange(len(index))
        count, (height, width) = len(index), self.shape
        rows, columns = self._places(count, height), self._places(count, width)
        if self.augment.flip:
            columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
        batch = source[places[:, None, None], rows[:, :, None], columns[:, None, :]].float() / 255
        if self.augment.cutout:
            hidden = (
                _hole(count, height, self.augment.cutout)[:, :, None]
                & _hole(count, width, self.augment.cutout)[:, None]
            )
            batch = torch.where(hidden[..., None], batch.mean((1, 2), keepdim=True), batch)
        return batch.permute(0, 3, 1, 2)

    def _places(self, count: int, side: int) -> Tensor:
        """Where each row comes from, (B, side): shifted, and mirrored at the ends."""
        shift = 0 if self.streamed is not None else self.augment.shift
        place = torch.arange(side) + torch.randint(-shift, shift + 1, (count, 1))
        place = place.abs()
        return torch.where(place >= side, 2 * (side - 1) - place, place)


def _hole(count: int, side: int, size: int) -> Tensor:
    middle = torch.randint(side, (count, 1))
    return (torch.arange(side) - middle).abs() * 2 < size
