"""What a training begins with where its options leave that open: photos with a pretrained network, others at random."""

from __future__ import annotations

from typing import NamedTuple

from classifiers.backbone import LITE0, PACKAGES, is_installed, load_backbone
from training.datasets import KNOWN, Glance, glance

SCRATCH = "resnet9@0.5:blueprint"
DEFAULT = LITE0  # the backbone of photos
NONE = "none"
SMALL, SIZES = 64, (96, 128)  # pixels: below, pictures are no photos; what photos are scaled to
FEW, LARGE, STEP = 1000, 192, 32  # fewer photos are worth more pixels, up to so many, in such steps


class Choice(NamedTuple):
    """A network, the backbone that it starts from if any, its pixels a side if they were chosen, and why."""

    network: str
    backbone: str | None
    size: int | None
    why: str = ""


def choose(
    data: str,
    network: str | None = None,
    backbone: str | None = None,
    size: int | None = None,
    channels: int | None = None,
    start: str | None = None,
) -> Choice:
    """What the options say; and what they leave open, chosen by the pictures.

    Photos, of 64 pixels or more on the shorter side and in colour, start from ``DEFAULT`` where its package is
    installed. Whoever names a network, a model to start from, fewer pixels or grey ones has chosen.

    Raises:
        DataError: the pictures cannot be looked at.
        WeightsError: a backbone that is named is not there.
    """
    if backbone not in (None, NONE):
        named = load_backbone(backbone).network
        return Choice(network or named, backbone, size or _size(glance(data)))
    chosen = network or start or (size or SMALL) < SMALL or channels == 1
    if backbone == NONE or chosen or data in KNOWN:
        return Choice(network or SCRATCH, None, size)
    seen = glance(data)
    side, grey, _ = seen
    if not side:
        return Choice(SCRATCH, None, size)  # whoever loads them says what is wrong
    if grey or side < SMALL:
        kind = "grey" if grey else f"of {side} pixels"
        return Choice(SCRATCH, None, size, f"pictures {kind} are learned from scratch")
    photos = f"photos of {side} pixels on the shorter side"
    if not is_installed(DEFAULT):
        return Choice(
            SCRATCH,
            None,
            size,
            f"{photos} are learned far better from a pretrained network: `{PACKAGES[DEFAULT].install}`; without it, "
            f"{SCRATCH} is trained from scratch",
        )
    return Choice(
        PACKAGES[DEFAULT].network,
        DEFAULT,
        size or _size(seen),
        f"{photos} start from {DEFAULT}, trained on ImageNet, at {size or _size(seen)} pixels (--backbone none: from "
        "scratch)",
    )


def _size(seen: Glance) -> int:
    """Pixels a side that pictures bear, and enough for a backbone; more of them where pictures are few."""
    usual = SIZES[seen.side >= SIZES[1]]
    return max(usual, min(LARGE, seen.side // STEP * STEP)) if seen.number < FEW else usual
