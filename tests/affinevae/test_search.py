"""The search evaluates each pair once, never loses what it found, and prices the pose honestly."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from affinevae.affine import GROUPS
from affinevae.pose import ANGLES, Circle
from affinevae.search import Table, local_maxima, parabola, search


class Bowl:
    """A smooth loss with a known minimum for each image, which counts its evaluations."""

    def __init__(self, group: str, minimum: Tensor) -> None:
        self.group, self.minimum = GROUPS[group], minimum
        self.pairs: Counter[tuple[int, ...]] = Counter()

    def __call__(self, index: Tensor, cells: Tensor) -> Tensor:
        self.pairs.update((int(i), *map(int, c)) for i, c in zip(index, cells, strict=True))
        pose, minimum = self.group.from_cells(cells), self.minimum[index]
        turn = 40 * (1 - (pose[:, 0] - minimum[:, 0]).cos())
        return turn + 2000 * (pose[:, 1:] - minimum[:, 1:]).square().sum(1) + 7


def angle_grid(batch: int, count: int, dim: int) -> Tensor:
    cells = torch.zeros(batch, count, dim, dtype=torch.long)
    cells[..., 0] = torch.arange(0, ANGLES, ANGLES // count)
    return cells


@pytest.mark.parametrize("group", ["rotation", "rigid", "affine"])
@pytest.mark.parametrize("starts", [1, 3])
def test_every_pair_is_evaluated_exactly_once(group: str, starts: int) -> None:
    minimum = GROUPS[group].sample(8, torch.Generator().manual_seed(0))
    bowl = Bowl(group, minimum)
    proposals = angle_grid(8, 16, GROUPS[group].dim)
    table = search(bowl, bowl.group, torch.cat([proposals, proposals[:, :5]], 1), (2, 1), starts)
    assert set(bowl.pairs.values()) == {1}
    assert len(bowl.pairs) == int(table.cost.isfinite().sum())
    for image in range(8):  # all proposals of all images, whatever batch size and count have in common
        seen = {pair[1:] for pair in bowl.pairs if pair[0] == image}
        assert {tuple(c.tolist()) for c in proposals[image]} <= seen


@pytest.mark.parametrize("group", ["rotation", "rigid", "similarity", "affine"])
def test_search_finds_the_minimum(group: str) -> None:
    minimum = GROUPS[group].sample(32, torch.Generator().manual_seed(1)) * 0.7
    bowl = Bowl(group, minimum)
    table = search(bowl, bowl.group, angle_grid(32, 16, bowl.group.dim), (2, 1, 1), 1)
    steps = [2 * math.pi / ANGLES] + [p.step for p in bowl.group.gaussians]
    error = (bowl.group.from_cells(table.best()) - minimum).abs() / torch.tensor(steps)
    assert (error <= 1.01).float().mean() > 0.95


def test_refinement_is_never_worse_than_the_proposals() -> None:
    generator = torch.Generator().manual_seed(2)
    rough = torch.rand(16, ANGLES, generator=generator) * 10  # no structure at all

    def loss(index: Tensor, cells: Tensor) -> Tensor:
        return rough[index, cells[:, 0]]

    proposals = angle_grid(16, 8, 1)
    before = search(loss, GROUPS["rotation"], proposals)
    after = search(loss, GROUPS["rotation"], proposals, (2, 1), 2)
    assert (after.cost.amin(1) <= before.cost.amin(1)).all()
    everything = search(loss, GROUPS["rotation"], angle_grid(16, ANGLES, 1))
    torch.testing.assert_close(everything.cost.amin(1), rough.amin(1) + math.log(ANGLES))


def free_energy(table: Table) -> Tensor:
    return -torch.logsumexp(-table.cost, 1)


def test_the_price_is_bounded_and_falls_with_more_poses() -> None:
    bowl = Bowl("rotation", GROUPS["rotation"].sample(8, torch.Generator().manual_seed(0)))
    some = search(bowl, bowl.group, angle_grid(8, 16, 1), (2, 1))
    every = search(bowl, bowl.group, angle_grid(8, ANGLES, 1))
    best = every.cost.amin(1) - math.log(ANGLES)
    assert (free_energy(every) <= free_energy(some) + 1e-5).all()
    assert (free_energy(some) - best <= math.log(ANGLES) + 1e-5).all()
    # All poses evaluated: the exact marginal -log 1/K sum exp(-loss).
    index = torch.arange(8).repeat_interleave(ANGLES)
    losses = bowl(index, torch.arange(ANGLES).repeat(8)[:, None]).view(8, ANGLES)
    torch.testing.assert_close(free_energy(every), math.log(ANGLES) - (-losses).logsumexp(1))


def test_equal_poses_share_the_price() -> None:
    """Four-fold symmetry saves log 4: the posterior keeps every right pose."""

    def loss(index: Tensor, cells: Tensor) -> Tensor:
        return torch.where(cells[:, 0] % (ANGLES // 4) == 0, 0.0, 100.0)

    table = search(loss, GROUPS["rotation"], angle_grid(1, ANGLES, 1))
    assert free_energy(table).item() == pytest.approx(math.log(ANGLES / 4), abs=1e-4)
    q = table.log_posterior().exp()
    assert q.topk(4).values.sum() == pytest.approx(1, abs=1e-4)


def test_an_exploding_pair_loses_quietly() -> None:
    def loss(index: Tensor, cells: Tensor) -> Tensor:
        return torch.where(cells[:, 0] == 4, torch.nan, cells[:, 0].float())

    table = search(loss, GROUPS["rotation"], angle_grid(2, 16, 1), (2, 1))
    assert (table.best()[:, 0] == 0).all()
    assert table.log_posterior().exp().sum(1).tolist() == pytest.approx([1, 1])


def test_parabola_is_exact_on_parabolas_and_safe_elsewhere() -> None:
    vertex = torch.tensor([-0.7, 0.0, 0.4])
    f = [(x - vertex) ** 2 * 3 + 1 for x in (-1.0, 0.0, 1.0)]
    torch.testing.assert_close(parabola(*f), vertex)
    flat, inf = torch.zeros(1), torch.full((1,), torch.inf)
    assert parabola(flat, flat, flat).item() == 0
    assert parabola(torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([0.0])).item() == 1
    assert parabola(inf, flat, inf).isfinite().all()


def test_modes_are_separate_maxima() -> None:
    angle = torch.arange(ANGLES) * (2 * math.pi / ANGLES)
    scores = (2 * angle).cos()[None] + 0.1 * angle.cos()
    near = Circle().neighbourhood
    assert local_maxima(scores, near, 2).tolist() == [[0, ANGLES // 2]]
    assert len(set(local_maxima(torch.zeros(1, ANGLES), near, 5)[0].tolist())) == 5
