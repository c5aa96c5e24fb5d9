"""The benchmark of what a search promises: which plans, how promises are compared, and what is said of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.claims import read
from benchmarks.claims.text_promises import CALIBRATED, COUNTED, SURE
from benchmarks.text_promises import compared, kept
from training.loop import RunError


def test_plans_are_the_full_length_and_others_from_end_to_end() -> None:
    front = [{"factors": [2] * i + [1] * (6 - i), "latency_ms": 10.0 - i} for i in range(6)]
    metrics = {"search": {"front": front[::-1]}}
    assert kept(metrics, 3) == [(1,) * 6, tuple(front[1]["factors"]), tuple(front[5]["factors"])]
    assert kept(metrics, 100) == [tuple(p["factors"]) for p in front]
    with pytest.raises(RunError, match="not searched"):
        kept({}, 3)


def test_losses_are_against_the_full_length() -> None:
    found = [0.10, 0.11, 0.13]
    exact, shifted, mixed = found, [0.20, 0.21, 0.23], [0.10, 0.13, 0.11]
    foretold = [{"a": a, "b": b, "c": c} for a, b, c in zip(exact, shifted, mixed, strict=True)]
    rows = compared(foretold, found)
    assert rows["a"] == {"rank": pytest.approx(1), "off": pytest.approx(0), "worst": pytest.approx(0)}
    assert rows["b"] == {"rank": pytest.approx(1), "off": pytest.approx(0), "worst": pytest.approx(0)}
    assert rows["c"] == {"rank": pytest.approx(0.5), "off": pytest.approx(2), "worst": pytest.approx(2)}


def test_what_is_said_follows_the_numbers(tmp_path: Path) -> None:
    ways = {CALIBRATED: 0.9, COUNTED: 0.7, SURE: -0.2}
    results = {
        "model": "text-x",
        "data": "agnews",
        "validation": 998,
        "n": 4000,
        "plans": [
            {"factors": [1, 1], "lost": 0.0, "foretold": dict.fromkeys(ways, 0.0)},
            {"factors": [2, 1], "lost": 1.0, "foretold": dict.fromkeys(ways, 0.5)},
        ],
        "rows": {way: {"rank": rank, "off": 0.5, "worst": 0.5} for way, rank in ways.items()},
    }
    path = tmp_path / "text_promises_text-x.json"
    path.write_text(json.dumps(results))
    (claim,) = read(path)
    assert re.findall(r"-?\d\.\d\d", claim.sentence) == ["0.90", "0.70", "-0.20"]
    assert [(p.x, p.y) for p in claim.plots[0].points if p.name == "2 1"] == [(0.5, 1.0)] * 3
