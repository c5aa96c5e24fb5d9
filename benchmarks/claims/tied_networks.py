"""What ``benchmarks.tied_networks`` measured: accuracy, size and latency of networks trained alike."""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple

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
    span,
    told,
    unless,
)
from benchmarks.tools.tables import Columns, Rows, plainly, several

COLUMNS: Columns = {
    **plainly("accuracy"),
    "points over dense of its size, as many epochs": ("over dense", "{:+.1f}"),
    **plainly("parameters", form="{:,}"),
    **plainly("MACs, million", form="{:.1f}"),
    **plainly("float16, MB", "ms", "ms, int8", form="{:.2f}"),
    **plainly("faster, batch 1", "faster, batch 64", form="{:.1f}x"),
    **plainly("CPU s", form="{:.0f}"),
}
Optimizer = Literal["muon", "sgd"]
# Where the weights of a row are from: trained as all others; started as the nearest to the network's untied form,
# trained with the same seed, and taught by the largest dense network of the family (a dense network so trained has had
# as many epochs, and the same teacher); or those of ``weights/``, whatever their recipe.
Origin = Literal["trained", "from its twin", "shipped"]
TRAINED: Origin = "trained"
FROM_TWIN: Origin = "from its twin"
SHIPPED: Origin = "shipped"


class Entry(NamedTuple):
    """Which row it is, as its fields say."""

    network: str
    origin: Origin = TRAINED

    @property
    def title(self) -> str:
        """ "airbench:blueprint", or "airbench:blueprint, shipped"."""
        return self.network if self.origin == TRAINED else f"{self.network}, {self.origin}"

    @property
    def tied(self) -> bool:
        """Whether its kernels share weights."""
        return ":" in self.network

    @property
    def untied(self) -> str:
        """The network of as many channels whose kernels share nothing."""
        return self.network.partition(":")[0]

    @property
    def family(self) -> str:
        """Networks that differ in width and ties."""
        return self.untied.partition("@")[0]


def entry(row: Mapping[str, Any]) -> Entry:
    """Of a row of results."""
    return Entry(row["network"], row["origin"])


# What is measured on each set unless the command says otherwise: the shipped dense twin and the shipped tied network.
NETWORKS: dict[str, list[Entry]] = {
    "cifar10": [Entry(name, SHIPPED) for name in ("airbench", "airbench:decoupled-2")],
    "fashion": [Entry(name, SHIPPED) for name in ("resnet20", "resnet20:blueprint")],
}
EPOCHS = {"cifar10": 16, "fashion": 8}
OPTIMIZER: Optimizer = "sgd"
OPTIMIZER_TITLES = {"muon": "Muon", "sgd": "SGD"}
SEEDS = 3
SERIES = TIED, DENSE, NARROW, PUBLISHED = "tied", "dense", "dense and narrower", "published, longer training"

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
    plots = _plots(rows, published)
    return [describe("tied_networks", name, results, numbers, (rows, COLUMNS), plots, SERIES)]


def _plots(rows: Rows, published: list[dict[str, Any]]) -> tuple[Plot, ...]:
    shares = {name: {**row, "share": _share(row["accuracies"])} for name, row in rows.items()}

    def series(row: str) -> str:
        if entry(rows[row]).tied:
            return TIED
        return DENSE if rows[row]["network"] == rows[twin(rows, row)]["network"] else NARROW

    def short(row: str) -> str:
        return _short(rows, row)

    axes = (("Parameters", PARAMETERS, "parameters"), ("Work", WORK, "macs"), ("Time", TIME, "latency_ms"))
    return tuple(
        Plot(
            title,
            x,
            ACCURACY,
            of_rows(shares, COLUMNS, x, ACCURACY, series, short) + _published(published, x, key),
        )
        for title, x, key in axes
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
            label=p["network"],
        )
        for p in points
        if p.get(key) is not None and drawable(p[key], x)
    )


def twin(rows: Rows, row: str) -> str:
    """The dense network that the others of its family are compared with: its largest, or the row itself."""
    family = entry(rows[row]).family
    entries = {name: entry(found) for name, found in rows.items()}
    dense = [n for n, e in entries.items() if e.family == family and not e.tied and e.origin != FROM_TWIN]
    return max(dense or [row], key=lambda name: rows[name]["parameters"])


def compared(rows: Rows) -> Rows:
    """The rows, tied ones with how many points they are over dense networks of as many parameters."""
    return {name: {**row, "over dense": over_dense(rows, name)} for name, row in rows.items()}


def over_dense(rows: Rows, name: str) -> float | None:
    """Points of accuracy over a dense network of the family with as many parameters, from its twin where this one is.

    Between two that were trained, the dense accuracy is taken to be linear in the logarithm of the parameters. None for
    dense networks, and for ties that are smaller or larger than every dense one.
    """
    wanted, dense = entry(rows[name]), []
    for row in rows.values():
        other, from_twin = entry(row), wanted.origin == FROM_TWIN
        if not other.tied and other.family == wanted.family and (other.origin == FROM_TWIN) == from_twin:
            dense.append((math.log(need(row, "parameters")), _points(row)))
    dense.sort()
    if not wanted.tied or not dense:
        return None
    size, near = math.log(need(rows[name], "parameters")), math.log(OUTSIDE)
    if not dense[0][0] - near <= size <= dense[-1][0] + near:
        return None
    size = min(max(size, dense[0][0]), dense[-1][0])
    for (low, worse), (high, better) in pairwise(dense):
        if low <= size <= high:
            return _points(rows[name]) - worse - (better - worse) * (size - low) / (high - low)
    return _points(rows[name]) - dense[0][1]  # there is one dense network


def _less_time(rows: Rows, name: str) -> float | None:
    """How many times longer a tied network trained than the dense one of its family that is nearest in size."""
    wanted, size = entry(rows[name]), math.log(need(rows[name], "parameters"))
    narrow = [
        row
        for row in rows.values()
        if (other := entry(row)).family == wanted.family and not other.tied and other.origin == wanted.origin
    ]
    if rows[name]["over dense"] is None or not narrow:
        return None
    nearest = min(narrow, key=lambda row: abs(math.log(need(row, "parameters")) - size))
    seconds = need(nearest, "CPU s")
    return need(rows[name], "CPU s") / seconds if seconds else None


def _short(rows: Rows, row: str) -> str:
    """What is written beside a mark: of a tie of the dense network itself the tie alone."""
    wanted = entry(rows[row])
    tie = wanted.network.partition(":")[2]
    return (
        Entry(tie, wanted.origin).title if tie and wanted.untied == rows[twin(rows, row)]["network"] else row
    )


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
    dense, row = twin(rows, name), rows[name]
    fewer = need(rows[dense], "parameters") / need(row, "parameters")
    return {
        "name": row["network"],
        "row": row,
        "twin": rows[dense],
        "fewer": fewer,
        "faster": need(row, "faster, batch 1"),
        "behind": _points(rows[dense]) - _points(row),
        "teacher": "it" if dense == entry(row).untied else dense,
        "smaller": f" with {fewer:.1f} times fewer parameters" if entry(row).tied else "",
    }


def _numbers(rows: Rows) -> dict[str, Any]:
    entries = {name: entry(row) for name, row in rows.items()}
    tied = [name for name, found in entries.items() if found.tied]
    told_of = {name: _beside_twin(rows, name) for name in rows}
    over = {_short(rows, n): row["over dense"] for n, row in rows.items() if row["over dense"] is not None}
    runs = sorted({len(row["accuracies"]) for row in rows.values()})
    return {
        **told_of[tied[0]],
        "started": entries[tied[0]].origin == FROM_TWIN,
        "over": rows[tied[0]]["over dense"],
        "from_twin": [of for name, of in told_of.items() if entries[name].origin == FROM_TWIN],
        "shipped": [told_of[name] for name in tied if entries[name].origin == SHIPPED],
        "level": [
            told_of[name]
            for name in tied[1:]
            if entries[name].origin == TRAINED and _level(rows[name], told_of[name]["twin"])
        ],
        "less": _less_time(rows, tied[0]),
        "best": all("ms, int8" in row for row in rows.values()),
        "over_each": dict(sorted(over.items(), key=lambda item: -item[1])) if len(over) > 1 else None,
        "runs": span(runs),
        "one_seed": runs[-1] == 1,
        "seeds": unless(runs[-1], SEEDS),
    }


def _asked(name: str, rows: Rows, data: str) -> dict[str, Any]:
    """What the command says, where it differs from the benchmark's defaults."""
    first, row = next(iter(rows.items()))
    entries = [entry(found) for found in rows.values()]
    usual = set(entries) == set(NETWORKS.get(data, ()))
    plain = usual or (data not in NETWORKS and row["optimizer"] == OPTIMIZER)
    start = f", {FROM_TWIN}" if any(found.origin == FROM_TWIN for found in entries) else ""

    def named(origin: Origin) -> str | None:
        return shlex.join(found.network for found in entries if found.origin == origin and not usual) or None

    return {
        "variant": "" if plain else f", {first} by {OPTIMIZER_TITLES[row['optimizer']]}{start}",
        "networks": named(TRAINED),
        "twins": named(FROM_TWIN),
        "ready": named(SHIPPED),
        "epochs": None if usual else unless(row["epochs"], EPOCHS.get(data)),
        "optimizer": None if usual else unless(row["optimizer"], OPTIMIZER),
        "output": f"benchmarks/results/{name}.json" if name != f"tied_networks_{data}" else None,
    }
