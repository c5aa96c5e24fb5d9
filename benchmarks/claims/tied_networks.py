"""What ``benchmarks.tied_networks`` measured: accuracy, size and latency of networks trained alike."""

from __future__ import annotations

import math
import shlex
import statistics
from itertools import pairwise
from typing import Any, Literal

from benchmarks.claims.claim import (
    PER_CENT,
    Axis,
    Claim,
    Plot,
    Point,
    argument,
    by,
    data_title,
    drawable,
    need,
    of_rows,
    times,
    told,
)
from benchmarks.tables import Columns, Rows, plainly

COLUMNS: Columns = {
    **plainly("accuracy"),
    "points over dense of its size": ("over dense", "{:+.1f}"),
    **plainly("parameters", form="{:,}"),
    **plainly("MACs, million", form="{:.1f}"),
    **plainly("float16, MB", "ms", form="{:.2f}"),
    **plainly("faster, batch 1", "faster, batch 64", form="{:.1f}x"),
    **plainly("CPU s", form="{:.0f}"),
}
Optimizer = Literal["muon", "sgd"]
# What is trained on each set unless the command says otherwise: dense twin, tied, and a narrower dense network of as
# many parameters as the tied one.
NETWORKS: dict[str, tuple[str, ...]] = {
    "cifar10": (
        "resnet9@0.5", "resnet9@0.5:blueprint", "resnet9@0.172", "airbench, shipped", "airbench:decoupled-2, shipped",
    ),
    "fashion": ("resnet20", "resnet20:blueprint", "resnet20@0.375"),
}  # fmt: skip
# Ends the name of a network that started as the nearest to its untied form, trained with the same seed, and was taught
# by the largest dense network of the family. A dense network so ended has had as many epochs, and the same teacher.
FROM_TWIN = ", from its twin"
SHIPPED = ", shipped"  # ends the name of a network of ``weights/``, whatever its recipe
EPOCHS = {"cifar10": 16, "fashion": 8}
OPTIMIZER: Optimizer = "sgd"
OPTIMIZER_TITLES = {"muon": "Muon", "sgd": "SGD"}
SEEDS = 3
TIED, DENSE, NARROW, PUBLISHED = "tied", "dense", "dense and narrower", "published, longer training"

OUTSIDE = 1.1  # how far from the dense sizes that were trained a tied network may be and still be compared with them

ACCURACY = Axis("test accuracy", "share", "higher", percent=True)
PARAMETERS = Axis("parameters", "parameters", "lower", log=True)
WORK = Axis("multiply-accumulates, one picture, million", "MACs, million", "lower", log=True)
TIME = Axis("processor ms, one picture, one thread", "ms", "lower", log=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set; the first tied network and its twin are the comparison."""
    rows = compared(results["rows"])
    runs = [len(row["accuracies"]) for row in rows.values()]
    data = str(results.get("front", {}).get("data") or data_title(results["data"]))
    first, row = next(iter(rows.items()))
    usual = set(rows) == set(NETWORKS.get(results["data"], rows))
    usual &= row["optimizer"] == OPTIMIZER
    start = FROM_TWIN if any(name.endswith(FROM_TWIN) for name in rows) else ""
    return [
        Claim(
            name,
            f"Accuracy for fewer parameters: {data_title(results['data'])}"
            + ("" if usual else f", {first} by {OPTIMIZER_TITLES[row['optimizer']]}{start}"),
            "Kernels",
            _sentence(rows, data),
            _limits(rows, max(runs), any(p["published"] for p in results.get("front", {}).get("points", []))),
            rows,
            COLUMNS,
            _plots(rows, results.get("front", {}).get("points", [])),
            (TIED, DENSE, NARROW, PUBLISHED),
            f"{results['n']:,} test pictures of {data}" if "n" in results else f"the test pictures of {data}",
            f"{min(runs)}" if min(runs) == max(runs) else f"{min(runs)} to {max(runs)}",
            _command(name, rows, results["data"], max(runs)),
            results,
            "Accuracy in per cent; MACs are multiply-accumulates; times are of ONNX Runtime, float32, one thread.",
        )
    ]


def _plots(rows: Rows, front: list[dict[str, Any]]) -> tuple[Plot, ...]:
    shares = {name: {**row, "share": _share(row["accuracies"])} for name, row in rows.items()}

    def series(row: str) -> str:
        if ":" in row:
            return TIED
        return DENSE if network_of(row) == network_of(twin(rows, row)) else NARROW

    def short(row: str) -> str:
        return _short(row, twin(rows, row))

    plots = (("Parameters", PARAMETERS, "parameters"), ("Work", WORK, "macs"), ("Time", TIME, "latency_ms"))
    return tuple(
        Plot(
            title,
            x,
            ACCURACY,
            of_rows(shares, COLUMNS, x, ACCURACY, series, short) + _published(front, x, key),
        )
        for title, x, key in plots
    )


def _share(per_cent: list[float]) -> dict[str, float]:
    spread = statistics.stdev(per_cent) if len(per_cent) > 1 else 0.0
    return {"mean": statistics.fmean(per_cent) / 100, "std": spread / 100, "n": len(per_cent)}


def _published(front: list[dict[str, Any]], x: Axis, key: str) -> tuple[Point, ...]:
    """What others reported, where they did."""
    unit = 1e6 if x is WORK else 1.0
    points = [p for p in front if p.get("published") and p.get(key) is not None and drawable(p[key], x)]
    return tuple(
        Point(
            PUBLISHED,
            p["network"],
            p[key] / unit,
            p["accuracy"],
            facts=(told(p["accuracy"], ACCURACY), told(p[key] / unit, x, "{:,.0f}")),
            label=p["network"].split(",")[0],
        )
        for p in points
    )


def twin(rows: Rows, row: str) -> str:
    """The dense network that the others of its family are compared with: its largest, or the row itself."""
    dense = [name for name in rows if is_dense(name) and _family(name) == _family(row)] or [row]
    return max(dense, key=lambda name: rows[name]["parameters"])


def network_of(row: str) -> str:
    """``"airbench:blueprint, from its twin"`` -> ``"airbench:blueprint"``."""
    return row.partition(",")[0]


def is_dense(row: str) -> bool:
    """Whether it is a dense network that was trained as all others are."""
    return ":" not in row and not row.endswith(FROM_TWIN)


def compared(rows: Rows) -> Rows:
    """The rows, tied ones with how many points they are over dense networks of as many parameters."""
    return {name: {**row, "over dense": over_dense(rows, name)} for name, row in rows.items()}


def over_dense(rows: Rows, name: str) -> float | None:
    """Points of accuracy over a dense network of the family with as many parameters, from its twin where this one is.

    Between two that were trained, the dense accuracy is taken to be linear in the logarithm of the parameters. None for
    dense networks, and for ties that are smaller or larger than every dense one.
    """
    dense = sorted(
        (math.log(need(row, "parameters")), _points(row))
        for other, row in rows.items()
        if ":" not in other
        and _family(other) == _family(name)
        and other.endswith(FROM_TWIN) == name.endswith(FROM_TWIN)
    )
    if ":" not in name or not dense:
        return None
    size, near = math.log(need(rows[name], "parameters")), math.log(OUTSIDE)
    if not dense[0][0] - near <= size <= dense[-1][0] + near:
        return None
    size = min(max(size, dense[0][0]), dense[-1][0])
    for (low, worse), (high, better) in pairwise(dense):
        if low <= size <= high:
            return _points(rows[name]) - worse - (better - worse) * (size - low) / (high - low)
    return _points(rows[name]) - dense[0][1]  # there is one dense network


def _family(row: str) -> str:
    return network_of(row).partition(":")[0].partition("@")[0]


def _command(name: str, rows: Rows, data: str, seeds: int) -> str:
    """What measures these rows: whatever differs from the benchmark's defaults is said."""
    epochs, optimizer = (next(iter(rows.values()))[key] for key in ("epochs", "optimizer"))
    words = ["python", "-m", "benchmarks.tied_networks", "--data", argument(data)]
    if set(rows) != set(NETWORKS.get(data, ())):
        words += ["--networks", *rows]
    if epochs != EPOCHS.get(data):
        words += ["--epochs", str(epochs)]
    if optimizer != OPTIMIZER:
        words += ["--optimizer", optimizer]
    if seeds != SEEDS:
        words += ["--seeds", str(seeds)]
    if name != f"tied_networks_{data}":
        words += ["--output", f"benchmarks/results/{name}.json"]
    return shlex.join(words)


def _short(row: str, dense: str) -> str:
    """What is written beside a mark: of a tie of the dense network itself the tie alone."""
    name, _, tie = row.partition(":")
    return tie if tie and name == network_of(dense) else row


def _compared(rows: Rows) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Name and row of the first tied network, and its twin."""
    name = next(n for n in rows if ":" in n)
    return name, rows[name], rows[twin(rows, name)]


def _level(row: dict[str, Any], dense: dict[str, Any]) -> bool:
    """Whether two networks of several runs each differ by no more than the larger deviation between runs."""
    runs = row["accuracies"], dense["accuracies"]
    if min(map(len, runs)) < 2:
        return False
    return abs(_points(row) - _points(dense)) <= max(map(statistics.stdev, runs))


def _points(row: dict[str, Any]) -> float:
    return statistics.fmean(row["accuracies"])


def _sentence(rows: Rows, data: str) -> str:
    name, tied, dense = _compared(rows)
    faster = times(need(dense, "ms") / need(tied, "ms"), "faster", "slower")
    fewer = need(dense, "parameters") / need(tied, "parameters")
    over = tied["over dense"]
    ahead = "" if over is None else by(over, "{:.1f} points", "more", "less")
    beside = ahead and f", {ahead} than a narrower dense network of as many parameters"
    tied_one = f"{network_of(name)}{', started from it,' if name.endswith(FROM_TWIN) else ''}"
    return (
        f"With {fewer:.1f} times fewer parameters than its dense twin, {tied_one} is {faster} and right in "
        f"{PER_CENT.format(_points(tied))} of the test pictures of {data}{beside}."
    )


def _limits(rows: Rows, runs: int, published: bool) -> str:
    first, tied, dense = _compared(rows)
    behind = by(_points(dense) - _points(tied), "{:.1f} points", "behind", "ahead of")
    right = PER_CENT.format(_points(dense))
    words = f"The tied network is {behind} its dense twin ({right}) after {tied['epochs']} epochs."
    for name, row in rows.items():
        other = twin(rows, name)
        fewer = need(rows[other], "parameters") / need(row, "parameters")
        if name.endswith(FROM_TWIN):
            size = f" with {fewer:.1f} times fewer parameters" if ":" in name else ""
            start = network_of(name).partition(":")[0]
            words += (
                f" {network_of(name)}, trained as long again from its twin and taught by "
                f"{'it' if other == start else other}, is right in {PER_CENT.format(_points(row))}{size}."
            )
        elif name.endswith(SHIPPED) and ":" in name:
            words += (
                f" {network_of(name)}, shipped, is right in {PER_CENT.format(_points(row))} with {fewer:.1f} times "
                f"fewer parameters than its twin, right in {PER_CENT.format(_points(rows[other]))}; "
                "their recipes differ."
            )
        elif ":" in name and name != first and _level(row, rows[other]):
            words += (
                f" {name}, with {fewer:.1f} times fewer parameters, is as accurate as the twin, within the deviation "
                "between seeds."
            )
    known = {n: row["over dense"] for n, row in rows.items() if row["over dense"] is not None}
    if len(known) > 1:
        best = sorted(known, key=lambda n: -known[n])
        told_each = ", ".join(f"{_short(n, twin(rows, n))} ({known[n]:+.1f})" for n in best)
        words += f" Points over dense networks of as many parameters: {told_each}."
    if runs == 1:
        words += " One seed: a difference of half a point would be none."
    if published:
        words += " Published numbers come from lossless pixels and longer training: no comparison of equals."
    return words
