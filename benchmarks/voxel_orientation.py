"""Claim: with the pose apart, a voxel VAE describes shapes in any orientation as well as upright ones.

    python -m benchmarks.voxel_orientation --data modelnet10.npz

Trains (or re-reads: finished runs are kept in ``--runs``) affine VAEs for shapes turned by rotations of the cube and
by any rotation, plain VAEs with as many numbers (latents + 3) on the same turned shapes, turned anew at each visit,
and a plain VAE on upright ones. Affine and plain get the same CPU time, search included; ``--converged`` adds plain
VAEs that were trained several times longer. All are measured on the same turned test shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affinevae.affine3d import GROUPS
from affinevae.card import lookup
from affinevae.train import PoseTraining, Train
from benchmarks.affine_vae import measured, short_name, summary
from benchmarks.tables import Rows, markdown, write
from training.command import command
from training.loop import LoopConfig
from training.measure import commit, machine

COLUMNS = {
    "squared error": ("squared_error", "{:.0f}"),
    "IoU": ("iou", "{:.3f}"),
    "nats": ("nats", "{:.0f}"),
    "k-means": ("kmeans_accuracy", "{:.3f}"),
    "5-NN": ("knn_accuracy", "{:.3f}"),
    "leakage R^2": ("angle_leakage", "{:.2f}"),
    "IoU lost": ("iou_lost", "{:.3f}"),
    "CPU s": ("cpu_seconds", "{:.0f}"),
}


@dataclass(frozen=True)
class VoxelOrientation:
    """Affine and plain VAEs of voxel shapes in unknown orientation.

    Args:
        data: set of shapes.
        latent_dim: of the affine VAEs; plain ones get three more, as many as a rotation has numbers.
        seeds: runs of each.
        cube_epochs: of affine and plain VAE on shapes turned by rotations of the cube, for equal CPU time.
        rotation_epochs: the same for any rotation.
        converged: also the long runs of the plain VAEs.
        converged_epochs: their epochs, cube and rotation.
        upright_epochs: of the plain VAE on upright shapes.
        terms: terms of use of the data, for the model cards.
        runs: folder of the trained models.
        output: results.
    """

    data: str
    latent_dim: int = 16
    seeds: int = 1
    cube_epochs: tuple[int, int] = (24, 50)
    rotation_epochs: tuple[int, int] = (30, 160)
    converged: bool = False
    converged_epochs: tuple[int, int] = (200, 480)
    upright_epochs: int = 30
    terms: str | None = None
    runs: Path = Path("runs")
    output: Path = Path("benchmarks/results/voxel_orientation.json")


def recipe(options: VoxelOrientation, group: str, turns: str, tag: str, epochs: int, seed: int = 0) -> Train:
    """One run; its folder says what it is."""
    latents = options.latent_dim + (0 if group != "none" else GROUPS["rotation"].dim)
    name = f"{short_name(options.data)}-{group}-{latents}-{turns}-{tag}"
    return Train(
        options.data,
        options.runs / name,
        latent_dim=latents,
        group=group,
        turns=turns,
        fresh=group == "none" and turns != "none",
        rate_weight=1.0,  # for all, so that squared errors compare
        dropout=0.5,
        validation=128,
        measure=False,
        poses=PoseTraining(grid_fraction={"cube": 0.1}.get(group, 0.06)),
        loop=LoopConfig(epochs=epochs, batch=64, lr=2e-3, seed=seed),
    )


def recipes(options: VoxelOrientation) -> dict[str, list[Train]]:
    """The runs behind each row."""
    seeds, rows = range(options.seeds), {}
    epochs = {"cube": options.cube_epochs, "rotation": options.rotation_epochs}
    for long, (turns, (ours, plain)) in zip(options.converged_epochs, epochs.items(), strict=True):
        rows[f"{turns}: affine VAE"] = [recipe(options, turns, turns, f"s{s}", ours, s) for s in seeds]
        rows[f"{turns}: plain VAE"] = [recipe(options, "none", turns, f"s{s}", plain, s) for s in seeds]
        if options.converged:
            rows[f"{turns}: plain VAE, converged"] = [recipe(options, "none", turns, "long", long)]
    upright = recipe(options, "none", "none", "s0", options.upright_epochs)
    rows["plain VAE, trained and tested upright"] = [upright]
    return rows


def iou_lost(metrics: dict[str, Any]) -> float:
    """Mean IoU of upright test shapes minus that of the same shapes in any orientation."""
    robust = metrics["test"]["robustness"]
    return float(robust["upright"]["iou"] - robust["rotation"]["iou"])


def claims(rows: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """The claim's ratios and differences, affine against plain, for each group and control."""
    found = {}
    for turns in ("cube", "rotation"):
        ours = rows[f"{turns}: affine VAE"]
        for control in ("plain VAE", "plain VAE, converged"):
            if (plain := rows.get(f"{turns}: {control}")) is None:
                continue
            key = f"{turns}, against {control}: "
            found[key + "squared error, ratio"] = (
                ours["squared_error"]["mean"] / plain["squared_error"]["mean"]
            )
            for title in ("iou", "kmeans_accuracy", "knn_accuracy"):
                found[key + title + " gained"] = ours[title]["mean"] - plain[title]["mean"]
    return found


def as_table(rows: dict[str, dict[str, dict[str, float]]]) -> Rows:
    """Mean (and deviation) of each column, one row a model."""
    return {
        model: {
            title: form.format(s[key]["mean"])
            + (f" ± {form.format(s[key]['std'])}" if s[key]["n"] > 1 else "")
            for title, (key, form) in COLUMNS.items()
            if key in s
        }
        for model, s in rows.items()
    }


def run(options: VoxelOrientation) -> None:
    """Train and measure what is missing; print the table and the claims."""
    every = {row: [measured(p, options.terms) for p in plans] for row, plans in recipes(options).items()}
    rows = {}
    for row, metrics in every.items():
        rows[row] = summary(metrics)
        lost = [iou_lost(m) for m in metrics]
        rows[row]["iou_lost"] = {"mean": sum(lost) / len(lost), "std": 0.0, "n": 1}
    facts = {
        "data": short_name(options.data),
        "n": lookup(every["cube: affine VAE"][0], "test.n"),
        "seeds": options.seeds,
        "machine": machine(),
        "commit": commit(),
    }
    found = claims(rows)
    write(options.output, {**facts, "rows": rows, "claims": found})
    markdown(as_table(rows), dict.fromkeys(COLUMNS, "{}"))
    for claim, value in found.items():
        print(f"{claim}: {value:.3f}")


if __name__ == "__main__":
    command(VoxelOrientation, run)
