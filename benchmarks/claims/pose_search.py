"""What ``benchmarks.pose_search`` measured: ways to find the pose, on the same pictures with the same model."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, need, of_rows, unless
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "nats": ("nats", "{:.2f}"),
    "within 15 degrees": ("within_15", "{:.1%}"),
    "median error, degrees": ("median_degrees", "{:.2f}"),
    "poses evaluated": ("poses", "{:.0f}"),
    "CPU ms": ("cpu_ms", "{:.2f}"),
    "times faster": ("times_faster", "{:.1f}x"),
}
OURS, STARTS, GRIDS, MOMENTS = SERIES = ("ours", "random starts and gradients", "grids", "second moments")
MODEL = "affinevae-mnist"
HALVES = 0.05  # share of turns that are off by half of one, from which on it is said
TESTED, ROUNDS = 256, 2  # images, and turns of timing; unless the command says otherwise

TIME = Axis("processor ms, one picture or shape, one thread", "cpu_ms", "lower", log=True)
NATS = Axis("-ELBO before the pose's price, nats", "nats", "lower")
DEGREES = Axis("median error of the found turn, degrees", "median_degrees", "lower", log=True)
FOUND = Axis("turns found within 15 degrees", "within_15", "higher", percent=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model; the first row is what the others are compared with."""
    rows: Rows = results["rows"]
    solid = all(
        row["search"] != GRIDS for row in rows.values()
    )  # there is no small grid of the rotations of space

    def series(row: str) -> str:
        return rows[row]["search"]

    def short(row: str) -> str:
        return row.split(",")[0] if series(row) == STARTS else row

    things = "shapes" if solid else "pictures"
    axes = (("Loss", NATS, "nats_std_error"), ("Turns found", FOUND, ""), ("Median error", DEGREES, ""))
    plots = tuple(
        Plot(
            title,
            TIME,
            y,
            of_rows(rows, COLUMNS, TIME, y, series, short, key),
            bars=f"standard error over {things}",
        )
        for title, y, key in axes
    )
    numbers = {**_numbers(rows, results), "things": things, "solid": solid}
    return [describe("pose_search", name, results, numbers, (rows, COLUMNS), plots, SERIES)]


def _numbers(rows: Rows, results: dict[str, Any]) -> dict[str, Any]:
    fast, slow = rows["ours, fast"], next(iter(rows.values()))
    moments = [row for row in rows.values() if row["search"] == MOMENTS]
    axes, proposed = (moments[0], moments[-1]) if moments else (None, None)
    others = {n: row for n, row in rows.items() if row["search"] != OURS}
    halves = need(fast, "within_15_mod_180")
    fewer = need(slow, "nats") - need(fast, "nats")
    return {
        "fast": fast,
        "slow": slow,
        "axes": axes,
        "axes_more": need(axes, "nats") - need(fast, "nats") if axes else None,
        "axes_faster": need(fast, "cpu_ms") / need(axes, "cpu_ms") if axes else None,
        "proposed": proposed,
        "faster": need(slow, "cpu_ms") / need(fast, "cpu_ms"),
        "fewer": fewer if fewer >= 0 else None,
        "more": -fewer,
        "missed": 1 - need(fast, "within_15"),
        "surer": {n: s for n, r in others.items() if (s := need(r, "within_15")) > need(fast, "within_15")},
        "halves": halves if halves - need(fast, "within_15") > HALVES else None,
        "other_model": unless(results["model"], MODEL),
        "other_n": unless(results["n"], TESTED),
        "other_rounds": unless(results["rounds"], ROUNDS),
    }
