"""Where the numbers of a run go besides ``log.jsonl``: the trackers that Accelerate knows."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from accelerate.tracking import (
    GeneralTracker,
    TensorBoardTracker,
    TrackioTracker,
    WandBTracker,
    get_available_trackers,
)

from weights.checkpoint import one_line

Kind = Literal["tensorboard", "trackio", "wandb"]
Tracker: TypeAlias = Kind | GeneralTracker
LOGS = "logs"  # inside a run's folder: one folder a run, of trackers that write files


def require_trackers(kinds: Sequence[Tracker]) -> None:
    """``ValueError`` names the first whose package is not installed."""
    there = {str(kind) for kind in get_available_trackers()}
    for kind in kinds:
        if isinstance(kind, str) and kind not in there:
            raise ValueError(f"--log-with {kind} needs the package {kind}: pip install {kind}")


@contextmanager
def tracked(
    kinds: Sequence[Tracker], output: Path, recipe: Mapping[str, Any], resumed: bool
) -> Iterator[Callable[[Mapping[str, float], int], None]]:
    """Start the trackers, and stop them at the end of the block; to be called on the main process.

    A run has one name in all of them, of its folder and its recipe, so that one that was killed goes on there.

    Args:
        resumed: the run goes on; otherwise, what an earlier one of this name wrote into ``output`` is removed.

    Returns:
        Takes numbers by name, and the step they belong to.

    Raises:
        ValueError: a tracker does not start.
    """
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{output.absolute().name}-{digest}"
    if not resumed:
        shutil.rmtree(output / LOGS / name, ignore_errors=True)
    data = str(recipe.get("data", ""))
    trackers = [
        _tracker(kind, output, name, data, resumed) if isinstance(kind, str) else kind for kind in kinds
    ]
    for tracker in trackers:
        try:
            tracker.start()
            tracker.store_init_configuration(_flat(recipe))
        except Exception as error:  # each package has errors of its own: no network, no key, a full disk
            raise ValueError(f"--log-with {tracker.name} does not start ({one_line(error)})") from error

    def note(numbers: Mapping[str, float], step: int) -> None:
        for tracker in trackers:
            tracker.log(dict(numbers), step=step)

    try:
        yield note
    finally:
        for tracker in trackers:
            tracker.finish()


def move_logs(source: Path, folder: Path) -> None:
    """What trackers wrote into a run's folder, to the one that it becomes part of."""
    for logs in source.glob(f"{LOGS}/*"):
        shutil.rmtree(folder / LOGS / logs.name, ignore_errors=True)
        (folder / LOGS).mkdir(exist_ok=True)
        logs.rename(folder / LOGS / logs.name)


def _tracker(kind: str, output: Path, name: str, data: str, resumed: bool) -> GeneralTracker:
    """One that is not started; its project is the data, since runs on the same data can be compared."""
    folder, project = output / LOGS, re.sub(r"[^\w.-]+", "-", data) or "runs"
    if kind == "tensorboard":
        return TensorBoardTracker(name, folder)
    if kind == "trackio":
        return TrackioTracker(project, name=name, resume="allow" if resumed else "never")
    (folder / name).mkdir(parents=True, exist_ok=True)  # without it, W&B writes elsewhere
    return WandBTracker(
        project, name=name, id=name, resume="allow" if resumed else None, dir=str(folder / name)
    )


def _flat(recipe: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """{"loop/epochs": 3}: settings as numbers and words, which is what every tracker takes."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{key}/")
        else:
            flat[above + key] = value if isinstance(value, bool | int | float | str) else json.dumps(value)
    return flat
