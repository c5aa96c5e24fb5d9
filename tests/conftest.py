"""Fixtures for every test, and the marks that a test has by where it stands: see CONTRIBUTING.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
# Below ``tests/``; what starts a server or other processes, or builds graphs, is slow.
MARKS = {
    "*test_*train*.py": ("training", "slow"),
    "*test_any_data.py": ("training", "slow"),
    "classifiers/test_photos.py": ("training", "slow"),
    "classifiers/test_backbone.py": ("slow",),
    "test_tutorial.py": ("training", "slow"),
    "faults/*": ("faults", "slow"),
    "*test_*export*.py": ("slow",),
    "demo/*test_endpoints*.py": ("slow",),
    "demo/server/*": ("slow",),
    "demo/uploads/test_mesh*.py": ("slow",),
    "demo/uploads/test_uploads_meshes.py": ("slow",),
    "test_api_docs.py": ("slow",),
    "weights/test_graphs.py": ("slow",),
    "weights/test_space.py": ("slow",),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        place = item.path.relative_to(TESTS).as_posix()
        marks = {mark for pattern, names in MARKS.items() if fnmatch(place, pattern) for mark in names}
        if "browser" in getattr(item, "fixturenames", ()):
            marks |= {"browser", "slow"}
        for mark in sorted(marks):
            item.add_marker(mark)


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


@pytest.fixture
def cut_short(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Runs a training that ends at once when so many epochs are logged, before the last of them is saved.

    What a kill at any other moment leaves is in ``tests/faults/test_faults_training.py``.
    """

    def run(epochs: int, train: Callable[[], object]) -> None:
        import training.loop

        log = training.loop.log

        def last(output: Path, record: dict[str, Any]) -> None:
            log(output, record)
            if record["epoch"] == epochs:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(training.loop, "log", last)
            with pytest.raises(KeyboardInterrupt):
                train()

    return run
