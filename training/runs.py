"""Finished runs: folders whose ``metrics.json`` says what was trained and measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate.state import PartialState

from training.loop import CHECKPOINTS, RunError
from weights.checkpoint import METRICS, read_json


def read_metrics(folder: Path) -> dict[str, Any]:
    """``metrics.json`` of a model folder; empty where there is none, ``WeightsError`` where it is damaged."""
    path = folder / METRICS
    return read_json(path) if path.exists() else {}


def finished(folder: Path, recipe: Mapping[str, Any], unset: Mapping[str, Any] | None = None) -> bool:
    """Whether the folder holds the trained model of this recipe.

    Args:
        unset: options that are newer than some runs, with the value that these did without; as deep as the recipe.

    Raises:
        RunError: it holds another recipe's.
    """
    if not (folder / METRICS).exists():
        return False
    training = read_metrics(folder).get("training")
    known = _completed(unset or {}, training if isinstance(training, dict) else {})
    differing = [k for k, v in json.loads(json.dumps(recipe)).items() if known.get(k) != v]
    if differing:
        raise RunError(
            f"{folder} holds a model trained with another {', '.join(differing[:4])}: choose another --output"
        )
    return True


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
        evaluate()
    for name in CHECKPOINTS:
        shutil.rmtree(folder / name, ignore_errors=True)
