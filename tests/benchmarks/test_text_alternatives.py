"""Plans beside the alternatives: who sees which texts, when a text is left early, and what the claim says of whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.claims import ClaimError
from benchmarks.claims import text_alternatives as claim
from benchmarks.text_alternatives import Kept, Made, exits, rows_of, threshold, unseen
from training.texts import TextSplit, subset


def split(n: int) -> TextSplit:
    return TextSplit([f"text {i:03}" for i in range(n)], torch.arange(n) % 2)


def test_texts_that_were_looked_at_are_left_out() -> None:
    every = split(60)
    fresh = unseen(every, 20, 30)
    assert len(fresh) == 30
    assert not set(fresh.texts) & set(subset(every, 20).texts)
    assert fresh.labels.tolist() == [int(text[-3:]) % 2 for text in fresh.texts]
    assert len(unseen(every, 0, 100)) == 60


def test_a_row_is_ahead_by_the_texts_that_it_alone_gets_right(tmp_path: Path) -> None:
    every = split(8)
    wrong = every.labels.clone()
    wrong[:4] = 1 - wrong[:4]
    answers = {
        ("full", "onnx"): every.labels,
        ("balanced", "onnx"): wrong,
        ("balanced", "int8"): every.labels,
    }
    asked: list[str] = []

    def made(answer: torch.Tensor) -> Made:
        def predict(texts: Any) -> torch.Tensor:
            asked.extend(texts)
            return answer[[every.texts.index(t) for t in texts]]

        return Made(predict, 2.0, len)

    found = {claim.Way("plan", *way): made(answer) for way, answer in answers.items()}
    rows = rows_of(found, every, Kept(tmp_path))
    assert rows["full"]["ahead"] == 50
    assert rows["full"]["ahead_std_error"] > 0
    assert rows["balanced"] == {**rows["balanced"], "accuracy": 0.5, "ahead": 0, "ahead_std_error": 0}
    assert rows["balanced, int8"]["ahead"] == 0  # not ahead of itself
    before = len(asked)
    assert rows_of(found, every, Kept(tmp_path))["full"]["accuracy"] == 1
    assert len(asked) == before  # a run that goes on asks nobody twice


def test_a_text_is_left_at_the_first_layer_that_is_sure_enough() -> None:
    sureness = np.array([[0.6, 0.95, 0.8], [0.9, 0.5, 0.5], [0.5, 0.5, 0.7]])
    found = np.stack([sureness, 1 - sureness], -1)
    assert exits(found, 0.9).tolist() == [1, 0, 2]
    assert exits(found, 2.0).tolist() == [2, 2, 2]


def test_exits_cost_no_more_than_they_may() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 2000)
    last = np.where(random.random(2000) < 0.9, labels, 1 - labels)
    first = np.stack([1 - 0.6 * random.random(2000), np.zeros(2000)], 1)
    first[:, 1] = 1 - first[:, 0]  # sure of the first class, whatever the text
    found = np.stack([first, np.eye(2)[last]], 1)
    sure = threshold(found, labels)
    chosen = found[np.arange(2000), exits(found, sure)].argmax(-1)
    assert sure > 0.95
    assert (chosen == labels).mean() >= (last == labels).mean() - 0.005
    assert threshold(np.stack([np.eye(2)[last]] * 2, 1), labels) == 0.5  # the first is as good: always leave


def row(way: claim.Way, accuracy: float, ahead: float, ms: float) -> dict[str, Any]:
    return {
        **way._asdict(),
        "accuracy": accuracy,
        "ahead": ahead,
        "ahead_std_error": 0.5,
        "ms": ms,
        "megabytes": 3.0,
    }


FOUND = {
    claim.Way("plan", "full", "onnx"): (0.92, 0.2, 60),
    claim.Way("plan", "balanced", "onnx"): (0.918, 0, 20),
    claim.Way("plan", "balanced", "int8"): (0.917, 0, 9),
    claim.Way("plan", "full", "int8", 96): (0.87, -5, 15),
    claim.Way("plan", "full", "int8", 64): (0.84, -7.5, 8),
    claim.Way("plan", "full", "int8", 64, True): (0.85, -7, 8),
    claim.Way("other", "full, left early", "onnx"): (0.92, 0.1, 40),
    claim.Way("other", "TF-IDF"): (0.90, -2, 1),
    claim.Way("other", "words and characters"): (0.90, -2, 3),
    claim.Way("other", "NB-SVM"): (0.915, -0.3, 2),
    claim.Way("other", "frozen embeddings"): (0.94, 2, 55),
    claim.Way("other", "static embeddings"): (0.8, -12, 0.5),
}
FACTS = {
    "model": "text-imdb",
    "data": "imdb",
    "n": 100,
    "skipped": 5,
    "timed_on": 3,
    "cuts": [64],
    "taught": 8,
}


def results(found: dict[claim.Way, tuple[float, float, float]]) -> dict[str, Any]:
    rows = {way.title: row(way, *numbers) for way, numbers in found.items()}
    return {**FACTS, "trained": 9, "rows": rows}


def test_the_claim_names_who_is_ahead_level_and_behind() -> None:
    (said,) = claim.claims("text_alternatives_text-imdb", results(FOUND))
    assert said.sentence.startswith(
        "Cheaper than the plan “balanced” (20.0 ms), and level with it or ahead: NB-SVM (2.0 ms)."
    )
    assert "3.0 times faster" in said.sentence
    assert "0.20 points below the full length" in said.sentence
    assert "more often right than TF-IDF (2.0 points), words and characters (2.0 points)" in said.sentence
    assert "level with full, left early and NB-SVM" in said.sentence
    assert "less often right than frozen embeddings (2.0 points)" in said.sentence
    assert said.sentence.endswith("7.0 points ahead of the best full length of a cut text that is as fast (full, "
                                  "first and last 64 tokens, int8).")  # fmt: skip
    assert [point.series for point in said.plots[0].points] == [
        *[claim.PLANS] * 2, claim.INT8, *[claim.CUT] * 3, *[claim.OTHERS] * 6
    ]  # fmt: skip
    assert said.rows["NB-SVM"]["interval"] == "-0.30 (-1.28 to +0.68)"
    assert said.rows["balanced"]["interval"] is None


def test_a_plan_is_told_in_the_form_that_serves_it_best() -> None:
    full = {claim.Way("plan", "full", "int8"): (0.919, 0.3, 21.0)}
    (said,) = claim.claims("text_alternatives_text-imdb", results({**FOUND, **full}))
    assert "right in 91.7 % within 9.0 ms, the full length in 91.9 % within 21.0 ms" in said.sentence


@pytest.mark.parametrize("name", claim.STRONGEST)
def test_a_table_without_the_strongest_alternatives_is_no_claim(name: str) -> None:
    with pytest.raises(ClaimError, match=name):
        claim.claims(
            "text_alternatives_text-imdb", results({w: n for w, n in FOUND.items() if w.name != name})
        )
