"""Claim: a frozen VAE trained on upright images understands turned ones once it may search for the pose.

    python -m benchmarks.robustness --data mnist

The paper's first use. Trains (or re-reads) a plain VAE on upright images, then measures -ELBO on the same test images
turned by 0, 15, ..., 345 degrees: as it is, and with the pose search around it (nothing retrained). The affine VAE
trained on images in unknown orientation stands beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affinevae import AffineVAE
from affinevae.evaluate import robustness
from affinevae.train import Train, train
from benchmarks.affine_vae import short_name
from benchmarks.claims.robustness import COLUMNS
from benchmarks.tools.tables import markdown, write
from training.command import command
from training.datasets import load_images
from training.loop import LoopConfig
from training.measure import commit, machine


@dataclass(frozen=True)
class Robustness:
    """Train upright, test turned.

    Args:
        data: data set.
        model: the affine VAE to compare with.
        epochs: of the upright VAE.
        images: test images at each angle.
        runs: folder of the trained models.
        output: results.
    """

    data: str
    model: str = "affinevae-mnist"
    epochs: int = 12
    images: int = 1000
    runs: Path = Path("runs")
    output: Path = Path("benchmarks/results/robustness_mnist.json")


def run(options: Robustness) -> None:
    """Train what is missing, measure, print the table."""
    trained = AffineVAE.from_pretrained(options.model)
    size = trained.config.size[0]
    output = options.runs / f"{short_name(options.data)}-upright-{trained.config.latent_dim}"
    loop = LoopConfig(epochs=options.epochs)
    train(
        Train(
            options.data,
            output,
            trained.config.latent_dim,
            "none",
            turns="none",
            size=size,
            loop=loop,
            measure=False,
        )
    )
    upright = AffineVAE.from_pretrained(output)
    data = load_images(options.data, seed=0)
    models = {
        "plain VAE, trained upright": upright,
        "the same weights with the pose search around them": AffineVAE.from_vae(upright),
        "affine VAE, trained in unknown orientation": trained,
    }
    curves = {name: robustness(model, data.test, options.images) for name, model in models.items()}
    rows: dict[str, dict[str, Any]] = {name: summary(curve) for name, curve in curves.items()}
    facts = {"n": options.images, "epochs": options.epochs, "data": short_name(options.data)}
    ran = {"machine": machine(), "commit": commit()}
    write(options.output, {**facts, **ran, "rows": rows, "curves": curves})
    markdown(rows, COLUMNS)


def summary(curve: list[dict[str, float]]) -> dict[str, float]:
    """-ELBO at 0 degrees, on average and at the worst angle."""
    nats = [point["nats"] for point in curve]
    return {"upright": nats[0], "mean over angles": sum(nats) / len(nats), "worst angle": max(nats)}


if __name__ == "__main__":
    command(Robustness, run)
