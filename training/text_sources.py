"""Where labelled texts come from: tables, folders and archives of text files or of tables, and the Hub.

Every reader gives ``Rows``: texts with their labels and parts, and what there is to say about how they were read.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from training.datasets import fetch
from training.errors import DataError, counted, sentence
from training.folders import SPLITS, TRAIN, list_files, read_layout
from training.labels import in_order, shown, spelled
from training.places import did_you_mean, nowhere, place
from training.report import listed, refuse_unreadable
from training.tables import (
    LIMITS,
    TableFile,
    cell,
    decode_text,
    is_table,
    kind_of,
    read_bytes,
    read_table,
    repeated_name,
)

TEXT_COLUMNS = (
    "text", "sentence", "review", "content", "description", "comment", "document", "body", "question", "message",
    "tweet", "reviewtext", "commenttext",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "class", "category", "target", "sentiment", "topic", "coarselabel", "labeltext", "classindex",
    "rating",
)  # fmt: skip
SPLIT_COLUMN = "split"
SUFFIXES = (
    (".txt", ".text"),
    (".md", ".markdown"),
    ("",),
)  # of texts; the first kind that a folder holds is read
MAX_FILE = 100_000_000  # bytes of one text
OTHERS = {
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".rtf"), "not plain text, save these as .txt"),
    **dict.fromkeys(
        (".html", ".htm", ".xml"), "pages, not plain text, save what is to be read of them as .txt"
    ),
    **dict.fromkeys((".zip", ".gz", ".tar", ".tgz", ".rar", ".7z"), "archives inside folders, unpack them"),
}
# Of the files beside class folders, those that are about the data; and folders of texts that nobody has labelled
ABOUT = re.compile(
    r"(readme|licen[cs]e|notice|copying|authors|citation|changelog|requirements|urls)\b|urls_", re.I
)
UNLABELLED = {"unsup", "unsupervised", "unlabeled", "unlabelled"}


@dataclass(frozen=True)
class HubTexts:
    """Where a data set lives on the Hub, the columns to read, its terms of use and its classes ("": as they are)."""

    repo: str
    text: str
    label: str
    terms: str
    classes: str = ""
    test: str = "test"


KNOWN = {
    "imdb": HubTexts("stanfordnlp/imdb", "text", "label", "cite Maas 2011", "negative,positive"),
    "agnews": HubTexts(
        "fancyzhx/ag_news", "text", "label", "non-commercial", "World,Sports,Business,Sci/Tech"
    ),
    # GLUE's test labels are not public: its development split is what everybody reports
    "sst2": HubTexts(
        "stanfordnlp/sst2", "sentence", "label", "none stated", "negative,positive", "validation"
    ),
    "20news": HubTexts("SetFit/20_newsgroups", "text", "label_text", "none stated"),
    "trec": HubTexts("CogComp/trec", "text", "coarse_label", "none stated", "ABBR,ENTY,DESC,HUM,LOC,NUM"),
}


class Row(NamedTuple):
    """One text; ``label`` is "" where there is none, ``place`` its number among the rows that were read."""

    text: str
    label: str
    split: int
    place: int = 0


@dataclass
class Rows:
    """What a reader found.

    Args:
        rows: texts with labels, each class in one spelling.
        classes: names in their order where the source declares them.
        what, layout, left_out, notes: see :class:`training.report.DataReport`.
        names: of the files that the rows are from, or of the parts that start at a row.
        cleaned: lines or files from which NUL characters were removed.
    """

    rows: list[Row]
    classes: tuple[str, ...] | None = None
    what: str = "rows"
    layout: str = ""
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    names: Sequence[str] | Mapping[int, str] = field(default_factory=dict)
    cleaned: int = 0

    def name(self, place: int) -> str:
        """What a row is called in sentences: its file, or its number from 1 on below the header."""
        if not isinstance(self.names, Mapping):
            return self.names[place]
        start = max((start for start in self.names if start <= place), default=0)
        return f"row {place - start + 1:,}{self.names.get(start, '')}"


def find(data: str, text: tuple[str, ...], label: str | None) -> tuple[Rows, str, str | None, str]:
    """The rows behind ``data``, its name, terms and source.

    Raises:
        DataError: there are none, or they cannot be read.
    """
    path = None if data in KNOWN else place(data)
    if path is not None and path.is_dir():
        name = path.resolve().name
        return read_folder(path, name, text, label), name, None, name
    if path is not None:
        read = read_archive if kind_of(path) == ".zip" else read_file
        return read(path, text, label), path.name.split(".")[0], None, path.name
    named = is_table(Path(data)) or kind_of(Path(data)) == ".zip"
    if data in KNOWN or re.fullmatch(r"\w[\w.-]*/[\w.-]+", data) and not named:
        return read_hub(data, text, label)
    if "/" in data or named:
        raise nowhere(data)
    raise DataError(
        f"unknown data set {shown(data)}{did_you_mean(data, list(KNOWN))}: give one of {', '.join(KNOWN)}, a Hub data "
        "set OWNER/NAME, a table (.csv, .tsv, .jsonl, .json, .xlsx, .parquet) or a folder of texts"
    )


# ---- tables ----


def read_file(path: Path, text: tuple[str, ...], label: str | None) -> Rows:
    """The texts of a table."""
    return _of_table(read_table(path), path.name, text, label)


def _of_table(
    table: TableFile, name: str, text: tuple[str, ...], label: str | None, part: int | None = None
) -> Rows:
    frame, columns = table.frame, list(table.frame.columns)
    advice = _advice(table)
    texts = text_columns(columns, text, name, advice)
    column = label_column(columns, label, name, advice)
    labels, notes = spelled(frame[column], f"{name} (column {column})")
    parts = [c for c in columns if normal(c) == SPLIT_COLUMN and c not in (*texts, column)]
    codes = [TRAIN if part is None else part] * len(frame)
    if parts and part is None:
        codes = _codes(frame[parts[0]].tolist(), name)
    joined = frame[texts[0]].tolist()
    if len(texts) > 1:
        joined = [" ".join(filter(str.strip, row)) for row in zip(*(frame[c] for c in texts), strict=True)]
    values = zip(joined, labels, codes, range(len(frame)), strict=True)
    rows = [Row(*value) for value in values]
    return Rows(rows, layout=_layout(texts, column), notes=(*table.notes, *notes), cleaned=table.cleaned)


def _codes(words: Sequence[str], name: str) -> list[int]:
    """Parts of rows by the words in a column "split"."""
    known = {word: SPLITS.get(word.strip().casefold()) for word in set(words)}
    if unknown := sorted(word for word, code in known.items() if code is None):
        row = words.index(unknown[0]) + 1
        what = f"unknown split {shown(unknown[0])}" if unknown[0].strip() else "no split"
        raise DataError(
            f"{name}: {what} in row {row:,}: write one of {', '.join(SPLITS)}, or give the column {SPLIT_COLUMN} "
            "another name"
        )
    return [known[word] or TRAIN for word in words]


def normal(column: str) -> str:
    """A column's name without what people write in different ways: capitals, space, underscores and marks."""
    return "".join(letter for letter in column.casefold() if letter.isalnum())


def usual_column(columns: Sequence[str], usual: Sequence[str]) -> str | None:
    """The first of the usual names that a table has, as the table spells it."""
    there = {normal(c): c for c in reversed(columns)} | {c: c for c in columns}
    return next((there[name] for name in usual if name in there), None)


def text_columns(
    columns: Sequence[str], wanted: Sequence[str], name: str, advice: str = ""
) -> tuple[str, ...]:
    """The columns to read the text from.

    Args:
        columns: those there are.
        wanted: their names; the first usual one that is there if empty.
        name: of the table, for sentences.
        advice: how a refusal goes on; without it, it lists the columns.

    Raises:
        DataError: one of them is not there, or there twice.
    """
    if not wanted:
        found = usual_column(columns, TEXT_COLUMNS)
        return (_required(columns, found, "text", "text", name, advice),)
    return tuple(_required(columns, _as_there(columns, c), c, "text", name, advice) for c in wanted)


def label_column(columns: Sequence[str], wanted: str | None, name: str, advice: str = "") -> str:
    """The column of the label; arguments and errors as for :func:`text_columns`."""
    found = usual_column(columns, LABEL_COLUMNS) if wanted is None else _as_there(columns, wanted)
    return _required(columns, found, wanted or "label", "label", name, advice)


def _as_there(columns: Sequence[str], wanted: str) -> str | None:
    return wanted if wanted in columns else usual_column(columns, (normal(wanted),))


def _required(
    columns: Sequence[str], found: str | None, wanted: str, option: str, name: str, advice: str
) -> str:
    if found is None:
        advice = advice or f" (its columns are {_short(columns)}): name it with OPTION"
        raise DataError(f"{name} has no column {wanted!r}{advice.replace('OPTION', f'--{option}-column')}")
    if repeated_name(found) in columns:
        raise DataError(f"{name} has several columns {found!r}: give all but one of them another name")
    return found


def _short(columns: Sequence[str]) -> str:
    return listed([(c or "one without a name") if len(c) <= 30 else f"{c[:29]}…" for c in columns], 8)


def _advice(table: TableFile) -> str:
    """How to go on where a column is not there: no header row, another delimiter, or simply another name."""
    columns, where = list(table.frame.columns), f"{table.where}; " if table.where else ""
    if len(columns) == 1 and where and usual_column(columns, (*TEXT_COLUMNS, *LABEL_COLUMNS)) is None:
        return (
            f", only {_short(columns)} ({table.where}): divide columns by commas, semicolons, tabs or pipes"
        )
    again = any(c in set(table.frame[c][:1000]) for c in columns if 0 < len(c) < 30)
    numbers = any(re.fullmatch(r"-?\d+(\.\d+)?", c) for c in columns)
    sentences = any(len(c) > 60 or len(c.split()) > 5 for c in columns)
    if again or numbers or sentences:
        return f" and no header row, it seems ({where}it begins {_short(columns)}): add a first line such as text,label"
    return f" ({where}its columns are {_short(columns)}): name it with OPTION"


# ---- folders and archives ----


def read_archive(path: Path, text: tuple[str, ...], label: str | None) -> Rows:
    """A ``.zip`` of what could lie in a folder."""
    with tempfile.TemporaryDirectory() as place:
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > LIMITS.bytes:
                    raise DataError(
                        f"{path.name} unpacks to more than {LIMITS.bytes:,} bytes: give it in parts"
                    )
                archive.extractall(place)
        except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path.name} is not a readable .zip archive: {sentence(error)}") from error
        return read_folder(Path(place), path.name, text, label)


def read_folder(path: Path, where: str, text: tuple[str, ...], label: str | None) -> Rows:
    """Text files in class folders, below folders of parts or not; tables, a file a part; or what ``datasets`` saved."""
    names = list_files(path)
    if {"dataset_dict.json", "dataset_info.json"} & set(names) and any(n.endswith(".arrow") for n in names):
        return _saved(path, where, text, label)
    found = [n for n in names if not any(p.startswith((".", "__")) for p in PurePosixPath(n).parts)]
    ends = {PurePosixPath(n).suffix.lower() for n in found if not n.endswith("/")}
    tables = [n for n in found if is_table(n) and not kind_of(n).startswith(".txt")]
    suffixes = next((s for s in SUFFIXES if ends & set(s)), SUFFIXES[0])
    nested = any("/" in n and PurePosixPath(n).suffix.lower() in suffixes for n in found)
    if tables and not nested:
        return _of_tables(path, where, tables, text, label)
    return _of_files(path, where, names, suffixes)


def _of_files(path: Path, where: str, names: Sequence[str], suffixes: Sequence[str]) -> Rows:
    names, beside = _without_papers(names)
    layout = read_layout(names, suffixes, "texts", where=where, others=OTHERS)
    if any(file.label is None for file in layout.files):
        raise DataError(
            f"{where} holds {counted(len(layout.files), 'text')} ({listed([f.name for f in layout.files], 3)}) but no "
            "class folders: put the texts of each class into a folder of its name (CLASS/file.txt)"
        )
    rows, faults, unusual, cleaned = list[Row](), dict[str, str](), list[str](), 0
    for file in layout.files:
        try:
            read = decode_text(read_bytes(path / file.name, MAX_FILE), "")
        except (DataError, OSError) as error:
            faults[file.name] = _fault(error)
            continue
        unusual += [file.name] * bool(read.notes)
        cleaned += bool(read.cleaned)
        rows.append(Row(read.text, file.label or "", file.split, len(rows)))
    refuse_unreadable(faults, len(layout.files), "texts", where)
    notes = list(layout.notes)
    if unusual:
        notes.append(
            f"{counted(len(unusual), 'text')} not in UTF-8, read as UTF-16 or Windows-1252 ({listed(unusual, 3)})"
        )
    return Rows(
        rows,
        in_order({row.label for row in rows}),
        what="files",
        layout=layout.layout,
        left_out={**layout.left_out, **beside},
        notes=tuple(notes),
        names=[file.name for file in layout.files],
        cleaned=cleaned,
    )


def _without_papers(names: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Names without a README beside class folders and without unlabelled texts; reason -> those."""
    parents = {parent for name in names for parent in PurePosixPath(name).parents[1:]}
    kept, beside = list[str](), defaultdict[str, list[str]](list)
    for name in names:
        path = PurePosixPath(name)
        if path.parent in parents and ABOUT.match(path.name):
            beside["about the data, by their names"].append(name)
        elif UNLABELLED & {part.casefold() for part in path.parts[:-1]}:
            beside["without labels, by their folder's name"].append(name)
        else:
            kept.append(name)
    return kept, dict(beside)


def _fault(error: DataError | OSError) -> str:
    said = (error.strerror if isinstance(error, OSError) else None) or sentence(error)
    return said.strip().removeprefix("is ").removeprefix("cannot be read: ")


def _of_tables(
    path: Path, where: str, names: Sequence[str], text: tuple[str, ...], label: str | None
) -> Rows:
    """A table for each part, told by its name; a single one is read as if it was named itself."""
    if len(names) == 1:
        return read_file(path / names[0], text, label)
    parts, left = _parts(names, where)
    rows, notes, starts = list[Row](), list[str](), dict[int, str]()
    layouts = defaultdict[str, list[str]](list)
    left_out = {"tables whose names do not say train, validation or test": left} if left else {}
    for split, tables in sorted(parts.items()):
        for name in tables:
            table = read_table(path / name)
            if split != TRAIN and _lacks_labels(table, label):  # competitions keep those of a test
                left_out.setdefault("tables without a column of labels", []).append(name)
                continue
            found = _of_table(table, name, text, label, split)
            starts[len(rows)] = f" of {name}"
            rows += [row._replace(place=row.place + len(rows)) for row in found.rows]
            notes += [f"{name}: {note}" for note in found.notes]
            layouts[found.layout].append(name)
    words, said = spelled([row.label for row in rows], where)
    rows = [row._replace(label=word) for row, word in zip(rows, words, strict=True)]
    layout = "; ".join(f"{how} in {listed(tables, 4)}" for how, tables in layouts.items())
    return Rows(rows, None, "rows", layout, left_out, (*notes, *said), starts)


def _parts(names: Sequence[str], where: str) -> tuple[dict[int, list[str]], list[str]]:
    """Tables of each part, by the words in their names and folders, and those that are of none."""
    parts, left = defaultdict[int, list[str]](list), list[str]()
    for name in names:
        stem = name.lower().removesuffix(kind_of(name))
        codes = {SPLITS[word] for word in re.split(r"[\s_\-./]+", stem) if word in SPLITS}
        (parts[codes.pop()] if len(codes) == 1 else left).append(name)
    if TRAIN not in parts:
        raise DataError(
            f"{where} holds {counted(len(names), 'table')} ({listed(names, 3)}), none of them named train: name one of "
            "them itself, or call them train, validation and test"
        )
    for tables in parts.values():
        if len({re.sub(r"\d+", "", name) for name in tables}) > 1:
            raise DataError(
                f"{where} holds {listed(tables, 4)} for one part of the data: keep one of them, or name one itself"
            )
    return dict(parts), left


def _lacks_labels(table: TableFile, label: str | None) -> bool:
    columns = list(table.frame.columns)
    return (usual_column(columns, LABEL_COLUMNS) if label is None else _as_there(columns, label)) is None


# ---- the Hub ----


def read_hub(data: str, text: tuple[str, ...], label: str | None) -> tuple[Rows, str, str | None, str]:
    """A data set of the Hub by one of the known names or its address."""
    known = KNOWN.get(data)
    repo = known.repo if known else data
    splits, terms = fetch(repo)
    if known and known.test == "validation" and "validation" in splits:
        splits["test"] = splits.pop("validation")
    text = text or ((known.text,) if known else ())
    declared = tuple(known.classes.split(",")) if known and known.classes else None
    rows = _of_splits(
        splits, f"Hub data set {repo}", text, label or (known.label if known else None), declared
    )
    return rows, data, known.terms if known else terms, f"https://huggingface.co/datasets/{repo}"


def _saved(path: Path, where: str, text: tuple[str, ...], label: str | None) -> Rows:
    """What ``datasets`` has written with ``save_to_disk``."""
    import datasets

    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # pyarrow and datasets have a dozen kinds of their own
        raise DataError(
            f"{where} is not a readable folder of the package datasets: {sentence(error)}"
        ) from error
    return _of_splits(found if isinstance(found, dict) else {"train": found}, where, text, label, None)


def _of_splits(
    splits: Mapping[str, Any],
    where: str,
    text: tuple[str, ...],
    label: str | None,
    declared: tuple[str, ...] | None,
) -> Rows:
    """Splits of the package ``datasets`` by their names; those that are none of ours are not read."""
    parts = {SPLITS[word]: rows for word, rows in splits.items() if word in SPLITS}
    if TRAIN not in parts:
        raise DataError(f"{where} has no train split, only {', '.join(splits)}: give one with a train split")
    names = list(parts[TRAIN].column_names)
    texts, label = text_columns(names, text, where), label_column(names, label, where)
    classes = declared or tuple(getattr(parts[TRAIN].features[label], "names", None) or ()) or None
    rows = [row for code, part in parts.items() for row in _hub_rows(part, texts, label, classes, code)]
    words, notes = [row.label for row in rows], tuple[str, ...]()
    if classes is None:
        words, notes = spelled(words, where)
    rows = [row._replace(label=w, place=i) for i, (row, w) in enumerate(zip(rows, words, strict=True))]
    return Rows(rows, classes, layout=_layout(texts, label), notes=notes)


def _layout(texts: Sequence[str], label: str) -> str:
    return f"texts of the column {' and '.join(map(shown, texts))} with labels of the column {shown(label)}"


def _hub_rows(
    part: Any, texts: tuple[str, ...], label: str, classes: tuple[str, ...] | None, code: int
) -> Iterator[Row]:
    columns, labels = [part[c][:] for c in texts], part[label][:]
    all_hidden = all(value == -1 for value in labels)
    for value, *words in zip(labels, *columns, strict=True):
        # -1 is the Hub's sign for "not public"; beside other numbers that nobody named it may be a label
        hidden = value is None or (value == -1 and (classes is not None or all_hidden))
        named = classes[value] if classes and isinstance(value, int) and not hidden else value
        yield Row(" ".join(filter(str.strip, map(cell, words))), "" if hidden else cell(named), code)
