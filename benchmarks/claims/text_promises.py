"""What ``benchmarks.text_promises`` measured: losses of plans as validation texts foretell them, and on test texts."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, data_title, need, told
from benchmarks.tables import Columns, Rows

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
    ours, counted, sure = (need(rows[way], "rank") for way in (CALIBRATED, COUNTED, SURE))
    return [
        Claim(
            name,
            f"What a search promises: {data_title(results['data'])}",
            "Text",
            f"Of {len(results['plans'])} plans of one model, probabilities of wrong labels, each plan's at the "
            f"temperature that suits it, agree in rank with the errors on other texts at {ours:.2f}: counted errors at "
            f"{counted:.2f}, probabilities as they come at {sure:.2f}.",
            "One model of one data set. Losses are small, and those on test texts have an error of their own: half a "
            "point or so.",
            rows,
            COLUMNS,
            (Plot("", FORETOLD, LOST, tuple(_points(results["plans"])), equal=True),),
            (CALIBRATED, COUNTED, SURE),
            f"{results['validation']:,} validation texts and {results['n']:,} test texts",
            "one training",
            f"python -m benchmarks.text_promises {results['model']} --data {results['data']}",
            results,
            "Ranks: Spearman's correlation with the errors on test texts. Off by: the loss against the full length, as "
            "foretold, from what it is on test texts.",
        )
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
