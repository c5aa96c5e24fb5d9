"""The benchmark of plans: what it compares differs in one thing, and nothing is told that nobody measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from tinytext import model

from benchmarks.claims.text_latency import FIRST, setting_rows
from benchmarks.text_latency import (
    TextLatencyClaim,
    operator_recipes,
    timed,
)
from textclf import TextClassifier
from textclf.bottleneck import OPERATORS
from training.loop import RunError


def test_poolings_differ_in_nothing_but_the_pooling() -> None:
    rows = operator_recipes(TextLatencyClaim("imdb", "text-imdb", seeds=2))
    assert set(rows) == set(OPERATORS)
    folders = [plan.output for plans in rows.values() for plan in plans]
    assert len(set(folders)) == len(folders) == 2 * len(OPERATORS)
    usual = asdict(rows["mean"][1])
    for plans in rows.values():
        assert {k for k, v in asdict(plans[1]).items() if v != usual[k]} <= {"pooling", "output"}
        assert [plan.loop.seed for plan in plans] == [0, 1]


@pytest.mark.slow
def test_times_stand_beside_the_accuracies_of_the_card(tmp_path: Path) -> None:
    classifier = model()
    test = {
        "n": 1234,
        "tokens": 40,
        "plans": {
            name: {"accuracy": 0.5 + 0.1 * i, "macs": 10 - i} for i, name in enumerate(classifier.plans)
        },
        "linear": {"accuracy": 0.75, "latency_ms": 0.5},
    }
    classifier.save_pretrained(tmp_path, metrics={"data": "reviews.csv", "test": test})
    loaded = TextClassifier.from_pretrained(tmp_path)
    result = timed(loaded, 1)
    assert (result["data"], result["n"]) == ("reviews", 1234)
    rows = setting_rows(result, FIRST)
    assert {name: rows[name]["accuracy"] for name in loaded.plans} == {
        name: plan["accuracy"] for name, plan in test["plans"].items()
    }
    assert all(rows[name]["torch"] > 0 for name in loaded.plans)
    classifier.save_pretrained(tmp_path, metrics={"data": "reviews.csv"})
    with pytest.raises(RunError, match="not measured"):
        timed(TextClassifier.from_pretrained(tmp_path), 1)
