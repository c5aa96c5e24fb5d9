"""What the tabs of shapes share: a scene that is steered, its numbers, and how it is written into a link.

Immutable: every act makes a new scene. A scene is what a visitor looks at, its code, and where they have steered to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from affinevae import Code
from affinevae.explore import typical_code
from demo.models.registry import Loaded
from demo.uploads.values import read_number

CODE_RANGE = 10.0  # of a shape number; a posterior mean lies within 5
POSE_RANGE = 7.0  # of a number of the pose; a full turn is 6.28
MAX_SEED = 2**31 - 1
REACH = 3.0  # of a slider: 99.7 % of the prior
NO_PIN = "Pin a picture first: the walk goes from the pinned one to the one now."
Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """A code as the visitor steers it: shape numbers ``z`` and the numbers of the ``pose`` that the page shows."""

    z: Numbers
    pose: Numbers


@dataclass(frozen=True)
class Scene:
    """``start`` says where it came from: an upload, a sample, a code, example-NUMBER; in 2D also a drawing."""

    model: str
    start: str
    image: Tensor  # (1, C, *size)
    code: Code
    order: tuple[int, ...]  # latents, those that matter most first
    encoded: Point
    now: Point
    seed: int = 0
    pinned: Point | None = None


S = TypeVar("S", bound=Scene)


def rounded_shape(z: Sequence[float]) -> Numbers:
    """The nearest numbers that a link can carry."""
    return tuple(round(v, 3) + 0.0 for v in z)


def random_code(loaded: Loaded, seed: int) -> tuple[list[float], list[float]]:
    """A shape from where real codes lie, or from the prior of a model without a map, and a pose from the prior."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(1, loaded.model.config.latent_dim, generator=generator)
    if loaded.map is not None:
        z = typical_code(loaded.map, generator)
    return z[0].tolist(), loaded.model.group.sample(1, generator)[0].tolist()


def next_seed(seed: int) -> int:
    return seed + 1 if seed < MAX_SEED else 0


# ---- steering ----


def with_orientation(scene: S, point: Point, seed: int) -> S:
    """This shape, turned otherwise."""
    return replace(scene, now=replace(scene.now, pose=point.pose), seed=seed)


def keeping(scene: S, other: S, first: S) -> S:
    """What stays when something ``other`` is looked at: the seed and what is pinned.

    What the tab opened with (``first``) gives way: it pins the one of its two that is not looked at, so that a walk
    leads somewhere.
    """
    pinned, pair = scene.pinned, (first.now, first.pinned)
    if pinned == other.now and pinned in pair:
        pinned = pair[0] if pinned == pair[1] else pair[1]
    return replace(other, seed=scene.seed, pinned=pinned)


def is_steered(scene: Scene) -> bool:
    """Whether the visitor moved away from what came in."""
    return scene.now != scene.encoded


def reset(scene: S) -> S:
    return replace(scene, now=scene.encoded)


def pin(scene: S) -> S:
    """Keep what is shown; pinning the same thing again lets it go."""
    return replace(scene, pinned=None if scene.pinned == scene.now else scene.now)


# ---- links ----


def write_point(z: Sequence[float], pose: Mapping[str, float]) -> dict[str, str]:
    return {"z": ",".join(f"{v:g}" for v in z)} | {name: f"{value:g}" for name, value in pose.items()}


def read_pose(query: Mapping[str, str], prefix: str, limits: Mapping[str, float]) -> list[float]:
    """The pose's numbers of a link, each within its limit; 0 for those that are not there."""
    return [read_number(query.get(prefix + n, 0), n, -limit, limit) for n, limit in limits.items()]
