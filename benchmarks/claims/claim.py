"""What a claim is: a sentence, its table and plots, and how to measure it again. Knows no kind of result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.claims.words import fill, template
from benchmarks.tools.tables import MISSING, Columns, Rows, cells

SYSTEMS = ("Shapes in 2D", "Shapes in 3D", "Kernels", "Text", "The page")
SEEDS = "deviation over seeds"
PER_CENT = "{:.1f} %"


class ClaimError(ValueError):
    """A file of results cannot be read as a claim; the message is one sentence."""


@dataclass(frozen=True)
class Axis:
    """One direction of a plot.

    Args:
        title: what is measured, with its unit.
        key: of the number in a table's row.
        better: the direction that is, if one is.
        log: drawn on a logarithmic scale.
        percent: the numbers are shares of one.
        step: from one tick to the next, where round numbers are none.
        own: ticks are the points' own numbers.
    """

    title: str
    key: str
    better: Literal["", "lower", "higher"] = ""
    log: bool = False
    percent: bool = False
    step: float = 0.0
    own: bool = False


@dataclass(frozen=True)
class Point:
    """One mark of a plot.

    Args:
        series: whose it is.
        name: what it is.
        x, y: where it is.
        x_error, y_error: half the length of its error bars.
        facts: titles and numbers that it tells when asked.
        label: what is written beside it, if there is room.
    """

    series: str
    name: str
    x: float
    y: float
    x_error: float = 0.0
    y_error: float = 0.0
    facts: tuple[tuple[str, str], ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Plot:
    """Points on two axes.

    Args:
        title: short, where there is a choice of plots.
        lines: join the points of a series.
        bars: what the error bars are.
        equal: draw where x and y are the same, for two numbers of one kind.
    """

    title: str
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    lines: bool = False
    bars: str = SEEDS
    equal: bool = False


@dataclass(frozen=True)
class Claim:
    """What was measured, and what it shows.

    Args:
        name: in links, and of the table in the README.
        title: a few words, for a list.
        system: one of ``SYSTEMS``.
        sentence: what is claimed, with its numbers.
        limits: what the numbers do not show, or where the claim fails.
        rows, columns: the table.
        plots: at least one.
        series: of all plots; ours first.
        n: what was tested.
        seeds: how many runs of training are behind the numbers.
        command: measures all of it again.
        results: the file's content, for who wants the numbers.
        notes: terms of the table that need a word.
    """

    name: str
    title: str
    system: str
    sentence: str
    limits: str
    rows: Rows
    columns: Columns
    plots: tuple[Plot, ...]
    series: tuple[str, ...]
    n: str
    seeds: str
    command: str
    results: Mapping[str, Any] = field(repr=False)
    notes: str = ""

    @property
    def machine(self) -> str:
        """What it ran on; empty where the file does not say."""
        found = self.results.get("machine")
        return machine(found) if isinstance(found, Mapping) else ""

    @property
    def commit(self) -> str:
        """Which code ran; empty where the file does not say."""
        return str(self.results.get("commit") or "")


def machine(facts: Mapping[str, Any]) -> str:
    """ "AMD EPYC, 2 cores, 1 thread, torch 2.13, Python 3.11, Linux" of what ``training.measure.machine`` gave."""
    counted = [f"{facts[k]} {k if facts[k] != 1 else k[:-1]}" for k in ("cores", "threads") if k in facts]
    software = [
        f"{title} {facts[key]}" for key, title in (("torch", "torch"), ("python", "Python")) if key in facts
    ]
    return ", ".join([str(facts.get("cpu", "")), *counted, *software, str(facts.get("system", ""))]).strip(
        ", "
    )


def mean(value: Any) -> float | None:
    """A number, or that of several seeds; None where there is none."""
    found = value.get("mean") if isinstance(value, Mapping) else value
    good = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
    return float(found) if good else None  # type: ignore[arg-type]


def need(row: Mapping[str, Any], key: str) -> float:
    """:func:`mean` of the number at ``key``; ``ClaimError`` if there is none."""
    found = mean(row[key])
    if found is None:
        raise ClaimError(f"{key} is not a number")
    return found


def error(value: Any) -> float:
    """Deviation over seeds; 0 of a single run."""
    several = isinstance(value, Mapping) and value.get("n", 1) > 1
    return (mean(value.get("std")) or 0.0) if several else 0.0


def unless(value: Any, usual: Any) -> Any:
    """The value; None where it is the usual one, which need not be said."""
    return None if value == usual else value


def span(counts: Iterable[int]) -> str:
    """ "3", or "1 to 3" of several that differ."""
    found = sorted(set(counts))
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def facts(row: Mapping[str, Any], columns: Columns) -> tuple[tuple[str, str], ...]:
    """The row's numbers under their titles, those that there are."""
    return tuple((t, text) for t, text in zip(columns, cells(row, columns), strict=True) if text != MISSING)


def of_rows(
    rows: Rows,
    columns: Columns,
    x: Axis,
    y: Axis,
    series: Callable[[str], str],
    label: Callable[[str], str] = str,
    error_key: str = "",
) -> tuple[Point, ...]:
    """A point for every row that has both numbers.

    Args:
        error_key: of the row's error in y, where it is a number of its own.
    """
    points = []
    for name, row in rows.items():
        at = mean(row.get(x.key)), mean(row.get(y.key))
        if drawable(at[0], x) and drawable(at[1], y):
            errors = error(row.get(x.key)), mean(row.get(error_key)) or error(row.get(y.key))
            points.append(Point(series(name), name, *at, *errors, facts(row, columns), label(name)))  # type: ignore[arg-type]
    return tuple(points)


def drawable(value: float | None, axis: Axis) -> bool:
    """Whether there is a place for the number on the axis."""
    return value is not None and (value > 0 or not axis.log)


def told(value: float, axis: Axis, form: str = "{:.4g}") -> tuple[str, str]:
    """A number of a point that is in no table."""
    return axis.title, PER_CENT.format(100 * value) if axis.percent else form.format(value)


def argument(data: str) -> str:
    """A data set as a command takes it: those without a name of their own are files."""
    return data if data in ("mnist", "fashion", "cifar10") or "." in data else f"{data}.npz"


def data_title(data: str) -> str:
    """A data set's name as people write it."""
    titles = {"mnist": "MNIST", "fashion": "Fashion-MNIST", "cifar10": "CIFAR-10", "modelnet10": "ModelNet10"}
    titles |= {
        "agnews": "AG News",
        "imdb": "IMDB",
        "trec": "TREC",
        "sst2": "SST-2",
        "20news": "20 Newsgroups",
    }
    return titles.get(data, data)


def describe(
    kind: str,
    name: str,
    results: Mapping[str, Any],
    numbers: Mapping[str, Any],
    table: tuple[Rows, Columns],
    plots: tuple[Plot, ...],
    series: tuple[str, ...],
) -> Claim:
    """A claim in the words of ``KIND.md``.

    Args:
        results: the file's content; what it holds has its name in the template, the data set as people write it.
        numbers: what the template names besides.

    Raises:
        ClaimError: none of the numbers that are claimed exists.
    """
    data = results.get("data", "")
    known = {**results, "data": data_title(data), "data_name": data, "file": argument(data), **numbers}
    said = {part: fill(sentences, known) for part, sentences in template(kind).items()}
    if not said["Claim"]:
        raise ClaimError("there is no number of what it claims")
    return Claim(
        name=name,
        title=" ".join(said["Title"]),
        system=" ".join(said["System"]),
        sentence=" ".join(said["Claim"]),
        limits=" ".join(said["Limits"]),
        rows=table[0],
        columns=table[1],
        plots=plots,
        series=series,
        n=", ".join(said["Tested on"]),
        seeds=", ".join(said["Runs"]),
        command=" ".join(said["Command"]),
        results=results,
        notes=" ".join(said.get("Notes", ())),
    )
