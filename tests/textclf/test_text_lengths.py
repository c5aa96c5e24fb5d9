"""The benchmark over lengths and batches: every setting once, ratios within a setting, and what was foretold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tinytext import model

from benchmarks.claims import read
from benchmarks.text_lengths import TextLengths, compared, grid, reaching
from textclf import TextClassifier
from textclf.export import export
from textclf.model import PlanFacts

PLANS = {"full": (1, 1, 1, 1), "fastest": (4, 1, 1, 1)}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    folder = tmp_path_factory.mktemp("model")
    classifier = model().with_plans({name: PlanFacts(plan, ()) for name, plan in PLANS.items()})
    classifier.save_pretrained(folder)
    export(classifier, folder, PLANS)
    return TextClassifier.from_pretrained(folder)


def test_every_setting_is_timed_once(exported: TextClassifier) -> None:
    options = TextLengths("", tuple(PLANS), (16, 64), (1, 2), rounds=1)
    rows = grid(exported, options)
    assert [(r["tokens"], r["size"], r["plan"]) for r in rows.values()] == [
        (tokens, size, plan) for tokens in (16, 64) for size in (1, 2) for plan in PLANS
    ]
    assert all(row["onnx"] > 0 and row["int8"] > 0 for row in rows.values())
    assert {name for name, row in rows.items() if "predicted onnx" in row} == {
        name for name, row in rows.items() if row["size"] == 1
    }


@pytest.mark.slow
def test_longer_texts_get_positions_and_shorter_ones_the_same_answer(
    exported: TextClassifier, tmp_path: Path
) -> None:
    longer = reaching(exported, 200, tuple(PLANS), tmp_path)
    rows = grid(longer, TextLengths("", tuple(PLANS), (200,), (1,), rounds=1))
    assert {row["tokens"] for row in rows.values()} == {200}
    texts = ["good word1 word2", "grim " * 30]
    for plan in PLANS:
        torch.testing.assert_close(
            longer.predict(texts, plan, "onnx"), exported.predict(texts, plan, "onnx"), atol=2e-3, rtol=0
        )


def test_what_is_said_follows_the_numbers(tmp_path: Path) -> None:
    def row(plan: str, tokens: int, ms: float, predicted: float) -> dict[str, object]:
        foretold = {"predicted onnx": predicted, "predicted int8": predicted / 2}
        return {"plan": plan, "tokens": tokens, "size": 1, "onnx": ms, "int8": ms / 2, **foretold}

    rows = {
        "32 tokens, batch 1: full": row("full", 32, 10.0, 10.0),
        "32 tokens, batch 1: fastest": row("fastest", 32, 5.0, 5.0),
        "256 tokens, batch 1: full": row("full", 256, 80.0, 88.0),
        "256 tokens, batch 1: fastest": row("fastest", 256, 20.0, 15.0),
    }
    path = tmp_path / "text_lengths_x.json"
    path.write_text(
        json.dumps({"model": "x", "plans": list(PLANS), "rounds": 2, "rows": compared(rows, "full")})
    )
    (claim,) = read(path)
    assert "From 32 to 256 tokens" in claim.sentence
    assert "2.0 to 4.0 times as fast as the full length in float32" in claim.sentence
    assert "by 25 % at worst" in claim.limits
    assert "Slower" not in claim.limits
