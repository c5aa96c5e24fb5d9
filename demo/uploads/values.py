"""A visitor's numbers, choices, names and JSON, each within its limits; and the one error that refuses them."""

from __future__ import annotations

import difflib
import json
import math
import re
import unicodedata
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

MAX_NUMBER = 40  # characters
MAX_DEPTH = 16  # of JSON
LONGEST = 300  # characters of a path or name
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
C = TypeVar("C", bound=str)


class UploadError(ValueError):
    """One plain sentence for the visitor: what was wrong and what would work. Safe to show."""


def read_number(value: object, name: str, low: float, high: float) -> float:
    """A finite number in [low, high]; a string that is one counts, a bool does not."""
    number = _number(value)
    if number is None or not low <= number <= high:
        raise UploadError(f"{name} must be a number from {low:g} to {high:g}.")
    return float(number)


def read_integer(value: object, name: str, low: int, high: int) -> int:
    """A whole number in [low, high]; 3.0 and "3" count, as sliders and forms send them."""
    number = _number(value)
    if number is None or not low <= number <= high or number != int(number):
        raise UploadError(f"{name} must be a whole number from {low} to {high}.")
    return int(number)


def read_numbers(value: object, length: int, name: str, low: float, high: float) -> list[float]:
    """Exactly ``length`` finite numbers in [low, high]: a list, or a string "1, 2" or "[1, 2]"."""
    wanted = f"{length} numbers from {low:g} to {high:g}"
    if isinstance(value, str) and len(value) <= MAX_NUMBER * (length + 1):
        inner = value.strip()
        value = (inner[1:-1] if inner[:1] + inner[-1:] == "[]" else inner).split(",")
    if not isinstance(value, (list, tuple)):
        raise UploadError(f"{name} must be a list of {wanted}.")
    if len(value) != length:
        raise UploadError(f"{name} must be a list of {wanted}, not of {len(value)}.")
    numbers = [_number(item) for item in value]
    usable = [float(number) for number in numbers if number is not None and low <= number <= high]
    if len(usable) != length:
        raise UploadError(f"{name} must be a list of {wanted}; {length - len(usable)} of them are not.")
    return usable


def read_choice(value: object, choices: Sequence[C], name: str) -> C:
    """One of ``choices``; the refusal names the nearest."""
    if isinstance(value, str) and value in choices:
        return choices[choices.index(value)]
    listed = ", ".join(choices[:8]) + (f" and {len(choices) - 8} more" if len(choices) > 8 else "")
    if not isinstance(value, str):
        raise UploadError(f"{name} must be one of {listed}.")
    near = difflib.get_close_matches(value[:MAX_NUMBER], choices, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise UploadError(f"{name} {shown(value)} is not known{hint}; use one of {listed}.")


def read_json(text: str, limit: int = 20_000) -> dict[str, object]:
    """A JSON object of at most ``limit`` characters, 16 levels deep, every number finite."""
    if not isinstance(text, str) or len(text) > limit:
        raise UploadError(f"The JSON must be text of at most {limit:,} characters.")
    # An unclosed string runs to the end, so the scan is linear whatever comes in.
    nesting = accumulate((c in "[{") - (c in "]}") for c in JSON_STRING.sub("", text))
    if max(nesting, default=0) > MAX_DEPTH:
        raise UploadError(f"The JSON is nested too deeply; use at most {MAX_DEPTH} levels.")
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except UploadError:
        raise
    except ValueError as error:
        raise UploadError("The JSON cannot be read; check its commas, quotes and brackets.") from error
    if not isinstance(value, dict):
        raise UploadError('The JSON must be an object: {"name": value, ...}.')
    return value


def quotable(value: object, label: str) -> str:
    """A path or a name that a command can hold and that looks like what it is.

    Raises:
        UploadError: nothing, too much, characters that are not seen, or something that a command takes for an option.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise UploadError(f"{label}: write a name.")
    if len(text) > LONGEST:
        raise UploadError(f"{label}: {len(text):,} characters are too many, it may have {LONGEST}.")
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text):
        raise UploadError(f"{label}: it holds a character that cannot be seen; type it without.")
    if text.startswith("-"):
        raise UploadError(f"{label}: a command takes what begins with - for an option; write ./{text[:40]}.")
    return text


def _number(value: object) -> int | float | None:
    """A finite number, or None. Whole ones stay int: a seed above 2^53 must not lose digits."""
    if isinstance(value, str):
        if len(value) > MAX_NUMBER or not NUMBER.fullmatch(value):
            return None
        value = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise UploadError("The JSON holds NaN, Infinity or a number too large; use finite numbers.")
    return number


def shown(text: str) -> str:
    """A stranger's word as a refusal quotes it: short, and without characters that are not seen."""
    clean = "".join(c if c.isprintable() else " " for c in text[:MAX_NUMBER])
    return f"'{clean}'" if len(text) <= MAX_NUMBER else f"'{clean[:-3]}...'"
