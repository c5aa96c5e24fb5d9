"""A visitor's table of texts, classified row by row."""

from __future__ import annotations

import csv
import io
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from demo.models.reader import Reader
from demo.types import Values
from demo.uploads.texts import TextTable, clean_text
from demo.uploads.values import NUMBER
from demo.words import percent
from textclf import TextClassifier
from training.texts import MAX_CHARACTERS

CHUNK = 128  # texts between two looks at the clock, and at whether it was cancelled
PREVIEW, PREVIEW_CHARACTERS = 8, 90
FORMULA = re.compile(r"\s*[=+\-@]|[\t\r]")  # what spreadsheets compute, see OWASP's "CSV injection"

Labelled = list[tuple[str, float] | None]  # class and probability of each row; None without a text


def classify(loaded: Reader, plan: str, table: TextTable) -> Iterator[Values]:
    """How far it is, again and again, and in the end the result."""
    texts = [clean_text(row[table.text][:MAX_CHARACTERS]) for row in table.rows]
    started, labels = time.monotonic(), list[tuple[str, float] | None]()
    for start in range(0, len(texts), CHUNK):
        labels += label(loaded.model, plan, texts[start : start + CHUNK])
        seconds = (time.monotonic() - started) / len(labels) * (len(texts) - len(labels))
        yield {"state": "running", "done": len(labels), "rows": len(texts), "left": round(seconds)}
    yield result(table, labels, time.monotonic() - started)


def label(model: TextClassifier, plan: str, texts: Sequence[str]) -> Labelled:
    """Class and probability of each text; None for one without any letter."""
    some = [text for text in texts if text.strip()]
    best = model.predict(some, plan).max(1)
    named = iter(
        [(model.classes[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
    )
    return [next(named) if text.strip() else None for text in texts]


def result(table: TextTable, labels: Labelled, seconds: float) -> Values:
    """What is shown of a classified table, and the table to download."""
    counts = Counter(answer[0] for answer in labels if answer)
    return {
        "state": "done",
        "rows": len(labels),
        "seconds": round(seconds, 1),
        "counts": [{"name": name, "count": count} for name, count in counts.most_common()],
        "notes": [*table.notes, *_notes(table, labels)],
        "preview": [
            {"text": _short(row[table.text]), "label": answer[0], "p": percent(answer[1])}
            for row, answer in zip(table.rows, labels, strict=True)
            if answer
        ][:PREVIEW],
        "csv": as_csv(table, labels),
    }


def _notes(table: TextTable, labels: Labelled) -> list[str]:
    empty = labels.count(None)
    cut = sum(len(row[table.text]) > MAX_CHARACTERS for row in table.rows)
    said = [f"The texts are in the column '{_short(table.columns[table.text])}'."]
    said += [f"{empty:,} rows hold no text and got no label."] if empty else []
    return said + ([f"{cut:,} texts were cut at {MAX_CHARACTERS:,} characters."] if cut else [])


def _short(text: str) -> str:
    line = " ".join(clean_text(text[: 4 * PREVIEW_CHARACTERS]).split())
    return line if len(line) <= PREVIEW_CHARACTERS else f"{line[: PREVIEW_CHARACTERS - 1]}…"


def as_csv(table: TextTable, labels: Labelled) -> str:
    """The table with the columns label and probability, named otherwise where it has such; no formula stays one."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    added = [name if name not in table.columns else f"predicted_{name}" for name in ("label", "probability")]
    writer.writerow(map(inert, [*table.columns, *added]))
    for row, answer in zip(table.rows, labels, strict=True):
        writer.writerow(map(inert, [*row, *((answer[0], f"{answer[1]:.4f}") if answer else ("", ""))]))
    return file.getvalue()


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: with an apostrophe before it, unless it is a number."""
    return f"'{cell}" if FORMULA.match(cell) and not NUMBER.fullmatch(cell) else cell
