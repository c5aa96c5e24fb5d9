"""The one spelling of labels, whatever file, column, array or data set they were read from.

A label is a word; what somebody wrote decides, not the type in which a file stores it:

- 1, 1.0, "1" and "1.0" are "1"; "01" stays "01", and 0.5 stays "0.5";
- True, "True", "true" and "TRUE" are "True"; "False" likewise;
- space around a word goes, runs of space in it become one, and its letters are composed (Unicode NFC);
- None, NaN and an empty cell are no label; "NA", "None", "null" and "nan" in letters are words like others;
- words of three letters or more that differ in case alone are one class, spelled as most rows spell it; shorter ones
  ("a" and "A", "CO" and "Co") stay two, which is said;
- a list of one label is that label; several labels in one cell are refused;
- numbers with decimals that hardly ever repeat are measured, not classes, and are refused.
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError

MISSING = -1  # index of a row without a label; as a number also the Hub's sign for "not public"
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
FEW_VALUES, MANY_VALUES = 5, 50  # different numbers: fewer may be classes, as ratings are; more are none
SHORTEST_JOINED = 3  # letters; shorter words may differ in case on purpose, as letters and formulas do


@dataclass(frozen=True)
class Labels:
    """``index`` (N,) int64 into ``classes``, -1 where there is no label; ``notes`` are what to say about them."""

    index: NDArray[np.int64]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_labels(values: Iterable[Any], name: str, classes: Sequence[str] | None = None) -> Labels:
    """Labels as indices.

    Args:
        values: N labels of any type.
        name: of the file or data set, for messages.
        classes: declared names, in their order: whole numbers are then positions among them, and -1 is no label.
            None: the classes are the labels that occur, numbers by value, then words by alphabet.

    Raises:
        DataError: several labels in a cell, or a label that is not among the declared classes.
    """
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if classes is not None:
        if "True" not in map(word, classes):
            listed = [int(v) if isinstance(v, (bool, np.bool_)) else v for v in listed]
        places = _places(listed, tuple(classes), name)
        return Labels(np.array(places, np.int64), tuple(classes))
    words, notes = spelled(listed, name)
    names = in_order(words)
    position = {"": MISSING} | {word: i for i, word in enumerate(names)}
    return Labels(np.array([position[w] for w in words], np.int64), names, notes)


def spelled(values: Iterable[Any], name: str) -> tuple[list[str], tuple[str, ...]]:
    """Labels as words, "" where there is none, each class in one spelling; and what there is to say about that.

    Raises:
        DataError: several labels in a cell.
    """
    words = _words(values)
    counts = Counter(word for word in words if word)
    refuse_several(counts, name)
    _refuse_measures(counts, name)
    joined, notes = _joined(counts)
    return [joined.get(w, w) for w in words] if joined else words, notes


def in_order(words: Iterable[str]) -> tuple[str, ...]:
    """The different words, "" left out: numbers by value, then words by alphabet."""
    return tuple(sorted({w for w in words if w}, key=_by_value))


def word(value: Any) -> str:
    """One label as a word; "" for None, NaN and empty cells. Several labels in it stay a list in JSON."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, (bool, int)):
        return str(value)
    if isinstance(value, float):
        return "" if value != value else str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _of_list(list(value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return _of_text(str(value))


def refuse_several(words: Iterable[str], name: str) -> None:
    """``DataError`` where cells hold several labels: lists, or "a;b" beside "a" or "b;c"."""
    known = set(words)
    if several := [w for w in known if _is_list(w)] or _separated(known):
        first = min(several, key=lambda w: (len(w), w))
        raise DataError(
            f"{name} has cells with several labels, such as {shown(first)}: keep one label a row, and write what is "
            "one label without semicolons and pipes"
        )


def _refuse_measures(counts: Mapping[str, int], name: str) -> None:
    """``DataError`` where labels are quantities: numbers, some with decimals, and too many different ones."""
    if len(counts) < FEW_VALUES or not all(DECIMAL.fullmatch(w) for w in counts):
        return
    rare = len(counts) > MANY_VALUES or len(counts) * 2 > sum(counts.values())
    if rare and any("." in w or "e" in w.lower() for w in counts):
        first = ", ".join(sorted(counts, key=float)[:2])
        raise DataError(
            f"{name} has {len(counts):,} different numbers with decimals as labels ({first}, ...): that is a quantity, "
            "and what is learned here are classes, so write ranges of it, such as low and high"
        )


def shown(text: str, most: int = 60) -> str:
    """A word in quotes, cut where it is long."""
    return repr(text if len(text) <= most else f"{text[: most - 1]}…")


# ---- one word ----


def _words(values: Iterable[Any]) -> list[str]:
    known: dict[tuple[type, Any], str] = {}
    found = []
    for value in values:
        if isinstance(value, (list, tuple, set, dict, np.ndarray)):
            found.append(word(value))
            continue
        key = (type(value), value)  # 1, 1.0 and True are equal, and NaN is not even equal to itself
        if key not in known:
            known[key] = word(value)
        found.append(known[key])
    return found


def _of_text(text: str) -> str:
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if text.casefold() in ("true", "false"):
        return text.capitalize()
    if whole := re.fullmatch(r"(-?(?:0|[1-9]\d*))\.0+", text, re.ASCII):
        return whole[1]
    if text[:1] == "[" and text[-1:] == "]":
        try:
            return _of_list(ast.literal_eval(text))  # JSON's lists of words and numbers, and Python's
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return text
    return text


def _of_list(values: list[Any]) -> str:
    if len(values) > 1:
        return json.dumps(values, ensure_ascii=False, default=str)
    return word(values[0]) if values else ""


def _by_value(text: str) -> tuple[int, float, str]:
    number = re.fullmatch(r"[+-]?\d+(\.\d+)?", text, re.ASCII)
    return (0, float(text), text) if number else (1, 0.0, text)


# ---- all of them ----


def _is_list(text: str) -> bool:
    return text[:1] + text[-1:] in ("[]", "{}") and ("," in text or ":" in text)


def _separated(words: set[str]) -> list[str]:
    """The words that are several: parts between ";" or "|" that occur elsewhere too, or labels between commas."""
    for mark in ";|":
        parts = {w: {p.strip() for p in w.split(mark)} - {""} for w in words}
        often = Counter(part for found in parts.values() for part in found)
        if several := [
            w for w, found in parts.items() if len(found) > 1 and any(often[p] > 1 for p in found)
        ]:
            return several
    lists = {w: [p.strip() for p in w.split(",")] for w in words if "," in w}
    return [w for w, found in lists.items() if len(found) > 1 and set(found) <= words]


def _joined(counts: Counter[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Spellings -> the one of their class, and what is said of classes that are spelled in several ways."""
    alike: dict[str, list[str]] = {}
    for text in counts:
        alike.setdefault(text.casefold(), []).append(text)
    joined, notes = {}, []
    for folded, group in alike.items():
        if len(group) == 1:
            continue
        best = min(group, key=lambda w: (-counts[w], w))
        others = ", ".join(shown(w) for w in sorted(group) if w != best)
        if len(folded) < SHORTEST_JOINED:
            notes.append(f"{shown(best)} and {others} differ in case alone: kept as classes of their own")
            continue
        joined.update(dict.fromkeys(group, best))
        notes.append(
            f"{others} {'is' if len(group) == 2 else 'are'} read as {shown(best)}: only the case differs"
        )
    return joined, tuple(notes)


def _places(values: list[Any], classes: tuple[str, ...], name: str) -> list[int]:
    words = _words(values)
    named = {word(c): i for i, c in enumerate(classes)}
    folded: dict[str, int] = {}
    for text, i in named.items():
        folded[text.casefold()] = i if text.casefold() not in folded else MISSING
    places: dict[str, int] = {"": MISSING}
    numbers = _are_positions(values, words, named)
    for text in sorted(set(words) - {""}):
        place = int(text) if numbers else named.get(text, folded.get(text.casefold(), MISSING))
        if numbers and place == MISSING:
            places[text] = MISSING
        elif 0 <= place < len(classes):
            places[text] = place
        else:
            refuse_several({*named, *words} - {""}, name)
            raise DataError(f"{name}: label {shown(text)} is not one of its {len(classes)} classes")
    return [places[text] for text in words]


def _are_positions(values: list[Any], words: list[str], named: dict[str, int]) -> bool:
    """Whether labels count the declared classes: they are numbers, or digits that are no class's name."""
    if any(isinstance(v, str) for v in values) and set(words) - {""} <= set(named):
        return False
    return all(re.fullmatch(r"-?\d+", text, re.ASCII) for text in set(words) - {""})
