"""Train an affine VAE on images in unknown orientation.

    python -m affinevae.train --data mnist --latent-dim 8 --output runs/my-digits

The thesis' procedure, as expectation-maximisation: before each weight step the pose of every image in the batch is
searched with the weights frozen (E), then encoder and decoder take one step at a pose drawn from that search's
posterior (M). At first all angles compete and the assignment is soft, so that nothing locks in early; then the
scorer, which learns from the verified poses, proposes, and the pose of each image is remembered between epochs.
A plain VAE is the same command with ``--group none``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import PartialState
from torch import Tensor, nn

from affinevae import affine3d
from affinevae.data import SCALED, load
from affinevae.evaluate import (
    VALIDATION_SEED,
    Evaluate,
    encode_all,
    left_out,
    measure,
    turned,
    validation_nats,
)
from affinevae.groups import GROUPS, get_group
from affinevae.metrics import rotation_angle
from affinevae.model import LIMITS, AffineVAE, Finder
from affinevae.pose import Circle
from affinevae.search import Table, search
from affinevae.turned import TurnedImages
from affinevae.variants import with_variants
from training.command import Flag, command
from training.datasets import ImageData
from training.loop import LoopConfig, RunError, fit, fitting, require
from training.measure import available_memory
from training.progress import counted
from training.runs import announce, carry_out, facts
from training.trackers import Kind, require_trackers


@dataclass(frozen=True)
class PoseTraining:
    """How poses are found while training.

    Args:
        grid_fraction: part of the run in which the whole circle is searched.
        temperature: of the soft assignment at the start, in nats; falls to 1 at the end of the grid phase.
        modes: proposals of the scorer for each visit afterwards, beside the remembered pose and a neighbour of it.
        scorer_share: part of each batch that the scorer learns from; it needs fewer examples than the VAE.
        remember: the pose of every image between its visits.
        searched: share of each batch whose poses are searched after the grid phase; the others stay where they were
            found last, which is incremental EM (Neal & Hinton 1998) and saves time for more visits.
    """

    grid_fraction: float = 0.06
    temperature: float = 20.0
    modes: int = 1
    scorer_share: float = 0.5
    remember: bool = True
    searched: float = 1.0


class PoseCache:
    """The last chosen pose of every training image, as lattice cells ``(N, Q)``; -1 where none is known yet."""

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
        index, count = searched_first(index, cache, progress, config)
        image = images(index).to(device)
        noise = torch.randn(len(index), model.config.latent_dim, device=device)
        if not model.group.dim:
            distortion, rate, _ = prepared(image, image.new_zeros(len(index), 0), noise)
            return _losses(distortion, rate, rate_weight)
        model.eval()
        remembered = cache.cells[index].to(device)
        drawn, table = e_step(model, image[:count], remembered[:count], progress, config)
        cells = torch.cat([drawn, remembered[count:]])
        model.train()
        if config.remember and images.turner is None:
            cache.cells[index] = cells.cpu()
        learners = min(count, round(config.scorer_share * len(index))) if model.scorer is not None else 0
        distortion, rate, scores = prepared(image, model.group.from_cells(cells), noise, learners)
        losses = _losses(distortion, rate, rate_weight)
        if learners:
            rotations = model.group.rotations
            assert rotations is not None
            bins = rotations.bin(table.cells[:learners, :, : model.group.columns])
            losses["scorer"] = scorer_loss(scores, bins, Table(*(t[:learners] for t in table)))
            losses["loss"] = losses["loss"] + losses["scorer"]
        return losses

    return step


def searched_first(
    index: Tensor, cache: PoseCache, progress: float, config: PoseTraining
) -> tuple[Tensor, int]:
    """The batch with those in front whose poses are searched this time, and how many they are.

    All while the whole circle competes, and where nothing is remembered; later a share, batches being drawn at random.
    """
    if progress < config.grid_fraction or config.searched == 1:
        return index, len(index)
    chosen = ~known(cache.cells[index])
    chosen[: max(1, round(config.searched * len(index)))] = True
    return index[(~chosen).long().argsort(stable=True)], int(chosen.sum())


def known(cells: Tensor) -> Tensor:
    """Which remembered cells ``(B, Q)`` are poses: ``(B,)``."""
    return (cells > UNKNOWN // 2).all(1)


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
    if model.config.finder == "moments":
        proposals = model.proposals(image, "fast")
    elif progress < config.grid_fraction:
        temperature = config.temperature ** (1 - progress / config.grid_fraction)  # geometric cooling
        rotations = group.rotations
        assert rotations is not None  # a plain VAE has no E step
        proposals = model.turned(image, rotations.spread(len(image), image.device))
    else:
        proposals = later_proposals(model, image, remembered, config)
    table = search(lambda i, c: model.pair_loss(image, i, c), group, proposals)
    drawn = torch.distributions.Categorical(logits=table.log_posterior(temperature)).sample()
    return table.cells.gather(1, drawn[:, None, None].expand(-1, 1, group.cell_dim))[:, 0], table


def later_proposals(model: AffineVAE, image: Tensor, remembered: Tensor, config: PoseTraining) -> Tensor:
    """The remembered pose, one random neighbour of it, and the scorer's modes: cells ``(B, M, Q)``."""
    group, rotations = model.group, model.group.rotations
    assert rotations is not None
    if model.scorer is not None:
        modes = model.scored_rotations(image, config.modes)
    else:
        drawn = torch.randint(len(rotations.covering), (len(image), config.modes), device=image.device)
        modes = rotations.covering.to(image.device)[drawn]
    fresh = model.turned(image, modes)
    kept = torch.where(known(remembered)[:, None], remembered, fresh[:, 0])
    step = torch.randint(-2, 3, (len(image), group.tangent), device=image.device)
    return torch.cat([kept[:, None], group.move(kept, step.float())[:, None], fresh], 1)


def scorer_loss(scores: Tensor, bins: Tensor, table: Table) -> Tensor:
    """Cross entropy from the verified posterior over rotations to the scorer's: a target, never a gradient path.

    ``bins`` (B, S) are the scorer's entries of the table's cells.
    """
    target = torch.zeros_like(scores)
    target.scatter_add_(1, bins, table.log_posterior().exp())
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
        finder: how it finds them: search, or moments, the baseline of principal axes.
        turns: poses the images are turned by before training ("none": they are in unknown orientation already).
        turn_anew: turn each image anew at every visit instead of once.
        variants: mirrored and stretched copies of every training shape that are trained on beside it.
        size: side of the frame in pixels; chosen so that turned images fit if left out. Pictures of several sizes, and
            those that are no squares or do not fit, are scaled to fill it, to 60 pixels if left out.
        channels: 1 grey, 3 RGB; as the data if left out.
        width: units of the dense layers.
        features: channels of the convolutions.
        blocks: residual blocks in the encoder and in the decoder.
        rate_weight: of the KL term in the weight step; below 1 the code is used more and clusters better, at a
            small price in the bound. Searching and measuring always use the true bound. Left out: the better of 0.4
            and 1 on validation, which is 0.4 with a pose and 1 for a plain VAE.
        dropout: share of the encoder's patch features that training hides; helps where examples are few.
        validation: images of the validation split that are measured after each epoch.
        measure: run ``affinevae.evaluate`` at the end.
        fresh: start over in a folder that holds a run: its model stays until the new one is complete.
        log_with: trackers that get what log.jsonl gets: tensorboard, trackio, wandb (docs/runs.md).
    """

    data: str
    output: Path
    latent_dim: int = 8
    group: str = "rotation"
    finder: Finder = "search"
    turns: str = "rotation"
    turn_anew: bool = False
    variants: int = 0
    size: int | None = None
    channels: int | None = None
    width: int = 384
    features: int = 16
    blocks: int = 2
    rate_weight: float | None = None
    dropout: float = 0.0
    validation: int = 2000
    measure: bool = True
    fresh: Flag = False
    log_with: tuple[Kind, ...] = ()
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
    images = data.train.images
    dims = images.ndim - 2
    if options.turns not in GROUPS[dims]:
        raise ValueError(f"unknown --turns {options.turns!r}: choose one of {', '.join(GROUPS[dims])}")
    size = options.size or images.shape[-1]
    if options.size is None and dims == 2 and data.prepared.size != SCALED:
        size = min(LIMITS[2], frame_size(images[:5000], options.turns))
    torch.manual_seed(options.loop.seed)
    model = AffineVAE(
        (size,) * dims,
        images.shape[1],
        options.latent_dim,
        options.group,
        options.width,
        options.features,
        options.blocks,
        classes=data.classes,
        finder=options.finder,
        **learned(data),
    )
    model.encoder.dropout.p = options.dropout
    return model


def check(options: Train) -> None:
    """``RunError`` for options that no data can make right."""
    options.loop.check()
    require_trackers(options.log_with)
    for name in ("width", "features", "blocks", "validation"):
        require(f"--{name}", getattr(options, name), getattr(options, name) >= 1, "at least 1")
    require("--variants", options.variants, options.variants >= 0, "at least 0")
    require("--dropout", options.dropout, 0 <= options.dropout < 1, "in [0, 1)")
    weight, poses = options.rate_weight, options.poses
    require("--rate-weight", weight, weight is None or 0 <= weight < math.inf, "at least 0")
    require("--grid-fraction", poses.grid_fraction, 0 <= poses.grid_fraction <= 1, "in [0, 1]")
    require("--temperature", poses.temperature, poses.temperature > 0, "above 0")
    require("--modes", poses.modes, poses.modes >= 1, "at least 1")
    require("--scorer-share", poses.scorer_share, 0 <= poses.scorer_share <= 1, "in [0, 1]")
    require("--searched", poses.searched, 0 < poses.searched <= 1, "in (0, 1]")


def learned(data: ImageData) -> dict[str, Any]:
    """What a model's config keeps of how its training pictures were prepared."""
    if data.train.images.ndim != 4:
        return {}
    invert = bool(data.prepared.invert)
    return {"picture": data.train.images.shape[-1], "invert": invert, "drawn": invert and not data.scaled}


def train(options: Train) -> None:
    """Train, save and measure; what a run of the same options has finished on the same data is left as it is."""
    check(options)
    carry_out(
        options.output,
        describe(options) | asdict(options.loop),
        load=lambda: load(options.data, options.channels, options.size),
        train=lambda data, place, found: train_and_save(replace(options, output=place), data, found),
        measure=(lambda data, place: measure(data, measurement(options, place))) if options.measure else None,
        unset=UNSET,
        renamed=RENAMED,
        fresh=options.fresh,
    )


def measurement(options: Train, place: Path) -> Evaluate:
    """The evaluation of a run."""
    return Evaluate(str(place), options.data, options.turns, seed=options.loop.seed)


def train_and_save(options: Train, data: ImageData, found: dict[str, Any]) -> None:
    """Train, from the last checkpoint on, and write the model's folder; ``found`` is the data's fingerprint."""
    model = build(options, data)
    size = model.config.size[0]
    require_memory(model, len(data.train) * (1 + options.variants), options.turn_anew)
    sources = with_variants(data.train.images, options.variants, options.loop.seed)
    images = TurnedImages(sources, size, options.turns, options.loop.seed, options.turn_anew)
    validation, poses, _ = turned(data.validation, size, options.turns, VALIDATION_SEED, options.validation)
    cache = PoseCache(len(images), model.group.cell_dim)
    missing = left_out(model, data, measurement(options, options.output)) if options.measure else {}
    announce(data.report.sentences(), model, said(model), options.loop, len(images), missing)
    clock = fit(
        model,
        make_step(model, images, cache, options.poses, rate_weight(options), PartialState().device),
        len(images),
        fitting(options.loop, len(images)),
        options.output,
        validate=lambda _: validation_nats(model, validation),
        state=(cache,),
        end_of_epoch=cache.synchronise,
        description=describe(options),
        fingerprint=found,
        log_with=options.log_with,
    )
    if not PartialState().is_main_process:
        return
    nats = validation_nats(model.cpu(), validation)["nats"]
    stand_upright(model, validation, poses, options.turns)
    told = {
        **facts(describe(options), options.loop, found, clock),
        "examples": len(images),
        "validation_nats": round(nats, 3),
    }
    model.save_pretrained(options.output, half=True, metrics={"training": told})


def stand_upright(model: AffineVAE, images: Tensor, poses: Tensor, turns: str) -> None:
    """Turn a voxel model's canonical frame so that most shapes stand in it as they stood before they were turned.

    One rotation of the cube for the whole model, for people to look at: the only use of the true orientation, after
    training, and nothing that is measured changes. Shapes that were not turned ("none") stand as they came.
    """
    if model.config.dims != 3 or not model.group.dim:
        return
    true = get_group(turns, 3).matrix(poses)[..., :3]
    found = model.pose_matrix(encode_all(model, images).pose)[..., :3]
    cubes = affine3d.cube_rotations()
    offset = (
        rotation_angle((true.transpose(1, 2) @ found)[:, None] @ cubes).clamp(max=math.pi / 6).mean(0)
    )  # (24,)
    if isinstance(
        model.group.rotations, Circle
    ):  # what turns about the vertical only cannot be told to stand up
        offset[cubes[:, 2, 2] != 1] = torch.inf
    model.turn_frame(int(offset.argmin()))


def require_memory(model: AffineVAE, examples: int, anew: bool) -> None:
    """``RunError`` where the turned images, which are held in memory, will not fit there."""
    config, free = model.config, available_memory()
    enlarged = 4 if anew and config.dims == 2 else 1  # twice the resolution, to be turned again and again
    needed = examples * config.channels * math.prod(config.size) * enlarged
    if free is not None and needed > free:
        raise RunError(
            f"{examples:,} examples in frames of {'x'.join(map(str, config.size))} take {needed / 2**30:,.1f} GiB of "
            f"memory, and {free / 2**30:,.1f} are free: use a smaller --size, or fewer of them"
        )


def said(model: AffineVAE) -> str:
    """A model in a few words."""
    config = model.config
    kind = "plain VAE" if config.group == "none" else f"affine VAE ({config.group})"
    return f"{kind} of {counted(config.latent_dim, 'number')} for frames of {'x'.join(map(str, config.size))}"


RENAMED = {"fresh": "turn_anew"}  # options, by the names that older runs have them under
UNSET = {
    "variants": 0,
    "finder": "search",
    "poses": {"remember": True, "searched": 1.0},
}  # newer than some runs, which did without


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
        "finder": options.finder,
        "turns": options.turns,
        "turn_anew": options.turn_anew,
        "variants": options.variants,
        "width": options.width,
        "features": options.features,
        "blocks": options.blocks,
        "rate_weight": rate_weight(options),
        "dropout": options.dropout,
        "poses": asdict(options.poses),
    }


if __name__ == "__main__":
    command(Train, train)
