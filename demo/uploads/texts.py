"""A visitor's text, or table of texts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from demo.uploads.files import read_file
from demo.uploads.values import UploadError, shown

MAX_TEXT = 1_000_000  # characters
MAX_TABLE_BYTES, MAX_ROWS = 32_000_000, 100_000
MAX_CELLS = 10_000  # in a line; a parser needs memory for each, empty ones too
SURROGATE = re.compile(r"[\ud800-\udfff]")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TextTable(NamedTuple):
    """A table of strings with a column of texts.

    Args:
        text: index of the column of the texts.
        notes: what was found and mended, a sentence each.
    """

    columns: list[str]
    rows: list[list[str]]
    text: int
    notes: list[str]


def read_text(value: object) -> str:
    """A text of at most ``MAX_TEXT`` characters, without control characters and half surrogate pairs."""
    if not isinstance(value, str):
        raise UploadError("The text must be a string.")
    if len(value) > MAX_TEXT:
        raise UploadError(f"The text has {len(value):,} characters; it may have {MAX_TEXT:,}.")
    return clean_text(value)


def clean_text(text: str) -> str:
    """Line ends as one character, no other control characters; surrogates that JSON let through joined or replaced."""
    if SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def read_table_file(path: str | os.PathLike[str]) -> TextTable:
    """The table in a CSV file, UTF-8, UTF-16 or Windows-1252, with a header that names a column of texts.

    Raises:
        UploadError: not a table, too large, damaged, or without such a column.
    """
    data = read_file(path, "table", f"{MAX_TABLE_BYTES / 1e6:g} MB", MAX_TABLE_BYTES)
    if not data.strip():
        raise UploadError("The file is empty; send a CSV with a header.")
    if max(line.count(b",") for line in data.split(b"\n")) > MAX_CELLS:
        raise UploadError(f"The table has more than {MAX_CELLS:,} columns; send one with a column of texts.")
    return _text_table(Path(path))


def _text_table(path: Path) -> TextTable:
    import pandas

    from training.datasets import DataError
    from training.texts import read_csv

    try:
        frame, encoding, cleaned = read_csv(path)
    except DataError as error:
        raise UploadError(f"{str(error).replace(path.name, 'The file', 1)}.") from error
    if len(frame) > MAX_ROWS:
        raise UploadError(
            f"The table has {len(frame):,} rows; it may have {MAX_ROWS:,}, so send it in parts."
        )
    columns = [str(column) for column in frame.columns]
    text = _text_column(columns)
    if not len(frame):
        raise UploadError("The table has a header but no rows.")
    if not isinstance(frame.index, pandas.RangeIndex):  # pandas takes what is too much as names of the rows
        raise UploadError(
            "The rows have more fields than the header; put texts with commas in double quotes."
        )
    notes = [f"It was read as {encoding}, not UTF-8."] if encoding else []
    notes += [f"NUL characters were removed from {cleaned:,} lines."] if cleaned else []
    rows: Any = frame.fillna("").to_numpy().tolist()  # short rows end in missing fields
    return TextTable(columns, rows, text, notes)


def _text_column(columns: list[str]) -> int:
    from training.texts import TEXT_COLUMNS

    found = next((name for name in TEXT_COLUMNS if name in columns), None)
    if found is not None:
        return columns.index(found)
    if len(columns) == 1 and (columns[0].count(";") or columns[0].count("\t")):
        raise UploadError("The columns are not separated by commas; save the table as CSV with commas.")
    listed = ", ".join(shown(name) for name in columns[:5]) + (", ..." if len(columns) > 5 else "")
    raise UploadError(
        f"The first row must name the columns, one of them 'text' (or {', '.join(TEXT_COLUMNS[1:5])}); "
        f"it holds {listed}."
    )
