"""A linear probe: multinomial logistic regression on features that somebody else's network has learned.

features (N, F), labels (N,) --each strength--> weight (K, F), bias (K,) --likeliest on held-out ones--> a layer
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

Array = NDArray[Any]
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of all likelihoods together against the prior
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
) -> Linear:
    """Multinomial logistic regression on features (N, F), each strength tried and the likeliest on ``held`` taken."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, scale = x.mean(0), x.std(0) + 1e-6
    scaled, scaled_held = (x - mean) / scale, torch.from_numpy((held - mean) / scale)
    machine = LogisticRegression(max_iter=ROUNDS, warm_start=True)
    tried: list[tuple[float, Linear]] = []
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.set_params(C=strength / len(x)).fit(scaled, labels)
        weight, bias = _every_class(machine.coef_, machine.intercept_, machine.classes_, classes)
        loss = cross_entropy(scaled_held @ weight.T + bias, torch.from_numpy(held_labels))
        weight = weight / torch.from_numpy(scale)
        tried.append((float(loss), Linear(weight, bias - weight @ torch.from_numpy(mean), strength)))
    return min(tried, key=lambda one: one[0])[1]


def _every_class(weight: Array, bias: Array, present: Sequence[int], classes: int) -> tuple[Tensor, Tensor]:
    """Weights (K, F) and biases (K,) of scikit-learn's, which has one row for two classes."""
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    whole, offsets = torch.zeros(classes, weight.shape[1]), torch.full((classes,), float(bias.min()))
    whole[torch.as_tensor(present)] = torch.from_numpy(weight).float()
    offsets[torch.as_tensor(present)] = torch.from_numpy(bias).float()
    return whole, offsets
