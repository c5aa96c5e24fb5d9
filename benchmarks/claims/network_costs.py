"""What ``benchmarks.network_costs`` measured: size, work and latency of tied networks beside their dense twins."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, need, of_rows
from benchmarks.tables import Columns, Rows, plainly

COLUMNS: Columns = {
    **plainly("parameters", form="{:,}"),
    **plainly("fewer parameters", form="{:.1f}x"),
    **plainly("MACs, million", form="{:.1f}"),
    **plainly("fewer MACs", form="{:.1f}x"),
    **plainly("ms", form="{:.2f}"),
    **plainly("faster, batch 1", "faster, batch 64", form="{:.1f}x"),
}
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
    stem = name.removeprefix(ALL).strip("_")
    plots = (("Time and size", PARAMETERS, TIME), ("Time and work saved", LESS_WORK, FASTER))
    return [
        Claim(
            name,
            f"Work saved is time saved{f': {stem}' if stem else ''}",
            "Kernels",
            _sentence(rows),
            _limits(rows),
            rows,
            COLUMNS,
            tuple(Plot(title, x, y, of_rows(rows, COLUMNS, x, y, _series, _short)) for title, x, y in plots),
            SERIES,
            f"{len(rows)} networks, random weights, median over {results['rounds']} rounds in turns",
            "none: nothing is trained",
            _command(stem, results["rounds"]),
            results,
            "Each beside its dense twin; MACs are multiply-accumulates; ONNX Runtime, float32, one thread.",
        )
    ]


def _series(row: str) -> str:
    return SERIES[":" not in row]


def _short(row: str) -> str:
    return row.partition(":")[2] or row


def _tied(rows: Rows) -> Rows:
    return {name: row for name, row in rows.items() if ":" in name}


def _sentence(rows: Rows) -> str:
    name, row = max(_tied(rows).items(), key=lambda item: need(item[1], "faster, batch 1"))
    return (
        f"Kernels that share weights across channels save work on a real processor: {name} has "
        f"{need(row, 'fewer parameters'):.1f} times fewer parameters, {need(row, 'fewer MACs'):.1f} times "
        f"fewer multiply-accumulates, and answers {need(row, 'faster, batch 1'):.1f} times faster than its "
        "dense twin."
    )


def _limits(rows: Rows) -> str:
    name, row = max(_tied(rows).items(), key=lambda item: need(item[1], "fewer parameters"))
    slowest, least = min(_tied(rows).items(), key=lambda item: need(item[1], "faster, batch 1"))
    return (
        "Random weights: this says nothing about accuracy. Fewer parameters are not as much less time: "
        f"{name} has {need(row, 'fewer parameters'):.0f} times fewer and is "
        f"{need(row, 'faster, batch 1'):.1f} times faster; {slowest} only "
        f"{need(least, 'faster, batch 1'):.1f} times."
    )


def _command(stem: str, rounds: int) -> str:
    chosen = f' --pattern "{stem}*" --output benchmarks/results/{ALL}_{stem}.json' if stem else ""
    turns = f" --rounds {rounds}" if rounds != ROUNDS else ""
    return f"python -m benchmarks.network_costs{chosen}{turns}"
