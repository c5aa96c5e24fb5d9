"""Muon: kernels step by orthogonal matrices, everything else as under SGD, and a stopped run goes on as it was."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from classifiers import create_network
from classifiers.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(24, 24), (16, 144), (96, 32)])
def test_steps_have_equal_singular_values_and_the_gradient_s_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    u, s, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    skewed = u * torch.logspace(0, -1.5, len(s)) @ v  # the last direction is 30 times weaker than the first
    found = orthogonalised(skewed)
    along = torch.diagonal(u.T @ found @ v.T) / math.sqrt(max(1.0, shape[0] / shape[1]))
    assert along.min() > 0.6
    assert along.max() < 1.3
    aside = found - u * torch.diagonal(u.T @ found @ v.T) @ v
    assert aside.norm() < 0.1 * found.norm()


def test_the_size_of_the_gradient_does_not_matter() -> None:
    gradient = torch.randn(32, 48)
    torch.testing.assert_close(orthogonalised(gradient), orthogonalised(gradient * 1024))


def test_the_head_and_vectors_move_as_under_sgd_and_no_kernel_does() -> None:
    torch.manual_seed(0)
    network = create_network("resnet9@0.25:blueprint-4", 20)  # its ties have matrices of a side of 4
    plain = copy.deepcopy(network)
    ours = Muon(network, 0.1, 0.9, 1e-3)
    sgd = torch.optim.SGD(
        [
            {"params": [p for p in plain.parameters() if p.ndim > 1], "weight_decay": 1e-3},
            {"params": [p for p in plain.parameters() if p.ndim <= 1]},
        ],
        0.1,
        0.9,
        nesterov=True,
    )
    for _ in range(3):
        for a, b in zip(network.parameters(), plain.parameters(), strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        ours.step()
        sgd.step()
    same = {
        name: torch.allclose(a, b, atol=1e-5)
        for (name, a), b in zip(network.named_parameters(), plain.parameters(), strict=True)
    }
    head = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    kernels = {name for name, p in network.named_parameters() if p.ndim > 1 and name != f"{head}.weight"}
    assert {name for name, equal in same.items() if not equal} == kernels


def test_every_depthwise_kernel_steps_as_far_as_the_others() -> None:
    layer = nn.Conv2d(24, 24, 3, groups=24, bias=False)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.randn_like(layer.weight) * torch.logspace(0, -3, 24)[:, None, None, None]
    Muon(layer, lr=0.2, kernel_lr=0.5, kernel_decay=0.0).step()
    steps = (before - layer.weight.detach()).flatten(1)
    torch.testing.assert_close(steps.norm(dim=1), torch.full((24,), 0.1))
    torch.testing.assert_close(F.normalize(steps), F.normalize(layer.weight.grad.flatten(1)))


def test_a_step_is_as_long_as_its_rate_says() -> None:
    layer = nn.Conv2d(16, 32, 3, bias=False)
    before = layer.weight.detach().clone()
    optimizer = Muon(layer, lr=0.2, kernel_lr=0.5, kernel_decay=0.0)
    layer.weight.grad = torch.randn_like(layer.weight)
    optimizer.step()
    sizes = torch.linalg.svdvals((layer.weight.detach() - before).flatten(1))
    assert sizes.mean() == pytest.approx(0.1, rel=0.2)


def test_a_restored_optimizer_goes_on_as_the_one_that_was_saved() -> None:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(16, 4))
    gradients = [[torch.randn_like(p) for p in first.parameters()] for _ in range(4)]

    def run(network: nn.Module, optimizer: Muon, given: list[list[torch.Tensor]]) -> None:
        for step in given:
            for parameter, gradient in zip(network.parameters(), step, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()

    one = Muon(first, 0.1)
    run(first, one, gradients[:2])
    second = copy.deepcopy(first)
    two = Muon(second, 0.1)
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    run(first, one, gradients[2:])
    run(second, two, gradients[2:])
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
