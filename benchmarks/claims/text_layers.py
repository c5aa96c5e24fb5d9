"""What ``benchmarks.text_layers`` measured: a plan beside fewer layers and shorter texts, trained alike."""

from __future__ import annotations

from typing import Any, Literal

from benchmarks.claims.claim import Axis, Claim, ClaimError, Plot, describe, need, of_rows
from benchmarks.claims.text_alternatives import SURE, interval
from benchmarks.tools.tables import Columns, Rows

Kind = Literal["plan", "full", "layers", "tokens"]
COLUMNS: Columns = {
    "accuracy": ("accuracy", "{:.2%}"),
    "ahead of the plan, points": ("interval", "{}"),
    "ms": ("onnx", "{:.2f}"),
    "int8, ms": ("int8", "{:.2f}"),
    "MACs, million": ("macs", "{:.0f}"),
    "epochs": ("epochs", "{}"),
    "CPU seconds": ("cpu_seconds", "{:.0f}"),
}
PLAN, FULL = "the plan", "its full length"
SERIES = {"plan": PLAN, "full": FULL, "layers": "fewer layers", "tokens": "cut texts"}
MS = Axis("milliseconds, one text, ONNX Runtime, float32", "onnx", "lower")
ACCURACY = Axis("accuracy", "accuracy", "higher", percent=True)


def title(kind: str, size: int) -> str:
    """ "3 layers", "first 24 tokens", or what there is one of."""
    return {"layers": f"{size} layers", "tokens": f"first {size} tokens"}.get(kind, SERIES[kind])


def titled(rows: Rows) -> Rows:
    """With the interval of how far each is ahead of the plan."""
    return {
        n: {**row, "interval": None if row["kind"] == "plan" else interval(row)} for n, row in rows.items()
    }


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set.

    Raises:
        ClaimError: an alternative is missing.
    """
    rows = titled(results["rows"])
    if not any(row["kind"] == "layers" for row in rows.values()):
        raise ClaimError("no encoder of fewer layers is among the alternatives")
    points = of_rows(rows, COLUMNS, MS, ACCURACY, lambda n: SERIES[rows[n]["kind"]])
    plots = (Plot("", MS, ACCURACY, points),)
    return [
        describe(
            "text_layers",
            name,
            results,
            _numbers(rows, results),
            (rows, COLUMNS),
            plots,
            tuple(SERIES.values()),
        )
    ]


def _numbers(rows: Rows, results: dict[str, Any]) -> dict[str, Any]:
    """Who is ahead of whom by the interval on the same texts, those that are no slower first."""
    plan = rows[PLAN]
    others = {n: r for n, r in rows.items() if r["kind"] in ("layers", "tokens")}
    ahead = {n: need(r, "ahead") / max(need(r, "ahead_std_error"), 1e-9) for n, r in others.items()}
    return {
        "factors": " ".join(map(str, results["plan"])),
        "written": " ".join(map(str, results["plan"])),
        "right": need(plan, "accuracy"),
        "ms": need(plan, "onnx"),
        "behind": {n: -need(others[n], "ahead") for n in others if ahead[n] < -SURE},
        "level": [n for n in others if abs(ahead[n]) <= SURE],
        "ahead": {n: need(others[n], "ahead") for n in others if ahead[n] > SURE},
        "quicker": {n: need(r, "onnx") for n, r in others.items() if need(r, "onnx") < need(plan, "onnx")},
        "slower": {n: need(r, "onnx") for n, r in others.items() if need(r, "onnx") >= need(plan, "onnx")},
        "runs": results["seeds"],
        "one_run": results["seeds"] == 1,
        "several": results["seeds"] if results["seeds"] > 1 else None,
        "layer_counts": " ".join(map(str, results["layers"])),
        "cut_counts": " ".join(map(str, results["cuts"])) or None,
    }
