"""The search finds what there is to find, resumes, and is shared without losing a trial."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import optuna
import pytest
import torch
from tinytext import LAYERS, model, reviews, write_csv

from textclf import TextClassifier
from textclf.bottleneck import Plan, lengths
from textclf.latency import LatencyTable, at, measure_table
from textclf.search import (
    Candidate,
    Search,
    contenders,
    decoded,
    expected_error,
    front,
    make_objective,
    name_plans,
    open_storage,
    sharpness,
    tried,
)
from textclf.search import run as search
from training.loop import RunError
from training.texts import TextSplit

SHRINK, SKIP, DEPTH = 8, 1, 3


def toy(plan: Plan) -> tuple[float, float]:
    """Early shrinking hurts most; time is slots."""
    hurt = sum(math.log2(factor) * (DEPTH - at) for at, factor in enumerate(plan)) + 2 * (DEPTH - len(plan))
    return hurt, float(sum(lengths(65, plan)))


def every_plan() -> list[Plan]:
    found = set()
    for depth in range(DEPTH - SKIP, DEPTH + 1):
        for plan in itertools.product((1, 2, 4), repeat=depth):
            if math.prod(plan) <= SHRINK:
                found.add(plan)
    return sorted(found)


def test_finds_the_known_front() -> None:
    true = front([Candidate(plan, *toy(plan)) for plan in every_plan()])
    found = front(tried(toy, DEPTH, trials=300, shrink=SHRINK, skip=SKIP))
    assert {(c.error, c.ms) for c in found} == {(c.error, c.ms) for c in true}
    assert len(true) > 4


def test_front_leaves_the_beaten_out() -> None:
    points = [(3.0, 1.0), (2.0, 2.0), (2.5, 3.0), (1.0, 4.0), (1.0, 5.0), (3.0, 1.0)]
    kept = front([Candidate((1,), *point) for point in points])
    assert [(c.error, c.ms) for c in kept] == [(3.0, 1.0), (2.0, 2.0), (1.0, 4.0)]


def test_contenders_are_the_front_and_then_what_comes_next() -> None:
    points = [(3.0, 1.0), (2.0, 2.0), (2.5, 3.0), (1.0, 4.0), (1.5, 5.0), (4.0, 6.0)]
    every = [Candidate((at,), *point) for at, point in enumerate(points)]
    assert [c.plan for c in contenders(every, 5)] == [(0,), (1,), (3,), (2,), (4,)]
    assert [c.plan for c in contenders(every, 2)] == [(0,), (3,)]  # both ends of a front that is too long
    assert len(contenders(every, 99)) == len(every)


def test_every_encoding_is_a_plan() -> None:
    for halvings in itertools.product((0, 1, 2), repeat=3):
        assert math.prod(decoded(halvings, 3, 4)) == min(4, 2 ** sum(halvings))
    assert decoded([0, 2, 2, 1], 3, 8) == (1, 4, 2)


def count_trials(journal: Path) -> int:
    study = optuna.load_study(study_name="plans", storage=open_storage(str(journal)))
    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))


def test_interrupted_search_resumes(tmp_path: Path) -> None:
    journal, calls = tmp_path / "journal", []

    def failing(plan: Plan) -> tuple[float, float]:
        calls.append(plan)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return toy(plan)

    with pytest.raises(KeyboardInterrupt):
        tried(failing, DEPTH, trials=20, shrink=SHRINK, skip=SKIP, storage=str(journal))
    assert 5 <= count_trials(journal) < 20
    tried(toy, DEPTH, trials=20, shrink=SHRINK, skip=SKIP, storage=str(journal))
    assert count_trials(journal) == 20
    tried(failing, DEPTH, trials=20, shrink=SHRINK, skip=SKIP, storage=str(journal))
    assert len(calls) == 6  # finished: nothing is measured again


def test_another_searchs_storage_is_refused(tmp_path: Path) -> None:
    journal = str(tmp_path / "journal")
    tried(toy, DEPTH, trials=3, storage=journal, identity="one")
    with pytest.raises(RunError, match="another search"):
        tried(toy, DEPTH, trials=3, storage=journal, identity="two")


def worker(journal: str, log: str, both: Barrier) -> None:
    def logged(plan: Plan) -> tuple[float, float]:
        if not os.path.exists(log):  # nobody ends a trial before the other one has begun one
            both.wait(80)
        with open(log, "a") as file:
            file.write("1\n")
        return toy(plan)

    tried(logged, DEPTH, trials=40, shrink=SHRINK, skip=SKIP, storage=journal, seed=None)


@pytest.mark.slow
def test_two_workers_share_a_search(tmp_path: Path) -> None:
    journal, logs = tmp_path / "journal", [str(tmp_path / "a"), str(tmp_path / "b")]
    context = multiprocessing.get_context("spawn")
    both = context.Barrier(len(logs))
    workers = [context.Process(target=worker, args=(str(journal), log, both)) for log in logs]
    for process in workers:
        process.start()
    for process in workers:
        process.join(90)
        assert process.exitcode == 0
    done = optuna.load_study(study_name="plans", storage=open_storage(str(journal))).trials
    assert [trial.number for trial in done] == list(range(len(done)))
    complete = [trial for trial in done if trial.state == optuna.trial.TrialState.COMPLETE]
    assert 40 <= len(complete) <= 41  # the other worker may have been in the middle of one
    assert all(Path(log).read_text() for log in logs)


def test_names_follow_the_front() -> None:
    full = Candidate((1, 1), 0.10, 10.0)
    points = [(0.30, 1.0), (0.115, 3.0), (0.104, 4.0), (0.1015, 5.0), (0.101, 6.0), (0.09, 8.0)]
    every = [Candidate((1,), *point) for point in points]
    named = name_plans(every, full, 0.005)
    assert [named[n].ms for n in ("full", "accurate", "balanced", "fastest")] == [10, 6, 4, 3]
    assert name_plans(every, full, 0.005, budget_ms=8.5)["balanced"].ms == 8
    assert name_plans(every, full, 0.005, budget_ms=0.1)["balanced"].ms == 1  # as near as it gets
    assert name_plans([], full, 0.005)["balanced"] == full


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


def test_expected_error_does_not_reward_being_too_sure() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(20_000, 3, generator=generator).log_softmax(-1)
    labels = torch.multinomial(truth.exp(), 1, generator=generator)[:, 0]
    wrong = 1 - float(truth.exp().square().sum(-1).mean())  # of labels drawn from these probabilities
    for surer in (0.3, 1.0, 3.0):
        claimed = (surer * truth).log_softmax(-1)
        assert expected_error(claimed, labels) == pytest.approx(wrong, abs=0.01)
        assert sharpness(claimed, labels) == pytest.approx(1 / surer, rel=0.1)


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
