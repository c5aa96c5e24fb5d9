"""Plans beside the alternatives: who sees which texts, and what the claim says of whom."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.claims import text_alternatives as claim
from benchmarks.text_alternatives import rows_of, unseen
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


def test_a_row_is_ahead_by_the_texts_that_it_alone_gets_right() -> None:
    every = split(8)
    wrong = every.labels.clone()
    wrong[:4] = 1 - wrong[:4]
    answers = {"full": every.labels, "balanced": wrong}
    predictors = {
        claim.Way("plan", name, "onnx"): lambda texts, found=found: found[
            [every.texts.index(t) for t in texts]
        ]
        for name, found in answers.items()
    }
    rows = rows_of(predictors, every)
    assert rows["full"]["ahead"] == 50
    assert rows["balanced"] == {**rows["balanced"], "accuracy": 0.5, "ahead": 0, "ahead_std_error": 0}
    assert rows["full"]["ahead_std_error"] > 0


def row(way: claim.Way, accuracy: float, ahead: float, ms: float) -> dict[str, Any]:
    return {**way._asdict(), "accuracy": accuracy, "ahead": ahead, "ahead_std_error": 0.5, "ms": ms}


def test_the_claim_names_who_is_ahead_level_and_behind() -> None:
    found = {
        claim.Way("plan", "full", "onnx"): (0.92, 0.2, 60),
        claim.Way("plan", "balanced", "onnx"): (0.918, 0, 20),
        claim.Way("plan", "balanced", "int8"): (0.917, -0.1, 9),
        claim.Way("plan", "full", "onnx", 64): (0.85, -7, 12),
        claim.Way("other", "TF-IDF"): (0.90, -2, 1),
        claim.Way("other", "NB-SVM"): (0.915, -0.3, 2),
        claim.Way("other", "frozen embeddings"): (0.94, 2, 55),
    }
    rows = {way.title: row(way, *numbers) for way, numbers in found.items()}
    facts = {"model": "text-imdb", "data": "imdb", "n": 100, "skipped": 5, "timed_on": 3}
    (said,) = claim.claims("text_alternatives_text-imdb", {**facts, "rows": rows})
    assert "3.0 times faster than the full length" in said.sentence
    assert "more often right than full, 64 tokens and TF-IDF" in said.sentence
    assert "level with NB-SVM" in said.sentence
    assert said.sentence.endswith("less often right than frozen embeddings.")
    assert [point.series for point in said.plots[0].points] == [
        *[claim.PLANS] * 2, claim.INT8, claim.CUT, *[claim.OTHERS] * 3
    ]  # fmt: skip
    assert said.limits.startswith("Sooner than “balanced” answer: TF-IDF and NB-SVM.")
