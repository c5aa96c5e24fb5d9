"""Claim: the pose search is an order of magnitude cheaper than random restarts with gradient descent, and finds more.

    python -m benchmarks.pose_search --data mnist
    python -m benchmarks.pose_search --data modelnet10.npz --model affinevae-modelnet10 --images 32

Every row searches the poses of the same turned test images, or shapes, with the same trained model. The alternatives
are the thesis' procedure done right (32 random starts, the best 8 *of each image*, 20 Adam steps, gradients to the pose
only) and the pose from second moments, which searches nothing; moments are also measured as free proposals of the
search, in place of some of the scorer's, so that as many poses are evaluated.
Loss is -ELBO at the posterior mean, before the pose's price; time is processor time on one thread in batches of 256
images or 32 shapes, rows interleaved, median over rounds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affinevae import AffineVAE
from affinevae.data import load
from affinevae.evaluate import TEST_SEED, turned
from affinevae.groups import get_group
from affinevae.metrics import angle_summary, rotation_angle
from affinevae.model import MODES
from affinevae.moments import candidates
from affinevae.search import search
from benchmarks.affine_vae import short_name
from benchmarks.claims.pose_search import COLUMNS, GRIDS, MOMENTS, OURS, STARTS
from benchmarks.tools.tables import Rows, markdown, write
from training.command import command
from training.measure import commit, compare, machine

BATCH = {2: 256, 3: 32}
SLOW = "32 random starts, best 8, 20 Adam steps"

# images (B, C, S, S) -> poses (B, P)
Finder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PoseSearch:
    """Time and judge the pose searches.

    Args:
        data: data set with the test images.
        model: the affine VAE to search with.
        images: test images for the loss and the pose error; a multiple of the batch.
        rounds: interleaved timing rounds.
        output: file for the results; named after the data if left out.
    """

    data: str
    model: str = "affinevae-mnist"
    images: int = 256
    rounds: int = 2
    output: Path | None = None


def mean_loss(model: AffineVAE, image: Tensor, pose: Tensor) -> Tensor:
    """-ELBO at the posterior mean, ``(B,)`` nats, differentiable in the pose."""
    distortion, rate = model.losses(image, pose, torch.zeros(len(image), model.config.latent_dim))
    return distortion + rate


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
    random = model.group.sample(batch * starts, generator).view(batch, starts, -1)
    with torch.no_grad():
        losses = torch.stack([mean_loss(model, image, pose) for pose in random.unbind(1)], 1)
    chosen = losses.topk(best, 1, largest=False).indices[..., None].expand(-1, -1, model.group.dim)
    pose = random.gather(1, chosen).flatten(0, 1).requires_grad_()
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
    winner = lowest.view(batch, best).argmin(1)
    return found.view(batch, best, -1)[torch.arange(batch), winner]


@torch.no_grad()
def grid(model: AffineVAE, image: Tensor, every: int, rounds: tuple[int, ...] = ()) -> Tensor:
    """Every n-th rotation of an even covering, with or without parabola refinement."""
    assert model.group.rotations is not None
    cells = model.group.rotations.covering[::every].expand(len(image), -1, -1)
    table = search(lambda i, c: model.pair_loss(image, i, c), model.group, model.turned(image, cells), rounds)
    return model.refined_pose(table) if rounds else model.group.from_cells(table.best())


@torch.no_grad()
def ours(model: AffineVAE, image: Tensor, effort: str) -> Tensor:
    """The model's own search."""
    return model.refined_pose(model.search(image, effort), effort)  # type: ignore[arg-type]


@torch.no_grad()
def principal(model: AffineVAE, image: Tensor, proposed: int = 0, refined: bool = False) -> Tensor:
    """The best of the principal axes' candidates and of ``proposed`` proposals of the scorer."""
    cells = model.turned(image, candidates(image, model.group))
    if proposed:
        cells = torch.cat([cells, model.turned(image, model.scored_rotations(image, proposed))], 1)
    rounds, starts = ((2, 1), min(2, cells.shape[1])) if refined else ((), 1)
    table = search(lambda i, c: model.pair_loss(image, i, c), model.group, cells, rounds, starts)
    return model.refined_pose(table) if refined else model.group.from_cells(table.best())


def finders(model: AffineVAE) -> dict[str, partial[Tensor]]:
    """Every search of the table; the first row is the alternative that the claim is about."""
    rows: dict[str, partial[Tensor]] = {
        SLOW: partial(restarts, model),
        "30 random starts, best 1, 20 Adam steps (2019)": partial(
            restarts, model, starts=30, best=1, lr=0.01
        ),
    }
    if model.config.dims == 2:
        rows["grid of 16"] = partial(grid, model, every=4)
        rows["grid of 16 + parabola"] = partial(grid, model, every=4, rounds=(2, 1))
        rows["grid of 64"] = partial(grid, model, every=1)
    rows["principal axes"] = partial(principal, model)
    rows["principal axes + parabola"] = partial(principal, model, refined=True)
    axes = 2 if model.config.dims == 2 else 4
    if axes < MODES:
        name = f"{axes} principal axes and {MODES - axes} of the scorer's, + parabola"
        rows[name] = partial(principal, model, proposed=MODES - axes, refined=True)
    rows[f"{axes} principal axes and {MODES} of the scorer's, + parabola"] = partial(
        principal, model, proposed=MODES, refined=True
    )
    rows["ours, fast"] = partial(ours, model, effort="fast")
    rows["ours, best"] = partial(ours, model, effort="best")
    return rows


def judge(model: AffineVAE, find: Finder, first: Tensor, second: Tensor, turn: Tensor) -> dict[str, float]:
    """Loss of the found poses, and how well their rotations follow a known extra one ``turn`` (B, d, d)."""
    batch = BATCH[model.config.dims]
    poses = [torch.cat([find(x) for x in images.split(batch)]) for images in (first, second)]
    pairs = zip(first.split(batch), poses[0].split(batch), strict=True)
    with torch.no_grad():
        loss = torch.cat([mean_loss(model, x, p) for x, p in pairs])
    before, after = (model.pose_matrix(p)[..., :-1] for p in poses)
    follow = angle_summary(rotation_angle(turn.transpose(1, 2) @ after @ before.transpose(1, 2)))
    return {"nats": float(loss.mean()), "nats_std_error": float(loss.std() / len(loss) ** 0.5), **follow}


def evaluated(model: AffineVAE, find: Finder, image: Tensor) -> float:
    """How many poses an image costs: every evaluation encodes once."""
    counts: list[int] = []
    hook = model.encoder.register_forward_hook(lambda _, given, __: counts.append(len(given[0])))
    find(image)
    hook.remove()
    return sum(counts) / len(image)


def run(options: PoseSearch) -> None:
    """Measure every search and print the table."""
    model = AffineVAE.from_pretrained(options.model)
    size, dims = model.config.size[0], model.config.dims
    data = load(options.data, model.config.channels, size, model.config.learned)
    first, pose, _ = turned(data.test, size, "rotation", TEST_SEED, options.images)
    second, other, _ = turned(data.test, size, "rotation", TEST_SEED + 9, options.images)
    group = get_group("rotation", dims)
    turn = group.matrix(other)[..., :-1] @ group.matrix(pose)[..., :-1].transpose(1, 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    searches = finders(model)
    kinds: dict[Any, str] = {ours: OURS, restarts: STARTS, grid: GRIDS, principal: MOMENTS}
    results: Rows = {
        name: {"search": kinds[find.func], **judge(model, find, first, second, turn)}
        for name, find in searches.items()
    }
    batch = first[: BATCH[dims]]
    times = compare(
        {name: partial(f, batch) for name, f in searches.items()}, rounds=options.rounds, repeats=1, warmup=1
    )
    torch.set_num_threads(threads)
    for name, row in results.items():
        row["poses"] = evaluated(model, searches[name], batch)
        row["cpu_ms"] = times[name].cpu_median_ms / len(batch)
        row["times_faster"] = times[SLOW].cpu_median_ms / times[name].cpu_median_ms
    facts = {"n": len(first), "rounds": options.rounds, "batch": len(batch), "threads": 1, "data": data.name}
    output = options.output or Path(f"benchmarks/results/pose_search_{short_name(options.data)}.json")
    write(
        output, {**facts, "model": options.model, "machine": machine(), "commit": commit(), "rows": results}
    )
    markdown(results, COLUMNS)
    print(json.dumps(facts))


if __name__ == "__main__":
    command(PoseSearch, run)
