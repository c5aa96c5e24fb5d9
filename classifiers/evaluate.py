"""Measure a trained classifier on a data set's test split.

    python -m classifiers.evaluate runs/my-cnn --data cifar10

Writes ``metrics.json`` (accuracy, calibration, size, work) and the model card into the model's folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from classifiers.card import model_card
from classifiers.data import in_order, load
from classifiers.model import FULL, ONNX, CompactCNN, energy
from classifiers.networks import allow_network, create_network, dense_name
from classifiers.tie import untie
from training.command import command
from training.datasets import ImageData, ImageSplit
from training.left_out import only_finite
from training.measure import commit, interval, machine, macs, parameters
from training.pictures import to_floats
from training.progress import say
from training.runs import claimed, read_metrics
from weights.checkpoint import CARD, METRICS, to_json, write

BATCH = 500
TOP = 5


@dataclass(frozen=True)
class Evaluate:
    """Measure a model folder on a data set's test split.

    Args:
        model: folder, shipped name or Hub repository.
        data: data set: name, file or folder, as for training.
        terms: terms of use of the data, for the card; known for data sets by name.
        output: folder for the results; the model's own if left out.
        half: store the weights as float16, and measure them so.
        allow: functions of your own, module:function, that build networks: they are imported.
        foreign: data sets of other things than the classes: how many of their pictures get the hint that they are.
    """

    model: Annotated[str, tyro.conf.Positional]
    data: str
    terms: str | None = None
    output: Path | None = None
    half: bool = False
    allow: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


def logits_of(model: CompactCNN, images: Tensor, plan: str = FULL) -> Tensor:
    """Logits (N, K) of bytes (N, C, H, W), by a named plan."""
    return torch.cat([model.logits(to_floats(part), plan) for part in images.split(BATCH)])


def accuracy(model: CompactCNN, split: ImageSplit, plan: str = FULL) -> float:
    """Share of pictures whose likeliest class is the right one."""
    assert split.labels is not None
    return float((logits_of(model, split.images, plan).argmax(1) == split.labels).float().mean())


def evaluate(model: CompactCNN, split: ImageSplit) -> dict[str, Any]:
    """Accuracy, likelihood and calibration, with parameters and multiply-accumulates beside the dense twin's."""
    from torchmetrics.functional.classification import multiclass_calibration_error  # takes seconds

    assert split.labels is not None
    logits, config = logits_of(model, split.images), model.config
    right = logits.argmax(1) == split.labels
    one = torch.zeros(1, config.channels, config.size, config.size)
    twin = untie(create_network(dense_name(config.network), len(config.classes), config.channels))
    per_class = {
        name: round(float(right[split.labels == k].float().mean()), 4)
        for k, name in enumerate(config.classes)
        if (split.labels == k).any()
    }
    bins = multiclass_calibration_error(logits.softmax(1), split.labels, len(config.classes), n_bins=15)
    missing = left_out(split, config.classes)
    result = {
        "n": len(split),
        "accuracy": float(right.float().mean()),
        "accuracy_interval": interval(int(right.sum()), len(right)),
        "top5": float(
            (logits.topk(min(TOP, logits.shape[1])).indices == split.labels[:, None]).any(1).float().mean()
        ),
        "nll": float(F.cross_entropy(logits, split.labels)),
        "calibration_error": float(bins),
        "per_class": per_class,
        "parameters": parameters(model),
        "macs": macs(model, one),
        "dense_parameters": parameters(twin),
        "dense_macs": macs(twin, one),
    }
    return only_finite({key: value for key, value in result.items() if key not in missing}, missing)


def left_out(split: ImageSplit, classes: Sequence[str]) -> dict[str, str]:
    """What these test pictures do not let us measure, and why: known before a training begins."""
    missing = {}
    if len(classes) <= TOP:
        missing["top5"] = f"every answer is among the best five of {len(classes)} classes"
    shown = set() if split.labels is None else set(split.labels.tolist())
    absent = {
        f"per_class.{name}": "no test picture shows it" for k, name in enumerate(classes) if k not in shown
    }
    return missing | absent


def out_of_scope(model: CompactCNN, own: Tensor, foreign: Tensor) -> dict[str, float]:
    """How well ``energy(logits) > model.scope`` tells pictures of other things from the model's own, both as bytes.

    ``flagged`` of the foreign pictures, ``own_flagged`` of its own, and the area under the curve of all thresholds.
    """
    from torchmetrics.functional.classification import binary_auroc

    known, other = (energy(logits_of(model, images)) for images in (own, foreign))
    truth = torch.cat([torch.zeros(len(known)), torch.ones(len(other))]).long()
    # torchmetrics would squash values outside [0, 1] by a sigmoid, whose ends round to ties; ranks keep the order
    ranks = torch.cat([known, other]).argsort().argsort() / len(truth)
    return {
        "n": len(other),
        "flagged": float((other > model.scope).float().mean()),
        "own_flagged": float((known > model.scope).float().mean()),
        "auroc": float(binary_auroc(ranks, truth)),
    }


def run(options: Evaluate) -> dict[str, Any]:
    """Evaluate a folder and write the results beside its weights; returns the metrics."""
    for function in options.allow:
        allow_network(function)
    config = CompactCNN.from_pretrained(options.model, engine="torch").config
    with claimed(options.output or Path(options.model)):
        return measure(load(options.data, config.prepared), options)


def measure(data: ImageData, options: Evaluate) -> dict[str, Any]:
    """:func:`run` on data that are loaded, in a folder that is claimed."""
    model = CompactCNN.from_pretrained(options.model, engine="torch")
    folder = options.output or Path(options.model)
    if options.half:
        model.half().float()
    config = model.config
    data = in_order(data, model.classes)
    say(f"classifying {len(data.test):,} test pictures")
    foreign = [load(name, config.prepared) for name in options.foreign]
    result = {
        "data": data.name,
        "terms": options.terms or data.terms,
        "test": evaluate(model, data.test),
        "out_of_scope": {f.name: out_of_scope(model, data.test.images, f.test.images) for f in foreign},
        "training": read_metrics(Path(options.model)).get("training"),
        "machine": machine(),
        "commit": commit(),
    }
    model.save_pretrained(
        folder, half=options.half, metrics=result, card=model_card(folder.name, config, result)
    )
    return record_graph(folder, data.test) if (folder / ONNX).is_file() else result


def record_graph(folder: Path, split: ImageSplit) -> dict[str, Any]:
    """Measure a folder's ONNX graph, which may be rounded more than the weights beside it; returns the metrics.

    A folder without measurements of its weights stays without.
    """
    metrics = read_metrics(folder)
    if "test" not in metrics:
        return metrics
    model = CompactCNN.from_pretrained(folder, engine="onnx")
    metrics["graph"] = {"precision": model.precision, "n": len(split), "accuracy": accuracy(model, split)}
    write(
        folder,
        {METRICS: to_json(metrics), CARD: model_card(folder.name, model.config, metrics).encode()},
    )
    return metrics


if __name__ == "__main__":
    command(Evaluate, run)
