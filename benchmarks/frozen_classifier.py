"""Claim: a classifier that was trained upright reads turned pictures once a pose search stands in front of it.

    python -m benchmarks.frozen_classifier --data mnist

Trains a small classifier on upright pictures, and the same one as long on pictures turned anew at every visit. Both are
tested on the same test pictures, upright and turned once by an unknown angle. The first is also tested with the usual
help at test time (the mean answer, and the surest, over evenly turned copies), and with the shipped affine VAE in front
(``affinevae.upright.Canonical``), which needs some upright pictures, no labels and no training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinevae import AffineVAE
from affinevae.affine import GROUPS, warp
from affinevae.data import load
from affinevae.evaluate import TEST_SEED, turned
from affinevae.turned import TurnedImages
from affinevae.upright import Canonical, learn_upright
from benchmarks.affine_vae import short_name
from benchmarks.claims.frozen_classifier import ALONE, AUGMENTED, COLUMNS, MEAN, OURS, SUREST
from benchmarks.tools.tables import Rows, markdown, write
from training.command import command
from training.measure import commit, compare, machine

BATCH = 128


@dataclass(frozen=True)
class FrozenClassifier:
    """A frozen classifier alone, with help at test time, and behind a pose search.

    Args:
        data: data set of upright pictures.
        model: the affine VAE; the shipped one of these data if left out.
        train: training pictures.
        epochs: of both classifiers.
        upright: training pictures, without labels, that show which way is up.
        copies: turned copies of a picture, for the help at test time.
        test: test pictures, at most.
        seed: of the classifiers' training.
        output: results; named after the data if left out.
    """

    data: str
    model: str | None = None
    train: int = 20_000
    epochs: int = 2
    upright: int = 500
    copies: int = 16
    test: int = 2000
    seed: int = 0
    output: Path | None = None


def network(channels: int, size: int, classes: int) -> nn.Module:
    """Three convolutions and a linear layer."""
    widths, layers = (channels, 16, 32, 64), []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (size // 8) ** 2, classes))


def trained(
    images: TurnedImages, labels: Tensor, classes: int, options: FrozenClassifier
) -> tuple[nn.Module, float]:
    """A classifier, and the processor seconds of its training."""
    torch.manual_seed(options.seed)
    size = images(torch.arange(1)).shape
    model = network(size[1], size[2], classes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    steps = options.epochs * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    start = time.process_time()
    for _ in range(options.epochs):
        for index in torch.randperm(len(labels)).split(BATCH)[: len(labels) // BATCH]:
            loss = F.cross_entropy(model(images(index)), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval(), time.process_time() - start


def copies_of(images: Tensor, count: int) -> Tensor:
    """Evenly turned copies, ``(B, count, C, S, S)``."""
    angles = torch.arange(count) * (2 * math.pi / count)
    matrix = GROUPS["rotation"].inverse(angles.repeat(len(images))[:, None])
    return warp(images.repeat_interleave(count, 0), matrix).unflatten(0, (len(images), count))


def over_copies(classifier: nn.Module, count: int, surest: bool) -> Callable[[Tensor], Tensor]:
    """The mean of the answers to turned copies, or the surest of them."""

    def answer(images: Tensor) -> Tensor:
        answers = classifier(copies_of(images, count).flatten(0, 1)).softmax(1).unflatten(0, (-1, count))
        if not surest:
            return answers.mean(1)
        best = answers.amax(2).argmax(1)
        return answers[torch.arange(len(images)), best]

    return answer


@torch.no_grad()
def accuracy(answer: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> float:
    """Share of right answers."""
    found = torch.cat([answer(part).argmax(1) for part in images.split(250)])
    return float((found == labels).float().mean())


def run(options: FrozenClassifier) -> None:
    """Train both classifiers, test all, print the table."""
    data_name = short_name(options.data)
    name = options.model or f"affinevae-{data_name}"
    model = AffineVAE.from_pretrained(name)
    size = model.config.size[0]
    data = load(options.data, model.config.channels, size, model.config.learned)
    images, labels = data.train.images[: options.train], data.train.labels
    assert labels is not None
    labels = labels[: options.train]
    standing = TurnedImages(images, size, "none", options.seed)
    frozen, seconds = trained(standing, labels, len(data.classes), options)
    anew = TurnedImages(images, size, "rotation", options.seed, anew=True)
    augmented, more_seconds = trained(anew, labels, len(data.classes), options)
    up = learn_upright(model, standing(torch.arange(options.upright)))
    answers: dict[str, Callable[[Tensor], Tensor]] = {
        ALONE: frozen,
        MEAN: over_copies(frozen, options.copies, surest=False),
        SUREST: over_copies(frozen, options.copies, surest=True),
        OURS: Canonical(model, frozen, up),
        AUGMENTED: augmented,
    }
    test = {how: turned(data.test, size, how, TEST_SEED, options.test) for how in ("none", "rotation")}
    truth = test["none"][2]
    assert truth is not None
    few = test["rotation"][0][:64]
    times = compare({row: lambda f=f: f(few) for row, f in answers.items()}, rounds=3, repeats=1, warmup=1)  # type: ignore[misc]
    rows: Rows = {
        row: {
            "upright": accuracy(answer, test["none"][0], truth),
            "turned": accuracy(answer, test["rotation"][0], truth),
            "cpu_ms": times[row].cpu_median_ms / len(few),
            "cpu_seconds": more_seconds if row == AUGMENTED else seconds,
        }
        for row, answer in answers.items()
    }
    facts: dict[str, Any] = {
        "data": data_name,
        "n": len(truth),
        "model": name,
        "train": len(labels),
        "epochs": options.epochs,
        "upright": options.upright,
        "copies": options.copies,
        "machine": machine(),
        "commit": commit(),
    }
    output = options.output or Path(f"benchmarks/results/frozen_classifier_{data_name}.json")
    write(output, {**facts, "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(FrozenClassifier, run)
