"""A visitor's table of texts, classified row by row."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from demo.models.reader import Reader
from demo.tables import Labelled, short, summary
from demo.types import Values
from demo.uploads.texts import TextTable, clean_text
from textclf import TextClassifier
from training.texts import MAX_CHARACTERS

CHUNK = 128  # texts between two looks at the clock, and at whether it was cancelled


def classify(loaded: Reader, plan: str, table: TextTable) -> Iterator[Values]:
    """How far it is, again and again, and in the end the result."""
    texts = [clean_text(row[table.text][:MAX_CHARACTERS]) for row in table.rows]
    started, labels = time.monotonic(), list[tuple[str, float] | None]()
    for start in range(0, len(texts), CHUNK):
        labels += label(loaded.model, plan, texts[start : start + CHUNK])
        seconds = (time.monotonic() - started) / len(labels) * (len(texts) - len(labels))
        yield {"state": "running", "done": len(labels), "rows": len(texts), "left": round(seconds)}
    notes = [*table.notes, *_notes(table, labels)]
    yield summary(table.columns, table.rows, table.text, labels, time.monotonic() - started, notes)


def label(model: TextClassifier, plan: str, texts: Sequence[str]) -> Labelled:
    """Class and probability of each text; None for one without any letter."""
    some = [text for text in texts if text.strip()]
    best = model.predict(some, plan).max(1)
    named = iter(
        [(model.classes[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
    )
    return [next(named) if text.strip() else None for text in texts]


def _notes(table: TextTable, labels: Labelled) -> list[str]:
    empty = sum(answer is None for answer in labels)
    cut = sum(len(row[table.text]) > MAX_CHARACTERS for row in table.rows)
    said = [f"The texts are in the column '{short(table.columns[table.text])}'."]
    said += [f"{empty:,} rows hold no text and got no label."] if empty else []
    return said + ([f"{cut:,} texts were cut at {MAX_CHARACTERS:,} characters."] if cut else [])
