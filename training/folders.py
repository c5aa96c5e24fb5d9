"""How files lie in folders: which of them are data, of which class, of which part. Of names only, so that folders and
archives are read alike.

Three layouts are understood, each inside any number of folders that hold everything: ``CLASS/file``,
``train/CLASS/file`` beside ``test/CLASS/file`` (ImageNet's), and ``CLASS/train/file`` (ModelNet's). The first folder
that is neither a wrapper nor a part is the class; deeper ones do not matter. Files without any folder have no class.
What could be read in two ways is refused.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from training.errors import DataError
from training.report import listed

TRAIN, TEST, VALIDATION = 0, 1, 2
SPLITS = (
    dict.fromkeys(("train", "training"), TRAIN)
    | dict.fromkeys(("test", "testing"), TEST)
    | dict.fromkeys(("validation", "valid", "val", "dev", "eval"), VALIDATION)
)
SPLIT_NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
# Words that may stand beside a part's name in a folder's name, as in ``training_set`` and ``seg_test``
BESIDE = {"set", "data", "dataset", "split", "images", "imgs", "seg", "folder", "files", "texts", "meshes"}
LITTER = {"__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin"}
HIDDEN = "hidden, or written by another program"
LAYOUTS = "CLASS/file, train/CLASS/file with test/CLASS/file, or CLASS/train/file with CLASS/test/file"


@dataclass(frozen=True)
class Found:
    """One file: its name relative to the root, its class (None without folders) and its part (``TRAIN``, ...)."""

    name: str
    label: str | None
    split: int


@dataclass(frozen=True)
class Layout:
    """What lies in a folder or an archive.

    Args:
        files: those that are data, in the order of their names.
        layout: how the folders were understood, in words.
        left_out: reason -> names of the others.
        notes: what else a person should know of the folders.
        parted: whether folders name the parts; without, every file is of ``TRAIN``.
    """

    files: tuple[Found, ...]
    layout: str
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    parted: bool = False


def list_files(root: Path) -> list[str]:
    """Every file below ``root``, links to files and folders followed, as sorted names relative to it.

    An empty folder is listed as archives list folders, with a slash at its end; a link to nothing as a file, so that
    whoever reads it finds out.

    Raises:
        DataError: a link to a folder around it, or a folder that may not be opened.
    """
    names: list[str] = []
    _walk(root, "", (root.resolve(),), names)
    return sorted(names)


def _walk(folder: Path, prefix: str, above: tuple[Path, ...], names: list[str]) -> None:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"folder {prefix or folder.name} cannot be opened: {error.strerror}") from error
    for entry in entries:
        name = prefix + entry.name
        if entry.is_dir():
            path = Path(entry.path)
            place = path.resolve() if entry.is_symlink() else above[-1] / entry.name
            if place in above:
                raise DataError(
                    f"folder {name} is a link to a folder that it lies in, which never ends: remove it"
                )
            _walk(path, name + "/", (*above, place), names)
        elif entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
            names.append(name)
    if prefix and not entries:
        names.append(prefix)


def read_layout(
    names: Iterable[str],
    suffixes: Collection[str],
    what: str,
    *,
    where: str,
    others: Mapping[str, str] | None = None,
) -> Layout:
    """Files of some suffixes with their classes and parts, as the folders above them say.

    Args:
        names: of files, relative to one root, with ``/`` between folders; folders end in one.
        suffixes: of data, in small letters with their dots; those of files are compared in small letters.
        what: "images", "texts", "meshes", for sentences.
        where: the folder's or archive's name, for sentences.
        others: suffix -> what to do with such files, which are left out: "HEIC is not read: save them as JPEG".

    Raises:
        DataError: folders that could be read in two ways, or none of the files wanted.
    """
    names = sorted(names)
    kept, left_out = _kept(names, suffixes, what, others or {})
    if not kept:
        raise DataError(_nothing(left_out, suffixes, what, where))
    plan = _understand({name: _folders(name) for name in kept}, what, where)
    placed = {name: plan.place(_folders(name)) for name in kept}
    files = tuple(Found(name, *placed[name]) for name in kept)
    _require_one_depth(files, what, where)
    labels = {file.label for file in files if file.label is not None}
    for label in labels:
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in label):
            raise DataError(f"{where}: folder {label!r} has a name that cannot be printed: rename it")
    notes = (*_barren(names, plan, files, what), *_alike(labels))
    return Layout(files, plan.words(bool(labels)), left_out, notes, plan.order is not None)


# ---- which files ----


def _kept(
    names: Sequence[str], suffixes: Collection[str], what: str, others: Mapping[str, str]
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Names that are data, and reason -> names of the rest."""
    kept, left_out = [], defaultdict[str, list[str]](list)
    strange = sorted(
        {_suffix(n) for n in names if not is_litter(n)} - {*suffixes, *others, "/"}, key=lambda s: (not s, s)
    )
    shown = listed([s or "no suffix" for s in strange], 5)
    for name in names:
        suffix = _suffix(name)
        if suffix == "/":
            continue
        if is_litter(name):
            left_out[HIDDEN].append(name)
        elif suffix in suffixes:
            kept.append(name)
        else:
            left_out[others.get(suffix, f"not {what} by their suffix, {shown}")].append(name)
    return kept, {reason: tuple(files) for reason, files in left_out.items()}


def is_litter(name: str) -> bool:
    """Whether a name is of what programs leave behind: hidden, or known as such."""
    return any(part.startswith(".") or part.lower() in LITTER for part in _parts(name))


def _suffix(name: str) -> str:
    """In small letters; ``/`` of a folder."""
    return "/" if name.endswith("/") else PurePosixPath(name).suffix.lower()


def _parts(name: str) -> list[str]:
    # Archives made on Windows may divide folders by backslashes.
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _folders(name: str) -> tuple[str, ...]:
    """Folders above a file; a folder itself is one of them. One spelling of letters that Unicode writes in two ways,
    and, as in all labels, of space."""
    parts = [re.sub(" +", " ", unicodedata.normalize("NFC", part)).strip(" ") for part in _parts(name)]
    return tuple(parts if name.endswith("/") else parts[:-1])


def _nothing(left_out: Mapping[str, Sequence[str]], suffixes: Collection[str], what: str, where: str) -> str:
    there = "; ".join(f"{len(n):,} left out: {reason} ({listed(n, 3)})" for reason, n in left_out.items())
    wanted = ", ".join(sorted(suffix or "no suffix" for suffix in suffixes))
    nothing = f"{where} {'' if there else 'is empty: it '}holds no {what} ({wanted})"
    return f"{nothing}; {there}" if there else nothing


# ---- which folders ----


def split_of(folder: str) -> int | None:
    """The part that a folder's name stands for: ``train``, ``Testing``, ``training_set``; None of any other."""
    words = [
        word for word in re.split(r"[\s_\-]+|(?<=[a-z])(?=\d|set$|data$)", folder.strip().lower()) if word
    ]
    parts = [SPLITS[word] for word in words if word in SPLITS]
    plain = all(word in SPLITS or word in BESIDE or re.fullmatch(r"(19|20)\d\d", word) for word in words)
    return parts[0] if len(parts) == 1 and plain else None


@dataclass(frozen=True)
class _Plan:
    """Folders that hold everything, and which of the two below them, if any, names the part: 0 or 1."""

    wrappers: tuple[str, ...]
    order: int | None
    inner: Mapping[str, int] = field(default_factory=dict)  # part's folder -> wrappers inside it

    def place(self, folders: tuple[str, ...]) -> tuple[str | None, int]:
        """Class and part of a file by the folders above it."""
        below = folders[len(self.wrappers) :]
        if self.order is None or len(below) <= self.order:
            return (below[0] if below else None), TRAIN
        split = split_of(below[self.order])
        rest = below[1 + self.inner.get(below[0], 0) :] if self.order == 0 else below
        return (rest[0] if rest else None), TRAIN if split is None else split

    def words(self, labelled: bool) -> str:
        """The layout as it follows "as "."""
        parts = "folders of train, test or validation"
        said = "class folders" if labelled else "one flat folder, without classes"
        if self.order == 0:
            said = f"class folders inside {parts}" if labelled else f"{parts}, without classes"
        elif self.order == 1:
            said = f"{parts} inside class folders"
        return said + (f", all in the folder {'/'.join(self.wrappers)}" if self.wrappers else "")


def _understand(files: Mapping[str, tuple[str, ...]], what: str, where: str) -> _Plan:
    wrappers: list[str] = []
    places = list(files.values())
    while (wrapper := _wrapper(places)) is not None and split_of(wrapper) is None:
        wrappers.append(wrapper)
        places = [place[1:] for place in places]
    first = {place[0] for place in places if place}
    parts = {folder for folder in first if split_of(folder) is not None}
    if all(len(place) > 1 and split_of(place[1]) is not None for place in places) and (
        parts != first or _mirrored(places)
    ):
        _require_train({place[1] for place in places}, what, where)
        return _Plan(tuple(wrappers), 1)
    if parts and parts != first:
        part, beside = min(parts), sorted(first - parts)
        raise DataError(
            f"{where} holds the folder {part} beside {listed(beside, 3)}: as a class, put it and the others into a "
            f"folder train (train/{part}, train/{beside[0]}); as a part of the data, lay the rest out like it "
            f"({LAYOUTS})"
        )
    if parts:
        _require_train(parts, what, where)
        _require_no_loose([name for name, place in files.items() if len(place) <= len(wrappers)], what, where)
        return _Plan(tuple(wrappers), 0, _inner(places))
    _require_no_parts_inside(places, where)
    return _Plan(tuple(wrappers), None)


def _wrapper(places: Sequence[tuple[str, ...]]) -> str | None:
    """The folder that holds everything, if the ones inside it can be classes or parts.

    Folders of one file each are no classes: ShapeNet's ``CLASS/ID/models/model.obj`` with a single class.
    """
    first = {place[:1] for place in places}
    inside = Counter(place[1] for place in places if len(place) > 1)
    if len(first) > 1 or not inside or (len(inside) > 1 and max(inside.values()) == 1):
        return None
    return next(iter(first))[0]


def _mirrored(places: Sequence[tuple[str, ...]]) -> bool:
    """Whether ``train`` and ``test`` hold ``train`` and ``test`` both, so that the outer ones must be classes."""
    inside = defaultdict[str, set[int | None]](set)
    for place in places:
        inside[place[0]].add(split_of(place[1]))
    return all(TRAIN in splits and len(splits) > 1 for splits in inside.values())


def _inner(places: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """How many wrappers lie inside each part: ``train/train/cat``, ``train/images/cat`` with ``test/images/cat``."""
    inside = defaultdict[str, list[tuple[str, ...]]](list)
    for place in places:
        inside[place[0]].append(place[1:])
    repeated = {
        part: int(all(p and split_of(p[0]) == split_of(part) for p in rest)) for part, rest in inside.items()
    }
    wrapped = all(_wrapper(rest) is not None for rest in inside.values())
    return dict.fromkeys(inside, 1) if wrapped else repeated


def _require_train(parts: Collection[str], what: str, where: str) -> None:
    if TRAIN not in map(split_of, parts):
        raise DataError(
            f"{where} holds {listed(sorted(parts))} but no folder train: add {what} to learn from, "
            f"or name {min(parts)} itself as the data"
        )


def _require_no_parts_inside(places: Sequence[tuple[str, ...]], where: str) -> None:
    inside = defaultdict[str, set[int | None]](set)
    for place in places:
        if place:
            inside[place[0]].add(split_of(place[1]) if len(place) > 1 else None)
    parted = sorted(folder for folder, splits in inside.items() if None not in splits and len(splits) > 1)
    if parted and len(parted) < len(inside):
        other = min(set(inside) - set(parted))
        raise DataError(
            f"{where}: folder {parted[0]} is divided into train and test but {other} is not: lay all classes out alike "
            f"({LAYOUTS})"
        )


def _require_one_depth(files: Sequence[Found], what: str, where: str) -> None:
    bare = [file.name for file in files if file.label is None]
    if len(bare) < len(files):
        _require_no_loose(bare, what, where)


def _require_no_loose(names: Sequence[str], what: str, where: str) -> None:
    if names:
        raise DataError(
            f"{where} holds {len(names):,} {what} outside of class folders ({listed(names, 3)}) beside others inside: "
            f"sort them into the classes or take them out ({LAYOUTS})"
        )


def _barren(names: Iterable[str], plan: _Plan, files: Sequence[Found], what: str) -> list[str]:
    """Folders where a class or a part would be that hold nothing to learn from."""
    labels, depth = {file.label for file in files}, len(plan.wrappers)
    tops = {_folders(file.name)[depth] for file in files if len(_folders(file.name)) > depth}
    barren: set[str | None] = set()
    for folders in {_folders(name) for name in names if not is_litter(name)}:
        below = folders[depth:] if folders[:depth] == plan.wrappers else ()
        if below and below[0] not in tops:
            barren.add(below[0])
        elif below and None not in labels:
            barren |= {plan.place(folders)[0]} - {None, *labels}
    return [f"folder {name} holds no {what}: it is left out" for name in sorted(filter(None, barren))]


def _alike(labels: Iterable[str]) -> list[str]:
    """Classes whose names differ in spaces and strokes alone; those that differ in capitals are the labels' matter."""
    groups = defaultdict[str, list[str]](list)
    for label in sorted(labels):
        groups[re.sub(r"[\s_\-]+", " ", label.casefold()).strip()].append(label)
    return [
        f"classes {' and '.join(map(repr, group))} are kept apart though their names are nearly the same"
        for group in groups.values()
        if len({name.casefold() for name in group}) > 1
    ]
