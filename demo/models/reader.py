"""A text classifier as the page uses it: where its slider can stand, and what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from demo.models import stops
from demo.models.facts import Facts, section
from textclf import PlanFacts, TextClassifier
from textclf.bottleneck import Plan
from textclf.engine import Run, graph_path
from textclf.model import Engine

ENGINES = {"onnx": "ONNX Runtime", "torch": "PyTorch"}


Stop = stops.Stop[PlanFacts]


@dataclass(frozen=True, eq=False)
class Reader:
    """A text classifier; ``metrics`` as its folder holds them, empty where it was never measured."""

    name: str
    model: TextClassifier
    metrics: Facts

    @cached_property
    def stops(self) -> tuple[Stop, ...]:
        """Its plans, each once: the full one first, the fastest last."""
        return stops.stops(self.model.plans, lambda facts: facts.factors, lambda facts: sum(facts.lengths))

    @property
    def full(self) -> Stop:
        return self.stop(stops.FULL)

    def stop(self, plan: str) -> Stop:
        """The stop of a plan; see :func:`demo.models.stops.stop_of`."""
        return stops.stop_of(self.stops, plan)

    @cached_property
    def engine(self) -> Engine:
        """ONNX Runtime where every plan was exported: plans are compared in the same engine only."""
        folder = self.model.folder
        exported = folder is not None and all(
            graph_path(folder, stop.name, "float32").is_file() for stop in self.stops
        )
        return "onnx" if exported else "torch"

    def run(self, stop: Stop) -> Run:
        """A plan as a function, on one thread."""
        return self.model.runner(stop.name, self.engine, threads=1)

    @cached_property
    def _counted(self) -> dict[tuple[Plan, int], int]:
        return {}

    def macs(self, stop: Stop, tokens: int) -> int:
        """Multiply-accumulates of a text of so many tokens; counted by running it, so once for each length."""
        counted = stop.facts.factors, tokens
        if counted not in self._counted:
            self._counted[counted] = self.model.macs(stop.facts.factors, tokens)
        return self._counted[counted]

    def section(self, *path: str) -> Facts:
        """A part of the metrics, as :func:`demo.models.facts.section` gives it."""
        return section(self.metrics, *path)
