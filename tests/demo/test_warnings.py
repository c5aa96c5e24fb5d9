"""A warning is made in one place, where whatever a visitor put into it stops being HTML."""

from __future__ import annotations

import ast
from pathlib import Path

import gradio as gr
import pytest

from demo.tab import kindly, warn
from demo.uploads.values import read_choice

LINK = '<a href="http://evil.example">your prize</a><img src=x onerror=alert(1)>'


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    words: list[str] = []
    monkeypatch.setattr(gr, "Warning", words.append)
    return words


def test_a_warning_holds_no_tag(said: list[str]) -> None:
    warn(f"There is no model {LINK}.")
    assert "<" not in said[0]
    assert "&lt;a href=" in said[0]


def test_a_name_from_a_link_is_shown_as_it_was_written_and_never_lives(said: list[str]) -> None:
    kindly(lambda asked: read_choice(asked, ("full", "balanced"), "The plan"))(LINK)
    assert len(said) == 1
    assert "<" not in said[0]
    assert "&lt;a" in said[0]


def test_nothing_else_in_the_page_makes_a_warning() -> None:
    """Gradio takes the text of both for HTML; errors are for programs, in JSON."""
    makers = {"Warning", "Info"}
    found = [
        path.as_posix()
        for path in sorted(Path("demo").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in makers
        and isinstance(node.value, ast.Name)
        and node.value.id == "gr"
    ]
    assert found == ["demo/tab.py"]
