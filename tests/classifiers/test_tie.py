"""``tie`` changes what it was asked to change, says so, and leaves the rest bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from classifiers import create_network, tie, untie
from classifiers.tie import parse_plan
from classifiers.tied import Blueprint, KernelBank, TiedConv
from training.measure import parameters


def stranger() -> nn.Module:
    """A network that knows nothing of ours."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 16, 3, padding=1)
            self.stages = nn.ModuleDict(
                {"a": nn.Conv2d(16, 32, 3, 2, 1), "b": nn.Conv2d(32, 32, 3, padding=1, groups=32)}
            )
            self.head = nn.Linear(32, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stages["b"](self.stages["a"](self.stem(x).relu()).relu())
            return self.head(x.mean((2, 3)))

    return Net()


def test_the_report_says_what_changed_and_the_rest_is_untouched() -> None:
    network = stranger()
    before = copy.deepcopy(network.state_dict())
    total = parameters(network)
    changes = tie(network, "blueprint+kernel_bank-2")
    assert [c.name for c in changes] == ["stages.a", "stages.b"]
    assert [str(c.tie) for c in changes] == ["blueprint-1", "kernel_bank-2"]
    assert total - parameters(network) == sum(c.before - c.after for c in changes) > 0
    assert isinstance(network.stages["a"], Blueprint)  # type: ignore[index, union-attr]
    assert isinstance(network.stages["b"], KernelBank)  # type: ignore[index, union-attr]
    for name, value in network.state_dict().items():
        if name.startswith(("stem", "head")):
            assert torch.equal(value, before[name])


def test_a_plan_for_wide_layers_leaves_the_narrow_ones() -> None:
    dense, network = create_network("resnet20"), create_network("resnet20")
    changes = tie(network, "blueprint-from-64+block-2-from-32")
    assert {str(c.tie) for c in changes} == {"blueprint-1-from-64", "block-2-from-32"}
    named = dict(dense.named_modules())
    for change in changes:
        conv = named[change.name]
        assert isinstance(conv, nn.Conv2d)
        narrow = min(conv.in_channels, conv.out_channels)
        assert narrow >= change.tie.least
        assert (change.tie.family == "blueprint") == (narrow == 64)
    wide = [
        m for m in dense.modules() if isinstance(m, nn.Conv2d) and min(m.in_channels, m.out_channels) >= 32
    ]
    assert len(changes) == len(wide)
    with pytest.raises(ValueError, match="no convolution"):
        tie(dense, "blueprint-from-65")


def test_a_filter_by_name_type_or_size_is_obeyed() -> None:
    network = create_network("resnet20")
    before = copy.deepcopy(network)
    changes = tie(
        network, "kronecker-4", where=lambda name, conv: name.startswith("9.") and conv.stride == (1, 1)
    )
    assert {c.name for c in changes} == {"9.body.0.0", "9.body.1.0"}
    for (name, module), (_, old) in zip(network.named_children(), before.named_children(), strict=True):
        if name != "9":
            assert all(torch.equal(a, b) for a, b in zip(module.parameters(), old.parameters(), strict=True))


def test_projection_is_nearer_to_the_dense_network_than_chance() -> None:
    torch.manual_seed(0)
    network = stranger().eval()
    x = torch.randn(8, 3, 16, 16)
    wanted = network(x)
    errors = {}
    for project in (True, False):
        tied = copy.deepcopy(network)
        tie(tied, "blueprint", project=project)
        errors[project] = float((tied(x) - wanted).square().mean().detach())
    assert errors[True] < 0.6 * errors[False]


def test_untie_computes_the_same_with_ordinary_convolutions() -> None:
    network = create_network("mobilenetv2@0.5:kronecker-2+kernel_bank-2").eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        wanted = network(x)
        dense = untie(network)
        assert not any(isinstance(m, TiedConv) for m in dense.modules())
        torch.testing.assert_close(dense(x), wanted, rtol=1e-4, atol=1e-5)


def test_device_precision_and_mode_are_kept() -> None:
    network = stranger().double().eval()
    tie(network, "block-2")
    layer = network.stages["a"]  # type: ignore[index, union-attr]
    assert isinstance(layer, TiedConv)
    assert not layer.training
    assert {p.dtype for p in network.parameters()} == {torch.float64}


def test_unknown_ties_and_plans_that_fit_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown tie 'glue'"):
        tie(stranger(), "glue")
    for part in ("block-0", "block--1", "block-2-2", "", "block-99999"):
        with pytest.raises(ValueError, match="unknown tie"):
            parse_plan(part)
    with pytest.raises(ValueError, match="no convolution"):
        tie(nn.Sequential(nn.Linear(2, 2)), "block")
    with pytest.raises(ValueError, match="no convolution"):
        tie(stranger(), "blueprint", min_channels=64)
    script = torch.jit.script(nn.Sequential(nn.Conv2d(8, 8, 3)))  # type: ignore[no-untyped-call]
    for network, plan, sentence in (
        (script, "block", "TorchScript, which cannot be changed, so tie it before"),
        (nn.Linear(2, 2), "block", "it has none of torch's"),
        ({"weight": torch.zeros(1)}, "block", "a network is a torch.nn.Module, not a dict"),
        (stranger(), None, "a plan is text such as 'blueprint'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            tie(network, plan)  # type: ignore[arg-type]
