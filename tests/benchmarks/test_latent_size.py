"""Intervals over test images: paired, so that what both models find hard does not widen them."""

from __future__ import annotations

import pytest
import torch

from benchmarks.latent_size import latents_needed, paired_bootstrap


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
