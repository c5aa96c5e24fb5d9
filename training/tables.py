"""Tables of strings: comma-, semicolon-, tab- or pipe-separated text, JSON, Excel workbooks and parquet.

``read_table`` is the only door. It finds encoding and delimiter by itself, mends what has one meaning only (a byte
order mark, a delimiter too many at the end of a row, numbered rows without a heading) and says so; what has several
meanings is a ``DataError`` of one sentence that names the line, the delimiter and the encoding. Cells are the words
that were written, "" where there is nothing; formulas are never computed.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import string
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from training.errors import DataError, sentence
from training.labels import shown, word

if TYPE_CHECKING:
    import pandas

KINDS = ".csv, .tsv, .jsonl or .json (each also as .gz), .xlsx or .parquet"
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
SAMPLE_ROWS, SAMPLE = 200, 1_000_000  # rows and characters from which the delimiter is told
ROW = '{"text": "...", "label": "..."}'  # as it is to be written in JSON
DEPTH = 4  # of JSON objects in objects that become columns "outer.inner"
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Limits:
    """What a table may have; checked before what costs more.

    Args:
        bytes: of the file, unpacked.
        rows, columns: of the table.
        cells: rows times columns.
    """

    bytes: int = 2 * 2**30
    rows: int = 50_000_000
    columns: int = 100_000
    cells: int = 500_000_000


LIMITS = Limits()


@dataclass(frozen=True)
class TableFile:
    """A table as it was read.

    Args:
        frame: rows of strings under unique names of columns; "" where there is nothing.
        encoding, delimiter: of a file of text ("utf-8", ";"); None for other kinds.
        notes: what is unusual about the file and what was mended, a sentence each.
        cleaned: lines from which NUL characters were removed.
    """

    frame: pandas.DataFrame
    encoding: str | None = None
    delimiter: str | None = None
    notes: tuple[str, ...] = ()
    cleaned: int = 0

    @property
    def where(self) -> str:
        """Delimiter and encoding in words, for refusals; "" for kinds that have none."""
        if self.delimiter is None or self.encoding is None:
            return ""
        return _where(self.delimiter, self.encoding)


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
        raise DataError(f"{path.name} is not a readable {kind} file: {_reason(error)}") from error
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


def counted(number: int, what: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it does not fit in memory"
    return str(getattr(error, "strerror", None) or sentence(error))


# ---- bytes and letters ----


@dataclass
class Text:
    """The letters of a file, and what there is to say about how they were read."""

    text: str
    encoding: str
    cleaned: int = 0
    notes: list[str] = field(default_factory=list)


SIGNATURES = {
    b"PK\x03\x04": "an Excel workbook or a zip archive: name a workbook .xlsx, and unpack an archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook or one with a password: save it as .xlsx without password, or as CSV",
    b"PAR1": "a parquet file: name it .parquet",
    b"\x1f\x8b": "packed with gzip: give its name the ending .gz",
    b"%PDF": "a PDF: save its text or its table as text",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "a database: export its table as CSV",
}
NAMES = {"cp1252": "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a file, unpacked if it is a ``.gz``; of a larger one no more than the limit is ever held."""
    packed = path.suffix.lower() == ".gz"
    if packed:
        with gzip.open(path) as archive:
            content = archive.read(limit + 1)
    else:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    if len(content) > limit:
        what = "unpacks to" if packed else "has"
        raise DataError(f"{path.name} {what} more than the limit of {limit:,} bytes: give it in parts")
    return content


def decode_text(content: bytes, name: str) -> Text:
    """Letters in UTF-8, UTF-16, UTF-32 or Windows-1252, told by the bytes; NUL characters and marks removed.

    Raises:
        DataError: the bytes are no text.
    """
    for signature, what in SIGNATURES.items():
        if content.startswith(signature):
            raise DataError(f"{name} is not text but {what}")
    encoding, damaged = _encoding(content)
    try:
        text = content.decode(encoding, "replace" if damaged else "strict")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name} is not text in UTF-8, UTF-16 or Windows-1252 (line {line:,}): save it as UTF-8"
        ) from error
    if encoding == "cp1252" and _foreign(content):
        raise DataError(
            f"{name} is not text in UTF-8, and its letters are not those of Windows-1252: save it as UTF-8"
        )
    found = Text(text.lstrip("\ufeff"), encoding.removesuffix("-sig"))
    if damaged:
        line = text.count("\n", 0, text.index("\ufffd")) + 1
        found.notes.append(
            f"{counted(damaged, 'byte')} not in UTF-8, the first on line {line:,}: replaced by \ufffd"
        )
    elif encoding != "utf-8-sig":
        found.notes.append(f"read as {encoding_name(encoding)}: the file is not UTF-8")
    if "\0" in text:
        if text.count("\0") > len(text) // 10:
            raise DataError(f"{name} is not text: more than a tenth of it are NUL bytes")
        found.cleaned = sum("\0" in line for line in found.text.split("\n"))
        found.text = found.text.replace("\0", "")
    return found


def encoding_name(encoding: str) -> str:
    """As people call it: "Windows-1252"."""
    return NAMES.get(encoding, encoding.removesuffix("-sig").upper())


def _encoding(content: bytes) -> tuple[str, int]:
    """The encoding, and how many bytes of a file that is UTF-8 otherwise are damaged."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32", 0
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", 0
    head = content[:4096]
    for order, zeros, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if len(head) > 7 and zeros.count(0) > 0.7 * len(zeros) and letters.count(0) < 0.1 * len(letters):
            return order, 0
    try:
        content.decode("utf-8-sig")
        return "utf-8-sig", 0
    except UnicodeDecodeError:
        text = content.decode("utf-8-sig", "replace")
    damaged, beyond = text.count("\ufffd"), sum(not part.isascii() for part in text)
    return ("utf-8-sig", damaged) if beyond > 5 * damaged else ("cp1252", 0)


def _foreign(content: bytes) -> bool:
    """Whether most letters are beyond ASCII: of Western languages few are, of Cyrillic or Japanese nearly all."""
    head = content[:1_000_000]
    beyond = len(head.translate(None, bytes(range(128))))
    plain = len(head) - len(head.translate(None, string.ascii_letters.encode()))
    return beyond >= 20 and beyond > plain


# ---- separated text ----


class Quoting(NamedTuple):
    """How fields are set apart: arguments that ``csv`` and pandas share."""

    delimiter: str
    quoting: int = csv.QUOTE_MINIMAL
    escapechar: str | None = None


@dataclass
class Shape:
    """What a look at every row has found, before any is kept.

    Args:
        header: names of the columns, stripped.
        numbered: whether each row starts with its number, which the header does not name.
        repeated: rows that repeat the header.
    """

    header: list[str]
    numbered: bool = False
    repeated: int = 0
    notes: list[str] = field(default_factory=list)


def _read_separated(path: Path, numbers: str | None, limits: Limits) -> TableFile:
    import pandas

    found = decode_text(read_bytes(path, limits.bytes), path.name)
    text, skipped, delimiter = _from_header(found, path)
    shape, quoting = _checked(text, skipped, delimiter, path.name, encoding_name(found.encoding), limits)
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
        raise DataError(
            f"{path.name} is not a table: {sentence(error)} ({_where(delimiter, found.encoding)})"
        ) from error
    frame = frame.fillna(dict.fromkeys(words, "") if wanted else "")
    if shape.repeated:
        again = frame.apply(lambda column: column.astype(str).str.strip()) == shape.header
        frame = frame[~again.all(axis=1)]
    notes = [*found.notes, *shape.notes]
    if delimiter != ",":
        notes.insert(0, f"columns are separated by {DELIMITERS[delimiter]}s")
    named, said = _named(frame, shape.header)
    return TableFile(named, found.encoding, delimiter, (*notes, *said), found.cleaned)


def _where(delimiter: str, encoding: str) -> str:
    return f"delimiter {DELIMITERS[delimiter]}, encoding {encoding_name(encoding)}"


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
    usual = "\t" if kind_of(path).startswith((".tsv", ".tab")) else ","
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


def _checked(
    text: str, skipped: int, delimiter: str, name: str, encoding: str, limits: Limits
) -> tuple[Shape, Quoting]:
    """What the rows are like, and how their fields are quoted; ``DataError`` where they do not fit the header."""
    ways = [Quoting(delimiter)]
    if '\\"' in text:
        ways.append(Quoting(delimiter, escapechar="\\"))
    if delimiter == "\t":
        ways.append(Quoting(delimiter, csv.QUOTE_NONE))
    failure: DataError | None = None
    for way in ways:
        try:
            shape = _shape(text, skipped, way, name, encoding, limits)
        except _Quotes as error:
            failure = failure or DataError(str(error))
            continue
        if way.quoting == csv.QUOTE_NONE:
            shape.notes.append("quotes are letters of the texts: they do not enclose fields")
        return shape, way
    assert failure is not None
    raise failure


class _Quotes(DataError):
    """Quotes that do not pair; another way to read them may."""


def _shape(text: str, skipped: int, way: Quoting, name: str, encoding: str, limits: Limits) -> Shape:
    where = _where(way.delimiter, encoding)
    rows = _records(text, skipped, way, name, where)
    _, first = next(rows)
    header = [cell.strip() for cell in first]
    width = len(header)
    while width > 1 and not header[width - 1]:
        width -= 1
    shape = Shape(header)
    _require_few_columns(len(header), limits, name, where)
    count, before, numbered = 0, 0, True
    more: list[tuple[int, int]] = []  # line and fields of rows with more than the header names
    fewer: list[int] = []
    trailing = 0
    quoted: list[int | None] = [None] * len(header)  # first line of a column that is all in single quotes
    plain = [False] * len(header)
    for line, row in rows:
        count += 1
        fields = len(row)
        _require_few_columns(fields, limits, name, where)
        if count > limits.rows:
            raise DataError(f"{name} has more than {limits.rows:,} rows: give it in parts")
        if count * len(header) > limits.cells:
            raise DataError(
                f"{name} has more than {limits.cells:,} cells: give fewer columns, or parts of it"
            )
        if fields < width:
            fewer.append(line)
        elif fields > len(header):
            if any(cell.strip() for cell in row[len(header) :]):
                more.append((line, fields))
            else:
                trailing += 1
        if numbered:
            number = int(row[0]) if re.fullmatch(r"\d{1,12}", row[0].strip(), re.ASCII) else -1
            numbered = fields == len(header) + 1 and number >= 0 and (count == 1 or number == before + 1)
            before = number
        if count <= SAMPLE_ROWS:
            for i, cell in enumerate(row[: len(header)]):
                if (inner := cell.strip())[:1] == "'" == inner[-1:] and len(inner) > 1:
                    quoted[i] = quoted[i] or line
                else:
                    plain[i] = plain[i] or bool(inner)
        if fields == len(header) and row[0].strip() == header[0]:
            shape.repeated += [cell.strip() for cell in row] == header
    shape.numbered = numbered and count > 0
    if single := next((q for q, p in zip(quoted, plain, strict=True) if q and not p), None):
        raise DataError(
            f"{name} has fields in single quotes, as on line {single:,} ({where}): use double quotes"
        )
    if more and not shape.numbered:
        raise DataError(_too_long(more, len(header), way.delimiter, text, skipped, name, where))
    if len(fewer) > max(1, count // 2):
        raise DataError(
            f"{name}: {len(fewer):,} of {count:,} rows have fewer fields than the {width} of the header, the first "
            f"on line {fewer[0]:,} ({where}): fill them up, and put texts of several lines in double quotes"
        )
    shape.notes += _said(shape, fewer, trailing)
    return shape


def _require_few_columns(columns: int, limits: Limits, name: str, where: str) -> None:
    if columns > limits.columns:
        raise DataError(
            f"{name} has more than {limits.columns:,} columns ({where}): give those that are needed"
        )


def _said(shape: Shape, fewer: list[int], trailing: int) -> list[str]:
    said = []
    if shape.numbered:
        said.append("the rows start with a number that the header does not name: left out")
    if trailing:
        said.append(
            f"{counted(trailing, 'row')} with empty fields beyond the header's: these fields are left out"
        )
    if fewer:
        said.append(
            f"{counted(len(fewer), 'row')} with fewer fields than the header, the first on line {fewer[0]:,}: filled up"
        )
    if shape.repeated:
        said.append(f"{counted(shape.repeated, 'row')} like the header: left out")
    return said


def _too_long(
    more: list[tuple[int, int]], width: int, delimiter: str, text: str, skipped: int, name: str, where: str
) -> str:
    line, fields = more[0]
    source = re.split(r"\r\n|\r|\n", text)[line - skipped - 1]
    single = source.lstrip()[:1] == "'" or f"{delimiter}'" in source
    others = f", and {counted(len(more) - 1, 'more line')} like it" if len(more) > 1 else ""
    mark = DELIMITERS[delimiter]
    hint = "in double quotes, not single ones" if single else "in double quotes"
    return (
        f"{name}: line {line:,} has {fields} fields where the header names {width} ({where}){others}: "
        f"put texts that hold a {mark} {hint}"
    )


def _records(text: str, skipped: int, way: Quoting, name: str, where: str) -> Iterator[tuple[int, list[str]]]:
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
        raise _Quotes(f"{name}: {said} ({where}): {remedy}, and write quotes within a text twice") from error


# ---- names of columns ----


def _named(frame: pandas.DataFrame, header: Sequence[str]) -> tuple[pandas.DataFrame, list[str]]:
    """The frame with unique names; columns without name and content are left out."""
    empty = [i for i, n in enumerate(header) if not n and not (frame.iloc[:, i].astype(str) != "").any()]
    kept = [i for i in range(len(header)) if i not in set(empty)]
    counts: Counter[str] = Counter()
    names = []
    for name in (header[i] for i in kept):
        counts[name] += 1
        names.append(name if counts[name] == 1 else repeated_name(name, counts[name]))
    twice = [name for name, count in counts.items() if count > 1 and name]
    frame = frame.iloc[:, kept].set_axis(names, axis=1).reset_index(drop=True)
    return frame, [f"the column {shown(name)} is there {counts[name]} times" for name in twice]


def repeated_name(name: str, number: int = 2) -> str:
    """What the second column of a name is called."""
    return f"{name} ({number})"


def _framed(rows: Iterable[Sequence[Any]], name: str, limits: Limits) -> tuple[pandas.DataFrame, list[str]]:
    """A frame of rows whose first one is the header."""
    import pandas

    found = [[cell(value) for value in row] for row in rows]
    header = [text.strip() for text in found[0]] if found else []
    width = max(map(len, found), default=0)
    header += [""] * (width - len(header))
    body = [row + [""] * (width - len(row)) for row in found[1:]]
    kept = [row for row in body if [text.strip() for text in row] != header]
    frame, notes = _named(pandas.DataFrame(kept, columns=range(width), dtype=object), header)
    repeated = len(body) - len(kept)
    return frame, notes + [f"{counted(repeated, 'row')} like the header: left out"] * bool(repeated)


def cell(value: Any) -> str:
    """A value as somebody would write it: a text as it is, the rest as in :func:`training.labels.word`."""
    if not isinstance(value, str):
        return word(value)
    if SURROGATE.search(value):  # JSON lets halves of pairs through, no encoding does
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value.replace("\0", "")


# ---- JSON ----


def _read_json(path: Path, _: str | None, limits: Limits) -> TableFile:
    import pandas

    found = decode_text(read_bytes(path, limits.bytes), path.name)
    if sum(map(found.text.count, ",{[")) > limits.cells:
        raise DataError(f"{path.name} has more than {limits.cells:,} values: give it in parts")
    columns = _columns(_records_of(_values(found.text, path.name), path.name), path.name, limits)
    frame = pandas.DataFrame(columns, dtype=object)
    named, notes = _named(frame, [name.strip() for name in columns])
    return TableFile(named, found.encoding, None, (*found.notes, *notes), found.cleaned)


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


# ---- Excel workbooks and parquet ----

MAX_WORKBOOK = 2**30  # bytes of a workbook's XML, read at some 5 MB a second
ERRORS = {"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!"}


def _read_workbook(path: Path, _: str | None, limits: Limits) -> TableFile:
    import openpyxl

    _check_archive(path, limits)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        sheets = [(sheet.title, _sheet(sheet, path.name, limits)) for sheet in book.worksheets]
    except DataError:
        raise
    except Exception as error:  # damaged XML raises nearly anything
        raise DataError(f"{path.name} is not a readable .xlsx workbook: {_reason(error)}") from error
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
    frame, said = _framed(rows[head:], path.name, limits)
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


def _read_parquet(path: Path, _: str | None, limits: Limits) -> TableFile:
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
        raise DataError(f"{path.name} is not a readable .parquet file: {_reason(error)}") from error
    frame = pandas.DataFrame(dict(enumerate(values)), dtype=object)
    named, notes = _named(frame, [c.strip() for c in columns])
    return TableFile(named, notes=tuple(notes))


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


Reader = Callable[[Path, "str | None", Limits], TableFile]
READERS: dict[str, Reader] = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt"), _read_separated),
    **dict.fromkeys((".csv.gz", ".tsv.gz", ".tab.gz", ".txt.gz"), _read_separated),
    **dict.fromkeys((".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz"), _read_json),
    **dict.fromkeys((".xlsx", ".xlsm"), _read_workbook),
    ".parquet": _read_parquet,
}
