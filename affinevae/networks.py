"""Convolutional encoder and decoder, and the scorer that proposes orientations.

The VAE spends its arithmetic where a CPU is fast: one strided convolution turns the picture into patches, dense
layers do the rest, and one sub-pixel convolution draws the patches back (README, "Design notes").
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinevae.affine import ANGLES

PATCH = 4  # pixels a patch side; image sizes are multiples of it


class Residual(nn.Module):
    """``x + W2 silu(W1 x)``; starts as the identity, which lets deep stacks learn from the first step."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(F.silu(self.inner(x)))


class Encoder(nn.Module):
    """Image ``(B, C, S, S)`` to the posterior's mean and log variance, each ``(B, L)``."""

    def __init__(
        self, channels: int, size: int, latent_dim: int, width: int, features: int, blocks: int
    ) -> None:
        super().__init__()
        side = size // PATCH
        self.patches = nn.Conv2d(channels, features, PATCH, PATCH)
        self.trunk = nn.Sequential(
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(features * side * side, width),
            *[Residual(width) for _ in range(blocks)],
            nn.SiLU(),
            nn.Linear(width, 2 * latent_dim),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.trunk(self.patches(image)).float().chunk(2, 1)
        # Bounded so that one bad step cannot overflow exp(); trained posteriors stay well inside.
        return mean, log_var.clamp(-12, 4)


class Decoder(nn.Module):
    """Latent code ``(B, L)`` to Bernoulli logits ``(B, C, S, S)``."""

    def __init__(
        self, channels: int, size: int, latent_dim: int, width: int, features: int, blocks: int
    ) -> None:
        super().__init__()
        side = size // PATCH
        self.trunk = nn.Sequential(
            nn.Linear(latent_dim, width),
            *[Residual(width) for _ in range(blocks)],
            nn.SiLU(),
            nn.Linear(width, features * side * side),
            nn.SiLU(),
            nn.Unflatten(1, (features, side, side)),
        )
        # Sub-pixel convolution (Shi et al. 2016, arXiv:1609.05158): much faster on a CPU than the transposed
        # convolution with the same overlap, so patches still join without seams.
        self.draw = nn.Sequential(
            nn.Conv2d(features, channels * PATCH * PATCH, 3, padding=1), nn.PixelShuffle(PATCH)
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.draw(self.trunk(z)).float()


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
