"""Labelled texts by name, from the Hub, or from a table, a folder of text files or of tables, or an archive of either.

``load_texts`` is the only door. Every reader (``training.text_sources``) gives rows of (text, label, split); what
follows is the same for all: rows that cannot be learned from are left out and counted, classes keep their names, parts
are held out. What was found is the ``report`` that a command prints; what makes the data unusable is a ``DataError`` of
one sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.datasets import Array, divide
from training.errors import DataError as DataError
from training.errors import counted
from training.folders import SPLIT_NAMES, TEST, TRAIN, VALIDATION
from training.labels import in_order, shown, word
from training.report import DataReport, listed
from training.text_sources import KNOWN as KNOWN
from training.text_sources import Row, Rows, find

MAX_CHARACTERS = 100_000  # of one text; what comes later is beyond every model's sequence length
MAX_CLASSES = 1000
IMBALANCED = 3  # texts of the most frequent class for each one of the rarest, from which on it is said
# Why rows are left out: the words of the report
EMPTY = "no text"
UNLABELLED = "no label"
REPEATED = "repetitions of a training text"
CONTRADICTORY = "training texts that occur with several labels"
LEAKED = "training texts that are test or validation texts too"


@dataclass(frozen=True)
class TextSplit:
    """``texts`` N strings; ``labels`` (N,) int64."""

    texts: list[str]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.texts)


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
    report: DataReport


def load_texts(
    data: str,
    *,
    text: Sequence[str] = (),
    label: str | None = None,
    classes: Sequence[str] = (),
    among: Sequence[str] = (),
    validation: int | float | None = None,
    seed: int = 0,
) -> TextData:
    """Load labelled texts, divided into train, validation and test.

    Args:
        data: a name in ``KNOWN``, a Hub data set ``OWNER/NAME``, a table (:mod:`training.tables`), a folder of class
            folders of text files, a folder of tables called train, validation and test, or a ``.zip`` of such a folder.
        text: columns of the text, joined by a space; the first usual name that exists if empty.
        label: column of the label; the first usual name that exists if None.
        classes: names for the labels in their order (numbers by value, words by alphabet).
        among: classes of a model; labels that are all among them, capitals aside, are these, in their order.
        validation: how many (int) or which part (float) of train to hold out where the data set has no validation
            split; None: a tenth, at most 5,000. A missing test split is a tenth as well. Of every class at least one
            text stays.
        seed: chooses what is held out, in proportion to the classes.

    Raises:
        DataError: unknown, unreachable, unreadable or unusable data, in one sentence.
    """
    found, name, terms, source = find(data, tuple(text), label)
    rows, left_out, notes = _usable(found)
    where = name if "://" in source else source
    labels, names = _classes(rows, found, tuple(map(word, classes)), tuple(among), where, left_out)
    split = np.array([row.split for row in rows])
    _require_enough(split, labels, names, where)
    parts = divide(split if split.any() else None, labels, len(rows), validation, seed, where)
    train, held, test = (_take(rows, labels, part) for part in parts)
    report = _report(found, left_out, notes, {TRAIN: train, VALIDATION: held, TEST: test}, names)
    return TextData(train, held, test, names, name, terms, source, report)


def subset(split: TextSplit, count: int | None, seed: int = 0) -> TextSplit:
    """``count`` texts of a split in their order, from each class its share; all of them for None."""
    if count is None or count >= len(split):
        return split
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    order = order[split.labels[order].argsort(stable=True)]
    taken = order[torch.linspace(0, len(split) - 1, count).round().long()].sort().values
    return TextSplit([split.texts[i] for i in taken.tolist()], split.labels[taken])


# ---- rows ----


def _usable(found: Rows) -> tuple[list[Row], dict[str, list[Row]], list[str]]:
    """The rows to use, in their order; reason -> the others; and what there is to say about those that stay."""
    left_out: dict[str, list[Row]] = {
        reason: [] for reason in (EMPTY, UNLABELLED, REPEATED, CONTRADICTORY, LEAKED)
    }
    whole, cut = [], 0
    for row in found.rows:
        if not row.label:
            left_out[UNLABELLED].append(row)
        elif not row.text.strip() and row.split != TEST:  # what is tested on is not touched
            left_out[EMPTY].append(row)
        else:
            long = len(row.text) > MAX_CHARACTERS
            cut += long
            whole.append(row._replace(text=row.text[:MAX_CHARACTERS]) if long else row)
    held = {row.text for row in whole if row.split != TRAIN}
    labels: dict[str, set[str]] = {}
    for row in whole:
        if row.split == TRAIN:
            labels.setdefault(row.text, set()).add(row.label)
    kept, seen = [], set[str]()
    for row in whole:
        reason = _reason(row, held, labels, seen) if row.split == TRAIN else None
        if reason is None:
            kept.append(row)
            seen.add(row.text)
        else:
            left_out[reason].append(row)
    test = [row.text for row in kept if row.split == TEST]
    said = {
        f"longer than {MAX_CHARACTERS:,} characters: cut there": cut,
        "with NUL characters: removed from the text": found.cleaned,
        "repeated in the test rows: kept": len(test) - len(set(test)),
    }
    notes = [f"{counted(count, 'text')} {what}" for what, count in said.items() if count]
    return kept, {reason: gone for reason, gone in left_out.items() if gone}, notes


def _reason(row: Row, held: set[str], labels: dict[str, set[str]], seen: set[str]) -> str | None:
    if row.text in held:
        return LEAKED
    if len(labels[row.text]) > 1:
        return CONTRADICTORY
    return REPEATED if row.text in seen else None


def _report(
    found: Rows,
    left_out: dict[str, list[Row]],
    notes: list[str],
    splits: dict[int, TextSplit],
    names: tuple[str, ...],
) -> DataReport:
    gone = {reason: [found.name(row.place) for row in rows] for reason, rows in left_out.items()}
    counts = {}
    for code, split in splits.items():
        numbers = split.labels.bincount(minlength=len(names)).tolist()
        counts[SPLIT_NAMES[code]] = {c: n for c, n in zip(names, numbers, strict=True) if n}
    train = counts[SPLIT_NAMES[TRAIN]]
    said = (*found.notes, *notes)
    if alone := [shown(c) for c in names if sum(part.get(c, 0) for part in counts.values()) == 1]:
        said += (f"{listed(alone, 5)} with one text: kept to train on, so it is not tested",)
    if unseen := [shown(c) for c in names if c not in train]:
        said += (f"no training texts of {listed(unseen, 5)}: a model never answers what it has not seen",)
    rare, often = (pick(train, key=train.__getitem__) for pick in (min, max))
    if train[often] >= IMBALANCED * train[rare]:
        ratio = f"{train[often]:,} of {shown(often)} but {train[rare]:,} of {shown(rare)}"
        said += (f"imbalanced: {ratio}; --balance weighs the loss",)
    read = sum(map(len, splits.values()))
    before = sum(map(len, found.left_out.values()))
    return DataReport(
        len(found.rows) + before, read, {**found.left_out, **gone}, found.layout, counts, said,
        found.what,
    )  # fmt: skip


# ---- classes ----


def _classes(
    rows: list[Row],
    found: Rows,
    given: tuple[str, ...],
    among: tuple[str, ...],
    name: str,
    left_out: dict[str, list[Row]],
) -> tuple[Array, tuple[str, ...]]:
    """Labels as indices and the names of the classes."""
    words = in_order({row.label for row in rows})
    if not words:
        why = ", ".join(f"{len(gone):,} with {reason}" for reason, gone in left_out.items())
        remedy = (
            "name other columns with --text-column and --label-column"
            if found.what == "rows"
            else "fill them"
        )
        raise DataError(
            f"{name} has no usable {found.what}, read as {found.layout}: of {len(found.rows):,}, {why}; {remedy}"
        )
    if len(words) < 2:
        raise DataError(
            f"{name} has one class only ({shown(words[0])}, {counted(len(rows), 'text')}): two are needed"
        )
    if len(words) > MAX_CLASSES or (len(words) > 20 and len(words) > len(rows) // 2):
        raise DataError(
            f"{name} has {len(words):,} different labels for {len(rows):,} texts, such as {listed(words, 3)}: is it "
            "the right column? name it with --label-column"
        )
    alike = {c.casefold(): c for c in among}
    if not given and len(alike) == len(among) and {w.casefold() for w in words} <= set(alike):
        position = {w: among.index(alike[w.casefold()]) for w in words}
        return np.array([position[row.label] for row in rows], np.int64), among
    names, spelled = _names(words, found.classes or words, given, name)
    position = {w: i for i, w in enumerate(spelled)}
    return np.array([position[row.label] for row in rows], np.int64), names


def _names(
    words: tuple[str, ...], declared: tuple[str, ...], given: tuple[str, ...], name: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the classes, and how the labels spell them: given names may be the labels or stand in their stead."""
    if unknown := [w for w in words if w not in declared]:
        raise DataError(f"{name}: label {shown(unknown[0])} is not one of its {len(declared)} classes")
    if not given or set(words) <= set(given):
        return (given or declared,) * 2
    if len(given) != len(declared):
        raise DataError(
            f"{name} has {len(declared)} classes, but {len(given)} names were given: give one for each of "
            f"{listed(declared, 8)}"
        )
    return given, declared


def _require_enough(split: Array, labels: Array, names: tuple[str, ...], name: str) -> None:
    train = split == TRAIN
    if not train.any():
        raise DataError(f"{name} has no training texts: name the part that they are in train")
    missing = 2 - len({TEST, VALIDATION} & set(split.tolist()))
    if train.sum() <= missing:
        raise DataError(f"{name} has {train.sum()} usable training texts: too few to hold some out")
    if unlearned := sorted(set(labels.tolist()) - set(labels[train].tolist())):
        classes = listed([names[i] for i in unlearned], 5)
        raise DataError(f"{name} has test or validation classes that no training text has: {classes}")


def _take(rows: list[Row], labels: Array, part: Array) -> TextSplit:
    return TextSplit([rows[i].text for i in part], torch.from_numpy(labels[part]))
