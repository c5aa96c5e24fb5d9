"""A slot of n tokens draws as much attention as n equal tokens, in PyTorch and in an exported graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from textclf.attention import attend
from textclf.export import in_session, traced

HEADS, WIDTH = 4, 8
NAMES = ("query", "key", "value", "size")


class Attend(nn.Module):
    def forward(self, query: Tensor, key: Tensor, value: Tensor, size: Tensor) -> Tensor:
        return attend(query, key, value, size, HEADS)


def slots(batch: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, batch, length, HEADS * WIDTH).unbind()
    return 3 * query, 3 * key, value


def test_a_slot_counts_as_often_as_it_has_tokens() -> None:
    query, key, value = slots(2, 4)
    times = torch.tensor([1, 3, 0, 2])
    shared = attend(query, key, value, times.float().expand(2, -1), HEADS)
    spread = [x.repeat_interleave(times, 1) for x in (key, value)]
    # Queries of the same tokens, the one of padding in place of another.
    alone = attend(query.repeat_interleave(times, 1), *spread, torch.ones(2, 6), HEADS)
    assert torch.allclose(shared[:, [0, 1, 3]], alone[:, [0, 1, 4]], atol=1e-6)


def test_the_exported_node_computes_the_same_at_any_batch_and_length() -> None:
    run = in_session(traced(Attend(), (*slots(2, 5), torch.ones(2, 5)), NAMES).SerializeToString())
    for batch, length in ((1, 1), (3, 9), (2, 70)):
        query, key, value = slots(batch, length)
        size = torch.randint(0, 5, (batch, length)).float()
        size[:, 0] = 1  # [CLS]
        (found,) = run(query, key, value, size)
        assert torch.allclose(torch.from_numpy(found), attend(query, key, value, size, HEADS), atol=1e-5)


def test_padding_of_any_content_changes_nothing() -> None:
    run = in_session(traced(Attend(), (*slots(2, 5), torch.ones(2, 5)), NAMES).SerializeToString())
    query, key, value = slots(2, 12)
    size = torch.cat([torch.ones(2, 7), torch.zeros(2, 5)], 1)
    (before,) = run(query, key, value, size)
    key[:, 7:], value[:, 7:] = 4 * key[:, 7:], 100.0
    (after,) = run(query, key, value, size)
    assert torch.allclose(torch.from_numpy(before), torch.from_numpy(after), atol=1e-4)
