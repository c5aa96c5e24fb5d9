"""Length bottlenecks: ways to make k neighbouring slots of a sequence into one, and the plans that place them.

A *plan* is a tuple of factors (1, 2 or 4), one for each layer that runs, applied before it: ``(1, 2, 1, 2, 1, 1)``
halves before the second and the fourth layer, ``(4, 1, 1)`` quarters at once and runs three layers only. Every length
follows from that of the input, so a plan's savings hold in batches, in ONNX and in int8. Where a factor leaves a rest,
the last window is filled up with padding.

Four operators, all on the slots after [CLS], which is never pooled:

- ``learned``: a weighted mean over each window; the weights are a softmax of a score of the content and the position
  in the window. Both start at zero: a mean. (After Funnel-Transformer's pooling, Dai et al. 2020, arXiv:2006.03236.)
- ``mean``: the same without anything learned.
- ``merge``: every second slot joins the most similar of the others (ToMe, Bolya et al. 2023, arXiv:2210.09461), here
  compared by hidden state, because the layer's keys do not exist yet.
- ``topk``: the slots with the highest scores stay, the others are dropped (as PoWER-BERT, Goyal et al. 2020,
  arXiv:2001.08950, with a learned score beside the similarity to [CLS]).

What a text gets does not depend on its padding: windows are counted from the first token, padding has weight 0, and
how many slots ``merge`` and ``topk`` keep follows from the text's own tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textclf.attention import whole

Plan = tuple[int, ...]
Operator = Literal["learned", "mean", "merge", "topk"]
OPERATORS: tuple[Operator, ...] = ("learned", "mean", "merge", "topk")
FACTORS = (1, 2, 4)
LIMIT = 64  # of a plan's total factor


class Shrunk(NamedTuple):
    """A shortened sequence and where it came from.

    ``flow[b, s, l]`` is the weight of slot l in the new slot s; rows of real slots sum to 1 (``topk``: a single 1).
    """

    x: Tensor  # (B, S, H)
    size: Tensor  # (B, S)
    flow: Tensor  # (B, S, L)


def check_plan(factors: Iterable[int], layers: int) -> Plan:
    """The plan as a tuple; ``ValueError`` if these are no factors for an encoder of ``layers`` layers."""
    plan = tuple(int(f) for f in factors)
    if not 1 <= len(plan) <= layers or not set(plan) <= set(FACTORS):
        raise ValueError(f"a plan is 1 to {layers} factors of {FACTORS}, one a layer, not {plan}")
    if math.prod(plan) > LIMIT:
        raise ValueError(f"plan {plan} shrinks by {math.prod(plan)}, more than {LIMIT}")
    return plan


def lengths(tokens: int, plan: Plan) -> tuple[int, ...]:
    """Slots in each layer that runs, [CLS] included, for a text of ``tokens`` tokens."""
    rest, found = tokens - 1, []
    for factor in plan:
        rest = math.ceil(rest / factor)
        found.append(1 + rest)
    return tuple(found)


class Bottleneck(nn.Module):
    """Shrinks a sequence by 1, 2 or 4 before one layer.

    Args:
        hidden: numbers a slot.
        operator: one of ``OPERATORS``.
    """

    def __init__(self, hidden: int, operator: Operator = "learned") -> None:
        super().__init__()
        if operator not in OPERATORS:
            raise ValueError(f"unknown pooling {operator!r}: choose one of {', '.join(OPERATORS)}")
        self.operator = operator
        learns = operator in ("learned", "topk")
        self.score = nn.Linear(hidden, 1, bias=False) if learns else None
        if self.score is not None:
            nn.init.zeros_(self.score.weight)
        self.place = (
            nn.ParameterDict({str(k): nn.Parameter(torch.zeros(k)) for k in FACTORS if k > 1})
            if operator == "learned"
            else None
        )

    def forward(self, x: Tensor, size: Tensor, factor: int) -> tuple[Tensor, Tensor]:
        """``x`` (B, 1 + L, H), ``size`` (B, 1 + L) -> (B, 1 + S, H), (B, 1 + S), where S is ceil(L / factor)."""
        if factor == 1:
            return x, size
        rest, count = after_first(x, factor), after_first(size, factor)
        if self.operator in ("learned", "mean"):  # without the matrix that `flow` needs
            slots = pool(rest, self.window_weights(rest, count, factor)), pooled_size(count, factor)
        else:
            slots = self.shrink(x[:, :1], rest, count, factor)[:2]
        return torch.cat([x[:, :1], slots[0]], 1), torch.cat([size[:, :1], slots[1]], 1)

    def flow(self, x: Tensor, size: Tensor, factor: int) -> Tensor:
        """How the slots flow together, ``(B, 1 + S, 1 + L)``; arguments as for ``forward``."""
        if factor == 1:
            return torch.eye(x.shape[1], device=x.device).expand(len(x), -1, -1)
        rest, count = after_first(x, factor), after_first(size, factor)
        if self.operator in ("learned", "mean"):
            inner = window_flow(self.window_weights(rest, count, factor))
        else:
            inner = self.shrink(x[:, :1], rest, count, factor).flow
        inner = inner[..., : x.shape[1] - 1]
        return F.pad(inner, (1, 0, 1, 0)) + F.pad(x.new_ones(1, 1), (0, inner.shape[2], 0, inner.shape[1]))

    def window_weights(self, x: Tensor, size: Tensor, factor: int) -> Tensor:
        """``x`` (B, L, H), ``size`` (B, L), both without [CLS] -> ``(B, L / factor, factor)``."""
        score = windows(x.new_zeros(x.shape[:2]) if self.score is None else self.score(x)[..., 0], factor)
        if self.place is not None:
            score = score + self.place[str(factor)]
        return window_weights(score, windows(size, factor))

    def shrink(self, first: Tensor, x: Tensor, size: Tensor, factor: int) -> Shrunk:
        """``merge`` and ``topk`` on the slots after [CLS], which is ``first`` (B, 1, H)."""
        if self.score is not None:
            learned = self.score(x)[..., 0]
            alike = (x * first).sum(-1) / math.sqrt(x.shape[-1])
            # The gate starts at 1 and is how the choice, which has no gradient, learns.
            return select(x * (2 * learned.sigmoid())[..., None], size, alike + learned, factor)
        half = merge(x, size)
        if factor == 2:
            return half
        quarter = merge(half.x, half.size)
        return quarter._replace(flow=quarter.flow @ half.flow)


# Pure functions ----------------------------------------------------------------------------------------------------


def after_first(x: Tensor, factor: int) -> Tensor:
    """What comes after the first slot, filled up to a multiple of ``factor``: (B, 1 + L, ...) -> (B, k factor, ...)."""
    if torch.onnx.is_in_onnx_export():
        return cast(Tensor, ExportedFill.apply(x, factor, x.dim() - 2))
    return filled_up(x, factor)


def filled_up(x: Tensor, factor: int) -> Tensor:
    """:func:`after_first` in PyTorch: a pad of -1 at the start takes the first slot away, in the same copy."""
    return F.pad(x, (*[0, 0] * (x.dim() - 2), -1, (1 - x.shape[1]) % factor))


def windows(x: Tensor, factor: int) -> Tensor:
    """Neighbours side by side: ``(B, L, ...)`` -> ``(B, L / factor, factor, ...)``."""
    if torch.onnx.is_in_onnx_export():
        return cast(Tensor, ExportedWindows.apply(x, factor, [int(n) for n in x.shape[2:]]))
    return x.unflatten(1, (-1, factor))


class ExportedFill(torch.autograd.Function):
    """:func:`filled_up` with a length that is known only when the graph runs; ``others`` dimensions are left alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: int, others: int) -> Tensor:
        """Shapes alone matter while a graph is traced."""
        return filled_up(x, factor)

    @staticmethod
    def symbolic(g: Any, x: Any, factor: int, others: int) -> Any:
        """The nodes; a pad has the starts of all dimensions, then the ends."""
        alone = [0] * others
        length = g.op("Shape", x, start_i=1, end_i=2)
        missing = g.op("Mod", g.op("Sub", whole(g, 1), length), whole(g, factor))
        parts = [whole(g, 0, -1, *alone, 0), missing, *([whole(g, *alone)] if others else [])]
        return g.op("Pad", x, g.op("Concat", *parts, axis_i=0))


class ExportedWindows(torch.autograd.Function):
    """:func:`windows` as one node; ``unflatten`` becomes six, which take the shape of x apart and put it together."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: int, rest: list[int]) -> Tensor:
        """Shapes alone matter while a graph is traced."""
        return x.unflatten(1, (-1, factor))

    @staticmethod
    def symbolic(g: Any, x: Any, factor: int, rest: list[int]) -> Any:
        """The node; in its shape, 0 is what x has there and -1 what is left."""
        return g.op("Reshape", x, whole(g, 0, -1, factor, *rest))


def window_weights(score: Tensor, size: Tensor) -> Tensor:
    """Softmax of ``score + log size`` over each window, ``(B, S, k)`` both; padding gets exactly 0.

    A window of nothing but padding is spread evenly: its size, 0, keeps anyone from looking at it.
    """
    empty = size.sum(-1, keepdim=True) == 0
    return (score + (size + empty).log()).softmax(-1)


def pool(x: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of windows: ``x`` (B, L, H), ``weights`` (B, S, k) -> (B, S, H)."""
    return (weights[..., None].to(x.dtype) * windows(x, int(weights.shape[-1]))).sum(2)


def pooled_size(size: Tensor, factor: int) -> Tensor:
    """Tokens of each window: (B, L) -> (B, L / factor)."""
    return windows(size, factor).sum(-1)


def window_flow(weights: Tensor) -> Tensor:
    """Window weights (B, S, k) as a matrix (B, S, S * k)."""
    _, slots, k = weights.shape
    same = torch.eye(slots, device=weights.device, dtype=weights.dtype)
    return (weights[:, :, None] * same[..., None]).reshape(-1, slots, slots * k)


def merge(x: Tensor, size: Tensor) -> Shrunk:
    """Slots 1, 3, 5, ... each join the most similar of 0, 2, 4, ..., as a mean weighted by size.

    ``x`` (B, L, H), ``size`` (B, L) with even L -> L / 2 slots, of which a text of n slots uses ceil(n / 2).
    """
    unit = F.normalize(x.float(), dim=-1)
    scores = unit[:, 1::2] @ unit[:, ::2].transpose(1, 2)  # (B, L/2 src, L/2 dst)
    scores = scores.masked_fill(size[:, None, ::2] == 0, -2.0)  # nobody joins padding
    src = F.one_hot(scores.argmax(-1), scores.shape[-1]).transpose(1, 2)  # (B, dst, src): which joins which
    dst = torch.eye(src.shape[1], device=x.device).expand_as(src)  # (B, dst, dst)
    weights = torch.stack([dst * size[:, ::2, None], src * size[:, None, 1::2]], -1).flatten(2)  # (B, dst, L)
    total = weights.sum(-1)
    flow = weights / total.clamp(min=1)[..., None]
    return Shrunk(flow.to(x.dtype) @ x, total, flow)


def select(x: Tensor, size: Tensor, score: Tensor, factor: int) -> Shrunk:
    """The ceil(n / factor) best scored of a text's n slots, in their order: (B, L, H) -> (B, L / factor, H)."""
    length = x.shape[1]
    real = size > 0
    best = score.masked_fill(~real, -torch.inf).topk(length // factor, 1).indices
    wanted = (real.sum(1, keepdim=True) + factor - 1) // factor
    rank = torch.arange(length // factor, device=x.device)
    chosen = torch.where(rank < wanted, best, length).sort(1).values  # the slots left over come last
    used = chosen < length
    flow = F.one_hot(chosen, length + 1)[..., :length].to(x.dtype)
    return Shrunk(flow @ x, used * (flow @ size[..., None].to(x.dtype))[..., 0].to(size.dtype), flow)
