"""Convolutional encoder and decoder, and the scorers that propose orientations.

The VAE spends its arithmetic where a CPU is fast: one strided convolution turns the picture or the shape into
patches, dense layers do the rest, and one sub-pixel convolution draws the patches back (README, "Design notes").
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinevae.affine3d import cube_rotations, turn_exactly
from affinevae.pose import ANGLES, PoseGroup, Rotations, cell_centres

PATCH = 4  # pixels a patch side; image sizes are multiples of it
CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}


class Residual(nn.Module):
    """``x + W2 silu(W1 x)``; starts as the identity, which lets deep stacks learn from the first step."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(F.silu(self.inner(x)))


class Encoder(nn.Module):
    """Image ``(B, C, S, S)`` or shape ``(B, C, S, S, S)`` to the posterior's mean and log variance, each ``(B, L)``."""

    def __init__(
        self, size: tuple[int, ...], channels: int, latent_dim: int, width: int, features: int, blocks: int
    ) -> None:
        super().__init__()
        patches = math.prod(side // PATCH for side in size)
        self.patches = CONVOLUTION[len(size)](channels, features, PATCH, PATCH)
        self.dropout = nn.Dropout(0.0)  # training raises it where examples are few; not part of the model
        self.trunk = nn.Sequential(
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(features * patches, width),
            *[Residual(width) for _ in range(blocks)],
            nn.SiLU(),
            nn.Linear(width, 2 * latent_dim),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.trunk(self.dropout(self.patches(image))).float().chunk(2, 1)
        # Bounded so that one bad step cannot overflow exp(); trained posteriors stay well inside.
        return mean, log_var.clamp(-12, 4)


class Decoder(nn.Module):
    """Latent code ``(B, L)`` to Bernoulli logits ``(B, C, *size)``."""

    def __init__(
        self, size: tuple[int, ...], channels: int, latent_dim: int, width: int, features: int, blocks: int
    ) -> None:
        super().__init__()
        dims, sides = len(size), tuple(side // PATCH for side in size)
        self.trunk = nn.Sequential(
            nn.Linear(latent_dim, width),
            *[Residual(width) for _ in range(blocks)],
            nn.SiLU(),
            nn.Linear(width, features * math.prod(sides)),
            nn.SiLU(),
            nn.Unflatten(1, (features, *sides)),
        )
        # Sub-pixel convolution (Shi et al. 2016, arXiv:1609.05158): much faster on a CPU than the transposed
        # convolution with the same overlap, so patches still join without seams.
        convolution = CONVOLUTION[dims](features, channels * PATCH**dims, 3, padding=1)
        self.draw = nn.Sequential(convolution, nn.PixelShuffle(PATCH) if dims == 2 else VoxelShuffle())

    def forward(self, z: Tensor) -> Tensor:
        return self.draw(self.trunk(z)).float()


class VoxelShuffle(nn.Module):
    """``nn.PixelShuffle`` in space: ``(B, C P^3, s, s, s) -> (B, C, P s, P s, P s)``."""

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unflatten(1, (-1, PATCH, PATCH, PATCH))  # B C px py pz x y z
        return patches.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)


class PolarScorer(nn.Module):
    """How likely each of ``ANGLES`` orientations is: ``(B, C, S, S) -> (B, ANGLES)`` logits.

    A small network applied to every rotated copy, at the price of one: on a polar grid a rotation is a circular
    shift, so matching templates at all shifts *is* the shared network on all copies. Turning the image by one lattice
    step moves the logits by one entry, by construction (up to the interpolation onto the polar grid). Each template
    spans the whole circle; a second layer combines their responses at each angle.
    """

    grid: Tensor
    shifts: Tensor

    def __init__(self, channels: int, size: int, templates: int = 24, rings: int = 10) -> None:
        super().__init__()
        radius = (torch.arange(rings) + 0.5) / rings
        angle = torch.arange(ANGLES) * (2 * math.pi / ANGLES)
        x, y = angle.cos()[:, None] * radius, angle.sin()[:, None] * radius
        self.register_buffer(
            "grid", torch.stack([x, -y], -1)[None], persistent=False
        )  # y down, as grid_sample
        half = torch.arange(ANGLES // 2)
        self.register_buffer("shifts", (half[None] - half[:, None]) % len(half), persistent=False)
        scale = (channels * rings * len(half)) ** -0.5
        self.templates = nn.Parameter(torch.randn(templates, len(half), channels * rings) * scale)
        self.bias = nn.Parameter(torch.zeros(templates))
        self.combine = nn.Sequential(
            nn.SiLU(), nn.Linear(templates, templates), nn.SiLU(), nn.Linear(templates, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        grid = self.grid.expand(len(image), -1, -1, -1)
        polar = F.grid_sample(image.float(), grid, align_corners=False)  # (B, C, ANGLES, rings)
        # Templates have half the angular resolution; the even and the odd angles are two interleaved circles.
        smooth = (0.5 * (polar + polar.roll(-1, 2))).transpose(1, 2).flatten(2)
        circles = smooth.unflatten(1, (-1, 2)).transpose(1, 2).flatten(2)  # (B, 2, ANGLES / 2 * C * rings)
        shifted = self.templates[:, self.shifts].transpose(0, 1).flatten(2).flatten(0, 1)
        response = F.linear(circles, shifted).unflatten(2, (ANGLES // 2, -1)) + self.bias
        return self.combine(response.transpose(1, 2).flatten(1, 2)).squeeze(-1).float()


class TemplateScorer(nn.Module):
    """How likely each rotation of a covering is: ``(B, C, S, S, S) -> (B, K)`` logits.

    A small network applied to every rotated copy of the shape, at a low resolution. Its first layer is linear, so the
    templates are turned instead of the shape; and every rotation is a rotation of the cube, which permutes the
    shape's cells, after one of a few small ones, which are all that has to be interpolated. Turning the shape by a
    rotation of the cube permutes the logits, exactly.
    """

    SIDE = 8  # cells a side of the templates

    def __init__(self, channels: int, rotations: Rotations, templates: int = 24) -> None:
        super().__init__()
        matrices = rotations.matrix(rotations.from_cells(rotations.covering))  # (K, 3, 3)
        cubes = cube_rotations()  # (24, 3, 3)
        nearest = torch.einsum("kij,cij->kc", matrices, cubes).argmax(1)  # (K,)
        used, cube = nearest.unique(return_inverse=True)
        rest = cubes[nearest].transpose(1, 2) @ matrices  # matrix = cube @ rest
        small, index = (rest * 1e4).round().flatten(1).unique(dim=0, return_inverse=True)
        self.used, self.count = used.tolist(), len(small)
        first = torch.stack([rest[index == k][0] for k in range(len(small))])  # (small, 3, 3)
        axis = cell_centres(self.SIDE, torch.device("cpu"))
        centres = torch.cartesian_prod(axis, axis, axis)
        # w(rest^-1 p) at every cell p: what a turned template looks like; last axis first, as grid_sample wants it.
        looks = (centres @ first)[..., [2, 1, 0]]
        self.register_buffer("looks", looks[:, None, None], persistent=False)
        self.register_buffer("entry", cube * len(small) + index, persistent=False)
        cells = self.SIDE**3
        self.templates = nn.Parameter(
            torch.randn(1, templates * channels, *[self.SIDE] * 3) * (channels * cells) ** -0.5
        )
        self.bias = nn.Parameter(torch.zeros(templates))
        self.combine = nn.Sequential(
            nn.SiLU(), nn.Linear(templates, templates), nn.SiLU(), nn.Linear(templates, 1)
        )

    looks: Tensor
    entry: Tensor

    def forward(self, shape: Tensor) -> Tensor:
        small = F.adaptive_avg_pool3d(shape.float(), self.SIDE)  # (B, C, 8, 8, 8)
        copies = [turn_exactly(small, torch.full((len(small),), c, device=small.device)) for c in self.used]
        views = torch.stack(copies, 1).flatten(2)  # (B, cubes, C cells)
        turned = F.grid_sample(
            self.templates.expand(self.count, -1, -1, -1, -1), self.looks, align_corners=False
        )
        bank = turned.view(self.count * len(self.bias), -1)  # (small rotations * templates, C cells)
        response = (
            F.linear(views, bank).unflatten(2, (self.count, -1)) + self.bias
        )  # (B, cubes, small, templates)
        return self.combine(response).squeeze(-1).flatten(1)[:, self.entry].float()


def scorer(group: PoseGroup, size: tuple[int, ...], channels: int) -> nn.Module:
    """A scorer of the group's rotations."""
    assert group.rotations is not None
    if group.dims == 2:
        return PolarScorer(channels, size[0])
    return TemplateScorer(channels, group.rotations)
