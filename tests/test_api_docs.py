"""``docs/api.md`` says of the endpoints what the page says of itself, and its examples run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from benchmarks.tools.serving import serving
from demo.page import build

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:7860/"
SECTION = re.compile(r"^### `(\w+)`\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_every_endpoint_is_described_with_its_parameters_as_the_page_has_them() -> None:
    endpoints = build().get_api_info()["named_endpoints"]
    sections = dict(SECTION.findall(TEXT))
    assert [f"/{name}" for name in sections] == list(endpoints)
    for name, described in endpoints.items():
        expected = [
            (
                p["parameter_name"],
                p["python_type"]["type"].replace("|", "or"),
                f"`{p['parameter_default']!r}`" if p["parameter_has_default"] else "needed",
            )
            for p in described["parameters"]
        ]
        assert ROW.findall(sections[name[1:]]) == expected
        assert " ".join(described["description"].split()) in " ".join(sections[name[1:]].split())
        assert f'api_name="{name}"' in sections[name[1:]]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("page") / "log.txt") as server:
        yield server.url


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the examples send."""
    picture = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(picture).line([(20, 10), (44, 10), (30, 54)], fill="black", width=6)
    picture.save(tmp_path / "picture.png")
    shutil.copy(ROOT / "demo" / "meshes" / "chair.glb", tmp_path / "chair.glb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_python_examples_run_in_their_order(page: str) -> None:
    namespace: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block.replace(ADDRESS.rstrip("/"), page.rstrip("/")), "api.md", "exec"), namespace)
    assert str(namespace["stl"])
    assert namespace["answer"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_shell_example_runs(page: str, folder: Path) -> None:
    (script,) = blocks("bash")
    done = subprocess.run(
        ["bash", "-euc", script.replace(ADDRESS, page)], cwd=folder, env=os.environ, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert "event: complete" in done.stdout, done.stdout + done.stderr
    assert "data:image/png;base64," in done.stdout
