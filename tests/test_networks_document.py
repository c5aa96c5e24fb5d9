"""What docs/networks.md shows works, and the reasons that it lists are those that are given."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from classifiers.networks import ALLOWED

TEXT = (Path(__file__).parent.parent / "docs" / "networks.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
SOURCE = (Path(__file__).parent.parent / "classifiers" / "tie.py").read_text()


def test_every_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_module")
    monkeypatch.setitem(sys.modules, "my_module", module)
    monkeypatch.setattr("classifiers.networks.ALLOWED", ALLOWED)
    before = dict(ALLOWED)
    try:
        for block in BLOCKS:
            exec(compile(block, "networks.md", "exec"), vars(module))
        assert vars(module)["name"] == "my_module:build"
    finally:
        ALLOWED.clear()
        ALLOWED.update(before)
    assert len(BLOCKS) == 6


@pytest.mark.parametrize("option", re.findall(r"python -m ([\w.]+) .*?(--allow|--network)", TEXT))
def test_commands_have_the_options_that_are_shown(option: tuple[str, str]) -> None:
    module, flag = option
    path = Path(__file__).parent.parent / f"{module.replace('.', '/')}"
    source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__main__.py"
    assert re.search(rf'{flag.strip("-")}: |"{flag}"', source.read_text())


def test_reasons_in_the_table_are_those_of_the_code() -> None:
    reasons = re.findall(r"^\| .+? \| (.+?) \|$", TEXT, re.MULTILINE)[1:]
    assert len(reasons) == 9
    for reason in reasons:
        words = re.split(
            r"StdConv2d|parametrizations|forward hooks|forward|torch\.\w+|block-3|8|degree.*", reason
        )
        assert all(
            part.strip() in SOURCE for part in words if len(part.strip()) > 6 and "needs" not in part
        ), reason
