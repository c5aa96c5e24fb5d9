"""Claim: with the pose apart, the latent code can be smaller at equal quality.

    python -m benchmarks.latent_size --data mnist

Trains (or re-reads: finished runs are kept in ``--runs``) affine VAEs and plain VAEs over a range of latent sizes for
as much CPU time each, measures -ELBO on the same turned test images, price of the pose included, and prints how many
latents the plain VAE needs for what the affine VAE reaches. Gains over the best plain VAE come with an interval: a
paired bootstrap over test images, each image's loss the mean over its model's seeds. ``--more 33`` adds sizes of the
plain VAE to results whose runs are gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affinevae import AffineVAE
from affinevae.evaluate import TEST_SEED, encode_all, turned
from affinevae.train import Train, train
from benchmarks.affine_vae import affine_recipe, plain_recipe, short_name
from benchmarks.claims.latent_size import COLUMNS, NEEDED, titled
from benchmarks.tools.tables import Rows, machines, markdown, several, write
from training.command import command
from training.datasets import ImageSplit, load_images
from training.loop import RunError
from training.measure import commit, machine
from training.runs import read_metrics
from weights.checkpoint import METRICS, read_json


@dataclass(frozen=True)
class LatentSize:
    """Curve of -ELBO over the number of latents, affine and plain.

    Args:
        data: data set.
        ours: latent sizes of the affine VAE.
        plain: latent sizes of the plain VAE.
        epochs: of the affine VAE.
        plain_epochs: of the plain VAE, which is cheaper by the epoch: chosen for equal CPU time.
        seeds: runs of each.
        more: only train these sizes of the plain VAE, and put them beside what the results hold.
        train: those that are missing; without, they are left out.
        test: test images.
        runs: folder of the trained models.
        output: results; a plot of the same name is put beside them.
    """

    data: str
    ours: tuple[int, ...] = (2, 4, 8, 16, 32)
    plain: tuple[int, ...] = (3, 5, 9, 12, 16, 24)
    epochs: int = 20
    plain_epochs: int = 40
    seeds: int = 1
    more: tuple[int, ...] = ()
    train: bool = True
    test: int = 10_000
    runs: Path = Path("runs")
    output: Path = Path("benchmarks/results/latent_size_mnist.json")


def recipes(options: LatentSize) -> dict[str, list[Train]]:
    """The runs behind each size; those that ``benchmarks.affine_vae`` trains are the same runs."""
    data, runs = options.data, options.runs
    rows: dict[str, list[Train]] = {}
    for recipe, sizes, epochs in (
        (affine_recipe, options.ours, options.epochs),
        (plain_recipe, options.plain, options.plain_epochs),
    ):
        for size in sizes:
            plans = [recipe(data, runs, size, f"s{s}", epochs, s) for s in range(options.seeds)]
            rows[plans[0].output.name.removesuffix("-s0")] = plans
    return rows


def beside(recorded: Rows, more: Rows) -> Rows:
    """Recorded rows and further ones of the plain VAE, by size.

    Raises:
        RunError: the best plain VAE, which the affine ones are compared with image by image, is another one now.
    """
    rows = {**recorded, **more}
    if (best := best_plain(rows)) in more or best != best_plain(recorded):
        raise RunError(f"{best} is the best plain VAE now: the gains over it need all runs, without --more")
    return dict(sorted(rows.items(), key=lambda i: (not i[1]["affine"], i[1]["latents"])))


def best_plain(rows: Rows) -> str:
    """The plain VAE of the fewest nats."""
    return min((n for n, row in rows.items() if not row["affine"]), key=lambda n: rows[n]["nats"]["mean"])


def available(plans: list[Train], may_train: bool) -> list[Path]:
    """Folders of trained models, trained now if they may be."""
    if may_train:
        for plan in plans:
            train(plan)
    return [plan.output for plan in plans if (plan.output / METRICS).exists()]


def measure(folders: list[Path], split: ImageSplit, n: int) -> tuple[dict[str, Any], Tensor]:
    """A row of one size, and -ELBO of each turned test image ``(N,)``, mean over seeds."""
    totals, poses, seconds = [], [], []
    for folder in folders:
        model = AffineVAE.from_pretrained(folder)
        images, *_ = turned(split, model.config.size[0], "rotation", TEST_SEED, n)
        code = encode_all(model, images)
        totals.append(code.nll + code.pose_nats)
        poses.append(float(code.pose_nats.mean()))
        seconds.append(read_metrics(folder)["training"]["cpu_seconds"])
    each = torch.stack(totals).mean(0)
    row = {
        "latents": model.config.latent_dim,
        "numbers": model.config.latent_dim + model.group.dim,
        "nats": several([float(total.mean()) for total in totals]),
        "nats_std_error": float(each.std() / len(each) ** 0.5),
        "pose_nats": several(poses),
        "cpu_seconds": several(seconds),
        "affine": model.group.dim > 0,
    }
    return row, each


def paired_bootstrap(difference: Tensor, samples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of a difference ``(N,)`` between two models on the same images."""
    generator = torch.Generator().manual_seed(seed)
    means = [
        difference[torch.randint(len(difference), (len(difference),), generator=generator)].mean()
        for _ in range(samples)
    ]
    low, high = torch.stack(means).quantile(torch.tensor([0.025, 0.975], dtype=difference.dtype)).tolist()
    return low, high


def latents_needed(curve: list[tuple[int, float]], nats: float) -> float | None:
    """Latents at which a falling curve reaches ``nats``, log-linear between points; None outside it."""
    points = sorted(curve)
    for (n0, f0), (n1, f1) in zip(points, points[1:], strict=False):
        if f1 <= nats <= f0:
            part = (f0 - nats) / (f0 - f1)
            return math.exp(math.log(n0) + part * (math.log(n1) - math.log(n0)))
    return None


def plot(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """The two curves as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    for affine, label, colour, mark in (
        (True, "affine VAE", "#0072B2", "o"),
        (False, "plain VAE", "#D55E00", "s"),
    ):
        points = sorted((r["numbers"], r["nats"]["mean"]) for r in rows.values() if r["affine"] == affine)
        axes.plot(*zip(*points, strict=True), marker=mark, color=colour, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("numbers in the code (latents + pose)")
    axes.set_ylabel("-ELBO, nats an image")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def run(options: LatentSize) -> None:
    """Train what is missing, measure everything, print table and ratios."""
    data = load_images(options.data, seed=0)
    wanted = replace(options, ours=(), plain=options.more) if options.more else options
    rows: Rows = {}
    losses: dict[str, Tensor] = {}
    for name, plans in recipes(wanted).items():
        if folders := available(plans, options.train):
            rows[name], losses[name] = measure(folders, data.test, options.test)
    recorded: dict[str, Any] = read_json(options.output) if options.more else {}
    if recorded:
        rows = beside(recorded["rows"], rows)
    best = best_plain(rows)
    for name, row in rows.items():
        if row["affine"] and name in losses:
            gain = losses[best] - losses[name]
            row["gain"], row["gain_interval"] = float(gain.mean()), paired_bootstrap(gain)
    curve = [(r["latents"], r["nats"]["mean"]) for r in rows.values() if not r["affine"]]
    needed = {
        str(r["latents"]): latents_needed(curve, r["nats"]["mean"]) for r in rows.values() if r["affine"]
    }
    seeds = max(row["nats"]["n"] for row in rows.values())
    facts = {"n": options.test, "seeds": seeds, "data": short_name(options.data), "best_plain": best}
    ran = {"machine": machines(recorded.get("machine", machine()), machine()), "commit": commit()}
    results = {**facts, **ran, "rows": rows, "plain_latents_needed": needed}
    write(options.output, results)
    plot(rows, options.output.with_suffix(".png"))
    markdown(titled(results), {**COLUMNS, **NEEDED})


if __name__ == "__main__":
    command(LatentSize, run)
