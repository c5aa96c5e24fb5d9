"""Claim: what the plans of one data set show, those of others show too.

    python -m benchmarks.text_fronts --data trec sst2 20news agnews imdb --seeds 2

On every data set one command of each kind, as a user would give it: a training over random plans, a search, an
evaluation on test texts, by recipes that were chosen for how long texts are and how many there are, not by their
results. Finished runs are read again, not repeated. The shipped models, which took more rounds, stand beside them. Rows
that the results hold already and that are not asked for stay. Runs of before the linear models were several get them
with ``--linear trec sst2 ...``, on the same test texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.claims.text_fronts import COLUMNS, ENGINES, PLANS, with_tf_idf
from benchmarks.text_latency import short_name
from benchmarks.tools.tables import Rows, machines, markdown, several, write
from textclf.card import linear_kinds
from textclf.evaluate import Evaluate
from textclf.evaluate import run as evaluate
from textclf.linear import linear_models
from textclf.search import Search
from textclf.search import run as search
from textclf.train import Supernet, Train, train
from training.command import command
from training.loop import LoopConfig
from training.measure import commit, machine
from training.runs import read_metrics
from training.texts import load_texts, subset
from weights.catalog import directory
from weights.checkpoint import read_json


class Recipe(NamedTuple):
    """What differs between data sets."""

    max_length: int
    vocabulary: int
    epochs: int


RECIPES = {
    "trec": Recipe(64, 12_000, 6),
    "sst2": Recipe(64, 12_000, 1),
    "20news": Recipe(128, 20_000, 4),
    "imdb": Recipe(256, 12_000, 1),
}
USUAL = Recipe(128, 20_000, 2)


@dataclass(frozen=True)
class TextFronts:
    """Train, search and measure on several data sets, or re-read the runs.

    Args:
        data: labelled texts: names or files.
        seeds: runs of each.
        trials: plans that each search tries.
        test: test texts, at most.
        shipped: models of ``weights/`` to stand beside them, as their cards have them.
        linear: data sets whose rows get linear models that they lack.
        kinds: of these; all if left out.
        runs: folder of the trained models.
        output: results.
    """

    data: tuple[str, ...] = ()
    seeds: int = 1
    trials: int = 100
    test: int = 4000
    shipped: tuple[str, ...] = ("text-imdb", "text-agnews")
    linear: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    runs: Path = Path("runs")
    output: Path = Path("benchmarks/results/text_fronts.json")


def recipe(options: TextFronts, data: str, seed: int) -> Train:
    """One run; its folder says what it is."""
    chosen = RECIPES.get(short_name(data), USUAL)
    return Train(
        data,
        options.runs / f"text-{short_name(data)}-s{seed}",
        max_length=chosen.max_length,
        vocabulary=chosen.vocabulary,
        measure=False,
        supernet=Supernet(full=0.5),
        loop=LoopConfig(
            epochs=chosen.epochs, batch=32, lr=1e-4, weight_decay=0.01, clip=1.0, warmup=100, seed=seed
        ),
    )


def measured(options: TextFronts, data: str, seed: int) -> dict[str, Any]:
    """``metrics.json`` of a run, trained, searched and evaluated first if need be."""
    plan = recipe(options, data, seed)
    train(plan)
    folder = str(plan.output)
    if "search" not in read_metrics(plan.output):
        search(Search(folder, data, trials=options.trials, seed=seed))
    if "test" not in read_metrics(plan.output):
        evaluate(Evaluate(folder, data, test=options.test, seed=seed))
    return read_metrics(plan.output)


def row(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One data set's: accuracies, what the plans gain over full length in the same engine, and what it took."""
    tests = [run["test"] for run in runs]
    full = [test["plans"]["full"] for test in tests]
    found: dict[str, Any] = {
        "texts": tests[0]["n"],
        "tokens": tests[0]["tokens"],
        "full": several([plan["accuracy"] for plan in full]),
        "linear": several([test["linear"]["accuracy"] for test in tests]),
        "cpu_seconds": several([_seconds(run) for run in runs]),
        "cpu": machines(*(run["machine"] for run in runs))["cpu"],
    }
    every = [linear_kinds(test) for test in tests]
    if all("kinds" in test["linear"] for test in tests):
        found |= {f"linear, {kind}": several([one[kind]["accuracy"] for one in every]) for kind in every[0]}
    for name in PLANS:
        plans = [test["plans"][name] for test in tests]
        found[name] = several([plan["accuracy"] for plan in plans])
        found[f"{name}, int8"] = several([plan["int8"]["accuracy"] for plan in plans])
        for engine in ENGINES:
            times = [
                (f["latency_ms"][engine], p["latency_ms"][engine]) for f, p in zip(full, plans, strict=True)
            ]
            found[f"{name}, faster, {engine}"] = several([whole / short for whole, short in times])
    return found


def with_linear(rows: Rows, data: str, shipped: Sequence[str], kinds: Sequence[str] = ()) -> Rows:
    """The rows of a data set with linear models' accuracy on as many of its test texts as they were measured on.

    A shipped model's texts are read from the columns that it was trained on.
    """
    found, short = dict(rows), short_name(data)
    known = {name: read_metrics(directory() / name) for name in shipped}
    columns = {
        n: tuple(m["training"]["text_column"]) for n, m in known.items() if short_name(m["data"]) == short
    }
    read = {short: (), **columns}
    for text in dict.fromkeys(read.values()):
        names = [name for name in read if read[name] == text and name in rows]
        if not names:
            continue
        texts = load_texts(data, text=text)
        for kind, model in linear_models(texts, kinds=kinds).items():
            for name in names:
                test = subset(texts.test, rows[name]["texts"])
                right = torch.as_tensor(model.predict(test.texts)) == test.labels
                found[name] = {**found[name], f"linear, {kind}": several([float(right.float().mean())])}
    return found


def _linear_of(row: dict[str, Any]) -> dict[str, Any]:
    """What :func:`with_linear` found for a row."""
    return {key: number for key, number in row.items() if key.startswith("linear, ")}


def _seconds(run: dict[str, Any]) -> float:
    """Of a processor, for all trainings and the last search."""
    trainings = [run["training"], *run["training"].get("earlier", [])]
    return float(sum(one["cpu_seconds"] for one in trainings) + run["search"].get("cpu_seconds", 0.0))


def run(options: TextFronts) -> None:
    """Train and measure what is missing; print and keep."""
    shipped: Rows = {name: row([read_metrics(directory() / name)]) for name in options.shipped}
    ours: Rows = {
        short_name(data): row([measured(options, data, seed) for seed in range(options.seeds)])
        for data in options.data
    }
    recorded: Rows = read_json(options.output)["rows"] if options.output.exists() else {}
    shipped = {name: {**_linear_of(recorded.get(name, {})), **found} for name, found in shipped.items()}
    rows = {**shipped, **{name: found for name, found in recorded.items() if name not in shipped}, **ours}
    for data in options.linear:
        rows = with_linear(rows, data, options.shipped, options.kinds)
    ran = {**machine(), "cpu": machines(*rows.values())["cpu"]}
    write(options.output, {"shipped": list(shipped), "machine": ran, "commit": commit(), "rows": rows})
    markdown(with_tf_idf(rows), COLUMNS)


if __name__ == "__main__":
    command(TextFronts, run)
