"""Ways to choose plans: their areas, what they ask for, and what is said of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from benchmarks.claims import text_search as claim
from benchmarks.text_search import TextSearch, area, by_hand, drawn, rows_of
from textclf.search import every_plan, space


def test_area_is_that_of_the_union_of_rectangles() -> None:
    points = [(1.0, 3.0), (2.0, 1.0), (2.5, 2.0), (9.0, 0.0)]  # the third adds nothing, the last is beyond
    assert area(points, (4.0, 4.0)) == pytest.approx(3 * 1 + 2 * 2)
    assert area([], (4.0, 4.0)) == 0


def test_chance_asks_for_as_many_as_it_may_and_for_none_twice() -> None:
    plans = space(4, 4, 1)
    hand = [plans.plan(numbers) for numbers in plans.seeds]
    found = drawn(plans, 20, 0, hand)
    assert found[: len(hand)] == list(dict.fromkeys(hand))
    assert len(hand) < len(set(found)) == len(found) <= 20
    assert drawn(plans, 20, 1, hand) != found == drawn(plans, 20, 0, hand)


def test_plans_by_hand_are_plans_and_all_different() -> None:
    plans = by_hand(6)
    assert len(set(plans)) == len(plans) > 10
    assert set(plans) <= set(every_plan(6))


def known() -> dict[tuple[int, ...], tuple[float, float]]:
    """Early shrinking errs most; time is what is left of the length."""
    found = {}
    for plan in every_plan(4, 4, 1):
        left = [1 / x for x in itertools.accumulate(plan, lambda a, b: a * b)]
        found[plan] = (sum(1 - x for x in left) ** 2 + 0.3 * (4 - len(plan)), sum(left))
    return found


def test_every_plan_leaves_nothing_and_a_search_little() -> None:
    options = TextSearch("text-agnews", "agnews", trials=(30,), seeds=2)
    rows = rows_of(known(), known(), space(4, 4, 1), [(1, 1, 1, 1), (2, 1, 1, 1)], 64, options)
    assert rows[claim.EVERY]["area"]["mean"] == rows[claim.EVERY]["area unseen"]["mean"] == 1
    assert rows[claim.EVERY]["plans"]["mean"] == len(known())
    assert 0 < rows[claim.BY_HAND]["area"]["mean"] <= rows[f"{claim.NSGA}, 30 trials"]["area"]["mean"] <= 1
    assert rows[f"{claim.NSGA}, 30 trials"]["area"]["n"] == 2


def row(area: float, std: float = 0.0, work: float = 9.0) -> dict[str, Any]:
    return {
        "area": {"mean": area, "std": std, "n": 5},
        "area unseen": {"mean": area, "std": std, "n": 5},
        "work": work,
    }


@pytest.mark.parametrize(
    ("search", "words"), [(0.96, "as much within"), (0.99, "less"), (0.9, "more")], ids=("level", "search", "chance")
)  # fmt: skip
def test_the_claim_says_who_wins(search: float, words: str) -> None:
    rows = {
        f"{claim.NSGA}, 9 trials": row(search, 0.005),
        f"{claim.STARTED}, 9 trials": row(0.958, 0.01),
        claim.BY_HAND: row(0.8),
        claim.EVERY: row(1.0, work=4.5),
    }
    facts = {"model": "m", "data": "agnews", "every": 50, "n": 4, "unseen": 5, "seeds": 5, "trials": [9]}
    (said,) = claim.claims("text_search_m", {**facts, "rows": rows})
    assert "all 50 plans of six layers take as much work as 4.5 passes" in said.sentence
    assert f"same start leave {words}" in said.sentence
    assert said.sentence.count("same start") == 1
    assert "theirs holds better" not in said.sentence
    rows[claim.BY_HAND]["area unseen"] = {"mean": 0.9, "std": 0, "n": 1}
    rows[claim.EVERY]["area unseen"] = {"mean": 0.7, "std": 0, "n": 1}
    (said,) = claim.claims("text_search_m", {**facts, "rows": rows})
    assert "theirs holds better on texts that nobody saw: 90.0 %, of every plan 70.0 %" in said.sentence
