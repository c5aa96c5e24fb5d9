"""The search finds what there is to find among length plans, and names them in the model's folder."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tinytext import LAYERS, model, reviews, write_csv

from textclf import TextClassifier
from textclf.bottleneck import Plan, lengths
from textclf.evaluate import classify, classify_every
from textclf.latency import LatencyTable, measure_table
from textclf.search import (
    Search,
    decoded,
    enough_for_all,
    every_plan,
    make_objective,
    space,
    try_all,
    work,
)
from textclf.search import run as search
from training.curves import at
from training.front import Candidate, front, sharpness
from training.study import tried
from training.texts import TextSplit

SHRINK, SKIP, DEPTH = 8, 1, 3


def toy(plan: Plan) -> tuple[float, float]:
    """Early shrinking hurts most; time is slots."""
    hurt = sum(math.log2(factor) * (DEPTH - at) for at, factor in enumerate(plan)) + 2 * (DEPTH - len(plan))
    return hurt, float(sum(lengths(65, plan)))


def test_every_plan_is_there_once() -> None:
    found = set()
    for depth in range(DEPTH - SKIP, DEPTH + 1):
        for plan in itertools.product((1, 2, 4), repeat=depth):
            if math.prod(plan) <= SHRINK:
                found.add(plan)
    plans = every_plan(DEPTH, SHRINK, SKIP)
    assert sorted(plans) == sorted(found)
    assert {space(DEPTH, SHRINK, SKIP).plan(n) for n in space(DEPTH, SHRINK, SKIP).seeds} <= found


def test_plans_together_are_what_they_are_alone() -> None:
    classifier, (texts, _) = model(), reviews(9, words=30)
    plans = every_plan(LAYERS, 4, 1)
    seen: list[int] = []
    found = classify_every(classifier, texts, plans, size=4, progress=seen.append)
    assert seen == [4, 4, 1]
    for plan in plans:
        assert torch.allclose(found[plan], classify(classifier, texts, plan), atol=1e-5)


def test_all_are_tried_where_that_is_no_more_work() -> None:
    plans = [(1, 1, 1), (1, 1, 2), (1, 1, 4)]
    assert work(plans, 9, shared=False) == 9 * 6 + 9 + 5 + 3
    assert work(plans, 9, shared=True) == 9 * 2 + 9 + 5 + 3
    assert enough_for_all(every_plan(6), 64, 120)
    assert not enough_for_all(every_plan(6), 64, 10)
    assert not enough_for_all(every_plan(12), 64, 120)


def test_trying_all_measures_as_a_search_does() -> None:
    line = tuple((n, float(n)) for n in (1, 17, 65))
    classifier, table = model(), LatencyTable("torch", line, line, {2: line, 4: line})
    texts, labels = reviews(12)
    split = TextSplit(texts, torch.tensor([int(label == "good") for label in labels]))
    objective = make_objective(classifier, split, table)
    for candidate in try_all(classifier, split, table, [(2, 1, 1), (1, 4, 1, 1)]):
        assert (candidate.error, candidate.ms) == pytest.approx(objective(candidate.plan), abs=1e-5)


def test_finds_the_known_front() -> None:
    true = front([Candidate(plan, *toy(plan)) for plan in every_plan(DEPTH, SHRINK, SKIP)])
    found = front(tried(toy, space(DEPTH, SHRINK, SKIP), trials=300))
    assert {(c.error, c.ms) for c in found} == {(c.error, c.ms) for c in true}
    assert len(true) > 4


def test_every_encoding_is_a_plan() -> None:
    for halvings in itertools.product((0, 1, 2), repeat=3):
        assert math.prod(decoded(halvings, 3, 4)) == min(4, 2 ** sum(halvings))
    assert decoded([0, 2, 2, 1], 3, 8) == (1, 4, 2)


def test_table_adds_up_and_interpolates() -> None:
    line = tuple((n, float(n)) for n in (1, 17, 65))
    table = LatencyTable("torch", ((1, 1.0), (65, 1.0)), line, {2: ((1, 0.5), (65, 0.5)), 4: line})
    assert at(line, 41) == pytest.approx(41)
    assert at(line, 129) == pytest.approx(129)
    assert table.predict((1, 2, 1), [65]) == pytest.approx(1 + 65 + 0.5 + 33 + 33)


def test_measured_table_orders_lengths() -> None:
    table = measure_table(model(), "torch", rounds=2)
    assert all(ms > 0 for _, ms in table.layer)
    assert table.layer[-1][0] >= 64
    assert set(table.pool) == {2, 4}


def test_what_is_minimised_is_the_probability_of_wrong_labels_and_the_tables_time() -> None:
    line = tuple((n, float(n)) for n in (1, 17, 65))
    classifier, table = model(), LatencyTable("torch", line, line, {2: line, 4: line})
    texts, labels = reviews(12)
    split = TextSplit(texts, torch.tensor([int(label == "good") for label in labels]))
    plan = (2, 1, 1)
    error, ms = make_objective(classifier, split, table)(plan)
    probabilities = classifier.predict(texts, plan, "torch")
    calibrated = (sharpness(probabilities.log(), split.labels) * probabilities.log()).softmax(-1)
    wrong = [1 - float(p[label]) for p, label in zip(calibrated, split.labels.tolist(), strict=True)]
    assert error == pytest.approx(sum(wrong) / len(wrong), abs=1e-5)
    sizes = sorted(len(ids) for ids in classifier.tokens.ids(texts, 64))
    assert table.predict(plan, sizes[:1]) < ms < table.predict(plan, sizes[-1:])


@pytest.mark.slow
def test_the_command_names_plans(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "reviews.csv", 200)
    folder = model().save_pretrained(tmp_path / "model", metrics={"training": {"seed": 0}})
    options = Search(str(folder), str(data), trials=12, texts=16, final=20, shrink=4, skip=1, engine="torch")
    search(options)
    loaded = TextClassifier.from_pretrained(folder)
    assert set(loaded.plans) == {"full", "accurate", "balanced", "fastest"}
    facts = loaded.plans["fastest"]
    assert facts.accuracy is not None
    assert facts.macs is not None
    full = loaded.plans["full"]
    assert full.macs is not None
    assert facts.macs <= full.macs
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["training"] == {"seed": 0}
    tried_ones = metrics["search"]["front"]
    assert tried_ones[0]["factors"] == [1] * LAYERS
    # Names go by expected error, whatever twenty answers say.
    allowed = tried_ones[0]["expected_error"] + options.max_loss
    balanced = min((c for c in tried_ones if c["expected_error"] <= allowed), key=lambda c: c["latency_ms"])
    assert loaded.plans["balanced"].factors == tuple(balanced["factors"])
    assert loaded.plans["balanced"].accuracy == pytest.approx(1 - balanced["error"])
    texts = reviews(4)[0]
    for name in loaded.plans:
        graphs = loaded.predict(texts, name, "onnx")
        assert (graphs - loaded.predict(texts, name, "torch")).abs().max() < 1e-4


def test_given_plans_are_measured_beside_the_front(tmp_path: Path) -> None:
    data, given = write_csv(tmp_path / "reviews.csv", 200), [4, 4, 2]  # more than the search may shrink by
    folder = model().save_pretrained(tmp_path / "model", metrics={"training": {"plans": [[2, 4, 4]]}})
    base = Search(str(folder), str(data), trials=2, texts=8, final=8, shrink=2, engine="torch", export=False)
    search(replace(base, plans=("4,4,2",)))
    first = json.loads((folder / "metrics.json").read_text())["search"]["front"]
    assert given in [candidate["factors"] for candidate in first]
    assert [2, 4, 4] in [candidate["factors"] for candidate in first]  # what it was trained for
    search(replace(base, plans=("front",)))  # those of the search before
    again = json.loads((folder / "metrics.json").read_text())["search"]["front"]
    assert given in [candidate["factors"] for candidate in again]
    assert len({tuple(candidate["factors"]) for candidate in again}) == len(again)
