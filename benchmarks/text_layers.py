"""Claim: what a shortened sequence is worth beside fewer layers and shorter texts, trained by one recipe for as long.

    python -m benchmarks.text_layers --data agnews

Trains (or re-reads: finished runs are kept in ``--runs``) the plan, with the full length beside it, which teaches it;
the same encoder with its last layers cut off; and the whole encoder on texts cut to their first tokens. All start from
the same backbone, on the same texts. Each of the others has as many epochs as make at least the work of the plan's
training, the full passes included. Times are of one text of the median length, in turns, on one thread.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.claims.text_layers import COLUMNS, Kind, title, titled
from benchmarks.text_latency import short_name
from benchmarks.tools.tables import Rows, markdown, several, write
from textclf import TextClassifier
from textclf.bottleneck import Plan
from textclf.encoder import backbone_folder
from textclf.evaluate import classify, example, typical_length
from textclf.latency import callable_in
from textclf.model import Engine, OnePlan
from textclf.train import Supernet, Train, build, load, train
from training.command import command
from training.loop import LoopConfig
from training.measure import commit, compare, machine
from training.runs import read_metrics
from training.texts import TextSplit, subset

ENGINES: tuple[Engine, ...] = ("onnx", "int8")


@dataclass(frozen=True)
class TextLayers:
    """Train a plan, fewer layers and cut texts alike, and compare them on test texts.

    Args:
        data: labelled texts: name or file.
        text_column: columns of the text, joined by a space.
        label_column: column of the label.
        class_names: names for the labels, in their order.
        plan: that is trained beside the full length.
        layers: of the encoders whose last layers are cut off.
        cuts: tokens that the whole encoder is trained and tested on.
        examples: training texts of each.
        max_length: tokens of a text that the others read.
        test: test texts, at most.
        seeds: runs of each.
        backbone: where all start.
        full: share of the plan's steps that also run the full length.
        recipe: how all are trained; the plan for these epochs.
        rounds: of timing.
        runs: folder of the trained models.
        output: results; named after the data if left out.
    """

    data: str
    text_column: tuple[str, ...] = ()
    label_column: str | None = None
    class_names: tuple[str, ...] = ()
    plan: tuple[int, ...] = (2, 1, 2, 1, 2, 1)
    layers: tuple[int, ...] = (2, 3, 4)
    cuts: tuple[int, ...] = (24,)
    examples: int = 2000
    max_length: int = 64
    test: int = 3000
    seeds: int = 1
    backbone: str = "minilm"
    full: float = 0.5
    recipe: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            epochs=2, batch=16, lr=1e-4, weight_decay=0.01, clip=1.0, warmup=30
        )
    )
    rounds: int = 10
    runs: Path = Path("runs")
    output: Path | None = None


class Entry(NamedTuple):
    """One row: how it is trained, and which plan of what was trained is measured."""

    kind: Kind
    size: int  # layers, tokens, or 0
    train: Train
    plan: Plan


def shallower(backbone: str, layers: int, folder: Path) -> Path:
    """A copy of a backbone whose last layers are cut off."""
    source = backbone_folder(backbone)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to((source / name).resolve())
    config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers}))
    return folder


def entries(options: TextLayers, seed: int, macs: Callable[[Plan, int], int], tokens: int) -> list[Entry]:
    """Every row of one seed; ``macs`` is the work of a plan on so many tokens, ``tokens`` the median length."""
    stem = f"layers-{short_name(options.data)}"
    written, every = ",".join(map(str, options.plan)), (1,) * len(options.plan)
    recipe = replace(options.recipe, seed=seed)
    both = Train(
        options.data,
        options.runs / f"{stem}-{written.replace(',', '')}-s{seed}",
        text_column=options.text_column,
        label_column=options.label_column,
        class_names=options.class_names,
        backbone=options.backbone,
        max_length=options.max_length,
        examples=options.examples,
        measure=False,
        supernet=Supernet(plans=(written,), full=options.full),
        loop=recipe,
    )
    spent = options.full * macs(every, tokens) + macs(options.plan, tokens)
    alone = Supernet(shrink=1, skip=0)

    def as_long(plan: Plan, read: int) -> LoopConfig:
        return replace(recipe, epochs=math.ceil(recipe.epochs * spent / macs(plan, read) - 1e-6))

    found = [Entry("plan", 0, both, options.plan), Entry("full", 0, both, every)]
    for count in options.layers:
        output, plan = options.runs / f"{stem}-{count}-layers-s{seed}", (1,) * count
        backbone = shallower(options.backbone, count, options.runs / f"minilm-{count}-layers")
        loop = as_long(plan, tokens)
        cut = replace(both, output=output, backbone=str(backbone), supernet=alone, loop=loop)
        found.append(Entry("layers", count, cut, plan))
    for count in options.cuts:
        output, loop = options.runs / f"{stem}-{count}-tokens-s{seed}", as_long(every, min(count, tokens))
        cut = replace(both, output=output, max_length=count, supernet=alone, loop=loop)
        found.append(Entry("tokens", count, cut, every))
    return found


class Measured(NamedTuple):
    """A trained entry on test texts: which it got right (N,), its work, and what its training took."""

    right: torch.Tensor
    macs: int
    trained: dict[str, Any]
    model: TextClassifier


def measured(entry: Entry, test: TextSplit) -> Measured:
    """Train an entry if it is not there, and classify the test texts."""
    train(entry.train)
    model = TextClassifier.from_pretrained(entry.train.output)
    scores = classify(model, test.texts, entry.plan, "torch")
    work = model.macs(entry.plan, typical_length(model, test.texts))
    return Measured(
        (scores.argmax(-1) == test.labels).float(), work, read_metrics(entry.train.output)["training"], model
    )


def timed(
    found: dict[str, tuple[Entry, Measured]], test: TextSplit, rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds of one text of the median length: row -> engine -> median."""
    calls: dict[str, Callable[[], object]] = {}
    for name, (entry, one) in found.items():
        inputs = example(one.model, typical_length(one.model, test.texts))
        for engine in ENGINES:
            part = OnePlan(one.model, entry.plan)
            run = callable_in(part, one.model, inputs, ("ids", "mask"), engine)
            calls[f"{name}/{engine}"] = lambda run=run, inputs=inputs: run(*inputs)  # type: ignore[misc]
    times = compare(calls, rounds=rounds, repeats=3)
    return {name: {engine: times[f"{name}/{engine}"].median_ms for engine in ENGINES} for name in found}


def row(entry: Entry, runs: list[Measured], ours: list[Measured], ms: dict[str, float]) -> dict[str, Any]:
    """One row over all seeds; ``ours`` are the plan's, on the same texts."""
    ahead = torch.stack([100 * (one.right - plan.right) for one, plan in zip(runs, ours, strict=True)]).mean(
        0
    )
    return {
        "kind": entry.kind,
        "size": entry.size,
        "accuracy": several([float(one.right.mean()) for one in runs]),
        "ahead": float(ahead.mean()),
        "ahead_std_error": float(ahead.std() / len(ahead) ** 0.5),
        "macs": runs[0].macs / 1e6,
        "epochs": entry.train.loop.epochs,
        "cpu_seconds": several([one.trained["cpu_seconds"] for one in runs]),
        **ms,
    }


def run(options: TextLayers) -> None:
    """Train and measure what is missing; print and keep."""
    torch.set_num_threads(1)
    probe = replace(
        Train(options.data, options.runs), text_column=options.text_column, label_column=options.label_column,
        class_names=options.class_names, backbone=options.backbone, max_length=options.max_length,
    )  # fmt: skip
    data = load(probe)
    test = subset(data.test, options.test)

    whole = build(probe, data)
    tokens = typical_length(whole, data.train.texts)
    every = [entries(options, seed, whole.macs, tokens) for seed in range(options.seeds)]
    runs = [[measured(entry, test) for entry in one] for one in every]
    names = [title(entry.kind, entry.size) for entry in every[0]]
    times = timed(dict(zip(names, zip(every[0], runs[0], strict=True), strict=True)), test, options.rounds)
    ours = [one[0] for one in runs]
    rows: Rows = {
        name: row(every[0][i], [one[i] for one in runs], ours, times[name]) for i, name in enumerate(names)
    }
    facts = {
        "data": short_name(options.data), "plan": options.plan, "n": len(test), "tokens": tokens,
        "examples": options.examples, "seeds": options.seeds, "layers": options.layers, "cuts": options.cuts,
    }  # fmt: skip
    output = options.output or Path(f"benchmarks/results/text_layers_{facts['data']}.json")
    write(output, {**facts, "machine": machine(), "commit": commit(), "rows": rows})
    markdown(titled(rows), COLUMNS)


if __name__ == "__main__":
    command(TextLayers, run)
