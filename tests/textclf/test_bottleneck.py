"""Pooling as mathematics: weights sum to one, padding weighs nothing, lengths follow from the plan."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from textclf.bottleneck import (
    OPERATORS,
    Bottleneck,
    check_plan,
    lengths,
    merge,
    select,
    window_flow,
    window_weights,
)


def states(
    seed: int = 0, real: tuple[int, ...] = (17, 9, 2), length: int = 17
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(real), length, 8, generator=generator)
    size = (torch.arange(length) < torch.tensor(real)[:, None]).float()
    return x, size


def random_bottleneck(operator: str) -> Bottleneck:
    torch.manual_seed(1)
    bottleneck = Bottleneck(8, operator)  # type: ignore[arg-type]
    for parameter in bottleneck.parameters():
        torch.nn.init.normal_(parameter)
    return bottleneck


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("operator", OPERATORS)
def test_flow_is_a_mean_over_tokens_alone(operator: str, factor: int) -> None:
    x, size = states()
    bottleneck = random_bottleneck(operator)
    flow = bottleneck.flow(x, size, factor)
    shorter, counts = bottleneck(x, size, factor)
    assert flow.shape == (3, 1 + 16 // factor, 17)
    assert shorter.shape == (3, 1 + 16 // factor, 8)
    used = counts > 0
    assert torch.allclose(flow.sum(-1)[used], torch.ones(int(used.sum())))
    assert not (flow * (size == 0)[:, None])[used].any()
    assert torch.equal(shorter[:, 0], x[:, 0])  # [CLS] goes through untouched
    if operator != "topk":
        assert torch.allclose(flow @ x, shorter, atol=1e-6)
        assert torch.allclose(counts.sum(1), size.sum(1))  # no token is lost


@pytest.mark.parametrize("operator", OPERATORS)
def test_padding_changes_nothing(operator: str) -> None:
    bottleneck = random_bottleneck(operator)
    x, size = states(real=(10,), length=13)
    garbage = torch.full((1, 20, 8), 7.0)
    longer, more = torch.cat([x, garbage], 1), F.pad(size, (0, 20))
    x = torch.where(size[..., None] > 0, x, -3.0)  # other garbage in what is padding already
    for factor in (2, 4):
        short, counts = bottleneck(x, size, factor)
        long, more_counts = bottleneck(longer, more, factor)
        used, more_used = counts[0] > 0, more_counts[0] > 0
        assert torch.equal(counts[0][used], more_counts[0][more_used])
        assert torch.allclose(short[0][used], long[0][more_used], atol=1e-6)


def test_learned_pooling_starts_as_the_mean() -> None:
    x, size = states()
    learned, mean = Bottleneck(8, "learned")(x, size, 4), Bottleneck(8, "mean")(x, size, 4)
    assert torch.equal(learned[0], mean[0])
    first = x[0, 1:5].mean(0)
    assert torch.allclose(mean[0][0, 1], first, atol=1e-6)


def test_windows_weigh_slots_by_the_tokens_they_hold() -> None:
    weights = window_weights(torch.zeros(1, 1, 2), torch.tensor([[[3.0, 1.0]]]))
    assert torch.allclose(weights, torch.tensor([[[0.75, 0.25]]]))
    assert torch.allclose(window_flow(weights), weights)


def test_gradient_reaches_scores_and_places() -> None:
    x, size = states()
    for operator in ("learned", "topk"):
        bottleneck = Bottleneck(8, operator)  # type: ignore[arg-type]
        bottleneck(x, size, 2)[0].square().sum().backward()
        assert bottleneck.score is not None
        assert bottleneck.score.weight.grad is not None
        assert bottleneck.score.weight.grad.abs().sum() > 0


def test_merge_joins_the_most_similar() -> None:
    east, north, west = torch.tensor([1.0, 0]), torch.tensor([0, 1.0]), torch.tensor([-1.0, 0.1])
    x = torch.stack([east, north, north, east * 3, west, west])[None]
    merged = merge(x, torch.ones(1, 6))
    assert merged.size.tolist() == [[2, 2, 2]]
    assert torch.allclose(merged.x[0], torch.stack([east * 2, north, west]))


def test_merge_weighs_by_size() -> None:
    x = torch.tensor([[[1.0], [4.0]]])
    assert merge(x, torch.tensor([[2.0, 1.0]])).x.item() == pytest.approx(2.0)


def test_selection_keeps_order_and_share() -> None:
    x = torch.arange(8.0)[None, :, None]
    score = torch.tensor([[0.0, 9, 1, 8, 2, 7, 3, 100]])
    kept = select(x, torch.tensor([[1.0] * 7 + [0.0]]), score, 2)
    assert kept.x[0, :, 0].tolist() == [1, 3, 5, 6]  # four of seven, and the padding's score does not count
    assert kept.size.tolist() == [[1, 1, 1, 1]]


def test_lengths_follow_from_the_plan() -> None:
    assert lengths(129, (1, 2, 1, 4)) == (129, 65, 65, 17)
    assert lengths(130, (2, 4)) == (66, 18)  # 129 slots in 65 windows, and these in 17
    assert lengths(2, (4, 4)) == (2, 2)
    assert lengths(17, (1, 1)) == (17, 17)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("length", [2, 3, 12, 14])
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_rest_is_as_if_the_text_had_been_padded(operator: str, length: int, factor: int) -> None:
    bottleneck = random_bottleneck(operator)
    x, size = states(real=(length, 2), length=length)
    whole = lengths(length, (factor,))[0] * factor - factor + 1  # a length that the factor divides
    padded = F.pad(x, (0, 0, 0, whole - length)), F.pad(size, (0, whole - length))
    for short, expected in zip(bottleneck(x, size, factor), bottleneck(*padded, factor), strict=True):
        assert torch.allclose(short, expected, atol=1e-6)
    flow = bottleneck.flow(x, size, factor)
    assert torch.equal(flow, bottleneck.flow(*padded, factor)[..., :length])


@pytest.mark.parametrize("plan", [(), (1, 1, 1), (3,), (0, 1), (8,)])
def test_impossible_plans_are_refused(plan: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="plan"):
        check_plan(plan, 2)


def test_too_much_shrinking_is_refused() -> None:
    with pytest.raises(ValueError, match="shrinks by 256"):
        check_plan((4, 4, 4, 4), 6)
