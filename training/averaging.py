"""An exponential average of a training's weights: what the last steps have in common, without their noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim.swa_utils import get_ema_multi_avg_fn


def averaging(decay: float) -> Callable[[Any, Any, Any], None]:
    """For ``torch.optim.swa_utils.AveragedModel``; it forgets faster in its first steps.

    With the whole decay from the start, the average of a short run (few examples) would be mostly its first weights.
    """

    def average(averaged: Any, current: Any, count: Any) -> None:
        warm = float((1 + count) / (10 + count))
        get_ema_multi_avg_fn(min(decay, warm))(averaged, current, count)

    return average
