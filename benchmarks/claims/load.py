"""What ``benchmarks.load`` measured: how long visitors wait for the page's answers."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, facts, need, per_cent
from benchmarks.tables import Columns, Rows

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
    cores = results["machine"]["cores"]
    return [
        Claim(
            name,
            "Many visitors",
            "The page",
            _sentence(rows, cores),
            _limits(rows, results),
            rows,
            COLUMNS,
            tuple(
                _plot(action, {n: r for n, r in rows.items() if r["action"] == action}) for action in first
            ),
            tuple(PERCENTILES.values()),
            f"{_answers(rows):,} answers in rounds of {results['seconds']:.0f} seconds",
            "one round for each number of visitors",
            "python -m benchmarks.load",
            results,
            f"Visitors think for {results['think']:.0f} seconds, on average, between an answer and the next question.",
        )
    ]


def _answers(rows: Rows) -> int:
    return sum(row["n"] for row in rows.values() if row["action"] == ALL)


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


def _sentence(rows: Rows, cores: int) -> str:
    rounds = [row for row in rows.values() if row["action"] == ALL]
    good = [row for row in rounds if not row["errors"] and need(row, "p95") <= PATIENCE]
    if not good:
        return f"On {cores} cores the page did not keep 95 % of its answers within {PATIENCE:.0f} seconds."
    most = max(good, key=lambda row: row["visitors"])
    return (
        f"A machine with {cores} cores serves {most['visitors']} visitors at once: half of their "
        f"{most['n']:,} answers came within {need(most, 'p50'):.2f} seconds, 95 % within "
        f"{need(most, 'p95'):.1f}, and none failed."
    )


def _limits(rows: Rows, results: dict[str, Any]) -> str:
    rounds = [row for row in rows.values() if row["action"] == ALL]
    most = max(rounds, key=lambda row: row["visitors"])
    of_most = [
        r for r in rows.values() if r["visitors"] == most["visitors"] and r["action"] != ALL and r.get("p50")
    ]
    slow = max(of_most, key=lambda row: need(row, "p50"))
    failed = f"{most['errors']} failed" if most["errors"] else "none failed"
    words = (
        f"With {most['visitors']} visitors 95 % came within {need(most, 'p95'):.1f} seconds and {failed}; "
        f"slowest: {slow['action']}, {need(slow, 'p50'):.1f} seconds for half of them. These are programs at "
        f"the endpoints, not browsers, in rounds of {results['seconds']:.0f} seconds."
    )
    return words + _grown(results.get("growth"))


def _grown(growth: dict[str, Any] | None) -> str:
    if growth is None:
        return ""
    moved = "grew" if growth["growth_mb"] >= 0 else "shrank"
    share, more = abs(growth["growth_mb"]) / growth["before_mb"], abs(growth["growth_mb"])
    return (
        f" Over {growth['requests']:,} requests, after {growth['warm_up']:,} others, the server's memory {moved} by "
        f"{more:.0f} MB ({per_cent(share, '{:.1f} %')})."
    )
