"""What the page shows of a model, as pure functions: latents by importance, turning, walking, the map.

Nothing here knows the page; every function takes a model and tensors and gives tensors, in one batch each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import roma
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from affinevae.affine import GROUPS, enlarge, turn
from affinevae.model import AffineVAE
from affinevae.picture import extent

MAP = "map.safetensors"
DEFAULT_FILL = 0.7
NEIGHBOURS = 5  # upright codes that say which way is up
ROTATION = ("rot_x", "rot_y", "rot_z")  # names of a pose that begins with a rotation vector


class Map(NamedTuple):
    """Test codes laid out in the plane: ``xy`` (n, 2), ``z`` (n, L), ``label`` (n,) int64."""

    xy: Tensor
    z: Tensor
    label: Tensor


class Upright(NamedTuple):
    """Codes ``z`` (N, L) of upright pictures, and the ``angle`` (N,) in radians at which the model finds each."""

    z: Tensor
    angle: Tensor

    def up(self, z: Tensor) -> Tensor:
        """How far the canonical views of codes ``z`` (B, L) must be turned to stand, ``(B,)`` radians.

        Of the angles of the nearest upright codes the one in their middle: a mean of two opposite ones would lie down.
        """
        nearest = torch.cdist(z, self.z).topk(min(NEIGHBOURS, len(self.z)), 1, largest=False).indices
        angles = self.angle[nearest]  # (B, k)
        between = angles[:, :, None] - angles[:, None]
        apart = torch.atan2(between.sin(), between.cos()).abs().sum(2)
        return angles.gather(1, apart.argmin(1, keepdim=True))[:, 0]


class Sweep(NamedTuple):
    """An image turned through the circle, at T angles.

    ``turned`` is the given extra angle (T,), ``drift`` (T,) how far z went, ``pose`` (T,) how far the inferred angle
    followed; the images (T, C, S, S) are the input, its canonical view and its reconstruction.
    """

    turned: Tensor
    drift: Tensor
    pose: Tensor
    inputs: Tensor
    canonical: Tensor
    reconstruction: Tensor


def upright_of(layout: Map, angles: Mapping[int, float]) -> Upright | None:
    """Which way is up by one angle a class, in radians: codes of the map stand as their classes do; None of none."""
    known = [label in angles for label in layout.label.tolist()]
    if not any(known):
        return None
    kept = torch.tensor(known)
    each = torch.tensor([angles[label] for label in layout.label[kept].tolist()])
    return Upright(layout.z[kept], each)


def read_map(folder: Path, latent_dim: int) -> Map | None:
    """The map that ``python -m affinevae.evaluate`` left in a model's folder, or None.

    Raises:
        ValueError: the file is damaged or belongs to another model.
    """
    path = folder / MAP
    if not path.is_file():
        return None
    try:
        tensors = safetensors.torch.load_file(path)
        found = Map(tensors["xy"].float(), tensors["z"].float(), tensors["label"].long())
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a map: run `python -m affinevae.evaluate` again") from error
    n = len(found.xy)
    if found.xy.shape != (n, 2) or found.z.shape != (n, latent_dim) or found.label.shape != (n,):
        raise ValueError(f"{path} belongs to another model: run `python -m affinevae.evaluate` again")
    return found


def latent_importance(model: AffineVAE, z: Tensor, reach: float = 2.0) -> Tensor:
    """Mean pixel change when each latent goes from ``-reach`` to ``reach`` with the others as in z (1, L): ``(L,)``."""
    low, high = (_each_latent_at(z, torch.full((1,), v)) for v in (-reach, reach))
    first, last = model.decode(torch.cat([low, high]).flatten(0, 1)).chunk(2)
    change: Tensor = (last - first).abs().flatten(1).mean(1)
    return change


def latent_strips(
    model: AffineVAE, z: Tensor, pose: Tensor | None, values: Tensor, latents: Sequence[int] | None = None
) -> Tensor:
    """Each latent of z (1, L) moved through ``values`` (n,), the others kept: ``(L, n, C, *size)``, in one batch.

    Args:
        latents: which ones, in this order; default: all.
    """
    codes = _each_latent_at(z, values).transpose(0, 1)  # (L, n, L)
    codes = codes if latents is None else codes[list(latents)]
    flat = codes.flatten(0, 1)
    images = model.decode(flat, None if pose is None else pose.expand(len(flat), -1))
    return images.unflatten(0, codes.shape[:2])


def _each_latent_at(z: Tensor, values: Tensor) -> Tensor:
    """``(n, L, L)``: entry [k, i] is z with its i-th number replaced by ``values[k]``."""
    eye = torch.eye(z.shape[1])
    return z * (1 - eye) + values[:, None, None] * eye


def turn_images(image: Tensor, angles: Tensor) -> Tensor:
    """One image ``(1, C, S, S)`` turned counter-clockwise by each angle (T,): ``(T, C, S, S)``, one resampling each."""
    large = enlarge(image, image.shape[-1]).clamp(0, 1).expand(len(angles), -1, -1, -1)
    return turn(large, GROUPS["rotation"].inverse(angles[:, None]))


def turn_sweep(model: AffineVAE, image: Tensor, steps: int = 36, up: float = 0.0) -> Sweep:
    """Turn an image ``(1, C, S, S)`` through 360 degrees and encode every copy; canonical views are turned by ``up``.

    Drift is the distance of z from where it was at 0 degrees, in units of ``sqrt(2 L)``, the distance of two
    unrelated codes of the prior: 0 stands still, 1 has become another shape. Models with different L compare.
    """
    angles = torch.linspace(0, 2 * math.pi, steps + 1)
    inputs = turn_images(image, angles)
    code = model.encode(inputs)
    drift = (code.z - code.z[:1]).norm(dim=1) / math.sqrt(2 * code.z.shape[1])
    pose = code.pose[:, 0] - code.pose[0, 0] if model.group.dim else torch.zeros(len(angles))
    # Around the given turn, so that one image with two right poses is a step of 180 degrees and not a broken line.
    error = pose - angles
    followed = angles + torch.atan2(error.sin(), error.cos()) if model.group.dim else pose
    standing = code.pose.clone()
    if model.group.dim:
        standing[:, 0] -= up
    return Sweep(
        angles,
        drift,
        followed,
        inputs,
        model.straighten(inputs, standing),
        model.decode(code.z, code.pose),
    )


def walk_codes(
    model: AffineVAE,
    start: tuple[Tensor, Tensor],
    end: tuple[Tensor, Tensor],
    shape: Tensor,
    orientation: Tensor,
) -> tuple[Tensor, Tensor]:
    """Codes ``(n, L)`` and poses ``(n, P)`` part of the way from ``start`` to ``end``, each (1, L) and (1, P).

    ``shape`` and ``orientation`` (n,) in [0, 1] say how far each has moved. z moves along a straight line, angles
    the short way round, rotations of space about one axis.
    """
    (z0, pose0), (z1, pose1) = start, end
    z, part = z0 + shape[:, None] * (z1 - z0), orientation[:, None]
    if model.group.names[:3] != ROTATION:
        way = model.group.wrap(pose1 - pose0) if model.group.dim else pose1 - pose0
        return z, pose0 + part * way
    turned = roma.rotvec_slerp(pose0[0, :3], pose1[0, :3], orientation)
    return z, torch.cat([turned, pose0[:, 3:] + part * (pose1 - pose0)[:, 3:]], 1)


def yaw_pitch_roll(rotation: Tensor) -> Tensor:
    """Rotation vectors ``(B, 3)`` as turns about z, the new y and the newest x, in radians, pitch within +-pi/2.

    Looking straight up or down, where only yaw and roll together are known, all of it is given to yaw.
    """
    return roma.rotvec_to_euler("ZYX", rotation.double())  # type: ignore[no-any-return]


def rotation_vector(angles: Tensor) -> Tensor:
    """The inverse of :func:`yaw_pitch_roll`, for any angles: ``(B, 3)``, of length at most pi."""
    return roma.euler_to_rotvec("ZYX", angles.double())  # type: ignore[no-any-return]


def walk_grid(
    model: AffineVAE,
    start: tuple[Tensor, Tensor],
    end: tuple[Tensor, Tensor],
    rows: int = 5,
    columns: int = 7,
) -> Tensor:
    """Shape moves along the columns, orientation along the rows: ``(rows, columns, C, S, S)``."""
    orientation, shape = torch.meshgrid(
        torch.linspace(0, 1, rows), torch.linspace(0, 1, columns), indexing="ij"
    )
    codes = walk_codes(model, start, end, shape.flatten(), orientation.flatten())
    return model.decode(*codes).unflatten(0, (rows, columns))


def walk_frames(
    model: AffineVAE, start: tuple[Tensor, Tensor], end: tuple[Tensor, Tensor], steps: int = 12
) -> Tensor:
    """Frames of a walk there and back: the shape first, then the orientation. ``(4 steps, C, S, S)``."""
    ramp = 0.5 - 0.5 * torch.cos(torch.linspace(0, math.pi, steps))
    still = torch.ones(steps)
    shape = torch.cat([ramp, still, still, ramp.flip(0)])
    orientation = torch.cat([0 * still, ramp, ramp.flip(0), 0 * still])
    return model.decode(*walk_codes(model, start, end, shape, orientation))


def code_at(codes: Map, point: Tensor, neighbours: int = 6) -> Tensor:
    """The code at a point (2,) of the map: the mean of its nearest codes, weighted by inverse distance. ``(1, L)``."""
    distance, index = (codes.xy - point).norm(dim=1).topk(min(neighbours, len(codes.xy)), largest=False)
    weight = 1 / (distance + 1e-3 * codes.xy.std())
    return (weight[:, None] * codes.z[index]).sum(0, keepdim=True) / weight.sum()


def typical_code(codes: Map, generator: torch.Generator, neighbours: int = 6) -> Tensor:
    """A random code from where real ones lie: somewhere between a test code and one near it. ``(1, L)``.

    The prior reaches places that no shape occupies, the more of them the more latents there are; sampling from the
    codes' own distribution avoids them (Ghosh et al. 2020, arXiv:1903.12436).
    """
    start = codes.z[torch.randint(len(codes.z), (1,), generator=generator)]
    near = (codes.z - start).norm(dim=1).topk(min(neighbours + 1, len(codes.z)), largest=False).indices
    end = codes.z[near[torch.randint(len(near), (1,), generator=generator)]]
    return start + torch.rand(1, generator=generator) * (end - start)


def residual_picture(image: Tensor, reconstruction: Tensor) -> Tensor:
    """What was left over, ``(C, S, S)`` each -> ``(3, S, S)``: orange was missed, blue was invented, black fits."""
    difference = (image - reconstruction).mean(0)
    orange, blue = torch.tensor([1.0, 0.62, 0.1]), torch.tensor([0.25, 0.65, 1.0])
    return difference.clamp_min(0) * orange[:, None, None] + (-difference).clamp_min(0) * blue[:, None, None]


def typical_fill(model: AffineVAE, codes: Tensor | None = None, count: int = 64) -> float:
    """How much of the frame the training data fills, by the model's own pictures: largest extent over side.

    Args:
        codes: real codes ``(n, L)``; samples of the prior without them.
    """
    images = model.sample(count) if codes is None else model.decode(codes[:: max(1, len(codes) // count)])
    masks = images.amax(1).numpy() > 0.5
    found = [extent(np.argwhere(mask) * 1.0) + 1 for mask in masks if mask.any()]
    fill = float(np.median(found)) / images.shape[-1] if found else DEFAULT_FILL
    return fill if 0.5 <= fill <= 0.95 else DEFAULT_FILL
