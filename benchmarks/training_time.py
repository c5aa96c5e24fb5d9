"""Claim: which network is more accurate after as much training time, tied, narrower or dense.

    python -m benchmarks.training_time --data fashion --examples 6000

Equal epochs flatter a network with much work an example. Here the first network sets the budgets: the processor seconds
that it takes for each number of epochs. Every other network is trained as often, for as many epochs as fit into the
same seconds, at the pace of its own shortest run. A finished run is read again; a killed one goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.affine_vae import short_name
from benchmarks.claims.tied_networks import Entry
from benchmarks.claims.training_time import COLUMNS, EPOCHS, NETWORKS
from benchmarks.tied_networks import TiedNetworks, recipe
from benchmarks.tools.tables import Rows, markdown, several, write
from classifiers.evaluate import Evaluate
from classifiers.evaluate import run as evaluate
from classifiers.train import train
from training.command import command
from training.datasets import load_images
from training.measure import commit, machine
from training.runs import read_metrics


@dataclass(frozen=True)
class TrainingTime:
    """Accuracy after equal training time.

    Args:
        data: set of labelled images.
        networks: the tied network, whose epochs set the budgets; then those that get as much time: a narrower dense one
            of as many parameters, and its dense twin.
        epochs: of the first network.
        examples: training images, the first of them; all if left out.
        test: test images, the first of them; all if left out.
        seeds: runs of each.
        terms: terms of use of the data, for the model cards.
        runs: folder of the trained models.
        output: results; named after the data if left out.
    """

    data: str
    networks: tuple[str, ...] = NETWORKS
    epochs: tuple[int, ...] = EPOCHS
    examples: int | None = None
    test: int | None = None
    seeds: int = 1
    terms: str | None = None
    runs: Path = Path("runs")
    output: Path | None = None


def fewer(options: TrainingTime) -> TrainingTime:
    """The same with a file of its first training and test images for data."""
    if options.examples is None and options.test is None:
        return options
    counts = "-".join(str(n) for n in (options.examples, options.test) if n)
    path = options.runs / f"{short_name(options.data)}-{counts}.npz"
    if not path.exists():
        found = load_images(options.data, validation=0.1)
        total = options.examples or len(found.train) + len(found.validation)
        test = min(len(found.test), options.test or len(found.test))
        parts = (found.train, total - total // 10), (found.validation, total // 10), (found.test, test)
        images = torch.cat([part.images[:n] for part, n in parts]).permute(0, 2, 3, 1)
        labels = torch.cat([part.labels[:n] for part, n in parts if part.labels is not None])
        split = np.repeat([0, 1], [len(labels) - test, test]).astype(np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path, images=images.numpy(), labels=labels.numpy(), split=split, classes=np.array(found.classes)
        )
    return replace(options, data=str(path))


def trained(options: TrainingTime, network: str, epochs: int) -> list[dict[str, Any]]:
    """``metrics.json`` of each seed's run, trained and evaluated first if need be."""
    found = []
    alike = TiedNetworks(
        options.data, epochs=epochs, optimizer="muon", terms=options.terms, runs=options.runs
    )
    for seed in range(options.seeds):
        plan = recipe(alike, Entry(network), seed, network)
        plan = replace(plan, output=plan.output.with_name(f"{plan.output.name}-e{epochs}"))
        train(plan)
        if "test" not in read_metrics(plan.output):
            evaluate(Evaluate(str(plan.output), plan.data, terms=options.terms))
        found.append(read_metrics(plan.output))
    return found


def row(network: str, budget: float | None, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """One row; ``budget`` in processor seconds, None of a run that only gave the pace."""
    training = [m["training"] for m in metrics]
    return {
        "network": network,
        "budget": budget,
        "epochs": training[0]["epochs"],
        "cpu_seconds": several([t["cpu_seconds"] for t in training]),
        "accuracy": several([m["test"]["accuracy"] for m in metrics]),
        "validation": several([t["validation_accuracy"] for t in training]),
        "parameters": metrics[0]["test"]["parameters"],
        "macs": metrics[0]["test"]["macs"],
    }


def rows_of(options: TrainingTime) -> Rows:
    """Train what is missing: the first network, then the others for as long."""
    first, *others = options.networks
    rows: Rows = {}

    def add(network: str, budget: float | None, epochs: int) -> dict[str, Any]:
        found = row(network, budget, trained(options, network, epochs))
        title = f"{network}, {epochs} epochs"
        if title not in rows or budget is not None:
            rows[title] = found
        return found

    budgets = []
    for epochs in options.epochs:
        done = add(first, None, epochs)
        budgets.append(done["cpu_seconds"]["mean"])
        done["budget"] = budgets[-1]
    for network in others:
        paces = add(network, None, options.epochs[0])["cpu_seconds"]["mean"] / options.epochs[0]
        for budget in budgets:
            add(network, budget, max(1, round(budget / paces)))
    return rows


def run(options: TrainingTime) -> None:
    """Train what is missing, print the table."""
    asked, name = fewer(options), short_name(options.data)
    rows = rows_of(asked)
    facts = {
        "data": name,
        "n": len(load_images(asked.data).test),
        "examples": options.examples,
        "test": options.test,
        "networks": list(options.networks),
        "epochs": list(options.epochs),
        "seeds": options.seeds,
        "machine": machine(),
        "commit": commit(),
    }
    write(options.output or Path(f"benchmarks/results/training_time_{name}.json"), {**facts, "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(TrainingTime, run)
