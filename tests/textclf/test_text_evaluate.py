"""Numbers that are reported: scores, calibration, work, and the linear baselines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from tinytext import LAYERS, model, write_csv

from textclf.evaluate import Evaluate, calibration_error, run, scores
from textclf.linear import KINDS, log_count_ratio
from training.report import DataReport
from training.texts import TextData, TextSplit, load_texts


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


@pytest.mark.parametrize("kind", KINDS)
def test_linear_models_learn_and_choose_on_validation(kind: str, tmp_path: Path) -> None:
    data = load_texts(str(write_csv(tmp_path / "reviews.csv", 400)))
    model = KINDS[kind](data)
    predicted = torch.as_tensor(model.predict(data.test.texts))
    assert (predicted == data.test.labels).float().mean() > 0.9
    held = torch.as_tensor(model.predict(data.validation.texts)) == data.validation.labels
    assert model.validation_accuracy == pytest.approx(float(held.float().mean()))
    assert model.features > 2
    assert 0 < model.megabytes < 1


def test_log_count_ratio_is_that_of_smoothed_counts() -> None:
    x = csr_matrix(np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1]]))
    ratio = log_count_ratio(x, np.array([True, True, False]))
    inside, outside = np.array([3, 1, 2]) / 6, np.array([1, 2, 2]) / 5  # occurrences and one more
    np.testing.assert_allclose(ratio, np.log(inside / outside))


def test_nb_svm_reads_punctuation_and_several_classes() -> None:
    texts = [f"{word} {mark}" for mark in "!?." for word in ("this", "that", "it", "one", "we", "you")]
    labels = torch.arange(3).repeat_interleave(6)
    split = TextSplit(texts, labels)
    data = TextData(split, split, split, ("a", "b", "c"), "marks", None, "marks", DataReport(18, 18))
    assert (KINDS["NB-SVM"](data).predict(["it !", "so ?", "they ."]) == [0, 1, 2]).all()


def test_other_classes_are_refused(tmp_path: Path) -> None:
    folder = model(classes=("up", "down")).save_pretrained(tmp_path / "m")
    with pytest.raises(ValueError, match="knows the classes"):
        run(Evaluate(str(folder), str(write_csv(tmp_path / "reviews.csv", 100))))
