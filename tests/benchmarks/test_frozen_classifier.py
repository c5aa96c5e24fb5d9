"""The help at test time that stands beside the pose search is what it is called, and the claim says who is ahead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.claims import read
from benchmarks.claims.frozen_classifier import ALONE, AUGMENTED, MEAN, OURS, SUREST
from benchmarks.frozen_classifier import copies_of, network, over_copies


class Brightness(nn.Module):
    """Sure of class 0 where the right half is bright, of class 1 where the left is, by how much."""

    def forward(self, images: Tensor) -> Tensor:
        half = images.shape[-1] // 2
        right = images[..., half:].mean((1, 2, 3)) - images[..., :half].mean((1, 2, 3))
        return 20 * torch.stack([right, -right - 0.2], 1)


def test_copies_are_even_turns_that_begin_with_the_picture() -> None:
    images = torch.rand(2, 1, 8, 8)
    found = copies_of(images, 4)
    assert found.shape == (2, 4, 1, 8, 8)
    for quarter in range(4):
        torch.testing.assert_close(found[:, quarter], images.rot90(quarter, (2, 3)), atol=1e-4, rtol=0)


def test_the_surest_copy_answers_alone_and_the_mean_is_of_all() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[..., 5:] = 1  # sure of 0 as it is, of 1 after half a turn, and a little less so
    alone = Brightness()(copies_of(images, 4)[0]).softmax(1)
    torch.testing.assert_close(over_copies(Brightness(), 4, surest=False)(images)[0], alone.mean(0))
    assert int(over_copies(Brightness(), 4, surest=True)(images).argmax(1)) == 0


def test_the_network_takes_any_frame() -> None:
    assert network(3, 40, 7)(torch.rand(2, 3, 40, 40)).shape == (2, 7)


@pytest.mark.parametrize(("turned", "said"), [(0.9, "10.0 points more"), (0.7, "10.0 points less")])
def test_the_claim_compares_with_the_better_help(turned: float, said: str, tmp_path: Path) -> None:
    right = {ALONE: 0.4, MEAN: 0.6, SUREST: 0.8, OURS: turned, AUGMENTED: 0.95}
    rows: dict[str, Any] = {
        row: {"turned": share, "upright": 0.97, "cpu_ms": 1.0, "cpu_seconds": 9.0}
        for row, share in right.items()
    }
    facts = {
        "data": "mnist",
        "n": 2000,
        "model": "affinevae-mnist",
        "train": 20_000,
        "epochs": 2,
        "upright": 500,
    }
    path = tmp_path / "frozen_classifier_mnist.json"
    path.write_text(json.dumps({**facts, "copies": 16, "machine": {"cpu": "a"}, "commit": "b", "rows": rows}))
    (claim,) = read(path)
    assert f"{said} than the better help at test time without it ({SUREST}, 80 %)" in claim.sentence.replace(
        ".0 %)", " %)"
    )
    assert claim.command == "python -m benchmarks.frozen_classifier --data mnist"
