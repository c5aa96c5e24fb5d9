"""Imports point one way, and the tabs of the page stand beside one another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODELS = ("affinevae", "classifiers", "textclf")
MAY = {
    "weights": {"weights"},
    "training": {"training", "weights"},
    **{package: {package, "training", "weights"} for package in MODELS},
    "benchmarks": {"benchmarks", *MODELS, "training", "weights"},
    "demo": {"demo", "benchmarks", *MODELS, "training", "weights"},
}
TABS = ("classify", "evidence", "shapes2d", "shapes3d", "text")  # "start" and "yourown" are about all of them


def imported(path: Path) -> Iterator[str]:
    """Full names of what a file imports anywhere, a module or something of one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", MAY)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        ours = {name.split(".")[0] for name in imported(path)} & {*MAY, "app", "tests"}
        assert ours <= MAY[package], path


def test_only_the_page_knows_gradio() -> None:
    for package in MAY.keys() - {"demo"}:
        for path in (ROOT / package).rglob("*.py"):
            assert not [name for name in imported(path) if name.split(".")[0] == "gradio"], path


@pytest.mark.parametrize("tab", TABS)
def test_no_tab_imports_another(tab: str) -> None:
    others = tuple(f"demo.{other}." for other in (*TABS, "start", "yourown") if other != tab)
    for path in (ROOT / "demo" / tab).glob("*.py"):
        assert not [name for name in imported(path) if name.startswith(others)], path


def test_what_tabs_share_knows_no_tab() -> None:
    tabs = tuple(f"demo.{tab}." for tab in (*TABS, "start", "yourown"))
    for room in ("models", "shapes", "uploads"):
        for path in (ROOT / "demo" / room).glob("*.py"):
            assert not [name for name in imported(path) if name.startswith(tabs)], path


def test_the_room_that_a_strangers_mesh_is_read_in_imports_nothing() -> None:
    assert not list(imported(ROOT / "demo" / "uploads" / "__init__.py"))
