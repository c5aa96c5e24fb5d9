"""Fixtures of the fault tests: a disk that is full, a disk that is read-only, a Hub on the loopback, tiny models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).resolve().parents[1]
for neighbour in ("weights", "demo", "textclf"):  # their Hub, their tiny models, their tokenizer
    sys.path.append(str(TESTS / neighbour))

from disks import Disk  # noqa: E402
from hub import fake_hub  # noqa: E402

__all__ = ["fake_hub"]

patient = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
settings.register_profile("short", patient, derandomize=True, max_examples=60)
settings.register_profile("long", patient, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 1 MB of its own; skipped where nothing can be mounted, as without root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a disk cannot be mounted here")
    yield Disk(folder)
    subprocess.run(["umount", "-l", folder], check=True)
