"""Search the length plans that fit a data set and a latency budget.

    python -m textclf.search runs/reviews --data reviews.csv --budget-ms 5

NSGA-II (Deb et al. 2002, via Optuna) over one factor a layer and the depth, minimising expected validation error and
latency as the machine's own table predicts it. The front, and what comes next to it, is then timed as a whole and
measured on all validation texts, and four names are given: ``full``, ``accurate``, ``balanced`` and ``fastest``. With
``--storage`` the same command continues an interrupted search, and run several times at once it shares one search among
processes or machines.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import optuna
import torch
import torch.nn.functional as F
from optuna.samplers import NSGAIISampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, TrialState
from scipy.optimize import minimize_scalar
from torch import Tensor

from textclf.bottleneck import Plan
from textclf.engine import PRECISIONS, graph_path
from textclf.evaluate import ModelAndTexts, accuracy, classify, example, typical_length
from textclf.export import export
from textclf.latency import LatencyTable, callable_in, measure_table
from textclf.model import Engine, OnePlan, PlanFacts, TextClassifier
from textclf.plans import read_plans
from training.command import command
from training.fingerprint import fingerprint as data_fingerprint
from training.loop import RunError, require
from training.measure import compare, machine
from training.progress import Steps, say
from training.runs import claimed, read_metrics
from training.texts import TextData, TextSplit, subset

Item = TypeVar("Item")
Objective = Callable[[Plan], tuple[float, float]]  # plan -> (error, milliseconds)
TIMED = 16  # plans that are timed as a whole and measured on all validation texts
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of text lengths that latency is the mean over


@dataclass(frozen=True)
class Search(ModelAndTexts):
    """Search a trained model's plans, on the data it was trained on, and name the best in its folder.

    Args:
        trials: plans to try, those of other workers and of an interrupted search included.
        texts: validation texts that every plan is tried on.
        final: validation texts that the front, and what comes next to it, is measured on.
        engine: whose time counts: onnx (float32), int8 or torch.
        budget_ms: milliseconds that "balanced" may take; the plan of least expected error within is chosen.
        max_loss: expected error that "balanced" may add on validation where there is no budget.
        shrink: largest total factor of a plan; no more than it was trained with.
        skip: how many of the last layers a plan may leave out; no more than it was trained with.
        plans: measured beside the front whatever comes of the search, each as its factors (2,1,4,2); "front" is those
            of the folder's last search. The plans that a fine-tuning was for are always measured.
        storage: journal file, or an address like sqlite:///file or postgresql://host/name; in memory if left out.
        export: write the ONNX graphs of the named plans.
    """

    trials: int = 120
    texts: int = 400
    final: int = 1000
    engine: Engine = "onnx"
    budget_ms: float | None = None
    max_loss: float = 0.005
    shrink: int = 16
    skip: int = 2
    plans: tuple[str, ...] = ()
    storage: str | None = None
    export: bool = True

    def check(self) -> None:
        for name in ("trials", "texts", "final"):
            require(f"--{name}", getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("--shrink", self.shrink, self.shrink in [2**i for i in range(7)], "1, 2, 4, 8, 16, 32 or 64")
        require("--skip", self.skip, self.skip >= 0, "at least 0")
        require("--max-loss", self.max_loss, self.max_loss >= 0, "at least 0")
        budget = self.budget_ms
        require("--budget-ms", budget, budget is None or budget > 0, "above 0")


class Candidate(NamedTuple):
    """A plan and what it was measured at: ``error`` is minimised, ``accuracy`` is shown (NaN until counted)."""

    plan: Plan
    error: float
    ms: float
    accuracy: float = math.nan


# The space ---------------------------------------------------------------------------------------------------------


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


def suggested(trial: optuna.Trial, layers: int, shrink: int, skip: int) -> Plan:
    """The plan that Optuna wants to see next."""
    depth = trial.suggest_int("depth", max(1, layers - skip), layers)
    halvings = [trial.suggest_int(f"halvings{i}", 0, 2) for i in range(layers)]
    return decoded(halvings, depth, shrink)


def open_storage(address: str | None) -> BaseStorage | str | None:
    """Optuna's storage for an address: a journal file, a database, or memory for None."""
    if address is None or "://" in address:
        return address
    Path(address).parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(address))


def tried(
    objective: Objective,
    layers: int,
    *,
    trials: int,
    shrink: int = 16,
    skip: int = 2,
    storage: str | None = None,
    identity: str = "",
    seed: int | None = 0,
) -> list[Candidate]:
    """Every plan that NSGA-II tried on its way to the front, each once, with what it was measured at.

    Args:
        objective: measures a plan; called once for each.
        layers: of the encoder.
        trials: plans to try in all, by every worker on this storage together.
        shrink, skip: see :class:`Search`.
        storage: see :func:`open_storage`.
        identity: of what is searched; a storage that holds another search is refused.
        seed: of this worker; None differs from worker to worker.

    Raises:
        RunError: the storage holds another search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=open_storage(storage),
        study_name="plans",
        load_if_exists=True,
        directions=["minimize", "minimize"],
        sampler=NSGAIISampler(population_size=min(40, max(4, trials // 5)), seed=seed),
    )
    wanted = f"{identity} {layers} {shrink} {skip}"
    if study.user_attrs.setdefault("identity", wanted) != wanted:
        raise RunError(
            f"{storage} holds another search, of another model, on other data or with other options: use another "
            "--storage, or delete it"
        )
    study.set_user_attr("identity", wanted)
    for parameters in seeds(layers, shrink):
        study.enqueue_trial(parameters, skip_if_exists=True)
    known: dict[Plan, tuple[float, float]] = {}

    def measured(trial: optuna.Trial) -> tuple[float, float]:
        plan = suggested(trial, layers, shrink, skip)
        trial.set_user_attr("plan", plan)
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
    return list({c.plan: c for c in map(_candidate, _complete(study))}.values())


def _candidate(trial: FrozenTrial) -> Candidate:
    return Candidate(tuple(trial.user_attrs["plan"]), *trial.values)


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that none is both as fast and as accurate as, fastest first; each plan and each point once."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (c.ms, c.error)):
        if not kept or candidate.error < kept[-1].error:
            kept.append(candidate)
    return kept


def contenders(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """``count`` of them: the front, then the front of the rest, and so on.

    Errors of a few hundred texts are luck in part: a plan next to the front often is on it once more texts are asked.
    """
    kept, rest = list[Candidate](), list(candidates)
    while rest and len(kept) < count:
        best = front(rest)
        kept += spread(best, count - len(kept))
        rest = [candidate for candidate in rest if candidate not in best]
    return kept


def name_plans(
    candidates: Sequence[Candidate], full: Candidate, max_loss: float, budget_ms: float | None = None
) -> dict[str, Candidate]:
    """The plans that get names.

    "balanced": the best within the budget, or without one the fastest that loses at most ``max_loss``; "accurate" and
    "fastest": the fastest that lose at most a quarter and four times of that. What is lost is counted in ``error``, see
    :func:`expected_error`.
    """
    every = [*candidates, full]

    def fastest(loss: float) -> Candidate:
        return min((c for c in every if c.error <= full.error + loss + 1e-9), key=lambda c: c.ms)

    balanced = fastest(max_loss)
    if budget_ms is not None:
        within = [c for c in every if c.ms <= budget_ms] or [min(every, key=lambda c: c.ms)]
        balanced = min(within, key=lambda c: (c.error, c.ms))
    quick = min(fastest(4 * max_loss), balanced, key=lambda c: c.ms)
    return {"full": full, "accurate": fastest(max_loss / 4), "balanced": balanced, "fastest": quick}


# The command -------------------------------------------------------------------------------------------------------


def run(options: Search) -> dict[str, Candidate]:
    """Search, name plans and write them into the model's folder; returns them.

    With ``--storage`` several searches share a folder, and each claims it only while it writes.
    """
    began = time.perf_counter(), time.process_time()
    model, folder, data = options.load()
    with nullcontext() if options.storage else claimed(folder):
        return _searched(model, folder, data, options, began)


def _searched(
    model: TextClassifier, folder: Path, data: TextData, options: Search, began: tuple[float, float]
) -> dict[str, Candidate]:
    trained = (read_metrics(folder).get("training") or {}).get("plans") or ()
    given = [*read_plans(options.plans, model), *(model.plan(plan) for plan in trained)]
    few, many = (subset(data.validation, n) for n in (options.texts, options.final))
    say("timing layers and bottlenecks at every length")
    table = measure_table(model, options.engine)
    found = tried(
        make_objective(model, few, table),
        model.config.layers,
        trials=options.trials,
        shrink=options.shrink,
        skip=options.skip,
        storage=options.storage,
        identity=f"{fingerprint(model)} {contents(data)} {len(few)} {options.engine} calibrated",
        seed=None if options.storage else options.seed,  # workers must not all try the same
    )
    tokens = typical_length(model, many.texts)
    full = (1,) * model.config.layers
    shown = dict.fromkeys([full, *(c.plan for c in contenders(found, TIMED)), *given])
    say(f"timing {len(shown)} plans as a whole, and measuring them on {len(many):,} texts")
    timed = remeasured(model, list(shown), many, tokens, options.engine)
    named = name_plans(front(timed[1:]), timed[0], options.max_loss, options.budget_ms)
    spent = time.perf_counter() - began[0], time.process_time() - began[1]
    with claimed(folder, wait=True) if options.storage else nullcontext():
        save(model, folder, named, timed, len(many), tokens, spent, options)
    return named


def expected_error(log_probabilities: Tensor, labels: Tensor) -> float:
    """Mean probability that goes to wrong labels, (B, K) and (B,), at the temperature that suits these labels best.

    It varies less from text to text than being wrong: at temperature 1, taken of 400 reviews, it ranked ten plans more
    like their errors on 2,478 did than their errors on the 400 (0.88, 0.80). The temperature (Guo et al. 2017,
    arXiv:1706.04599) is of each plan by itself, since one that is surer than others and right no more often would seem
    better than it is (``benchmarks.text_promises``).
    """
    calibrated = (sharpness(log_probabilities, labels) * log_probabilities).log_softmax(-1)
    return wrong_probability(calibrated, labels)


def wrong_probability(log_probabilities: Tensor, labels: Tensor) -> float:
    """Mean probability that goes to wrong labels, as the probabilities are."""
    return 1 - float(log_probabilities.exp().gather(1, labels[:, None]).mean())


def sharpness(log_probabilities: Tensor, labels: Tensor) -> float:
    """The inverse temperature, 0.1 to 10, of the least negative log likelihood."""

    def nll(inverse: float) -> float:
        return float(F.cross_entropy(inverse * log_probabilities, labels))

    return float(minimize_scalar(nll, bounds=(0.1, 10.0), method="bounded").x)


def make_objective(model: TextClassifier, split: TextSplit, table: LatencyTable) -> Objective:
    """Expected validation error of a plan, and its latency over the lengths that the texts have."""
    sizes = [
        float(len(ids)) for ids in model.tokens.ids(split.texts, model.config.longest, model.config.ends)
    ]
    tokens = torch.tensor(sizes).quantile(torch.tensor(QUANTILES)).round().int().tolist()

    def objective(plan: Plan) -> tuple[float, float]:
        return expected_error(classify(model, split.texts, plan), split.labels), table.predict(plan, tokens)

    return objective


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """``count`` of the items, evenly from end to end."""
    places = torch.linspace(0, len(items) - 1, min(count, len(items))).round().int()
    return [items[i] for i in places.tolist()]


def remeasured(
    model: TextClassifier, plans: Sequence[Plan], split: TextSplit, tokens: int, engine: Engine
) -> list[Candidate]:
    """Plans with their errors on a whole split and their time as a whole, in turns on one thread."""
    runs: dict[str, Callable[[], object]] = {}
    for plan in dict.fromkeys(plans):
        inputs = example(model, tokens)
        timed = callable_in(OnePlan(model, plan), model, inputs, ("ids", "mask"), engine)
        runs[str(plan)] = lambda timed=timed, inputs=inputs: timed(*inputs)  # type: ignore[misc]
    times = compare(runs, rounds=10, repeats=3)

    def measured(plan: Plan) -> Candidate:
        found = classify(model, split.texts, plan)
        error, right = expected_error(found, split.labels), accuracy(found, split.labels)
        return Candidate(plan, error, times[str(plan)].median_ms, right)

    return [measured(plan) for plan in plans]


def fingerprint(model: TextClassifier) -> str:
    """Short digest of the weights, so that a search is not continued on others."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def contents(data: TextData) -> str:
    """Short digest of texts, labels and how they are divided, so that a search is not continued on others."""
    found = data_fingerprint(data)
    return f"{found['contents'][:16]}{found['labels'][:16]}"


def save(
    model: TextClassifier,
    folder: Path,
    named: dict[str, Candidate],
    timed: Sequence[Candidate],
    n: int,
    tokens: int,
    spent: tuple[float, float],
    options: Search,
) -> None:
    """Write the named plans into the model's config, the front into its metrics, and fresh graphs.

    ``spent``: seconds of wall and processor time that the search took, in this process.
    """
    facts = {
        name: PlanFacts(c.plan, (), c.accuracy, n, model.macs(c.plan, tokens), c.ms, tokens, options.engine)
        for name, c in named.items()
    }
    searched: dict[str, Any] = {
        "trials": options.trials,
        "texts": options.texts,
        "n": n,
        "tokens": tokens,
        "engine": options.engine,
        "max_loss": options.max_loss,
        "budget_ms": options.budget_ms,
        "seed": options.seed,
        "wall_seconds": round(spent[0], 1),
        "cpu_seconds": round(spent[1], 1),
        "machine": machine(),
        "front": [
            {"factors": c.plan, "error": 1 - c.accuracy, "expected_error": c.error, "latency_ms": c.ms}
            for c in timed
        ],
        "plans": {name: c.plan for name, c in named.items()},
    }
    improved = model.with_plans(facts)
    improved.save_pretrained(folder, half=True, metrics={**read_metrics(folder), "search": searched})
    for name in (*model.plans, *named):  # a graph of the plan that had this name before
        for precision in PRECISIONS:
            graph_path(folder, name, precision).unlink(missing_ok=True)
    if options.export:
        export(improved, folder, named)


if __name__ == "__main__":
    command(Search, run)
