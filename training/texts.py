"""Labelled texts by name, from the Hub, or from a ``.csv``, ``.parquet`` file or a folder of ``.txt`` files.

``load_texts`` is the only door. Every reader gives rows of (text, label, split); what follows is the same for all:
rows that cannot be learned from are left out and counted, classes keep their names, parts are held out. The counts are
the ``TextReport`` that a command prints; whatever makes the data unusable is a ``DataError`` of one sentence.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.datasets import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    Array,
    DataError,
    Table,
    divide,
    fetch,
    folders,
    index_labels,
    sentence,
    split_codes,
    suffix,
)

MAX_CHARACTERS = 100_000  # of one text; what comes later is beyond every model's sequence length
MAX_BYTES = 2 * 2**30  # of one file, unpacked
MAX_CLASSES = 1000
TEXT_COLUMNS = (
    "text",
    "sentence",
    "review",
    "content",
    "description",
    "comment",
    "document",
    "body",
    "question",
)
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "sentiment", "topic", "coarse_label")


@dataclass(frozen=True)
class TextSplit:
    """``texts`` N strings; ``labels`` (N,) int64."""

    texts: list[str]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class TextReport:
    """What was found in the data and what was done about it; counts of rows.

    Args:
        rows: read.
        counts: class -> training texts.
        empty: without any letter, left out of train and validation (in a test split they count as texts).
        unlabelled: without a label, left out.
        repeated: same text and label as an earlier training row, left out.
        contradictory: training texts that occur with several labels, left out.
        leaked: training texts that are in the test or validation split too, left out of train.
        repeated_test: test texts that occur in the test split before.
        cut: longer than 100,000 characters, cut there.
        cleaned: with NUL characters, which were removed.
        encoding: of the file, where it is not UTF-8.
    """

    rows: int
    counts: dict[str, int] = field(default_factory=dict)
    empty: int = 0
    unlabelled: int = 0
    repeated: int = 0
    contradictory: int = 0
    leaked: int = 0
    repeated_test: int = 0
    cut: int = 0
    cleaned: int = 0
    encoding: str | None = None

    @property
    def imbalance(self) -> float:
        """Training texts of the most frequent class for each one of the rarest."""
        return max(self.counts.values()) / max(1, min(self.counts.values()))

    def sentences(self) -> list[str]:
        """The report for a reader: one line for everything there is to say."""
        said = {
            "without text: left out of training": self.empty,
            "without a label: left out": self.unlabelled,
            "exact repetitions in the training rows: left out": self.repeated,
            "training texts with contradictory labels: left out": self.contradictory,
            "training texts that are test or validation texts too: left out of training": self.leaked,
            "repeated texts in the test rows: kept": self.repeated_test,
            f"longer than {MAX_CHARACTERS:,} characters: cut": self.cut,
            "with NUL characters: removed from the text": self.cleaned,
        }
        lines = [f"{self.rows:,} rows, {sum(self.counts.values()):,} to train on, {len(self.counts)} classes"]
        lines += [f"{count:,} {what}" for what, count in said.items() if count]
        if self.encoding:
            lines.append(f"read as {self.encoding}: the file is not UTF-8")
        if self.imbalance >= 3:
            rare, *_, often = sorted(self.counts, key=self.counts.__getitem__)
            lines.append(
                f"imbalanced: {self.counts[often]:,} of {often!r} but {self.counts[rare]:,} of {rare!r}; "
                "--balance weighs the loss"
            )
        return lines


@dataclass(frozen=True)
class TextData:
    """Three disjoint parts of one data set. ``source`` is a Hub address or a file name without its path."""

    train: TextSplit
    validation: TextSplit
    test: TextSplit
    classes: tuple[str, ...]
    name: str
    terms: str | None
    source: str
    report: TextReport


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
    """One row as it was read; ``label`` is "" where there is none."""

    text: str
    label: str
    split: int


@dataclass
class Rows:
    """What a reader found: rows, and the names of the classes in the order of the labels where it knows them."""

    rows: list[Row]
    classes: tuple[str, ...] | None = None
    encoding: str | None = None
    cleaned: int = 0


def load_texts(
    data: str,
    *,
    text: Sequence[str] = (),
    label: str | None = None,
    classes: Sequence[str] = (),
    validation: int | float | None = None,
    seed: int = 0,
) -> TextData:
    """Load labelled texts, divided into train, validation and test.

    Args:
        data: a name in ``KNOWN``, a Hub data set ``OWNER/NAME``, a ``.csv``, ``.csv.gz`` or ``.parquet`` file, or a
            folder of class folders of ``.txt`` files.
        text: columns of the text, joined by a space; the first usual name that exists if empty.
        label: column of the label; the first usual name that exists if None.
        classes: names for the labels in their order (numbers by value, words by alphabet).
        validation: how many (int) or which part (float) of train to hold out where the data set has no validation
            split; None: a tenth, at most 5,000. A missing test split is a tenth as well.
        seed: chooses what is held out, in proportion to the classes.

    Raises:
        DataError: unknown, unreachable, unreadable or unusable data, in one sentence.
    """
    found, name, terms, source = _find(data, tuple(text), label)
    rows, report = _cleaned(found)
    labels, names = _classes(rows, found.classes or tuple(classes) or None, name)
    split = np.array([row.split for row in rows])
    _require_enough(split, labels, len(names), name)
    parts = divide(split if split.any() else None, labels, len(rows), validation, seed, name)
    train, held, test = (_take(rows, labels, part) for part in parts)
    counts = {c: int((train.labels == i).sum()) for i, c in enumerate(names)}
    return TextData(train, held, test, names, name, terms, source, _counted(report, counts))


def _find(data: str, text: tuple[str, ...], label: str | None) -> tuple[Rows, str, str | None, str]:
    """The rows behind ``data``, its name, terms and source."""
    path = Path(data).expanduser()
    if data not in KNOWN and path.is_dir():
        return _read_folder(path), path.resolve().name, None, path.resolve().name
    if data not in KNOWN and path.is_file():
        return _read_file(path, text, label), path.name.split(".")[0], None, path.name
    if data in KNOWN or re.fullmatch(r"\w[\w.-]*/[\w.-]+", data) and suffix(path) not in READERS:
        return _read_hub(data, text, label)
    if "/" in data or suffix(path) in READERS:
        raise DataError(f"there is no file or folder {data}")
    raise DataError(
        f"unknown data set {data!r}: give one of {', '.join(KNOWN)}, a Hub data set OWNER/NAME, "
        f"a {', '.join(READERS)} file or a folder of texts"
    )


def subset(split: TextSplit, count: int | None, seed: int = 0) -> TextSplit:
    """``count`` texts of a split in their order, from each class its share; all of them for None."""
    if count is None or count >= len(split):
        return split
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    order = order[split.labels[order].argsort(stable=True)]
    taken = order[torch.linspace(0, len(split) - 1, count).round().long()].sort().values
    return TextSplit([split.texts[i] for i in taken.tolist()], split.labels[taken])


# ---- readers ----


def _read_file(path: Path, text: tuple[str, ...], label: str | None) -> Rows:
    if suffix(path) not in READERS:
        raise DataError(f"{path.name} is none of {', '.join(READERS)}, nor a folder of texts")
    frame, encoding, cleaned = READERS[suffix(path)](path)
    if frame.empty:
        raise DataError(f"{path.name} is empty")
    texts, label = text_columns(frame.columns, text, path.name), label_column(frame.columns, label, path.name)
    codes = split_codes(frame["split"].tolist(), path.name) if "split" in frame else np.zeros(len(frame), int)
    joined = (
        frame[list(texts)].fillna("").astype(str).agg(" ".join, axis=1) if len(texts) > 1 else frame[texts[0]]
    )
    values = zip(joined.fillna("").astype(str), map(_word, frame[label]), codes.tolist(), strict=True)
    return Rows([Row(*value) for value in values], encoding=encoding, cleaned=cleaned)


def read_csv(path: Path) -> tuple[Any, str | None, int]:
    """A table of strings, the encoding where it is not UTF-8, and in how many lines NUL characters were removed.

    Raises:
        DataError: not a table, a quote that is never closed, bytes that are no text.
    """
    import pandas

    text, encoding = _decoded(path)
    cleaned = sum("\0" in line for line in text.split("\n")) if "\0" in text else 0
    if cleaned and text.count("\0") > len(text) // 10:
        raise DataError(f"{path.name} is not text: more than a tenth of it are NUL bytes")
    try:
        frame = pandas.read_csv(
            io.StringIO(text.replace("\0", "")),
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
        )
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path.name} is not a comma-separated table: {_table_fault(error)}") from error
    return frame, encoding, cleaned


TABLE_FAULTS = {  # what pandas says, and what it means
    r"EOF inside string starting at row (\d+)": r"a quote that opens after row \1 is never closed",
    r"Expected (\d+) fields in line (\d+), saw (\d+)": r"line \2 has \3 fields where the header names \1",
    r"No columns to parse from file": "it holds no header",
    r"Buffer overflow caught": "a line ends in a way that no table does",
}


def _table_fault(error: Exception) -> str:
    said = sentence(error)
    for pattern, meaning in TABLE_FAULTS.items():
        if found := re.search(pattern, said):
            return found.expand(meaning)
    return said.removeprefix("Error tokenizing data. C error: ")


def _decoded(path: Path) -> tuple[str, str | None]:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is not a comma-separated table: {sentence(error)}") from error
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{path.name} unpacks to {len(content):,} bytes, more than the limit of {MAX_BYTES:,}"
        )
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding), None if encoding == "utf-8-sig" else encoding
        except UnicodeDecodeError:
            continue
    raise DataError(f"{path.name} is not text in UTF-8, UTF-16 or Windows-1252: save it as UTF-8")


def _read_parquet(path: Path) -> tuple[Any, str | None, int]:
    import pandas

    try:
        return pandas.read_parquet(path), None, 0
    except (ValueError, OSError) as error:
        raise DataError(f"{path.name} is not a .parquet file: {sentence(error)}") from error


READERS = {".csv": read_csv, ".csv.gz": read_csv, ".parquet": _read_parquet}


def text_columns(columns: Iterable[str], wanted: Sequence[str], name: str) -> tuple[str, ...]:
    """The columns to read the text from; ``DataError`` names those there are."""
    there = [str(c) for c in columns]
    chosen = tuple(wanted) or tuple(c for c in TEXT_COLUMNS if c in there)[:1]
    if not chosen or not set(chosen) <= set(there):
        lacking = next((c for c in chosen if c not in there), "text")
        raise DataError(f"{name} has no column {lacking!r}{_listed(there)}: name it with --text-column")
    return chosen


def label_column(columns: Iterable[str], wanted: str | None, name: str) -> str:
    """The column of the label; ``DataError`` names those there are."""
    there = [str(c) for c in columns]
    chosen = wanted or next((c for c in LABEL_COLUMNS if c in there), None)
    if chosen not in there:
        raise DataError(
            f"{name} has no column {chosen or 'label'!r}{_listed(there)}: name it with --label-column"
        )
    return str(chosen)


def _listed(columns: list[str]) -> str:
    short = ", ".join(c if len(c) <= 30 else c[:27] + "..." for c in columns[:8])
    return f" (no header row? its columns are {short})"


def _word(value: Any) -> str:
    """A label as a word: 1.0 is "1"; missing ones are ""."""
    if value is None or value != value:
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()


def _read_folder(path: Path) -> Rows:
    """``.txt`` files in class folders, below train/, validation/ and test/ or not."""
    parts = [(SPLITS[d.name.lower()], d) for d in folders(path) if d.name.lower() in SPLITS]
    if TRAIN not in dict(parts):
        parts = [(TRAIN, path)]
    rows = [
        Row(_decoded(file)[0], top.name, code)
        for code, part in parts
        for top in folders(part)
        for file in sorted(top.rglob("*.txt"))
    ]
    if not rows:
        raise DataError(f"folder {path.name} holds no class folders of .txt files")
    return Rows(rows)


def _read_hub(data: str, text: tuple[str, ...], label: str | None) -> tuple[Rows, str, str | None, str]:
    known = KNOWN.get(data)
    repo = known.repo if known else data
    splits, terms = fetch(repo)
    parts = {SPLITS[word]: rows for word, rows in splits.items() if word in SPLITS}
    if TRAIN not in parts:
        raise DataError(f"Hub data set {repo} has no train split, only {', '.join(splits)}")
    if known and known.test == "validation" and VALIDATION in parts:
        parts[TEST] = parts.pop(VALIDATION)
    names = list(parts[TRAIN].column_names)
    texts = text_columns(names, text or ((known.text,) if known else ()), repo)
    label = label_column(names, label or (known.label if known else None), repo)
    found = tuple(known.classes.split(",")) if known and known.classes else None
    classes = found or tuple(getattr(parts[TRAIN].features[label], "names", None) or ()) or None
    rows = [row for code, part in parts.items() for row in _hub_rows(part, texts, label, classes, code)]
    return (
        Rows(rows, classes),
        data,
        known.terms if known else terms,
        f"https://huggingface.co/datasets/{repo}",
    )


def _hub_rows(
    part: Any, texts: tuple[str, ...], label: str, classes: tuple[str, ...] | None, code: int
) -> Iterator[Row]:
    columns = [part[c][:] for c in texts]
    for value, *words in zip(part[label][:], *columns, strict=True):
        hidden = value is None or (isinstance(value, int) and value < 0)  # the Hub's sign for "not public"
        named = classes[value] if classes and isinstance(value, int) and not hidden else _word(value)
        yield Row(" ".join(w or "" for w in words), "" if hidden else named, code)


# ---- rows ----


def _cleaned(found: Rows) -> tuple[list[Row], TextReport]:
    """The rows to use and what was left out; the order stays."""
    kept, unlabelled, empty, cut = [], 0, 0, 0
    for row in found.rows:
        if not row.label:
            unlabelled += 1
        elif not row.text.strip() and row.split != TEST:
            empty += 1
        else:
            cut += len(row.text) > MAX_CHARACTERS
            kept.append(row._replace(text=row.text[:MAX_CHARACTERS]))
    kept, repeated, contradictory, leaked = _without_repetitions(kept)
    test = [row.text for row in kept if row.split == TEST]
    report = TextReport(
        rows=len(found.rows),
        empty=empty,
        unlabelled=unlabelled,
        repeated=repeated,
        contradictory=contradictory,
        leaked=leaked,
        repeated_test=len(test) - len(set(test)),
        cut=cut,
        cleaned=found.cleaned,
        encoding=found.encoding,
    )
    return kept, report


def _without_repetitions(rows: list[Row]) -> tuple[list[Row], int, int, int]:
    """Training rows once each, without those of other splits or with several labels; how many went and why."""
    held = {row.text for row in rows if row.split != TRAIN}
    labels: dict[str, set[str]] = {}
    for row in rows:
        if row.split == TRAIN:
            labels.setdefault(row.text, set()).add(row.label)
    kept: list[Row] = []
    seen: set[str] = set()
    gone: Counter[str] = Counter()
    for row in rows:
        reason = _reason(row, held, labels, seen) if row.split == TRAIN else None
        if reason is None:
            kept.append(row)
            seen.add(row.text)
        else:
            gone[reason] += 1
    return kept, gone["repeated"], gone["contradictory"], gone["leaked"]


def _reason(row: Row, held: set[str], labels: dict[str, set[str]], seen: set[str]) -> str | None:
    if row.text in held:
        return "leaked"
    if len(labels[row.text]) > 1:
        return "contradictory"
    return "repeated" if row.text in seen else None


def _classes(rows: list[Row], given: tuple[str, ...] | None, name: str) -> tuple[Array, tuple[str, ...]]:
    """Labels as indices and the names of the classes."""
    words = sorted({row.label for row in rows}, key=_by_value)
    if len(words) < 2:
        raise DataError(f"{name} has {'no usable rows' if not words else 'one class only'}: two are needed")
    if len(words) > MAX_CLASSES or (len(words) > 20 and len(words) > len(rows) // 2):
        raise DataError(
            f"{name} has {len(words):,} different labels for {len(rows):,} texts: is it the right column?"
        )
    table = Table([], [row.label for row in rows], classes=tuple(words))
    if given and set(words) <= set(given):
        table.classes = given
    labels, classes = index_labels(table, len(rows), name)
    assert labels is not None
    if given and table.classes is not given and len(given) != len(words):
        raise DataError(f"{name} has {len(words)} classes, but {len(given)} names were given")
    return labels, given or classes


def _by_value(word: str) -> tuple[float, str]:
    try:
        return float(word), word
    except ValueError:
        return float("inf"), word


def _require_enough(split: Array, labels: Array, classes: int, name: str) -> None:
    train = split == TRAIN
    if not train.any():
        raise DataError(f"{name} has no training texts")
    missing = 2 - len({TEST, VALIDATION} & set(split.tolist()))
    if train.sum() <= missing:
        raise DataError(f"{name} has {train.sum()} usable training texts: too few to hold some out")
    if len(np.unique(labels[train])) < classes:
        raise DataError(f"{name} has test or validation classes that no training text has")


def _take(rows: list[Row], labels: Array, part: Array) -> TextSplit:
    return TextSplit([rows[i].text for i in part], torch.from_numpy(labels[part]))


def _counted(report: TextReport, counts: dict[str, int]) -> TextReport:
    return TextReport(**{**vars(report), "counts": counts})
