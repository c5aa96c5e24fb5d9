"""The front matter of a model card, with its results in the form that the Hub reads (``model-index``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCardData

from training.datasets import KNOWN as IMAGES
from training.texts import KNOWN as TEXTS

OTHER = "other"  # a task that the Hub has no name for


class Score(NamedTuple):
    """A measured number: ``kind`` for programs, ``title`` for people. What is no finite number is left out."""

    kind: str
    title: str
    value: Any


def front_matter(
    name: str, library: str, task: str, tags: Sequence[str], data: str, scores: Iterable[Score], how: str = ""
) -> str:
    """YAML between dashes: library, licence, tags, the data set where the Hub has it, and what was measured.

    Args:
        task: a task of the Hub, or ``OTHER``.
        data: name of the data set that was tested on.
        how: what was done to it, said after its name.
    """
    dataset = hub_dataset(data)
    results = [
        _result(task, f"{data}{how}", dataset or data, score) for score in scores if _is_number(score.value)
    ]
    card = ModelCardData(
        library_name=library,
        license="apache-2.0",
        pipeline_tag=None if task == OTHER else task,
        tags=list(tags),
        datasets=[dataset] if dataset else None,
        model_name=name if results else None,
        eval_results=results or None,
    )
    return f"---\n{card.to_yaml()}\n---"


def hub_dataset(data: str) -> str | None:
    """The repository of a data set by our name for it, by its own or by ``OWNER/NAME``; None for a file."""
    if data.count("/") == 1:
        return data
    known = {name: found.repo for table in (IMAGES, TEXTS) for name, found in table.items()}  # type: ignore[attr-defined]
    return next((repo for name, repo in known.items() if data in (name, repo.partition("/")[2])), None)


def _result(task: str, name: str, dataset: str, score: Score) -> EvalResult:
    return EvalResult(
        task_type=task,
        dataset_type=dataset,
        dataset_name=name,
        dataset_split="test",
        metric_type=score.kind,
        metric_name=score.title,
        metric_value=float(f"{score.value:.5g}"),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
