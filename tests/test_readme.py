"""The README says what the repository holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.readme import DOCUMENTS, fronts, render

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_equal_the_results_they_are_drawn_from(document: Path) -> None:
    text = document.read_text()
    assert "<!-- table:" in text
    assert render(text) == text


def test_the_pages_plots_of_compact_networks_are_those_of_the_results() -> None:
    assert {path.parent.name for path in fronts()} == {"cnn-cifar10", "cnn-fashion"}
    for path, content in fronts().items():
        assert json.loads(path.read_text()) == json.loads(content)


def test_the_space_runs_the_pinned_gradio() -> None:
    version = re.search(r"^sdk_version: (\S+)$", README, re.MULTILINE)
    pin = re.search(r"^gradio>=(\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert version is not None
    assert pin is not None
    assert version.group(1).startswith(pin.group(1) + ".")


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_relative_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_file_that_the_readme_names_exists() -> None:
    for name in re.findall(r"`((?:affinevae|demo|training|weights|benchmarks)/[\w/]*(?:\.\w+)?)`", README):
        assert (ROOT / name).exists(), name
