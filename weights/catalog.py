"""The names: which checkpoints there are, where they live and what their bytes are."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weights.checkpoint import (
    CONFIG,
    WEIGHTS,
    WeightsError,
    file_sha256,
    read_config,
    read_json,
    read_tensors,
    to_json,
    write,
)

CATALOG = "catalog.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Entry:
    """What the catalogue knows of a name: ``revision`` of ``repo`` holds weights with this ``sha256``."""

    repo: str | None
    revision: str | None
    sha256: str
    package: str | None


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
    entry = Entry(**fields)
    wrong = [
        key
        for key, value in fields.items()
        if not isinstance(value, str) and (value is not None or key == "sha256")
    ]
    if wrong:
        raise TypeError(f"{wrong[0]} is {fields[wrong[0]]!r:.40}")
    return entry


def folder(name: str) -> Path:
    """Where the checkpoint of that name is or would be; ``WeightsError`` if it is not a plain name."""
    return directory() / _valid(name)


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
    """Write the sha256 of a folder in the directory into the catalogue, for maintainers.

    ``repo`` is kept where it is not given, and ``revision`` as long as the weights have not changed.

    Raises:
        WeightsError: there is no such checkpoint, or it could not be loaded.
    """
    package, _ = read_config(folder(name))
    read_tensors(folder(name))
    sha256, entries = file_sha256(folder(name) / WEIGHTS), catalog()
    if old := entries.get(name):
        repo = repo or old.repo
        revision = revision or (old.revision if (old.repo, old.sha256) == (repo, sha256) else None)
    entries[name] = Entry(repo, revision, sha256, package)
    write(directory(), {CATALOG: to_json({key: asdict(entries[key]) for key in sorted(entries)})})
    return entries[name]


def unknown(name: str) -> WeightsError:
    """The error for a name with nothing behind it, with the nearest one that has something."""
    names = available()
    if name in names:
        return WeightsError(f"{name} is in the catalogue, but neither in {directory()} nor on the Hub")
    close = difflib.get_close_matches(name, names, 1)
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
    if not NAME.fullmatch(name):
        raise WeightsError(f"no folder {name!r}, and as a name only letters, digits and . _ - would do")
    return name
