"""A long command in stages: each keeps what it made, so that what was killed goes on behind the last one.

What a stage decides by a clock is decided once: a continued run ends as an unbroken one.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.fingerprint import changes
from training.loop import RunError
from weights.checkpoint import read_json, to_json, write

STAGES = "stages"  # inside a run's folder
RUN = "run.json"


class Stages:
    """The stages of one run, in ``folder``.

    Args:
        recipe: options that identify the run.
        fingerprint: of the data, see :mod:`training.fingerprint`.
        fresh: forget what was done.

    Raises:
        RunError: the folder holds an interrupted run of other options, or on other data.
    """

    def __init__(
        self, folder: Path, recipe: Mapping[str, Any], fingerprint: Mapping[str, Any], fresh: bool = False
    ) -> None:
        self.folder = folder
        if fresh:
            self.forget()
        wanted = json.loads(to_json({"recipe": dict(recipe), "fingerprint": dict(fingerprint)}))
        if not (folder / RUN).exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(folder, {RUN: to_json(wanted)})
            return
        known = read_json(folder / RUN)
        names = [k for k in wanted["recipe"] if known["recipe"].get(k) != wanted["recipe"][k]]
        if names:
            raise RunError(
                f"{folder.parent} holds an interrupted run with other settings ({', '.join(names[:4])}): use the same "
                "settings, --fresh to start over, or another --output"
            )
        if changed := changes(known["fingerprint"], wanted["fingerprint"]):
            raise RunError(
                f"the data have changed since the run in {folder.parent} was interrupted ({', '.join(changed)}): "
                "--fresh starts over with them, another --output keeps both"
            )

    def once(self, name: str, make: Callable[[], Mapping[str, Any]], timed: bool = True) -> dict[str, Any]:
        """What a stage made, now or in an earlier process, with the ``seconds`` that it took.

        Args:
            timed: it is no part of another stage, whose seconds it would be counted among.
        """
        path = self.folder / f"{name}.json"
        if not path.exists():
            began = time.perf_counter()
            made = dict(make())
            took = max(time.perf_counter() - began, float(made.get("wall_seconds", 0.0))) if timed else 0.0
            write(self.folder, {path.name: to_json({**made, "seconds": round(took, 1)})})
        return read_json(path)

    def done(self) -> dict[str, dict[str, Any]]:
        """What every stage made, by its name."""
        return {p.stem: read_json(p) for p in sorted(self.folder.glob("*.json")) if p.name != RUN}

    def spent(self) -> float:
        """Seconds that all of them took."""
        return sum(float(made["seconds"]) for made in self.done().values())

    def forget(self) -> None:
        """Delete what was kept."""
        shutil.rmtree(self.folder, ignore_errors=True)
