"""Claim: with the pose apart, the latent code can be smaller at equal quality.

    python -m benchmarks.latent_size --data mnist

Trains (or re-reads: finished runs are kept in ``--runs``) affine VAEs and plain VAEs over a range of latent sizes for
as much CPU time each, measures -ELBO on the same turned test images, price of the pose included, and prints how many
latents the plain VAE needs for what the affine VAE reaches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affinevae import AffineVAE
from affinevae.evaluate import TEST_SEED, encode_all, turned
from affinevae.train import Train, train
from benchmarks.affine_vae import affine_recipe, plain_recipe
from benchmarks.claims.latent_size import COLUMNS, NEEDED, titled
from benchmarks.tables import markdown, write
from training.command import command
from training.datasets import ImageSplit, load_images
from training.measure import commit, machine
from training.runs import read_metrics


@dataclass(frozen=True)
class LatentSize:
    """Curve of -ELBO over the number of latents, affine and plain.

    Args:
        data: data set.
        ours: latent sizes of the affine VAE.
        plain: latent sizes of the plain VAE.
        epochs: of the affine VAE.
        plain_epochs: of the plain VAE, which is cheaper by the epoch: chosen for equal CPU time.
        test: test images.
        runs: folder of the trained models.
        output: results; a plot of the same name is put beside them.
    """

    data: str
    ours: tuple[int, ...] = (2, 4, 8, 16, 32)
    plain: tuple[int, ...] = (9, 12, 16, 24)
    epochs: int = 20
    plain_epochs: int = 40
    test: int = 10_000
    runs: Path = Path("runs")
    output: Path = Path("benchmarks/results/latent_size_mnist.json")


def recipes(options: LatentSize) -> list[Train]:
    """Every run of the curve; those that ``benchmarks.affine_vae`` trains as its first seed are the same runs."""
    data, runs = options.data, options.runs
    return [affine_recipe(data, runs, n, "s0", options.epochs) for n in options.ours] + [
        plain_recipe(data, runs, n, "s0", options.plain_epochs) for n in options.plain
    ]


def measure(folder: Path, split: ImageSplit, n: int) -> dict[str, Any]:
    """-ELBO of one model on the turned test images, with its cost of training."""
    model = AffineVAE.from_pretrained(folder)
    images, *_ = turned(split, model.config.size[0], "rotation", TEST_SEED, n)
    code = encode_all(model, images)
    total = code.nll + code.pose_nats
    return {
        "latents": model.config.latent_dim,
        "numbers": model.config.latent_dim + model.group.dim,
        "nats": float(total.mean()),
        "nats_std_error": float(total.std() / len(total) ** 0.5),
        "pose_nats": float(code.pose_nats.mean()),
        "cpu_seconds": read_metrics(folder)["training"]["cpu_seconds"],
        "affine": model.group.dim > 0,
    }


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
        points = sorted((r["numbers"], r["nats"]) for r in rows.values() if r["affine"] == affine)
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
    plans = recipes(options)
    for plan in plans:
        train(plan)
    rows = {plan.output.name: measure(plan.output, data.test, options.test) for plan in plans}
    curve = [(r["latents"], r["nats"]) for r in rows.values() if not r["affine"]]
    needed = {str(r["latents"]): latents_needed(curve, r["nats"]) for r in rows.values() if r["affine"]}
    facts = {"n": options.test, "seeds": 1, "data": data.name, "machine": machine(), "commit": commit()}
    results = {**facts, "rows": rows, "plain_latents_needed": needed}
    write(options.output, results)
    plot(rows, options.output.with_suffix(".png"))
    markdown(titled(results), {**COLUMNS, **NEEDED})


if __name__ == "__main__":
    command(LatentSize, run)
