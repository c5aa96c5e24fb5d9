"""The first answer: a linear layer on the features of a network that is trained already (a linear probe).

pictures --network--> features (N, F), once --logistic regression--> weight (K, F), bias (K,)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.state import PartialState
from torch import Tensor, nn

from classifiers.model import CompactCNN
from training.cached import digest, rows
from training.datasets import ImageData
from training.pictures import Array, to_floats
from training.probe import balanced, logistic

MOST = 10_000  # training pictures whose features are taken: some minutes


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
    best = logistic(known, labels.numpy(), held, held_labels.numpy(), len(model.classes), directions=True)
    layer = linear_layer(model.network)
    with torch.no_grad():
        layer.weight.copy_(best.weight)
        layer.bias.copy_(best.bias)
    return best.strength


def linear_layer(network: nn.Module) -> nn.Linear:
    """The last one."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


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
