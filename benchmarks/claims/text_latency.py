"""What ``benchmarks.text_latency`` measured: plans by batch and threads, and poolings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, mean, need, of_rows
from benchmarks.claims.text_plans import (
    ACCURACY,
    ENGINES,
    SERIES,
    best_linear,
    engine_of,
    fastest,
    linear_rows,
    point,
)
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "PyTorch, ms": ("torch", "{:.2f}"),
    "ms": ("ms", "{:.2f}"),
    "int8, ms": ("int8", "{:.2f}"),
    "over full length": ("onnx over full onnx", "{:.2f}x"),
    "int8 over full int8": ("int8 over full int8", "{:.2f}x"),
    "int8 over full PyTorch": ("int8 over full torch", "{:.2f}x"),
    "accuracy": ("accuracy", "{:.2%}"),
    "int8 accuracy": ("int8 accuracy", "{:.2%}"),
}
POOLINGS: Columns = {
    "accuracy": ("accuracy", "{:.2%}"),
    "runs": ("n", "{}"),
    "ms": ("latency_ms", "{:.2f}"),
}
FIRST = "batch 1, 1 thread"  # what the sentence is about
RATIOS = (("onnx", "onnx"), ("int8", "int8"), ("int8", "torch"))
OURS, OTHERS = "learned pooling", "other poolings"

TIME = Axis("milliseconds a batch", "ms", "lower", log=True)
POOLING_TIME = Axis("milliseconds, one text, PyTorch", "latency_ms", "lower")


def setting_rows(results: dict[str, Any], setting: str) -> Rows:
    """A row for each plan at one batch size and number of threads, and the linear models'."""
    times = results["milliseconds"][setting]
    accuracies = results["accuracy"]
    rows: Rows = {
        name: {
            **ms,
            "ms": ms.get("onnx"),
            **ratios(times["full"], ms),
            "accuracy": accuracies[name]["onnx"],
            "int8 accuracy": accuracies[name]["int8"],
        }
        for name, ms in times.items()
    }
    if setting == FIRST:
        rows |= linear_rows(results["linear"])
    return rows


def ratios(full: dict[str, float], ms: dict[str, float]) -> dict[str, float]:
    """How much faster a plan is than full length: engine over full length's engine."""
    return {f"{a} over full {b}": full[b] / ms[a] for a, b in RATIOS if a in ms and b in full}


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of the plans; that of poolings where they were measured."""
    found = [_plans(name, results)]
    if poolings := results.get("operators"):
        found.append(_poolings(f"{name}-poolings", results, poolings))
    return found


def _plans(name: str, results: dict[str, Any]) -> Claim:
    """Plans against the full encoder."""
    settings = {setting: setting_rows(results, setting) for setting in results["milliseconds"]}
    first = settings[FIRST]
    engine, full, (kind, linear) = engine_of(first), first["full"], best_linear(first) or (None, {})
    plan = fastest(first, engine)
    row = first[plan]
    numbers = {
        "plan": plan,
        "kind": kind,
        "faster": need(full, engine) / need(row, engine),
        "gained": 100 * (need(row, "accuracy") - need(full, "accuracy")),
        "int8": need(full, "onnx") / need(full, "int8")
        if mean(full.get("onnx")) and mean(full.get("int8"))
        else None,
        "linear_faster": need(row, engine) / need(linear, "linear"),
        "linear_gained": 100 * (need(linear, "accuracy") - need(row, "accuracy")),
    }
    plots = tuple(Plot(s, TIME, ACCURACY, tuple(_points(found))) for s, found in settings.items())
    rows = {f"{setting}: {plan}": row for setting, found in settings.items() for plan, row in found.items()}
    return describe("text_latency", name, results, numbers, (rows, COLUMNS), plots, SERIES)


def _points(rows: Rows) -> Iterator[Point]:
    for name, row in rows.items():
        for engine in (*ENGINES, "linear"):
            ms = mean(row.get(engine))
            share = mean(row.get("int8 accuracy" if engine == "int8" else "accuracy"))
            if ms is not None and share is not None:
                yield point(name, engine, ms, share, ())


def _poolings(name: str, results: dict[str, Any], found: dict[str, Any]) -> Claim:
    """Poolings at one plan."""
    rows = {
        kind: {**row, "accuracy": {"mean": row["accuracy"], "std": row["std"], "n": row["n"]}}
        for kind, row in found["rows"].items()
    }
    ranked = sorted(rows, key=lambda kind: -need(rows[kind], "accuracy"))
    numbers = {
        "n": found["n"],
        "plan": " ".join(map(str, found["plan"])),
        "ranked": {kind: need(rows[kind], "accuracy") for kind in ranked},
        "runs": max(row["n"] for row in rows.values()),
    }
    plots = (Plot("", POOLING_TIME, ACCURACY, of_rows(rows, POOLINGS, POOLING_TIME, ACCURACY, _pooling)),)
    return describe("text_latency_poolings", name, results, numbers, (rows, POOLINGS), plots, (OURS, OTHERS))


def _pooling(row: str) -> str:
    return OURS if row == "learned" else OTHERS
