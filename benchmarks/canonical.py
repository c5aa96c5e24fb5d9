"""Claim: without labels a model chooses what is upright, and makes one shape of two classes that are each other turned.

    python -m benchmarks.canonical --data mnist

Where the model stands every test image, against how the image stood before it was turned, and which other class lies
nearest in the space of codes. A 9 is a turned 6 to a model that takes orientation away: Bidart & Wong (2019,
arXiv:1905.05300) show it in their appendix, and that a 1 may stand two ways, half a turn apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affinevae import AffineVAE
from affinevae.data import load
from affinevae.evaluate import TEST_SEED, encode_all, turned
from affinevae.metrics import wrap
from benchmarks.affine_vae import short_name
from benchmarks.claims.canonical import ANGLES, BIN, COLUMNS, completed
from benchmarks.tools.tables import Rows, markdown, write
from training.command import command
from training.measure import commit, machine

WITHIN = math.radians(15)
MEAN_SHIFTS = 8  # from then on nothing moves


@dataclass(frozen=True)
class Canonical:
    """Orientations in which a trained model stands each class.

    Args:
        data: data set.
        model: the affine VAE.
        test: test images, at most.
        output: results; named after the data if left out. A picture of the same name is put beside them.
    """

    data: str
    model: str = "affinevae-mnist"
    test: int = 10_000
    output: Path | None = None


def histogram(angle: Tensor) -> Tensor:
    """Shares of angles (N,), in radians, in bins around ``ANGLES``."""
    index = (angle.rad2deg() / BIN).round().long() + len(ANGLES) // 2
    return torch.bincount(index % len(ANGLES), minlength=len(ANGLES)) / len(angle)


def commonest(angle: Tensor) -> Tensor:
    """The middle of the densest stretch of angles (N,), in radians: mean shift from the fullest bin."""
    middle = torch.tensor(math.radians(ANGLES[int(histogram(angle).argmax())]))
    for _ in range(MEAN_SHIFTS):
        gap = wrap(angle - middle)
        middle = wrap(middle + gap[gap.abs() < WITHIN].mean())
    return middle


def described(angle: Tensor) -> dict[str, Any]:
    """A row: the commonest orientation, and shares of a class that stand in it, half a turn from it, elsewhere."""
    middle = commonest(angle)
    upright, reversed_ = (
        float((wrap(angle - middle - turn).abs() < WITHIN).float().mean()) for turn in (0.0, math.pi)
    )
    return {
        "n": len(angle),
        "degrees": float(middle.rad2deg()),
        "within_15": upright,
        "half_turn": reversed_,
        "elsewhere": 1 - upright - reversed_,
        "histogram": histogram(angle).tolist(),
    }


def nearest(z: Tensor, label: Tensor, classes: Sequence[str]) -> Rows:
    """Of each class: which other one its codes ``z`` (N, L) have most often for a nearest neighbour, and how often."""
    gaps = torch.cdist(z, z)
    gaps.fill_diagonal_(torch.inf)
    neighbour = label[gaps.argmin(1)]
    rows = {}
    for k, name in enumerate(classes):
        shares = torch.bincount(neighbour[label == k], minlength=len(classes)) / max(
            1, int((label == k).sum())
        )
        shares[k] = -1
        rows[name] = {"nearest": classes[int(shares.argmax())], "nearest_share": float(shares.max())}
    return rows


def draw(model: AffineVAE, z: Tensor, label: Tensor, rows: Rows, path: Path) -> None:
    """The picture: what the model draws at the mean code of each class, and where it stands that class."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(9.6, 2.9), layout="constrained")
    drawn = model.decode(torch.stack([z[label == k].mean(0) for k in range(len(rows))]))
    for column, (name, row) in enumerate(rows.items()):
        above = figure.add_subplot(2, len(rows), column + 1)
        above.imshow(drawn[column, 0], cmap="gray_r", vmin=0, vmax=1)
        above.set_title(name, fontsize=10)
        above.set_axis_off()
        below: Any = figure.add_subplot(2, len(rows), len(rows) + column + 1, projection="polar")
        below.bar(
            [math.radians(angle) for angle in ANGLES],
            row["histogram"],
            width=math.radians(BIN),
            color="#0072B2",
        )
        below.set_theta_zero_location("N")
        below.set_xticks([0, math.pi / 2, math.pi, 3 * math.pi / 2], ["", "", "", ""])
        below.set_yticks([])
    figure.savefig(path, dpi=150)


def run(options: Canonical) -> None:
    """Measure, draw, and print the table."""
    model = AffineVAE.from_pretrained(options.model)
    data = load(options.data, model.config.channels, model.config.size[0], model.config.learned)
    images, pose, label = turned(data.test, model.config.size[0], "rotation", TEST_SEED, options.test)
    assert label is not None
    code = encode_all(model, images)
    stands = wrap(code.pose[:, 0] - pose[:, 0])
    rows = {
        name: {**described(stands[label == k]), **row}
        for k, (name, row) in enumerate(nearest(code.z, label, data.classes).items())
    }
    facts = {
        "data": short_name(options.data),
        "n": len(images),
        "model": options.model,
        "angles": list(ANGLES),
    }
    output = options.output or Path(f"benchmarks/results/canonical_{facts['data']}.json")
    write(output, {**facts, "machine": machine(), "commit": commit(), "rows": rows})
    draw(model, code.z, label, rows, output.with_suffix(".png"))
    markdown(completed(rows), COLUMNS)


if __name__ == "__main__":
    command(Canonical, run)
