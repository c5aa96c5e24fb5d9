"""What ``benchmarks.network_costs`` measured: size, work and latency of tied networks beside their dense twins."""

from __future__ import annotations

import shlex
from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, need, of_rows, unless
from benchmarks.tools.tables import Columns, Rows, plainly

COLUMNS: Columns = {
    **plainly("parameters", form="{:,}"),
    **plainly("fewer parameters", form="{:.1f}x"),
    **plainly("MACs, million", form="{:.1f}"),
    **plainly("fewer MACs", form="{:.1f}x"),
    **plainly("ms", "ms, int8", form="{:.2f}"),
    **plainly("faster, batch 1", "faster, batch 64", "faster, batch 1, float32", form="{:.1f}x"),
}
FLOAT32 = "faster, batch 1, float32"
ROUNDS = 5  # unless the command says otherwise
SERIES = ("tied", "dense")
ALL = "network_costs"  # results of all networks; others are named after the first of theirs

PARAMETERS = Axis("parameters", "parameters", "lower", log=True)
TIME = Axis("processor ms, one picture, one thread", "ms", "lower", log=True)
LESS_WORK = Axis("times fewer multiply-accumulates", "fewer MACs", "higher", log=True)
FASTER = Axis("times faster, one picture", "faster, batch 1", "higher", log=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of all networks that were timed."""
    rows: Rows = results["rows"]
    tied = [{**row, "name": name} for name, row in rows.items() if ":" in name]
    float32 = [row for row in tied if row.get(FLOAT32)]
    stem = name.removeprefix(ALL).strip("_")
    numbers = {
        "of": f": {stem}" if stem else "",
        "stem": stem or None,
        "networks": len(rows),
        "fastest": max(tied, key=lambda row: need(row, "faster, batch 1")),
        "slowest": min(tied, key=lambda row: need(row, "faster, batch 1")),
        "smallest": max(tied, key=lambda row: need(row, "fewer parameters")),
        "best": all("ms, int8" in row for row in rows.values()),
        "floats": max(float32, key=lambda row: row[FLOAT32]) if float32 else None,
        "patterns": None
        if stem or results.get("patterns", ["*"]) == ["*"]
        else shlex.join(results["patterns"]),
        "other_rounds": unless(results["rounds"], ROUNDS),
    }
    axes = (("Time and size", PARAMETERS, TIME), ("Time and work saved", LESS_WORK, FASTER))
    plots = tuple(Plot(title, x, y, of_rows(rows, COLUMNS, x, y, _series, _short)) for title, x, y in axes)
    return [describe("network_costs", name, results, numbers, (rows, COLUMNS), plots, SERIES)]


def _series(row: str) -> str:
    return SERIES[":" not in row]


def _short(row: str) -> str:
    return row.partition(":")[2] or row
