"""Attention over slots that stand for different numbers of tokens.

    out[i] = sum_j n[j] e[i, j] v[j] / sum_j n[j] e[i, j],      e[i, j] = exp(q[i] . k[j] / sqrt(d))

A slot made of four tokens draws as much attention as the four did, one of nothing but padding (n = 0) draws none, and
with one token a slot this is BERT's own attention (ToMe, Bolya et al. 2023, arXiv:2210.09461, section 3).
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(query: Tensor, key: Tensor, value: Tensor, size: Tensor, heads: int) -> Tensor:
    """Attention: ``(B, S, H)`` each and ``size`` (B, S), tokens of each slot, -> (B, S, H)."""
    if torch.onnx.is_in_onnx_export():
        width = query.shape[-1] // heads
        return cast(Tensor, Exported.apply(query, key, value, size, heads, int(width)))
    if query.dtype == torch.bfloat16 and query.device.type == "cpu":
        # The processor's kernel is up to four times slower backwards in bfloat16 than in float32.
        query, key, value = query.float(), key.float(), value.float()
    bias = size.log()[:, None, None].to(query.dtype)
    query, key, value = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    with torch.autocast(query.device.type, enabled=False):
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return seen.transpose(1, 2).flatten(2)


class Exported(torch.autograd.Function):
    """:func:`attend` as ONNX Runtime computes it fastest.

    Its kernel that never forms the S x S weights takes no bias. So the sizes multiply the values, and ride along
    themselves as one more number of each head: what they come out as is the denominator. Keys of padding are 0, lest
    exp of theirs dwarf all others.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, size: Tensor, heads: int, width: int
    ) -> Tensor:  # type: ignore[override]
        """Shapes alone matter while a graph is traced."""
        return torch.empty_like(query)

    @staticmethod
    def symbolic(g: Any, query: Any, key: Any, value: Any, size: Any, heads: int, width: int) -> Any:
        """The nodes; in a shape, 0 is what the input has there and -1 what is left."""

        def constant(*numbers: int) -> Any:
            return g.op("Constant", value_t=torch.tensor(numbers))

        def shaped(x: Any, *shape: int) -> Any:
            return g.op("Reshape", x, constant(0, -1, *shape))

        one = g.op("Constant", value_t=torch.ones(()))
        real = g.op("Unsqueeze", g.op("Min", size, one), constant(2))
        count = g.op("Unsqueeze", size, constant(2, 3))
        weighted = g.op("Mul", shaped(value, heads, width), count)
        carried = g.op("Concat", weighted, g.op("Tile", count, constant(1, 1, heads, 1)), axis_i=3)
        seen = g.op(
            "com.microsoft::MultiHeadAttention",
            query, g.op("Mul", key, real), shaped(carried, heads * (width + 1)), num_heads_i=heads,
        )  # fmt: skip
        total, counted = g.op(
            "Split", shaped(seen, heads, width + 1), constant(width, 1), axis_i=3, outputs=2
        )
        return shaped(g.op("Div", total, counted), heads * width).setType(query.type())
