"""What CONTRIBUTING.md shows works, and what it adds to a registry passes what the registry promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from affinevae.affine import GROUPS
from classifiers.tied import FAMILIES

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def shown() -> Iterator[dict[str, object]]:
    """The names that the document's code defines, run from top to bottom; the registries are put back afterwards."""
    names: dict[str, object] = {"__name__": "contributing"}
    try:
        for block in BLOCKS:
            exec(compile(block, "CONTRIBUTING.md", "exec"), names)
        yield names
    finally:
        GROUPS.pop("zoom", None)
        FAMILIES.pop("mirror", None)


def test_every_example_runs_and_the_tie_is_what_its_docstring_says(shown: dict[str, object]) -> None:
    assert len(BLOCKS) == 4
    like = nn.Conv2d(6, 8, 5, 2, 2)
    layer = FAMILIES["mirror"](like, 1)
    x, kernel = torch.randn(2, 6, 9, 9), layer.to_dense()
    assert torch.equal(kernel, kernel.flip(-1))
    assert layer.parameter_count() == sum(p.numel() for p in layer.parameters())
    torch.testing.assert_close(layer(x), F.conv2d(x, kernel, layer.bias, 2, 2))
    layer.project(kernel + (like.weight - like.weight.flip(-1)))  # the odd part is what a mirror cannot hold
    torch.testing.assert_close(layer.to_dense(), kernel)


def test_every_file_that_it_names_exists() -> None:
    for name in re.findall(r"`((?:affinevae|classifiers|demo|textclf|benchmarks|tests)/[\w/]*\.\w+)`", TEXT):
        assert (Path(__file__).parent.parent / name).exists(), name
