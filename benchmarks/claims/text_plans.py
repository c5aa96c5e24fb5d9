"""What ``textclf.evaluate`` measured: a model's plans, in every engine, beside linear models; and its search."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from benchmarks.claims.claim import (
    PER_CENT,
    Axis,
    Claim,
    Plot,
    Point,
    describe,
    facts,
    mean,
    need,
    told,
)
from benchmarks.tools.tables import Columns, Rows
from textclf.card import linear_kinds

ENGINES = {"onnx": "ONNX Runtime, float32", "int8": "ONNX Runtime, int8", "torch": "PyTorch"}
LINEAR = "linear models on words"
SERIES = (ENGINES["onnx"], ENGINES["int8"], LINEAR, ENGINES["torch"])
SEARCHED = ("plans with names", "tried")
COLUMNS: Columns = {
    "accuracy": ("accuracy", "{:.2%}"),
    "int8 accuracy": ("int8 accuracy", "{:.2%}"),
    "ms": ("ms", "{:.2f}"),
    "int8, ms": ("int8", "{:.2f}"),
    "PyTorch, ms": ("torch", "{:.2f}"),
    "MACs, million": ("macs", "{:.1f}"),
    "slots a layer": ("lengths", "{}"),
}
NO_LOSS = 0.005  # of accuracy, that a plan may cost

TIME = Axis("milliseconds, one text, one thread", "ms", "lower", log=True)
ACCURACY = Axis("accuracy", "accuracy", "higher", percent=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model, from its ``metrics.json``."""
    test = results["test"]
    rows = rows_of(test)
    plots = [Plot("Test texts", TIME, ACCURACY, tuple(_points(rows, test)), bars="standard error over texts")]
    if found := tuple(_tried(results)):
        plots.append(Plot("The search", TIME, ACCURACY, found))
    numbers = {**_numbers(rows), "n": test["n"], "tokens": test["tokens"], **_asked(name, results)}
    return [
        describe(
            "text_plans",
            name,
            results,
            numbers,
            (rows, COLUMNS),
            tuple(plots),
            (*SERIES, *SEARCHED),
        )
    ]


def rows_of(test: dict[str, Any]) -> Rows:
    """A row for each plan, and one for the linear model."""
    rows: Rows = {}
    for name, plan in test["plans"].items():
        int8 = plan.get("int8") or {}
        macs, lengths = plan["macs"] / 1e6, " ".join(map(str, plan["lengths"]))
        rows[name] = {**plan["latency_ms"], "accuracy": plan["accuracy"], "macs": macs, "lengths": lengths}
        rows[name] |= {"ms": plan["latency_ms"].get("onnx"), "int8 accuracy": int8.get("accuracy")}
    return rows | linear_rows(test.get("linear"))


def linear_rows(linear: dict[str, Any] | None) -> Rows:
    """A row for each linear model, whose one engine is scikit-learn; the one that validation chose comes first."""
    kinds = linear_kinds({"linear": linear})
    first = sorted(kinds, key=lambda name: name != (linear or {}).get("name"))
    return {
        linear_title(name): {
            "accuracy": kinds[name]["accuracy"],
            "ms": kinds[name]["latency_ms"],
            "linear": kinds[name]["latency_ms"],
        }
        for name in first
    }


def linear_title(name: str) -> str:
    """Of a linear model's row."""
    return f"{name}, linear"


def best_linear(rows: Rows) -> tuple[str, dict[str, Any]] | None:
    """Name and row of the linear model that validation chose, if one was measured."""
    found = ((name.removesuffix(", linear"), row) for name, row in rows.items() if "linear" in row)
    return next(found, None)


def _points(rows: Rows, test: dict[str, Any]) -> Iterator[Point]:
    """Accuracy of every plan against its time in every engine."""
    for name, row in rows.items():
        measured = test["plans"].get(name, {})
        for engine in (*ENGINES, "linear"):
            if (ms := mean(row.get(engine))) is None:
                continue
            of_engine = measured.get("int8", {}) if engine == "int8" else measured
            share = mean(row["int8 accuracy"] if engine == "int8" else row["accuracy"])
            if share is not None:
                deviation = mean(of_engine.get("accuracy_std_error")) or 0.0
                yield point(name, engine, ms, share, facts(row, COLUMNS), deviation)


def point(
    name: str, engine: str, ms: float, share: float, more: tuple[tuple[str, str], ...], deviation: float = 0.0
) -> Point:
    """A plan in an engine."""
    series = ENGINES.get(engine, LINEAR)
    first = told(share, ACCURACY), told(ms, TIME, "{:.2f}")
    others = tuple(fact for fact in more if fact[0] in ("MACs, million", "slots a layer"))
    label = "" if engine == "torch" else name
    return Point(series, name, ms, share, y_error=deviation, facts=first + others, label=label)


def _tried(results: dict[str, Any]) -> Iterator[Point]:
    """The plans that the search kept, by validation."""
    search = results.get("search") or {}
    names = {tuple(factors): name for name, factors in reversed((search.get("plans") or {}).items())}
    for tried in search.get("front") or ():
        name = names.get(tuple(tried["factors"]), "")
        words = f"plan {' '.join(map(str, tried['factors']))}"
        facts = (
            (f"accuracy, {search['n']:,} validation texts", PER_CENT.format(100 * (1 - tried["error"]))),
            (f"milliseconds, one text of {search['tokens']} tokens", f"{tried['latency_ms']:.2f}"),
        )
        title = f"{name}: {words}" if name else words
        yield Point(
            SEARCHED[not name], title, tried["latency_ms"], 1 - tried["error"], facts=facts, label=name
        )


def engine_of(rows: Rows) -> str:
    """The engine whose times are compared: ONNX Runtime where it was measured."""
    return "onnx" if all(r.get("onnx") is not None for r in rows.values() if "linear" not in r) else "torch"


def fastest(rows: Rows, engine: str, right: float = 0.0) -> str:
    """The fastest plan of those that are right as often."""
    plans = [n for n, row in rows.items() if "linear" not in row and need(row, "accuracy") >= right]
    return min(plans, key=lambda n: need(rows[n], engine))


def _numbers(rows: Rows) -> dict[str, Any]:
    engine, full, (kind, linear) = engine_of(rows), rows["full"], best_linear(rows) or (None, None)
    first, best = fastest(rows, engine), fastest(rows, engine, need(full, "accuracy") - NO_LOSS)
    row, told_of = rows[first], [n for n in dict.fromkeys((best, first)) if n != "full"]
    as_good = linear is not None and need(linear, "accuracy") >= need(row, "accuracy")
    return {
        "full": full,
        "faster": [
            {
                "plan": n,
                "faster": need(full, engine) / need(rows[n], engine),
                "right": need(rows[n], "accuracy"),
            }
            for n in told_of
        ],
        "kind": kind,
        "linear": linear,
        "as_good": as_good,
        "linear_faster": need(row, engine) / need(linear, "linear") if linear else None,
    }


def _asked(name: str, results: dict[str, Any]) -> dict[str, Any]:
    """The data as it was read for training: its columns and the names of its classes, where these were said."""
    training = results.get("training") or {}
    column = training.get("label_column")
    return {
        "model": name,
        "texts": training.get("data") or results["data"],
        "text_column": shlex.join(training.get("text_column") or ()) or None,
        "class_names": shlex.join(training.get("class_names") or ()) or None,
        "label_column": shlex.quote(column) if column else None,
    }
