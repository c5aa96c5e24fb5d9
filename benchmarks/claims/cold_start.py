"""What ``benchmarks.cold_start`` measured: how soon the page can be used, and what it takes when nobody visits."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, need, of_rows
from benchmarks.tables import Columns, Rows

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
    one, shipped, every, install = rows[ONE], rows[SHIPPED], rows[EVERY], results.get("install")
    setup = f" Installing what it needs took {need(install, 'seconds'):.0f} seconds." if install else ""
    return [
        Claim(
            name,
            "A cold start",
            "The page",
            f"The page shows what a model made of the first drawing {need(one, 'seconds'):.1f} seconds after the "
            f"command. It rests in {need(one, 'idle_mb'):.0f} MB; with the first of the shipped models in every tab, "
            f"as it starts, in {need(shipped, 'idle_mb'):.0f} MB, and with all of them in "
            f"{need(every, 'idle_mb'):.0f} MB.{setup}",
            "Seconds of the clock on a machine with other work to do; those of the processor say more. Each start "
            "after the first finds its files in the disk's cache. An installation takes as long as the network does.",
            rows,
            COLUMNS,
            (Plot("", SPENT, MEMORY, of_rows(rows, COLUMNS, SPENT, MEMORY, series=str)),),
            (ONE, SHIPPED, EVERY),
            f"{results['n']} starts, the median of them",
            "none: nothing is trained",
            "python -m benchmarks.cold_start",
            results,
        )
    ]
