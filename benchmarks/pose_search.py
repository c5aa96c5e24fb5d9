"""Claim: the pose search is an order of magnitude cheaper than random restarts with gradient descent, and finds more.

    python -m benchmarks.pose_search --data mnist

Every row searches the poses of the same turned test images with the same trained model. The alternative is the
thesis' procedure done right: 32 random starts, the best 8 *of each image*, 20 Adam steps, gradients to the pose only.
Loss is -ELBO at the posterior mean, before the pose's price; time is processor time on one thread in batches of 256,
rows interleaved, median over rounds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from affinevae import AffineVAE
from affinevae.affine import ANGLES
from affinevae.evaluate import TEST_SEED, turned
from affinevae.metrics import angle_summary, wrap
from affinevae.model import bernoulli_nll, gaussian_kl
from affinevae.search import search
from benchmarks.tables import markdown, write
from training.command import command
from training.datasets import load_images
from training.measure import commit, compare, machine

BATCH = 256
COLUMNS = {
    "nats": "{:.2f}",
    "within_15": "{:.1%}",
    "median_degrees": "{:.2f}",
    "cpu_ms": "{:.2f}",
    "times_faster": "{:.1f}x",
}

# images (B, C, S, S) -> poses (B, P)
Finder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PoseSearch:
    """Time and judge the pose searches.

    Args:
        data: data set with the test images.
        model: the affine VAE to search with.
        images: test images for the loss and the pose error; a multiple of 256.
        rounds: interleaved timing rounds.
        output: file for the results.
    """

    data: str
    model: str = "affinevae-mnist"
    images: int = 512
    rounds: int = 3
    output: Path = Path("benchmarks/results/pose_search_mnist.json")


def mean_loss(model: AffineVAE, image: Tensor, pose: Tensor) -> Tensor:
    """-ELBO at the posterior mean, ``(B,)`` nats, differentiable in the pose."""
    mean, log_var = model.posterior(image, pose)
    return bernoulli_nll(model.logits(mean, pose), image) + gaussian_kl(mean, log_var)


@torch.inference_mode(False)  # whoever times it may have switched gradients off
def restarts(
    model: AffineVAE,
    image: Tensor,
    starts: int = 32,
    best: int = 8,
    steps: int = 20,
    lr: float = 0.03,
    seed: int = 0,
) -> Tensor:
    """The thesis' search as intended: random starts, the best of each image refined by Adam, the best kept."""
    batch = len(image)
    generator = torch.Generator().manual_seed(seed)
    angles = torch.rand(batch, starts, generator=generator) * 2 * math.pi
    with torch.no_grad():
        losses = torch.stack([mean_loss(model, image, a[:, None]) for a in angles.unbind(1)], 1)
    pose = angles.gather(1, losses.topk(best, 1, largest=False).indices).flatten()[:, None].requires_grad_()
    repeated = image.repeat_interleave(best, 0)
    optimizer = torch.optim.Adam([pose], lr=lr)
    lowest, found = torch.full((batch * best,), torch.inf), pose.detach().clone()
    for step in range(steps + 1):
        loss = mean_loss(model, repeated, pose)
        better = loss.detach() < lowest
        lowest = torch.where(better, loss.detach(), lowest)
        found[better] = pose.detach()[better]
        if step < steps:
            (pose.grad,) = torch.autograd.grad(loss.sum(), pose)
            optimizer.step()
    winner = lowest.view(batch, best).argmin(1, keepdim=True)
    return found.view(batch, best).gather(1, winner)


@torch.no_grad()
def grid(model: AffineVAE, image: Tensor, count: int, rounds: tuple[int, ...] = ()) -> Tensor:
    """An even grid of angles, with or without parabola refinement."""
    angles = torch.arange(0, ANGLES, ANGLES // count).expand(len(image), -1)
    table = search(
        lambda i, c: model.pair_loss(image, i, c), model.group, model.at_angles(image, angles), rounds
    )
    return model.refined_pose(table) if rounds else model.group.from_cells(table.best())


@torch.no_grad()
def ours(model: AffineVAE, image: Tensor, effort: str) -> Tensor:
    """The model's own search."""
    return model.refined_pose(model.search(image, effort), effort)  # type: ignore[arg-type]


def finders(model: AffineVAE) -> dict[str, Finder]:
    """Every search of the table; the first row is the alternative that the claim is about."""
    rows: dict[str, Finder] = {
        "32 random starts, best 8, 20 Adam steps": partial(restarts, model),
        "30 random starts, best 1, 20 Adam steps (2019)": partial(
            restarts, model, starts=30, best=1, lr=0.01
        ),
        "grid of 16": partial(grid, model, count=16),
        "grid of 16 + parabola": partial(grid, model, count=16, rounds=(2, 1)),
        "grid of 64": partial(grid, model, count=64),
        "ours, fast": partial(ours, model, effort="fast"),
        "ours, best": partial(ours, model, effort="best"),
    }
    return rows


def judge(model: AffineVAE, find: Finder, first: Tensor, second: Tensor, turn: Tensor) -> dict[str, float]:
    """Loss of the found poses, and how well they follow a known extra turn."""
    poses = [torch.cat([find(x) for x in images.split(BATCH)]) for images in (first, second)]
    with torch.no_grad():
        loss = torch.cat(
            [mean_loss(model, x, p) for x, p in zip(first.split(BATCH), poses[0].split(BATCH), strict=True)]
        )
    follow = angle_summary(wrap(poses[1] - poses[0])[:, 0] - turn)
    return {"nats": float(loss.mean()), "nats_std_error": float(loss.std() / len(loss) ** 0.5), **follow}


def run(options: PoseSearch) -> None:
    """Measure every search and print the table."""
    model = AffineVAE.from_pretrained(options.model)
    data = load_images(options.data, channels=model.config.channels, seed=0)
    size = model.config.size[0]
    first, pose, _ = turned(data.test, size, "rotation", TEST_SEED, options.images)
    second, other, _ = turned(data.test, size, "rotation", TEST_SEED + 9, options.images)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    searches = finders(model)
    results = {name: judge(model, f, first, second, (other - pose)[:, 0]) for name, f in searches.items()}
    batch = first[:BATCH]
    times = compare(
        {name: partial(f, batch) for name, f in searches.items()}, rounds=options.rounds, repeats=1, warmup=1
    )
    torch.set_num_threads(threads)
    slow = times["32 random starts, best 8, 20 Adam steps"].cpu_median_ms
    for name, row in results.items():
        row["cpu_ms"] = times[name].cpu_median_ms / BATCH
        row["times_faster"] = slow / times[name].cpu_median_ms
    facts = {"n": len(first), "rounds": options.rounds, "batch": BATCH, "threads": 1, "data": data.name}
    write(
        options.output,
        {**facts, "model": options.model, "machine": machine(), "commit": commit(), "rows": results},
    )
    markdown(results, COLUMNS)
    print(json.dumps(facts))


if __name__ == "__main__":
    command(PoseSearch, run)
