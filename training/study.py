"""A search among plans, whatever they are plans of: NSGA-II over whole numbers, resumable, and shared by workers.

NSGA-II (Deb et al. 2002, via Optuna) minimises expected error and latency as a table predicts it. The front, and what
comes next to it, is then timed as a whole and measured on more examples, and names are given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import optuna
from optuna.samplers import NSGAIISampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, TrialState

from training.front import Candidate, Plan, contenders, front, name_plans
from training.loop import RunError, require
from training.measure import machine
from training.progress import Steps
from training.runs import claimed

Objective = Callable[[Plan], tuple[float, float]]  # plan -> (error, milliseconds)
TIMED = 16  # plans that are timed as a whole and measured on all validation examples
STUDY = "plans"


@dataclass(frozen=True)
class Searching:
    """What every search can be told.

    Args:
        trials: plans to try, those of other workers and of an interrupted search included.
        budget_ms: milliseconds that "balanced" may take; the plan of least expected error within is chosen.
        max_loss: expected error that "balanced" may add on validation where there is no budget, as a share: 0.01 is a
            point.
        storage: journal file, or an address like sqlite:///file or postgresql://host/name; in memory if left out.
        export: write the ONNX graphs of the named plans.
    """

    trials: int = 120
    budget_ms: float | None = None
    max_loss: float = 0.005
    storage: str | None = None
    export: bool = True

    def check(self) -> None:
        """``RunError`` for options that no model can make right."""
        require("--trials", self.trials, self.trials >= 1, "at least 1")
        require("--max-loss", self.max_loss, 0 <= self.max_loss < 1, "a share: 0.01 is one point")
        budget = self.budget_ms
        require("--budget-ms", budget, budget is None or budget > 0, "above 0")


@dataclass(frozen=True)
class Space(Generic[Plan]):
    """Plans as the whole numbers that a search varies.

    Args:
        ranges: name of a number -> the least and the most it may be.
        plan: the plan that such numbers say; many may say the same one.
        seeds: where the search starts.
        name: tells this space from others.
    """

    ranges: Mapping[str, tuple[int, int]]
    plan: Callable[[Mapping[str, int]], Plan]
    seeds: Sequence[Mapping[str, int]]
    name: str


def open_storage(address: str | None) -> BaseStorage | str | None:
    """Optuna's storage for an address: a journal file, a database, or memory for None."""
    if address is None or "://" in address:
        return address
    Path(address).parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(address))


def tried(
    objective: Objective[Plan],
    space: Space[Plan],
    *,
    trials: int,
    storage: str | None = None,
    identity: str = "",
    seed: int | None = 0,
) -> list[Candidate[Plan]]:
    """Every plan that NSGA-II tried on its way to the front, each once, with what it was measured at.

    Args:
        objective: measures a plan; called once for each.
        trials: plans to try in all, by every worker on this storage together.
        storage: see :func:`open_storage`.
        identity: of what is searched; a storage that holds another search is refused.
        seed: of this worker; None differs from worker to worker.

    Raises:
        RunError: the storage holds another search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=open_storage(storage),
        study_name=STUDY,
        load_if_exists=True,
        directions=["minimize", "minimize"],
        sampler=NSGAIISampler(population_size=min(40, max(4, trials // 5)), seed=seed),
    )
    wanted = f"{identity} {space.name}"
    if study.user_attrs.setdefault("identity", wanted) != wanted:
        raise RunError(
            f"{storage} holds another search, of another model, on other data or with other options: use another "
            "--storage, or delete it"
        )
    study.set_user_attr("identity", wanted)
    for numbers in space.seeds:
        study.enqueue_trial(dict(numbers), skip_if_exists=True)
    known: dict[Plan, tuple[float, float]] = {}

    def measured(trial: optuna.Trial) -> tuple[float, float]:
        plan = space.plan({name: trial.suggest_int(name, *ends) for name, ends in space.ranges.items()})
        if plan not in known:
            known[plan] = objective(plan)
        return known[plan]

    done = len(_complete(study))
    if done < trials:
        with Steps(trials, done, "plan") as shown:

            def told(study: optuna.Study, trial: FrozenTrial) -> None:
                if trial.values:
                    shown.advance(dict(zip(("expected error", "ms"), trial.values, strict=True)))

            enough = MaxTrialsCallback(trials, states=(TrialState.COMPLETE,))
            study.optimize(measured, callbacks=[told, enough])
    found = (Candidate(space.plan(trial.params), *trial.values) for trial in _complete(study))
    return list({candidate.plan: candidate for candidate in found}.values())


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


# What comes of it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found(Generic[Plan]):
    """The plans that were timed as a whole, the full one first, and those of them that get names."""

    timed: list[Candidate[Plan]]
    named: dict[str, Candidate[Plan]]


def remeasured(
    candidates: Sequence[Candidate[Plan]],
    full: Plan,
    given: Iterable[Plan],
    measure: Callable[[list[Plan]], list[Candidate[Plan]]],
    options: Searching,
) -> Found[Plan]:
    """What the search tried, measured closer and named.

    Args:
        full: the plan that the others are compared with.
        given: plans that are measured whatever comes of the search.
        measure: times plans as a whole, and counts their errors on more examples.
    """
    timed = measure(list(dict.fromkeys([full, *(c.plan for c in contenders(candidates, TIMED)), *given])))
    return Found(timed, name_plans(front(timed[1:]), timed[0], options.max_loss, options.budget_ms))


@contextmanager
def searching(folder: Path, options: Searching) -> Iterator[Callable[[], Any]]:
    """Claim a folder for a search; gives a claim for its writing.

    Searches that share a storage share the folder, and each claims it only while it writes.
    """
    if options.storage:
        yield lambda: claimed(folder, wait=True)
        return
    with claimed(folder):
        yield _already


@contextmanager
def _already() -> Iterator[None]:
    yield


class Spent:
    """Seconds of this process from here on."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def facts(self) -> dict[str, float]:
        """Of wall and of processor time."""
        wall, cpu = time.perf_counter() - self.began[0], time.process_time() - self.began[1]
        return {"wall_seconds": round(wall, 1), "cpu_seconds": round(cpu, 1)}


def told(options: Searching, seed: int, spent: Spent) -> dict[str, Any]:
    """What ``metrics.json`` says of how a search was made."""
    return {
        "trials": options.trials,
        "max_loss": options.max_loss,
        "budget_ms": options.budget_ms,
        "seed": seed,
        **spent.facts(),
        "machine": machine(),
    }
