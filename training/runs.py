"""The life of a run: its folder is claimed, its data compared, it is trained, measured, and put in place.

A folder holds a finished run where its ``metrics.json`` says what was trained and measured.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.state import PartialState
from torch import nn

from training.fingerprint import Data, changes, fingerprint
from training.left_out import sentences
from training.lock import locked
from training.loop import CHECKPOINTS, Clock, LoopConfig, RunError, fitting
from training.measure import parameters
from training.progress import counted, say
from training.trackers import move_logs
from weights.checkpoint import METRICS, belonging, read_json, write

FRESH = ".fresh"  # inside a run's folder: the one that will replace it
DONE = "complete"  # in there, once it may
D = TypeVar("D", bound=Data)


def read_metrics(folder: Path) -> dict[str, Any]:
    """``metrics.json`` of a model folder; empty where there is none, ``WeightsError`` where it is damaged."""
    path = folder / METRICS
    return read_json(path) if path.exists() else {}


def carry_out(
    folder: Path,
    recipe: Mapping[str, Any],
    *,
    load: Callable[[], D],
    train: Callable[[D, Path, dict[str, Any]], None],
    measure: Callable[[D, Path], object] | None,
    unset: Mapping[str, Any] | None = None,
    renamed: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> None:
    """Train and measure in a folder that no other process may write meanwhile; what is done is not done again.

    Args:
        recipe: options that identify the run; ``unset`` and ``renamed`` as for :func:`finished`.
        load: the data, which are compared with those that the folder's run was trained on.
        train: writes the model's folder; is given the data, the folder, and the data's fingerprint.
        measure: writes what is measured beside the model; is given the data and the folder.
        fresh: start over: what is in the folder stays until the new model is complete.

    Raises:
        RunError: the folder cannot be written, belongs to another run or another process, or its data have changed.
    """
    with claimed(folder):
        if not fresh and not (folder / FRESH).exists():
            finished(folder, recipe, unset, renamed)  # refuses another recipe's before any data are read
        data = load()
        found = fingerprint(data)
        with renewed(folder, {**recipe, "fingerprint": found}, fresh) as place:
            if not finished(place, recipe, unset, renamed):
                train(data, place, found)
            else:
                require_unchanged(place, found)
                say(f"{place} is trained already, with these options on these data")
            conclude(place, None if measure is None else lambda: measure(data, place))


@contextmanager
def claimed(folder: Path, wait: bool = False) -> Iterator[None]:
    """Make a folder that can be written, and keep other processes out of it; see :func:`training.lock.locked`.

    Of several processes of one run the main one does so.

    Raises:
        RunError: it cannot be written, or another process is writing it.
    """
    if not PartialState().is_main_process:
        PartialState().wait_for_everyone()
        yield
        return
    made = _made(folder)
    try:
        with locked(folder, wait):
            _replace(folder)  # a kill may have cut that short
            PartialState().wait_for_everyone()
            yield
    finally:
        if made:
            with suppress(OSError):  # something is in it
                folder.rmdir()


def _made(folder: Path) -> bool:
    """Make a folder where there is none; ``RunError`` says why that cannot be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists() or path.is_symlink())
    if not there.is_dir():
        raise RunError(f"--output {folder}: {there} is a file, give a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"--output {folder} cannot be made ({error.strerror}): choose another folder"
        ) from error
    return there != folder


@contextmanager
def renewed(folder: Path, identity: Mapping[str, Any], fresh: bool) -> Iterator[Path]:
    """Where a run works: its folder; or, started ``fresh`` where there is something, a place inside it.

    That place is put in the folder's stead once the block ends well. A run that was started fresh and killed goes on
    there, with ``fresh`` or without; ``identity`` tells it from another one.
    """
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    place, main = folder / FRESH / digest / folder.absolute().name, PartialState().is_main_process
    used = any((folder / name).exists() for name in (METRICS, *CHECKPOINTS))
    if not place.is_dir() and not (fresh and used):
        PartialState().wait_for_everyone()
        yield folder
        return
    PartialState().wait_for_everyone()
    if main:
        for other in (folder / FRESH).glob("*"):
            if other.name != digest:
                shutil.rmtree(other, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
    PartialState().wait_for_everyone()
    yield place
    if main:
        (place / DONE).touch()
        _replace(folder)


def _replace(folder: Path) -> None:
    """Put a fresh run that is complete in the stead of what the folder holds; does nothing where there is none."""
    for done in (folder / FRESH).glob(f"*/*/{DONE}"):
        new = {path.name: path for path in done.parent.iterdir() if path.is_file() and path != done}
        for name in belonging([path.name for path in folder.iterdir()]):
            if name not in new:
                (folder / name).unlink()  # an old graph must not answer for new weights
        for name in CHECKPOINTS:
            shutil.rmtree(folder / name, ignore_errors=True)
        write(folder, {name: path.read_bytes() for name, path in new.items()})
        move_logs(done.parent, folder)
        shutil.rmtree(folder / FRESH)


def require_unchanged(folder: Path, found: Mapping[str, Any]) -> None:
    """``RunError`` where a finished run was trained on other data than the same command finds now.

    Runs from before fingerprints say nothing of their data, and are taken as they are.
    """
    known = (read_metrics(folder).get("training") or {}).get("fingerprint")
    if isinstance(known, dict) and (changed := changes(known, found)):
        raise RunError(
            f"the data have changed since {folder} was trained on them ({', '.join(changed)}): --fresh trains anew and "
            "replaces it, another --output keeps both"
        )


def finished(
    folder: Path,
    recipe: Mapping[str, Any],
    unset: Mapping[str, Any] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> bool:
    """Whether the folder holds the trained model of this recipe.

    Args:
        unset: options that are newer than some runs, with the value that these did without; as deep as the recipe.
        renamed: options that older runs have under another name: that name -> the recipe's.

    Raises:
        RunError: it holds another recipe's.
    """
    if not (folder / METRICS).exists():
        return False
    training = read_metrics(folder).get("training")
    told = training if isinstance(training, dict) else {}
    known = _completed(unset or {}, {(renamed or {}).get(name, name): value for name, value in told.items()})
    wanted = json.loads(json.dumps(recipe))
    differing = [k for k, v in wanted.items() if known.get(k) != v]
    if differing:
        said = ", ".join(_difference(k, known, wanted) for k in differing[:4])
        raise RunError(
            f"{folder} holds a model trained with other options ({said}): choose another --output, or "
            "--fresh to replace it"
        )
    return True


def _difference(name: str, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """ "epochs 2, not 3"; of an option with options of its own its name alone."""
    if isinstance(wanted[name], dict | list):
        return name
    return f"{name} {known.get(name, 'unknown')}, not {wanted[name]}"


def _completed(unset: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """What is known, and what is unset where nothing is."""
    deep = {k: _completed(v, known[k]) for k, v in unset.items() if isinstance(known.get(k), dict)}
    return {**unset, **known, **deep}


def conclude(folder: Path, evaluate: Callable[[], object] | None) -> None:
    """Measure a saved model that was not measured yet, and drop its checkpoints; does nothing the second time.

    A run killed after its model was saved ends here when the same command is given again.
    """
    if not PartialState().is_main_process:
        return
    if evaluate is not None and "test" not in read_metrics(folder):
        say("measuring")
        evaluate()
    for name in CHECKPOINTS:
        shutil.rmtree(folder / name, ignore_errors=True)


def facts(
    description: Mapping[str, Any], loop: LoopConfig, found: Mapping[str, Any], *took: Clock
) -> dict[str, Any]:
    """What ``metrics.json`` tells of any training: its options, the data's fingerprint ``found``, and its time."""
    return {
        **description,
        **asdict(loop),
        "fingerprint": dict(found),
        "cpu_seconds": round(sum(clock.cpu_seconds for clock in took), 1),
        "wall_seconds": round(sum(clock.wall_seconds for clock in took), 1),
        "threads": torch.get_num_threads(),
    }


def announce(
    report: Iterable[str],
    model: nn.Module,
    what: str,
    loop: LoopConfig,
    examples: int,
    missing: Mapping[str, str],
) -> None:
    """Say what a training will do, before its first step.

    Args:
        report: sentences about the data.
        what: the model is, in a few words.
        examples: "pictures" or whatever, that are trained on.
        missing: what will not be measured, and why.
    """
    used = fitting(loop, examples)
    smaller = f" (fewer than --batch {loop.batch})" if used.batch != loop.batch else ""
    steps = max(1, examples // used.batch) * used.epochs
    say(
        *report,
        f"{what}: {parameters(model):,} parameters",
        f"{counted(used.epochs, 'epoch')} of {counted(examples, 'example')} in batches of {used.batch}{smaller}: "
        f"{counted(steps, 'step')}",
        *sentences(missing),
    )
