"""What ``benchmarks.text_alternatives`` measured: a model's plans beside what a practitioner would use instead."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, facts, need
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "accuracy": ("accuracy", "{:.2%}"),
    "ahead of balanced, points": ("ahead", "{:+.2f}"),
    "its standard error": ("ahead_std_error", "{:.2f}"),
    "ms a text": ("ms", "{:.2f}"),
}
MS = Axis("milliseconds a text", "ms", "lower", log=True)
ACCURACY = Axis("accuracy", "accuracy", "higher", percent=True)
PLANS, INT8, CUT, OTHERS = "plans, float32", "plans, int8", "full length, texts cut", "without a bottleneck"
SURE = 2.0  # standard errors


def series(name: str) -> str:
    """Whose a row is."""
    if name.endswith(", int8"):
        return INT8
    if name.endswith(" tokens"):
        return CUT
    return PLANS if name in ("full", "accurate", "balanced", "fastest") else OTHERS


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model."""
    rows: Rows = results["rows"]
    points = tuple(
        Point(series(n), n, need(r, "ms"), need(r, "accuracy"), facts=facts(r, COLUMNS), label=n)
        for n, r in rows.items()
    )
    return [
        describe(
            name,
            "text_alternatives",
            results,
            {**_numbers(rows), "data_name": results["data"], "seen": results["skipped"] or None},
            system="Text",
            rows=rows,
            columns=COLUMNS,
            plots=(Plot("Accuracy over time", MS, ACCURACY, points),),
            series=(PLANS, INT8, CUT, OTHERS),
        )
    ]


def _numbers(rows: Rows) -> dict[str, Any]:
    """How the plan "balanced" stands to each alternative: by standard errors on the same texts."""
    balanced = rows["balanced"]
    others = {n: row for n, row in rows.items() if series(n) in (CUT, OTHERS)}
    ahead = {n: need(r, "ahead") / max(need(r, "ahead_std_error"), 1e-9) for n, r in others.items()}
    return {
        "balanced": balanced,
        "faster": need(rows["full"], "ms") / need(balanced, "ms"),
        "behind": [n for n in others if ahead[n] < -SURE],
        "level": [n for n in others if abs(ahead[n]) <= SURE],
        "ahead": [n for n in others if ahead[n] > SURE],
        "quicker": [
            n for n, row in others.items() if series(n) == OTHERS and need(row, "ms") < need(balanced, "ms")
        ],
    }
