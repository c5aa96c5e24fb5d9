"""Numbers that are reported: scores, calibration, work, and the linear baseline."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tinytext import LAYERS, model, write_csv

from textclf.evaluate import Evaluate, calibration_error, linear_model, run, scores
from training.texts import load_texts


def test_perfect_and_wrong_scores() -> None:
    labels = torch.tensor([0, 1, 1, 0])
    sure = torch.nn.functional.one_hot(labels, 2).float().clamp(min=1e-9).log()
    assert scores(sure, labels) == {
        "accuracy": 1.0,
        "accuracy_std_error": 0.0,
        "nll": pytest.approx(0, abs=1e-6),
        "calibration_error": pytest.approx(0, abs=1e-6),
    }
    assert scores(sure, 1 - labels)["accuracy"] == 0
    assert scores(sure, 1 - labels)["calibration_error"] == pytest.approx(1)


def test_calibration_of_the_calibrated_and_the_boastful() -> None:
    labels = torch.tensor([0] * 80 + [1] * 20)
    honest = torch.tensor([0.8, 0.2]).log().expand(100, 2)
    boastful = torch.tensor([0.99, 0.01]).log().expand(100, 2)
    assert calibration_error(honest, labels) == pytest.approx(0, abs=1e-6)
    assert calibration_error(boastful, labels) == pytest.approx(0.19, abs=1e-5)


def test_macs_are_counted_by_hand() -> None:
    """Linear layers 4 H^2 + 2 H F a slot, attention 2 S^2 H a layer, and the head."""
    classifier, hidden, wide = model("mean"), 32, 64

    def layer(slots: int) -> int:
        return slots * (4 * hidden**2 + 2 * hidden * wide) + 2 * slots**2 * hidden

    head = 2 * hidden * 2
    assert classifier.macs((1,) * LAYERS, 33) == LAYERS * layer(33) + head
    assert classifier.macs((1, 2, 1), 33) == layer(33) + 2 * layer(17) + head


def test_linear_model_learns_and_chooses_on_validation(tmp_path: Path) -> None:
    data = load_texts(str(write_csv(tmp_path / "reviews.csv", 400)))
    classify, chosen = linear_model(data)
    assert (torch.as_tensor(classify(data.test.texts)) == data.test.labels).float().mean() > 0.9
    assert chosen["C"] in (0.1, 0.3, 1.0, 3.0, 10.0)


def test_other_classes_are_refused(tmp_path: Path) -> None:
    folder = model(classes=("up", "down")).save_pretrained(tmp_path / "m")
    with pytest.raises(ValueError, match="knows the classes"):
        run(Evaluate(str(folder), str(write_csv(tmp_path / "reviews.csv", 100))))
