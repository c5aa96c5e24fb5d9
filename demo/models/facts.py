"""What the files beside a model's weights say of it: JSON that may be missing, damaged or a stranger's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weights import WeightsError, locate
from weights.checkpoint import read_json

Facts = Mapping[str, Any]


def read_facts(place: str | Path, file: str) -> Facts:
    """A file beside the weights; empty where there is none, or where it cannot be read."""
    try:
        return read_json(locate(place, local_files_only=True)[0] / file)
    except WeightsError:
        return {}


def section(facts: Facts, *path: str) -> Facts:
    """A part of it; empty where it is missing or something else."""
    part: object = facts
    for key in path:
        part = part.get(key) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}
