"""The names: which checkpoints there are, where they live and what their bytes are."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from weights.checkpoint import (
    CONFIG,
    USED,
    WEIGHTS,
    WeightsError,
    belonging,
    file_sha256,
    known_sha256,
    read_config,
    read_json,
    read_tensors,
    to_json,
    write,
)

CATALOG = "catalog.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST = 255  # bytes that file systems take in a name


@dataclass(frozen=True)
class Entry:
    """What the catalogue knows of a name: ``revision`` of ``repo`` holds these ``files``, name -> sha256.

    They are the files that the model's answers come from: arguments, weights, graphs, map and front; what was measured
    and the card are not among them.
    """

    repo: str | None
    revision: str | None
    package: str | None
    files: Mapping[str, str]


def directory() -> Path:
    """The folder of checkpoints: this package, or ``WEIGHTS_DIR``."""
    return Path(os.environ.get("WEIGHTS_DIR") or Path(__file__).parent)


def catalog() -> dict[str, Entry]:
    """Name -> entry, empty if there is no ``catalog.json``; ``WeightsError`` if it is not in its format."""
    path = directory() / CATALOG
    if not path.exists():
        return {}
    try:
        return {_valid(name): _entry(**entry) for name, entry in read_json(path).items()}
    except TypeError as error:
        raise WeightsError(f"{path} is not in the catalogue's format ({error})") from error


def _entry(**fields: Any) -> Entry:
    """``TypeError`` unless every field is there and text, or null where it may be."""
    if "sha256" in fields:  # of before the graphs were listed too
        fields["files"] = {WEIGHTS: fields.pop("sha256")}
    entry = Entry(**fields)
    texts = {key: value for key, value in fields.items() if key != "files" and value is not None}
    if not isinstance(entry.files, dict) or WEIGHTS not in entry.files:
        raise TypeError(f"files is {entry.files!r:.40}")
    wrong = [key for key, value in {**texts, **entry.files}.items() if not isinstance(value, str)]
    if wrong:
        raise TypeError(f"{wrong[0]!r:.40} is no text")
    return entry


def folder(name: str) -> Path:
    """Where the checkpoint of that name is or would be; ``WeightsError`` if it is not a plain name."""
    return directory() / _valid(name)


def is_here(name: str) -> bool:
    """Whether the directory has a folder of that name, spelled like this: some file systems take any case."""
    return folder(name).is_dir() and name in os.listdir(directory())


def available(package: str | None = None) -> list[str]:
    """Sorted names, of one package or all: the catalogue's, and every checkpoint that somebody put there."""
    packages = {name: package_of(name) for name in local()} | {
        name: e.package for name, e in catalog().items()
    }
    return sorted(name for name, found in packages.items() if package in (None, found))


def local() -> list[str]:
    """Sorted names of the checkpoints that are in the directory, in the catalogue or not."""
    root = directory()
    names = os.listdir(root) if root.is_dir() else []
    complete = (n for n in names if (root / n / CONFIG).is_file() and (root / n / WEIGHTS).is_file())
    return sorted(name for name in complete if NAME.fullmatch(name))


def register(name: str, repo: str | None = None, revision: str | None = None) -> Entry:
    """Write the sha256 of the files of a folder in the directory into the catalogue, for maintainers.

    ``repo`` is kept where it is not given, and ``revision`` as long as no file has changed.

    Raises:
        WeightsError: there is no such checkpoint, or it could not be loaded.
    """
    place = folder(name)
    package, _ = read_config(place)
    read_tensors(place)
    files, entries = {file: file_sha256(place / file) for file in used(place)}, catalog()
    if old := entries.get(name):
        repo = repo or old.repo
        revision = revision or (old.revision if (old.repo, old.files) == (repo, files) else None)
    entries[name] = Entry(repo, revision, package, files)
    write(directory(), {CATALOG: to_json({key: asdict(entries[key]) for key in sorted(entries)})})
    return entries[name]


def used(place: Path) -> list[str]:
    """Sorted names of the files in a folder that a model's answers come from."""
    return belonging(os.listdir(place), USED)


class Listed(NamedTuple):
    """What a checkpoint of the catalogue must be: its name there, and the sha256 of its files."""

    name: str
    files: Mapping[str, str]

    def require(
        self, place: Path, names: Iterable[str], digest: Callable[[Path], str] = known_sha256
    ) -> None:
        """``WeightsError`` if one of the names is a listed file in ``place`` with another sha256."""
        there = [name for name in sorted(names) if name in self.files and (place / name).is_file()]
        if wrong := [name for name in there if digest(place / name) != self.files[name]]:
            raise WeightsError(
                f"{_are(place, wrong)} not what the catalogue's sha256 says: {self._mend(place)}"
            )

    def verify(self, place: Path) -> None:
        """``WeightsError`` unless ``place`` holds the listed files, all and byte for byte, and no others like them."""
        self.require(place, self.files, file_sha256)
        there = used(place)
        if missing := sorted(self.files.keys() - set(there)):
            raise WeightsError(f"{_are(place, missing)} missing: {self._mend(place)}")
        if unlisted := sorted(set(there) - self.files.keys()):
            raise WeightsError(f"{_are(place, unlisted)} not in the catalogue: {self._mend(place)}")

    def _mend(self, place: Path) -> str:
        if place == folder(self.name):
            return f"restore the folder, or accept it as it is with `python -m weights add {self.name}`"
        return f"delete the folder to fetch it again, or list it anew from a folder {self.name}"


def _are(place: Path, names: Sequence[str]) -> str:
    """Some files of a folder as the subject of a sentence."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{place / names[0]}{''.join(f', {n}' for n in names[1:3])}{more} {'is' if len(names) == 1 else 'are'}"


def unknown(name: str) -> WeightsError:
    """The error for a name with nothing behind it, with the nearest one that has something."""
    names = available()
    if name in names:
        return WeightsError(f"{name} is in the catalogue, but neither in {directory()} nor on the Hub")
    alike = [known for known in names if known.casefold() == name.casefold()]
    close = alike or difflib.get_close_matches(name, names, 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    known = ", ".join([*names, "a folder", "owner/repo"])
    return WeightsError(f"no weights named {name!r}{hint}: use one of {known}")


def package_of(name: str) -> str | None:
    """The package of a folder's model; None where its config cannot be read."""
    try:
        return read_config(folder(name))[0]
    except WeightsError:
        return None  # listed all the same, so that `verify` can say what is wrong with it


def _valid(name: str) -> str:
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        if "\0" not in name and len(name) <= LONGEST and os.path.isdir(name):
            raise WeightsError(
                f"{name} is a folder, and here names are of folders in {directory()}: move it there"
            )
        raise WeightsError(
            f"no folder {_short(name)!r}, and as a name only letters, digits and . _ - would do"
        )
    return name


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[:60]}…"
