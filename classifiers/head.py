"""The first answer: a linear layer on the features of a network that is trained already (a linear probe).

pictures --network--> features (N, F), once --logistic regression--> weight (K, F), bias (K,)
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.state import PartialState
from torch import Tensor, nn

from classifiers.model import CompactCNN
from training.cached import digest, rows
from training.datasets import ImageData
from training.pictures import Array, to_floats

MOST = 10_000  # training pictures whose features are taken: some minutes
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of all likelihoods together against the prior
ROUNDS = 200  # of L-BFGS, at most


class Linear(NamedTuple):
    """A linear layer, and how it was chosen."""

    weight: Tensor  # (K, F)
    bias: Tensor  # (K,)
    strength: float  # of STRENGTHS, the one that validation finds likeliest


def fit_head(model: CompactCNN, data: ImageData, folder: Path, found: Mapping[str, Any], bf16: bool) -> float:
    """Give the network the linear layer that its features bear; returns the strength that validation chose.

    Args:
        folder: keeps the features, so that a run that was killed takes them once.
        found: the data's fingerprint.
        bf16: take them in bfloat16.
    """
    parts = {"train": data.train, "validation": data.validation}
    chosen = {name: balanced(part.labels, MOST) for name, part in parts.items()}  # type: ignore[arg-type]
    named = digest(dict(found), str(data.prepared), _weights(model), MOST, bf16)
    with PartialState().main_process_first():  # the others read what it wrote
        known, held = (
            _features(model, part.images, chosen[name], folder / f"{name}-{named}.features", bf16)
            for name, part in parts.items()
        )
    labels, held_labels = (part.labels[chosen[name]] for name, part in parts.items())  # type: ignore[index]
    best = logistic(known, labels.numpy(), held, held_labels.numpy(), len(model.classes))
    layer = linear_layer(model.network)
    with torch.no_grad():
        layer.weight.copy_(best.weight)
        layer.bias.copy_(best.bias)
    return best.strength


def linear_layer(network: nn.Module) -> nn.Linear:
    """The last one."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def balanced(labels: Tensor, most: int) -> Tensor:
    """Places of ``most`` labels (N,) at most, of each class as many as there are or as of the others; in order."""
    order = labels.argsort(stable=True)
    counts = labels.bincount()
    turn = (
        torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[order]]
    )  # the how manieth of its class
    return order[turn.argsort(stable=True)[:most]].sort().values


def _weights(model: CompactCNN) -> str:
    """What tells the features of one network from those of another."""
    found, own = hashlib.blake2b(digest_size=8), {id(p) for p in linear_layer(model.network).parameters()}
    for tensor in (*model.parameters(), *model.buffers()):
        if id(tensor) not in own:
            found.update(tensor.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()


def _features(model: CompactCNN, images: Any, index: Tensor, path: Path, bf16: bool) -> Array:
    """(N, F) of the pictures at those places, as they are prepared for a prediction."""
    device = PartialState().device
    model.to(device).eval()

    @torch.no_grad()
    def make(start: int, stop: int) -> Array:
        parts = []
        for places in index[start:stop].split(64):
            image = to_floats(images[places]).contiguous(memory_format=torch.channels_last).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                parts.append(model.features(image).float().cpu())
        return torch.cat(parts).numpy()

    found = rows(
        path, (len(index), linear_layer(model.network).in_features), np.float32, make, "features of picture"
    )
    model.cpu()
    return found


def logistic(x: Array, labels: Array, held: Array, held_labels: Array, classes: int) -> Linear:
    """Multinomial logistic regression on features (N, F), each strength tried and the likeliest on ``held`` taken."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, scale = x.mean(0), x.std(0) + 1e-6
    scaled, scaled_held = (x - mean) / scale, torch.from_numpy((held - mean) / scale)
    machine = LogisticRegression(max_iter=ROUNDS, warm_start=True)
    tried: list[tuple[float, Linear]] = []
    for strength in STRENGTHS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.set_params(C=strength / len(x)).fit(scaled, labels)
        weight, bias = _every_class(machine.coef_, machine.intercept_, machine.classes_, classes)
        loss = nn.functional.cross_entropy(scaled_held @ weight.T + bias, torch.from_numpy(held_labels))
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
