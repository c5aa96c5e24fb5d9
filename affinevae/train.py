"""Train an affine VAE on images in unknown orientation.

    python -m affinevae.train --data mnist --latent-dim 8 --output runs/my-digits

The thesis' procedure, as expectation-maximisation: before each weight step the pose of every image in the batch is
searched with the weights frozen (E), then encoder and decoder take one step at a pose drawn from that search's
posterior (M). At first all angles compete and the assignment is soft, so that nothing locks in early; then the
scorer, which learns from the verified poses, proposes, and the pose of each image is remembered between epochs.
A plain VAE is the same command with ``--group none``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import PartialState
from torch import Tensor, nn

from affinevae.affine import ANGLES, GROUPS, enlarge, turn
from affinevae.evaluate import VALIDATION_SEED, Evaluate, read_metrics, turned, validation_nats
from affinevae.evaluate import run as evaluate
from affinevae.model import COARSE, AffineVAE
from affinevae.search import Table, circular_modes, search
from training.command import command
from training.datasets import ImageData, load_images
from training.loop import LoopConfig, RunError, fit
from weights.checkpoint import METRICS


@dataclass(frozen=True)
class PoseTraining:
    """How poses are found while training.

    Args:
        grid_fraction: part of the run in which the whole circle is searched.
        temperature: of the soft assignment at the start, in nats; falls to 1 at the end of the grid phase.
        modes: proposals of the scorer for each visit afterwards, beside the remembered pose and a neighbour of it.
        scorer_share: part of each batch that the scorer learns from; it needs fewer examples than the VAE.
    """

    grid_fraction: float = 0.06
    temperature: float = 20.0
    modes: int = 1
    scorer_share: float = 0.5


class PoseCache:
    """The last chosen pose of every training image, as lattice cells ``(N, P)``; -1 where none is known yet."""

    def __init__(self, examples: int, dim: int) -> None:
        self.cells = torch.full((examples, dim), UNKNOWN)

    def state_dict(self) -> dict[str, Any]:
        return {"cells": self.cells}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.cells = state["cells"]

    def synchronise(self, accelerator: Accelerator) -> None:
        """Share what each process learned about its own images."""
        if accelerator.num_processes > 1:
            known = (self.cells - UNKNOWN).to(accelerator.device)
            own = torch.zeros_like(known)
            mine = slice(accelerator.process_index, None, accelerator.num_processes)
            own[mine] = known[mine]
            self.cells = accelerator.reduce(own, "sum").cpu() + UNKNOWN


UNKNOWN = -1_000_000  # far outside every lattice


class TurnedImages:
    """Images in unknown poses of a group: index ``(B,)`` to floats ``(B, C, size, size)`` in [0, 1].

    Each image is turned once, by a pose drawn from ``seed`` that training never sees; with ``fresh`` it is turned
    anew at each visit (augmentation: stronger for a plain VAE, and a pose cannot be remembered).
    """

    def __init__(self, images: Tensor, size: int, group: str, seed: int, fresh: bool = False) -> None:
        self.group, self.fresh = GROUPS[group], fresh
        self.poses = self.group.sample(len(images), torch.Generator().manual_seed(seed))
        parts = zip(images.split(1000), self.poses.split(1000), strict=True)
        self.images = torch.cat([self._prepare(part, pose, size) for part, pose in parts])

    def _prepare(self, images: Tensor, poses: Tensor, size: int) -> Tensor:
        large = enlarge(images.float() / 255, size).clamp(0, 1)
        return _to_bytes(large if self.fresh else turn(large, self.group.inverse(poses)))

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, index: Tensor) -> Tensor:
        image = self.images[index].float() / 255
        return turn(image, self.group.inverse(self.group.sample(len(index)))) if self.fresh else image


def _to_bytes(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)


def make_step(
    model: AffineVAE,
    images: TurnedImages,
    cache: PoseCache,
    config: PoseTraining,
    rate_weight: float = 1.0,
    device: torch.device | str = "cpu",
) -> Callable[[nn.Module, Tensor, float], dict[str, Tensor]]:
    """The training step of ``training.loop.fit``.

    The search runs on ``model`` itself in evaluation mode without gradients; only the pass at the chosen pose goes
    through the prepared model.
    """

    def step(prepared: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
        image = images(index).to(device)
        noise = torch.randn(len(index), model.config.latent_dim, device=device)
        if not model.group.dim:
            distortion, rate, _ = prepared(image, image.new_zeros(len(index), 0), noise)
            return _losses(distortion, rate, rate_weight)
        cells, table = e_step(model, image, cache.cells[index].to(device), progress, config)
        if not images.fresh:
            cache.cells[index] = cells.cpu()
        learners = round(config.scorer_share * len(index)) if model.scorer is not None else 0
        distortion, rate, scores = prepared(image, model.group.from_cells(cells), noise, learners)
        losses = _losses(distortion, rate, rate_weight)
        if learners:
            losses["scorer"] = scorer_loss(scores, Table(*(t[:learners] for t in table)))
            losses["loss"] = losses["loss"] + losses["scorer"]
        return losses

    return step


def _losses(distortion: Tensor, rate: Tensor, rate_weight: float) -> dict[str, Tensor]:
    return {
        "loss": (distortion + rate_weight * rate).mean(),
        "distortion": distortion.mean(),
        "rate": rate.mean(),
    }


@torch.no_grad()
def e_step(
    model: AffineVAE, image: Tensor, remembered: Tensor, progress: float, config: PoseTraining
) -> tuple[Tensor, Table]:
    """Poses drawn from each image's posterior, as cells ``(B, P)``, and the table they were drawn from."""
    group = model.group
    temperature = 1.0
    if progress < config.grid_fraction:
        # Geometric cooling; the grid's phase is random for each image, so that no angle is favoured.
        temperature = config.temperature ** (1 - progress / config.grid_fraction)
        stride = ANGLES // COARSE
        phase = torch.randint(stride, (len(image), 1), device=image.device)
        proposals = model.at_angles(image, phase + torch.arange(0, ANGLES, stride, device=image.device))
    else:
        proposals = later_proposals(model, image, remembered, config)
    table = search(lambda i, c: model.pair_loss(image, i, c), group, proposals)
    drawn = torch.distributions.Categorical(logits=table.log_posterior(temperature)).sample()
    return table.cells.gather(1, drawn[:, None, None].expand(-1, 1, group.dim))[:, 0], table


def later_proposals(model: AffineVAE, image: Tensor, remembered: Tensor, config: PoseTraining) -> Tensor:
    """The remembered pose, one random neighbour of it, and the scorer's modes: cells ``(B, M, P)``."""
    group, batch = model.group, len(image)
    if model.scorer is not None:
        angles = circular_modes(model.scorer(image), config.modes)
    else:
        angles = torch.randint(ANGLES, (batch, config.modes), device=image.device)
    fresh = model.at_angles(image, angles)
    known = (remembered > UNKNOWN // 2).all(1, keepdim=True)
    kept = torch.where(known, remembered, fresh[:, 0])
    step = torch.randint(-2, 3, kept.shape, device=image.device)
    near = group.to_cells(group.from_cells(kept + step))
    return torch.cat([kept[:, None], near[:, None], fresh], 1)


def scorer_loss(scores: Tensor, table: Table) -> Tensor:
    """Cross entropy from the verified posterior over angles to the scorer's: a target, never a gradient path."""
    target = torch.zeros_like(scores)
    target.scatter_add_(1, table.cells[..., 0], table.log_posterior().exp())
    return F.cross_entropy(scores.float(), target)


# The command -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Train:
    """Train an affine VAE (or a plain one with ``--group none``), measure it and write its folder.

    Args:
        data: data set: a name (mnist, fashion, cifar10), a Hub data set, a .npz, .csv, .parquet file or a folder.
        output: folder of the model; the same command continues an interrupted run.
        latent_dim: numbers in the shape code.
        group: poses the model can infer: rotation, rigid, similarity, affine; none is a plain VAE.
        turns: poses the images are turned by before training ("none": they are in unknown orientation already).
        fresh: turn each image anew at every visit instead of once.
        size: side of the frame in pixels; chosen so that turned images fit if left out.
        channels: 1 grey, 3 RGB; as the data if left out.
        width: units of the dense layers.
        features: channels of the convolutions.
        blocks: residual blocks in the encoder and in the decoder.
        rate_weight: of the KL term in the weight step; below 1 the code is used more and clusters better, at a
            small price in the bound. Searching and measuring always use the true bound. Left out: the better of 0.4
            and 1 on validation, which is 0.4 with a pose and 1 for a plain VAE.
        validation: images of the validation split that are measured after each epoch.
        measure: run ``affinevae.evaluate`` at the end.
    """

    data: str
    output: Path
    latent_dim: int = 8
    group: str = "rotation"
    turns: str = "rotation"
    fresh: bool = False
    size: int | None = None
    channels: int | None = None
    width: int = 384
    features: int = 16
    blocks: int = 2
    rate_weight: float | None = None
    validation: int = 2000
    measure: bool = True
    poses: PoseTraining = field(default_factory=PoseTraining)
    loop: LoopConfig = field(default_factory=LoopConfig)


def frame_size(images: Tensor, turns: str) -> int:
    """Side of the smallest frame, a multiple of 4, whose inscribed circle holds 99.9 % of the images' brightness."""
    side = images.shape[-1]
    if turns == "none":
        return side + -side % 4
    middle = torch.arange(side) - (side - 1) / 2
    radius = (middle[:, None] ** 2 + middle**2).sqrt().flatten()
    order = radius.argsort()
    mass = images.float().mean((0, 1)).flatten()[order].cumsum(0)
    needed = 2 * float(radius[order][(mass < 0.999 * mass[-1]).sum()]) + 1
    return max(side, int(needed + 4 - 1e-6) // 4 * 4)


def build(options: Train, data: ImageData) -> AffineVAE:
    """A fresh model for the data; ``ValueError`` if the options contradict each other."""
    if options.turns not in GROUPS:
        raise ValueError(f"unknown --turns {options.turns!r}: choose one of {', '.join(GROUPS)}")
    size = options.size or frame_size(data.train.images[:5000], options.turns)
    torch.manual_seed(options.loop.seed)
    return AffineVAE(
        (size, size),
        data.train.images.shape[1],
        options.latent_dim,
        options.group,
        options.width,
        options.features,
        options.blocks,
        classes=data.classes,
    )


def train(options: Train) -> None:
    """Train, save and measure; a finished run of the same options is left as it is."""
    recipe = describe(options) | asdict(options.loop)
    if finished(options.output, recipe):
        return
    data = load_images(options.data, channels=options.channels, seed=0)
    if len(data.train) < options.loop.batch:
        raise ValueError(f"{len(data.train)} training images are fewer than a batch: use a smaller --batch")
    model = build(options, data)
    size = model.config.size[0]
    images = TurnedImages(data.train.images, size, options.turns, options.loop.seed, options.fresh)
    validation, *_ = turned(data.validation, size, options.turns, VALIDATION_SEED, options.validation)
    cache = PoseCache(len(images), model.group.dim)
    clock = fit(
        model,
        make_step(model, images, cache, options.poses, rate_weight(options), PartialState().device),
        len(images),
        options.loop,
        options.output,
        validate=lambda _: validation_nats(model, validation),
        state=(cache,),
        end_of_epoch=cache.synchronise,
        description=describe(options),
    )
    if not PartialState().is_main_process:
        return
    nats = validation_nats(model.cpu(), validation)["nats"]
    facts = {
        **recipe,
        "cpu_seconds": round(clock.cpu_seconds, 1),
        "wall_seconds": round(clock.wall_seconds, 1),
        "threads": torch.get_num_threads(),
        "validation_nats": round(nats, 3),
    }
    model.save_pretrained(options.output, half=True, metrics={"training": facts})
    if options.measure:
        evaluate(Evaluate(str(options.output), options.data, options.turns, seed=options.loop.seed))
    shutil.rmtree(options.output / "checkpoint", ignore_errors=True)


def finished(folder: Path, recipe: dict[str, Any]) -> bool:
    """Whether the folder holds the trained model of this recipe; ``RunError`` if it holds another's."""
    if not (folder / METRICS).exists():
        return False
    known = read_metrics(folder).get("training") or {}
    differing = [k for k, v in json.loads(json.dumps(recipe)).items() if known.get(k) != v]
    if differing:
        raise RunError(
            f"{folder} holds a model trained with another {', '.join(differing[:4])}: choose another --output"
        )
    return True


def rate_weight(options: Train) -> float:
    """The weight of the KL term, chosen for the group where the options leave it open."""
    if options.rate_weight is not None:
        return options.rate_weight
    return 1.0 if options.group == "none" else 0.4


def describe(options: Train) -> dict[str, Any]:
    """What identifies a run besides its loop settings."""
    return {
        "data": Path(options.data).name,
        "latent_dim": options.latent_dim,
        "group": options.group,
        "turns": options.turns,
        "fresh": options.fresh,
        "width": options.width,
        "features": options.features,
        "blocks": options.blocks,
        "rate_weight": rate_weight(options),
        "poses": asdict(options.poses),
    }


if __name__ == "__main__":
    command(Train, train)
