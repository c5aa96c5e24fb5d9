"""What ``benchmarks.text_fronts`` measured: plans of several data sets, one training and one search a seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, data_title, describe, need, of_rows, span
from benchmarks.claims.words import listed
from benchmarks.tools.tables import Columns, Rows

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
    "TF-IDF": ("linear, TF-IDF", "{:.2%}"),
    "words and characters": ("linear, words and characters", "{:.2%}"),
    "NB-SVM": ("linear, NB-SVM", "{:.2%}"),
    "CPU seconds": ("cpu_seconds", "{:.0f}"),
}
SHIPPED, ONCE = "shipped, several rounds", "one training, one search"

RIGHT = Axis("accuracy of the plan “balanced”", "balanced", "higher", percent=True)
FASTER = Axis("times faster than full length, ONNX Runtime, float32", "balanced, faster, onnx", "higher")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim over all data sets."""
    rows = with_tf_idf(results["rows"])

    def series(row: str) -> str:
        return SHIPPED if row in results["shipped"] else ONCE

    plots = (Plot("", FASTER, RIGHT, of_rows(rows, COLUMNS, FASTER, RIGHT, series, _title)),)
    numbers = _numbers(rows, results["shipped"])
    return [describe("text_fronts", name, results, numbers, (rows, COLUMNS), plots, (ONCE, SHIPPED))]


def with_tf_idf(rows: Rows) -> Rows:
    """Rows of before the linear models were several have TF-IDF alone, without its name."""
    return {name: {"linear, TF-IDF": row["linear"], **row} for name, row in rows.items()}


def _best_linear(row: dict[str, Any]) -> float:
    """The most accurate linear model on the test texts: who chose it by validation would have had no better."""
    return max(need(row, key) for key in row if key.startswith("linear, "))


def _title(row: str) -> str:
    return data_title(row.removeprefix("text-"))


def _titles(rows: Iterable[str]) -> list[str]:
    """Each data set once, though a shipped model and runs of one training may both be of it."""
    return list(dict.fromkeys(map(_title, rows)))


def _processors(rows: Rows) -> list[str]:
    """Which rows were measured on which processor, since rows of an earlier machine stay."""
    on: dict[str, list[str]] = {}
    for name, row in rows.items():
        on.setdefault(row["cpu"], []).append(name)
    return [f"{cpu} ({listed(names)})" for cpu, names in on.items()]


def _numbers(rows: Rows, shipped: Sequence[str]) -> dict[str, Any]:
    faster = [need(row, "balanced, faster, onnx") for row in rows.values()]
    gained = [100 * (need(row, "balanced") - need(row, "full")) for row in rows.values()]
    over_linear = {name: 100 * (need(row, "balanced") - _best_linear(row)) for name, row in rows.items()}
    behind = {name: -points for name, points in over_linear.items() if points <= 0}
    ahead = [title for title in _titles(rows) if title not in _titles(behind)]
    ahead += [f"{_title(n)} as shipped" for n in shipped if n not in behind and _title(n) not in ahead]
    others = [row for row in rows if row not in shipped]
    runs = sorted({rows[row]["full"]["n"] for row in others})
    others_than_tf_idf = [n for n, row in rows.items() if "linear, NB-SVM" in row]
    return {
        "alone": None
        if len(others_than_tf_idf) == len(rows)
        else [n for n in rows if n not in others_than_tf_idf],
        "titles": _titles(rows),
        "sets": len(_titles(rows)),
        "slowest": min(faster),
        "fastest": max(faster),
        "least": min(gained),
        "most": max(gained),
        "ahead": ahead,
        "behind": behind,
        "cpus": "; ".join(_processors(rows)),
        "names": " ".join(others),
        "runs": span(runs),
        "several": runs[-1] if runs[-1] > 1 else None,
    }
