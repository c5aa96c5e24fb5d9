"""What ``benchmarks.outside_encoder`` measured: our full length beside the encoder that people deploy."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, need, of_rows, times
from benchmarks.claims.text_plans import ENGINES as TITLES
from benchmarks.tables import Columns, Rows
from textclf.model import Engine

ENGINES: tuple[Engine, ...] = ("torch", "onnx", "int8")
COLUMNS: Columns = {f"{TITLES[engine]}, ms": (engine, "{:.2f}") for engine in ENGINES}
OUTSIDE, FULL, SHORT = "transformers, BERT", "ours, full length", "ours, balanced"

FLOAT = Axis("milliseconds, ONNX Runtime, float32", "onnx", "lower")
INT8 = Axis("milliseconds, ONNX Runtime, int8", "int8", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model."""
    rows: Rows = results["rows"]
    threads = f"{results['threads']} thread{'s' * (results['threads'] > 1)}"
    outside, full, short = (need(rows[row], "int8") for row in (OUTSIDE, FULL, SHORT))
    return [
        Claim(
            name,
            f"The full length is no straw man: {results['model']}",
            "Text",
            "What plans are compared with is what people deploy: our full length in int8 is "
            f"{times(outside / full, 'faster', 'slower')} than an encoder of the same sizes from transformers, "
            "exported and quantised by the tools' defaults. The plan “balanced” is "
            f"{times(outside / short, 'faster', 'slower')} than that.",
            "Times only, of one length; the outside network's weights are random. Tools that rewrite graphs for "
            "BERT were not tried.",
            rows,
            COLUMNS,
            (Plot("", FLOAT, INT8, of_rows(rows, COLUMNS, FLOAT, INT8, series=str)),),
            (OUTSIDE, FULL, SHORT),
            f"a text of {results['tokens']} tokens, batch 1, {threads}, {results['rounds']} rounds in turns",
            "none: nothing is trained",
            f"python -m benchmarks.outside_encoder --model {results['model']}",
            results,
        )
    ]
