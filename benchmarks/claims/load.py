"""What ``benchmarks.load`` measured: how long visitors wait for the page's answers."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, facts, need
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "answers": ("n", "{}"),
    "errors": ("errors", "{}"),
    "median, s": ("p50", "{:.2f}"),
    "p95, s": ("p95", "{:.2f}"),
    "p99, s": ("p99", "{:.2f}"),
}
PERCENTILES = {"p50": "median", "p95": "95 % are faster", "p99": "99 % are faster"}
PATIENCE = 3.0  # seconds within which 95 % of the answers should come
ALL = "all"

VISITORS = Axis("visitors at once", "visitors", log=True, own=True)
SECONDS = Axis("seconds to the whole answer", "seconds", "lower", log=True)


def rows_of(visitors: dict[str, Any]) -> Rows:
    """One row for each number of visitors and action."""
    return {
        f"{_people(count)}: {action}": {**row, "visitors": int(count), "action": action}
        for count, found in visitors.items()
        for action, row in found["actions"].items()
    }


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of all rounds."""
    rows = rows_of(results["visitors"])
    actions = dict.fromkeys(row["action"] for row in rows.values())
    first = [ALL, *(action for action in actions if action != ALL)]
    plots = tuple(_plot(action, {n: r for n, r in rows.items() if r["action"] == action}) for action in first)
    numbers = _numbers(rows, results)
    return [describe("load", name, results, numbers, (rows, COLUMNS), plots, tuple(PERCENTILES.values()))]


def _people(count: str) -> str:
    return f"{count} visitor{'s' * (count != '1')}"


def _plot(action: str, rows: Rows) -> Plot:
    points = (
        Point(PERCENTILES[key], name, row["visitors"], row[key], facts=facts(row, COLUMNS))
        for key in PERCENTILES
        for name, row in rows.items()
        if row.get(key)
    )
    return Plot("every answer" if action == ALL else action, VISITORS, SECONDS, tuple(points), lines=True)


def _hostile(found: dict[str, Any] | None) -> dict[str, Any]:
    """What kind visitors met among others who do harm, and whether all was kept that ``benchmarks.load`` promises."""
    if found is None:
        return {"hostile": None, "withstood": None}
    every, alone = found["actions"][ALL], need(found["alone"][ALL], "p95")
    numbers = {**found, "n": every["n"], "errors": every["errors"], "p95": need(every, "p95"), "alone": alone}
    return {"hostile": numbers, "withstood": numbers if found["promise_kept"] else None}


def _numbers(rows: Rows, results: dict[str, Any]) -> dict[str, Any]:
    rounds = [row for row in rows.values() if row["action"] == ALL]
    good = [row for row in rounds if not row["errors"] and need(row, "p95") <= PATIENCE]
    most = max(rounds, key=lambda row: row["visitors"])
    actions = [r for r in rows.values() if r["visitors"] == most["visitors"] and r["action"] != ALL]
    growth = results.get("growth")
    return {
        "cores": results["machine"]["cores"],
        "answers": sum(row["n"] for row in rounds),
        "patience": PATIENCE,
        "served": max(good, key=lambda row: row["visitors"]) if good else None,
        "most": most,
        "failed": most["errors"] or None,
        "slow": max((r for r in actions if r.get("p50")), key=lambda row: need(row, "p50")),
        "growth": growth,
        **_hostile(results.get("hostile")),
        "share": abs(growth["growth_mb"]) / growth["before_mb"] if growth else None,
    }
