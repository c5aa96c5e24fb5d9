"""What ``benchmarks.text_lengths`` measured: plans over lengths and batch sizes, and what a table foretold of them."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, facts, need, told
from benchmarks.claims.text_plans import ENGINES as TITLES
from benchmarks.tools.tables import Columns, Rows
from textclf.model import Engine

ENGINES: tuple[Engine, ...] = ("onnx", "int8")
COLUMNS: Columns = {
    "float32, ms": ("onnx", "{:.2f}"),
    "int8, ms": ("int8", "{:.2f}"),
    "faster, float32": ("faster onnx", "{:.1f}x"),
    "faster, int8": ("faster int8", "{:.1f}x"),
    "float32, foretold": ("predicted onnx", "{:.2f}"),
    "int8, foretold": ("predicted int8", "{:.2f}"),
}

TOKENS = Axis("tokens of the text", "tokens", log=True, own=True)
FASTER = Axis("times faster than the full length", "faster", "higher")
FORETOLD = Axis("milliseconds foretold", "foretold", log=True)
MEASURED = Axis("milliseconds measured", "measured", log=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model."""
    full, *plans = results["plans"]
    rows: Rows = results["rows"]
    shorter = {n: row for n, row in rows.items() if row["plan"] != full}
    single = {n: row for n, row in rows.items() if "predicted onnx" in row}
    sizes = sorted({row["size"] for row in rows.values()})
    speed = [
        Plot(
            f"{TITLES[engine]}, batch {size}",
            TOKENS,
            FASTER,
            tuple(_speed(shorter, engine, size)),
            lines=True,
        )
        for engine in ENGINES
        for size in sizes
    ]
    foretold = Plot("Foretold and measured", FORETOLD, MEASURED, tuple(_foretold(single)), equal=True)
    numbers = {**_numbers(rows, shorter, single, plans[0]), "sizes": len(sizes)}
    return [
        describe(
            "text_lengths",
            name,
            results,
            numbers,
            (rows, COLUMNS),
            (*speed, foretold),
            (*plans, *(TITLES[e] for e in ENGINES)),
        )
    ]


def _speed(rows: Rows, engine: str, size: int) -> list[Point]:
    return [
        Point(row["plan"], name, row["tokens"], row[f"faster {engine}"], facts=facts(row, COLUMNS))
        for name, row in rows.items()
        if row["size"] == size
    ]


def _foretold(rows: Rows) -> list[Point]:
    return [
        Point(
            TITLES[engine],
            name,
            need(row, f"predicted {engine}"),
            need(row, engine),
            facts=(told(row[f"predicted {engine}"], FORETOLD), told(row[engine], MEASURED)),
        )
        for name, row in rows.items()
        for engine in ENGINES
    ]


def _numbers(rows: Rows, shorter: Rows, single: Rows, plan: str) -> dict[str, Any]:
    own = [row for row in shorter.values() if row["plan"] == plan]
    faster = {engine: sorted(row[f"faster {engine}"] for row in own) for engine in ENGINES}
    off = sorted(
        abs(need(row, f"predicted {e}") / need(row, e) - 1) for row in single.values() for e in ENGINES
    )
    return {
        "plan": plan,
        "lengths": len({row["tokens"] for row in rows.values()}),
        "first": own[0],
        "last": own[-1],
        **{f"{engine}_least": found[0] for engine, found in faster.items()},
        **{f"{engine}_most": found[-1] for engine, found in faster.items()},
        "half_off": off[len(off) // 2],
        "worst_off": off[-1],
        "slow": "; ".join(n for n, r in shorter.items() if min(r[f"faster {e}"] for e in ENGINES) < 1)
        or None,
    }
