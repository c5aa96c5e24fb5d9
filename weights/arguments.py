"""What a config may ask for: each argument of the right type, and none so large that building it takes minutes.

A ``config.json`` is written by anybody, and a network is built from it before its weights can be compared.
"""

from __future__ import annotations

import math
from typing import Any

from weights.catalog import NAME


def whole(name: str, value: Any, low: int, high: int) -> int:
    """The value, if it is a whole number in the range; ``ValueError`` for others, floats and booleans too."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r:.40}")
    return value


def number(name: str, value: Any, low: float, high: float) -> float:
    """The value, if it is a finite number in the range; ``ValueError`` for others."""
    if type(value) not in (int, float) or not low <= value <= high or not math.isfinite(value):
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r:.40}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """The value, if it is true or false; ``ValueError`` for others."""
    if type(value) is not bool:
        raise ValueError(f"{name} must be true or false, not {value!r:.40}")
    return value


def items(name: str, value: Any, most: int = 100_000) -> tuple[Any, ...]:
    """A list, which is what JSON has for a tuple, as a tuple; ``ValueError`` for others."""
    if not isinstance(value, list | tuple) or len(value) > most:
        raise ValueError(f"{name} must be a list of at most {most:,}, not {value!r:.40}")
    return tuple(value)


def texts(name: str, value: Any, least: int = 0) -> tuple[str, ...]:
    """A list of ``least`` texts or more as a tuple; ``ValueError`` for others."""
    found = items(name, value)
    if len(found) < least:
        raise ValueError(f"{name} must be {least} or more, not {len(found)}")
    strange = [item for item in found if not isinstance(item, str)]
    if strange:
        raise ValueError(f"{name} must be texts, not {strange[0]!r:.40}")
    return found


def file_stem(name: str, value: Any) -> str:
    """The value, if a file can be named after it in every folder; ``ValueError`` for others."""
    if not isinstance(value, str) or not NAME.fullmatch(value) or len(value) > 100:
        raise ValueError(f"{name} must be letters, digits and . _ -, not {value!r:.40}")
    return value
