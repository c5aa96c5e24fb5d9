"""Claim: a length plan makes a text classifier several times faster at the accuracy it came with.

    python -m benchmarks.text_latency --data imdb --model text-imdb

Times the named plans of a trained model side by side: eager PyTorch, ONNX Runtime in float32 and in dynamic int8, batch
1 and 32, one and two threads, with the full encoder and linear models in the same table; how often each is right is
what ``textclf.evaluate`` wrote beside the model's weights. With ``--operators`` it trains (or re-reads) one supernet
for each pooling and seed and compares them at one plan.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.claims.text_latency import COLUMNS, POOLINGS, setting_rows
from benchmarks.tools.tables import markdown, plainly, write
from textclf import TextClassifier
from textclf.bottleneck import OPERATORS
from textclf.evaluate import accuracy, classify, timing
from textclf.train import Supernet, Train, train
from training.command import command
from training.loop import LoopConfig, RunError
from training.measure import commit, machine
from training.runs import read_metrics
from training.texts import TextSplit, load_texts, subset

# As published, on other data, backbones and machines (BERT-base; speed-up over it, points lost).
PUBLISHED = {
    "PoWER-BERT, SST-2, K80, batch 128": {"speed_up": 2.4, "lost": 0.9},
    "LTP, GLUE, Haswell CPU throughput": {"speed_up": 1.9, "lost": 1.0},
}
BATCHES = (1, 32)
THREADS = (1, 2)


@dataclass(frozen=True)
class TextLatencyClaim:
    """Searched plans against the full encoder, other poolings and linear models.

    Args:
        data: data set.
        model: a searched and exported model: shipped name or folder.
        text_column: columns of the text, joined by a space.
        label_column: column of the label.
        class_names: names for the labels, in their order.
        test: test texts of ``--operators``, at most.
        timed: time the named plans; False keeps what an earlier run wrote of them.
        rounds: of timing, in which every row has its turn.
        operators: also compare the poolings at one plan.
        plan: that they are compared at.
        seeds: runs of each pooling.
        recipe: how the models of ``--operators`` are trained.
        max_length: tokens of a text that they read.
        examples: training texts of each.
        runs: folder of the trained models.
        output: results; named after the data if left out.
    """

    data: str
    model: str
    text_column: tuple[str, ...] = ()
    label_column: str | None = None
    class_names: tuple[str, ...] = ()
    test: int = 5000
    timed: bool = True
    rounds: int = 10
    operators: bool = False
    plan: tuple[int, ...] = (2, 1, 2, 1, 2, 1)
    seeds: int = 3
    recipe: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=1, batch=32, lr=1e-4, clip=1.0))
    max_length: int = 128
    examples: int | None = 4000
    runs: Path = Path("runs")
    output: Path | None = None


def short_name(data: str) -> str:
    """ "imdb" for "some/imdb.csv.gz"; a data set's name stays as it is."""
    return Path(data).name.split(".")[0].split("_")[0]


# Plans against the full encoder ------------------------------------------------------------------------------------


def latencies(model: TextClassifier, tokens: int, rounds: int) -> dict[str, Any]:
    """Milliseconds a batch of every plan in every engine: "batch 1, 2 threads" -> plan -> engine."""
    plans, found = {name: facts.factors for name, facts in model.plans.items()}, {}
    for size in BATCHES:
        for threads in THREADS:
            key = f"batch {size}, {threads} thread{'s' * (threads > 1)}"
            turns = rounds if size == 1 else max(2, rounds // 3)
            found[key] = timing(model, plans, tokens, turns, size, threads)
    return found


def timed(model: TextClassifier, rounds: int) -> dict[str, Any]:
    """The named plans: milliseconds in every setting, which are printed, beside the accuracies of the model's card.

    Raises:
        RunError: nobody has measured these.
    """
    known = read_metrics(model.folder) if model.folder else {}
    test = known.get("test") or {}
    if not test.get("linear"):
        raise RunError("this model was not measured on test texts yet: python -m textclf.evaluate")
    result: dict[str, Any] = {
        "data": short_name(known["data"]),
        "n": test["n"],
        "tokens": test["tokens"],
        "machine": machine(),
        "commit": commit(),
        "published": PUBLISHED,
        "milliseconds": latencies(model, test["tokens"], rounds),
        "accuracy": {name: _accuracies(plan) for name, plan in test["plans"].items()},
        "linear": test["linear"],
        "macs": {name: plan["macs"] for name, plan in test["plans"].items()},
    }
    for setting in result["milliseconds"]:
        print(f"\n{result['data']}, {setting}, {result['tokens']} tokens, {result['n']:,} test texts")
        markdown(setting_rows(result, setting), COLUMNS)
    return result


def _accuracies(plan: dict[str, Any]) -> dict[str, float | None]:
    return {"onnx": plan["accuracy"], "int8": plan.get("int8", {}).get("accuracy")}


# Poolings at one plan ----------------------------------------------------------------------------------------------


def operator_recipes(options: TextLatencyClaim) -> dict[str, list[Train]]:
    """The runs behind each pooling: the same data, seeds and steps."""
    base = Train(
        options.data,
        Path(),
        text_column=options.text_column,
        label_column=options.label_column,
        class_names=options.class_names,
        max_length=options.max_length,
        examples=options.examples,
        measure=False,
        supernet=Supernet(plans=(",".join(map(str, options.plan)),)),
    )
    plan = "".join(map(str, options.plan))
    return {
        operator: [
            replace(
                base,
                pooling=operator,
                output=options.runs / f"{short_name(options.data)}-{operator}-{plan}-s{seed}",
                loop=replace(options.recipe, seed=seed),
            )
            for seed in range(options.seeds)
        ]
        for operator in OPERATORS
    }


def operators(options: TextLatencyClaim, test: TextSplit) -> dict[str, dict[str, Any]]:
    """Test accuracy of each pooling at the plan: mean and deviation over seeds, and milliseconds."""
    found: dict[str, dict[str, Any]] = {}
    last: dict[str, TextClassifier] = {}
    for operator, recipes in operator_recipes(options).items():
        values = []
        for recipe in recipes:
            train(recipe)
            model = last[operator] = TextClassifier.from_pretrained(recipe.output)
            values.append(accuracy(classify(model, test.texts, options.plan), test.labels))
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        found[operator] = {"accuracy": statistics.fmean(values), "std": spread, "n": len(values)}
    for operator, model in last.items():
        times = timing(model, {"plan": options.plan}, options.max_length, options.rounds)
        found[operator]["latency_ms"] = times["plan"]["torch"]
    return found


# The command -------------------------------------------------------------------------------------------------------


def run(options: TextLatencyClaim) -> None:
    """Measure, train what is missing, print the tables and keep the numbers, those of an earlier run as well."""
    model = TextClassifier.from_pretrained(options.model)
    output = options.output or Path(f"benchmarks/results/text_latency_{short_name(options.data)}.json")
    result: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    if options.timed or not result:
        result |= timed(model, options.rounds)
    if options.operators:
        data = load_texts(
            options.data, text=options.text_column, label=options.label_column, classes=options.class_names
        )
        test = subset(data.test, options.test)
        result["operators"] = {"plan": options.plan, "n": len(test), "rows": operators(options, test)}
        markdown(result["operators"]["rows"], POOLINGS)
    print("\nAs published, BERT-base on other data and machines")
    columns = {**plainly("speed_up", form="{:.1f}x"), **plainly("lost", form="{:.1f} points")}
    markdown({**PUBLISHED}, columns)
    write(output, result)


if __name__ == "__main__":
    command(TextLatencyClaim, run)
