"""Claim: the plain VAE that the affine one is compared with is no straw man.

    python -m benchmarks.outside_vae --data mnist

Trains the VAE of an independent library, pythae (Chadebec et al. 2022, arXiv:2206.08309), with as many latents, on the
same freshly turned images, for as much CPU time, and measures both libraries' bound on the same turned test images.
The network and its loss are pythae's own; the loop around them is ours.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from affinevae import AffineVAE
from affinevae.data import load
from affinevae.evaluate import TEST_SEED, turned
from affinevae.train import frame_size
from affinevae.turned import TurnedImages
from benchmarks.affine_vae import plain_recipe, short_name
from benchmarks.claims.outside_vae import COLUMNS, OURS, OUTSIDE
from benchmarks.tools.tables import Rows, markdown, several, write
from training.command import command
from training.loop import RunError
from training.measure import commit, machine, parameters
from training.runs import read_metrics

EVALUATED = 500  # images at once


@dataclass(frozen=True)
class OutsideVAE:
    """pythae's VAE beside our plain one: the same latents, images and CPU time.

    Args:
        data: data set.
        latent_dim: of both.
        seeds: runs of pythae's.
        cpu_seconds: of training; those of our plain VAE's first seed if left out.
        batch: images a step.
        lr: highest learning rate of Adam; it falls to zero on a cosine.
        runs: folder of our trained models.
        output: results; named after the data if left out.
    """

    data: str
    latent_dim: int = 9
    seeds: int = 1
    cpu_seconds: float | None = None
    batch: int = 128
    lr: float = 1e-3
    runs: Path = Path("runs")
    output: Path | None = None


def outside_vae(size: int, channels: int, latent_dim: int) -> nn.Module:
    """pythae's VAE as it comes: Bernoulli likelihood, its default encoder and decoder.

    Raises:
        RunError: pythae is not installed.
    """
    try:
        from pythae.models import VAE, VAEConfig
    except ImportError:
        raise RunError("this comparison needs pythae: pip install pythae") from None
    shape = (channels, size, size)
    model: nn.Module = VAE(VAEConfig(input_dim=shape, latent_dim=latent_dim, reconstruction_loss="bce"))
    return model


def fit_for(model: nn.Module, images: TurnedImages, options: OutsideVAE, seconds: float, seed: int) -> float:
    """Train for so many CPU seconds; returns those that it took."""
    torch.manual_seed(seed)
    adam = torch.optim.Adam(model.parameters(), options.lr)
    began = time.process_time()
    model.train()
    while (spent := time.process_time() - began) < seconds:
        for group in adam.param_groups:
            group["lr"] = options.lr * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * spent / seconds)).item())
        batch = images(torch.randint(len(images), (options.batch,)))
        adam.zero_grad()
        model({"data": batch}).loss.backward()
        adam.step()
    return spent


@torch.no_grad()
def negative_elbo(model: nn.Module, images: Tensor, seed: int = 0) -> float:
    """Mean over images, in nats, z sampled once an image, as pythae's own loss has it."""
    torch.manual_seed(seed)
    model.eval()
    losses = [float(model({"data": part}).loss) * len(part) for part in images.split(EVALUATED)]
    return sum(losses) / len(images)


def run(options: OutsideVAE) -> None:
    """Train, measure, print and keep."""
    folder = plain_recipe(options.data, options.runs, options.latent_dim, "s0", 1).output
    metrics = read_metrics(folder)
    if "test" not in metrics:
        raise RunError(
            f"{folder} is not there: python -m benchmarks.affine_vae --data {options.data} trains it"
        )
    seconds = options.cpu_seconds or metrics["training"]["cpu_seconds"]
    data = load(options.data)
    size = frame_size(data.train.images, "rotation")
    test, _, _ = turned(data.test, size, "rotation", TEST_SEED, len(data.test))
    nats, spent, numbers = [], [], 0
    for seed in range(options.seeds):
        images = TurnedImages(data.train.images, size, "rotation", seed, anew=True)
        torch.manual_seed(seed)
        model = outside_vae(size, data.train.images.shape[1], options.latent_dim)
        spent.append(fit_for(model, images, options, seconds, seed))
        nats.append(negative_elbo(model, test))
        numbers = parameters(model)
    rows: Rows = {
        OURS: {
            "nats": several([metrics["test"]["nats"]]),
            "parameters": parameters(AffineVAE.from_pretrained(folder)),
            "cpu_seconds": metrics["training"]["cpu_seconds"],
        },
        OUTSIDE: {"nats": several(nats), "parameters": numbers, "cpu_seconds": statistics.fmean(spent)},
    }
    facts = {"data": short_name(options.data), "latents": options.latent_dim, "n": len(test)}
    output = options.output or Path(f"benchmarks/results/outside_vae_{facts['data']}.json")
    write(output, {**facts, "machine": machine(), "commit": commit(), "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(OutsideVAE, run)
