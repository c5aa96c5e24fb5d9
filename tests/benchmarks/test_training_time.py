"""Networks get as many processor seconds as the tied one, and the claim says who is ahead after them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmarks.training_time
from benchmarks.claims import read
from benchmarks.training_time import TrainingTime, fewer, rows_of
from training.datasets import load_images

TIED, NARROW, DENSE = "airbench@0.7:blueprint", "airbench@0.25", "airbench@0.5"
PACE = {TIED: 9.0, NARROW: 3.0, DENSE: 6.0}  # processor seconds an epoch


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    def trained(options: TrainingTime, network: str, epochs: int) -> list[dict[str, Any]]:
        right = {TIED: 0.8, NARROW: 0.78, DENSE: 0.83}[network] + epochs / 1000
        training = {"epochs": epochs, "cpu_seconds": PACE[network] * epochs, "validation_accuracy": right}
        return [
            {"training": training, "test": {"accuracy": right, "parameters": 100, "macs": 7}}
        ] * options.seeds

    monkeypatch.setattr(benchmarks.training_time, "trained", trained)
    return rows_of(TrainingTime("fashion", epochs=(2, 20)))


def test_every_network_gets_the_seconds_of_the_first(rows: dict[str, dict[str, Any]]) -> None:
    spent = {name: (row["epochs"], row["budget"]) for name, row in rows.items()}
    assert spent == {
        f"{TIED}, 2 epochs": (2, 18.0),
        f"{TIED}, 20 epochs": (20, 180.0),
        f"{NARROW}, 2 epochs": (2, None),  # only its pace
        f"{NARROW}, 6 epochs": (6, 18.0),
        f"{NARROW}, 60 epochs": (60, 180.0),
        f"{DENSE}, 2 epochs": (2, None),
        f"{DENSE}, 3 epochs": (3, 18.0),
        f"{DENSE}, 30 epochs": (30, 180.0),
    }
    assert all(row["cpu_seconds"]["mean"] == row["budget"] for row in rows.values() if row["budget"])


@pytest.mark.parametrize(("gain", "said"), [(0.1, "8.0 points ahead of"), (0.0, "2.0 points behind")])
def test_the_claim_says_who_is_ahead(
    gain: float, said: str, rows: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    rows[f"{TIED}, 20 epochs"]["accuracy"]["mean"] += gain
    facts = {
        "data": "fashion",
        "n": 10_000,
        "examples": 6000,
        "test": None,
        "networks": [TIED, NARROW, DENSE],
        "epochs": [2, 20],
    }
    path = tmp_path / "training_time_fashion.json"
    path.write_text(json.dumps({**facts, "seeds": 1, "machine": {"cpu": "a"}, "commit": "b", "rows": rows}))
    (claim,) = read(path)
    assert f"{TIED} is {said}" in claim.sentence
    assert "180 s" in claim.sentence
    assert claim.command.endswith("--data fashion --epochs 2 20 --examples 6000")


def test_fewer_examples_are_the_first(tmp_path: Path) -> None:
    labels = np.tile(np.arange(2, dtype=np.uint8), 100)
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8), np.uint8)
    np.savez(tmp_path / "dots.npz", images=images, labels=labels, split=np.arange(200) >= 150)
    some = fewer(TrainingTime(str(tmp_path / "dots.npz"), examples=40, test=30, runs=tmp_path / "runs"))
    found = load_images(some.data)
    assert len(found.train) + len(found.validation) == 40
    assert (found.test.images == load_images(str(tmp_path / "dots.npz")).test.images[:30]).all()
