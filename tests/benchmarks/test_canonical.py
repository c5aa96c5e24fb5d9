"""Where a model stands each class: found among noise, whatever the angle, and told as it is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from affinevae.metrics import wrap
from benchmarks.canonical import commonest, described, histogram, nearest
from benchmarks.claims import Claim, read
from benchmarks.claims.canonical import ANGLES


@pytest.mark.parametrize("degrees", [0, 7, 90, 172, 180, -121])
def test_the_commonest_orientation_is_found_among_others(degrees: int) -> None:
    torch.manual_seed(0)
    middle = math.radians(degrees)
    angle = wrap(torch.cat([middle + 0.05 * torch.randn(700), (torch.rand(300) - 0.5) * 2 * math.pi]))
    assert float(wrap(commonest(angle) - middle).abs()) < math.radians(1)
    row = described(angle)
    assert row["within_15"] == pytest.approx(0.7 + 0.3 * 30 / 360, abs=0.03)
    assert row["half_turn"] == pytest.approx(0.3 * 30 / 360, abs=0.02)
    assert row["within_15"] + row["half_turn"] + row["elsewhere"] == pytest.approx(1)


def test_the_histogram_counts_every_angle_once_and_both_ends_are_the_same() -> None:
    angle = torch.tensor([-math.pi, math.pi - 1e-4, 0.0, math.radians(14)])
    shares = dict(zip(ANGLES, histogram(angle).tolist(), strict=True))
    assert {k: v for k, v in shares.items() if v} == {-180: 0.5, 0: 0.25, 15: 0.25}


def test_the_nearest_other_class_is_the_one_whose_codes_are() -> None:
    z = torch.tensor([[0.0], [0.1], [5.0], [5.1], [0.2], [9.0]])
    rows = nearest(z, torch.tensor([0, 0, 1, 1, 2, 2]), ["a", "b", "c"])
    assert (rows["c"]["nearest"], rows["c"]["nearest_share"]) == ("a", 0.5)
    assert rows["b"]["nearest_share"] == 0


def claim(tmp_path: Path, second: float, reversed_share: float = 0.0) -> Claim:
    def row(degrees: float, other: str, half_turn: float = 0.0) -> dict[str, object]:
        shares = [float(angle == 0) for angle in ANGLES]
        stands = {"within_15": 0.6, "half_turn": half_turn, "elsewhere": 0.4 - half_turn}
        return {
            "n": 10,
            "degrees": degrees,
            **stands,
            "histogram": shares,
            "nearest": other,
            "nearest_share": 0.1,
        }

    rows = {"six": row(-120, "nine"), "nine": row(second, "six"), "eight": row(0, "six", reversed_share)}
    path = tmp_path / "canonical_mnist.json"
    path.write_text(json.dumps({"data": "mnist", "n": 30, "model": "affinevae-mnist", "rows": rows}))
    return read(path)[0]


def test_what_is_said_follows_the_numbers(tmp_path: Path) -> None:
    assert claim(tmp_path, 62).sentence.endswith("for some: of six it is nine and of nine it is six.")
    assert "half a turn" not in claim(tmp_path, -110).sentence
    assert "eight (30 %)" in claim(tmp_path, 62, 0.3).limits
    assert "eight" not in claim(tmp_path, 62).limits
