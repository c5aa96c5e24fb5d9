"""``python -m weights list | verify [NAME ...] | add NAME [--repo OWNER/REPO] | push NAME --repo OWNER/REPO``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

from weights.catalog import Entry, available, catalog, folder, register, unknown
from weights.checkpoint import WEIGHTS, WeightsError, parameter_count, read_config, read_tensors
from weights.hub import cached
from weights.push import push


def place(name: str, entry: Entry | None) -> tuple[str, Path | None]:
    """Where the checkpoint is, in a word, and its folder if it is on this machine."""
    if folder(name).is_dir():
        return ("shipped" if entry else "local"), folder(name)
    if entry is None or entry.repo is None:
        raise unknown(name)
    copy = cached(entry.repo, entry.revision)
    return ("cached" if copy else "Hub only"), copy


def row(name: str, entry: Entry | None) -> tuple[str, str, str, str, str]:
    """Name, library, megabytes, parameters and place; dashes for what cannot be read."""
    library = entry.package if entry else None
    try:
        where, copy = place(name, entry)
        if copy is None:
            return name, library or "-", "-", "-", where
        library = library or read_config(copy)[0]
        size, count = (copy / WEIGHTS).stat().st_size / 1e6, parameter_count(copy)
    except (WeightsError, OSError):
        return name, library or "-", "-", "-", "missing or damaged"
    return name, library or "-", f"{size:.2f} MB", f"{count:,}", where


def list_all() -> int:
    entries = catalog()
    head = ("name", "library", "on disk", "parameters", "place")
    rows = [head, *(row(name, entries.get(name)) for name in available())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, library, size, count, where in rows:
        left = f"{name:{widths[0]}}  {library:{widths[1]}}"
        print(f"{left}  {size:>{widths[2]}}  {count:>{widths[3]}}  {where}")
    return 0


def verify(names: Sequence[str]) -> int:
    entries, failed = catalog(), False
    for name in names or available():
        try:
            print(f"{name}: {_verdict(name, entries.get(name))}")
        except WeightsError as error:
            failed = True
            print(f"{name}: {error}")
    return 2 if failed else 0


def _verdict(name: str, entry: Entry | None) -> str:
    where, copy = place(name, entry)
    if copy is None:
        return "not downloaded"
    read_config(copy)
    read_tensors(copy, entry.sha256 if entry else None)
    return f"ok ({where})" if entry else f"ok ({where}, not in the catalogue)"


def add(name: str, repo: str | None, revision: str | None) -> int:
    print(f"{name}: sha256 {register(name, repo, revision).sha256}")
    return 0


def send(what: str, repo: str, private: bool, branch: str | None, pin: bool) -> int:
    """Upload a checkpoint, and say how to load it; a name of the catalogue can be pinned to the commit."""
    known = what in catalog()
    if pin and not (known and folder(what).is_dir()):
        raise WeightsError(
            f"only a folder in the catalogue can be pinned: add {what!r} first, or leave --pin out"
        )
    if not sys.stderr.isatty():
        disable_progress_bars()  # the client looks at the terminal itself for downloads only
    made = push(what, repo, private=private, branch=branch)
    print(f"{made.url}\n{made.line}")
    if pin:
        return add(what, repo, made.commit)
    if known:
        print(f"to pin it: python -m weights add {what} --repo {repo} --revision {made.commit}")
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("python -m weights", description="Checkpoints by name.")
    commands = found.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every checkpoint there is, and where")
    checking = commands.add_parser("verify", help="check sha256, header, numbers; exit code 2 if wrong")
    checking.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    adding = commands.add_parser("add", help="write a folder's sha256 into the catalogue")
    adding.add_argument("name", metavar="NAME", help="a folder in the directory of weights")
    adding.add_argument("--repo", metavar="OWNER/REPO", help="its repository on the Hub")
    adding.add_argument("--revision", metavar="COMMIT", help="the commit there with the same weights")
    pushing = commands.add_parser("push", help="upload a checkpoint with its card; the token is in HF_TOKEN")
    pushing.add_argument("what", metavar="NAME|FOLDER", help="a name, or any folder with a saved model")
    pushing.add_argument("--repo", required=True, metavar="OWNER/REPO", help="made if there is none")
    pushing.add_argument("--private", action="store_true", help="make it private")
    pushing.add_argument("--revision", metavar="BRANCH", help="default: the main branch")
    pushing.add_argument(
        "--pin", action="store_true", help="write the repository and commit into the catalogue"
    )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one line that says what is wrong."""
    args = parser().parse_args(arguments)
    run: dict[str, Callable[[], int]] = {
        "list": list_all,
        "verify": lambda: verify(args.names),
        "add": lambda: add(args.name, args.repo, args.revision),
        "push": lambda: send(args.what, args.repo, args.private, args.revision, args.pin),
    }
    try:
        return run[args.command]()
    except WeightsError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
