"""A plan beside fewer layers: all are trained alike and for as long, and the claim follows the numbers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tinytext import LAYERS, write_backbone

from benchmarks.claims import ClaimError, text_layers
from benchmarks.text_layers import TextLayers, entries, shallower
from textclf.encoder import from_backbone


def macs(plan: tuple[int, ...], tokens: int) -> int:
    """Each layer as much as it reads, halved by each factor of 2."""
    left, total = 64 * tokens, 0
    for factor in plan:
        left //= factor
        total += left
    return total


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextLayers:
    monkeypatch.setattr("benchmarks.text_layers.shallower", lambda _, layers, folder: folder)
    return TextLayers("agnews", plan=(2, 1, 2, 1), layers=(1, 3), cuts=(8,), runs=tmp_path)


def test_others_are_trained_alike_and_at_least_as_long(options: TextLayers) -> None:
    found = entries(options, 3, macs, 32)
    assert [(e.kind, e.size) for e in found] == [
        ("plan", 0),
        ("full", 0),
        ("layers", 1),
        ("layers", 3),
        ("tokens", 8),
    ]
    ours = found[0].train
    spent = ours.loop.epochs * (options.full * macs((1,) * 4, 32) + macs(options.plan, 32))
    for entry, tokens in zip(found[2:], (32, 32, 8), strict=True):
        work = macs(entry.plan, tokens)
        assert spent <= entry.train.loop.epochs * work < spent + work  # not an epoch more than that takes
        same = {"output", "backbone", "max_length", "supernet", "loop"}
        changed = {k for k, v in asdict(entry.train).items() if v != asdict(ours)[k]}
        assert changed <= same
        assert {k for k, v in asdict(entry.train.loop).items() if v != asdict(ours.loop)[k]} <= {"epochs"}
    assert len({e.train.output for e in found}) == 4  # the full length comes out of the plan's run
    assert [e.train.loop.seed for e in found] == [3] * 5


def test_a_shallower_backbone_is_the_same_without_its_last_layers(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    source = write_backbone(tmp_path / "whole")
    whole, cut = from_backbone(source), from_backbone(shallower(str(source), 2, tmp_path / "cut"))
    assert (whole.config.layers, cut.config.layers) == (LAYERS, 2)
    theirs = whole.state_dict()
    assert all((theirs[name] == tensor).all() for name, tensor in cut.state_dict().items())


def row(kind: str, size: int, accuracy: float, ahead: float, ms: float) -> dict[str, Any]:
    facts = {"epochs": 2, "cpu_seconds": {"mean": 9, "std": 0, "n": 1}, "macs": 3.0, "int8": ms / 3}
    return {
        "kind": kind,
        "size": size,
        "accuracy": accuracy,
        "ahead": ahead,
        "ahead_std_error": 0.5,
        "onnx": ms,
        **facts,
    }


ROWS = {
    "the plan": row("plan", 0, 0.883, 0, 6),
    "its full length": row("full", 0, 0.89, 0.7, 18),
    "2 layers": row("layers", 2, 0.817, -6.6, 5),
    "3 layers": row("layers", 3, 0.88, -0.3, 9),
    "first 24 tokens": row("tokens", 24, 0.87, -1.3, 7),
}
FACTS = {
    "data": "agnews",
    "plan": [2, 1, 2, 1],
    "n": 10,
    "examples": 5,
    "seeds": 1,
    "layers": [2, 3],
    "cuts": [24],
}


def test_the_claim_names_who_is_ahead() -> None:
    (said,) = text_layers.claims("text_layers_agnews", {**FACTS, "rows": ROWS})
    assert "ahead of 2 layers (6.6 points) and first 24 tokens (1.3 points)" in said.sentence
    assert "level with 3 layers" in said.sentence
    assert "Of them, 2 layers (5.0 ms) answer sooner." in said.sentence
    assert said.limits.startswith("One run of each")
    assert said.rows["3 layers"]["interval"] == "-0.30 (-1.28 to +0.68)"


def test_a_table_without_fewer_layers_is_no_claim() -> None:
    rows = {name: found for name, found in ROWS.items() if found["kind"] != "layers"}
    with pytest.raises(ClaimError, match="fewer layers"):
        text_layers.claims("text_layers_agnews", {**FACTS, "rows": rows})
