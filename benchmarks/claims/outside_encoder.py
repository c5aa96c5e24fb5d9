"""What ``benchmarks.outside_encoder`` measured: our full length beside the encoder that people deploy."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, need, of_rows
from benchmarks.claims.text_plans import ENGINES as TITLES
from benchmarks.tools.tables import Columns, Rows
from textclf.model import Engine

ENGINES: tuple[Engine, ...] = ("torch", "onnx", "int8")
COLUMNS: Columns = {f"{TITLES[engine]}, processor ms": (engine, "{:.2f}") for engine in ENGINES}
OUTSIDE, REWRITTEN = "transformers, BERT", "transformers, BERT, rewritten"
FULL, SHORT = "ours, full length", "ours, balanced"

FLOAT = Axis("milliseconds of a processor, ONNX Runtime, float32", "onnx", "lower")
INT8 = Axis("milliseconds of a processor, ONNX Runtime, int8", "int8", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model."""
    rows: Rows = results["rows"]
    outside = min(need(rows[row], "int8") for row in (OUTSIDE, REWRITTEN) if row in rows)
    full, short = (need(rows[row], "int8") for row in (FULL, SHORT))
    numbers = {
        "full": outside / full,
        "short": outside / short,
        "cores": f"{results['threads']} thread{'s' * (results['threads'] > 1)}",
    }
    plots = (Plot("", FLOAT, INT8, of_rows(rows, COLUMNS, FLOAT, INT8, series=str)),)
    return [
        describe(
            "outside_encoder",
            name,
            results,
            numbers,
            (rows, COLUMNS),
            plots,
            (FULL, SHORT, OUTSIDE, REWRITTEN),
        )
    ]
