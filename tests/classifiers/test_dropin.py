"""What a tied convolution promises because torch's own does, for every family, or it stays as it was and says why."""

from __future__ import annotations

import copy
import io
import pickle
import re
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from classifiers import tie, untie
from classifiers.tie import obstacle, retie, ties_of
from classifiers.tied import FAMILIES, Conv2d, ConvNd, TiedConv, convolve
from training.measure import macs

SETTINGS: dict[str, Callable[[], ConvNd]] = {
    "strided": lambda: nn.Conv2d(16, 32, 3, 2, 1),
    "rectangular": lambda: nn.Conv2d(16, 32, (1, 3), (2, 1), (0, 1), dilation=(1, 2)),
    "same": lambda: nn.Conv2d(16, 32, (5, 3), padding="same", dilation=(1, 2)),
    "valid": lambda: nn.Conv2d(16, 32, 3, 2, padding="valid"),
    "circular": lambda: nn.Conv2d(16, 32, 3, padding=(1, 2), padding_mode="circular"),
    "reflecting": lambda: nn.Conv2d(16, 32, (2, 3), padding="same", padding_mode="reflect"),
    "pointwise": lambda: nn.Conv2d(16, 32, 1, 2, bias=False),
    "grouped": lambda: nn.Conv2d(16, 32, 3, padding=1, groups=2),
    "depthwise": lambda: nn.Conv2d(16, 16, 3, 2, 1, groups=16),
    "multiplied": lambda: nn.Conv2d(16, 32, 3, 2, 1, groups=16),
    "1d": lambda: nn.Conv1d(16, 32, 5, 2, 2),
    "3d": lambda: nn.Conv3d(16, 32, 3, 2, 1),
    "transposed": lambda: nn.ConvTranspose2d(16, 32, 4, 2, 1),
    "transposed grouped": lambda: nn.ConvTranspose2d(16, 32, 3, 2, 1, output_padding=1, groups=2),
    "transposed 1d": lambda: nn.ConvTranspose1d(32, 16, 3, 2, 1, dilation=2),
    "transposed 3d": lambda: nn.ConvTranspose3d(16, 32, 2, 2),
}
GROUPED = {"strided", "grouped", "transposed grouped"}  # where other degrees are tried as well
CASES = [
    (settings, name, degree)
    for settings, make in SETTINGS.items()
    for name, family in FAMILIES.items()
    for degree in sorted({family.default, *({2} if settings in GROUPED else {})})
    if family.fits(make(), degree)
]
every_case = pytest.mark.parametrize(("settings", "family", "degree"), CASES)
every_family = pytest.mark.parametrize("family", FAMILIES)


def tied(settings: str, family: str, degree: int | None = None) -> TiedConv:
    """In double precision, as ``tie`` makes it."""
    torch.manual_seed(0)
    network = nn.Sequential(SETTINGS[settings]().double())
    tie(network, family if degree is None else f"{family}-{degree}")
    layer = network[0]
    assert isinstance(layer, TiedConv)
    return layer


def twin(layer: TiedConv) -> ConvNd:
    """Torch's own layer with the kernel that the tied one stands for."""
    conv = layer.plain("cpu", torch.float64)
    with torch.no_grad():
        conv.weight.copy_(layer.weight)
        if conv.bias is not None and layer.bias is not None:
            conv.bias.copy_(layer.bias)
    return conv


def given(layer: TiedConv, batch: int = 2) -> Tensor:
    return torch.randn(batch, layer.in_channels, *[7, 8, 6][: layer.axes], dtype=torch.float64)


def test_algebra_allows_something_everywhere_and_most_almost_everywhere() -> None:
    assert {s for s, _, _ in CASES} == set(SETTINGS)
    for family in FAMILIES:
        assert len({s for s, f, _ in CASES if f == family}) >= 13


@every_case
def test_it_computes_what_torch_computes(settings: str, family: str, degree: int) -> None:
    layer = tied(settings, family, degree)
    conv, x = twin(layer), given(layer, 3)
    assert layer.weight.shape == conv.weight.shape
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            y, expected = layer(x), conv(x)
            torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(layer(x[0]), conv(x[0]), rtol=1e-9, atol=1e-9)
            assert layer(x[:0]).shape == conv(x[:0]).shape
    sides = x.shape[2:]
    assert layer.output_size(*sides) == tuple(expected.shape[2:])
    assert layer.mac_count(*sides) == macs(layer, x[:1])
    assert layer.parameter_count() == sum(p.numel() for p in layer.parameters())
    again = nn.Sequential(conv)
    tie(again, f"{family}-{degree}")
    torch.testing.assert_close(again[0].weight, layer.weight, rtol=1e-6, atol=1e-6)
    assert not any(isinstance(m, TiedConv) for m in untie(again).modules())
    torch.testing.assert_close(again[0](x), y, rtol=1e-6, atol=1e-6)


@every_case
def test_a_kernel_that_starts_at_zero_learns(settings: str, family: str, degree: int) -> None:
    network = nn.Sequential(SETTINGS[settings]().double())
    nn.init.zeros_(network[0].weight)
    tie(network, f"{family}-{degree}")
    layer = network[0]
    assert not layer.weight.any()
    optimizer, x = torch.optim.SGD(network.parameters(), 0.1), given(layer)
    for _ in range(3):
        optimizer.zero_grad()
        (layer(x) - 1).square().mean().backward()
        optimizer.step()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    assert layer.weight.any()


@every_family
def test_parts_of_a_kernel_that_are_zero_learn_too(family: str) -> None:
    """Filters, channels and ranks that are missing, and a kernel so small that its roots would be nothing."""
    for damage in (lambda w: w[:8].zero_(), lambda w: w[:, :8].zero_(), lambda w: w.mul_(1e-12)):
        network = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1, bias=False).double())
        with torch.no_grad():
            damage(network[0].weight)
        dense = network[0].weight.detach().clone()
        tie(network, f"{family}-2")
        error = float((network[0].weight - dense).norm().detach() / dense.norm())
        assert error < 1
        for _ in range(2):
            y = network(torch.randn(2, 16, 6, 6, dtype=torch.float64))
            (y - 1).square().mean().backward()
        scales = [float(p.grad.norm() / p.numel() ** 0.5) for p in network.parameters()]  # type: ignore[union-attr]
        assert max(scales) > 1e-3, scales


@every_family
def test_settings_and_weight_are_named_as_torch_names_them(family: str) -> None:
    conv = nn.Conv2d(16, 32, (3, 1), 2, (1, 0))
    settings = {name: getattr(conv, name) for name in ("transposed", *ConvNd.__constants__)}
    shape, bias, text = conv.weight.shape, conv.bias, conv.extra_repr()
    network = nn.Sequential(conv)
    tie(network, family)
    layer = network[0]
    assert {name: getattr(layer, name) for name in settings} == settings
    weight = layer.weight
    assert (weight.shape, weight.dtype, weight.device) == (shape, torch.float32, torch.device("cpu"))
    assert layer.bias is bias
    assert text in repr(layer)
    with pytest.raises(KeyError):
        layer.weight = nn.Parameter(weight.detach())
    for shape in ((2, 8, 9, 9), (1, 64, 9, 9), (16, 9), (1, 1, 16, 9, 9)):
        with pytest.raises(RuntimeError, match="expected"):
            layer(torch.rand(shape))
    before = layer.weight.detach().clone()
    layer.reset_parameters()
    assert not torch.equal(layer.weight, before)


@every_family
@pytest.mark.parametrize("settings", ["strided", "transposed"])
def test_what_torch_does_with_a_layer_can_be_done(family: str, settings: str, tmp_path: Any) -> None:
    layer = tied(settings, family).eval()
    x = given(layer)
    y = layer(x).detach()

    def same(other: Any) -> None:
        torch.testing.assert_close(other(x).detach(), y, rtol=1e-9, atol=1e-9)

    same(copy.deepcopy(layer))
    same(pickle.loads(pickle.dumps(layer)))
    torch.save(layer.state_dict(), file := io.BytesIO())
    file.seek(0)
    fresh = layer.fresh().double().eval()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    same(fresh)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("error", torch.jit.TracerWarning)
        same(torch.jit.trace(layer, x))
    sizes = {0: torch.export.Dim("batch"), 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    exported = torch.export.export(layer, (x,), dynamic_shapes=(sizes,)).module()
    same(exported)
    larger = torch.randn(3, layer.in_channels, 12, 9, dtype=torch.float64)
    torch.testing.assert_close(exported(larger), layer(larger))
    same(torch.fx.symbolic_trace(layer))
    torch._dynamo.reset()
    same(torch.compile(layer, backend="eager", fullgraph=True))
    same(lambda x: torch.func.functional_call(layer, dict(layer.named_parameters()), (x,)))
    same(torch.func.vmap(layer))
    replica = layer._replicate_for_data_parallel()  # what DataParallel does, which sets tensors as attributes
    for name, parameter in layer.named_parameters():
        setattr(replica, name, parameter.detach().clone())
    same(replica)
    assert layer(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)).shape == y.shape
    same(layer.to(memory_format=torch.channels_last))
    stacked, buffers = torch.func.stack_module_state([layer, fresh])  # type: ignore[list-item]
    ensemble = torch.func.vmap(lambda p, b: torch.func.functional_call(layer, (p, b), (x,)))(stacked, buffers)
    torch.testing.assert_close(ensemble[0].detach(), y)
    for kind in (torch.float32, torch.bfloat16, torch.float16):
        other = copy.deepcopy(layer).to(kind)
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                found = other(x.to(kind))
            assert found.dtype == kind
            torch.testing.assert_close(found.double(), y, rtol=0.1, atol=0.1)


@every_family
@pytest.mark.parametrize("grad", [True, False])
def test_autocast_gives_the_precision_that_torch_gives(family: str, grad: bool) -> None:
    network = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 16, 3))
    expected = {}
    for kind in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", kind), torch.set_grad_enabled(grad):
            expected[kind] = network(torch.rand(2, 16, 6, 6)).dtype
    tie(network, family)
    for kind, wanted in expected.items():
        with torch.autocast("cpu", kind), torch.set_grad_enabled(grad):
            assert network(torch.rand(2, 16, 6, 6)).dtype == wanted


@every_family
def test_three_sides_take_their_memory_format_and_a_transposed_one_the_size_it_is_asked_for(
    family: str,
) -> None:
    layer = tied("3d", family).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    x = given(layer)
    torch.testing.assert_close(layer(x), twin(layer)(x))
    layer = tied("transposed", family)
    conv, x = twin(layer), given(layer)
    for size in ([14, 17], [15, 16], [2, 32, 15, 17]):
        torch.testing.assert_close(layer(x, size), conv(x, size))  # type: ignore[arg-type]
    for size in ([13, 16], [14, 18], [14]):
        with pytest.raises(ValueError, match="output_size"):
            layer(x, size)
    with pytest.raises(TypeError, match="output_size"):
        tied("strided", family)(x, [4, 4])


# ---- what stays as it was ----


class Standardised(nn.Conv2d):
    """Weight standardisation, as in timm's ``StdConv2d``."""

    def forward(self, input: Tensor) -> Tensor:
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / w.std((1, 2, 3), keepdim=True)
        return F.conv2d(input, w, self.bias, self.stride, self.padding, self.dilation, self.groups)


class SamePadded(nn.Conv2d):
    """TensorFlow's padding, as in timm's ``Conv2dSame``."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(F.pad(input, (0, 1, 0, 1)), weight, bias)


class Masked(nn.Conv2d):
    """A mask on the kernel, as in PixelCNN."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_buffer("mask", (torch.rand_like(self.weight) > 0.5).float())

    def forward(self, input: Tensor) -> Tensor:
        self.weight.data *= self.mask
        return super().forward(input)


class Tagged(nn.Conv2d):
    """A constructor of its own, and nothing that computes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.stage = 3


def plain() -> nn.Conv2d:
    return nn.Conv2d(16, 16, 3, padding=1)


def reached(change: Callable[[nn.Conv2d], object]) -> Callable[[], nn.Conv2d]:
    def make() -> nn.Conv2d:
        conv = plain()
        change(conv)
        return conv

    return make


def own_forward(conv: nn.Conv2d) -> None:
    conv.forward = lambda x: torch.zeros_like(x)  # type: ignore[method-assign, assignment]


ODD: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "standardised": (lambda: Standardised(16, 16, 3, padding=1), "Standardised has a forward of its own"),
    "padded": (lambda: SamePadded(16, 16, 3, padding=1), "SamePadded has a _conv_forward of its own"),
    "masked": (lambda: Masked(16, 16, 3, padding=1), "mask"),
    "lazy": (lambda: nn.LazyConv2d(16, 3, padding=1), "not known before its first input"),
    "weight norm": (lambda: parametrizations.weight_norm(plain()), "parametrizations"),
    "spectral norm": (lambda: parametrizations.spectral_norm(plain()), "parametrizations"),
    "old weight norm": (lambda: nn.utils.weight_norm(plain()), "weight_g, weight_v"),
    "pruned": (lambda: prune.l1_unstructured(plain(), "weight", 0.5), "weight_mask, weight_orig"),
    "hook": (reached(lambda c: c.register_forward_hook(lambda m, i, o: o * 2)), "it has forward hooks"),
    "pre-hook": (reached(lambda c: c.register_forward_pre_hook(lambda m, i: i)), "forward pre hooks"),
    "backward hook": (reached(lambda c: c.register_full_backward_hook(lambda m, i, o: None)), "backward hooks"),
    "state hook": (reached(lambda c: c.register_state_dict_post_hook(lambda *a: None)), "state dict hooks"),
    "kernel's hook": (reached(lambda c: c.weight.register_hook(lambda g: g * 0)), "its kernel has hooks"),
    "own forward": (reached(own_forward), "its forward was replaced"),
    "own buffer": (reached(lambda c: c.register_buffer("scale", torch.ones(1))), "scale"),
    "other kernel": (reached(lambda c: setattr(c, "weight", nn.Parameter(torch.rand(8, 16, 3, 3)))), r"kernel is \["),
    "complex": (lambda: plain().to(torch.complex64), "complex64"),
    "narrow": (lambda: nn.Conv2d(4, 16, 3, padding=1), "fewer than 8 channels"),
    "misfit": (lambda: nn.Conv2d(16, 16, 3, padding=1, groups=16), "blueprint-1 needs a kernel of several places"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("kind", ODD)
def test_a_convolution_that_is_more_than_its_settings_say_stays_and_is_named(kind: str) -> None:
    make, reason = ODD[kind]
    network = nn.Sequential(plain(), make())
    odd = network[1]
    before = {**vars(odd)}
    report = tie(network, "blueprint")
    assert [c.name for c in report] == ["0"]
    assert [k.name for k in report.kept] == ["1"]
    assert re.search(reason, report.kept[0].reason)
    assert network[1] is odd
    assert vars(odd) == before
    assert f"1: as it was, {report.kept[0].reason}" in str(report)
    with pytest.raises(
        ValueError, match=rf"no convolution of the network can be tied by blueprint: 0 \(.*{reason}"
    ):
        tie(nn.Sequential(odd), "blueprint")


def test_a_subclass_that_computes_the_same_is_tied_and_keeps_what_was_set_on_it() -> None:
    network = nn.Sequential(Tagged(16, 16), Conv2d(16, 16, 3))
    network[1].note = "mine"
    network[0].weight.decay = False
    assert len(tie(network, "kronecker-2")) == 2
    assert network[0].stage == 3
    assert network[1].note == "mine"
    assert all(p.decay is False for n, p in network[0].named_parameters() if n != "bias")
    assert untie(network)[0].stage == 3  # type: ignore[index]


@every_family
def test_one_convolution_in_several_places_stays_one(family: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            conv = plain()
            self.first, self.again = conv, conv
            self.branch = nn.Sequential(conv, nn.ReLU(), conv)
            self.listed = [conv]

        def forward(self, x: Tensor) -> Tensor:
            return self.listed[0](self.branch(self.again(self.first(x))))

    network = Net()
    alone = sum(p.numel() for p in network.parameters())
    report = tie(network, family)
    assert [(c.name, c.also) for c in report] == [("first", ("again", "branch.0", "branch.2"))]
    assert report[0].before == alone
    places = [network.first, network.again, *network.branch[::2], *network.listed]
    assert len({id(place) for place in places}) == 1
    assert isinstance(network.first, TiedConv)
    assert sum(p.numel() for p in network.parameters()) == report[0].after
    network(torch.rand(1, 16, 5, 5)).sum().backward()
    restored = copy.deepcopy(network)
    restored.load_state_dict(network.state_dict())
    with pytest.raises(ValueError, match="the filter leaves it"):
        tie(Net(), family, where=lambda name, conv: name != "again")


@pytest.mark.parametrize("share", ["parameter", "memory", "linear", "listed"])
def test_a_kernel_that_something_else_holds_stays(share: str) -> None:
    network = nn.Sequential(plain(), plain(), nn.Linear(9, 256, bias=False), plain())
    if share == "parameter":
        network[1].weight = network[0].weight
    elif share == "memory":
        network[1].weight.data = network[0].weight.data
    elif share == "linear":
        network[2].weight.data = network[0].weight.data.view(256, 9)
    else:
        network.kernels = {"first": [network[0].weight]}
    report = tie(network, "blueprint")
    assert "0" in [k.name for k in report.kept if k.reason == "something else holds its kernel too"]
    assert [c.name for c in report] == (["3"] if share in ("parameter", "memory") else ["1", "3"])


@every_family
def test_frozen_stays_frozen_and_learning_learning(family: str) -> None:
    network = nn.Sequential(plain(), plain(), plain())
    network[0].requires_grad_(False)
    assert network[1].bias is not None
    network[1].bias.requires_grad_(False)
    tie(network, family)
    assert not any(p.requires_grad for p in network[0].parameters())
    assert all(p.requires_grad == (n != "bias") for n, p in network[1].named_parameters())
    assert all(p.requires_grad for p in network[2].parameters())
    untie(network)
    assert [p.requires_grad for p in network.parameters()] == [False, False, True, False, True, True]


# ---- all or nothing ----


def snapshot(network: nn.Module) -> list[Any]:
    return [(type(m), {**vars(m)}, [(n, id(p), p.detach().clone()) for n, p in m.named_parameters()])
            for m in network.modules()]  # fmt: skip


def unchanged(network: nn.Module, before: list[Any]) -> bool:
    now = snapshot(network)
    return all(
        a[:2] == b[:2] and [(n, i) for n, i, _ in a[2]] == [(n, i) for n, i, _ in b[2]]
        for a, b in zip(now, before, strict=True)
    )


@every_family
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_kernel_that_is_no_number_leaves_the_network_as_it_was(family: str, value: float) -> None:
    network = nn.Sequential(plain(), plain())
    network[1].weight.data[0, 0, 0, 0] = value
    before = snapshot(network)
    with pytest.raises(ValueError, match="1 holds NaN or infinity"):
        tie(network, family)
    assert unchanged(network, before)
    assert len(tie(network, family, project=False)) == 2


def broken(*_: Any) -> bool:
    raise KeyError("mine")


@pytest.mark.parametrize(("what", "options"), [("filter", {"where": broken}), ("projection", {})])
def test_whatever_is_raised_the_network_is_as_it_was(
    what: str, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = nn.Sequential(plain(), nn.Conv2d(16, 24, 3))
    before = snapshot(network)
    if what == "projection":
        project = FAMILIES["block"].project

        def fail(layer: TiedConv, weight: Tensor) -> None:
            if layer.out_channels == 24:
                raise KeyboardInterrupt
            project(layer, weight)

        monkeypatch.setattr(FAMILIES["block"], "project", fail)
    with pytest.raises((KeyError, KeyboardInterrupt)):
        tie(network, "block", **options)
    assert unchanged(network, before)


def test_a_root_that_is_itself_a_convolution_becomes_a_tied_one() -> None:
    conv = nn.Conv2d(16, 32, 3, padding=1)
    x = torch.rand(2, 16, 8, 8)
    report = tie(conv, "decoupled-8")
    assert isinstance(conv, TiedConv)
    assert report[0].name == ""
    assert str(report).startswith("the network itself: decoupled-8")
    y = conv(x)
    assert type(untie(conv)) is nn.Conv2d
    torch.testing.assert_close(conv(x), y)


def test_ties_are_told_and_made_again_exactly() -> None:
    network, other = (nn.Sequential(plain(), nn.Conv1d(16, 16, 5), plain()) for _ in range(2))
    tie(network, "kronecker-2", where=lambda name, conv: name != "0")
    told = ties_of(network)
    assert told == {"1": "kronecker-2", "2": "kronecker-2"}
    tie(other, "blueprint")
    retie(other, told)
    assert ties_of(other) == told
    other.load_state_dict(network.state_dict())
    before = snapshot(other)
    for wrong in (
        {"7": "block-2"},
        {"0": "block-3"},
        {"0": "block-2+blueprint"},
        {"": "block-2"},
        {"0": "glue"},
    ):
        with pytest.raises(ValueError, match=r"convolution|tie"):
            retie(other, wrong)
        assert unchanged(other, before)
    retie(other, {})
    assert ties_of(other) == {}


def test_what_is_tied_already_stays_and_a_plan_has_an_end() -> None:
    network = nn.Sequential(plain(), plain())
    tie(network, "block", where=lambda name, _: name == "0")
    assert [c.name for c in tie(network, "blueprint")] == ["1"]
    with pytest.raises(ValueError, match="no convolution"):
        tie(network, "blueprint")
    with pytest.raises(ValueError, match="at most 16 ties"):
        tie(network, "+".join(["block"] * 10**6))


def test_a_network_in_distributed_training_is_refused() -> None:
    wrapped = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    nn.Module.__init__(wrapped)
    wrapped.module = nn.Sequential(plain())
    with pytest.raises(ValueError, match="tie it before"):
        tie(wrapped, "blueprint")


def test_the_meta_device_is_tied_without_numbers() -> None:
    with torch.device("meta"):
        network = nn.Sequential(plain(), plain())
    assert len(tie(network, "blueprint-2")) == 2
    assert all(p.is_meta for p in network.parameters())


def test_our_own_convolution_is_torchs() -> None:
    ours, theirs = (
        Conv2d(16, 16, 3, (2, 1), (1, 2), (1, 2), 16),
        nn.Conv2d(16, 16, 3, (2, 1), (1, 2), (1, 2), 16),
    )
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(2, 16, 9, 9)
    for given in (x, x[0], x[:0]):
        torch.testing.assert_close(ours(given), theirs(given))
    assert obstacle(ours, Counter()) is None
    assert convolve(x, ours.weight, None, (1, 1), "same", (1, 1), 16).shape == x.shape
