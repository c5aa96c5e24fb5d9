"""Claim: with what plans have in common computed once, every plan is tried for less than a search costs.

    python -m benchmarks.text_search text-agnews --data agnews

Measures every plan of a model once, on the validation texts that a search looks at and on the others, and then lets
each way to choose plans ask for them: NSGA-II started from hand-made plans, as :mod:`training.study` does, numbers
drawn at random with and without the same start, and the hand-made plans alone. A way is judged by the area behind its
front (hypervolume), as a share of the best possible, on the texts that it saw and on those that it did not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.claims.text_search import BY_HAND, COLUMNS, EVERY, NSGA, RANDOM, STARTED
from benchmarks.text_latency import short_name
from benchmarks.tools.tables import Rows, markdown, several, write
from textclf.bottleneck import Plan
from textclf.evaluate import ModelAndTexts, classify_every, typical_length
from textclf.latency import measure_table
from textclf.search import common_lengths, decoded, every_plan, space, work
from training.command import command
from training.front import Candidate, expected_error, front
from training.measure import commit, machine
from training.progress import Steps
from training.study import Space, tried
from training.texts import TextSplit, subset

Point = tuple[float, float]  # error, milliseconds


@dataclass(frozen=True)
class TextSearch(ModelAndTexts):
    """Ways to choose plans, on errors that are measured once.

    Args:
        texts: validation texts that a search sees.
        unseen: others that it is judged on as well, at most.
        trials: plans that it may ask for, one table row each.
        seeds: searches of each way that draws.
        output: results; named after the model if left out.
    """

    texts: int = 400
    unseen: int = 600
    trials: tuple[int, ...] = (60, 120)
    seeds: int = 5
    output: Path | None = None


def area(points: Sequence[Point], corner: Point) -> float:
    """Of the rectangle up to ``corner`` that lies behind the points: their hypervolume."""
    best = front(
        [Candidate(point, *point) for point in points if point[0] < corner[0] and point[1] < corner[1]]
    )
    total, error = 0.0, corner[0]
    for candidate in best:  # fastest first, errors falling
        total += (error - candidate.error) * (corner[1] - candidate.ms)
        error = candidate.error
    return total


def drawn(plans: Space[Plan], trials: int, seed: int, start: Sequence[Plan] = ()) -> list[Plan]:
    """``start``, and plans of numbers at random, until ``trials`` were asked for; each once."""
    source = random.Random(seed)
    numbers = [{k: source.randint(*ends) for k, ends in plans.ranges.items()} for _ in range(trials)]
    return list(dict.fromkeys([*start, *map(plans.plan, numbers)][:trials]))


def by_hand(layers: int, shrink: int = 16) -> list[Plan]:
    """What a person would write down: where a search starts, layers left out, and two patterns."""
    start = space(layers, shrink)
    fewer = [(1,) * depth for depth in range(max(1, layers - 2), layers)]
    patterns = ([1, 0] * layers, [0] * (layers // 2) + [1] * layers)
    return list(
        dict.fromkeys(
            [*map(start.plan, start.seeds), *fewer, *(decoded(p, layers, shrink) for p in patterns)]
        )
    )


def evolved(plans: Space[Plan], known: dict[Plan, Point], trials: int, seed: int) -> list[Plan]:
    """Those that NSGA-II asks for."""
    return [c.plan for c in tried(known.__getitem__, plans, trials=trials, seed=seed)]


def rows_of(
    seen: dict[Plan, Point],
    unseen: dict[Plan, Point],
    plans: Space[Plan],
    hand: Sequence[Plan],
    tokens: int,
    options: TextSearch,
) -> Rows:
    """Each way's share of the best possible area, and its work in passes of the full length.

    ``seen`` and ``unseen``: every plan's error and time, on the texts of the search and on the others; ``hand``: plans
    that a person would write down.
    """
    every, start = list(seen), list(dict.fromkeys(map(plans.plan, plans.seeds)))
    full = max(every, key=lambda plan: work([plan], tokens, False))
    ways: dict[str, Callable[[int, int], list[Plan]]] = {
        NSGA: lambda trials, seed: evolved(plans, seen, trials, seed),
        STARTED: lambda trials, seed: drawn(plans, trials, seed, start),
        RANDOM: lambda trials, seed: drawn(plans, trials, seed),
    }
    chosen = {
        f"{name}, {n} trials": [way(n, s) for s in range(options.seeds)]
        for n in options.trials
        for name, way in ways.items()
    }
    chosen |= {BY_HAND: [list(hand)], EVERY: [every]}
    unit = work([full], tokens, False)
    rows: Rows = {}
    for name, runs in chosen.items():
        fronts = [[c.plan for c in front([Candidate(p, *seen[p]) for p in run])] for run in runs]
        rows[name] = {
            "area": several([share(seen, found) for found in fronts]),
            "area unseen": several([share(unseen, found) for found in fronts]),
            "plans": several([float(len(run)) for run in runs]),
            "work": several([work(run, tokens, name == EVERY) / unit for run in runs]),
        }
    return rows


def share(points: dict[Plan, Point], chosen: Sequence[Plan]) -> float:
    """Area of the chosen plans, of that of all."""
    corner = max(p[0] for p in points.values()), max(p[1] for p in points.values())
    return area([points[plan] for plan in chosen], corner) / area(list(points.values()), corner)


def run(options: TextSearch) -> None:
    """Measure, print and keep."""
    torch.set_num_threads(1)
    model, folder, data = options.load()
    held, layers = data.validation, model.config.layers
    few = subset(held, options.texts)
    looked_at = set(few.texts)
    rest = [i for i, text in enumerate(held.texts) if text not in looked_at]
    others = subset(TextSplit([held.texts[i] for i in rest], held.labels[rest]), options.unseen)
    plans, every = space(layers), every_plan(layers)
    table = measure_table(model, "onnx")
    tokens = common_lengths(model, few)

    def measured(split: TextSplit) -> dict[Plan, Point]:
        with Steps(len(split), what="text") as shown:
            found = classify_every(model, split.texts, every, progress=lambda n: shown.advance({}, n))
        return {p: (expected_error(found[p], split.labels), table.predict(p, tokens)) for p in every}

    points, length = (measured(few), measured(others)), typical_length(model, few.texts)
    rows = rows_of(*points, plans, by_hand(layers), length, options)
    facts: dict[str, Any] = {"model": folder.name, "data": short_name(options.data), "every": len(every)}
    facts |= {"n": len(few), "unseen": len(others), "seeds": options.seeds, "trials": options.trials}
    output = options.output or Path(f"benchmarks/results/text_search_{folder.name}.json")
    write(output, {**facts, "machine": machine(), "commit": commit(), "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(TextSearch, run)
