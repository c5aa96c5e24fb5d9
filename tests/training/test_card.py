"""Cards say on the Hub what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import weights
from training.card import OTHER, Score, front_matter, hub_dataset
from weights.checkpoint import read_json

SHIPPED = sorted(weights.catalog())


def parsed(*scores: Score, task: str = "image-classification", data: str = "cifar10") -> ModelCard:
    return ModelCard(
        front_matter("mine", "classifiers", task, ["tag"], data, scores, ", upright") + "\n\n# mine\n"
    )


def test_scores_come_back() -> None:
    card = parsed(Score("accuracy", "accuracy: of all", 0.8519999980926514), Score("n", "count", 3))
    found = {r.metric_type: (r.metric_name, r.metric_value) for r in card.data.eval_results}
    assert found == {"accuracy": ("accuracy: of all", 0.852), "n": ("count", 3.0)}
    assert {r.dataset_name for r in card.data.eval_results} == {"cifar10, upright"}
    assert {r.dataset_type for r in card.data.eval_results} == {"uoft-cs/cifar10"}
    assert (card.data.model_name, card.data.pipeline_tag) == ("mine", "image-classification")
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "classifiers")


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "many", [1.0]])
def test_what_is_no_number_is_left_out(value: object) -> None:
    assert parsed(Score("accuracy", "accuracy", value)).data.eval_results is None


def test_a_task_without_a_name_and_a_data_set_of_ones_own() -> None:
    card = parsed(Score("iou", "IoU", 0.7), task=OTHER, data="my shapes: all")
    assert card.data.pipeline_tag is None
    assert card.data.datasets is None
    assert card.data.eval_results[0].dataset_type == "my shapes: all"


def test_names_of_data_sets() -> None:
    assert hub_dataset("fashion") == hub_dataset("fashion_mnist") == "zalando-datasets/fashion_mnist"
    assert hub_dataset("agnews") == "fancyzhx/ag_news"
    assert hub_dataset("me/mine") == "me/mine"
    assert hub_dataset("modelnet10") is None


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cards_say_what_was_measured(name: str) -> None:
    folder: Path = weights.folder(name)
    card, test = ModelCard((folder / "README.md").read_text()), read_json(folder / "metrics.json")["test"]
    scores = {(r.metric_type, r.metric_name): r.metric_value for r in card.data.eval_results}
    if "linear" in test:  # a text classifier is told by its plans
        wanted = {("accuracy", f"accuracy, plan {p}"): f["accuracy"] for p, f in test["plans"].items()}
        assert {row: scores.pop(row) for row in wanted} == pytest.approx(wanted, rel=1e-4)
    else:
        assert len(scores) >= 3
    flat = {kind: value for (kind, _), value in scores.items() if kind in test}
    assert flat == pytest.approx({kind: test[kind] for kind in flat}, rel=1e-4)
    assert card.data.model_name == name
    assert "Terms of the data: " in card.text
