"""What a search among plans weighs: what a plan is expected to get wrong and how long it takes, and which get names."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

Plan = TypeVar("Plan", bound=Hashable)  # how much of a model runs
Item = TypeVar("Item")
NAMES = ("full", "accurate", "balanced", "fastest")


@dataclass(frozen=True)
class Candidate(Generic[Plan]):
    """A plan and what it was measured at: ``error`` is minimised, ``accuracy`` is shown (NaN until counted)."""

    plan: Plan
    error: float
    ms: float
    accuracy: float = math.nan


def front(candidates: Sequence[Candidate[Plan]]) -> list[Candidate[Plan]]:
    """Those that none is both as fast and as accurate as, fastest first; each plan and each point once."""
    kept: list[Candidate[Plan]] = []
    for candidate in sorted(candidates, key=lambda c: (c.ms, c.error)):
        if not kept or candidate.error < kept[-1].error:
            kept.append(candidate)
    return kept


def contenders(candidates: Sequence[Candidate[Plan]], count: int) -> list[Candidate[Plan]]:
    """``count`` of them: the front, then the front of the rest, and so on.

    Errors of a few hundred examples are luck in part: a plan next to the front often is on it once more are asked.
    """
    kept, rest = list[Candidate[Plan]](), list(candidates)
    while rest and len(kept) < count:
        best = front(rest)
        kept += spread(best, count - len(kept))
        rest = [candidate for candidate in rest if candidate not in best]
    return kept


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """``count`` of the items, evenly from end to end."""
    places = torch.linspace(0, len(items) - 1, min(count, len(items))).round().int()
    return [items[i] for i in places.tolist()]


def name_plans(
    candidates: Sequence[Candidate[Plan]],
    full: Candidate[Plan],
    max_loss: float,
    budget_ms: float | None = None,
) -> dict[str, Candidate[Plan]]:
    """The plans that get ``NAMES``.

    "balanced": the best within the budget, or without one the fastest that loses at most ``max_loss``; "accurate" and
    "fastest": the fastest that lose at most a quarter and four times of that. What is lost is counted in ``error``, see
    :func:`expected_error`.
    """
    every = [*candidates, full]

    def fastest(loss: float) -> Candidate[Plan]:
        return min((c for c in every if c.error <= full.error + loss + 1e-9), key=lambda c: c.ms)

    balanced = fastest(max_loss)
    if budget_ms is not None:
        within = [c for c in every if c.ms <= budget_ms] or [min(every, key=lambda c: c.ms)]
        balanced = min(within, key=lambda c: (c.error, c.ms))
    quick = min(fastest(4 * max_loss), balanced, key=lambda c: c.ms)
    return dict(zip(NAMES, (full, fastest(max_loss / 4), balanced, quick), strict=True))


def expected_error(log_probabilities: Tensor, labels: Tensor) -> float:
    """Mean probability that goes to wrong labels, (B, K) and (B,), at the temperature that suits these labels best.

    It varies less from example to example than being wrong: at temperature 1, taken of 400 reviews, it ranked ten plans
    more like their errors on 2,478 did than their errors on the 400 (0.88, 0.80). The temperature (Guo et al. 2017,
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
