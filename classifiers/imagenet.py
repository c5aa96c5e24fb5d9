"""ImageNet's 1,000 classes as people call them, in the order in which networks are released (``imagenet.csv``)."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

TABLE = Path(__file__).with_name("imagenet.csv")


@cache
def classes() -> Mapping[str, str]:
    """WordNet id -> name of each class."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return MappingProxyType({row["wordnet"]: row["name"] for row in csv.DictReader(file)})


def readable(names: Sequence[str]) -> tuple[str, ...]:
    """Names of classes; where all are WordNet ids, as ImageNet's folders are called, what those stand for."""
    known = classes()
    return tuple(known[name] for name in names) if all(name in known for name in names) else tuple(names)
