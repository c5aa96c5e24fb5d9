"""What ``benchmarks.text_promises`` measured: losses of plans as validation texts foretell them, and on test texts."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, told
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "agreement of ranks": ("rank", "{:.2f}"),
    "off by, points": ("off", "{:.2f}"),
    "at worst": ("worst", "{:.2f}"),
}
# What a plan's loss may be read from; the last is what ``textclf.search`` goes by.
COUNTED, SURE, CALIBRATED = (
    "errors, counted",
    "probability of wrong labels",
    "probability of wrong labels, at the plan's own temperature",
)
FORETOLD = Axis("points lost, as validation texts foretell", "foretold")
LOST = Axis("points lost on test texts", "lost")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model."""
    rows: Rows = results["rows"]
    numbers = {
        "count": len(results["plans"]),
        **{key: rows[way] for key, way in (("ours", CALIBRATED), ("counted", COUNTED), ("sure", SURE))},
    }
    plots = (Plot("", FORETOLD, LOST, tuple(_points(results["plans"])), equal=True),)
    return [
        describe("text_promises", name, results, numbers, (rows, COLUMNS), plots, (CALIBRATED, COUNTED, SURE))
    ]


def _points(plans: list[dict[str, Any]]) -> list[Point]:
    return [
        Point(
            way,
            " ".join(map(str, plan["factors"])),
            plan["foretold"][way],
            plan["lost"],
            facts=(told(plan["foretold"][way], FORETOLD), told(plan["lost"], LOST)),
        )
        for way in (CALIBRATED, COUNTED, SURE)
        for plan in plans
    ]
