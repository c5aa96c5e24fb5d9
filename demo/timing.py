"""Times that are shown: measured live, on one thread, the things compared taking turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import comb
from statistics import median
from typing import NamedTuple

import torch

from training.measure import take_turns

ROUNDS, MOST = 9, 90  # of each: at first, and until the interval is narrow
PATIENCE = 2.5  # seconds that a comparison may take
NARROW, WIDE = 1.1, 1.5  # how far an interval's ends may be apart: enough rounds; nothing can be told

# Windows counts what a thread takes of its processor in 16 ms.
CLOCK = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-5 else time.perf_counter

Rounds = tuple[float, ...]  # milliseconds of one thing, round by round

_one_at_a_time = threading.Lock()  # who is measured alone is measured fairly


class Ratio(NamedTuple):
    """How many times longer one thing takes than another: median over rounds, and its 95 % interval."""

    median: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether the machine was quiet enough to tell."""
        return self.high <= WIDE * self.low


def rounds(calls: Mapping[str, Callable[[], object]]) -> dict[str, Rounds]:
    """Milliseconds of one call of each, until the first is well compared with every other, or patience ends."""
    with _one_at_a_time:
        began, found = time.monotonic(), _turns(calls, ROUNDS, warmup=1)
        first, *others = calls
        while len(found[first]) < MOST and time.monotonic() - began < PATIENCE:
            if all(_is_narrow(found[first], found[other]) for other in others):
                break
            found = {name: found[name] + more for name, more in _turns(calls, ROUNDS).items()}
    return found


def milliseconds(call: Callable[[], object], runs: int, enough: float) -> float:
    """Median time of a call that was made just before; of fewer ``runs`` where they take ``enough`` seconds.

    It is that of the thread's own processor, so that nobody need wait until it is alone.
    """
    times: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            while len(times) < runs and sum(times) < enough:
                began = CLOCK()
                call()
                times.append(CLOCK() - began)
    finally:
        torch.set_num_threads(threads)
    return 1e3 * median(times)


def _turns(calls: Mapping[str, Callable[[], object]], count: int, warmup: int = 0) -> dict[str, Rounds]:
    found = take_turns(calls, rounds=count, warmup=warmup)
    return {name: tuple(wall for wall, _ in pairs) for name, pairs in found.items()}


def _is_narrow(first: Rounds, second: Rounds) -> bool:
    found = ratio(first, second)
    return found.high <= NARROW * found.low


def ratio(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """How many times longer the second takes than the first, by the rounds that both took turns in.

    The interval is that of a median, between two of the ordered ratios (Conover 1999, section 3.2): it asks nothing of
    how times are distributed. Fewer than six rounds have none that is narrower than all of them.
    """
    found = sorted(b / a for a, b in zip(first, second, strict=True))
    cut = _cut(len(found))
    return Ratio(median(found), found[cut], found[-1 - cut])


def _cut(count: int) -> int:
    """How many of ``count`` ordered numbers may lie outside of either end of a 95 % interval of their median."""
    outside, cut = 1 / 2**count, 0
    while (outside := outside + comb(count, cut + 1) / 2**count) <= 0.025:
        cut += 1
    return cut if 1 / 2**count <= 0.025 else 0
