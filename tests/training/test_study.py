"""A search finds what there is to find, resumes, and is shared without losing a trial; its front gets names."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.synchronize import Barrier
from pathlib import Path

import optuna
import pytest
import torch

from training.curves import at, measured
from training.front import Candidate, contenders, expected_error, front, name_plans, sharpness
from training.loop import RunError
from training.study import STUDY, Found, Searching, Space, open_storage, remeasured, tried

Pair = tuple[int, int]
NUMBERS = {"a": (0, 4), "b": (0, 4), "unused": (0, 1)}


def pair(numbers: Mapping[str, int]) -> Pair:
    return numbers["a"], numbers["b"]


SPACE = Space(NUMBERS, pair, [{"a": 0, "b": 0, "unused": 0}], "pairs")


def toy(plan: Pair) -> tuple[float, float]:
    """What is left out saves as much wherever it is, and hurts twice as much in the second."""
    return plan[0] + 2.0 * plan[1] + 0.1 * plan[0] * plan[1], 20.0 - plan[0] - plan[1]


def test_finds_the_known_front_and_measures_no_plan_twice() -> None:
    asked: list[Pair] = []

    def noted(plan: Pair) -> tuple[float, float]:
        asked.append(plan)
        return toy(plan)

    found = front(tried(noted, SPACE, trials=160))
    every = [Candidate((a, b), *toy((a, b))) for a in range(5) for b in range(5)]
    assert {(c.error, c.ms) for c in found} == {(c.error, c.ms) for c in front(every)}
    assert len(found) > 4
    assert asked[0] == (0, 0)  # the seed
    assert len(asked) == len(set(asked))


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


def count_trials(journal: Path) -> int:
    study = optuna.load_study(study_name=STUDY, storage=open_storage(str(journal)))
    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))


def test_interrupted_search_resumes(tmp_path: Path) -> None:
    journal, calls = tmp_path / "journal", []

    def failing(plan: Pair) -> tuple[float, float]:
        calls.append(plan)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return toy(plan)

    with pytest.raises(KeyboardInterrupt):
        tried(failing, SPACE, trials=20, storage=str(journal))
    assert 5 <= count_trials(journal) < 20
    tried(toy, SPACE, trials=20, storage=str(journal))
    assert count_trials(journal) == 20
    tried(failing, SPACE, trials=20, storage=str(journal))
    assert len(calls) == 6  # finished: nothing is measured again


def test_another_searchs_storage_is_refused(tmp_path: Path) -> None:
    journal = str(tmp_path / "journal")
    tried(toy, SPACE, trials=3, storage=journal, identity="one")
    with pytest.raises(RunError, match="another search"):
        tried(toy, SPACE, trials=3, storage=journal, identity="two")


def worker(journal: str, log: str, both: Barrier) -> None:
    def logged(plan: Pair) -> tuple[float, float]:
        if not os.path.exists(log):  # nobody ends a trial before the other one has begun one
            both.wait(80)
        with open(log, "a") as file:
            file.write("1\n")
        return toy(plan)

    tried(logged, SPACE, trials=40, storage=journal, seed=None)


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
    done = optuna.load_study(study_name=STUDY, storage=open_storage(str(journal))).trials
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


def test_expected_error_does_not_reward_being_too_sure() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(20_000, 3, generator=generator).log_softmax(-1)
    labels = torch.multinomial(truth.exp(), 1, generator=generator)[:, 0]
    wrong = 1 - float(truth.exp().square().sum(-1).mean())  # of labels drawn from these probabilities
    for surer in (0.3, 1.0, 3.0):
        claimed = (surer * truth).log_softmax(-1)
        assert expected_error(claimed, labels) == pytest.approx(wrong, abs=0.01)
        assert sharpness(claimed, labels) == pytest.approx(1 / surer, rel=0.1)


@pytest.mark.parametrize(
    ("option", "value"), [("trials", 0), ("max_loss", 1.0), ("max_loss", -0.1), ("budget_ms", 0.0)]
)
def test_options_that_no_search_can_have_are_refused_by_name(option: str, value: float) -> None:
    with pytest.raises(RunError, match=f"--{option.replace('_', '-')} must be"):
        Searching(**{option: value}).check()  # type: ignore[arg-type]


def test_what_was_tried_is_measured_closer_and_named_with_the_full_plan_and_those_given() -> None:
    rough = [Candidate((a, 0), *toy((a, 0))) for a in range(8)]

    def measure(plans: list[Pair]) -> list[Candidate[Pair]]:
        return [Candidate(plan, plan[0] / 100, 20.0 - plan[0], 1 - plan[0] / 100) for plan in plans]

    found: Found[Pair] = remeasured(rough, (0, 0), [(3, 3)], measure, Searching(max_loss=0.02))
    assert found.timed[0].plan == (0, 0)
    assert (3, 3) in [candidate.plan for candidate in found.timed]
    assert [found.named[name].plan[0] for name in ("full", "accurate", "balanced", "fastest")] == [0, 0, 2, 7]


def test_a_curve_is_a_line_between_its_sizes_and_beyond() -> None:
    curve = ((1, 1.0), (17, 17.0), (65, 65.0))
    assert [at(curve, n) for n in (1, 9, 41, 129)] == pytest.approx([1, 9, 41, 129])
    assert at(((8, 3.0),), 100) == 3.0


def test_parts_are_timed_at_every_size() -> None:
    runs: list[tuple[str, int]] = []
    calls = {p: {n: lambda p=p, n=n: runs.append((p, n)) for n in (4, 2)} for p in ("a", "b")}  # type: ignore[misc]
    curves = measured(calls, rounds=2, repeats=1)
    assert {part: [n for n, _ in curve] for part, curve in curves.items()} == {"a": [2, 4], "b": [2, 4]}
    assert len(set(runs)) == 4
