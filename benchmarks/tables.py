"""How benchmarks print and keep their results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Rows = dict[str, dict[str, Any]]


def table(rows: Rows, columns: dict[str, str]) -> str:
    """A Markdown table: row name, then each column in its format; a dash where a row has no such number."""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name, row in rows.items():
        cells = ["-" if row.get(c) is None else form.format(row[c]) for c, form in columns.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown(rows: Rows, columns: dict[str, str]) -> None:
    """Print the table."""
    print(table(rows, columns))


def write(path: Path, results: dict[str, Any]) -> None:
    """Keep the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
