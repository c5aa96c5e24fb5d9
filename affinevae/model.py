"""The affine VAE: a VAE that sees every image in its canonical pose.

    x --A--> canonical view --encoder--> z --decoder--> canonical logits --A^-1--> logits in the image's frame

The pose ``A`` is found by :mod:`affinevae.search`; the likelihood is Bernoulli in the image's own frame, in nats.
After Bidart & Wong 2019, "Affine Variational Autoencoders" (arXiv:1905.05300).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinevae.affine import ANGLES, PoseGroup, center_of_mass, get_group, warp
from affinevae.networks import PATCH, Decoder, Encoder, PolarScorer
from affinevae.search import Table, circular_modes, neighbours, search, vertex_offset
from weights import Pretrained

Effort = Literal["none", "fast", "best"]
EFFORTS: tuple[Effort, ...] = ("none", "fast", "best")

COARSE = 16  # proposals on the circle when there is no scorer
MODES = 4  # proposals of the scorer that "fast" verifies
CHUNK = 1024  # image-pose pairs evaluated at once: their activations stay in the processor's cache
KEPT = 4  # poses of the posterior that the reported bound averages over
WITHIN_NATS = 2.0  # how much worse an alternative pose may be


@dataclass(frozen=True)
class AffineVAEConfig:
    """What a model is; ``config.json`` holds the same keys.

    Args:
        size: image side in pixels, ``(S, S)``; a multiple of 4.
        channels: 1 (grey) or 3 (RGB).
        latent_dim: numbers in the shape code z.
        group: pose group, see ``affinevae.affine.GROUPS``; "none" is a plain VAE.
        width: units of the dense layers.
        features: channels of the convolutions.
        blocks: residual blocks in the encoder and in the decoder.
        scorer: whether a trained orientation scorer comes with the weights.
        classes: names of the classes it was trained on, for display.
    """

    size: tuple[int, int] = (32, 32)
    channels: int = 1
    latent_dim: int = 8
    group: str = "rotation"
    width: int = 384
    features: int = 16
    blocks: int = 2
    scorer: bool = True
    classes: tuple[str, ...] = ()

    @property
    def dims(self) -> int:
        return len(self.size)

    def check(self) -> AffineVAEConfig:
        """Itself, or ``ValueError`` with what is wrong."""
        side = self.size[0]
        if len(self.size) != 2 or set(self.size) != {side} or side % PATCH or not 8 <= side <= 256:
            raise ValueError(f"size {self.size} must be a square of 8 to 256 pixels, a multiple of {PATCH}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB), not {self.channels}")
        if not 1 <= self.latent_dim <= 1024:
            raise ValueError(f"latent_dim must be 1 to 1024, not {self.latent_dim}")
        get_group(self.group)
        return self


class Code(NamedTuple):
    """What an image is (``z``) and how it is turned (``pose``).

    ``nll + pose_nats`` is an upper bound on -log p(x): nats for the image given its pose, plus the pose's price.
    ``modes`` are poses within 2 nats of the best, best first, with their posterior probabilities ``mode_probs``
    (0 where an image has fewer).
    """

    z: Tensor  # (B, L)
    pose: Tensor  # (B, P)
    nll: Tensor  # (B,)
    pose_nats: Tensor  # (B,)
    modes: Tensor  # (B, M, P)
    mode_probs: Tensor  # (B, M)


class AffineVAE(
    nn.Module,
    Pretrained,
    library_name="affinevae",
    tags=["affine-vae", "disentanglement", "pose", "vae"],
    license="apache-2.0",
):
    """Affine VAE over images ``(B, C, S, S)`` in [0, 1]. Arguments: see :class:`AffineVAEConfig`."""

    def __init__(
        self,
        size: tuple[int, int] = (32, 32),
        channels: int = 1,
        latent_dim: int = 8,
        group: str = "rotation",
        width: int = 384,
        features: int = 16,
        blocks: int = 2,
        scorer: bool = True,
        classes: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        scorer = scorer and group != "none"
        side: tuple[int, int] = tuple(size)  # type: ignore[assignment]  # JSON gives a list
        config = AffineVAEConfig(
            side,
            channels,
            latent_dim,
            group,
            width,
            features,
            blocks,
            scorer,
            tuple(classes),
        )
        self.config = config.check()
        shape = (channels, config.size[0], latent_dim, width, features, blocks)
        self.encoder, self.decoder = Encoder(*shape), Decoder(*shape)
        self.scorer = PolarScorer(channels, config.size[0]) if scorer else None
        # The logit outside the frame, so that a turned reconstruction has clean corners.
        self.background = nn.Parameter(torch.full((channels, 1, 1), -6.0))

    @classmethod
    def from_vae(cls, vae: AffineVAE, group: str = "rotation") -> AffineVAE:
        """A pose search around a frozen plain VAE (the paper's first use). Shares the VAE's weights.

        There is no scorer, so every search proposes the whole circle.
        """
        model = cls(**{**vars(vae.config), "group": group, "scorer": False})
        model.encoder, model.decoder, model.background = vae.encoder, vae.decoder, vae.background
        return model.train(vae.training)

    @property
    def group(self) -> PoseGroup:
        return get_group(self.config.group)

    # The VAE, in the canonical frame -------------------------------------------------------------------------------

    def posterior(self, image: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x, pose), each ``(B, L)``."""
        return self.encoder(self.straighten(image, pose))  # type: ignore[no-any-return]

    def straighten(self, image: Tensor, pose: Tensor) -> Tensor:
        """The canonical view of images under their poses, ``(B, C, S, S)``."""
        return warp(image, self.group.matrix(pose)) if self.group.dim else image

    def logits(self, z: Tensor, pose: Tensor | None = None) -> Tensor:
        """Bernoulli logits ``(B, C, S, S)``, turned by ``pose``; None is the canonical orientation.

        Logits are warped, not probabilities: a warped probability is blurred towards the background.
        """
        logits = self.decoder(z)
        if pose is None or not self.group.dim:
            return logits  # type: ignore[no-any-return]
        return warp(logits, self.group.inverse(pose), self.background)

    def forward(
        self, image: Tensor, pose: Tensor, noise: Tensor, scored: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One pass at given poses: distortion (B,), rate (B,) in nats, and the scorer's logits (scored, K).

        Args:
            image: ``(B, C, S, S)``.
            pose: ``(B, P)``.
            noise: ``(B, L)`` standard normal, or zeros for the posterior mean.
            scored: how many images the scorer looks at, from the first.
        """
        mean, log_var = self.posterior(image, pose)
        logits = self.logits(mean + noise * (0.5 * log_var).exp(), pose)
        scores = (
            self.scorer(image[:scored]) if self.scorer is not None and scored else image.new_zeros(0, ANGLES)
        )
        return bernoulli_nll(logits, image), gaussian_kl(mean, log_var), scores

    # The pose ------------------------------------------------------------------------------------------------------

    def pair_loss(self, image: Tensor, index: Tensor, cells: Tensor, seed: int | None = None) -> Tensor:
        """-ELBO of image-pose pairs, ``(n,)`` nats: images ``image[index]`` at lattice ``cells`` (n, P).

        With ``seed=None`` at the posterior mean of z: lower variance, for choosing a pose. With a seed, z is sampled:
        an unbiased estimate of the bound, for reporting it.
        """
        parts = []
        generator = None if seed is None else torch.Generator(image.device).manual_seed(seed)
        for i, c in zip(index.split(CHUNK), cells.split(CHUNK), strict=True):
            view, pose = image[i], self.group.from_cells(c)
            mean, log_var = self.posterior(view, pose)
            if generator is None:
                z = mean
            else:
                draw = torch.randn(mean.shape, generator=generator, device=mean.device)
                z = mean + draw * (0.5 * log_var).exp()
            parts.append(bernoulli_nll(self.logits(z, pose), view) + gaussian_kl(mean, log_var))
        return torch.cat(parts) if parts else image.new_zeros(0)

    @torch.no_grad()
    def search(self, image: Tensor, effort: Effort = "fast") -> Table:
        """Evaluated poses of each image. Neither gradients nor statistics reach the weights."""
        cells = self.proposals(image, effort)
        fine = effort == "best"
        starts = min(4 if fine else 2, cells.shape[1])
        rounds = {"none": (), "fast": (2, 1), "best": (2, 1, 1)}[effort] if self.group.dim else ()
        if fine and self.group.dim == 1:
            rounds = ()  # every pose of the lattice is already in the table
        return search(lambda i, c: self.pair_loss(image, i, c), self.group, cells, rounds, starts)

    @torch.no_grad()
    def proposals(self, image: Tensor, effort: Effort) -> Tensor:
        """Lattice cells to try first, ``(B, M, P)``: the scorer's modes, or an even grid of angles.

        Groups with shifts start at the centre of brightness.
        """
        if effort not in EFFORTS:
            raise ValueError(f"unknown effort {effort!r}: choose one of {', '.join(EFFORTS)}")
        batch = len(image)
        if effort == "none" or not self.group.dim:
            return torch.zeros(batch, 1, self.group.dim, dtype=torch.long, device=image.device)
        if effort == "fast" and self.scorer is not None:
            angles = circular_modes(self.scorer(image), MODES)
        else:
            count = ANGLES if effort == "best" else COARSE
            angles = torch.arange(0, ANGLES, ANGLES // count, device=image.device).expand(batch, -1)
        return self.at_angles(image, angles)

    def at_angles(self, image: Tensor, angles: Tensor) -> Tensor:
        """Cells with these angle cells ``(B, M)`` and the other parameters at their start: ``(B, M, P)``."""
        start = image.new_zeros(len(image), self.group.dim, dtype=torch.float32)
        if "shift_x" in self.group.names:
            start[:, 1:3] = center_of_mass(image)
        cells = self.group.to_cells(start)[:, None].repeat(1, angles.shape[1], 1)
        cells[..., 0] = angles
        return cells

    def pose_matrix(self, pose: Tensor) -> Tensor:
        """``(B, P) -> (B, 2, 3)``: from canonical to image coordinates (x right, y up, frame in [-1, 1])."""
        return self.group.matrix(pose)

    # The public life -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, image: Tensor, effort: Effort = "fast", seed: int = 0) -> Code:
        """Take shape and orientation apart.

        Args:
            image: ``(B, C, S, S)`` floats in [0, 1].
            effort: "none" (no search: identity pose), "fast" (about 13 evaluations an image) or "best" (every angle).
            seed: of the noise on z in the reported bound.

        Raises:
            ValueError: wrong shape, values outside [0, 1] or not finite, unknown effort.
        """
        image = self.check_image(image)
        table = self.search(image, effort)
        pose = self.refined_pose(table, effort)
        nll, pose_nats = self.bound(image, table, seed)
        modes, probs = self.modes(table)
        mean, _ = self.posterior(image, pose)
        return Code(mean, pose, nll, pose_nats, modes, probs)

    @torch.no_grad()
    def bound(self, image: Tensor, table: Table, seed: int = 0) -> tuple[Tensor, Tensor]:
        """``E_q[-ELBO given the pose]`` and ``KL(q(pose | x) || p(pose))``, each ``(B,)``.

        q is the table's posterior cut to its four best poses, which is still a valid q; z is sampled.
        """
        cells = table.top(min(KEPT, table.cost.shape[1]))
        cost = table.lookup(cells)
        log_q = torch.log_softmax(-cost, 1)
        weight = log_q.exp()
        used = weight > 1e-4
        index = torch.arange(len(image), device=image.device)[:, None].expand_as(used)[used]
        loss = torch.zeros_like(weight)
        loss[used] = self.pair_loss(image, index, cells[used], seed)
        if not self.group.dim:
            return loss[:, 0], torch.zeros_like(loss[:, 0])
        rate = torch.where(used, weight * (log_q - self.group.log_prior(cells)), 0).sum(1)
        return (weight * loss).sum(1), rate

    def refined_pose(self, table: Table, effort: Effort = "fast") -> Tensor:
        """The best pose, moved off the lattice to the minimum of the parabola through its neighbours: ``(B, P)``."""
        best = table.best()[:, None]
        if effort == "none" or not self.group.dim:
            return self.group.from_cells(best[:, 0])
        offset = vertex_offset(table, best, neighbours(self.group, best, 1))[:, 0]
        pose = self.group.from_cells(best[:, 0])
        return self.group.wrap(pose + offset.clamp(-0.5, 0.5) * self.group.steps(pose))

    def modes(self, table: Table, count: int = 3) -> tuple[Tensor, Tensor]:
        """Well separated poses within 2 nats of the best: ``(B, M, P)`` and their probabilities ``(B, M)``."""
        cells, cost = table.cells, table.cost.clone()
        apart = ANGLES // 16
        poses, costs = [], []
        for _ in range(min(count, cost.shape[1])):
            low, index = cost.min(1)
            chosen = cells.gather(1, index[:, None, None].expand(-1, 1, cells.shape[-1]))
            poses.append(self.group.from_cells(chosen[:, 0]))
            costs.append(low)
            if self.group.dim:
                gap = (cells[..., 0] - chosen[..., 0]).abs()
                cost[torch.minimum(gap, ANGLES - gap) < apart] = torch.inf
        stacked = torch.stack(costs, 1)
        kept = torch.where(stacked <= stacked[:, :1] + WITHIN_NATS, stacked, torch.inf)
        return torch.stack(poses, 1), torch.softmax(-kept, 1)

    @torch.no_grad()
    def decode(self, z: Tensor, pose: Tensor | None = None) -> Tensor:
        """Images ``(B, C, S, S)`` of codes ``(B, L)``, turned by ``pose`` (B, P); None: canonical orientation.

        Raises:
            ValueError: wrong shape or numbers that are not finite.
        """
        z = _finite("z", z, self.config.latent_dim)
        pose = None if pose is None else _finite("pose", pose, self.group.dim)
        if pose is not None and len(pose) != len(z):
            raise ValueError(f"{len(z)} codes but {len(pose)} poses: give one pose for each code")
        return self.logits(z, pose).sigmoid()

    @torch.no_grad()
    def sample(self, n: int, pose: Tensor | None = None, seed: int = 0) -> Tensor:
        """``n`` images ``(n, C, S, S)`` of codes from the prior, turned by ``pose`` (n, P) or canonical."""
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        z = torch.randn(n, self.config.latent_dim, generator=torch.Generator().manual_seed(seed))
        return self.decode(z.to(self.background.device), pose)

    def check_image(self, image: Tensor) -> Tensor:
        """The image as floats on the model's device; ``ValueError`` says what is wrong."""
        expected = (self.config.channels, *self.config.size)
        if image.ndim != 4 or tuple(image.shape[1:]) != expected:
            raise ValueError(
                f"images must have shape (B, {', '.join(map(str, expected))}), not {tuple(image.shape)}"
            )
        image = image.to(self.background.device, torch.float32)
        if not len(image) or not image.isfinite().all() or image.amin() < 0 or image.amax() > 1:
            raise ValueError("images must be at least one, with finite values in [0, 1]")
        return image


def bernoulli_nll(logits: Tensor, image: Tensor) -> Tensor:
    """-log p(image | logits) summed over pixels, ``(B,)`` nats; grey values count as expected bits."""
    return (F.softplus(logits) - logits * image).flatten(1).sum(1)


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(0, 1)) in nats, ``(B,)``."""
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)


def gaussian_log_prob(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mean, exp(log_var)) summed over dimensions, ``(B,)`` nats."""
    return -0.5 * ((z - mean) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi)).sum(-1)


def _finite(name: str, value: Tensor, dim: int) -> Tensor:
    if value.ndim != 2 or value.shape[1] != dim:
        raise ValueError(f"{name} must have shape (B, {dim}), not {tuple(value.shape)}")
    if not value.isfinite().all():
        raise ValueError(f"{name} must be finite numbers")
    return value.float()
