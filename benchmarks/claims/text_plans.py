"""What ``textclf.evaluate`` measured: a model's plans, in every engine, beside TF-IDF; and its search."""

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
    data_title,
    facts,
    mean,
    need,
    times,
    told,
)
from benchmarks.tables import Columns, Rows

ENGINES = {"onnx": "ONNX Runtime, float32", "int8": "ONNX Runtime, int8", "torch": "PyTorch"}
LINEAR = "TF-IDF and a linear model"
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
    data = data_title(results["data"])
    plots = [Plot("Test texts", TIME, ACCURACY, tuple(_points(rows, test)), bars="standard error over texts")]
    if found := tuple(_tried(results)):
        plots.append(Plot("The search", TIME, ACCURACY, found))
    return [
        Claim(
            name,
            f"Shorter sequences: {data}",
            "Text",
            _sentence(name, rows, data),
            _limits(rows, test),
            rows,
            COLUMNS,
            tuple(plots),
            (*SERIES, *SEARCHED),
            f"{test['n']:,} test texts of {data}; times of a text of {test['tokens']} tokens",
            "1",
            _command(name, results),
            results,
            "All plans run from the same weights, in ONNX Runtime where no engine is named; TF-IDF runs in "
            "scikit-learn. A slot is a vector: full length keeps one for every token.",
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
    if linear := test.get("linear"):
        rows[LINEAR] = linear_row(linear)
    return rows


def linear_row(linear: dict[str, Any]) -> dict[str, Any]:
    """The linear model's, whose one engine is scikit-learn."""
    return {"accuracy": linear["accuracy"], "ms": linear["latency_ms"], "linear": linear["latency_ms"]}


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
    label = "" if engine == "torch" else "TF-IDF" if engine == "linear" else name
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


def _plans(rows: Rows) -> Rows:
    return {name: row for name, row in rows.items() if name != LINEAR}


def _sentence(name: str, rows: Rows, data: str) -> str:
    plans, engine = _plans(rows), engine_of(rows)
    full = plans["full"]
    kept = {n: r for n, r in plans.items() if need(r, "accuracy") >= need(full, "accuracy") - NO_LOSS}
    fastest = min(plans.items(), key=lambda item: need(item[1], engine))
    best = min(kept.items(), key=lambda item: need(item[1], engine))
    said = [_faster(found, full, engine) for found in dict([best, fastest]).items() if found[0] != "full"]
    words = " and ".join(said) or "no plan is faster"
    return f"One model of {data} at several lengths: next to its full length ({_right(full)} right), {words}."


def _faster(found: tuple[str, dict[str, Any]], full: dict[str, Any], engine: str) -> str:
    name, row = found
    faster = times(need(full, engine) / need(row, engine), "faster", "slower")
    return f"the plan “{name}” is {faster} and right in {_right(row)}"


def _right(row: dict[str, Any]) -> str:
    return PER_CENT.format(100 * need(row, "accuracy"))


def _limits(rows: Rows, test: dict[str, Any]) -> str:
    plans, engine = _plans(rows), engine_of(rows)
    words = f"One training run, and times of one length: a text of {test['tokens']} tokens, the median."
    if LINEAR not in rows:
        return f"{words} No linear model was measured beside it."
    linear, fastest = rows[LINEAR], min(plans.values(), key=lambda row: need(row, engine))
    quicker = times(need(fastest, engine) / need(linear, "linear"), "faster", "slower")
    as_good = need(linear, "accuracy") >= need(fastest, "accuracy")
    than = (
        "right at least as often as the fastest plan" if as_good else "right less often than the fastest plan"
    )
    return f"{words} A linear model on TF-IDF is {than} ({_right(linear)}), and {quicker}."


def _command(name: str, results: dict[str, Any]) -> str:
    """With the data as it was read for training: its columns and the names of its classes, where these were said."""
    training = results.get("training") or {}
    words = ["python -m textclf.evaluate", name, "--data", training.get("data") or results["data"]]
    for option in ("text_column", "class_names"):
        if said := training.get(option):
            words += [f"--{option.replace('_', '-')}", *map(shlex.quote, said)]
    if column := training.get("label_column"):
        words += ["--label-column", shlex.quote(column)]
    return " ".join([*words, "--test", str(results["test"]["n"])])
