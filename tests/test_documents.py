"""The documents say what the repository holds, in lines that one can read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.tools.readme import WIDTH, documents, fronts, render

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_what_is_drawn_equals_the_results_that_it_is_drawn_from(document: Path) -> None:
    text = document.read_text()
    assert render(text) == text


def test_every_claim_has_its_place_in_the_results() -> None:
    from benchmarks.tools.readme import every_claim

    placed = re.findall(r"<!-- result: (.+?) -->", (ROOT / "docs" / "results.md").read_text())
    assert sorted(placed) == sorted(claim.name for claim in every_claim())


def test_every_document_is_on_the_map_of_the_site() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert set(re.findall(r": (\w+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)) == pages


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


def test_the_readme_is_read_in_a_minute() -> None:
    assert len(README.splitlines()) <= 200
    assert max(map(len, README.splitlines())) <= WIDTH


@pytest.mark.parametrize("document", WRITTEN, ids=lambda path: path.name)
def test_lines_end_where_one_still_sees_them(document: Path) -> None:
    long = [line for line in document.read_text().splitlines() if len(line) > WIDTH]
    assert not [line for line in long if not line.startswith("|")]  # a row of a table cannot be broken


@pytest.mark.parametrize("document", WRITTEN, ids=lambda path: path.name)
def test_every_file_that_is_named_or_linked_exists(document: Path) -> None:
    text = document.read_text()
    for link in re.findall(r"\]\((?!http)([^)#]+?)(?:#[^)]*)?\)", text):
        assert (document.parent / link).exists(), link
    packages = "affinevae|benchmarks|classifiers|demo|tests|textclf|training|weights"
    for name in re.findall(rf"`((?:{packages})/[\w/-]*\.\w+)`", text):
        assert (ROOT / name).exists(), name
