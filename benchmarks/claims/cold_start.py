"""What ``benchmarks.cold_start`` measured: how soon the page can be used, and what it takes when nobody visits."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, of_rows
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "first view, s": ("seconds", "{:.1f}"),
    "processor, s": ("cpu_seconds", "{:.1f}"),
    "idle memory, MB": ("idle_mb", "{:.0f}"),
}
INSTALL: Columns = {
    "installed, s": ("seconds", "{:.0f}"),
    "processor, s": ("cpu_seconds", "{:.0f}"),
    "on disk, MB": ("disk_mb", "{:,.0f}"),
}
ONE, SHIPPED, EVERY = "one model", "shipped models, first of each tab", "shipped models, all"

SPENT = Axis("processor seconds since the start", "cpu_seconds", "lower", log=True)
MEMORY = Axis("resident memory when idle, MB", "idle_mb", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of the page's start."""
    rows: Rows = results["rows"]
    numbers = {
        "one": rows[ONE],
        "first": rows[SHIPPED],
        "every": rows[EVERY],
        "install": results.get("install"),
    }
    plots = (Plot("", SPENT, MEMORY, of_rows(rows, COLUMNS, SPENT, MEMORY, series=str)),)
    return [describe("cold_start", name, results, numbers, (rows, COLUMNS), plots, (ONE, SHIPPED, EVERY))]
