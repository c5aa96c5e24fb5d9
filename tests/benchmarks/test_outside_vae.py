"""The independent VAE that ours is checked against: missing it is said, and its bound is a bound in nats."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from affinevae.turned import TurnedImages
from benchmarks.outside_vae import OutsideVAE, fit_for, negative_elbo, outside_vae
from training.loop import RunError


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythae.models", None)
    with pytest.raises(RunError, match="pip install pythae"):
        outside_vae(16, 1, 4)


def test_its_bound_is_in_nats_and_training_lowers_it() -> None:
    pytest.importorskip("pythae")
    images = (torch.rand(64, 1, 12, 12, generator=torch.Generator().manual_seed(0)) > 0.7).byte() * 255
    data = TurnedImages(images, 16, "rotation", 0, anew=True)
    torch.manual_seed(0)
    model = outside_vae(16, 1, 4)
    test = data(torch.arange(32))
    untrained = negative_elbo(model, test)
    assert untrained == pytest.approx(256 * math.log(2), rel=0.1)  # an undecided pixel costs log 2
    spent = fit_for(model, data, OutsideVAE("mnist", 4, batch=16), 1.0, 0)
    assert spent >= 1.0
    assert negative_elbo(model, test) < 0.8 * untrained
