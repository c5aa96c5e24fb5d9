"""What was classified row by row, texts or pictures: a summary to show, and a CSV to take away."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

from demo.types import Values
from demo.uploads.texts import clean_text
from demo.uploads.values import NUMBER
from demo.words import percent

PREVIEW, PREVIEW_CHARACTERS = 8, 90
FORMULA = re.compile(r"\s*[=+\-@]|[\t\r]")  # what spreadsheets compute, see OWASP's "CSV injection"

Labelled = Sequence[
    tuple[str, float] | None
]  # class and probability of each row; None where there is no answer


def summary(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    shown: int,
    found: Labelled,
    seconds: float,
    notes: Sequence[str],
) -> Values:
    """What is shown of classified rows, and the table to download.

    Args:
        shown: index of the column that stands beside the labels of the first rows.
    """
    counts = Counter(answer[0] for answer in found if answer)
    return {
        "state": "done",
        "rows": len(found),
        "seconds": round(seconds, 1),
        "counts": [{"name": name, "count": count} for name, count in counts.most_common()],
        "notes": list(notes),
        "preview": [
            {"text": short(row[shown]), "label": answer[0], "p": percent(answer[1])}
            for row, answer in zip(rows, found, strict=True)
            if answer
        ][:PREVIEW],
        "csv": as_csv(columns, rows, found),
    }


def short(text: str) -> str:
    """The start of a text, in one line."""
    line = " ".join(clean_text(text[: 4 * PREVIEW_CHARACTERS]).split())
    return line if len(line) <= PREVIEW_CHARACTERS else f"{line[: PREVIEW_CHARACTERS - 1]}…"


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[str]], found: Labelled) -> str:
    """The rows with the columns label and probability, named otherwise where there are such; no formula stays one."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    added = [name if name not in columns else f"predicted_{name}" for name in ("label", "probability")]
    writer.writerow(map(inert, [*columns, *added]))
    for row, answer in zip(rows, found, strict=True):
        writer.writerow(map(inert, [*row, *((answer[0], f"{answer[1]:.4f}") if answer else ("", ""))]))
    return file.getvalue()


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: with an apostrophe before it, unless it is a number."""
    return f"'{cell}" if FORMULA.match(cell) and not NUMBER.fullmatch(cell) else cell
