"""What an evaluation leaves out, and why: a number that the data do not allow is no reason to stop, or to write NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

UNDEFINED = "it came out as no finite number on these data"
LISTED = 8  # names in a sentence


def too_few(there: int, needed: int, what: str) -> str:
    """The reason for a measure that takes more than there is."""
    return f"it takes {needed} {what}, and there {'is' if there == 1 else 'are'} {there}"


def only_finite(result: Mapping[str, Any], missing: Mapping[str, str]) -> dict[str, Any]:
    """The measured numbers that are finite, and ``left_out``: name -> reason, of what is missing and of the rest.

    A nested number is named by its path, "iwae50.nats".
    """
    reasons = dict(missing)
    kept = _finite(result, "", reasons)
    return {**kept, "left_out": reasons}


def _finite(value: Any, path: str, reasons: dict[str, str]) -> Any:
    if isinstance(value, Mapping):
        within = {key: (inner, f"{path}.{key}".lstrip(".")) for key, inner in value.items()}
        return {
            key: _finite(inner, name, reasons)
            for key, (inner, name) in within.items()
            if _there(inner, name, reasons)
        }
    if isinstance(value, list | tuple):
        return [_finite(inner, path, reasons) for inner in value if _there(inner, path, reasons)]
    return value


def _there(value: Any, path: str, reasons: dict[str, str]) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        reasons.setdefault(path, UNDEFINED)
        return False
    return True


def sentences(missing: Mapping[str, str]) -> list[str]:
    """One for each reason, to print: "NAME, NAME not measured: the reason"."""
    grouped: dict[str, list[str]] = {}
    for name, reason in missing.items():
        grouped.setdefault(reason, []).append(name)
    return [f"{_listed(names)} not measured: {reason}" for reason, names in grouped.items()]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def on_card(missing: Mapping[str, str]) -> str:
    """A list for a model card, to follow its table; empty where nothing is missing."""
    listed = "".join(f"\n- {sentence}" for sentence in sentences(missing))
    return f"\n\nLeft out:\n{listed}" if listed else ""
