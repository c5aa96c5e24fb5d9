"""Fixtures for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# Before torch is there: workers side by side that each take every core are several times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """Accelerate keeps one state a process; a test must not inherit another's precision."""
    yield
    import sys

    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)
