"""The same labels are the same classes in texts and in images, whatever they are stored in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pandas
import pytest

from training.datasets import load_images
from training.texts import load_texts

ROWS = 40


def column(labels: list[Any]) -> list[Any]:
    return [labels[i % len(labels)] for i in range(ROWS)]


def text_frame(labels: list[Any]) -> pandas.DataFrame:
    return pandas.DataFrame(
        {"text": [f"text {i}" for i in range(ROWS)], "label": column(labels)}, dtype=object
    )


def image_frame(labels: list[Any]) -> pandas.DataFrame:
    frame = pandas.DataFrame({f"pixel{p}": [(i * 7 + p) % 256 for i in range(ROWS)] for p in range(4)})
    return frame.assign(label=pandas.Series(column(labels), dtype=object))


def text_csv(path: Path, labels: list[Any]) -> tuple[str, ...]:
    text_frame(labels).to_csv(path / "a.csv", index=False)
    return load_texts(str(path / "a.csv")).classes


def text_json(path: Path, labels: list[Any]) -> tuple[str, ...]:
    rows = [{"text": f"text {i}", "label": label} for i, label in enumerate(column(labels))]
    (path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return load_texts(str(path / "a.jsonl")).classes


def text_parquet(path: Path, labels: list[Any]) -> tuple[str, ...]:
    text_frame(labels).to_parquet(path / "a.parquet")
    return load_texts(str(path / "a.parquet")).classes


def image_csv(path: Path, labels: list[Any]) -> tuple[str, ...]:
    image_frame(labels).to_csv(path / "a.csv", index=False)
    return load_images(str(path / "a.csv")).classes


def image_npz(path: Path, labels: list[Any]) -> tuple[str, ...]:
    images = np.arange(ROWS * 4, dtype=np.uint8).reshape(ROWS, 2, 2)
    np.savez(path / "a.npz", images=images, labels=np.array(column(labels)))
    return load_images(str(path / "a.npz")).classes


class Card:
    license = None
    card_data = property(lambda self: self)


def text_hub(path: Path, labels: list[Any]) -> tuple[str, ...]:
    rows = datasets.Dataset.from_dict({"text": [f"text {i}" for i in range(ROWS)], "label": column(labels)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, repo, **options: Card())
        patch.setattr(datasets, "load_dataset", lambda repo: datasets.DatasetDict(train=rows))
        return load_texts("someone/texts").classes


EVERY: list[Callable[[Path, list[Any]], tuple[str, ...]]] = [
    text_csv, text_json, text_parquet, text_hub, image_csv, image_npz,
]  # fmt: skip
HOLEY = [text_csv, text_json, text_parquet, text_hub, image_csv]  # an array of words has no missing ones


@pytest.mark.parametrize("read", EVERY, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([True, False], ("False", "True")),
        (["true", "false"], ("False", "True")),
        ([1, 0, 10], ("0", "1", "10")),
        ([1.0, 2.0], ("1", "2")),
        (["1.0", "2"], ("1", "2")),
        (["01", "1"], ("01", "1")),
        (["NA", "None", "null"], ("NA", "None", "null")),
        (["Good", "Good", "good", "bad"], ("Good", "bad")),
        ([" a b ", "a  c"], ("a b", "a c")),
        (["Sci/Tech", "World"], ("Sci/Tech", "World")),
    ],
)  # fmt: skip
def test_one_spelling_everywhere(
    tmp_path: Path,
    read: Callable[[Path, list[Any]], tuple[str, ...]],
    labels: list[Any],
    classes: tuple[str, ...],
) -> None:
    assert sorted(read(tmp_path, labels)) == sorted(classes)


@pytest.mark.parametrize("read", HOLEY, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("labels", "classes"),
    [([True, False, None], ("False", "True")), (["a", "b", None], ("a", "b")), ([1, 2, None], ("1", "2"))],
)
def test_what_is_missing_is_no_class(
    tmp_path: Path,
    read: Callable[[Path, list[Any]], tuple[str, ...]],
    labels: list[Any],
    classes: tuple[str, ...],
) -> None:
    assert read(tmp_path, labels) == classes


@pytest.mark.parametrize("read", EVERY, ids=lambda f: f.__name__)
def test_several_labels_in_a_cell_are_refused_everywhere(
    tmp_path: Path, read: Callable[[Path, list[Any]], tuple[str, ...]]
) -> None:
    with pytest.raises(ValueError, match="several labels, such as 'a;b'"):
        read(tmp_path, ["a;b", "a", "b"])
