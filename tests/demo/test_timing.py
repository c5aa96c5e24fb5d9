"""What is said of two times: an interval, and nothing where the machine was too busy."""

from __future__ import annotations

import numpy as np
import pytest

from demo import timing
from demo.costs import faster
from demo.timing import ratio, rounds


def test_the_interval_of_a_median_is_between_the_ordered_ratios() -> None:
    found = ratio([1.0] * 9, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert found == (5, 2, 8)  # 96 % of medians of nine, by the binomial distribution
    assert ratio([1.0] * 15, list(range(1, 16))) == (8, 4, 12)
    assert ratio([1.0] * 3, [1, 2, 3]) == (2, 1, 3)  # too few to leave any out


def test_intervals_hold_the_true_ratio_as_often_as_they_say() -> None:
    numbers = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        first, second = numbers.lognormal(0, 0.2, (2, 15))
        found = ratio(first.tolist(), (2 * second).tolist())
        hits += found.low <= 2 <= found.high
    assert hits / 400 > 0.93


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ((1.0,) * 9, (1.8,) * 9, "1.8x faster (1.8 to 1.8)"),
        ((30.0,) * 9, (10.0,) * 9, "3.0x slower (3.0 to 3.0)"),
        ((1.0,) * 9, (0.99, 1.01) * 4 + (1.0,), "about the same"),
        ((1.0,) * 9, (0.3, 5, 1, 0.4, 3, 2, 0.5, 4, 1), "this machine is too busy to tell"),
    ],
)
def test_a_ratio_is_said_only_where_it_is_known(
    first: timing.Rounds, second: timing.Rounds, said: str
) -> None:
    assert faster([first, second]) == said
    assert faster([first]) == ""


def test_rounds_go_on_until_the_interval_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = {"a": lambda: sum(range(2000)), "b": lambda: sum(range(2000))}
    monkeypatch.setattr(timing, "_is_narrow", lambda first, second: len(first) >= 2 * timing.ROUNDS)
    found = rounds(steady)
    assert {len(times) for times in found.values()} == {2 * timing.ROUNDS}
    monkeypatch.setattr(timing, "PATIENCE", 0.0)
    assert len(rounds(steady)["a"]) == timing.ROUNDS
