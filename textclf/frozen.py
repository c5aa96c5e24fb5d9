"""The first answer: a linear head on what a frozen encoder makes of each text, the mean of its last vectors.

    texts --encoder, as it came--> mean over tokens (N, H), once --logistic regression--> head (K, 2 H)

The head is that of a :class:`textclf.TextClassifier`, whose columns for [CLS] are zero; training goes on from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from textclf.encoder import Encoder
from textclf.model import TextClassifier
from textclf.tokens import batch
from training.cached import rows
from training.probe import STRENGTHS, Array, balanced, logistic
from training.texts import TextSplit

BATCH = 32
MORE = (*STRENGTHS, 300.0, 1000.0)  # texts by the thousand bear a weaker prior than photos by the hundred


def pooled(encoder: Encoder, pieces: Sequence[Tensor], bf16: bool = False) -> Tensor:
    """Mean over a text's tokens of the encoder's last vectors, ``(N, H)``; ``pieces`` are ids of each text."""
    found = torch.zeros(len(pieces), encoder.config.hidden)
    order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))  # little padding
    device = encoder.words.weight.device
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        ids, mask = (t.to(device) for t in batch([pieces[i] for i in places]))
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            states = encoder(ids, mask).float()
        found[places] = ((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).cpu()
    return found


def sample(split: TextSplit, count: int) -> TextSplit:
    """``count`` texts at most, of each class as many as there are or as of the others."""
    places = balanced(split.labels, count)
    return TextSplit([split.texts[i] for i in places.tolist()], split.labels[places])


def fit_head(
    model: TextClassifier, known: TextSplit, held: TextSplit, folder: Path, bf16: bool = False
) -> tuple[float, float]:
    """Give the model the head that its frozen encoder bears; returns the strength, and its accuracy on ``held``.

    Args:
        known: texts that it learns from.
        held: those that the strength is chosen on, the likeliest.
        folder: keeps the features, so that a run that was killed takes each once.
        bf16: take them in bfloat16.
    """
    x, y = (_features(model, split, folder, bf16) for split in (known, held))
    best = logistic(x, known.labels.numpy(), y, held.labels.numpy(), len(model.classes), MORE)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.weight[:, model.config.hidden :] = best.weight
        model.head.bias.copy_(best.bias)
    right = (torch.from_numpy(y) @ best.weight.T + best.bias).argmax(-1) == held.labels
    return best.strength, float(right.float().mean())


def _features(model: TextClassifier, split: TextSplit, folder: Path, bf16: bool) -> Array:
    pieces = model.tokens.ids(split.texts, model.config.longest, model.config.ends)

    def make(start: int, stop: int) -> Array:
        return pooled(model.encoder, pieces[start:stop], bf16).numpy()

    shape = (len(pieces), model.config.hidden)
    path = folder / f"{_named(pieces)}-{'bf16' if bf16 else 'float32'}.features"
    return np.array(rows(path, shape, np.float32, make, "embedding of text"))


def _named(pieces: Sequence[Tensor]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for piece in pieces:
        found.update(piece.numpy().tobytes() + b";")
    return found.hexdigest()
