"""Claim: networks with tied kernels are as accurate as dense ones of several times more parameters and work.

    python -m benchmarks.tied_networks --data cifar10

Trains (or re-reads: finished runs are kept in ``--runs``) each network with the same recipe, measures test accuracy,
size and latency, and prints the front. In every family the dense twin and a narrower dense network of as many
parameters stand beside the tied one, trained for as many epochs; which of them is ahead after as much *time* is for
``benchmarks.training_time`` to say. Latency is of ONNX Runtime in float32 and in int8, and a network is compared with
its twin in the form that serves each best. Validation chose the recipe; test reports. Rows that the results hold
already and that are not asked for stay, timed anew beside the others.
"""

from __future__ import annotations

import io
import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from onnxruntime import InferenceSession

from benchmarks.affine_vae import short_name
from benchmarks.claims.tied_networks import (
    COLUMNS,
    EPOCHS,
    FROM_TWIN,
    NETWORKS,
    OPTIMIZER,
    SHIPPED,
    Entry,
    Optimizer,
    compared,
    entry,
    twin,
)
from benchmarks.tools.tables import Rows, markdown, write
from classifiers import CompactCNN
from classifiers.evaluate import Evaluate
from classifiers.evaluate import run as evaluate
from classifiers.export import to_int8, to_onnx
from classifiers.model import CompactCNNConfig, session
from classifiers.networks import create_network, dense_name
from classifiers.train import Train, train
from training.command import command
from training.datasets import load_images
from training.loop import LoopConfig
from training.measure import commit, compare, machine, parameters
from training.runs import read_metrics
from weights.catalog import directory
from weights.checkpoint import read_json

# Accuracy in per cent, parameters and MACs in millions, on lossless CIFAR-10 after 200 epochs, as published: Haase &
# Amthor 2020 (their repository's table), He et al. 2016 in chenyaofo's re-run, ShaResNet (Boulch 2017).
PUBLISHED = {
    "wrn16-4": (94.29, 2.75, 394),
    "wrn16-4 BSConv-S": (93.31, 0.21, 38.0),
    "wrn28-2 BSConv-S": (93.13, 0.12, 21.5),
    "wrn28-3 BSConv-S": (94.28, 0.24, 42.2),
    "resnet20": (92.60, 0.27, 40.8),
    "resnet56": (94.37, 0.86, 125.8),
    "mobilenetv2 x0.5": (92.88, 0.70, 28.0),
    "resnet164 ShaResNet": (93.8, 0.93, None),
}


@dataclass(frozen=True)
class TiedNetworks:
    """Accuracy, size and latency of dense and tied networks trained alike.

    Args:
        data: set of labelled images.
        networks: names, see :mod:`classifiers.networks`, a twin before its ties; those of the claim if none are named.
        from_twin: networks that start as the nearest to the run of the same seed of their untied form, and are taught
            by the largest dense network of their family.
        shipped: networks whose model in ``weights/`` is measured, and not trained.
        seeds: runs of each.
        epochs: of each; 16 for CIFAR-10 and 8 for Fashion-MNIST if left out.
        optimizer: of each.
        train: train what is missing; False re-reads what there is.
        terms: terms of use of the data, for the model cards.
        runs: folder of the trained models.
        output: results; named after the data if left out.
    """

    data: str
    networks: tuple[str, ...] = ()
    from_twin: tuple[str, ...] = ()
    shipped: tuple[str, ...] = ()
    seeds: int = 3
    epochs: int | None = None
    optimizer: Optimizer = OPTIMIZER
    train: bool = True
    terms: str | None = None
    runs: Path = Path("runs")
    output: Path | None = None


def recipe(options: TiedNetworks, wanted: Entry, seed: int, dense: str) -> Train:
    """One run; its folder says what it is. One that starts from a trained network goes on more gently."""
    name = short_name(options.data)
    epochs = options.epochs or EPOCHS[name]
    loop = LoopConfig(epochs=epochs, batch=64, lr=0.1, weight_decay=5e-4, warmup=700, seed=seed)
    start = dense_name(wanted.network)
    folder = f"{name}-{wanted.network.replace(':', '_')}"
    if wanted.origin == FROM_TWIN:
        folder += "_from-twin" if start == dense else f"_from-twin-taught-by-{dense}"
    folder += f"-s{seed}" if options.optimizer == OPTIMIZER else f"-s{seed}-{options.optimizer}"
    plan = Train(
        options.data,
        options.runs / folder,
        wanted.network,
        optimizer=options.optimizer,
        measure=False,
        loop=loop,
    )
    if wanted.origin != FROM_TWIN:
        return plan
    begun, teacher = (str(recipe(options, Entry(n), seed, dense).output) for n in (start, dense))
    return replace(plan, start=begun, teacher=teacher, loop=replace(loop, lr=0.03, warmup=100))


def measured(options: TiedNetworks, wanted: Entry, dense: str) -> list[dict[str, Any]]:
    """``metrics.json`` of each seed's run, trained and evaluated first if need be (and allowed)."""
    if wanted.origin == SHIPPED:
        return [shipped(options, wanted.network)]
    found = []
    for seed in range(options.seeds):
        plan = recipe(options, wanted, seed, dense)
        if options.train:
            train(plan)
        if not read_metrics(plan.output):
            continue
        if "test" not in read_metrics(plan.output):
            evaluate(Evaluate(str(plan.output), options.data, terms=options.terms))
        found.append({**read_metrics(plan.output), "folder": plan.output})
    return found


def shipped(options: TiedNetworks, network: str) -> dict[str, Any]:
    """``metrics.json`` of the model of ``weights/`` that is this network, for this data.

    Raises:
        ValueError: there is none.
    """
    data = short_name(options.data)
    for config in sorted(directory().glob("*/config.json")):
        metrics = read_metrics(config.parent)
        if read_json(config).get("network") == network and metrics.get("data") == data:
            return {**metrics, "folder": config.parent}
    raise ValueError(f"weights/ holds no {network} for {data}")


def forms(model: CompactCNN) -> dict[str, bytes]:
    """A network in ONNX form, in float32 and in int8 calibrated on noise: time does not depend on the weights."""
    config, onnx = model.config, to_onnx(model)
    noise = torch.rand(
        32, config.channels, config.size, config.size, generator=torch.Generator().manual_seed(0)
    )
    return {"float32": onnx, "int8": to_int8(onnx, noise)}


def exported(rows: Rows, config: CompactCNNConfig) -> dict[tuple[str, str], InferenceSession]:
    """Each row's network in both forms, for these pictures, with random weights."""
    data = config.classes, config.size, config.channels
    return {
        (name, form): session(onnx)
        for name, row in rows.items()
        for form, onnx in forms(CompactCNN(row["network"], *data)).items()
    }


def speeds(
    engines: dict[tuple[str, str], InferenceSession], config: CompactCNNConfig, batch: int
) -> dict[tuple[str, str], float]:
    """Processor milliseconds of each on one thread, timed in turns."""
    given = {"image": torch.rand(batch, config.channels, config.size, config.size).numpy()}
    times = compare(
        {" as ".join(key): lambda e=engine: e.run(None, given) for key, engine in engines.items()},  # type: ignore[misc]
        rounds=10,
        repeats=10 if batch == 1 else 2,
    )
    return dict(zip(engines, (latency.cpu_median_ms for latency in times.values()), strict=True))


def half_megabytes(folder: Path) -> float:
    """Size of the weights as float16."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    halves = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    return io.BytesIO(safetensors.torch.save(halves)).getbuffer().nbytes / 1e6


def row(wanted: Entry, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """One row: every number but times, and the accuracy as people read it."""
    accuracies = [m["test"]["accuracy"] * 100 for m in metrics]
    mean, spread = statistics.fmean(accuracies), statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    test = metrics[0]["test"]
    return {
        **wanted._asdict(),
        "accuracy": f"{mean:.2f} ± {spread:.2f} (n = {len(metrics)})"
        if len(metrics) > 1
        else f"{mean:.2f} (n = 1)",
        "accuracies": accuracies,
        "validation": [m["training"]["validation_accuracy"] * 100 for m in metrics],
        "parameters": test["parameters"],
        "MACs, million": test["macs"] / 1e6,
        "float16, MB": half_megabytes(metrics[0]["folder"]),
        "CPU s": statistics.fmean(m["training"]["cpu_seconds"] for m in metrics),
        "epochs": metrics[0]["training"]["epochs"],
        "optimizer": metrics[0]["training"].get("optimizer", "sgd"),
        "machine": metrics[0]["machine"],  # of accuracy and CPU seconds; times are of the machine of all rows
        "commit": metrics[0]["commit"],
    }


def timed(rows: Rows, ms: dict[int, dict[tuple[str, str], float]]) -> Rows:
    """The rows with their times, and how much faster than its dense twin each one is, both in their faster form."""

    def best(times: dict[tuple[str, str], float], name: str) -> float:
        return min(times[name, "float32"], times[name, "int8"])

    return {
        name: {
            **found,
            "ms": ms[1][name, "float32"],
            "ms, int8": ms[1][name, "int8"],
            "ms, batch 64": ms[64][name, "float32"],
            "ms, int8, batch 64": ms[64][name, "int8"],
            **{
                f"faster, batch {b}": best(times, twin(rows, name)) / best(times, name)
                for b, times in ms.items()
            },
        }
        for name, found in rows.items()
    }


def front(results: dict[str, Any]) -> dict[str, Any]:
    """The points of the page's plot: ours, and on CIFAR-10 the published ones."""
    points: list[dict[str, Any]] = [
        {
            "network": r["network"],
            "origin": r["origin"],
            "parameters": r["parameters"],
            "macs": round(r["MACs, million"] * 1e6),
            "accuracy": round(statistics.fmean(r["accuracies"]) / 100, 5),
            "std": round(statistics.stdev(r["accuracies"]) / 100, 5) if len(r["accuracies"]) > 1 else 0.0,
            "n": len(r["accuracies"]),
            "tied": entry(r).tied,
            "published": False,
            "latency_ms": round(r["ms"], 4),
        }
        for r in results["rows"].values()
    ]
    for name, (accuracy, millions, work) in (PUBLISHED if results["data"] == "cifar10" else {}).items():
        points.append(
            {
                "network": name,
                "origin": "published, lossless pixels",
                "parameters": round(millions * 1e6),
                "macs": None if work is None else round(work * 1e6),
                "accuracy": accuracy / 100,
                "std": 0.0,
                "n": 1,
                "tied": "BSConv" in name or "ShaResNet" in name,
                "published": True,
                "latency_ms": None,
            }
        )
    title = {"cifar10": "CIFAR-10 (JPEG q75)", "fashion": "Fashion-MNIST"}
    return {"data": title.get(results["data"], results["data"]), "points": points}


def of_data(
    options: TiedNetworks, every: dict[Entry, list[dict[str, Any]]], recorded: dict[str, Any]
) -> tuple[CompactCNNConfig, int]:
    """What pictures a network takes, and on how many they were tested; of the data where nothing was trained."""
    if every:
        first = next(iter(every.values()))[0]
        return CompactCNN.from_pretrained(first["folder"], engine="torch").config, first["test"]["n"]
    data, (row, *_) = load_images(options.data), recorded["rows"].values()
    _, channels, size, _ = data.test.images.shape
    return CompactCNNConfig(row["network"], data.classes, size, channels), recorded["n"]


def run(options: TiedNetworks) -> None:
    """Train and measure what is missing; print the table and write the front."""
    name = short_name(options.data)
    output = options.output or Path(f"benchmarks/results/tied_networks_{name}.json")
    recorded = read_json(output) if output.exists() else {"rows": {}}
    asked = [
        *map(Entry, options.networks),
        *(Entry(network, FROM_TWIN) for network in options.from_twin),
        *(Entry(network, SHIPPED) for network in options.shipped),
    ] or NETWORKS[name]
    sizes: Rows = {
        **recorded["rows"],
        **{e.title: {**e._asdict(), "parameters": parameters(create_network(e.network))} for e in asked},
    }
    for wanted in asked:
        if wanted.origin == FROM_TWIN and (start := dense_name(wanted.network)) not in sizes:
            raise ValueError(f"{wanted.title!r} has nobody to learn from: name {start} among the networks")
    every = {e: found for e in asked if (found := measured(options, e, twin(sizes, e.title)))}
    if not every and not recorded["rows"]:
        raise ValueError(f"{options.runs} holds no finished run of {', '.join(e.title for e in asked)}")
    rows: Rows = {**recorded["rows"], **{e.title: row(e, metrics) for e, metrics in every.items()}}
    config, n = of_data(options, every, recorded)
    engines = exported(rows, config)
    rows = timed(rows, {batch: speeds(engines, config, batch) for batch in (1, 64)})
    results = {"data": name, "n": n, "machine": machine(), "commit": commit(), "rows": rows}
    write(output, {**results, "front": front(results)})
    markdown(compared(rows), COLUMNS)
    if name == "cifar10":
        print(json.dumps({"published, lossless CIFAR-10": PUBLISHED}))


if __name__ == "__main__":
    command(TiedNetworks, run)
