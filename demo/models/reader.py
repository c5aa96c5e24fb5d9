"""A text classifier as the page uses it: where its slider can stand, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from demo.types import Facts
from demo.uploads.values import UploadError
from textclf import PlanFacts, TextClassifier
from textclf.bottleneck import Plan
from textclf.engine import Run, graph_path
from textclf.model import Engine

USUAL = "balanced"  # the plan that a visitor sees first
ENGINES = {"onnx": "ONNX Runtime", "torch": "PyTorch"}


@dataclass(frozen=True)
class Stop:
    """Where the slider can stand: a plan with its names, of which there are several where a search found the same."""

    names: tuple[str, ...]
    facts: PlanFacts

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def factors(self) -> Plan:
        return self.facts.factors


@dataclass(frozen=True, eq=False)
class Reader:
    """A text classifier; ``metrics`` as its folder holds them, empty where it was never measured."""

    name: str
    model: TextClassifier
    metrics: Facts

    @cached_property
    def stops(self) -> tuple[Stop, ...]:
        """Its plans, each once: the full one first, the fastest last."""
        plans = self.model.plans
        names: dict[Plan, list[str]] = {}
        for name, facts in plans.items():
            names.setdefault(facts.factors, []).append(name)
        stops = [Stop(tuple(same), plans[same[0]]) for same in names.values()]
        timed = all(stop.facts.latency_ms for stop in stops)

        def speed(stop: Stop) -> tuple[bool, float]:
            slots = float(sum(stop.facts.lengths))
            return "full" not in stop.names, -(stop.facts.latency_ms or slots if timed else slots)

        return tuple(sorted(stops, key=speed))

    @property
    def full(self) -> Stop:
        return self.stop("full")

    def stop(self, plan: str) -> Stop:
        """The stop of a plan; the usual plan is the full one where nobody searched.

        Raises:
            UploadError: there is no plan of that name.
        """
        known = [name for stop in self.stops for name in stop.names]
        wanted = "full" if plan == USUAL and USUAL not in known else plan
        if wanted not in known:
            raise UploadError(f"The plan must be one of {', '.join(known)}.")
        return next(stop for stop in self.stops if wanted in stop.names)

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
        counted = stop.factors, tokens
        if counted not in self._counted:
            self._counted[counted] = self.model.macs(stop.factors, tokens)
        return self._counted[counted]

    def section(self, *path: str) -> Facts:
        """A part of the metrics; empty where it is missing or something else."""
        section: object = self.metrics
        for key in path:
            section = section.get(key) if isinstance(section, Mapping) else None
        return section if isinstance(section, Mapping) else {}
