"""Measure a trained classifier on a data set's test split.

    python -m classifiers.evaluate runs/my-cnn --data cifar10

Writes ``metrics.json`` (accuracy, calibration, size, work) and the model card into the model's folder.
"""

from __future__ import annotations

import functools
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
from classifiers.model import FULL, ONNX, PRECISIONS, CompactCNN, energy, graph_path, session
from classifiers.networks import allow_network, create_network, dense_name
from classifiers.tie import untie
from training.command import command
from training.datasets import ImageData, ImageSplit
from training.left_out import only_finite
from training.measure import commit, compare, interval, machine, macs, parameters
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
    known = read_metrics(Path(options.model))
    result: dict[str, Any] = {
        "data": data.name,
        "terms": options.terms or data.terms,
        "test": evaluate(model, data.test),
        "out_of_scope": {f.name: out_of_scope(model, data.test.images, f.test.images) for f in foreign},
        "training": known.get("training"),
        **({"search": known["search"]} if "search" in known else {}),
        "machine": machine(),
        "commit": commit(),
    }
    if config.plans:
        assert model.folder is not None
        result["test"]["plans"] = evaluate_plans(model.folder, data.test)
    card = model_card(folder.name, config, result)
    kept = config.plans and folder == model.folder and not options.half
    if kept:  # what its graphs were made of stays as it is
        write(folder, {METRICS: to_json(result), CARD: card.encode()})
    else:
        model.save_pretrained(folder, half=options.half, metrics=result, card=card)
    return record_graph(folder, data.test) if (folder / ONNX).is_file() else result


def evaluate_plans(folder: Path, split: ImageSplit) -> dict[str, Any]:
    """Each named plan in each form that a folder has of it: how often it is right, and how long a picture takes.

    Times are of ONNX Runtime on one thread, batch 1, of all plans in turns.
    """
    model = CompactCNN.from_pretrained(folder)
    graphs = {
        (name, form): path
        for name in model.plans
        for form in PRECISIONS
        if (path := graph_path(folder, name, form)).is_file()
    }
    calls = {}
    for (name, form), path in graphs.items():
        engine, size = session(path.read_bytes()), model.plan(name).size
        given = {"image": torch.rand(1, model.config.channels, size, size).numpy()}
        calls[f"{name} {form}"] = functools.partial(engine.run, None, given)
    times = compare(calls, rounds=10, repeats=5)
    found: dict[str, Any] = {}
    for name, facts in model.plans.items():
        say(f"plan {name}: classifying {len(split):,} test pictures")
        network = model.planned(name)
        one = torch.zeros(1, model.config.channels, network.size, network.size)
        found[name] = {
            **facts.plan._asdict(),
            "n": len(split),
            "parameters": parameters(network),
            "macs": macs(network, one),
            "form": facts.form,
        }
        for form in PRECISIONS:
            if (name, form) in graphs:
                asked = CompactCNN.from_pretrained(folder, engine="onnx" if form == "float32" else form)
                found[name][form] = {
                    "accuracy": accuracy(asked, split, name),
                    "latency_ms": times[f"{name} {form}"].median_ms,
                }
        served = found[name].get(facts.form)
        found[name]["accuracy"] = served["accuracy"] if served else accuracy(model, split, name)
    return found


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
