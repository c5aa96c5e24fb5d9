"""A linear probe: multinomial logistic regression on features that somebody else's network has learned.

features (N, F), labels (N,) --each strength--> weight (K, F), bias (K,) --likeliest on held-out ones--> a layer
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

Array = NDArray[Any]
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of all likelihoods together against the prior
UNIT = 100.0  # times these, where features have length 1
ROUNDS = 200  # of L-BFGS, at most


class Linear(NamedTuple):
    """A linear layer, and how it was chosen."""

    weight: Tensor  # (K, F)
    bias: Tensor  # (K,)
    strength: float  # of those tried, the one that validation finds likeliest


def balanced(labels: Tensor, most: int) -> Tensor:
    """Places of ``most`` labels (N,) at most, of each class as many as there are or as of the others; in order."""
    order = labels.argsort(stable=True)
    counts = labels.bincount()
    turn = (
        torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[order]]
    )  # the how manieth of its class
    return order[turn.argsort(stable=True)[:most]].sort().values


def logistic(
    x: Array,
    labels: Array,
    held: Array,
    held_labels: Array,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    directions: bool = False,
) -> Linear:
    """Multinomial logistic regression on features (N, F), each strength tried and the likeliest on ``held`` taken.

    Args:
        directions: try it on features of length 1 too, without a bias, as suits few examples; the layer that is
            returned is for features of their mean length.
    """
    mean, scale = x.mean(0), x.std(0) + 1e-6
    tried: list[Linear] = []
    for strength, weight, bias in _regressions((x - mean) / scale, labels, classes, strengths, True):
        weight = weight / torch.from_numpy(scale)
        tried.append(Linear(weight, bias - weight @ torch.from_numpy(mean), strength))
    if directions:
        length = np.linalg.norm(x, axis=1, keepdims=True) + 1e-6
        usual = float(length.mean())
        firmer = [UNIT * strength for strength in strengths]
        for strength, weight, bias in _regressions(x / length, labels, classes, firmer, False):
            tried.append(Linear(weight / usual, bias, strength))
    given, truth = torch.from_numpy(held), torch.from_numpy(held_labels)
    return min(tried, key=lambda one: float(cross_entropy(given @ one.weight.T + one.bias, truth)))


def _regressions(
    x: Array, labels: Array, classes: int, strengths: Sequence[float], bias: bool
) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Strength, weights (K, F) and biases (K,) of regressions on features as they are."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    machine = LogisticRegression(max_iter=ROUNDS, warm_start=True, fit_intercept=bias)
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.set_params(C=strength / len(x)).fit(x, labels)
        intercept = machine.intercept_ if bias else np.zeros(len(machine.coef_))
        yield strength, *_every_class(machine.coef_, intercept, machine.classes_, classes)


def _every_class(weight: Array, bias: Array, present: Sequence[int], classes: int) -> tuple[Tensor, Tensor]:
    """Weights (K, F) and biases (K,) of scikit-learn's, which has one row for two classes."""
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    whole, offsets = torch.zeros(classes, weight.shape[1]), torch.full((classes,), float(bias.min()))
    whole[torch.as_tensor(present)] = torch.from_numpy(weight).float()
    offsets[torch.as_tensor(present)] = torch.from_numpy(bias).float()
    return whole, offsets
