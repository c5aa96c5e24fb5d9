"""Search the length plans that fit a data set and a latency budget.

    python -m textclf.search runs/reviews --data reviews.csv --budget-ms 5

Plans are one factor a layer and the depth. What plans have in common is computed once, and six layers have so few plans
that all of them together are less work than a search that tries a hundred by themselves: then every plan is tried.
Otherwise :mod:`training.study` searches; with ``--storage`` it does in any case, the same command continues an
interrupted search, and run several times at once it shares one search among processes or machines. The front, and what
comes next to it, is timed as a whole and measured on all validation texts, and four names are given: ``full``,
``accurate``, ``balanced`` and ``fastest``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from textclf.bottleneck import Plan, lengths
from textclf.engine import PRECISIONS, graph_path
from textclf.evaluate import ModelAndTexts, accuracy, classify, classify_every, example, typical_length
from textclf.export import export
from textclf.latency import LatencyTable, callable_in, measure_table
from textclf.model import Engine, OnePlan, PlanFacts, TextClassifier
from textclf.plans import read_plans
from training.command import command
from training.fingerprint import brief, weights_digest
from training.front import Candidate, expected_error
from training.loop import require
from training.measure import compare
from training.progress import Steps, say
from training.runs import read_metrics
from training.study import Found, Objective, Searching, Space, Spent, remeasured, searching, told, tried
from training.texts import TextData, TextSplit, subset

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of text lengths that latency is the mean over


@dataclass(frozen=True)
class Search(Searching, ModelAndTexts):
    """Search a trained model's plans, on the data it was trained on, and name the best in its folder.

    Args:
        trials: plans to try, those of other workers and of an interrupted search included. Where all plans together are
            no more work than so many by themselves, and there is no storage, all are tried.
        texts: validation texts that every plan is tried on.
        final: validation texts that the front, and what comes next to it, is measured on.
        engine: whose time counts: onnx (float32), int8 or torch.
        shrink: largest total factor of a plan; no more than it was trained with.
        skip: how many of the last layers a plan may leave out; no more than it was trained with.
        plans: measured beside the front whatever comes of the search, each as its factors (2,1,4,2); "front" is those
            of the folder's last search. The plans that a fine-tuning was for are always measured.
    """

    texts: int = 400
    final: int = 1000
    engine: Engine = "onnx"
    shrink: int = 16
    skip: int = 2
    plans: tuple[str, ...] = ()

    def check(self) -> None:
        super().check()
        for name in ("texts", "final"):
            require(f"--{name}", getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("--shrink", self.shrink, self.shrink in [2**i for i in range(7)], "1, 2, 4, 8, 16, 32 or 64")
        require("--skip", self.skip, self.skip >= 0, "at least 0")


# The space ---------------------------------------------------------------------------------------------------------


def space(layers: int, shrink: int = 16, skip: int = 2) -> Space[Plan]:
    """The plans of an encoder of so many layers; ``shrink`` and ``skip`` as for :class:`Search`."""
    ranges = {"depth": (max(1, layers - skip), layers), **{f"halvings{i}": (0, 2) for i in range(layers)}}

    def plan(numbers: Mapping[str, int]) -> Plan:
        return decoded([numbers[f"halvings{i}"] for i in range(layers)], numbers["depth"], shrink)

    return Space(ranges, plan, seeds(layers, shrink), f"{layers} {shrink} {skip}")


def decoded(halvings: Sequence[int], depth: int, shrink: int) -> Plan:
    """A plan from free numbers: halvings beyond the total ``shrink`` are left out from the end."""
    room, plan = int(math.log2(shrink)), []
    for wanted in halvings[:depth]:
        plan.append(2 ** min(wanted, room))
        room -= min(wanted, room)
    return tuple(plan)


def seeds(layers: int, shrink: int) -> list[dict[str, int]]:
    """Where the search starts: the full encoder and plans that a person would try."""
    top = int(math.log2(shrink))
    spread = [[1 if i < n else 0 for i in range(layers)] for n in range(min(top, layers) + 1)]
    single = [[2 if i == at else 0 for i in range(layers)] for at in range(layers) if top >= 2]
    return [_parameters(halvings, layers) for halvings in (*spread, *single)]


def _parameters(halvings: Sequence[int], depth: int) -> dict[str, int]:
    return {"depth": depth, **{f"halvings{i}": h for i, h in enumerate(halvings)}}


# Every plan ---------------------------------------------------------------------------------------------------------


def every_plan(layers: int, shrink: int = 16, skip: int = 2) -> list[Plan]:
    """All plans of :func:`space`, each once, those that start alike together."""
    most, found = int(math.log2(shrink)), list[Plan]()

    def grow(plan: Plan, room: int) -> None:
        if len(plan) >= max(1, layers - skip):
            found.append(plan)
        if len(plan) < layers:
            for halvings in range(min(2, room) + 1):
                grow((*plan, 2**halvings), room - halvings)

    grow((), most)
    return found


def work(plans: Sequence[Plan], tokens: int, shared: bool) -> int:
    """Slots that layers read of a text of ``tokens`` tokens, what plans have in common counted once or each time."""
    starts = [plan[:depth] for plan in plans for depth in range(1, len(plan) + 1)]
    return sum(lengths(tokens, start)[-1] for start in (dict.fromkeys(starts) if shared else starts))


def enough_for_all(plans: Sequence[Plan], tokens: int, trials: int) -> bool:
    """Whether all plans together are no more work than ``trials`` of them by themselves."""
    return work(plans, tokens, True) * len(plans) <= trials * work(plans, tokens, False)


def try_all(
    model: TextClassifier, split: TextSplit, table: LatencyTable, plans: Sequence[Plan]
) -> list[Candidate[Plan]]:
    """Plans with their expected validation errors, and their latencies by the table; see :func:`make_objective`."""
    tokens = common_lengths(model, split)
    with Steps(len(split), what="text") as shown:
        found = classify_every(model, split.texts, plans, progress=lambda n: shown.advance({}, n))
    return [Candidate(p, expected_error(found[p], split.labels), table.predict(p, tokens)) for p in plans]


# The command -------------------------------------------------------------------------------------------------------


def run(options: Search, data: TextData | None = None) -> dict[str, Candidate[Plan]]:
    """Search, name plans and write them into the model's folder; returns them. ``data``: loaded already."""
    spent = Spent()
    model, folder, data = options.load(data)
    with searching(folder, options) as writing:
        trained = (read_metrics(folder).get("training") or {}).get("plans") or ()
        given = [*read_plans(options.plans, model), *(model.plan(plan) for plan in trained)]
        few, many = (subset(data.validation, n) for n in (options.texts, options.final))
        say("timing layers and bottlenecks at every length")
        table = measure_table(model, options.engine)
        sizes = model.config.layers, options.shrink, options.skip
        tokens, plans = typical_length(model, many.texts), every_plan(*sizes)
        if options.storage is None and enough_for_all(plans, tokens, options.trials):
            say(f"trying all {len(plans)} plans on {len(few):,} texts")
            candidates = try_all(model, few, table, plans)
        else:
            candidates = tried(
                make_objective(model, few, table),
                space(*sizes),
                trials=options.trials,
                storage=options.storage,
                identity=f"{weights_digest(model)} {brief(data)} {len(few)} {options.engine} calibrated",
                seed=None if options.storage else options.seed,  # workers must not all try the same
            )

        def measure(plans: list[Plan]) -> list[Candidate[Plan]]:
            say(f"timing {len(plans)} plans as a whole, and measuring them on {len(many):,} texts")
            return measured(model, plans, many, tokens, options.engine)

        found = remeasured(candidates, (1,) * model.config.layers, given, measure, options)
        with writing():
            save(model, folder, found, len(candidates), len(many), tokens, spent, options)
    return found.named


def make_objective(model: TextClassifier, split: TextSplit, table: LatencyTable) -> Objective[Plan]:
    """Expected validation error of a plan, and its latency over the lengths that the texts have."""
    tokens = common_lengths(model, split)

    def objective(plan: Plan) -> tuple[float, float]:
        return expected_error(classify(model, split.texts, plan), split.labels), table.predict(plan, tokens)

    return objective


def common_lengths(model: TextClassifier, split: TextSplit) -> list[int]:
    """Numbers of tokens that the model reads of texts, at ``QUANTILES``."""
    sizes = [
        float(len(ids)) for ids in model.tokens.ids(split.texts, model.config.longest, model.config.ends)
    ]
    tokens: list[int] = torch.tensor(sizes).quantile(torch.tensor(QUANTILES)).round().int().tolist()
    return tokens


def measured(
    model: TextClassifier, plans: Sequence[Plan], split: TextSplit, tokens: int, engine: Engine
) -> list[Candidate[Plan]]:
    """Plans with their errors on a whole split and their time as a whole, in turns on one thread."""
    runs: dict[str, Callable[[], object]] = {}
    for plan in dict.fromkeys(plans):
        inputs = example(model, tokens)
        timed = callable_in(OnePlan(model, plan), model, inputs, ("ids", "mask"), engine)
        runs[str(plan)] = lambda timed=timed, inputs=inputs: timed(*inputs)  # type: ignore[misc]
    times = compare(runs, rounds=10, repeats=3)
    found = classify_every(model, split.texts, plans)

    def one(plan: Plan) -> Candidate[Plan]:
        error, right = (of(found[plan], split.labels) for of in (expected_error, accuracy))
        return Candidate(plan, error, times[str(plan)].median_ms, right)

    return [one(plan) for plan in plans]


def save(
    model: TextClassifier,
    folder: Path,
    found: Found[Plan],
    plans: int,
    n: int,
    tokens: int,
    spent: Spent,
    options: Search,
) -> None:
    """Write the named plans into the model's config, the front into its metrics, and fresh graphs.

    ``plans``: that were tried; ``n``: texts that those of the front were measured on.
    """
    facts = {
        name: PlanFacts(c.plan, (), c.accuracy, n, model.macs(c.plan, tokens), c.ms, tokens, options.engine)
        for name, c in found.named.items()
    }
    searched: dict[str, Any] = {
        **told(options, options.seed, spent),
        "tried": plans,
        "texts": options.texts,
        "n": n,
        "tokens": tokens,
        "engine": options.engine,
        "front": [
            {"factors": c.plan, "error": 1 - c.accuracy, "expected_error": c.error, "latency_ms": c.ms}
            for c in found.timed
        ],
        "plans": {name: c.plan for name, c in found.named.items()},
    }
    improved = model.with_plans(facts)
    improved.save_pretrained(folder, half=True, metrics={**read_metrics(folder), "search": searched})
    for name in (*model.plans, *found.named):  # a graph of the plan that had this name before
        for precision in PRECISIONS:
            graph_path(folder, name, precision).unlink(missing_ok=True)
    if options.export:
        export(improved, folder, found.named)


if __name__ == "__main__":
    command(Search, run)
