"""Finished runs: folders whose ``metrics.json`` says what was trained and measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.loop import RunError
from weights.checkpoint import METRICS


def read_metrics(folder: Path) -> dict[str, Any]:
    """``metrics.json`` of a model folder; empty where there is none."""
    path = folder / METRICS
    return json.loads(path.read_text()) if path.exists() else {}


def finished(folder: Path, recipe: Mapping[str, Any], unset: Mapping[str, Any] | None = None) -> bool:
    """Whether the folder holds the trained model of this recipe.

    Args:
        unset: options that are newer than some runs, with the value that these did without.

    Raises:
        RunError: it holds another recipe's.
    """
    if not (folder / METRICS).exists():
        return False
    known = {**(unset or {}), **(read_metrics(folder).get("training") or {})}
    differing = [k for k, v in json.loads(json.dumps(recipe)).items() if known.get(k) != v]
    if differing:
        raise RunError(
            f"{folder} holds a model trained with another {', '.join(differing[:4])}: choose another --output"
        )
    return True
