"""Pictures of grids show what is there, from where it is looked at."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from affinevae.render import over, render, view_axes


def cells(*spans: tuple[slice, slice, slice]) -> Tensor:
    grid = torch.zeros(1, 1, 16, 16, 16)
    for span in spans:
        grid[(0, 0, *span)] = 1
    return grid


def middle(picture: Tensor) -> tuple[float, float]:
    """Where the opacity of a picture (4, H, W) lies: right and up, in [-1, 1]."""
    side = picture.shape[-1]
    axis = (torch.arange(side) + 0.5) * 2 / side - 1
    mass = picture[3] / picture[3].sum()
    return float((mass.sum(0) * axis).sum()), -float((mass.sum(1) * axis).sum())


ALL, LOW, HIGH, CORE = slice(None), slice(0, 4), slice(12, 16), slice(6, 10)


def test_axes_are_a_right_handed_frame() -> None:
    axes = view_axes(torch.tensor([0.3, -2.0]), torch.tensor([0.5, 1.2]))
    assert torch.allclose(axes @ axes.mT, torch.eye(3).expand(2, 3, 3), atol=1e-6)
    assert torch.allclose(torch.linalg.det(axes), torch.ones(2))
    assert view_axes(torch.zeros(1), torch.zeros(1))[0, 2].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("span", "camera", "where"),
    [
        ((CORE, HIGH, CORE), (0.0, 0.0), (1, 0)),  # from x, y is to the right
        ((CORE, CORE, HIGH), (0.0, 0.0), (0, 1)),
        ((HIGH, CORE, CORE), (-math.pi / 2, 0.0), (1, 0)),  # from -y, x is to the right
        ((HIGH, CORE, CORE), (0.0, math.pi / 2), (0, -1)),  # from above, what is near is below
    ],
)
def test_things_lie_where_the_camera_sees_them(
    span: tuple[slice, slice, slice], camera: tuple[float, float], where: tuple[int, int]
) -> None:
    picture = render(cells(span), 32, torch.tensor([camera]))[0]
    assert picture.shape == (4, 32, 32)
    assert middle(picture) == pytest.approx([0.75 * v for v in where], abs=0.05)
    assert picture[3].mean() == pytest.approx(1 / 16, rel=0.35)


def test_turning_the_object_is_turning_the_camera_the_other_way() -> None:
    grid = cells((CORE, CORE, ALL), (HIGH, CORE, LOW))
    turned = grid.transpose(2, 3).flip(2)  # a quarter turn about z: x to y
    seen = render(torch.cat([grid, turned]), 24, torch.tensor([[0.4, 0.3], [0.4 + math.pi / 2, 0.3]]))
    assert torch.allclose(seen[0], seen[1], atol=1e-3)


def test_what_is_in_front_hides_what_is_behind() -> None:
    near, both = cells((HIGH, CORE, CORE)), cells((HIGH, CORE, CORE), (LOW, CORE, CORE))
    first, second = render(torch.cat([near, both]), 24, torch.zeros(2, 2))
    assert torch.allclose(first[:, 11:13, 11:13], second[:, 11:13, 11:13], atol=1e-4)


def test_sides_are_lit_differently() -> None:
    picture = render(cells((CORE, CORE, CORE)), 48, torch.tensor([[math.pi / 4, 0.5]]))[0]
    assert picture[:3, picture[3] > 0.9].amax(1).std() > 0
    brightness = picture[2][picture[3] > 0.9]
    assert brightness.max() - brightness.min() > 0.2


def test_one_camera_for_all_is_the_same_as_one_each() -> None:
    grids = torch.rand(3, 1, 8, 8, 8)
    camera = torch.tensor([[math.radians(-60), math.radians(22)]]).expand(3, -1)
    assert torch.allclose(render(grids, 16), render(grids, 16, camera), atol=1e-5)


def test_level_empty_and_full() -> None:
    ball = (1 - torch.linspace(-1, 1, 16)[:, None, None].square().expand(16, 16, 16))[None, None]
    small, large = (render(ball, 24, level=level)[0, 3].sum() for level in (0.9, 0.3))
    assert small < large
    assert render(torch.zeros(1, 1, 8, 8, 8), 16)[0, 3].max() == 0
    full = render(torch.ones(1, 1, 8, 8, 8), 16, torch.zeros(1, 2))
    assert (full[0, 3, 1:-1, 1:-1] == 1).all()
    assert full.isfinite().all()


def test_paper_shows_where_there_is_nothing() -> None:
    picture = over(render(cells((CORE, CORE, CORE)), 24), (0.1, 0.2, 0.3))
    assert picture.shape == (1, 3, 24, 24)
    assert picture[0, :, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])
