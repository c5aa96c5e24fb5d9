"""How benchmarks print and keep their results."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = dict[str, dict[str, Any]]
Columns = Mapping[str, tuple[str, str]]  # title -> key in a row, format of its number
MISSING = "-"
AND = " and "  # between processors


def several(values: Sequence[float]) -> dict[str, float]:
    """Mean, deviation and n of runs with different seeds."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "std": spread, "n": len(values)}


def joined(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """:func:`several` of all the runs behind two of its results."""
    first, rest = int(one["n"]), int(other["n"])
    n, apart = first + rest, other["mean"] - one["mean"]
    squares = (first - 1) * one["std"] ** 2 + (rest - 1) * other["std"] ** 2 + apart**2 * first * rest / n
    return {"mean": one["mean"] + apart * rest / n, "std": math.sqrt(squares / (n - 1)), "n": n}


def machines(*every: Mapping[str, Any]) -> dict[str, Any]:
    """The last of what ``training.measure.machine`` gave, with the processors of all: rows of an earlier one stay."""
    names = {name for one in every for name in str(one["cpu"]).split(AND)}
    return {**every[-1], "cpu": AND.join(sorted(names))}


def cell(value: Any, form: str) -> str:
    """A number as people read it, "mean ± deviation" if it is one of several seeds; a dash where there is none."""
    if isinstance(value, Mapping):
        mean, spread = cell(value["mean"], form), cell(value["std"], form)
        return f"{mean} ± {spread}" if value["n"] > 1 and mean != MISSING else mean
    return MISSING if value is None else form.format(value)


def cells(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """The row's number in every column."""
    return [cell(row.get(key), form) for key, form in columns.values()]


def table(rows: Rows, columns: Columns) -> str:
    """A Markdown table: row name, then each column in its format."""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    lines += [f"| {name} | " + " | ".join(cells(row, columns)) + " |" for name, row in rows.items()]
    return "\n".join(lines)


def markdown(rows: Rows, columns: Columns) -> None:
    """Print the table."""
    print(table(rows, columns))


def plainly(*titles: str, form: str = "{}") -> Columns:
    """Columns whose title is the key, all in one format."""
    return {title: (title, form) for title in titles}


def write(path: Path, results: dict[str, Any]) -> None:
    """Keep the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
