"""What every reader of tables gives: a frame of strings under unique names, within limits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.errors import counted, sentence
from training.labels import shown, word
from training.tables.letters import encoding_name

if TYPE_CHECKING:
    import pandas

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
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
        return where_of(self.delimiter, self.encoding)


def where_of(delimiter: str, encoding: str) -> str:
    return f"delimiter {DELIMITERS[delimiter]}, encoding {encoding_name(encoding)}"


def named(frame: pandas.DataFrame, header: Sequence[str]) -> tuple[pandas.DataFrame, list[str]]:
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


def framed(rows: Iterable[Sequence[Any]], name: str, limits: Limits) -> tuple[pandas.DataFrame, list[str]]:
    """A frame of rows whose first one is the header."""
    import pandas

    found = [[cell(value) for value in row] for row in rows]
    header = [text.strip() for text in found[0]] if found else []
    width = max(map(len, found), default=0)
    header += [""] * (width - len(header))
    body = [row + [""] * (width - len(row)) for row in found[1:]]
    kept = [row for row in body if [text.strip() for text in row] != header]
    frame, notes = named(pandas.DataFrame(kept, columns=range(width), dtype=object), header)
    repeated = len(body) - len(kept)
    return frame, notes + [f"{counted(repeated, 'row')} like the header: left out"] * bool(repeated)


def cell(value: Any) -> str:
    """A value as somebody would write it: a text as it is, the rest as in :func:`training.labels.word`."""
    if not isinstance(value, str):
        return word(value)
    if SURROGATE.search(value):  # JSON lets halves of pairs through, no encoding does
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value.replace("\0", "")


def reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it does not fit in memory"
    return str(getattr(error, "strerror", None) or sentence(error))
