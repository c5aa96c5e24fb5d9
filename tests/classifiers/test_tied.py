"""Every family: execution equals the dense kernel it stands for, counts are exact, the projection is optimal."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from classifiers.tied import FAMILIES, Block, Blueprint, FilterTile, KernelBank, TiedConv, convolve
from training.measure import macs, parameters

SHAPES = [  # inputs, outputs, kernel, stride, groups, bias
    (16, 16, 3, 1, 1, False),
    (16, 32, 3, 2, 1, False),
    (32, 16, 3, 1, 1, True),
    (16, 32, 5, 2, 1, True),
    (16, 48, 1, 1, 1, False),
    (32, 16, 1, 2, 1, True),
    (16, 16, 3, 1, 16, False),
    (16, 16, 5, 2, 16, True),
]
TIES = [("blueprint", 1), ("blueprint", 4), ("decoupled", 2), ("decoupled", 3), ("channel_group", 2),
        ("channel_group", 4), ("block", 2), ("block", 4),
        ("kronecker", 2), ("kronecker", 4), ("kernel_bank", 2), ("kernel_bank", 7), ("filter_tile", 2)]  # fmt: skip


def conv(shape: tuple[int, int, int, int, int, bool]) -> nn.Conv2d:
    inputs, outputs, kernel, stride, groups, bias = shape
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)


CASES = [(f, d, s) for f, d in TIES for s in SHAPES if FAMILIES[f].fits(conv(s), d)]


def tied(family: str, degree: int, like: nn.Conv2d) -> TiedConv:
    torch.manual_seed(0)
    layer = FAMILIES[family](like, degree)
    for parameter in layer.parameters():  # also those that start as ones or zeros
        parameter.data += 0.1 * torch.randn_like(parameter)
    return layer.double()


@pytest.mark.parametrize(("family", "degree", "shape"), CASES)
@pytest.mark.parametrize(
    ("grad", "autocast"), [(False, False), (True, False), (True, True)], ids=["used", "trained", "autocast"]
)
def test_execution_equals_the_dense_kernel(
    family: str, degree: int, shape: tuple[int, int, int, int, int, bool], grad: bool, autocast: bool
) -> None:
    like = conv(shape)
    layer = tied(family, degree, like)
    x = torch.randn(3, like.in_channels, 9, 8, dtype=torch.float64)
    with torch.set_grad_enabled(grad), torch.autocast("cpu", enabled=autocast):  # which leaves doubles alone
        y = layer(x)
    weight = layer.to_dense()
    assert weight.shape == like.weight.shape
    expected = F.conv2d(x, weight, layer.bias, like.stride, like.padding, like.dilation, like.groups)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(layer.dense().double()(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("family", "degree", "shape"), CASES)
def test_counts_are_exact(family: str, degree: int, shape: tuple[int, int, int, int, int, bool]) -> None:
    layer = tied(family, degree, conv(shape)).float()
    assert layer.parameter_count() == parameters(layer)
    for height, width in ((9, 8), (16, 16)):
        assert layer.mac_count(height, width) == macs(layer, torch.randn(1, shape[0], height, width))
        assert layer(torch.randn(1, shape[0], height, width)).shape[2:] == layer.output_size(height, width)


@pytest.mark.parametrize(("family", "degree", "shape"), CASES)
def test_projection_keeps_what_is_tied_already(
    family: str, degree: int, shape: tuple[int, int, int, int, int, bool]
) -> None:
    layer = tied(family, degree, conv(shape))
    wanted = layer.to_dense().detach()
    again = tied(family, degree, conv(shape))
    again.project(wanted)
    torch.testing.assert_close(again.to_dense(), wanted, rtol=1e-6, atol=1e-6)


def descend(layer: TiedConv, weight: Tensor, steps: int) -> float:
    """Squared error after a descent over the layer's own numbers."""
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-9
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        error = (layer.to_dense() - weight).square().sum()
        error.backward()
        return error

    optimizer.step(closure)  # type: ignore[arg-type]
    return float((layer.to_dense() - weight).square().sum())


@pytest.mark.parametrize(("family", "degree"), TIES)
def test_projection_is_the_least_squares_optimum(family: str, degree: int) -> None:
    like = conv(next(s for f, d, s in CASES if (f, d) == (family, degree)))
    torch.manual_seed(1)
    weight = torch.randn_like(like.weight).double()
    layer = tied(family, degree, like)
    layer.bias = None
    layer.project(weight)
    error = float((layer.to_dense() - weight).square().sum())
    assert error < float(weight.square().sum())
    assert descend(layer, weight, 30) > error * (1 - 1e-4)  # stationary: a descent from here gains nothing
    if (family, degree) != (
        "blueprint",
        4,
    ):  # low rank under a blueprint has no closed form: stationary is all we claim
        for seed in range(3):
            torch.manual_seed(seed)
            other = FAMILIES[family](like, degree).double()
            other.bias = None
            assert descend(other, weight, 300) > error * (1 - 1e-6)


def test_blueprint_low_rank_projection_is_near_the_best_of_many_descents() -> None:
    like, weight = conv(SHAPES[0]), torch.randn(16, 16, 3, 3, dtype=torch.float64)
    layer = Blueprint(like, 4).double()
    layer.project(weight)
    error = float((layer.to_dense() - weight).square().sum())
    others = [descend(Blueprint(like, 4).double(), weight, 300) for _ in range(5)]
    assert error < min(others) * 1.02


def test_random_start_has_the_variance_of_a_dense_one() -> None:
    like = nn.Conv2d(64, 64, 3, padding=1, bias=False)
    x = torch.randn(4, 64, 16, 16)
    for family, degree in TIES:
        torch.manual_seed(0)
        if FAMILIES[family].fits(like, degree):
            spread = float(FAMILIES[family](like, degree)(x).std())
            assert 0.9 < spread < 2.2, (family, degree)  # sqrt(2) in the mean


def test_what_a_family_cannot_replace_is_refused() -> None:
    depthwise, pointwise = nn.Conv2d(16, 16, 3, groups=16), nn.Conv2d(16, 16, 1)
    odd = nn.Conv2d(15, 16, 3)
    assert not Blueprint.fits(depthwise, 1)
    assert not Blueprint.fits(pointwise, 1)
    assert not Block.fits(odd, 2)
    assert not KernelBank.fits(pointwise, 2)
    assert not FilterTile.fits(nn.Conv2d(16, 32, 1, groups=16), 2)
    with pytest.raises(ValueError, match="block-2 cannot replace .* it needs more input and output channels"):
        Block(odd, 2)


def test_blocks_are_interleaved_so_that_the_next_layer_sees_all() -> None:
    like = nn.Conv2d(8, 8, 1, bias=False)
    first, second = Block(like, 2), Block(like, 2)
    reach = (second.to_dense()[..., 0, 0] @ first.to_dense()[..., 0, 0]) != 0
    assert bool(reach.all())
    assert (first.to_dense()[..., 0, 0] != 0).float().mean() == 0.5


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_faster_strided_gradient_is_the_gradient(stride: int) -> None:
    x = torch.randn(2, 8, 9, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    ours = torch.autograd.grad(
        convolve(x, weight, None, (stride, stride), (1, 1), (1, 1), 8).square().sum(), (x, weight)
    )
    plain = torch.autograd.grad(
        F.conv2d(x, weight, None, (stride, stride), (1, 1), (1, 1), 8).square().sum(), (x, weight)
    )
    for found, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(found, expected)


def test_gradients_of_the_execution_are_those_of_the_dense_kernel() -> None:
    for family, degree, shape in CASES[::3]:
        layer = tied(family, degree, conv(shape))
        x = torch.randn(2, shape[0], 8, 8, dtype=torch.float64)
        like = conv(shape)
        weights = [p for p in layer.parameters() if p is not layer.bias]
        run = torch.autograd.grad(layer(x).square().mean(), weights)
        y = F.conv2d(x, layer.to_dense(), layer.bias, like.stride, like.padding, 1, like.groups)
        for found, expected in zip(run, torch.autograd.grad(y.square().mean(), weights), strict=True):
            torch.testing.assert_close(found, expected)
