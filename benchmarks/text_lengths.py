"""Claim: what a length plan saves, it saves at every length, batch size and precision; and a table foretells it.

    python -m benchmarks.text_lengths --model text-imdb

Times the full length and the named plans of an exported model over text lengths and batch sizes, in ONNX Runtime,
float32 and int8, one thread, all of a setting in turns. Beside them what the latency table that the search works with
says of one text, which is the sum of parts that were measured apart. A model that reads shorter texts than the longest
asked for is given more positions: what they hold does not change a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.claims.text_lengths import COLUMNS, ENGINES
from benchmarks.tools.tables import Rows, markdown, write
from textclf import TextClassifier
from textclf.evaluate import plan_runs
from textclf.export import export
from textclf.latency import LatencyTable, measure_table
from training.command import command
from training.measure import commit, compare, machine


@dataclass(frozen=True)
class TextLengths:
    """Plans over lengths, batch sizes and precisions.

    Args:
        model: an exported model: shipped name or folder.
        plans: names of its plans; the first is what the others are compared with.
        tokens: lengths of the texts.
        sizes: texts at once.
        rounds: of timing, in which every plan and precision has its turn.
        output: results; named after the model if left out.
    """

    model: str = "text-imdb"
    plans: tuple[str, ...] = ("full", "balanced", "fastest")
    tokens: tuple[int, ...] = (32, 64, 128, 256, 512)
    sizes: tuple[int, ...] = (1, 8, 64)
    rounds: int = 3
    output: Path | None = None


def reaching(model: TextClassifier, tokens: int, plans: tuple[str, ...], folder: Path) -> TextClassifier:
    """The model with positions for so many tokens, its own over and over, exported to a folder."""
    longer = TextClassifier(**{**asdict(model.config), "longest": tokens})
    own, place = model.state_dict(), "encoder.positions.weight"
    wanted = torch.arange(len(longer.encoder.positions.weight))
    longer.load_state_dict({**own, place: own[place][wanted % len(own[place])]})
    longer.save_pretrained(folder, half=True)
    export(longer, folder, plans)
    return TextClassifier.from_pretrained(folder)


def timed(model: TextClassifier, options: TextLengths, tokens: int, size: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a batch: plan -> engine -> median."""
    runs: dict[str, Callable[[], object]] = {}
    for name in options.plans:
        calls = plan_runs(model, name, model.plan(name), tokens, ENGINES, size)
        runs |= {f"{name}/{engine}": call for engine, call in calls.items()}
    times = compare(runs, rounds=options.rounds, repeats=2, warmup=1)
    return {name: {e: times[f"{name}/{e}"].median_ms for e in ENGINES} for name in options.plans}


def grid(model: TextClassifier, options: TextLengths) -> Rows:
    """A row for each length, batch size and plan; of one text also what the tables foretell."""
    tables: dict[str, LatencyTable] = {engine: measure_table(model, engine) for engine in ENGINES}
    rows: Rows = {}
    for tokens in options.tokens:
        for size in options.sizes:
            for name, times in timed(model, options, tokens, size).items():
                row = rows[f"{tokens} tokens, batch {size}: {name}"] = {
                    "tokens": tokens,
                    "size": size,
                    "plan": name,
                }
                row |= times
                if size == 1:
                    plan = model.plan(name)
                    row |= {f"predicted {e}": table.predict(plan, [tokens]) for e, table in tables.items()}
    return rows


def compared(rows: Rows, full: str) -> Rows:
    """With how many times faster each is than the full length in the same setting and precision."""
    base = {(row["tokens"], row["size"]): row for row in rows.values() if row["plan"] == full}
    faster = {
        name: {f"faster {e}": base[row["tokens"], row["size"]][e] / row[e] for e in ENGINES}
        for name, row in rows.items()
    }
    return {name: {**row, **faster[name]} for name, row in rows.items()}


def run(options: TextLengths) -> None:
    """Measure, print and keep."""
    model = TextClassifier.from_pretrained(options.model)
    with TemporaryDirectory() as folder:
        if (longest := max(options.tokens)) > model.config.longest:
            model = reaching(model, longest, options.plans, Path(folder))
        rows = compared(grid(model, options), options.plans[0])
    facts = {"model": Path(options.model).name, "plans": options.plans, "rounds": options.rounds}
    output = options.output or Path(f"benchmarks/results/text_lengths_{facts['model']}.json")
    write(output, {**facts, "machine": machine(), "commit": commit(), "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(TextLengths, run)
