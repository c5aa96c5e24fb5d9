"""One checkpoint, many networks: a plan's own network is the masked full one, and its norms hand on the same."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from classifiers import CompactCNN, create_network, plans, tie
from classifiers.augment import Augment, Pictures
from classifiers.images import resize
from classifiers.model import PlanFacts
from classifiers.networks import InvertedResidual
from classifiers.plans import WHOLE, Plan
from classifiers.supernet import Shortening, make_step, supernet
from training.measure import macs, parameters
from weights import WeightsError

CLASSES = ("leaf", "sea", "sand")
NAMES = (
    "mobilenetv2@0.1",
    "efficientnet-lite0@0.1",
    "imagenet-efficientnet-b0@0.1",
)  # the last has excitation


@functools.cache
def learned(name: str) -> CompactCNN:
    """A small network whose norms have statistics of their own."""
    torch.manual_seed(0)
    model = CompactCNN(name, CLASSES, 32, mean=(0.4,), std=(0.3,))
    for layer in model.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0.2)
    nn.init.normal_(model.network[-1][-1].weight, std=0.02)  # type: ignore[index, arg-type]
    model.train()(images(16))
    return model.eval()


def images(count: int = 4, size: int = 32, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def some_plan(model: CompactCNN, size: int = 32, rank: int = WHOLE) -> Plan:
    full = plans.full_plan(model.network, model.config.size)
    made = Plan(
        size,
        tuple(max(1, count - 1) for count in full.blocks),
        tuple(3 + i % 5 for i in range(len(full.widths))),
        (rank,) * len(full.ranks),
    )
    return plans.whole_where_it_must(model.network, made)


def masked(model: CompactCNN, plan: Plan) -> CompactCNN:
    """A copy of the model in which what the plan leaves out is zero."""
    copy = CompactCNN(**model._arguments())
    copy.load_state_dict(model.state_dict())
    taken = plans.parts(copy.network)
    with torch.no_grad():
        for stage, count, width in zip(taken.stages, plan.blocks, plan.widths, strict=False):
            for block in stage[count:]:
                norm = block.body[-1][-1]  # type: ignore[index]
                norm.weight.zero_()
                norm.bias.zero_()
            for block in stage[:count]:
                conv = next(m for m in block.body[-1].modules() if isinstance(m, nn.Conv2d))
                conv.weight[:, plans.kept(conv.in_channels, width) :] = 0
        linear = taken.head[-1]
        linear.weight[:, plans.kept(linear.in_features, plan.widths[-1]) :] = 0  # type: ignore[arg-type, operator, index]
    return copy.eval()


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_is_the_full_network_with_the_rest_of_it_zero(name: str) -> None:
    model = learned(name)
    plan = some_plan(model)
    if "b0" in name:  # excitation looks at all channels: they are left out of it, too
        plan = plan._replace(widths=(WHOLE,) * len(plan.widths))
    small = model.planned(plan)
    wanted = masked(model, plan)(images())
    assert wanted.std() > 0.01
    torch.testing.assert_close(small(images()), wanted, atol=2e-4, rtol=1e-4)
    x = (images() - model.mean) / model.std
    torch.testing.assert_close(plans.run(model.network, x, plan, plans.own), wanted, atol=2e-4, rtol=1e-4)
    assert parameters(small) < parameters(model)
    assert macs(small, images(1)) < macs(model, images(1))


@pytest.mark.parametrize("name", NAMES)
def test_the_full_plan_is_the_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "TINY", 1e-12)  # these norms have channels that hardly vary
    model = learned(name)
    full = plans.full_plan(model.network, 32)
    torch.testing.assert_close(model.planned(full)(images()), model(images()), atol=2e-4, rtol=1e-4)
    # Norms set by the pictures that they are asked about hand on the same.
    norms = model.calibrated(full, images(16))
    found = model.planned(full, norms)(images(16))
    wanted = model(images(16))
    assert (found - wanted).abs().max() < 0.01 * wanted.abs().max()


@pytest.mark.parametrize("size", [32, 16])
def test_norms_of_a_plan_hand_on_what_the_full_networks_do(size: int) -> None:
    model = learned(NAMES[0])
    plan, given = some_plan(model, size), images(16)
    moments = model.moments(given)
    norms = model.calibrated(plan, given, moments)
    assert norms.shape == (2, plans.norm_channels(model.network, plan))
    found: list[tuple[Tensor, Tensor]] = []
    done = [0]

    def norm(unit: plans.Unit, x: Tensor) -> Tensor:
        part = norms[:, done[0] : done[0] + unit.rows]
        done[0] += unit.rows
        y = x * part[0, :, None, None] + part[1, :, None, None]
        mean, deviation = moments[unit.norm]
        assert (y.mean((0, 2, 3)) - mean[: unit.rows]).abs().max() < 1e-3
        varied = x.var((0, 2, 3), correction=0) > 1e-2  # where something is handed on at all
        gap = y.std((0, 2, 3), correction=0) - deviation[: unit.rows]
        found.append((gap[varied], varied))
        return y

    plans.run(model.network, (resize(given, size) - model.mean) / model.std, plan, norm)
    assert done[0] == norms.shape[1]
    assert max(float(gap.abs().max()) for gap, _ in found if len(gap)) < 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_sorting_channels_changes_no_answer_and_puts_worth_first(name: str) -> None:
    model = CompactCNN(**learned(name)._arguments())
    model.load_state_dict(learned(name).state_dict())
    model.eval()
    block = next(b for b in model.network.modules() if isinstance(b, InvertedResidual) and len(b.body) > 2)
    last = next(m for m in block.body[-1].modules() if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        last.weight[:, 1:4] = 0  # three channels that nothing comes of
    before = model(images())
    labels = torch.tensor([0, 1, 2, 0])
    plans.sort_channels(model.network, (images() - model.mean) / model.std, labels, batch=2)
    torch.testing.assert_close(model(images()), before, atol=2e-4, rtol=1e-2)
    assert last.weight[:, -3:].abs().sum() == 0
    assert last.weight[:, :-3].abs().sum((0, 2, 3)).min() > 0
    assert not any(p.grad is not None for p in model.parameters())


def test_a_rank_is_the_nearest_kernel_of_that_rank_by_less_work() -> None:
    model = learned(NAMES[0])
    half = some_plan(model, rank=4)
    low, dense = model.planned(half), model.planned(half._replace(ranks=(WHOLE,) * len(half.ranks)))
    assert macs(low, images(1)) < macs(dense, images(1))
    x = (images() - model.mean) / model.std
    wanted = plans.run(model.network, x, half, plans.own)
    torch.testing.assert_close(low(images()), wanted, atol=2e-4, rtol=1e-4)
    weight = torch.randn(6, 4, 1, 1)
    left, right = plans.factored(weight, 4)
    torch.testing.assert_close(left @ right, weight[..., 0, 0], atol=1e-5, rtol=1e-5)


def test_kept_channels_come_in_groups_and_end_at_all() -> None:
    assert [plans.kept(96, e) for e in (1, 2, 4, 7, 8)] == [16, 24, 48, 88, 96]
    assert plans.kept(12, 8) == 12
    assert plans.kept(4, 1) == 4
    assert plans.sizes(128) == (64, 80, 96, 112, 128)
    assert plans.sizes(20) == (16, 20)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"size": 400}, "size"),
        ({"size": 0}, "size"),
        ({"blocks": (9,) * 7}, "blocks"),
        ({"blocks": (1, 1)}, "blocks"),
        ({"widths": (0,) * 8}, "widths"),
        ({"widths": "all"}, "widths"),
        ({"ranks": (1.5,) * 7}, "ranks"),
    ],
)
def test_what_is_no_plan_is_refused_by_name(change: dict[str, object], named: str) -> None:
    model = learned(NAMES[0])
    plan = plans.full_plan(model.network, 32)._asdict() | change
    with pytest.raises(ValueError, match=named):
        plans.check_plan(model.network, 32, plan)


def test_other_networks_have_no_plans_and_say_so() -> None:
    plain = CompactCNN("resnet9@0.1", CLASSES, 32)
    assert plain.plans == {}
    assert plain.sizes == (32,)
    tied = create_network(NAMES[0], 3)
    tie(tied, "kronecker-2")
    assert not plans.has_plans(tied)
    with pytest.raises(ValueError, match="inverted residuals"):
        plain.planned("full")
    with pytest.raises(ValueError, match="no plan 'fastest'"):
        plain.predict(images(), plan="fastest")
    assert plain.predict(images(), plan="balanced").shape == (4, 3)


# ---- a model with named plans ----


def with_named(model: CompactCNN) -> CompactCNN:
    chosen = {"balanced": some_plan(model), "fastest": some_plan(model, 16)}
    norms = {name: model.calibrated(plan, images(16)) for name, plan in chosen.items()}
    facts = {name: PlanFacts(plan, 0.9, 100, 10, 20, 0.5) for name, plan in chosen.items()}
    return model.with_plans(facts, norms)


@pytest.mark.parametrize("half", [False, True])
def test_named_plans_are_saved_with_their_norms(tmp_path: Path, half: bool) -> None:
    named = with_named(learned(NAMES[0]))
    named.save_pretrained(tmp_path, half=half)
    loaded = CompactCNN.from_pretrained(tmp_path)
    assert set(loaded.plans) == {"full", "balanced", "fastest"}
    assert loaded.plans["fastest"] == named.plans["fastest"]
    for plan in loaded.plans:
        close = 5e-2 if half else 1e-6
        both = loaded.predict(images(), plan), named.predict(images(), plan)
        torch.testing.assert_close(*both, atol=close, rtol=close)
    answers = [loaded.predict(images(), plan) for plan in loaded.plans]
    assert not torch.allclose(answers[0], answers[1], atol=1e-4)
    torch.testing.assert_close(loaded.predict(images()), answers[1])  # "balanced" where nothing is said
    torch.testing.assert_close(loaded.logits(images(), "full"), loaded(images()), atol=1e-5, rtol=1e-4)
    pixels = [image.permute(1, 2, 0).mul(255).round().byte().numpy() for image in images(2, 48)]
    assert loaded.predict(pixels, "fastest").shape == (2, 3)
    maps = loaded.planned("fastest").maps(images(2, 16))
    assert maps.shape[1] == loaded.planned("fastest").head[-1].in_features  # type: ignore[union-attr]


def test_a_plan_bothfor_the_weights_as_they_are(tmp_path: Path) -> None:
    with_named(learned(NAMES[0])).save_pretrained(tmp_path)
    model = CompactCNN.from_pretrained(tmp_path)
    before = model.predict(images(), "fastest")
    with torch.no_grad():
        model.network[-1][-1].weight.mul_(3)  # type: ignore[index, union-attr, operator]
    assert not torch.allclose(model.predict(images(), "fastest"), before)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 4000},
        {"blocks": "x"},
        {"widths": [8]},
        {"accuracy": "high"},
        {"form": "int4"},
        {"more": 1},
        {"latency_ms": -1},
    ],
)
def test_a_config_with_a_plan_that_is_none_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    with_named(learned(NAMES[0])).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["plans"]["balanced"] |= change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError):
        CompactCNN.from_pretrained(tmp_path)


# ---- their training ----


def test_a_step_trains_the_full_network_and_its_plans_and_follows_its_norms() -> None:
    torch.manual_seed(0)
    model = CompactCNN(**learned(NAMES[0])._arguments())
    model.load_state_dict(learned(NAMES[0]).state_dict())
    bytes_, labels = images(24).mul(255).byte(), torch.arange(24) % 3
    net = supernet(model, bytes_, labels).train()
    known = net.moments.clone()
    statistics = [b.clone() for n, b in model.named_buffers() if "running" in n]
    step = make_step(Pictures(bytes_, Augment(shift=1)), labels, model, Shortening(1, full=1.0), 0.1)
    losses = step(net, torch.arange(12), 0.0)
    losses["loss"].backward()
    assert all(p.grad is not None for p in model.parameters())
    assert losses["loss"] == losses["full"] + losses["short"]
    assert not torch.equal(net.moments, known)
    now = [b for n, b in model.named_buffers() if "running" in n]
    assert all(torch.equal(a, b) for a, b in zip(statistics, now, strict=True))


def test_the_full_network_may_teach_without_learning() -> None:
    torch.manual_seed(0)
    model = CompactCNN(**learned(NAMES[0])._arguments())
    model.load_state_dict(learned(NAMES[0]).state_dict())
    bytes_, labels = images(24).mul(255).byte(), torch.arange(24) % 3
    net = supernet(model, bytes_, labels).train()
    known = net.moments.clone()
    smallest = plans.smallest_plan(model.network, 32)
    full, small = net(images(8), [smallest], learns=False)
    assert not full.requires_grad
    assert small.requires_grad
    assert torch.equal(net.moments, known)


def test_drawn_plans_are_plans_and_reach_both_ends() -> None:
    torch.manual_seed(0)
    network = learned(NAMES[0]).network
    full, smallest = plans.full_plan(network, 32), plans.smallest_plan(network, 32)
    found = [plans.drawn(network, 32, full) for _ in range(300)]
    assert all(plans.check_plan(network, 32, plan) == plan for plan in found)
    for name in ("size", "blocks", "widths"):
        values = [getattr(plan, name) for plan in found]
        assert max(values) <= getattr(full, name)
        assert min(values) >= getattr(smallest, name)
    assert {plan.size for plan in found} == set(plans.sizes(32))
