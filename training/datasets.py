"""Data sets by name, from the Hub, or from a ``.npz`` or ``.parquet`` file, a table or a folder.

``load_images`` is the only door. Every reader gives the same table (pictures, labels, split, classes); what
follows is the same for all: one size, one number of channels, labels as indices, held-out parts. Whatever is
wrong with the data raises ``DataError`` with one sentence that a command can show as it is.
"""

from __future__ import annotations

import errno
import io
import itertools
import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.arrays import as_pixels, read_arrays
from training.errors import DataError as DataError
from training.errors import sentence as sentence
from training.folders import SPLITS as SPLITS
from training.folders import TEST as TEST
from training.folders import TRAIN as TRAIN
from training.folders import VALIDATION as VALIDATION
from training.folders import Layout, list_files, read_layout, split_of
from training.labels import MISSING, read_labels, shown, word
from training.pictures import (
    MAX_PIXELS,
    OTHERS,
    SUFFIXES,
    PictureError,
    Preparation,
    decided,
    in_words,
    inverted,
    is_grey,
    open_picture,
    prepare,
)
from training.pictures import Array as Array
from training.places import did_you_mean, nowhere, place
from training.report import DataReport, listed, refuse_unreadable
from training.tables import READERS as TABLES
from training.tables import read_table

MAX_BYTES = 4 * 2**30  # decoded images of one data set: they are held in memory
HUB_TIMEOUT = 5.0  # seconds to find out whether the Hub answers; `datasets` alone retries for half a minute
AT_ONCE = 256  # files that wait to be decoded
LISTED = 5  # paths to nothing that are named one by one, where a table holds no others
KINDS = ".npz, .zip, .parquet, or a table: .csv, .tsv, .jsonl, .json, .xlsx"
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class ImageSplit:
    """``images`` (N, C, H, W) uint8; ``labels`` (N,) int64, or None where the data set has none."""

    images: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class ImageData:
    """Three disjoint parts of one data set.

    ``source`` is a Hub address or a file name without its path; ``prepared`` says how its pictures became pixels, with
    nothing left open, and ``scaled`` whether that changed the size of any; ``report`` what was found and left out.
    """

    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    classes: tuple[str, ...]
    name: str
    terms: str | None
    source: str
    prepared: Preparation = field(default_factory=Preparation)
    report: DataReport = field(default_factory=lambda: DataReport(0, 0))
    scaled: bool = False


@dataclass(frozen=True)
class HubImages:
    """Where a data set lives on the Hub, the columns to read, its terms of use and its classes."""

    repo: str
    image: str
    label: str
    terms: str
    classes: tuple[str, ...]


CLOTHES = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
THINGS = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck"
THINGS100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree
pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea
seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table
tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman
worm
"""
KNOWN = {
    "mnist": HubImages("ylecun/mnist", "image", "label", "CC BY-SA 3.0", tuple("0123456789")),
    "fashion": HubImages(
        "zalando-datasets/fashion_mnist", "image", "label", "MIT", tuple(CLOTHES.split(","))
    ),
    "cifar10": HubImages(
        "uoft-cs/cifar10", "img", "label", "none stated; cite Krizhevsky 2009", tuple(THINGS.split(","))
    ),
    "cifar100": HubImages(
        "uoft-cs/cifar100", "img", "fine_label", "none stated; cite Krizhevsky 2009", tuple(THINGS100.split())
    ),
}


Picture = tuple[str, bytes | Path]  # its name for sentences, and its file


@dataclass
class Table:
    """What a reader found: N pictures, (N, H, W, C) uint8 or files, with labels and split codes where there are any.

    ``layout``, ``left_out`` and ``notes`` are those of the :class:`~training.report.DataReport`.
    """

    pictures: Array | Iterable[Picture]
    labels: Sequence[Any] | Array | None = None
    split: Array | None = None
    classes: tuple[str, ...] | None = None
    layout: str = ""
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def load_images(
    data: str,
    how: Preparation = Preparation(),  # noqa: B008 (frozen)
    *,
    small: int = 0,
    validation: int | float | None = None,
    seed: int = 0,
) -> ImageData:
    """Load a labelled or unlabelled set of images, divided into train, validation and test.

    Args:
        data: a name in ``KNOWN``, a Hub data set ``OWNER/NAME``, a ``.npz`` or ``.parquet`` file, a table of one of
            the kinds of :mod:`training.tables`, or a folder (one that is called like a known name: ``./mnist``).
        how: what the pictures are made into; without a size all must have one. What it leaves open is decided by
            the pictures, and is in the ``prepared`` of what is returned.
        small: pictures that are all squares of one size, of 8 to so many pixels, stay as large as they are.
        validation: how many (int) or which part (float) of train to hold out where the data set has no
            validation split; None: a tenth, at most 5,000. A missing test split is a tenth as well.
        seed: chooses what is held out, in proportion to the classes.

    Raises:
        DataError: unknown, unreachable, unreadable or unusable data, in one sentence.
    """
    if how.channels not in (None, 1, 3):
        raise DataError(f"channels must be 1 or 3, not {how.channels}")
    if how.size is not None and not 1 <= how.size <= math.isqrt(MAX_PIXELS):
        raise DataError(f"size must be 1 to {math.isqrt(MAX_PIXELS)} pixels, not {how.size}")
    table, name, terms, source = _find(data)
    images, prepared, scaled = _stack(table.pictures, how, small, name)
    if scaled:
        table.notes = (*table.notes, f"prepared: {in_words(prepared)}")
    images, labels, classes = labelled(images, table, name)
    rows = divide(table.split, labels, len(images), validation, seed, name)
    train, held, test = (take(images, labels, part) for part in rows)
    report = report_on(table, len(images), labels, classes, rows)
    return ImageData(train, held, test, classes, name, terms, source, prepared, report, scaled)


class Glance(NamedTuple):
    """What pictures are like: the median of their shorter sides in pixels, whether all are grey, how many there are.

    Without a side where none can be read; what is read as a stream is counted as far as it was looked at.
    """

    side: int
    grey: bool
    number: int


def glance(data: str, most: int = 500) -> Glance:
    """A look at ``most`` pictures of a data set, or fewer, before they are loaded; see :func:`load_images`.

    Files that cannot be read are passed over: whoever loads them names them.

    Raises:
        DataError: as ``load_images``, but for pictures that cannot be read.
    """
    table = _find(data)[0]
    if isinstance(table.pictures, np.ndarray):
        return Glance(min(table.pictures.shape[1:3]), table.pictures.shape[-1] == 1, len(table.pictures))
    pictures, count = table.pictures, 0
    if isinstance(pictures, Sequence):
        count = len(pictures)
        pictures = pictures[:: -(-len(pictures) // most) or 1]
    looks = []
    for _, file in itertools.islice(pictures, most):
        with suppress(Exception), Image.open(file if isinstance(file, Path) else io.BytesIO(file)) as image:
            looks.append((min(image.size), is_grey(image)))
    sides = sorted(side for side, _ in looks)
    return Glance(sides[len(sides) // 2] if sides else 0, all(grey for _, grey in looks), count or len(looks))


def labelled(
    images: Array, table: Table, name: str, what: str = "image"
) -> tuple[Array, Array | None, tuple[str, ...]]:
    """Images, labels (N,) and classes of a table, which loses what has no label if others have one."""
    if table.labels is None:
        return images, None, ()
    if np.shape(table.labels)[:1] != (len(images),):
        raise DataError(f"{name} has {len(images)} {what}s but labels of shape {np.shape(table.labels)}")
    found = read_labels(table.labels, name, table.classes)
    table.notes = (*table.notes, *found.notes)
    known = found.index != MISSING
    if known.all():
        return images, found.index, found.classes
    if not known.any():
        table.notes = (*table.notes, f"no {what} has a label")
        return images, None, ()
    names = tuple(f"{what} {i}" for i in np.flatnonzero(~known))
    table.left_out = {**table.left_out, "without a label": names}
    table.split = None if table.split is None else table.split[known]
    return images[known], found.index[known], found.classes


def report_on(
    table: Table,
    count: int,
    labels: Array | None,
    classes: Sequence[str],
    rows: Sequence[Array],
    what: str = "images",
) -> DataReport:
    """The report of a set of ``count`` examples whose parts, train, validation and test, are ``rows``."""
    counts: dict[str, dict[str, int]] = {}
    notes = list(table.notes)
    if labels is not None:
        for split, part in zip(("train", "validation", "test"), rows, strict=True):
            found = np.bincount(labels[part], minlength=len(classes)).tolist()
            counts[split] = {c: n for c, n in zip(classes, found, strict=True) if n}
        untested = [c for c in classes if c not in counts["test"] and c in counts["train"]]
        unlearned = [c for c in classes if c not in counts["train"]]
        notes += (
            [f"trained on but not tested, for want of {what}: {listed(untested, 10)}"] if untested else []
        )
        notes += [f"in no training example: {listed(unlearned, 10)}"] if unlearned else []
        if len(classes) * 2 > count >= 20:
            notes.append(f"{len(classes):,} classes for {count:,} {what}: nearly each is a class of its own")
    left = sum(map(len, table.left_out.values()))
    return DataReport(count + left, count, table.left_out, table.layout, counts, tuple(notes), what)


def _find(data: str) -> tuple[Table, str, str | None, str]:
    """The table behind ``data``, its name, terms and source."""
    path = None if data in KNOWN else place(data)
    if path is not None and path.is_dir():
        return _read_folder(path), path.resolve().name, None, path.resolve().name
    if path is not None:
        return _read_file(path), path.name.split(".")[0], None, path.name
    named = suffix(Path(data)) in READERS
    if data in KNOWN or re.fullmatch(r"\w[\w.-]*/[\w.-]+", data) and not named:
        return _read_hub(data)
    if "/" in data or named:
        raise nowhere(data)
    raise DataError(
        f"unknown data set {shown(data)}{did_you_mean(data, list(KNOWN))}: give one of {', '.join(KNOWN)}, a Hub data "
        f"set OWNER/NAME, a folder of images or a file ({KINDS})"
    )


# ---- readers ----


def suffix(path: Path) -> str:
    return "".join(path.suffixes[-2 if path.suffix.lower() == ".gz" else -1 :]).lower()


def _read_file(path: Path) -> Table:
    if suffix(path) not in READERS:
        raise DataError(f"{path.name} is no set of pictures that can be read: {_remedy(path)}")
    return READERS[suffix(path)](path)


def _remedy(path: Path) -> str:
    if path.suffix.lower() in SUFFIXES:
        return "it is one picture, so name the folder that holds many"
    if path.suffix.lower() in (".tar", ".tgz", ".gz", ".bz2", ".xz", ".rar", ".7z"):
        return "unpack this archive and name the folder"
    if path.suffix.lower() == ".npy":
        return "save it with its labels as .npz, by numpy.savez(file, images=..., labels=...)"
    return f"give a folder of images or a file ({KINDS})"


def _read_npz(path: Path) -> Table:
    found = read_arrays(path, MAX_BYTES)
    pictures: Array | Iterable[Picture]
    if found.images is not None:
        pictures = found.images
    else:
        assert found.jpeg is not None
        assert found.offset is not None
        pictures = _jpeg_stream(found.jpeg, found.offset, path.name)
    classes = None if found.classes is None else tuple(map(word, found.classes.ravel().tolist()))
    split = found.split
    if split is not None and split.dtype.kind in "US":
        split = split_codes(list(map(word, split.ravel().tolist())), path.name)
    return Table(pictures, found.labels, split, classes, "arrays", notes=found.notes)


def _read_zip(path: Path) -> Table:
    """Pictures in class folders, as a folder of them is read; one is unpacked when its turn comes."""
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path.name} is damaged, or no .zip: fetch it again, or unpack it and name the folder"
        )
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    _check_bytes(sum(sizes.values()), path.name)

    def pictures(names: Sequence[str]) -> Iterator[Picture]:
        try:
            with zipfile.ZipFile(path) as archive:
                yield from ((name, archive.read(name)) for name in names)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
            raise DataError(
                f"{path.name} cannot be unpacked ({sentence(error)}): unpack it yourself and name the folder"
            ) from error

    table = _of_layout(read_layout(list(sizes), SUFFIXES, "images", where=path.name, others=OTHERS))
    table.pictures = pictures([name for name, _ in table.pictures])
    return table


def _jpeg_stream(jpeg: Array, offset: Array, name: str) -> Iterator[Picture]:
    """Pictures one after the other in ``jpeg``, (bytes,) uint8; the i-th ends at ``offset[i + 1]``."""
    whole = offset.ndim == 1 and offset.dtype.kind in "iu" and jpeg.ndim == 1 and jpeg.dtype == np.uint8
    bounds = offset.astype(np.int64) if whole else np.zeros(0, np.int64)
    if not len(bounds) or (np.diff(bounds, prepend=0) < 0).any() or bounds[-1] > len(jpeg):
        raise DataError(f"{name}: offset does not cut jpeg into pictures")
    pairs = itertools.pairwise(bounds.tolist())
    return ((f"image {i}", jpeg[a:b].tobytes()) for i, (a, b) in enumerate(pairs))


# Names of columns, in small letters and without whatever is neither letter nor digit
PATHS = (
    "path", "file", "filename", "filepath", "imagepath", "imagefile", "imagename", "imgpath", "imgfile", "image", "img",
    "picture", "photo",
)  # fmt: skip
LABELS = (
    "label",
    "labels",
    "class",
    "classname",
    "category",
    "target",
    "species",
    "labelname",
    "classid",
    "y",
)
PARTS = ("split", "subset", "partition", "set")
PIXEL = re.compile(r"(?:pixel|px)[ _.-]?(\d+)|(\d+)x(\d+)", re.IGNORECASE)


def _read_table(path: Path) -> Table:
    """A table of paths of pictures, or of their pixels."""
    found = read_table(path, numbers=f"(?i){PIXEL.pattern}")
    frame, names = found.frame, _usual(found.frame.columns)
    label, split = (_first_of(names, wanted) for wanted in (LABELS, PARTS))
    labels = frame[label].tolist() if label else None
    codes = split_codes(frame[split].tolist(), path.name) if split else None
    file, pixels = _path_column(frame, names), [c for c in frame.columns if PIXEL.fullmatch(c)]
    notes = found.notes if label in (None, "label") else (*found.notes, f"labels are in the column {label}")
    if label is None and (beside := [str(c) for c in frame.columns if not PIXEL.fullmatch(c)]):
        notes = (
            *notes,
            f"none of the columns ({listed(beside, 5)}) is called label, class or alike: no labels",
        )
    if file is None or len(pixels) > 1:
        images = _pixel_columns(frame, pixels, path.name)
        return Table(images, labels, codes, layout="a table of pixels", notes=notes)
    if PurePosixPath(file).suffix.lower() in SUFFIXES:
        raise DataError(
            f"{path.name} has no header: its first line names {listed([str(c) for c in frame.columns], 3)}; add a line "
            "above it that says path,label"
        )
    pictures = [
        (name or f"row {i + 1} without a path", _beside(path, name)) for i, name in enumerate(frame[file])
    ]
    _require_some(pictures, path.name, file)
    return Table(pictures, labels, codes, layout=f"a table of files in the column {file}", notes=notes)


def _require_some(pictures: Sequence[tuple[str, Path]], name: str, column: str) -> None:
    """``DataError`` for a column of addresses, or of many paths of which none leads anywhere."""
    if addresses := [cell for cell, _ in pictures if re.match(r"https?://", cell)]:
        raise DataError(
            f"{name}: {len(addresses):,} of {len(pictures):,} cells of the column {column} are addresses, such as "
            f"{addresses[0][:100]}, which are not fetched: download the pictures and write their paths"
        )
    if len(pictures) > LISTED and not any(os.path.exists(file) for _, file in pictures):
        raise DataError(
            f"{name}: none of the {len(pictures):,} files in the column {column} is there, such as "
            f"{pictures[0][0][:100]}: write their paths as seen from the table's folder"
        )


def _usual(columns: Iterable[str]) -> dict[str, str]:
    """Simplified name -> the first column called so."""
    names: dict[str, str] = {}
    for column in columns:
        names.setdefault(re.sub(r"[^a-z0-9]", "", str(column).lower()), column)
    return names


def _first_of(names: Mapping[str, str], wanted: Iterable[str]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)


def _path_column(frame: Any, names: Mapping[str, str]) -> str | None:
    """The column of files: one whose cells end as pictures do, the usual names first; else the first usual name."""
    usual = [names[name] for name in PATHS if name in names]
    for column in (*usual, *(c for c in frame.columns if c not in usual and not PIXEL.fullmatch(c))):
        head = [str(cell) for cell in frame[column].head(100)]
        if head and sum(
            PurePosixPath(cell).suffix.lower() in {*SUFFIXES, *OTHERS} for cell in head
        ) * 2 > len(head):
            return str(column)
    return usual[0] if usual else None


def _beside(table: Path, name: str) -> Path:
    """The file of a cell, relative to its table; written on Windows or not."""
    name = name if "\\" not in name else PureWindowsPath(name).as_posix()
    try:
        return table.parent / Path(name).expanduser()
    except RuntimeError:  # the home of somebody who is not here
        return table.parent / name


def _pixel_columns(frame: Any, columns: Sequence[str], name: str) -> Array:
    """Columns pixel0, pixel1, ... (or from 1 on), or 1x1, 1x2, ..., as square grey pictures, (N, S, S, 1)."""
    import pandas

    if not columns:
        there = listed([str(column) for column in frame.columns], 5)
        raise DataError(
            f"{name} has neither a column path nor columns pixel0, pixel1, ...: the first line names {there}; add a "
            "header that names them"
        )
    placed = {tuple(int(n) for n in PIXEL.fullmatch(c).groups() if n): c for c in columns}  # type: ignore[union-attr]
    order, side = sorted(placed), math.isqrt(len(columns))
    whole = len(order) == side**2 == len(columns)
    if len(order[0]) == 1:
        whole = whole and order[-1][0] - order[0][0] + 1 == len(order)
    if not whole:
        raise DataError(f"{name}: its {len(columns)} pixel columns do not make a square picture")
    values = frame[[placed[place] for place in order]].apply(pandas.to_numeric, errors="coerce")
    if values.isna().to_numpy().any():
        row, column = np.argwhere(values.isna().to_numpy())[0]
        raise DataError(f"{name}: row {row + 1} has no number in column {values.columns[column]}")
    pixels = values.to_numpy().reshape(-1, side, side)
    return as_pixels(pixels, name)


def split_codes(words: Sequence[Any], name: str) -> Array:
    """Part codes of words such as "train", "Testing", "val"."""
    codes = {word: split_of(str(word)) for word in set(words)}
    if unknown := [str(word) for word, code in codes.items() if code is None]:
        first = min(unknown)
        what = f"unknown split {first!r}" if first.strip() else "no split"
        row = [str(word) for word in words].index(first) + 1
        raise DataError(f"{name}: {what} in row {row:,}, not one of {', '.join(SPLITS)}")
    return np.array([codes[word] for word in words])


def _read_parquet(path: Path) -> Table:
    import pyarrow.parquet
    from datasets import Dataset
    from datasets.table import InMemoryTable

    try:
        meta = pyarrow.parquet.read_metadata(path)
        _check_bytes(sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups)), path.name)
        rows = Dataset(InMemoryTable(pyarrow.parquet.read_table(path)))
    except DataError:
        raise
    except (ValueError, OSError) as error:
        raise DataError(f"{path.name} is not a .parquet file: {sentence(error)}") from error
    names = _usual(rows.column_names)
    elsewhere = _first_of(names, PATHS) or any(PIXEL.fullmatch(c) for c in rows.column_names)
    if elsewhere and not any(map(_holds_images, rows.features.values())):
        return _read_table(path)
    table = _read_rows(rows, path.name)
    if split := _first_of(names, PARTS):
        table.split = split_codes(rows[split][:], path.name)
    return table


READERS: dict[str, Callable[[Path], Table]] = {
    ".npz": _read_npz,
    ".zip": _read_zip,
    **{kind: _read_table for kind in TABLES if kind not in (".txt", ".txt.gz", ".parquet")},
    ".parquet": _read_parquet,
}


def _read_rows(rows: Any, name: str, image: str | None = None, label: str | None = None) -> Table:
    """A ``datasets.Dataset``; columns that are not named are found by their feature types."""
    import datasets

    features = rows.features
    image = image or next((c for c, f in features.items() if _holds_images(f)), None)
    if image not in features:
        raise DataError(f"{name} has no column of images: its columns are {', '.join(features)}")
    if isinstance(features[image], datasets.Image):
        rows = rows.cast_column(image, datasets.Image(decode=False))
    named = [c for c, f in features.items() if isinstance(f, datasets.ClassLabel)]
    label = label or next(iter(named), None) or _first_of(_usual(set(features) - {image}), LABELS)
    values = enumerate(row[image] for row in rows.select_columns([image]))
    pictures = ((f"image {i}", _encoded(value)) for i, value in values)
    classes = tuple(features[label].names) if label in named else None
    return Table(
        pictures, rows[label][:] if label else None, classes=classes, layout=f"rows with the column {image}"
    )


def _holds_images(feature: Any) -> bool:
    import datasets

    if isinstance(feature, dict):
        feature = feature.get("bytes")
    binary = isinstance(feature, datasets.Value) and feature.dtype in ("binary", "large_binary")
    return binary or isinstance(feature, datasets.Image)


def _encoded(value: Any) -> bytes | Path:
    """The Hub's cell {"bytes", "path"}: small files are inside, those of image folders lie in its cache."""
    if isinstance(value, dict):
        value = value["bytes"] or Path(value.get("path") or "")
    return value if isinstance(value, (bytes, Path)) else b""


def _read_folder(path: Path) -> Table:
    """Images in class folders, below train/, validation/ and test/ or not; a flat folder has no labels."""
    table = _of_layout(
        read_layout(list_files(path), SUFFIXES, "images", where=path.resolve().name, others=OTHERS)
    )
    table.pictures = [(name, path / name) for name, _ in table.pictures]
    return table


def _of_layout(found: Layout) -> Table:
    """A table whose pictures have names and no bytes yet."""
    labels = [file.label for file in found.files]
    return Table(
        [(file.name, b"") for file in found.files],
        None if None in labels else labels,
        np.array([file.split for file in found.files]),
        layout=found.layout,
        left_out=found.left_out,
        notes=found.notes,
    )


# ---- the Hub ----


def _read_hub(data: str) -> tuple[Table, str, str | None, str]:
    known = KNOWN.get(data)
    repo = known.repo if known else data
    splits, terms = fetch(repo)
    parts = {SPLITS[word]: rows for word, rows in splits.items() if word in SPLITS}
    if TRAIN not in parts:
        raise DataError(f"Hub data set {repo} has no train split, only {', '.join(splits)}")
    columns = (known.image, known.label) if known else (None, None)
    tables = [_read_rows(rows, repo, *columns) for rows in parts.values()]
    labels = [t.labels for t in tables if t.labels is not None]
    table = Table(
        itertools.chain.from_iterable(t.pictures for t in tables),
        list(itertools.chain.from_iterable(labels)) if labels else None,
        np.repeat(list(parts), [len(rows) for rows in parts.values()]),
        known.classes if known else tables[0].classes,
        "rows of the Hub",
    )
    return table, data, known.terms if known else terms, f"https://huggingface.co/datasets/{repo}"


def fetch(repo: str) -> tuple[dict[str, Any], str | None]:
    """All splits of a Hub data set and the licence on its card; the cached ones without network."""
    import datasets

    reachable, terms = _ask_hub(repo)
    try:
        with nullcontext() if reachable else _cache_only():
            return dict(datasets.load_dataset(repo)), terms
    except Exception as error:
        if _disk_full(error):
            reason = f"the disk is full: Hub data set {repo} does not fit in the cache"
        elif reachable:
            reason = f"Hub data set {repo} cannot be loaded: {sentence(error)}"
        else:
            reason = (
                f"the Hub cannot be reached (no network?) and {repo} is not cached; a local .npz works too"
            )
        raise DataError(reason) from error


def _ask_hub(repo: str) -> tuple[bool, str | None]:
    """Whether the Hub answers, and the licence that it states for the data set."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        card = HfApi().dataset_info(repo, timeout=HUB_TIMEOUT).card_data
    except GatedRepoError as error:
        raise DataError(f"Hub data set {repo} is gated: ask for access, then `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise DataError(f"{repo} is neither a file or folder here nor a data set on the Hub") from error
    except Exception:  # httpx's, httpx2's or requests' errors, by the version of huggingface_hub
        return False, None
    return True, str(card.license) if card is not None and card.license else None


def _disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or "disk space" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def _cache_only() -> Iterator[None]:
    """Keeps ``datasets`` from asking the Hub again, five times, before it looks in its cache."""
    from datasets import config

    before, config.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


# ---- pixels ----


def _check_bytes(size: int, name: str) -> None:
    if size > MAX_BYTES:
        raise DataError(f"{name} unpacks to {size:,} bytes, more than the limit of {MAX_BYTES:,}")


def _stack(
    pictures: Array | Iterable[Picture], how: Preparation, small: int, name: str
) -> tuple[Array, Preparation, bool]:
    """Pictures as one array (N, H, W, C) uint8, how they came to be so, with nothing left open; was any scaled?

    Files that cannot be read are all found before the first is complained about.
    """
    rows, grey, scaled = _decoded(pictures, how, small, name)
    if not rows:
        raise DataError(f"{name} is empty")
    stays = rows[0].shape[0]
    if {row.shape[:2] for row in rows} == {(stays, stays)} and 8 <= stays <= small:
        how = replace(how, size=stays)
    opened = replace(how, invert=False)
    for i, row in enumerate(rows):
        if how.size is not None and row.shape[:2] != (how.size, how.size):
            rows[i], scaled = prepare(as_picture(row), opened), True
    _check_bytes(sum(row.nbytes for row in rows), name)
    shapes = {row.shape[:2] for row in rows}
    if len(shapes) > 1:
        raise DataError(
            f"{name}: images differ in size, from {'x'.join(map(str, min(shapes)[::-1]))} to "
            f"{'x'.join(map(str, max(shapes)[::-1]))} pixels, pass --size to scale them"
        )
    if how.channels == 1 or (how.channels is None and grey):
        rows = [
            prepare(as_picture(row), Preparation(channels=1)) if row.shape[2] > 1 else row for row in rows
        ]
    how = decided(how, grey, rows)
    if (
        isinstance(pictures, np.ndarray)
        and not how.invert
        and pictures.shape[1:] == (*rows[0].shape[:2], how.channels)
    ):
        return pictures, how, scaled  # as they were: twice in memory might be too much
    out = np.empty((len(rows), *shapes.pop(), how.channels or 3), np.uint8)
    for i, row in enumerate(rows):
        out[i] = inverted(row) if how.invert and how.channels == 1 else row
    return out, how, scaled


def _decoded(
    pictures: Array | Iterable[Picture], how: Preparation, small: int, name: str
) -> tuple[list[Array], bool, bool]:
    """Pictures (H, W, C) as ``how`` wants them, but small squares as they are, none inverted; whether all are grey,
    and whether any was scaled.
    """
    if isinstance(pictures, np.ndarray):
        return list(pictures), pictures.shape[-1] == 1, False
    how, as_it_is = replace(how, invert=False), Preparation(ground=how.ground)

    def read(picture: Picture) -> tuple[str, Array | str, bool, bool]:
        try:
            image = open_picture(picture[1])
            stays = image.width == image.height <= small
            changed = not stays and how.size is not None and image.size != (how.size, how.size)
            return picture[0], prepare(image, as_it_is if stays else how), is_grey(image), changed
        except PictureError as error:
            return picture[0], str(error), True, False

    rows: list[Array] = []
    faults: dict[str, str] = {}
    total, grey, scaled = 0, True, False
    for key, row, is_so, changed in in_threads(read, pictures):
        if isinstance(row, str):
            faults[key] = row
            continue
        rows.append(row)
        total, grey, scaled = total + row.nbytes, grey and is_so, scaled or changed
        _check_bytes(total, name)
    refuse_unreadable(faults, len(rows) + len(faults), "images", name)
    return rows, grey, scaled


def as_picture(pixels: Array) -> Image.Image:
    """Pixels (H, W, 1 or 3) uint8 as Pillow holds them."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def in_threads(function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """``map``, in order, by as many threads as there are processors: Pillow decodes without the interpreter's lock."""
    items = iter(items)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        while some := list(itertools.islice(items, AT_ONCE)):
            yield from pool.map(function, some)


# ---- labels and splits ----


def divide(
    split: Array | None, labels: Array | None, n: int, validation: int | float | None, seed: int, name: str
) -> tuple[Array, Array, Array]:
    """Row numbers of train, validation and test, each in the order of the data."""
    codes = np.zeros(n, np.int64) if split is None else split
    if codes.shape != (n,) or not np.isin(codes, (TRAIN, TEST, VALIDATION)).all():
        raise DataError(f"{name}: split must be {n} times 0 (train), 1 (test) or 2 (validation)")
    train, test, held = (np.flatnonzero(codes == code) for code in (TRAIN, TEST, VALIDATION))
    rng = np.random.default_rng(seed)
    tenth = max(1, len(train) // 10)
    if not len(test):
        train, test = hold_out(train, labels, tenth, rng, name)
    if not len(held):
        count = min(5000, tenth) if validation is None else validation
        wanted = count * len(train) if isinstance(count, float) else count
        train, held = hold_out(train, labels, wanted, rng, name)
    return train, held, test


def hold_out(
    rows: Array, labels: Array | None, count: int | float, rng: np.random.Generator, name: str
) -> tuple[Array, Array]:
    """Take ``count`` of ``rows``, from each class its share (to within one): what stays, what was taken."""
    if not 1 <= count <= len(rows) - 1:
        raise DataError(f"{name}: cannot hold out {count:g} of {len(rows)} training images")
    count = round(count)
    order = rng.permutation(rows)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    taken = order[((np.arange(count) + 0.5) * len(rows) / count).astype(np.int64)]
    if labels is not None:
        taken = _leave_some(taken, order, labels)
        if not len(taken):
            raise DataError(f"{name}: no class has two training examples, so none can be held out: add some")
    return np.setdiff1d(rows, taken), np.sort(taken)


def _leave_some(taken: Array, order: Array, labels: Array) -> Array:
    """``taken`` without the last example of any class; of the largest class one at least. ``order`` is by class."""
    classes, counts = np.unique(labels[order], return_counts=True)
    gone, times = np.unique(labels[taken], return_counts=True)
    emptied = gone[times == counts[np.searchsorted(classes, gone)]]
    kept = taken[~np.isin(taken, [order[labels[order] == label][0] for label in emptied])]
    if len(kept) or counts.max() < 2:
        return kept
    return order[labels[order] == classes[counts.argmax()]][:1]


def take(images: Array, labels: Array | None, rows: Array) -> ImageSplit:
    pixels = torch.from_numpy(images[rows]).movedim(-1, 1).contiguous()
    return ImageSplit(pixels, None if labels is None else torch.from_numpy(labels[rows]))
