"""Excel workbooks and parquet files as tables."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.errors import DataError, counted, sentence
from training.labels import shown
from training.tables.frames import Limits, TableFile, cell, framed, named, reason
from training.tables.letters import SIGNATURES, read_bytes

MAX_WORKBOOK = 2**30  # bytes of a workbook's XML, read at some 5 MB a second
ERRORS = {"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!"}


def read_workbook(path: Path, _: str | None, limits: Limits) -> TableFile:
    import openpyxl

    _check_archive(path, limits)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        sheets = [(sheet.title, _sheet(sheet, path.name, limits)) for sheet in book.worksheets]
    except DataError:
        raise
    except Exception as error:  # damaged XML raises nearly anything
        raise DataError(f"{path.name} is not a readable .xlsx workbook: {reason(error)}") from error
    filled = [(title, rows) for title, rows in sheets if rows]
    if not filled:
        raise DataError(f"{path.name} is empty: it has no filled cells")
    title, rows = filled[0]
    notes = []
    if len(filled) > 1:
        others = ", ".join(shown(t, 30) for t, _ in filled[1:4])
        notes.append(f"sheet {shown(title, 30)} is read; {len(filled) - 1} more are not ({others})")
    head = next((i for i, row in enumerate(rows) if sum(v not in (None, "") for v in row) > 1), 0)
    if head and all(sum(v not in (None, "") for v in row) <= 1 for row in rows[head + 1 :]):
        head = 0
    if head:
        notes.append(f"{counted(head, 'row')} of one cell before the header: left out")
    errors = sum(v in ERRORS for row in rows for v in row if isinstance(v, str))
    if errors:
        notes.append(f"{counted(errors, 'cell')} with an error of Excel, such as #N/A: read as empty")
        rows = [[None if isinstance(v, str) and v in ERRORS else v for v in row] for row in rows]
    frame, said = framed(rows[head:], path.name, limits)
    return TableFile(frame, notes=(*notes, *said))


def _check_archive(path: Path, limits: Limits) -> None:
    """``DataError`` for what is no workbook, unpacks to too much, or defines entities that could."""
    head = read_bytes(path, limits.bytes)[:8]
    for signature, what in SIGNATURES.items():
        if head.startswith(signature) and signature != b"PK\x03\x04":
            raise DataError(f"{path.name} is no .xlsx workbook but {what}")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            most = min(limits.bytes, MAX_WORKBOOK)
            if sum(entry.file_size for entry in entries) > most:
                raise DataError(
                    f"{path.name} unpacks to more than the limit of {most:,} bytes: save it as CSV, or in parts"
                )
            if not any(entry.filename.startswith("xl/") for entry in entries):
                raise DataError(
                    f"{path.name} is no .xlsx workbook but another archive: unpack it, or save it as .xlsx"
                )
            for entry in entries:
                if entry.filename.endswith((".xml", ".rels")):
                    with archive.open(entry) as part:
                        start = part.read(4096).replace(b"\0", b"").upper()
                    if b"<!DOCTYPE" in start or b"<!ENTITY" in start:
                        raise DataError(f"{path.name} is no workbook that Excel wrote: it defines entities")
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path.name} is not a readable .xlsx workbook: {sentence(error)}") from error


def _sheet(sheet: Any, name: str, limits: Limits) -> list[list[Any]]:
    """The filled rows of a sheet from its first filled column to its last."""
    sheet.reset_dimensions()  # what is written there may be wrong
    rows, cells = [], 0
    for row in sheet.iter_rows(values_only=True):
        cells += len(row) + 1
        last = max((i for i, value in enumerate(row) if value not in (None, "")), default=-1)
        if last >= 0:
            rows.append(list(row[: last + 1]))
        if len(rows) - 1 > limits.rows or cells > limits.cells or last >= limits.columns:
            raise DataError(
                f"{name} has more than {limits.rows:,} rows, {limits.columns:,} columns or {limits.cells:,} cells: "
                "give it in parts"
            )
    first = min((next(i for i, v in enumerate(row) if v not in (None, "")) for row in rows), default=0)
    return [row[first:] for row in rows]


def read_parquet(path: Path, _: str | None, limits: Limits) -> TableFile:
    import pandas

    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"{path.name} needs pyarrow to be read: pip install pyarrow, or save it as CSV"
        ) from error
    try:
        file = pyarrow.parquet.ParquetFile(path)
        meta, schema = file.metadata, file.schema_arrow
        size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        columns = [
            f.name for f in schema if not _is_binary(f.type) and not f.name.startswith("__index_level_")
        ]
        for have, most, what in (
            (size, limits.bytes, "unpacked bytes"),
            (meta.num_rows, limits.rows, "rows"),
            (len(schema), limits.columns, "columns"),
            (meta.num_rows * len(columns), limits.cells, "cells"),
        ):
            if have > most:
                raise DataError(
                    f"{path.name} has {have:,} {what}, more than the limit of {most:,}: give it in parts"
                )
        table = file.read(columns=columns)
        names = _class_names(schema.metadata)
        values = [
            [_listed(v, names.get(c)) for v in table.column(i).to_pylist()] for i, c in enumerate(columns)
        ]
    except DataError:
        raise
    except Exception as error:  # pyarrow has a dozen kinds of its own
        raise DataError(f"{path.name} is not a readable .parquet file: {reason(error)}") from error
    frame = pandas.DataFrame(dict(enumerate(values)), dtype=object)
    frame, notes = named(frame, [c.strip() for c in columns])
    return TableFile(frame, notes=tuple(notes))


def _is_binary(kind: Any) -> bool:
    import pyarrow

    inner = [kind.field(i).type for i in range(kind.num_fields)] if pyarrow.types.is_struct(kind) else [kind]
    return any(pyarrow.types.is_binary(k) or pyarrow.types.is_large_binary(k) for k in inner)


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Names of the classes that a Hub data set's parquet files carry, by column."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {c: list(f["names"]) for c, f in features.items() if f.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _listed(value: Any, names: Sequence[str] | None) -> str:
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else ""
    return cell(value)
