"""Pose groups by name."""

from __future__ import annotations

from affinevae import affine, affine3d
from affinevae.pose import PoseGroup

GROUPS: dict[int, dict[str, PoseGroup]] = {2: affine.GROUPS, 3: affine3d.GROUPS}


def get_group(name: str, dims: int = 2) -> PoseGroup:
    """The pose group of that name, of images (``dims=2``) or of voxel shapes; ``ValueError`` names the known ones."""
    if name not in GROUPS[dims]:
        raise ValueError(f"unknown pose group {name!r}: choose one of {', '.join(GROUPS[dims])}")
    return GROUPS[dims][name]
