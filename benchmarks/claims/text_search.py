"""What ``benchmarks.text_search`` measured: fronts of a search, of chance, of a person, and of every plan."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, error, need, of_rows
from benchmarks.tools.tables import Columns, Rows

NSGA, STARTED, RANDOM = "NSGA-II from plans by hand", "at random, after plans by hand", "at random"
BY_HAND, EVERY = "plans by hand alone", "every plan, together"
COLUMNS: Columns = {
    "area of the best possible": ("area", "{:.1%}"),
    "on texts unseen": ("area unseen", "{:.1%}"),
    "different plans": ("plans", "{:.0f}"),
    "work, full passes": ("work", "{:.1f}"),
}
WORK = Axis("work, in passes of the full length over the texts", "work", "lower", log=True)
AREA = Axis("area of the best possible", "area", "higher", percent=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model."""
    rows: Rows = results["rows"]
    points = of_rows(rows, COLUMNS, WORK, AREA, _series)
    series = (EVERY, NSGA, STARTED, RANDOM, BY_HAND)
    numbers = _numbers(rows, results)
    return [
        describe(
            "text_search", name, results, numbers, (rows, COLUMNS), (Plot("", WORK, AREA, points),), series
        )
    ]


def _series(row: str) -> str:
    return row.rpartition(", ")[0] if row.endswith("trials") else row


def _numbers(rows: Rows, results: dict[str, Any]) -> dict[str, Any]:
    """Every plan beside the search of the most trials, and that one beside chance with the same start."""
    most = max(results["trials"])
    search, chance = rows[f"{NSGA}, {most} trials"], rows[f"{STARTED}, {most} trials"]
    gap = need(search, "area") - need(chance, "area")
    apart = max(error(search["area"]), error(chance["area"]))
    return {
        "most": most,
        "every_work": need(rows[EVERY], "work"),
        "search_work": need(search, "work"),
        "search": search,
        "chance": chance,
        "by_hand": rows[BY_HAND],
        "all": rows[EVERY],
        "hand_holds": need(rows[BY_HAND], "area unseen") > need(rows[EVERY], "area unseen"),
        "search_wins": gap > apart,
        "chance_wins": gap < -apart,
        "level": abs(gap) <= apart,
        "counts": " ".join(map(str, results["trials"])),
    }
