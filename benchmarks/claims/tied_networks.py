"""What ``benchmarks.tied_networks`` measured: accuracy, size and latency of networks trained alike."""

from __future__ import annotations

import math
import shlex
import statistics
from itertools import pairwise
from typing import Any, Literal

from benchmarks.claims.claim import (
    Axis,
    Claim,
    Plot,
    Point,
    data_title,
    describe,
    drawable,
    need,
    of_rows,
    told,
)
from benchmarks.tools.tables import Columns, Rows, plainly, several

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
    front = results.get("front", {})
    published = [point for point in front.get("points", []) if point.get("published")]
    numbers = {
        **_numbers(rows),
        **_asked(name, rows, results["data"]),
        "pictures": str(front.get("data") or data_title(results["data"])),
        "n": results.get("n"),
        "published": bool(published),
    }
    return [
        describe(
            name,
            "tied_networks",
            results,
            numbers,
            system="Kernels",
            rows=rows,
            columns=COLUMNS,
            plots=_plots(rows, published),
            series=(TIED, DENSE, NARROW, PUBLISHED),
        )
    ]


def _plots(rows: Rows, published: list[dict[str, Any]]) -> tuple[Plot, ...]:
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
            of_rows(shares, COLUMNS, x, ACCURACY, series, short) + _published(published, x, key),
        )
        for title, x, key in plots
    )


def _share(per_cent: list[float]) -> dict[str, float]:
    found = several(per_cent)
    return {"mean": found["mean"] / 100, "std": found["std"] / 100, "n": found["n"]}


def _published(points: list[dict[str, Any]], x: Axis, key: str) -> tuple[Point, ...]:
    """What others reported, where they did."""
    unit = 1e6 if x is WORK else 1.0
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
        if p.get(key) is not None and drawable(p[key], x)
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


def _short(row: str, dense: str) -> str:
    """What is written beside a mark: of a tie of the dense network itself the tie alone."""
    name, _, tie = row.partition(":")
    return tie if tie and name == network_of(dense) else row


def _level(row: dict[str, Any], dense: dict[str, Any]) -> bool:
    """Whether two networks of several runs each differ by no more than the larger deviation between runs."""
    runs = row["accuracies"], dense["accuracies"]
    if min(map(len, runs)) < 2:
        return False
    return abs(_points(row) - _points(dense)) <= max(map(statistics.stdev, runs))


def _points(row: dict[str, Any]) -> float:
    return statistics.fmean(row["accuracies"])


def _beside_twin(rows: Rows, name: str) -> dict[str, Any]:
    """What is told of a row: itself, its dense twin, and the two compared."""
    dense = twin(rows, name)
    row, fewer = rows[name], need(rows[dense], "parameters") / need(rows[name], "parameters")
    return {
        "name": network_of(name),
        "row": row,
        "twin": rows[dense],
        "fewer": fewer,
        "faster": need(rows[dense], "ms") / need(row, "ms"),
        "behind": _points(rows[dense]) - _points(row),
        "teacher": "it" if dense == network_of(name).partition(":")[0] else dense,
        "smaller": f" with {fewer:.1f} times fewer parameters" if ":" in name else "",
    }


def _numbers(rows: Rows) -> dict[str, Any]:
    first = next(name for name in rows if ":" in name)
    told_of = {name: _beside_twin(rows, name) for name in rows}
    over = {name: row["over dense"] for name, row in rows.items() if row["over dense"] is not None}
    ranked = sorted(over, key=lambda name: -over[name])
    runs = sorted({len(row["accuracies"]) for row in rows.values()})
    return {
        **told_of[first],
        "started": first.endswith(FROM_TWIN),
        "over": rows[first]["over dense"],
        "from_twin": [of for name, of in told_of.items() if name.endswith(FROM_TWIN)],
        "shipped": [of for name, of in told_of.items() if name.endswith(SHIPPED) and ":" in name],
        "level": [
            {**of, "name": name}
            for name, of in told_of.items()
            if ":" in name
            and name != first
            and not name.endswith((FROM_TWIN, SHIPPED))
            and _level(of["row"], of["twin"])
        ],
        "over_each": {_short(n, twin(rows, n)): over[n] for n in ranked} if len(over) > 1 else None,
        "runs": " to ".join(map(str, dict.fromkeys((runs[0], runs[-1])))),
        "one_seed": runs[-1] == 1,
        "seeds": runs[-1] if runs[-1] != SEEDS else None,
    }


def _asked(name: str, rows: Rows, data: str) -> dict[str, Any]:
    """What the command says, where it differs from the benchmark's defaults."""
    first, row = next(iter(rows.items()))
    usual = set(rows) == set(NETWORKS.get(data, rows)) and row["optimizer"] == OPTIMIZER
    start = FROM_TWIN if any(name.endswith(FROM_TWIN) for name in rows) else ""
    return {
        "variant": "" if usual else f", {first} by {OPTIMIZER_TITLES[row['optimizer']]}{start}",
        "networks": shlex.join(rows) if set(rows) != set(NETWORKS.get(data, ())) else None,
        "epochs": row["epochs"] if row["epochs"] != EPOCHS.get(data) else None,
        "optimizer": row["optimizer"] if row["optimizer"] != OPTIMIZER else None,
        "output": f"benchmarks/results/{name}.json" if name != f"tied_networks_{data}" else None,
    }
