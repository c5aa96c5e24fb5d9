"""Claim: which kinds of shapes gain from having their orientation apart, and which do not.

    python -m benchmarks.shape_classes --data modelnet10.npz

Re-reads the converged models of ``benchmarks.voxel_orientation`` (or trains them), and measures reconstructions of the
same turned test shapes class by class, affine VAE and plain VAE, for rotations of the cube and for any rotation.
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
from affinevae.train import Train, train
from benchmarks.affine_vae import short_name
from benchmarks.claims.shape_classes import COLUMNS, GROUPS, key
from benchmarks.claims.voxel_orientation import Entry
from benchmarks.tools.tables import Rows, markdown, write
from benchmarks.voxel_orientation import VoxelOrientation, recipes
from training.command import command
from training.measure import commit, machine


@dataclass(frozen=True)
class ShapeClasses:
    """IoU of reconstructions by class.

    Args:
        data: set of shapes.
        test: test shapes, at most.
        runs: folder of the trained models.
        output: results.
    """

    data: str
    test: int = 10_000
    runs: Path = Path("runs")
    output: Path = Path("benchmarks/results/shape_classes.json")


def plans(options: ShapeClasses) -> dict[str, tuple[str, Train]]:
    """The number's key in a row -> pose group of the test shapes and the model's training."""
    rows = recipes(VoxelOrientation(options.data, runs=options.runs, converged=GROUPS))
    found: dict[str, tuple[str, Train]] = {}
    for group in GROUPS:
        for kind in ("affine", "plain"):
            (plan,) = rows[Entry(f"{kind} VAE", group, True)]
            found[key(group, kind)] = group, plan
    return found


def each_iou(model: AffineVAE, images: Tensor) -> Tensor:
    """IoU of every shape's reconstruction with it, ``(N,)``."""
    code = encode_all(model, images)
    parts = zip(images.split(BATCH), code.z.split(BATCH), code.pose.split(BATCH), strict=True)
    return torch.cat([iou(x, model.decode(z, pose)) for x, z, pose in parts])


def run(options: ShapeClasses) -> None:
    """Train what is missing, measure, print the table."""
    data = load(options.data)
    rows: Rows = {name: {} for name in data.classes}
    for name, (group, plan) in plans(options).items():
        train(plan)
        model = AffineVAE.from_pretrained(plan.output)
        images, _, label = turned(data.test, model.config.size[0], group, TEST_SEED, options.test)
        assert label is not None
        found = each_iou(model, images)
        for index, row in enumerate(rows.values()):
            own = found[label == index]
            row |= {
                "n": len(own),
                name: float(own.mean()),
                f"{name}_std_error": float(own.std() / len(own) ** 0.5),
            }
    facts = {"data": short_name(options.data), "n": min(options.test, len(data.test))}
    write(options.output, {**facts, "machine": machine(), "commit": commit(), "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(ShapeClasses, run)
