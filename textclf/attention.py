"""Attention over slots that stand for different numbers of tokens.

    out[i] = sum_j n[j] e[i, j] v[j] / sum_j n[j] e[i, j],      e[i, j] = exp(q[i] . k[j] / sqrt(d))

A slot made of four tokens draws as much attention as the four did, one of nothing but padding (n = 0) draws none, and
with one token a slot this is BERT's own attention (ToMe, Bolya et al. 2023, arXiv:2210.09461, section 3).
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

NOTHING = 1e-26  # tokens that padding counts as in a graph: less, and its weights would be subnormal, which are slow


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


def whole(g: Any, *numbers: int) -> Any:
    """A constant of whole numbers ``(n,)`` in a graph under export: a shape, dimensions or a pad."""
    return g.op("Constant", value_t=torch.tensor(numbers))


class Exported(torch.autograd.Function):
    """:func:`attend` as ONNX Runtime computes it fastest.

    Its kernel that never forms the S x S weights takes no bias. So the bias rides along as one more number of each
    head: 1 in the queries, and in the keys what the kernel's scale makes log(n). Keys of padding are 0 beside it, so
    that no content makes up for a low n.
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

        def real(number: float) -> Any:
            return g.op("Constant", value_t=torch.tensor(number))

        def split(x: Any) -> Any:
            return g.op("Reshape", x, whole(g, 0, -1, heads, width))

        def joined(x: Any) -> Any:
            return g.op("Reshape", x, whole(g, 0, -1, heads * (width + 1)))

        kept = g.op("Mul", key, g.op("Unsqueeze", g.op("Min", size, real(1.0)), whole(g, 2)))
        bias = g.op("Mul", g.op("Log", g.op("Max", size, real(NOTHING))), real(math.sqrt(width)))
        of_head = g.op("Tile", g.op("Unsqueeze", bias, whole(g, 2, 3)), whole(g, 1, 1, heads, 1))
        seen = g.op(
            "com.microsoft::MultiHeadAttention",
            joined(g.op("Pad", split(query), whole(g, 0, 0, 0, 0, 0, 0, 0, 1), real(1.0))),
            joined(g.op("Concat", split(kept), of_head, axis_i=3)),
            value,
            num_heads_i=heads,
            scale_f=1 / math.sqrt(width),
        )
        return seen.setType(query.type())
