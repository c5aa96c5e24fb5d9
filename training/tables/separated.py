"""Tables between commas, semicolons, tabs or pipes: the delimiter is found, every row looked at, and then read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from training.errors import DataError, counted, sentence
from training.tables.frames import DELIMITERS, Limits, TableFile, named, where_of
from training.tables.letters import Text, decode_text, read_bytes

SAMPLE_ROWS, SAMPLE = 200, 1_000_000  # rows and characters from which the delimiter is told


class Quoting(NamedTuple):
    """How fields are set apart: arguments that ``csv`` and pandas share."""

    delimiter: str
    quoting: int = csv.QUOTE_MINIMAL
    escapechar: str | None = None


class Place(NamedTuple):
    """What a sentence about a row needs: the table's name, and its delimiter and encoding in words."""

    name: str
    where: str
    delimiter: str


@dataclass
class Shape:
    """What a look at every row finds, before any is kept.

    Args:
        header: names of the columns, stripped.
        rows: below the header.
        numbered: whether each row starts with its number, which the header does not name; ``number`` is the last.
        more: line and fields of rows with more fields than the header, that are not empty.
        fewer: lines of rows with fewer.
        trailing: rows with empty fields beyond the header's.
        repeated: rows that are the header again.
        quoted: column -> first line on which it is in single quotes; ``plain``: columns that somewhere are not.
    """

    header: list[str]
    rows: int = 0
    numbered: bool = True
    number: int = 0
    more: list[tuple[int, int]] = field(default_factory=list)
    fewer: list[int] = field(default_factory=list)
    trailing: int = 0
    repeated: int = 0
    quoted: dict[int, int] = field(default_factory=dict)
    plain: set[int] = field(default_factory=set)

    @property
    def named(self) -> int:
        """Fields up to the last one that has a name."""
        return max((i for i, name in enumerate(self.header, 1) if name), default=1)

    def look(self, line: int, row: list[str]) -> None:
        """Take a row into account."""
        self.rows += 1
        fields, width = len(row), len(self.header)
        if fields < self.named:
            self.fewer.append(line)
        elif any(cell.strip() for cell in row[width:]):
            self.more.append((line, fields))
        elif fields > width:
            self.trailing += 1
        elif fields == width and row[0].strip() == self.header[0]:
            self.repeated += [cell.strip() for cell in row] == self.header
        if self.numbered:
            self._look_at_number(row[0].strip(), fields == width + 1)
        if self.rows <= SAMPLE_ROWS:
            self._look_at_quotes(line, row[:width])

    def _look_at_number(self, first: str, longer: bool) -> None:
        number = int(first) if longer and re.fullmatch(r"\d{1,12}", first, re.ASCII) else -1
        self.numbered = number >= 0 and (self.rows == 1 or number == self.number + 1)
        self.number = number

    def _look_at_quotes(self, line: int, row: list[str]) -> None:
        for i, cell in enumerate(map(str.strip, row)):
            if len(cell) > 1 and cell[0] == "'" == cell[-1]:
                self.quoted.setdefault(i, line)
            elif cell:
                self.plain.add(i)

    def notes(self) -> list[str]:
        """What is mended."""
        said = {
            "the rows start with a number that the header does not name: left out": self.numbered,
            f"{counted(self.trailing, 'row')} with empty fields beyond the header's: these fields are left out": (
                self.trailing
            ),
            f"{counted(len(self.fewer), 'row')} with fewer fields than the header, the first on line "
            f"{min(self.fewer, default=0):,}: filled up": self.fewer,
            f"{counted(self.repeated, 'row')} like the header: left out": self.repeated,
        }
        return [sentence for sentence, there in said.items() if there]


def read_separated(path: Path, numbers: str | None, limits: Limits) -> TableFile:
    import pandas

    found = decode_text(read_bytes(path, limits.bytes), path.name)
    text, skipped, delimiter = _from_header(found, path)
    place = Place(path.name, where_of(delimiter, found.encoding), delimiter)
    shape, quoting, said = _checked(text, skipped, place, limits)
    width = len(shape.header)
    first = int(shape.numbered)
    wanted = {i + first for i, name in enumerate(shape.header) if numbers and re.fullmatch(numbers, name)}
    words = [i for i in range(first, first + width) if i not in wanted]
    try:
        frame = pandas.read_csv(
            io.StringIO(text, newline=""),
            sep=quoting.delimiter,
            quoting=quoting.quoting,
            escapechar=quoting.escapechar,
            header=0,
            names=range(first + width),
            usecols=range(first, first + width),  # with it, pandas lets rows be longer
            index_col=False,
            dtype=dict.fromkeys(words, "object") if wanted else "object",
            keep_default_na=False,
            skipinitialspace=True,
            low_memory=False,
        )
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path.name} is not a table: {sentence(error)} ({place.where})") from error
    frame = frame.fillna(dict.fromkeys(words, "") if wanted else "")
    if shape.repeated:
        again = frame.apply(lambda column: column.astype(str).str.strip()) == shape.header
        frame = frame[~again.all(axis=1)]
    notes = [*found.notes, *said]
    if delimiter != ",":
        notes.insert(0, f"columns are separated by {DELIMITERS[delimiter]}s")
    frame, twice = named(frame, shape.header)
    return TableFile(frame, found.encoding, delimiter, (*notes, *twice), found.cleaned)


def _from_header(found: Text, path: Path) -> tuple[str, int, str]:
    """The text from its header on, how many lines come before, and the delimiter."""
    text, end = found.text, r"(?:\r\n|\r|\n)"
    if not text.strip():
        raise DataError(f"{path.name} is empty: it has no header")
    if re.match(r"\s*<(!doctype|html|table|\?xml)", text, re.IGNORECASE):
        raise DataError(f"{path.name} is a page of HTML or XML, not a table: download the file itself")
    if re.match(r"\s*(\{\s*\"|\[\s*[\[{])", text):
        raise DataError(f"{path.name} is JSON by its first line: give its name the ending .json or .jsonl")
    if told := re.match(rf"\s*\"?sep=(.)\"?[ ,;\t|]*{end}", text):  # Excel's own first line
        if told[1] not in DELIMITERS:
            raise DataError(
                f"{path.name} says sep={told[1]} on line 1: separate its columns by commas, semicolons, tabs or pipes"
            )
        return text[told.end() :], _lines(told[0]), told[1]
    comments = re.match(rf"(?:[ \t]*(?:#[^\r\n]*)?{end})*[ \t]*#[^\r\n]*{end}", text)
    if comments and (rest := text[comments.end() :]).strip():
        delimiter = _delimiter(rest, path)
        last, header = comments[0].split("#")[-1], rest.lstrip().splitlines()[0]
        if last.count(delimiter) != header.count(delimiter) or delimiter not in header:
            found.notes.append("the lines before the header that start with # are left out")
            return rest, _lines(comments[0]), delimiter
    return text, 0, _delimiter(text, path)


def _lines(text: str) -> int:
    return len(re.findall(r"\r\n|\r|\n", text))


def _delimiter(text: str, path: Path) -> str:
    """The delimiter under which most rows are as long as the header."""
    usual = "\t" if path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")) else ","
    scores: dict[tuple[float, bool, int], str] = {}
    for mark in DELIMITERS:
        rows = _sample(text, mark)
        header = rows[0] if rows else []
        if len(header) > 1:
            fits = sum(len(row) == len(header) for row in rows[1:]) / max(1, len(rows) - 1)
            scores[round(fits, 1), mark == usual, len(header)] = mark
    return scores[max(scores)] if scores else usual


def _sample(text: str, mark: str) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text[:SAMPLE], newline=""), delimiter=mark, skipinitialspace=True)
    try:
        for row in reader:
            while len(row) > 1 and not row[-1].strip():
                row.pop()
            rows += [row] if row else []
            if len(rows) > SAMPLE_ROWS:
                break
    except csv.Error:  # a field that is longer than the module likes: the rows before it tell enough
        pass
    return rows


def _checked(text: str, skipped: int, place: Place, limits: Limits) -> tuple[Shape, Quoting, list[str]]:
    """What the rows are like, how their fields are quoted, and notes; ``DataError`` where rows do not fit."""
    ways = [Quoting(place.delimiter)]
    if '\\"' in text:
        ways.append(Quoting(place.delimiter, escapechar="\\"))
    if place.delimiter == "\t":
        ways.append(Quoting(place.delimiter, csv.QUOTE_NONE))
    failures = list[DataError]()
    for way in ways:
        try:
            shape = _shape(text, skipped, way, place, limits)
        except _QuoteError as error:
            failures.append(DataError(str(error)))
            continue
        plain = ["quotes are letters of the texts: they do not enclose fields"] * (
            way.quoting == csv.QUOTE_NONE
        )
        return shape, way, [*shape.notes(), *plain]
    raise failures[0]


class _QuoteError(DataError):
    """Quotes that do not pair; another way to read them may."""


def _shape(text: str, skipped: int, way: Quoting, place: Place, limits: Limits) -> Shape:
    rows = _records(text, skipped, way, place)
    _, header = next(rows, (0, []))
    if not header:
        raise DataError(f"{place.name} is empty: it has no header")
    shape = Shape([cell.strip() for cell in header])
    _require_within(0, len(header), limits, place)
    for line, row in rows:
        shape.look(line, row)
        _require_within(shape.rows, max(len(row), len(header)), limits, place)
    shape.numbered = shape.numbered and shape.rows > 0
    _require_fit(shape, text, skipped, place)
    return shape


def _require_within(rows: int, columns: int, limits: Limits, place: Place) -> None:
    if columns > limits.columns:
        raise DataError(
            f"{place.name} has more than {limits.columns:,} columns ({place.where}): give those that are needed"
        )
    if rows > limits.rows or rows * columns > limits.cells:
        most = f"{limits.rows:,} rows" if rows > limits.rows else f"{limits.cells:,} cells"
        raise DataError(f"{place.name} has more than {most}: give it in parts")


def _require_fit(shape: Shape, text: str, skipped: int, place: Place) -> None:
    if single := [line for column, line in shape.quoted.items() if column not in shape.plain]:
        raise DataError(
            f"{place.name} has fields in single quotes, as on line {single[0]:,} ({place.where}): use double quotes"
        )
    if shape.more and not shape.numbered:
        raise DataError(_too_long(shape, text, skipped, place))
    if len(shape.fewer) > max(1, shape.rows // 2):
        raise DataError(
            f"{place.name}: {len(shape.fewer):,} of {shape.rows:,} rows have fewer fields than the {shape.named} of "
            f"the header, the first on line {shape.fewer[0]:,} ({place.where}): fill them up, and put texts of several "
            "lines in double quotes"
        )


def _too_long(shape: Shape, text: str, skipped: int, place: Place) -> str:
    line, fields = shape.more[0]
    source = re.split(r"\r\n|\r|\n", text)[line - skipped - 1]
    single = source.lstrip()[:1] == "'" or f"{place.delimiter}'" in source
    others = f", and {counted(len(shape.more) - 1, 'more line')} like it" if len(shape.more) > 1 else ""
    hint = "in double quotes, not single ones" if single else "in double quotes"
    return (
        f"{place.name}: line {line:,} has {fields} fields where the header names {len(shape.header)} ({place.where})"
        f"{others}: put texts that hold a {DELIMITERS[place.delimiter]} {hint}"
    )


def _records(text: str, skipped: int, way: Quoting, place: Place) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line on which it starts; empty lines are left out."""
    csv.field_size_limit(2**31 - 1)  # of the whole process; its own limit is shorter than some texts
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, strict=True, skipinitialspace=True, **way._asdict())
    line = 0
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                yield line + 1 + skipped, row
            line = reader.line_num
    except csv.Error as error:
        start, end = line + 1 + skipped, reader.line_num + skipped
        if "end of data" in str(error):
            said, remedy = f"the quote that opens on line {start:,} is never closed", "close it"
        elif end > start:
            said, remedy = (
                f"the quote that opens on line {start:,} closes within a field on line {end:,}",
                "close it",
            )
        else:
            said, remedy = f"a quote on line {start:,} stands within a field", "close fields where they end"
        raise _QuoteError(
            f"{place.name}: {said} ({place.where}): {remedy}, and write quotes within a text twice"
        ) from error
