"""Where a slider over the plans of a model can stand: the same for texts and for images."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from demo.uploads.values import UploadError

FULL, USUAL = "full", "balanced"  # all of a model, and the plan that a visitor sees first


class Facts(Protocol):
    """What is known of a plan."""

    @property
    def latency_ms(self) -> float | None: ...


F = TypeVar("F", bound=Facts)


@dataclass(frozen=True)
class Stop(Generic[F]):
    """Where the slider can stand: a plan with its names, of which there are several where a search found the same."""

    names: tuple[str, ...]
    facts: F

    @property
    def name(self) -> str:
        return self.names[0]


def stops(
    plans: Mapping[str, F], same: Callable[[F], Hashable], work: Callable[[F], float]
) -> tuple[Stop[F], ...]:
    """Plans by name, each once: the full one first, the fastest last.

    Args:
        same: what two names of one plan have in common.
        work: what plans are ordered by where one of them was never timed: more takes longer.
    """
    names: dict[Hashable, list[str]] = {}
    for name, facts in plans.items():
        names.setdefault(same(facts), []).append(name)
    found = [Stop(tuple(group), plans[group[0]]) for group in names.values()]
    timed = all(stop.facts.latency_ms for stop in found)

    def speed(stop: Stop[F]) -> tuple[bool, float]:
        return FULL not in stop.names, -(
            stop.facts.latency_ms if timed and stop.facts.latency_ms else work(stop.facts)
        )

    return tuple(sorted(found, key=speed))


def stop_of(found: Sequence[Stop[F]], plan: object) -> Stop[F]:
    """The stop of a plan; the usual plan is the full one where nobody searched.

    Raises:
        UploadError: there is no plan of that name.
    """
    known = [name for stop in found for name in stop.names]
    wanted = FULL if plan == USUAL and USUAL not in known else plan
    asked = next((stop for stop in found if wanted in stop.names), None)
    if asked is None:
        raise UploadError(f"The plan must be one of {', '.join(known)}.")
    return asked
