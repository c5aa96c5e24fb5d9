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
ONE, EVERY = "one model", "all models"

SPENT = Axis("processor seconds since the start", "cpu_seconds", "lower", log=True)
MEMORY = Axis("resident memory when idle, MB", "idle_mb", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of the page's start."""
    rows: Rows = results["rows"]
    one, every = rows[ONE], rows[EVERY]
    return [
        Claim(
            name,
            "A cold start",
            "The page",
            f"The page shows what a model made of the first drawing {need(one, 'seconds'):.1f} seconds after the "
            f"command; it rests in {need(one, 'idle_mb'):.0f} MB, with every shipped model loaded in "
            f"{need(every, 'idle_mb'):.0f} MB.",
            "Seconds of the clock on a machine with other work to do; those of the processor say more. Each start "
            "after the first finds its files in the disk's cache.",
            rows,
            COLUMNS,
            (Plot("", SPENT, MEMORY, of_rows(rows, COLUMNS, SPENT, MEMORY, series=str)),),
            (ONE, EVERY),
            f"{results['n']} starts, the median of them",
            "none: nothing is trained",
            "python -m benchmarks.cold_start",
            results,
        )
    ]
