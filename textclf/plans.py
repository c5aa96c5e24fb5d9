"""Length plans as people write them: their factors, or the front that a search found."""

from __future__ import annotations

import re
from collections.abc import Sequence

from textclf.bottleneck import LIMIT, Plan, lengths
from textclf.model import TextClassifier
from training.runs import read_metrics

FRONT = "front"


def read_plans(written: Sequence[str], model: TextClassifier) -> list[Plan]:
    """The plans that are written, each once, most work first.

    Args:
        written: factors of each ("2,1,4,2"), or "front": those that a search found, as the model's folder says.

    Raises:
        ValueError: that is no plan of the model, or it was not searched.
    """
    found: list[Plan] = []
    for text in written:
        if text == FRONT:
            search = read_metrics(model.folder).get("search") if model.folder else None
            if not search:
                raise ValueError(
                    f"--plans {FRONT} needs a model that was searched, for training as --from: python -m textclf.search"
                )
            found += [model.plan(candidate["factors"]) for candidate in search["front"]]
        elif re.fullmatch(r"\d(,\d)*", text):
            found.append(model.plan(map(int, text.split(","))))
        else:
            raise ValueError(f"--plans must be factors such as 2,1,4,2, or {FRONT}, not {text!r}")
    return by_work(list(dict.fromkeys(found)))


def by_work(plans: Sequence[Plan]) -> list[Plan]:
    """The plan with the most slots first."""
    return sorted(plans, key=lambda plan: -sum(lengths(LIMIT + 1, plan)))
