"""Claim: every part of the affine VAE's training earns its place.

    python -m benchmarks.ablations --data mnist

Trains (or re-reads) the affine VAE as it is and with one part changed at a time, for as many epochs, and measures all
on the same turned test images. Where the whole circle is searched at every visit an epoch takes many times as long, so
that row gets fewer epochs, for about as much CPU time; a plain VAE of as many numbers does without any search.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from affinevae.affine import GROUPS
from affinevae.train import PoseTraining, Train
from benchmarks.affine_vae import affine_recipe, measured, plain_recipe, short_name, summary
from benchmarks.claims.ablations import AS_IT_IS, COLUMNS
from benchmarks.tools.tables import markdown, write
from training.command import command
from training.measure import commit, machine


@dataclass(frozen=True)
class Ablations:
    """The affine VAE's training with one part changed at a time.

    Args:
        data: data set.
        latent_dim: of the affine VAE; the plain one gets as many more as the pose has numbers.
        seeds: runs of each.
        epochs: of all but two rows.
        grid_epochs: of the row that searches the whole circle at every visit, for about as much CPU time.
        plain_epochs: of the plain VAE, for about as much CPU time.
        terms: terms of use of the data, for the model cards.
        runs: folder of the trained models.
        output: results; named after the data if left out.
    """

    data: str
    latent_dim: int = 8
    seeds: int = 1
    epochs: int = 10
    grid_epochs: int = 4
    plain_epochs: int = 20
    terms: str | None = None
    runs: Path = Path("runs")
    output: Path | None = None


@dataclass(frozen=True)
class Variation:
    """One part of the training changed.

    Args:
        tag: in the names of its runs.
        poses: how poses are found.
        rate_weight: of the KL term in the weight step; the training's own if left out.
    """

    tag: str
    poses: PoseTraining = PoseTraining()
    rate_weight: float | None = None


WHOLE_CIRCLE = "the whole circle at every visit"
VARIATIONS = {
    AS_IT_IS: Variation("whole"),
    "no annealing: poses are drawn at temperature 1 from the start": Variation(
        "cold", PoseTraining(temperature=1.0)
    ),
    "no grid: the scorer proposes from the start": Variation("ungridded", PoseTraining(grid_fraction=0.0)),
    "no memory: the pose of an image is forgotten between visits": Variation(
        "forgetful", PoseTraining(remember=False)
    ),
    "three proposals of the scorer a visit instead of one": Variation("modes", PoseTraining(modes=3)),
    WHOLE_CIRCLE: Variation("grid", PoseTraining(grid_fraction=1.0)),
    "the KL term counts in full in the weight step, not 0.4 times": Variation("full", rate_weight=1.0),
}


def recipes(options: Ablations) -> dict[str, list[Train]]:
    """The runs behind each row."""
    data, runs, latents, seeds = options.data, options.runs, options.latent_dim, range(options.seeds)

    def varied(change: Variation, epochs: int, seed: int) -> Train:
        plan = affine_recipe(data, runs, latents, f"{change.tag}{seed}", epochs, seed)
        weight = plan.rate_weight if change.rate_weight is None else change.rate_weight
        return replace(plan, poses=change.poses, rate_weight=weight)

    epochs = dict.fromkeys(VARIATIONS, options.epochs) | {WHOLE_CIRCLE: options.grid_epochs}
    rows = {row: [varied(change, epochs[row], s) for s in seeds] for row, change in VARIATIONS.items()}
    numbers = latents + GROUPS["rotation"].dim
    rows["no search: a plain VAE of as many numbers"] = [
        plain_recipe(data, runs, numbers, f"whole{s}", options.plain_epochs, s) for s in seeds
    ]
    return rows


def run(options: Ablations) -> None:
    """Train and measure what is missing; print the table."""
    every = {
        row: [measured(plan, options.terms) for plan in plans] for row, plans in recipes(options).items()
    }
    rows = {row: summary(metrics) for row, metrics in every.items()}
    facts = {
        "data": short_name(options.data),
        "n": every[AS_IT_IS][0]["test"]["n"],
        "seeds": options.seeds,
        "epochs": [options.epochs, options.grid_epochs, options.plain_epochs],
        "machine": machine(),
        "commit": commit(),
    }
    output = options.output or Path(f"benchmarks/results/ablations_{facts['data']}.json")
    write(output, {**facts, "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(Ablations, run)
