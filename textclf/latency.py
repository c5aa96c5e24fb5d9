"""What a layer costs at each length on this machine, and with it the latency of any plan without running it.

    plan's time = edge(N) + sum over layers of [pool(length before, factor) + layer(length after)]

A sum of parts that are timed apart: it ranks plans, which is enough to search with, but promises too much of short
texts and of shortened ones, which take up to twice as long as this says (``benchmarks.text_lengths``). What the search
finds is timed as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from textclf.bottleneck import FACTORS, Plan, lengths
from textclf.evaluate import example
from textclf.export import in_session, quantize, traced
from textclf.model import Engine, OnePlan, TextClassifier
from training.curves import Curve, at, measured


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of one text, batch 1, one thread, by length.

    Args:
        engine: that they were measured in.
        edge: embeddings and head, by input length.
        layer: one transformer layer, by its length.
        pool: factor -> one bottleneck, by the length before it.
    """

    engine: str
    edge: Curve
    layer: Curve
    pool: dict[int, Curve]

    def predict(self, plan: Plan, tokens: Iterable[int]) -> float:
        """Mean milliseconds of a plan over texts of these numbers of tokens."""
        times = [self._predict(plan, n) for n in tokens]
        return sum(times) / len(times)

    def _predict(self, plan: Plan, tokens: int) -> float:
        total, before = at(self.edge, tokens), tokens
        for factor, after in zip(plan, lengths(tokens, plan), strict=True):
            if factor > 1:
                total += at(self.pool[factor], before)
            total += at(self.layer, after)
            before = after
        return total


class OneLayer(nn.Module):
    """The first layer of a model, for a clock."""

    def __init__(self, model: TextClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, size: Tensor) -> Tensor:
        """``x`` (B, S, H) -> (B, S, H)."""
        y: Tensor = self.model.encoder.layers[0](x, size)
        return y


class OnePool(nn.Module):
    """The first bottleneck of a model, for a clock."""

    def __init__(self, model: TextClassifier, factor: int) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` (B, L, H) -> (B, S, H)."""
        y: tuple[Tensor, Tensor] = self.model.bottlenecks[0](x, size, self.factor)
        return y


def measure_table(model: TextClassifier, engine: Engine, rounds: int = 5) -> LatencyTable:
    """Time the parts of a model at lengths 1 + 4, 8, 16, ... up to its longest text, in turns."""
    top = model.config.longest
    grid = [1 + 2**i for i in range(2, 14) if 2**i < top - 1] + [top]
    calls: dict[str, dict[int, Callable[[], object]]] = {}
    parts: dict[str, nn.Module] = {"layer": OneLayer(model)}
    parts |= {f"pool{k}": OnePool(model, k) for k in FACTORS if k > 1}
    for name, part in parts.items():
        run = callable_in(part, model, hidden_states(model, 17), ("x", "size"), engine)
        calls[name] = {n: _call(run, hidden_states(model, n)) for n in grid}
    whole = callable_in(OnePlan(model, (1,)), model, example(model, 17), ("ids", "mask"), engine)
    calls["whole"] = {n: _call(whole, example(model, n)) for n in grid}
    curves = measured(calls, rounds)
    layer = curves["layer"]
    edge = tuple((n, max(0.0, t - at(layer, n))) for n, t in curves["whole"])
    return LatencyTable(engine, edge, layer, {k: curves[f"pool{k}"] for k in FACTORS if k > 1})


def _call(run: Callable[..., object], inputs: tuple[Tensor, ...]) -> Callable[[], object]:
    return lambda: run(*inputs)


def hidden_states(model: TextClassifier, length: int) -> tuple[Tensor, Tensor]:
    """Noise in place of a text's hidden states, and sizes of 1."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, length, model.config.hidden, generator=generator), torch.ones(1, length)


def callable_in(
    part: nn.Module, model: TextClassifier, inputs: tuple[Tensor, ...], names: Sequence[str], engine: Engine
) -> Callable[..., object]:
    """A part of a model as a function in an engine, on one thread; its sequence length stays free."""
    if engine == "torch":
        return part.eval()
    graph = traced(part, inputs, names)
    if engine == "int8":
        quantize(graph, model)
    return in_session(graph.SerializeToString())
