"""What ``benchmarks.canonical`` measured: the orientations in which a model without labels stands each class."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import (
    Axis,
    Claim,
    Plot,
    Point,
    argument,
    data_title,
    listed,
    need,
    per_cent,
    told,
)
from benchmarks.tables import Columns, Rows

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
    shown = _shown(rows)
    points = tuple(point for row in shown for point in _points(row, rows[row]["histogram"]))
    data = data_title(results["data"])
    return [
        Claim(
            name,
            f"What is upright: {data}",
            "Shapes in 2D",
            _sentence(rows),
            _limits(rows),
            rows,
            COLUMNS,
            (Plot("", ANGLE, SHARE, points, lines=True),),
            shown,
            f"{results['n']:,} test pictures of {data}, each turned once by an unknown angle",
            f"one trained model ({results['model']})",
            f"python -m benchmarks.canonical --data {argument(results['data'])}"
            + (f" --model {results['model']}" if results["model"] != MODEL else ""),
            results,
            "Degrees counter-clockwise, from how a picture stood before it was turned.",
        )
    ]


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


def _two_ways(rows: Rows) -> list[str]:
    return [row for row, found in rows.items() if need(found, "half_turn") >= TWO_WAYS]


def _turned(rows: Rows) -> list[tuple[str, str]]:
    """A class and its nearest other one, where that stands half a turn from it."""
    return [(row, found["nearest"]) for row, found in rows.items() if found["degrees_between"] >= 180 - BIN]


def _apart(rows: Rows, first: str, second: str) -> float:
    """Degrees between where two classes stand, 0 to 180."""
    gap = abs(need(rows[first], "degrees") - need(rows[second], "degrees")) % 360
    return min(gap, 360 - gap)


def _shown(rows: Rows) -> tuple[str, ...]:
    """Classes that show something: the surest with its nearest half a turn away, one that stands two ways, others."""
    pairs = sorted(_turned(rows), key=lambda pair: max(need(rows[row], "half_turn") for row in pair))
    both = sorted(_two_ways(rows), key=lambda row: -need(rows[row], "half_turn"))
    return tuple(dict.fromkeys((*(pairs[0] if pairs else ()), *both[:1], *rows)))[:SHOWN]


def _sentence(rows: Rows) -> str:
    sure = sorted(need(found, "within_15") for found in rows.values())
    words = (
        "What a model without labels takes for upright is its own choice: within 15 degrees of one orientation a "
        f"class stands in {per_cent(sure[0])} to {per_cent(sure[-1])} of its pictures."
    )
    if pairs := _turned(rows):
        told = listed([f"of {first} it is {second}" for first, second in pairs])
        words += f" The class whose codes are nearest stands half a turn away for some: {told}."
    return words


def _limits(rows: Rows) -> str:
    both = [f"{row} ({per_cent(need(rows[row], 'half_turn'))})" for row in _two_ways(rows)]
    two = f" Some stand two ways, this many half a turn from the others: {listed(both)}." if both else ""
    return (
        "One model; another run chooses other orientations. Whoever needs what people call upright must stand each "
        f"class up.{two}"
    )
