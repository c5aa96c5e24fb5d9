"""``python -m weights list | verify | add NAME | push NAME --repo OWNER/REPO | space [--repo OWNER/NAME]``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

from weights import space
from weights.catalog import Entry, Listed, available, catalog, directory, folder, is_here, register, unknown
from weights.checkpoint import WeightsError, belonging, parameter_count, read_config
from weights.hub import cached
from weights.pretrained import locate
from weights.push import push
from weights.whole import class_of, require_readable, require_whole


def place(name: str, entry: Entry | None) -> tuple[str, Path | None]:
    """Where the checkpoint is, in a word, and its folder if it is on this machine."""
    if is_here(name):
        return ("shipped" if entry else "local"), folder(name)
    if entry is None or entry.repo is None:
        raise unknown(name)
    copy = cached(entry.repo, entry.revision)
    return ("cached" if copy else "Hub only"), copy


def row(name: str, entry: Entry | None) -> tuple[str, ...]:
    """Name, library, megabytes, parameters, graphs and place; dashes for what cannot be read."""
    library = entry.package if entry else None
    try:
        where, copy = place(name, entry)
        if copy is None:
            return name, library or "-", "-", "-", "-", where
        library = library or read_config(copy)[0]
        files = belonging(os.listdir(copy))
        size, count = sum((copy / file).stat().st_size for file in files) / 1e6, parameter_count(copy)
        graphs = sum(file.endswith(".onnx") for file in files)
    except (WeightsError, OSError):
        return name, library or "-", "-", "-", "-", "missing or damaged"
    return name, library or "-", f"{size:.2f} MB", f"{count:,}", str(graphs), where


def list_all() -> int:
    entries = catalog()
    head = ("name", "library", "on disk", "parameters", "graphs", "place")
    rows = [head, *(row(name, entries.get(name)) for name in _known())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, library, size, count, graphs, where in rows:
        left = f"{name:{widths[0]}}  {library:{widths[1]}}"
        print(f"{left}  {size:>{widths[2]}}  {count:>{widths[3]}}  {graphs:>{widths[4]}}  {where}")
    return 0


def _known() -> list[str]:
    names = available()
    if not names:
        raise WeightsError(f"there are no models in {directory()}: copy a model's folder there")
    return names


def verify(names: Sequence[str]) -> int:
    """One line a name, or a folder; what is in the catalogue byte for byte, the others by what they answer."""
    entries, failed = catalog(), 0
    asked = list(names) or _known()
    for name in asked:
        try:
            print(f"{name}: {_verdict(name, entries.get(name))}")
        except WeightsError as error:
            failed += 1
            print(f"{name}: WRONG: {error}")
    if failed:
        print(f"{failed} of {len(asked)} wrong", file=sys.stderr)
    return 2 if failed else 0


def _verdict(name: str, entry: Entry | None) -> str:
    if entry is None and Path(name).is_dir():
        return f"ok (a folder; {_compared(Path(name))})"
    where, copy = place(name, entry)
    if copy is None:
        return "not downloaded"
    if entry is None:
        return f"ok ({where}, not in the catalogue; {_compared(copy)})"
    Listed(name, entry.files).verify(copy)
    require_readable(copy)
    return f"ok ({where}; {len(entry.files)} files as listed)"


def _compared(copy: Path) -> str:
    """What was looked at in a folder of no catalogue, in words; raises if it is not whole."""
    library = read_config(copy)[0]
    if class_of(library) is None:
        require_readable(copy)
        return f"the numbers were read, but nothing here runs a model of {library}"
    _, graphs = require_whole(copy)
    return f"it loads; graphs that answer as its weights do: {graphs}"


def add(name: str, repo: str | None, revision: str | None) -> int:
    """Accept a folder as it is: it must be whole."""
    if not is_here(name):
        raise WeightsError(f"{directory()} has no folder {name!r}: copy the model's folder there first")
    _compared(folder(name))
    entry = register(name, repo, revision)
    for file, sha256 in entry.files.items():
        print(f"{name}/{file}: sha256 {sha256}")
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
    checking = commands.add_parser(
        "verify", help="compare every file with the catalogue, or graphs with weights; exit code 2 if wrong"
    )
    checking.add_argument("names", nargs="*", metavar="NAME|FOLDER", help="default: all names")
    adding = commands.add_parser("add", help="write the sha256 of a folder's files into the catalogue")
    adding.add_argument("name", metavar="NAME", help="a folder in the directory of weights")
    adding.add_argument("--repo", metavar="OWNER/REPO", help="its repository on the Hub")
    adding.add_argument("--revision", metavar="COMMIT", help="the commit there with the same weights")
    pushing = commands.add_parser(
        "push",
        help="upload a checkpoint with its card; the token is in HF_TOKEN, or `hf auth login` stored it",
    )
    pushing.add_argument("what", metavar="NAME|FOLDER", help="a name, or any folder with a saved model")
    pushing.add_argument("--repo", required=True, metavar="OWNER/REPO", help="made if there is none")
    shown = pushing.add_mutually_exclusive_group()
    shown.add_argument("--private", action="store_true", help="for the owner only, which is the default")
    shown.add_argument("--public", action="store_true", help="for everybody")
    pushing.add_argument("--revision", metavar="BRANCH", help="default: the main branch")
    pushing.add_argument(
        "--pin", action="store_true", help="write the repository and commit into the catalogue"
    )
    hosting = commands.add_parser(
        "space",
        help="build the page as a Space of the Hub: what it needs and no more; then try it, and push it",
    )
    hosting.add_argument(
        "--repo", metavar="OWNER/SPACE", help="made if there is none; default: nothing is pushed"
    )
    hosting.add_argument(
        "--hardware",
        choices=space.HARDWARE,
        default=space.ZERO,
        help="default: %(default)s, which costs nothing",
    )
    hosting.add_argument("--output", type=Path, metavar="FOLDER", help="build it there, and keep it")
    hosting.add_argument(
        "--check",
        action="store_true",
        help="before that start it in a fresh environment, and ask each endpoint",
    )
    hosting.add_argument("--public", action="store_true", help="for everybody; default: for the owner only")
    for command in (checking, adding, pushing):
        command.add_argument(
            "--allow",
            action="append",
            default=[],
            metavar="MODULE:FUNCTION",
            help="a function of your own, which is imported, that builds the network of the model",
        )
    return found


def _allowed(names: Sequence[str], references: Sequence[str]) -> Sequence[str]:
    """The names, after the import of what builds their networks: the command says so."""
    for name in names if references else ():
        kind = class_of(read_config(locate(name, local_files_only=True)[0])[0])
        for reference in references:
            if kind is not None:
                kind.allow(reference)
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one line that says what is wrong."""
    args = parser().parse_args(arguments)
    run: dict[str, Callable[[], int]] = {
        "list": list_all,
        "verify": lambda: verify(_allowed(args.names, args.allow)),
        "add": lambda: add(_allowed([args.name], args.allow)[0], args.repo, args.revision),
        "space": lambda: space.run(args.repo, args.hardware, args.output, args.check, not args.public),
        "push": lambda: send(
            _allowed([args.what], args.allow)[0], args.repo, not args.public, args.revision, args.pin
        ),
    }
    try:
        return run[args.command]()
    except (WeightsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
