"""Principal axes: they turn with what they are of, and a model that goes by them charges for its pose all the same."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from affinevae import AffineVAE
from affinevae.groups import get_group
from affinevae.metrics import rotation_angle
from affinevae.moments import candidates, second_moments
from affinevae.turned import turn_all

SIDE = 24


def box(*half: int) -> Tensor:
    """A bar or a box of bytes about the middle of its frame, ``(1, 1, S, ...)``."""
    grid = torch.zeros(1, 1, *[SIDE] * len(half), dtype=torch.uint8)
    grid[(0, 0, *(slice(SIDE // 2 - h, SIDE // 2 + h) for h in half))] = 255
    return grid


def turned(grid: Tensor, poses: Tensor) -> Tensor:
    return turn_all(
        grid.expand(len(poses), *grid.shape[1:]), poses, get_group("rotation", grid.ndim - 2), SIDE
    )


def test_moments_are_those_of_the_covariance() -> None:
    image = torch.rand(2, 1, 6, 6)
    where = (torch.arange(6) + 0.5) / 3 - 1
    y, x = torch.meshgrid(-where, where, indexing="ij")
    for weights, found in zip(image[:, 0], second_moments(image), strict=True):
        points = torch.stack([x.flatten(), y.flatten()])
        expected = torch.cov(points, correction=0, aweights=weights.flatten())
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert second_moments(torch.zeros(1, 1, 8, 8, 8)).abs().max() == 0


@pytest.mark.parametrize("half", [(2, 9), (2, 5, 9)], ids=["a bar", "a box"])
def test_one_of_the_candidates_follows_every_turn(half: tuple[int, ...]) -> None:
    group = get_group("rotation", len(half))
    poses = group.sample(12, torch.Generator().manual_seed(0))
    upright, moved = turned(box(*half), torch.zeros_like(poses)), turned(box(*half), poses)
    before, after = (
        group.matrix(group.from_cells(candidates(x, group)).flatten(0, 1))[..., :-1].unflatten(0, (12, -1))
        for x in (upright, moved)
    )
    expected = group.matrix(poses)[:, None, :, :-1] @ before
    apart = rotation_angle(after[:, :, None].transpose(-1, -2) @ expected[:, None])
    assert float(apart.amin((1, 2)).rad2deg().max()) < 9  # the lattice's cell, and the pixels'


def test_a_model_that_goes_by_moments_evaluates_two_poses_and_charges_for_one() -> None:
    torch.manual_seed(0)
    model = AffineVAE((16, 16), latent_dim=4, width=16, features=4, blocks=1, finder="moments").eval()
    assert model.scorer is None
    image = torch.rand(5, 1, 16, 16)
    for effort in ("fast", "best"):
        table = model.search(image, effort)
        assert table.cost.shape == (5, 2)
        angles = model.group.from_cells(table.cells)[..., 0]
        assert ((angles[:, 0] - angles[:, 1]).abs() - math.pi).abs().max() < 1e-5
    code = model.encode(image)
    assert ((code.pose_nats > math.log(32) - 1e-4) & (code.pose_nats <= math.log(64) + 1e-4)).all()


def test_an_unknown_finder_is_refused() -> None:
    with pytest.raises(ValueError, match="finder must be one of search, moments"):
        AffineVAE(finder="gradients")  # type: ignore[arg-type]
