"""What ``benchmarks.text_fronts`` measured: plans of several data sets, one training and one search a seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, by, data_title, listed, need, of_rows
from benchmarks.tables import Columns, Rows

PLANS, ENGINES = ("balanced", "fastest"), ("onnx", "int8")
COLUMNS: Columns = {
    "test texts": ("texts", "{:,}"),
    "tokens": ("tokens", "{}"),
    "full": ("full", "{:.2%}"),
    "balanced": ("balanced", "{:.2%}"),
    "faster": ("balanced, faster, onnx", "{:.1f}x"),
    "in int8": ("balanced, int8", "{:.2%}"),
    "faster, int8": ("balanced, faster, int8", "{:.1f}x"),
    "fastest": ("fastest", "{:.2%}"),
    "faster, fastest": ("fastest, faster, onnx", "{:.1f}x"),
    "TF-IDF": ("linear", "{:.2%}"),
    "CPU seconds": ("cpu_seconds", "{:.0f}"),
}
SHIPPED, ONCE = "shipped, several rounds", "one training, one search"

RIGHT = Axis("accuracy of the plan “balanced”", "balanced", "higher", percent=True)
FASTER = Axis("times faster than full length, ONNX Runtime, float32", "balanced, faster, onnx", "higher")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim over all data sets."""
    rows: Rows = results["rows"]

    def series(row: str) -> str:
        return SHIPPED if row in results["shipped"] else ONCE

    titles = _titles(rows)
    others = [row for row in rows if row not in results["shipped"]]
    runs = sorted({rows[row]["full"]["n"] for row in others})
    seeds = f" --seeds {runs[-1]}" if runs[-1] > 1 else ""
    return [
        Claim(
            name,
            f"Shorter sequences: {len(titles)} data sets",
            "Text",
            _sentence(rows, results["shipped"]),
            "Times are those of a text of the median length, and short texts have little to lose. The plan “balanced” "
            "is the fastest that lost at most half a point on validation texts, and may lose more on others."
            + _losses(rows),
            rows,
            COLUMNS,
            (Plot("", FASTER, RIGHT, of_rows(rows, COLUMNS, FASTER, RIGHT, series, _title)),),
            (ONCE, SHIPPED),
            f"test texts of {listed(titles)}",
            f"{' to '.join(str(n) for n in dict.fromkeys((runs[0], runs[-1])))} of each, and the shipped models",
            f"python -m benchmarks.text_fronts --data {' '.join(others)}{seeds}",
            results,
            "Faster: than full length in the same engine. CPU seconds: all trainings and the last search. "
            f"Measured on: {_processors(rows)}.",
        )
    ]


def _title(row: str) -> str:
    return data_title(row.removeprefix("text-"))


def _titles(rows: Iterable[str]) -> list[str]:
    """Each data set once, though a shipped model and runs of one training may both be of it."""
    return list(dict.fromkeys(map(_title, rows)))


def _processors(rows: Rows) -> str:
    """Which rows were measured on which processor, since rows of an earlier machine stay."""
    on: dict[str, list[str]] = {}
    for name, row in rows.items():
        on.setdefault(row["cpu"], []).append(name)
    return "; ".join(f"{cpu} ({listed(names)})" for cpu, names in on.items())


def _behind(rows: Rows) -> dict[str, float]:
    """The rows where the simpler model wins, and by how many points."""
    lost = {name: 100 * (need(row, "linear") - need(row, "balanced")) for name, row in rows.items()}
    return {name: points for name, points in lost.items() if points >= 0}


def _losses(rows: Rows) -> str:
    found = [f"{name} ({points:.1f} points)" for name, points in _behind(rows).items()]
    return f" Behind TF-IDF: {listed(found)}." if found else ""


def _sentence(rows: Rows, shipped: Sequence[str]) -> str:
    faster = [need(row, "balanced, faster, onnx") for row in rows.values()]
    lost = [100 * (need(row, "balanced") - need(row, "full")) for row in rows.values()]
    titles, behind = _titles(rows), _behind(rows)
    lead = [title for title in titles if title not in _titles(behind)]
    lead += [
        f"{_title(name)} as shipped" for name in shipped if name not in behind and _title(name) not in lead
    ]
    points = "{:.1f} points"
    return (
        f"On {len(titles)} data sets the plan “balanced” is {min(faster):.1f} to {max(faster):.1f} times as "
        f"fast as full length in the same engine, its accuracy from {by(min(lost), points, 'higher', 'lower')} to "
        f"{by(max(lost), points, 'higher', 'lower')}; it is ahead of TF-IDF and a linear model on "
        f"{listed(lead) or 'none of them'}."
    )
