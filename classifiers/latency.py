"""What the parts of a network cost at each size of picture on this machine, and with it the latency of any plan.

    plan's time = stem(S) + sum over stages of [first block(S, width) + the others(S, width)] + features(S, width)

Parts are timed apart in ONNX Runtime on one thread (:mod:`training.curves`); widths between those that are timed lie on
the line between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from classifiers.export import traced
from classifiers.model import CompactCNN, session
from classifiers.plans import LEAST, WHOLE, Plan, full_plan, parts, whole_where_it_must
from training.curves import Curve, at, measured

WIDTHS = (LEAST, (LEAST + WHOLE) // 2, WHOLE)  # eighths that are timed
STEM = -1  # where a part stands: a stage, or
FEATURES = -2
Part = tuple[int, bool]  # where it stands, and whether it is the first there


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of one picture, batch 1, one thread: part -> eighths of its channels -> by size of the picture."""

    curves: Mapping[Part, Mapping[int, Curve]]

    def predict(self, plan: Plan) -> float:
        """Milliseconds of a plan; ranks are not in it, which only a clock on the whole can tell."""
        total = self._at((STEM, True), WHOLE, plan.size)
        for stage, (blocks, width) in enumerate(zip(plan.blocks, plan.widths, strict=False)):
            total += self._at((stage, True), width, plan.size)
            if blocks > 1:
                total += (blocks - 1) * self._at((stage, False), width, plan.size)
        return total + self._at((FEATURES, True), plan.widths[-1], plan.size)

    def _at(self, part: Part, width: int, size: int) -> float:
        by_width = self.curves[part]
        return at(tuple((w, at(curve, size)) for w, curve in sorted(by_width.items())), width)


def measure_table(model: CompactCNN, rounds: int = 5) -> LatencyTable:
    """Time the parts of a model at every size and at ``WIDTHS``, in turns."""
    calls: dict[tuple[Part, int], dict[int, Callable[[], object]]] = {}
    for width in WIDTHS:
        for part, (module, inputs) in _parts(model, width).items():
            run = session(traced(module, inputs[model.config.size], "x", free=True))
            calls[part, width] = {
                size: _call(lambda x, run=run: run.run(None, {"x": x.numpy()}), x)  # type: ignore[misc]
                for size, x in inputs.items()
            }
    found = measured(calls, rounds)
    curves: dict[Part, dict[int, Curve]] = {}
    for (part, width), curve in found.items():
        curves.setdefault(part, {})[width] = curve
    return LatencyTable(curves)


def _call(run: Callable[[Tensor], object], x: Tensor) -> Callable[[], object]:
    return lambda: run(x)


@torch.no_grad()
def _parts(model: CompactCNN, width: int) -> dict[Part, tuple[nn.Module, dict[int, Tensor]]]:
    """The parts of a plan of that width, each with its input for a picture of each size."""
    full = full_plan(model.network, model.config.size)
    plan = whole_where_it_must(model.network, full._replace(widths=(width,) * len(full.widths)))
    whole = model.planned(plan)
    layers, where = list(whole.trunk), [(STEM, True)]
    for stage, blocks in enumerate(parts(model.network).stages):
        where += [(stage, i == 0) for i in range(len(blocks))]
    inputs: list[dict[int, Tensor]] = [{} for _ in layers]
    for size in model.sizes:
        x = torch.rand(1, model.config.channels, size, size)
        for layer, given in zip(layers, inputs, strict=True):
            given[size], x = x, layer(x)
    found: dict[Part, tuple[nn.Module, dict[int, Tensor]]] = {}
    for part, layer, given in zip(where, layers, inputs, strict=False):
        found.setdefault(part, (layer, given))  # the second block of a stage stands for all later ones
    found[FEATURES, True] = nn.Sequential(layers[-1], whole.head), inputs[-1]
    return found
