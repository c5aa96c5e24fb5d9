"""Fixtures of the weights tests: a tiny model, an empty directory of weights, a Hub on the loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hub import fake_hub
from tiny import Tiny

__all__ = ["fake_hub"]


@pytest.fixture
def model() -> Tiny:
    torch.manual_seed(0)
    return Tiny(width=4, scales=[0.5, 2.0])


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory of weights in place of ours."""
    path = tmp_path / "shelf"
    path.mkdir()
    monkeypatch.setenv("WEIGHTS_DIR", str(path))
    return path
