"""Intervals over test images: paired, so that what both models find hard does not widen them."""

from __future__ import annotations

import pytest
import torch

from benchmarks.latent_size import beside, latents_needed, paired_bootstrap
from benchmarks.tools.tables import Rows
from training.loop import RunError


def test_the_interval_is_that_of_the_normal_distribution() -> None:
    torch.manual_seed(0)
    hard, gain = 100 * torch.rand(2000), 3 + 2 * torch.randn(2000)
    low, high = paired_bootstrap((hard + gain) - hard)
    error = float(gain.std()) / 2000**0.5
    assert low == pytest.approx(float(gain.mean()) - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(float(gain.mean()) + 1.96 * error, abs=0.15 * error)
    assert paired_bootstrap(gain) == paired_bootstrap(gain)


def test_latents_needed_lie_between_those_measured() -> None:
    curve = [(16, 110.0), (4, 130.0)]
    assert latents_needed(curve, 120.0) == pytest.approx(8)
    assert latents_needed(curve, 109.0) is None


def rows(affine: bool, nats: dict[int, float]) -> Rows:
    kind = "rotation" if affine else "none"
    return {f"{kind}-{n}": {"latents": n, "affine": affine, "nats": {"mean": x}} for n, x in nats.items()}


def test_more_sizes_stand_in_order_and_never_move_what_others_were_compared_with() -> None:
    recorded = rows(True, {2: 130.0, 8: 110.0}) | rows(False, {9: 120.0, 24: 117.0})
    found = beside(recorded, rows(False, {3: 160.0, 16: 118.0}))
    assert list(found) == ["rotation-2", "rotation-8", "none-3", "none-9", "none-16", "none-24"]
    with pytest.raises(RunError, match="none-33 is the best plain VAE now"):
        beside(recorded, rows(False, {33: 116.0}))
    with pytest.raises(RunError, match="none-9 is the best plain VAE now"):
        beside(
            recorded, rows(False, {24: 121.0})
        )  # measured again, it is no longer what the others were compared with
