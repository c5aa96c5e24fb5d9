"""A visitor's text, or table of texts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from demo.uploads.files import read_file
from demo.uploads.values import UploadError, shown

MAX_TEXT = 1_000_000  # characters
MAX_TABLE_BYTES, MAX_ROWS = 32_000_000, 100_000
MAX_UNPACKED_BYTES = 100_000_000  # of a packed table or a workbook
MAX_COLUMNS, MAX_CELLS = 1_000, 3_000_000  # a parser needs memory for each cell, empty ones too
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
    """The table in a file, as ``training.tables`` reads it, with a header that names a column of texts.

    Raises:
        UploadError: not a table, too large, damaged, or without such a column.
    """
    from training.errors import DataError
    from training.tables import Limits, read_table

    content = read_file(path, "table", f"{MAX_TABLE_BYTES / 1e6:g} MB", MAX_TABLE_BYTES)
    if not content.strip():
        raise UploadError("The file is empty; send a table with a header.")
    limits = Limits(bytes=MAX_UNPACKED_BYTES, rows=MAX_ROWS, columns=MAX_COLUMNS, cells=MAX_CELLS)
    name = Path(path).name
    try:
        table = read_table(Path(path), limits=limits)
    except DataError as error:
        raise UploadError(f"{str(error).replace(name, 'The file', 1)}.") from error
    columns = [str(column) for column in table.frame.columns]
    text = _text_column(columns)
    notes = [f"{note[:1].upper()}{note[1:]}." for note in table.notes]
    if table.cleaned:
        notes.append(f"NUL characters were removed from {table.cleaned:,} lines.")
    return TextTable(columns, table.frame.to_numpy().tolist(), text, notes)


def _text_column(columns: list[str]) -> int:
    from training.text_sources import TEXT_COLUMNS, usual_column

    column = usual_column(columns, TEXT_COLUMNS)
    if column is not None:
        return columns.index(column)
    listed = ", ".join(shown(name) for name in columns[:5]) + (", ..." if len(columns) > 5 else "")
    raise UploadError(
        f"The first row must name the columns, one of them 'text' (or {', '.join(TEXT_COLUMNS[1:5])}); "
        f"it holds {listed}."
    )
