"""What ``benchmarks.text_latency`` measured: plans by batch and threads, poolings, and plans that nobody searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, mean, need, of_rows
from benchmarks.claims.text_plans import (
    ACCURACY,
    ENGINES,
    LINEAR,
    SERIES,
    engine_of,
    fastest,
    linear_row,
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
PLANS: Columns = {
    "ms": ("ms", "{:.2f}"),
    "accuracy": ("accuracy", "{:.2%}"),
    "searched, as fast": ("searched", "{:.2%}"),
    "ahead": ("ahead", "{:+.2%}"),
}
FIRST = "batch 1, 1 thread"  # what the sentence is about
RATIOS = (("onnx", "onnx"), ("int8", "int8"), ("int8", "torch"))
OURS, OTHERS = "learned pooling", "other poolings"
SEARCHED, BY_HAND = "searched", "by hand"

TIME = Axis("milliseconds a batch", "ms", "lower", log=True)
PLAN_TIME = Axis("milliseconds, one text", "ms", "lower", log=True)
POOLING_TIME = Axis("milliseconds, one text, PyTorch", "latency_ms", "lower")


def setting_rows(results: dict[str, Any], setting: str) -> Rows:
    """A row for each plan at one batch size and number of threads, and the linear model's."""
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
        rows[LINEAR] = linear_row(results["linear"])
    return rows


def ratios(full: dict[str, float], ms: dict[str, float]) -> dict[str, float]:
    """How much faster a plan is than full length: engine over full length's engine."""
    return {f"{a} over full {b}": full[b] / ms[a] for a, b in RATIOS if a in ms and b in full}


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of the plans; those of poolings and of the search where they were measured."""
    found = [_plans(name, results)]
    if poolings := results.get("operators"):
        found.append(_poolings(f"{name}-poolings", results, poolings))
    if searched := results.get("searched"):
        found.append(_searched(f"{name}-plans", results, searched))
    return found


def _plans(name: str, results: dict[str, Any]) -> Claim:
    """Plans against the full encoder."""
    settings = {setting: setting_rows(results, setting) for setting in results["milliseconds"]}
    first = settings[FIRST]
    engine, full, linear = engine_of(first), first["full"], first[LINEAR]
    plan = fastest(first, engine)
    row = first[plan]
    numbers = {
        "plan": plan,
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


def _searched(name: str, results: dict[str, Any], found: dict[str, Any]) -> Claim:
    """Searched plans against others."""
    rows: Rows = found["rows"]
    ours = {n: {**r, "accuracy": r["searched"]} for n, r in rows.items() if r["searched"] is not None}
    points = of_rows(rows, PLANS, PLAN_TIME, ACCURACY, lambda _: BY_HAND)
    points += of_rows(ours, PLANS, PLAN_TIME, ACCURACY, lambda _: SEARCHED, lambda _: "")
    numbers = {
        "n": found["n"],
        "by_hand": len(rows),
        "ahead": sum(row["ahead"] is not None and row["ahead"] > 0 for row in rows.values()),
        "alone": sum(row["ahead"] is None for row in rows.values()) or None,
    }
    plots = (Plot("", PLAN_TIME, ACCURACY, points),)
    return describe(
        "text_latency_searched", name, results, numbers, (rows, PLANS), plots, (SEARCHED, BY_HAND)
    )
