"""JSON as tables: an object a row, one after the other or in a list, or an object of columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.errors import DataError, counted, sentence
from training.labels import shown
from training.tables.frames import Limits, TableFile, cell, named
from training.tables.letters import decode_text, read_bytes

ROW = '{"text": "...", "label": "..."}'  # as it is to be written
DEPTH = 4  # of objects in objects that become columns "outer.inner"


def read_json(path: Path, _: str | None, limits: Limits) -> TableFile:
    import pandas

    found = decode_text(read_bytes(path, limits.bytes), path.name)
    if sum(map(found.text.count, ",{[")) > limits.cells:
        raise DataError(f"{path.name} has more than {limits.cells:,} values: give it in parts")
    columns = _columns(_records_of(_values(found.text, path.name), path.name), path.name, limits)
    frame = pandas.DataFrame(columns, dtype=object)
    frame, notes = named(frame, [name.strip() for name in columns])
    return TableFile(frame, found.encoding, None, (*found.notes, *notes), found.cleaned)


def _values(text: str, name: str) -> list[tuple[int, Any]]:
    """Every JSON value in a text, one after the other, with the line on which it starts."""
    decoder, found = json.JSONDecoder(), []
    space = re.compile(r"\s*")
    place, line, counted = 0, 1, 0
    while (place := space.match(text, place).end()) < len(text):  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, place), place
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            lines = f"line {line:,}" if error.lineno == line else f"lines {line:,} to {error.lineno:,}"
            said = f"{error.msg[:1].lower()}{error.msg[1:]}; write {ROW} for each row"
            raise DataError(f"{name} is not JSON on {lines}: {said}") from error
        except ValueError as error:  # a whole number of thousands of digits
            raise DataError(f"{name} is not JSON on line {line:,}: {sentence(error)}") from error
        found.append((line, value))
    if not found:
        raise DataError(f"{name} is empty: it has no rows")
    return found


def _records_of(values: list[tuple[int, Any]], name: str) -> list[tuple[int, Mapping[str, Any]]]:
    """Rows as objects: lines of objects, a list of them, or an object of columns."""
    if len(values) == 1:
        line, value = values[0]
        for key in (
            "data",
            "rows",
            "records",
            "examples",
        ):  # pandas' "table", and what data sets' servers send
            if isinstance(value, dict) and isinstance(value.get(key), list):
                names = value.get("columns")
                value = [names, *value[key]] if isinstance(names, list) else value[key]
        if isinstance(value, dict) and value and all(isinstance(v, (list, dict)) for v in value.values()):
            value = _turned(value, name)
        values = [(line, row) for row in value] if isinstance(value, list) else [(line, value)]
    if len(values) > 1 and all(isinstance(row, list) for _, row in values):
        header = [cell(text) for text in values[0][1]]
        values = [(line, dict(zip(header, row, strict=False))) for line, row in values[1:]]
    for place, (line, row) in enumerate(values, 1):
        if not isinstance(row, dict):
            raise DataError(
                f"{name}: value {place:,} (line {line:,}) is {shown(json.dumps(row), 30)}, not an object: "
                f"write {ROW} for each row"
            )
    return values


def _turned(columns: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Rows of an object of columns, each a list or, as pandas writes them, an object from row to value."""
    lists = {key: list(c.values()) if isinstance(c, dict) else c for key, c in columns.items()}
    lengths = {key: len(values) for key, values in lists.items()}
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        few = f"{shown(short)} has {counted(lengths[short], 'value')}"
        raise DataError(
            f"{name}: its column {few}, {shown(long)} {lengths[long]:,}: give each column a value in each row"
        )
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _columns(records: list[tuple[int, Mapping[str, Any]]], name: str, limits: Limits) -> dict[str, list[str]]:
    """Columns of equal length; objects in objects become columns "outer.inner"."""
    if len(records) > limits.rows:
        raise DataError(f"{name} has more than {limits.rows:,} rows: give it in parts")
    columns: dict[str, list[str]] = {}
    for i, (_, record) in enumerate(records):
        for key, value in _flat(record):
            column = columns.setdefault(key, [])
            column += [""] * (i - len(column))
            column[i:] = [cell(value)]
        if len(columns) > limits.columns or len(columns) * len(records) > limits.cells:
            raise DataError(f"{name} has more than {limits.columns:,} columns or {limits.cells:,} cells")
    for column in columns.values():
        column += [""] * (len(records) - len(column))
    return columns


def _flat(record: Mapping[str, Any], before: str = "", depth: int = DEPTH) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict) and value and depth:
            yield from _flat(value, f"{before}{cell(key)}.", depth - 1)
        else:
            yield before + cell(key), value
