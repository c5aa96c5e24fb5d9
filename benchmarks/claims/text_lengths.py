"""What ``benchmarks.text_lengths`` measured: plans over lengths and batch sizes, and what a table foretold of them."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, facts, listed, need, per_cent, told
from benchmarks.claims.text_plans import ENGINES as TITLES
from benchmarks.tables import Columns, Rows
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
    full = results["plans"][0]
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
    return [
        Claim(
            name,
            f"At every length: {results['model']}",
            "Text",
            _sentence(shorter, results["plans"][1]),
            _limits(single, shorter),
            rows,
            COLUMNS,
            (*speed, foretold),
            (*results["plans"][1:], *(TITLES[e] for e in ENGINES)),
            f"{len({row['tokens'] for row in rows.values()})} lengths, {len(sizes)} batch sizes, "
            f"{results['rounds']} rounds in turns, one thread",
            "none: nothing is trained",
            f"python -m benchmarks.text_lengths --model {results['model']}",
            results,
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


def _sentence(shorter: Rows, plan: str) -> str:
    own = [row for row in shorter.values() if row["plan"] == plan]
    ranges = {e: sorted(row[f"faster {e}"] for row in own) for e in ENGINES}
    said = [f"{v[0]:.1f} to {v[-1]:.1f} times in {TITLES[e].split(', ')[1]}" for e, v in ranges.items()]
    lengths, sizes = ([f"{row[key]:,}" for row in own] for key in ("tokens", "size"))
    return (
        f"From {lengths[0]} to {lengths[-1]} tokens, {sizes[0]} to {sizes[-1]} texts at once, the plan “{plan}” is "
        f"faster than the full length: {listed(said)}."
    )


def _limits(single: Rows, shorter: Rows) -> str:
    off = [abs(need(row, f"predicted {e}") / need(row, e) - 1) for row in single.values() for e in ENGINES]
    words = (
        "Times only, random tokens. The table that the search works with is off by "
        f"{per_cent(sorted(off)[len(off) // 2])} for half of the plans of one text, by {per_cent(max(off))} at worst."
    )
    slow = [n for n, row in shorter.items() if min(row[f"faster {e}"] for e in ENGINES) < 1]
    return words + (f" Slower than the full length: {'; '.join(slow)}." if slow else "")
