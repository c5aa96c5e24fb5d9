"""Claim: what a search says of plans holds on other texts, if each plan is judged at its own temperature.

    python -m benchmarks.text_promises text-agnews --data agnews

A search chooses plans by what they lose against the full length on a thousand or two of validation texts. Three ways to
tell that loss, on the plans that the search of a model kept, beside what they lose on test texts: errors counted, the
mean probability of wrong labels, and the same once each plan's probabilities are at the temperature that suits it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.claims.text_promises import CALIBRATED, COLUMNS, COUNTED, SURE
from benchmarks.text_latency import short_name
from benchmarks.tools.tables import Rows, markdown, write
from textclf.bottleneck import Plan
from textclf.evaluate import ModelAndTexts, accuracy, classify
from training.command import command
from training.front import expected_error, spread, wrong_probability
from training.loop import RunError
from training.measure import commit, machine
from training.runs import read_metrics
from training.texts import subset


@dataclass(frozen=True)
class TextPromises(ModelAndTexts):
    """Losses of a searched model's plans, foretold and found.

    Args:
        plans: how many of the plans that the search kept, evenly from the fastest to the full length.
        test: test texts, at most.
        output: results; named after the model if left out.
    """

    plans: int = 16
    test: int = 4000
    output: Path | None = None


def kept(metrics: Mapping[str, Any], count: int) -> list[Plan]:
    """The full length, and plans that a search kept, evenly by their time.

    Raises:
        RunError: nobody searched.
    """
    found = (metrics.get("search") or {}).get("front") or []
    if len(found) < 3:
        raise RunError("this model's plans were not searched yet: python -m textclf.search")
    plans = [tuple(p["factors"]) for p in sorted(found, key=lambda p: -p["latency_ms"])]
    every = (1,) * max(map(len, plans))
    rest = [plan for plan in plans if plan != every]
    return [every, *spread(rest, count - 1)]


def errors(log_probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """How wrong a plan is, in the three ways."""
    return {
        COUNTED: 1 - accuracy(log_probabilities, labels),
        SURE: wrong_probability(log_probabilities, labels),
        CALIBRATED: expected_error(log_probabilities, labels),
    }


def compared(foretold: Sequence[Mapping[str, float]], found: Sequence[float]) -> Rows:
    """Each way's agreement with what was found; the first plan is what the others lose against."""
    rows: Rows = {}
    for way in foretold[0]:
        said = [plan[way] for plan in foretold]
        off = [abs(a - said[0] - (b - found[0])) * 100 for a, b in zip(said[1:], found[1:], strict=True)]
        rows[way] = {
            "rank": float(spearmanr(said, found).statistic),
            "off": sum(off) / len(off),
            "worst": max(off),
        }
    return rows


def run(options: TextPromises) -> None:
    """Measure, print and keep."""
    model, folder, data = options.load()
    test, plans = subset(data.test, options.test), kept(read_metrics(folder), options.plans)

    held = data.validation
    foretold = [errors(classify(model, held.texts, plan), held.labels) for plan in plans]
    found = [1 - accuracy(classify(model, test.texts, plan), test.labels) for plan in plans]
    rows = compared(foretold, found)
    facts = {
        "model": folder.name,
        "data": short_name(options.data),
        "validation": len(held),
        "n": len(test),
        "machine": machine(),
        "commit": commit(),
        "plans": [
            {
                "factors": plan,
                "lost": 100 * (wrong - found[0]),
                "foretold": {way: 100 * (said[way] - foretold[0][way]) for way in said},
            }
            for plan, said, wrong in zip(plans, foretold, found, strict=True)
        ],
    }
    output = options.output or Path(f"benchmarks/results/text_promises_{folder.name}.json")
    write(output, {**facts, "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(TextPromises, run)
