"""What is said of a result: a template in Markdown beside its kind, filled with named numbers.

A template has a title, ``# ...``, and parts, ``## ...``, each a list of sentences. A sentence holds numbers as
``str.format`` does, ``{rows[ours][nats]:.1f}``; of several seeds it is their mean. Which sentences are said is for the
numbers to choose:

- One whose number is None, False or an empty list is left out. True writes nothing: ``{converged}One run each.``
- ``Otherwise: ...`` is said where the sentence before it is not.
- ``For each NAME: ...`` is said of every mapping in a list of that name.
- ``{gain:.1f nats more|nats fewer}`` chooses its words by the sign, ``{ratio:times faster|slower}`` by which is more.
- ``{names}`` is "a, b and c", ``{costs:.1f nats}`` of a mapping is "a (1.0 nats) and b (2.0 nats)".
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

FOLDER = Path(__file__).parent
OTHERWISE = "Otherwise: "
EACH = re.compile(r"For each (\w+): ")


class Absent(Exception):
    """A number of a sentence does not exist."""


class Words(Formatter):
    """``str.format`` with the rules above."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        name, *keys = re.findall(r"[^\[\]]+", field_name)
        value = kwargs[name]
        for key in keys:
            value = None if value is None else value[key]
        return value, name

    def format_field(self, value: Any, spec: str) -> str:
        form, _, words = spec.partition(" ")
        if isinstance(value, Mapping) and {"mean", "n"} <= value.keys():
            value = value["mean"]
        if value is None or value is False or value in ([], {}, ()):
            raise Absent
        if value is True:
            return ""
        if isinstance(value, Mapping):
            return listed([f"{name} ({self.format_field(each, spec)})" for name, each in value.items()])
        if isinstance(value, list | tuple):
            return (
                listed(value)
                if isinstance(value[0], str)
                else self.format_field(statistics.fmean(value), spec)
            )
        more, choice, less = words.partition("|")
        if form == "times":
            return f"{max(value, 1 / value):.1f} times {more if value >= 1 else less}"
        number = format(abs(value) if choice else value, form).replace("%", " %")
        return f"{number} {more if not choice or value >= 0 else less}" if words else number


WORDS = Words()


def listed(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


@cache
def template(name: str) -> dict[str, list[str]]:
    """The sentences of each part of ``NAME.md``, its title under "Title"."""
    title, *parts = re.split(r"^## ", (FOLDER / f"{name}.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {"Title": [title.removeprefix("# ").strip()]}
    for part in parts:
        heading, _, sentences = part.partition("\n")
        items = re.split(r"^- ", sentences, flags=re.MULTILINE)[1:]
        found[heading] = [" ".join(item.split()) for item in items]
    return found


def fill(sentences: Sequence[str], numbers: Mapping[str, Any]) -> list[str]:
    """Those that are said of these numbers, with them."""
    found: list[str] = []
    said = True
    for sentence in sentences:
        if sentence.startswith(OTHERWISE):
            if said:
                continue
            sentence = sentence.removeprefix(OTHERWISE)
        each = EACH.match(sentence)
        of = [{**numbers, **one} for one in numbers[each[1]]] if each else [numbers]
        texts = [_text(sentence[each.end() if each else 0 :], one) for one in of]
        said = any(texts)
        found += filter(None, texts)
    return found


def _text(sentence: str, numbers: Mapping[str, Any]) -> str:
    try:
        return WORDS.vformat(sentence, (), numbers)
    except Absent:
        return ""
