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
from benchmarks.claims.voxel_orientation import COLUMNS, KINDS, TURNS, Entry
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


def recipes(options: VoxelOrientation) -> dict[Entry, list[Train]]:
    """The runs behind each row."""
    budgets = {
        "cube": (options.cube_epochs, range(options.cube_seeds)),
        "rotation": (options.rotation_epochs, range(options.rotation_seeds)),
    }
    rows = {}
    for turns, ((ours, plain), seeds) in budgets.items():
        for kind, group, count in zip(KINDS, (turns, "none"), (ours, plain), strict=True):
            tag = "v" if VARIANTS[turns] else "s"
            rows[Entry(kind, turns)] = [recipe(options, group, turns, f"{tag}{s}", count, s) for s in seeds]
    for turns in options.converged:
        epochs = {"cube": options.converged_cube_epochs, "rotation": options.converged_rotation_epochs}[turns]
        for kind, group, count in zip(KINDS, (turns, "none"), epochs, strict=True):
            long = recipe(options, group, turns, "long", count, variants=CONVERGED_VARIANTS)
            rows[Entry(kind, turns, True)] = [long]
    upright = recipe(options, "none", "none", "s0", options.upright_epochs)
    rows[Entry(KINDS[1], None)] = [upright]
    return rows


def further(options: VoxelOrientation, turns: str, recorded: Rows) -> dict[Entry, list[Train]]:
    """The runs of affine and plain VAE whose seeds come after those that are recorded; ``RunError`` if none do."""
    every, pair = recipes(options), [Entry(kind, turns) for kind in KINDS]
    found = {one: every[one][recorded[one.title]["squared_error"]["n"] :] for one in pair}
    if not all(found.values()):
        raise RunError(f"{options.output} holds as many seeds already: raise --{turns}-seeds")
    return found


def iou_lost(metrics: dict[str, Any]) -> float:
    """Mean IoU of upright test shapes minus that of the same shapes in any orientation."""
    robust = metrics["test"]["robustness"]
    return float(robust["upright"]["iou"] - robust["rotation"]["iou"])


def claims(rows: Rows) -> dict[str, float]:
    """The claim's ratios and differences, affine against plain, for each group and control."""
    found = {}
    for turns in ("cube", "rotation"):
        for converged in (False, True):
            ours, plain = (rows.get(Entry(kind, turns, converged).title) for kind in KINDS)
            if ours is None or plain is None:
                continue
            key = f"{turns}{', converged' * converged}, against the plain VAE: "
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
    every = {one: [measured(p, options.terms) for p in runs] for one, runs in plans.items()}
    rows = dict(recorded)
    for one, runs in every.items():
        found, earlier = row(runs), recorded.get(one.title)
        if earlier:
            found = {key: joined(earlier[key], value) for key, value in found.items()}
        rows[one.title] = {**one._asdict(), **found}
    facts = {
        "data": short_name(options.data),
        "n": lookup(next(iter(every.values()))[0], "test.n"),
        "seeds": {turns: rows[Entry(KINDS[0], turns).title]["squared_error"]["n"] for turns in TURNS},
        "machine": machines(before.get("machine", machine()), machine()),
        "commit": commit(),
    }
    told = claims(rows)
    write(options.output, {**facts, "rows": rows, "claims": told})
    markdown(rows, COLUMNS)
    for claim, value in told.items():
        print(f"{claim}: {value:.3f}")


if __name__ == "__main__":
    command(VoxelOrientation, run)
