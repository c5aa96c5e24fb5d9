"""What ``benchmarks.canonical`` measured: the orientations in which a model without labels stands each class."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, need, told, unless
from benchmarks.tools.tables import Columns, Rows

BIN = 15
ANGLES = range(-180, 180, BIN)  # degrees, the middles of bins
COLUMNS: Columns = {
    "pictures": ("n", "{:,}"),
    "stands at, degrees": ("degrees", "{:.0f}"),
    "within 15 degrees of it": ("within_15", "{:.1%}"),
    "half a turn from it": ("half_turn", "{:.1%}"),
    "elsewhere": ("elsewhere", "{:.1%}"),
    "nearest other": ("nearest", "{}"),
    "degrees between": ("degrees_between", "{:.0f}"),
}
MODEL = "affinevae-mnist"
TWO_WAYS = 0.1  # share of a class that stands half a turn from the rest, from which on it stands two ways
SHOWN = 3  # classes drawn in one plot

ANGLE = Axis("stands at, degrees from how it was drawn", "degrees", step=90)
SHARE = Axis("share of the class", "share", percent=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model."""
    rows = completed(results["rows"])
    two_ways = {row: need(r, "half_turn") for row, r in rows.items() if need(r, "half_turn") >= TWO_WAYS}
    turned = {row: r["nearest"] for row, r in rows.items() if r["degrees_between"] >= 180 - BIN}
    sure = sorted(need(found, "within_15") for found in rows.values())
    shown = _shown(rows, two_ways, turned)
    numbers = {
        "least": sure[0],
        "most": sure[-1],
        "turned": [f"of {first} it is {second}" for first, second in turned.items()],
        "two_ways": two_ways,
        "other_model": unless(results["model"], MODEL),
    }
    points = tuple(point for row in shown for point in _points(row, rows[row]["histogram"]))
    plots = (Plot("", ANGLE, SHARE, points, lines=True),)
    return [describe("canonical", name, results, numbers, (rows, COLUMNS), plots, shown)]


def completed(rows: Rows) -> Rows:
    """With the degrees between each class and its nearest other one."""
    return {
        row: {**found, "degrees_between": _apart(rows, row, found["nearest"])} for row, found in rows.items()
    }


def _points(row: str, shares: list[float]) -> list[Point]:
    """Of one class, from half a turn clockwise to half a turn counter-clockwise."""
    return [
        Point(row, row, angle, share, facts=(told(angle, ANGLE), told(share, SHARE)))
        for angle, share in zip(ANGLES, shares, strict=True)
    ]


def _apart(rows: Rows, first: str, second: str) -> float:
    """Degrees between where two classes stand, 0 to 180."""
    gap = abs(need(rows[first], "degrees") - need(rows[second], "degrees")) % 360
    return min(gap, 360 - gap)


def _shown(rows: Rows, two_ways: dict[str, float], turned: dict[str, str]) -> tuple[str, ...]:
    """Classes that show something: the surest with its nearest half a turn away, one that stands two ways, others."""
    pairs = sorted(turned.items(), key=lambda pair: max(need(rows[row], "half_turn") for row in pair))
    both = sorted(two_ways, key=lambda row: -two_ways[row])
    return tuple(dict.fromkeys((*(pairs[0] if pairs else ()), *both[:1], *rows)))[:SHOWN]
