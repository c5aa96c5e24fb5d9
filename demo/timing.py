"""Times that are shown: measured live, on one thread, the things compared taking turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from training.measure import compare

RUNS = 9  # of each

_one_at_a_time = threading.Lock()  # who is measured alone is measured fairly


def milliseconds(calls: Mapping[str, Callable[[], object]], runs: int = RUNS) -> dict[str, float]:
    """Median time of one call of each."""
    with _one_at_a_time:
        times = compare(calls, rounds=runs, repeats=1, warmup=1)
    return {name: times[name].median_ms for name in calls}
