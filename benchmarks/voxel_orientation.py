"""Claim: with the pose apart, a voxel VAE describes shapes in any orientation as well as upright ones.

    python -m benchmarks.voxel_orientation --data modelnet10.npz

Trains (or re-reads: finished runs are kept in ``--runs``) affine VAEs for shapes turned by rotations of the cube and
by any rotation, plain VAEs with as many numbers (latents + 3) on the same turned shapes, turned anew at each visit,
and a plain VAE on upright ones. Affine and plain get the same CPU time, search included, and the same variants of the
training shapes; ``--converged`` adds models that were trained three times longer. All are measured on the same turned
test shapes. ``--more rotation`` adds seeds to results whose runs are gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affinevae.affine3d import GROUPS
from affinevae.card import lookup
from affinevae.train import PoseTraining, Train
from benchmarks.affine_vae import measured, short_name, summary
from benchmarks.claims.voxel_orientation import COLUMNS, SERIES, TURNS
from benchmarks.tools.tables import Rows, joined, machines, markdown, several, write
from training.command import command
from training.loop import LoopConfig, RunError
from training.measure import commit, machine
from weights.checkpoint import read_json


@dataclass(frozen=True)
class VoxelOrientation:
    """Affine and plain VAEs of voxel shapes in unknown orientation.

    Args:
        data: set of shapes.
        latent_dim: of the affine VAEs; plain ones get three more, as many as a rotation has numbers.
        cube_seeds: runs of each on shapes turned by rotations of the cube.
        rotation_seeds: runs of each on shapes turned by any rotation.
        cube_epochs: of affine and plain VAE on shapes turned by rotations of the cube, for equal CPU time; each
            epoch also visits one variant of every shape.
        rotation_epochs: the same for any rotation.
        converged: also the long runs, for these turns.
        converged_cube_epochs: their epochs, affine and plain, on shapes turned by rotations of the cube.
        converged_rotation_epochs: the same for any rotation, which takes a plain VAE much longer to learn.
        upright_epochs: of the plain VAE on upright shapes.
        more: only train further seeds for these turns, after those that the results hold; all else in them stays.
        terms: terms of use of the data, for the model cards.
        runs: folder of the trained models.
        output: results.
    """

    data: str
    latent_dim: int = 16
    cube_seeds: int = 3
    rotation_seeds: int = 2
    cube_epochs: tuple[int, int] = (12, 25)
    rotation_epochs: tuple[int, int] = (30, 160)
    converged: tuple[Literal["cube", "rotation"], ...] = ()
    converged_cube_epochs: tuple[int, int] = (18, 38)
    converged_rotation_epochs: tuple[int, int] = (18, 120)
    upright_epochs: int = 30
    more: Literal["cube", "rotation"] | None = None
    terms: str | None = None
    runs: Path = Path("runs")
    output: Path = Path("benchmarks/results/voxel_orientation.json")


# Variants of each shape that are trained on as well. Under the cube's exact rotations the shapes themselves were
# learned by heart: validation lost 55 nats of its gap to training by one variant at the same number of steps.
VARIANTS = {"cube": 1, "rotation": 0, "none": 0}
CONVERGED_VARIANTS = 3


def recipe(
    options: VoxelOrientation,
    group: str,
    turns: str,
    tag: str,
    epochs: int,
    seed: int = 0,
    variants: int | None = None,
) -> Train:
    """One run; its folder says what it is."""
    latents = options.latent_dim + (0 if group != "none" else GROUPS["rotation"].dim)
    name = f"{short_name(options.data)}-{group}-{latents}-{turns}-{tag}"
    return Train(
        options.data,
        options.runs / name,
        latent_dim=latents,
        group=group,
        turns=turns,
        turn_anew=group == "none" and turns != "none",
        variants=VARIANTS[turns] if variants is None else variants,
        rate_weight=1.0,  # for all, so that squared errors compare
        dropout=0.5,
        validation=128,
        measure=False,
        poses=PoseTraining(grid_fraction={"cube": 0.1}.get(group, 0.06)),
        loop=LoopConfig(epochs=epochs, batch=64, lr=2e-3, seed=seed),
    )


def recipes(options: VoxelOrientation) -> dict[str, list[Train]]:
    """The runs behind each row."""
    budgets = {
        "cube": (options.cube_epochs, range(options.cube_seeds)),
        "rotation": (options.rotation_epochs, range(options.rotation_seeds)),
    }
    rows = {}
    for turns, ((ours, plain), seeds) in budgets.items():
        for title, group, count in (("affine VAE", turns, ours), ("plain VAE", "none", plain)):
            tag = "v" if VARIANTS[turns] else "s"
            rows[f"{turns}: {title}"] = [recipe(options, group, turns, f"{tag}{s}", count, s) for s in seeds]
    for turns in options.converged:
        epochs = {"cube": options.converged_cube_epochs, "rotation": options.converged_rotation_epochs}[turns]
        for title, group, count in zip(("affine VAE", "plain VAE"), (turns, "none"), epochs, strict=True):
            long = recipe(options, group, turns, "long", count, variants=CONVERGED_VARIANTS)
            rows[f"{turns}: {title}, converged"] = [long]
    upright = recipe(options, "none", "none", "s0", options.upright_epochs)
    rows["plain VAE, trained and tested upright"] = [upright]
    return rows


def further(options: VoxelOrientation, turns: str, recorded: Rows) -> dict[str, list[Train]]:
    """The runs of affine and plain VAE whose seeds come after those that are recorded; ``RunError`` if none do."""
    every, rows = recipes(options), [f"{turns}: {kind}" for kind in SERIES[:2]]
    found = {row: every[row][recorded[row]["squared_error"]["n"] :] for row in rows}
    if not all(found.values()):
        raise RunError(f"{options.output} holds as many seeds already: raise --{turns}-seeds")
    return found


def iou_lost(metrics: dict[str, Any]) -> float:
    """Mean IoU of upright test shapes minus that of the same shapes in any orientation."""
    robust = metrics["test"]["robustness"]
    return float(robust["upright"]["iou"] - robust["rotation"]["iou"])


def claims(rows: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """The claim's ratios and differences, affine against plain, for each group and control."""
    found = {}
    for turns in ("cube", "rotation"):
        for length in ("", ", converged"):
            ours, plain = (rows.get(f"{turns}: {kind} VAE{length}") for kind in ("affine", "plain"))
            if ours is None or plain is None:
                continue
            key = f"{turns}{length}, against the plain VAE: "
            found[key + "squared error, ratio"] = (
                ours["squared_error"]["mean"] / plain["squared_error"]["mean"]
            )
            for title in ("iou", "kmeans_accuracy", "knn_accuracy"):
                found[key + title + " gained"] = ours[title]["mean"] - plain[title]["mean"]
    return found


def row(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """A row of several seeds' ``metrics.json``."""
    return {**summary(runs), "iou_lost": several([iou_lost(metrics) for metrics in runs])}


def run(options: VoxelOrientation) -> None:
    """Train and measure what is missing; print the table and the claims."""
    before: dict[str, Any] = read_json(options.output) if options.more else {}
    recorded: Rows = before.get("rows", {})
    plans = further(options, options.more, recorded) if options.more else recipes(options)
    every = {name: [measured(p, options.terms) for p in runs] for name, runs in plans.items()}
    rows = {**recorded, **{name: row(runs) for name, runs in every.items()}}
    for name in recorded.keys() & every.keys():
        rows[name] = {key: joined(recorded[name][key], value) for key, value in rows[name].items()}
    facts = {
        "data": short_name(options.data),
        "n": lookup(next(iter(every.values()))[0], "test.n"),
        "seeds": {turns: rows[f"{turns}: {SERIES[0]}"]["squared_error"]["n"] for turns in TURNS},
        "machine": machines(before.get("machine", machine()), machine()),
        "commit": commit(),
    }
    found = claims(rows)
    write(options.output, {**facts, "rows": rows, "claims": found})
    markdown(rows, COLUMNS)
    for claim, value in found.items():
        print(f"{claim}: {value:.3f}")


if __name__ == "__main__":
    command(VoxelOrientation, run)
