"""The affine VAE: a VAE that sees every image, or every voxel shape, in its canonical pose.

    x --A--> canonical view --encoder--> z --decoder--> canonical logits --A^-1--> logits in the image's frame

The pose ``A`` is found by :mod:`affinevae.search`; the likelihood is Bernoulli in the image's own frame, in nats.
After Bidart & Wong 2019, "Affine Variational Autoencoders" (arXiv:1905.05300).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from affinevae import affine, affine3d, moments
from affinevae.groups import get_group
from affinevae.networks import PATCH, Decoder, Encoder
from affinevae.networks import scorer as make_scorer
from affinevae.picture import fit_picture
from affinevae.pose import PoseGroup
from affinevae.search import Table, local_maxima, neighbours, search, vertex_offset
from training.pictures import Preparation
from weights import Pretrained
from weights.arguments import flag, items, texts, whole
from weights.checkpoint import Size

Effort = Literal["none", "fast", "best"]
EFFORTS: tuple[Effort, ...] = ("none", "fast", "best")
Finder = Literal["search", "moments"]
FINDERS: tuple[Finder, ...] = ("search", "moments")

MODES = 4  # proposals of the scorer that "fast" verifies
CHUNK = 2**20  # cells of the image-pose pairs evaluated at once: they stay in the processor's cache
APART = math.pi / 8  # two poses closer than this are one mode
KEPT = 4  # poses of the posterior that the reported bound averages over
WITHIN_NATS = 2.0  # how much worse an alternative pose may be
LIMITS = {2: 256, 3: 64}  # cells a side
RANGES = {"latent_dim": (1, 1024), "width": (1, 16384), "features": (1, 4096), "blocks": (0, 128)}


@dataclass(frozen=True)
class AffineVAEConfig:
    """What a model is; ``config.json`` holds the same keys.

    Args:
        size: ``(S, S)`` pixels or ``(S, S, S)`` voxels; a multiple of 4.
        channels: 1 (grey, occupancy) or 3 (RGB).
        latent_dim: numbers in the shape code z.
        group: pose group, see ``affinevae.groups.GROUPS``; "none" is a plain VAE.
        width: units of the dense layers.
        features: channels of the convolutions.
        blocks: residual blocks in the encoder and in the decoder.
        scorer: whether a trained orientation scorer comes with the weights.
        classes: names of the classes it was trained on, for display.
        picture: pixels a side of the training pictures, in the middle of the frame; 0 where nobody said, and of shapes.
        invert: grey pictures on a bright ground were inverted.
        drawn: pictures of other sizes are drawings, to be centred and scaled as the training ones were; otherwise they
            are prepared as the training pictures were.
        finder: how poses are found: "search", or "moments", the baseline that takes the principal axes and lets the
            loss choose which way round (:mod:`affinevae.moments`).
    """

    size: tuple[int, ...] = (32, 32)
    channels: int = 1
    latent_dim: int = 8
    group: str = "rotation"
    width: int = 384
    features: int = 16
    blocks: int = 2
    scorer: bool = True
    classes: tuple[str, ...] = ()
    picture: int = 0
    invert: bool = True
    drawn: bool = True
    finder: Finder = "search"

    @property
    def learned(self) -> Preparation | None:
        """How training pictures were prepared before they were laid in the frame; None where nobody said."""
        if not self.picture:
            return None
        return Preparation(self.picture, self.channels, "letterbox", "contrast", self.invert)

    @property
    def dims(self) -> int:
        return len(self.size)

    def __post_init__(self) -> None:
        for name in ("size", "classes"):  # JSON gives lists
            object.__setattr__(self, name, items(name, getattr(self, name)))

    def check(self) -> AffineVAEConfig:
        """Itself, or ``ValueError`` with what is wrong."""
        limit = LIMITS.get(self.dims, 0)
        if any(type(side) is not int or side % PATCH or not 8 <= side <= limit for side in self.size) or (
            len(set(self.size)) != 1
        ):
            raise ValueError(
                f"size {str(self.size):.40} must be a square of 8 to {LIMITS[2]} pixels or a cube of 8 to {LIMITS[3]} "
                f"voxels a side, a multiple of {PATCH}"
            )
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB), not {self.channels!r:.40}")
        for name, (low, high) in RANGES.items():
            whole(name, getattr(self, name), low, high)
        whole("picture", self.picture, 0, self.size[0])
        if not isinstance(self.group, str):
            raise ValueError(f"group must be the name of one, not {self.group!r:.40}")
        get_group(self.group, self.dims)
        for name in ("scorer", "invert", "drawn"):
            flag(name, getattr(self, name))
        if self.finder not in FINDERS:
            raise ValueError(f"finder must be one of {', '.join(FINDERS)}, not {self.finder!r:.40}")
        texts("classes", self.classes)
        return self

    def least(self) -> Size:
        """Tensors and numbers of encoder and decoder, biases left out."""
        patches = math.prod(side // PATCH for side in self.size)
        kernel = self.channels * PATCH**self.dims
        return Size(
            2 * self.blocks * 4,
            2 * self.blocks * 2 * self.width**2
            + 2 * self.features * patches * self.width
            + 3 * self.latent_dim * self.width
            + self.features * kernel * (1 + 3**self.dims),
        )


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
    """Affine VAE over images ``(B, C, S, S)`` or shapes ``(B, 1, S, S, S)`` in [0, 1].

    Arguments: see :class:`AffineVAEConfig`. Below, "image" means either.
    """

    later = ("picture", "invert", "drawn", "finder")

    def __init__(
        self,
        size: tuple[int, ...] = (32, 32),
        channels: int = 1,
        latent_dim: int = 8,
        group: str = "rotation",
        width: int = 384,
        features: int = 16,
        blocks: int = 2,
        scorer: bool = True,
        classes: tuple[str, ...] = (),
        picture: int = 0,
        invert: bool = True,
        drawn: bool = True,
        finder: Finder = "search",
    ) -> None:
        super().__init__()
        scorer = scorer and group != "none" and finder == "search"
        config = AffineVAEConfig(
            size,
            channels,
            latent_dim,
            group,
            width,
            features,
            blocks,
            scorer,
            classes,
            picture,
            invert,
            drawn,
            finder,
        )
        self.config = config.check()
        shape = (config.size, channels, latent_dim, width, features, blocks)
        self.encoder, self.decoder = Encoder(*shape), Decoder(*shape)
        self.scorer = make_scorer(self.group, config.size, channels) if scorer else None
        # The logit outside the frame, so that a turned reconstruction has clean corners.
        self.background = nn.Parameter(torch.full((channels, *[1] * config.dims), -6.0))

    def prepare(self, pictures: Sequence[Image.Image], fill: float = 0.7) -> Tensor:
        """Pictures of any size and mode as this model saw its training pictures: floats ``(B, C, S, S)``.

        Args:
            fill: largest extent of a drawing over the frame, where drawings are centred.

        Raises:
            EmptyPicture: a drawing of one colour all over.
            ValueError: a model of shapes, or a picture of 32-bit pixels.
        """
        config = self.config
        if config.dims != 2:
            raise ValueError(
                "a model of shapes takes no pictures: read meshes with affinevae.voxels.read_shape"
            )
        frame = config.size[0], config.channels, fill, config.learned, config.drawn
        return torch.cat([fit_picture(picture, *frame) for picture in pictures])

    @classmethod
    def size_of(cls, arguments: Mapping[str, Any]) -> Size:
        """See :meth:`weights.Pretrained.size_of`."""
        return AffineVAEConfig(**arguments).check().least()

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
        return get_group(self.config.group, self.config.dims)

    # The VAE, in the canonical frame -------------------------------------------------------------------------------

    def posterior(self, image: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x, pose), each ``(B, L)``."""
        return self.encoder(self.straighten(image, pose))  # type: ignore[no-any-return]

    def straighten(self, image: Tensor, pose: Tensor) -> Tensor:
        """The canonical view of images under their poses, ``(B, C, *size)``."""
        if not self.group.dim:
            return image
        if self.group.exact:
            return affine3d.turn_exactly(image, self.group.to_cells(pose)[:, 0])
        return self._warp(image, pose)

    def logits(self, z: Tensor, pose: Tensor | None = None) -> Tensor:
        """Bernoulli logits ``(B, C, *size)``, turned by ``pose``; None is the canonical orientation.

        Logits are warped, not probabilities: a warped probability is blurred towards the background.
        """
        logits: Tensor = self.decoder(z)
        if pose is None or not self.group.dim:
            return logits
        if self.group.exact:
            return affine3d.turn_exactly(logits, self.group.to_cells(pose)[:, 0], inverse=True)
        return self._warp(logits, pose, back=True)

    def _warp(self, image: Tensor, pose: Tensor, back: bool = False) -> Tensor:
        """Images in their canonical frame, or with ``back`` canonical logits in the image's."""
        warp = affine.warp if self.config.dims == 2 else affine3d.warp
        # Coordinates need every digit: in bfloat16 they would be off by a tenth of a cell.
        with torch.autocast(image.device.type, enabled=False):
            matrix = (self.group.inverse if back else self.group.matrix)(pose.float())
            return warp(image.float(), matrix, self.background if back else 0.0)

    def losses(self, image: Tensor, pose: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Distortion and rate at given poses, each ``(B,)`` nats; ``noise`` (B, L) is added to the posterior's mean.

        Zeros give the loss at the mean: lower variance, for choosing a pose. Standard normal noise gives an unbiased
        estimate of the bound.
        """
        view = self.straighten(image, pose)
        mean, log_var = self.encoder(view)
        z = mean + noise * (0.5 * log_var).exp()
        if (
            self.group.exact
        ):  # cells map onto cells: the canonical frame holds the same sum, and no turning back
            distortion = bernoulli_nll(self.decoder(z), view)
        else:
            distortion = bernoulli_nll(self.logits(z, pose), image)
        return distortion, gaussian_kl(mean, log_var)

    def forward(
        self, image: Tensor, pose: Tensor, noise: Tensor, scored: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One pass at given poses: distortion (B,), rate (B,) in nats, and the scorer's logits (scored, K).

        Args:
            image: ``(B, C, *size)``.
            pose: ``(B, P)``.
            noise: ``(B, L)`` standard normal, or zeros for the posterior mean.
            scored: how many images the scorer looks at, from the first.
        """
        entries = len(self.group.rotations.covering) if self.group.rotations else 0
        scores = image.new_zeros(0, entries)
        if self.scorer is not None and scored:
            scores = self.scorer(image[:scored])
        return *self.losses(image, pose, noise), scores

    # The pose ------------------------------------------------------------------------------------------------------

    def pair_loss(self, image: Tensor, index: Tensor, cells: Tensor, seed: int | None = None) -> Tensor:
        """-ELBO of image-pose pairs, ``(n,)`` nats: images ``image[index]`` at lattice ``cells`` (n, P).

        With ``seed=None`` at the posterior mean of z: lower variance, for choosing a pose. With a seed, z is sampled:
        an unbiased estimate of the bound, for reporting it.
        """
        parts = []
        generator = None if seed is None else torch.Generator(image.device).manual_seed(seed)
        chunk = max(1, CHUNK // image[0, 0].numel())
        for i, c in zip(index.split(chunk), cells.split(chunk), strict=True):
            noise = torch.zeros(len(i), self.config.latent_dim, device=image.device)
            if generator is not None:
                noise.normal_(generator=generator)
            distortion, rate = self.losses(image[i], self.group.from_cells(c), noise)
            parts.append(distortion + rate)
        return torch.cat(parts) if parts else image.new_zeros(0)

    @torch.no_grad()
    def search(self, image: Tensor, effort: Effort = "fast") -> Table:
        """Evaluated poses of each image. Neither gradients nor statistics reach the weights."""
        cells = self.proposals(image, effort)
        fine = effort == "best"
        starts = min(4 if fine else 2, cells.shape[1])
        rounds = {"none": (), "fast": (2, 1), "best": (2, 1, 1)}[effort]
        if not self.group.tangent or (fine and self.group.dim == 1) or self.config.finder == "moments":
            rounds = ()  # every pose of the lattice is already in the table, or none but the candidates is to be
        return search(lambda i, c: self.pair_loss(image, i, c), self.group, cells, rounds, starts)

    @torch.no_grad()
    def proposals(self, image: Tensor, effort: Effort) -> Tensor:
        """Lattice cells to try first, ``(B, M, Q)``: the scorer's modes, or an even grid of rotations.

        Groups with shifts start at the centre of brightness.
        """
        if effort not in EFFORTS:
            raise ValueError(f"unknown effort {effort!r}: choose one of {', '.join(EFFORTS)}")
        rotations = self.group.rotations
        if effort == "none" or rotations is None:
            return self.group.to_cells(self.group.identity(len(image)).to(image.device))[:, None]
        if self.config.finder == "moments":
            return self.turned(image, moments.candidates(image, self.group))
        if effort == "fast" and self.scorer is not None:
            return self.turned(image, self.scored_rotations(image, MODES))
        grid = rotations.covering if effort == "best" else rotations.coarse
        return self.turned(image, grid.to(image.device).expand(len(image), -1, -1))

    def scored_rotations(self, image: Tensor, count: int) -> Tensor:
        """Cells of the rotations that the scorer finds likeliest, ``(B, count, columns)``."""
        rotations = self.group.rotations
        assert self.scorer is not None
        assert rotations is not None
        best = local_maxima(self.scorer(image), rotations.neighbourhood.to(image.device), count)
        return rotations.covering.to(image.device)[best]

    def turned(self, image: Tensor, rotations: Tensor) -> Tensor:
        """Cells ``(B, M, Q)`` with these rotations ``(B, M, columns)`` and the other parameters at their start."""
        start = image.new_zeros(len(image), self.group.dim, dtype=torch.float32)
        if "shift_x" in self.group.names:
            centre = (affine if self.config.dims == 2 else affine3d).center_of_mass(image)
            start[:, self.group.shifts] = centre
        cells = self.group.to_cells(start)[:, None].repeat(1, rotations.shape[1], 1)
        cells[..., : self.group.columns] = rotations
        return cells

    def pose_matrix(self, pose: Tensor) -> Tensor:
        """``(B, P) -> (B, d, d + 1)``: from canonical to world coordinates (frame in [-1, 1]; y up, in space z up)."""
        return self.group.matrix(pose)

    @torch.no_grad()
    def turn_frame(self, cube: int) -> None:
        """Turn the canonical frame of a voxel model by one of the 24 ``affine3d.cube_rotations``, in place and exactly.

        Every canonical view and ``decode(z)`` is turned, poses are counted from the new frame, all else stays as it
        was: cells, patches, kernels and templates are permuted, so the network computes the same sums.
        """
        if self.config.dims != 3:
            raise ValueError("only the canonical frame of voxel shapes can be turned")

        def turned(grid: Tensor) -> Tensor:
            index = torch.full((len(grid),), cube, device=grid.device)
            return affine3d.turn_exactly(grid, index)

        sides = [side // PATCH for side in self.config.size]
        # torch types the children of a module as Tensor | Module
        patches: Any = self.encoder.patches
        scorer: Any = self.scorer
        first: Any = self.encoder.trunk[2]
        last: Any = self.decoder.trunk[-3]
        draw: Any = self.decoder.draw[0]
        patches.weight.copy_(turned(patches.weight))
        first.weight.copy_(turned(first.weight.unflatten(1, (-1, *sides))).flatten(1))
        last.weight.copy_(turned(last.weight.T.unflatten(1, (-1, *sides))).flatten(1).T)
        last.bias.copy_(turned(last.bias.view(1, -1, *sides)).flatten())
        kernel = turned(draw.weight).flatten(1).T.unflatten(1, (-1, PATCH, PATCH, PATCH))
        draw.weight.copy_(turned(kernel).flatten(1).T.view_as(draw.weight))
        draw.bias.copy_(turned(draw.bias.view(1, -1, PATCH, PATCH, PATCH)).flatten())
        if scorer is not None:
            scorer.templates.copy_(turned(scorer.templates))

    # The public life -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, image: Tensor, effort: Effort = "fast", seed: int = 0) -> Code:
        """Take shape and orientation apart.

        Args:
            image: ``(B, C, *size)`` floats in [0, 1].
            effort: "none" (no search: identity pose), "fast" (the scorer's proposals, verified and refined) or
                "best" (an even grid of all rotations).
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
        if effort == "none" or not self.group.tangent:
            return self.group.from_cells(best[:, 0])
        offset = vertex_offset(table, best, neighbours(self.group, best, 1))[:, 0]
        return self.group.from_cells(best[:, 0], offset.clamp(-0.5, 0.5))

    def modes(self, table: Table, count: int = 3) -> tuple[Tensor, Tensor]:
        """Well separated poses within 2 nats of the best: ``(B, M, P)`` and their probabilities ``(B, M)``."""
        cost, every = table.cost.clone(), self.group.from_cells(table.cells)
        poses, costs = [], []
        for _ in range(min(count, cost.shape[1])):
            low, index = cost.min(1)
            pose = every.gather(1, index[:, None, None].expand(-1, 1, every.shape[-1]))
            poses.append(pose[:, 0])
            costs.append(low)
            cost[self.group.gap(every, pose) < APART] = torch.inf
        stacked = torch.stack(costs, 1)
        kept = torch.where(stacked <= stacked[:, :1] + WITHIN_NATS, stacked, torch.inf)
        return torch.stack(poses, 1), torch.softmax(-kept, 1)

    @torch.no_grad()
    def decode(self, z: Tensor, pose: Tensor | None = None) -> Tensor:
        """Images ``(B, C, *size)`` of codes ``(B, L)``, turned by ``pose`` (B, P); None: canonical orientation.

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
        """``n`` images ``(n, C, *size)`` of codes from the prior, turned by ``pose`` (n, P) or canonical."""
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"n must be a whole number of at least 1, not {n!r}")
        z = torch.randn(n, self.config.latent_dim, generator=torch.Generator().manual_seed(seed))
        return self.decode(z.to(self.background.device), pose)

    def check_image(self, image: Tensor) -> Tensor:
        """The image as floats on the model's device; ``ValueError`` says what is wrong."""
        expected = (self.config.channels, *self.config.size)
        kinds = f"(B, {', '.join(map(str, expected))}) in [0, 1]"
        _require_tensor("images", image, kinds, ", affinevae.picture.fit_picture of a picture")
        if image.ndim != 2 + self.config.dims or tuple(image.shape[1:]) != expected:
            raise ValueError(
                f"images must have shape (B, {', '.join(map(str, expected))}), not {tuple(image.shape)}"
            )
        bytewise = not image.is_floating_point() and image.numel() and image.amax() > 1
        image = image.to(self.background.device, torch.float32)
        if bytewise and image.amin() >= 0:
            raise ValueError(
                "images must be floats in [0, 1], not whole numbers up to 255: divide them by 255"
            )
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


def _require_tensor(name: str, value: object, what: str, advice: str = "") -> None:
    if not isinstance(value, Tensor) or value.is_complex():
        found = "complex numbers" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"{name} must be a torch tensor of real numbers {what}, not {found}: torch.from_numpy makes one of an array"
            + advice
        )


def _finite(name: str, value: Tensor, dim: int) -> Tensor:
    _require_tensor(name, value, f"(B, {dim})")
    if value.ndim != 2 or value.shape[1] != dim:
        raise ValueError(f"{name} must have shape (B, {dim}), not {tuple(value.shape)}")
    if not value.isfinite().all():
        raise ValueError(f"{name} must be finite numbers")
    return value.float()
