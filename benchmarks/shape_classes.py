"""Claim: which kinds of shapes gain from having their orientation apart, and which do not.

    python -m benchmarks.shape_classes --data modelnet10.npz

Measures reconstructions of the same turned test shapes class by class, by the shipped affine VAE and the shipped plain
one of as many numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from affinevae import AffineVAE
from affinevae.affine3d import iou
from affinevae.data import load
from affinevae.evaluate import BATCH, TEST_SEED, encode_all, turned
from benchmarks.affine_vae import short_name
from benchmarks.claims.shape_classes import COLUMNS, MODELS
from benchmarks.tools.tables import Rows, markdown, write
from training.command import command
from training.measure import commit, machine


@dataclass(frozen=True)
class ShapeClasses:
    """IoU of reconstructions by class.

    Args:
        data: set of shapes.
        affine: the affine VAE.
        plain: the plain VAE.
        test: test shapes, at most.
        output: results.
    """

    data: str
    affine: str = MODELS[0]
    plain: str = MODELS[1]
    test: int = 10_000
    output: Path = Path("benchmarks/results/shape_classes.json")


def each_iou(model: AffineVAE, images: Tensor) -> Tensor:
    """IoU of every shape's reconstruction with it, ``(N,)``."""
    code = encode_all(model, images)
    parts = zip(images.split(BATCH), code.z.split(BATCH), code.pose.split(BATCH), strict=True)
    return torch.cat([iou(x, model.decode(z, pose)) for x, z, pose in parts])


def run(options: ShapeClasses) -> None:
    """Measure, print the table."""
    data = load(options.data)
    rows: Rows = {name: {} for name in data.classes}
    for key, name in (("iou_rotation_affine", options.affine), ("iou_rotation_plain", options.plain)):
        model = AffineVAE.from_pretrained(name)
        images, _, label = turned(data.test, model.config.size[0], "rotation", TEST_SEED, options.test)
        assert label is not None
        found = each_iou(model, images)
        for index, row in enumerate(rows.values()):
            own = found[label == index]
            error = float(own.std() / len(own) ** 0.5)
            row |= {"n": len(own), key: float(own.mean()), f"{key}_std_error": error}
    facts = {
        "data": short_name(options.data),
        "n": len(images),
        "affine": options.affine,
        "plain": options.plain,
    }
    write(options.output, {**facts, "machine": machine(), "commit": commit(), "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(ShapeClasses, run)
