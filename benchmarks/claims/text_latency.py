"""What ``benchmarks.text_latency`` measured: plans by batch and threads, poolings, and plans that nobody searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.claims.claim import (
    PER_CENT,
    Axis,
    Claim,
    Plot,
    Point,
    by,
    data_title,
    mean,
    need,
    of_rows,
    times,
)
from benchmarks.claims.text_plans import ACCURACY, ENGINES, LINEAR, SERIES, engine_of, linear_row, point
from benchmarks.tables import Columns, Rows

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


def _tested(results: dict[str, Any], n: int) -> str:
    return f"{n:,} test texts of {data_title(results['data'])}"


def _command(results: dict[str, Any], more: str = "") -> str:
    return f"python -m benchmarks.text_latency --data {results['data']} --model text-{results['data']}{more}"


# Plans against the full encoder ------------------------------------------------------------------------------------


def _plans(name: str, results: dict[str, Any]) -> Claim:
    settings = {setting: setting_rows(results, setting) for setting in results["milliseconds"]}
    rows = {f"{setting}: {plan}": row for setting, found in settings.items() for plan, row in found.items()}
    data = data_title(results["data"])
    return Claim(
        name,
        f"Plans and engines: {data}",
        "Text",
        _plan_sentence(settings[FIRST], data),
        _plan_limits(settings[FIRST]),
        rows,
        COLUMNS,
        tuple(Plot(s, TIME, ACCURACY, tuple(_points(found))) for s, found in settings.items()),
        SERIES,
        f"{_tested(results, results['n'])}; times of a text of {results['tokens']} tokens",
        "1",
        _command(results),
        results,
        "Over full length: how many times faster, both in ONNX Runtime, float32.",
    )


def _points(rows: Rows) -> Iterator[Point]:
    for name, row in rows.items():
        for engine in (*ENGINES, "linear"):
            ms, share = (
                mean(row.get(engine)),
                mean(row.get("int8 accuracy" if engine == "int8" else "accuracy")),
            )
            if ms is not None and share is not None:
                yield point(name, engine, ms, share, ())


def _fastest(rows: Rows) -> tuple[str, dict[str, Any], str]:
    plans = {name: row for name, row in rows.items() if name != LINEAR}
    engine = engine_of(plans)
    name, row = min(plans.items(), key=lambda item: need(item[1], engine))
    return name, row, engine


def _plan_sentence(rows: Rows, data: str) -> str:
    name, row, engine = _fastest(rows)
    lost = 100 * (need(rows["full"], "accuracy") - need(row, "accuracy"))
    return (
        f"On {data} the plan “{name}” answers "
        f"{times(need(rows['full'], engine) / need(row, engine), 'faster', 'slower')} than full length in "
        f"the same engine, with {by(-lost, '{:.1f} points', 'more', 'less')} accuracy."
    )


def _plan_limits(rows: Rows) -> str:
    _, row, engine = _fastest(rows)
    linear = rows[LINEAR]
    quicker = times(need(row, engine) / need(linear, "linear"), "faster", "slower")
    better = need(linear, "accuracy") - need(row, "accuracy")
    return (
        f"One trained model. A linear model on TF-IDF is {quicker} than that plan, and "
        f"{by(100 * better, '{:.1f} points', 'more', 'less')} accurate; int8 alone is part of the gain over "
        "PyTorch."
    )


# Poolings at one plan ----------------------------------------------------------------------------------------------


def _poolings(name: str, results: dict[str, Any], found: dict[str, Any]) -> Claim:
    rows = {kind: {**row, "accuracy": _several(row)} for kind, row in found["rows"].items()}
    plan, data = " ".join(map(str, found["plan"])), data_title(results["data"])
    return Claim(
        name,
        f"Poolings: {data}",
        "Text",
        _pooling_sentence(rows, plan, data),
        "One plan and a short training for all: other plans may rank them otherwise.",
        rows,
        POOLINGS,
        (Plot("", POOLING_TIME, ACCURACY, of_rows(rows, POOLINGS, POOLING_TIME, ACCURACY, _pooling)),),
        (OURS, OTHERS),
        _tested(results, found["n"]),
        f"{max(row['n'] for row in rows.values())} of each",
        _command(results, " --operators True"),
        results,
    )


def _several(row: dict[str, Any]) -> dict[str, Any]:
    return {"mean": row["accuracy"], "std": row["std"], "n": row["n"]}


def _pooling(row: str) -> str:
    return OURS if row == "learned" else OTHERS


def _pooling_sentence(rows: Rows, plan: str, data: str) -> str:
    ranked = sorted(rows, key=lambda kind: -need(rows[kind], "accuracy"))
    said = [f"{kind} {PER_CENT.format(100 * need(rows[kind], 'accuracy'))}" for kind in ranked]
    return f"How words are joined, at the plan {plan} on {data}: {', '.join(said)}."


# Searched plans against others -------------------------------------------------------------------------------------


def _searched(name: str, results: dict[str, Any], found: dict[str, Any]) -> Claim:
    rows: Rows = found["rows"]
    ours = {n: {**r, "accuracy": r["searched"]} for n, r in rows.items() if r["searched"] is not None}
    points = of_rows(rows, PLANS, PLAN_TIME, ACCURACY, lambda _: BY_HAND)
    points += of_rows(ours, PLANS, PLAN_TIME, ACCURACY, lambda _: SEARCHED, lambda _: "")
    data = data_title(results["data"])
    return Claim(
        name,
        f"Searched or by hand: {data}",
        "Text",
        _search_sentence(rows, data),
        "One search on one model; a searched plan may be faster than the time it stands at.",
        rows,
        PLANS,
        (Plot("", PLAN_TIME, ACCURACY, points),),
        (SEARCHED, BY_HAND),
        _tested(results, found["n"]),
        "1",
        _command(results, f" --searched True --test {found['n']}"),
        results,
        "Ahead: accuracy of the best searched plan that is as fast or faster, over that of the plan in the row.",
    )


def _search_sentence(rows: Rows, data: str) -> str:
    met = [row for row in rows.values() if row["ahead"] is not None]
    ahead = [row for row in met if row["ahead"] > 0]
    return (
        f"On {data} searched plans are ahead of {len(ahead)} of {len(rows)} plans that a person would write "
        f"down, at the same latency or less; {len(rows) - len(met)} of them have none as fast beside them."
    )
