"""Tables of strings: comma-, semicolon-, tab- or pipe-separated text, JSON, Excel workbooks and parquet.

``read_table`` is the only door. It finds encoding and delimiter by itself, mends what has one meaning only (a byte
order mark, a delimiter too many at the end of a row, numbered rows without a heading) and says so; what has several
meanings is a ``DataError`` of one sentence that names the line, the delimiter and the encoding. Cells are the words
that were written, "" where there is nothing; formulas are never computed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from training.errors import DataError
from training.tables.frames import LIMITS, Limits, TableFile, cell, reason, repeated_name
from training.tables.letters import decode_text, read_bytes
from training.tables.records import read_json
from training.tables.separated import read_separated
from training.tables.workbooks import read_parquet, read_workbook

__all__ = [
    "KINDS", "LIMITS", "READERS", "Limits", "TableFile", "cell", "decode_text", "is_table", "kind_of",
    "read_bytes", "read_table", "repeated_name",
]  # fmt: skip

KINDS = ".csv, .tsv, .jsonl or .json (each also as .gz), .xlsx or .parquet"


def is_table(name: str | Path) -> bool:
    """Whether a file is read as a table, by its name."""
    return kind_of(name) in READERS


def kind_of(name: str | Path) -> str:
    """The end of a name that says how it is read, in small letters: ".csv", ".csv.gz"."""
    suffixes = [part.lower() for part in Path(name).suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def read_table(path: Path, *, numbers: str | None = None, limits: Limits = LIMITS) -> TableFile:
    """Read the table in a file.

    Args:
        path: a file of one of the ``KINDS``, by its name.
        numbers: pattern of the names of columns of separated text that hold numbers, such as pixels; these keep the
            type that pandas gives them.
        limits: of its size.

    Raises:
        DataError: not such a file, empty, too large, damaged, or rows that do not fit the header.
    """
    kind = kind_of(path)
    if kind not in READERS:
        hint = OTHERS.get(kind, f"save the table as {KINDS}")
        raise DataError(f"{path.name} is no table that can be read here: {hint}")
    try:
        found = READERS[kind](path, numbers, limits)
    except (OSError, EOFError, zlib.error, MemoryError, RecursionError) as error:
        raise DataError(f"{path.name} is not a readable {kind} file: {reason(error)}") from error
    if not len(found.frame) or not len(found.frame.columns):
        header = "a header but " * bool(len(found.frame.columns))
        raise DataError(f"{path.name} is empty: it has {header}no rows")
    return found


OTHERS = {
    ".xls": "save this old Excel workbook as .xlsx or CSV",
    ".xlsb": "save this binary Excel workbook as .xlsx or CSV",
    ".ods": "save this spreadsheet as .xlsx or CSV",
    **dict.fromkeys(
        (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst"),
        "unpack this archive and give what is in it",
    ),
    ".pkl": "a pickle can run programs when it is opened, so save the table as .csv or .parquet",
    ".pickle": "a pickle can run programs when it is opened, so save the table as .csv or .parquet",
}


Reader = Callable[[Path, "str | None", Limits], TableFile]
READERS: dict[str, Reader] = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt"), read_separated),
    **dict.fromkeys((".csv.gz", ".tsv.gz", ".tab.gz", ".txt.gz"), read_separated),
    **dict.fromkeys((".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz"), read_json),
    **dict.fromkeys((".xlsx", ".xlsm"), read_workbook),
    ".parquet": read_parquet,
}
