"""The page as a Space: what is in the folder, that it runs by itself, and one commit on a Hub on the loopback."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from hub import TOKEN, FakeHub

from weights import WeightsError, space
from weights.__main__ import main


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A repository as small as one can be."""
    root = tmp_path / "repository"
    for name in space.PACKAGES:
        (root / name).mkdir(parents=True)
        (root / name / "__init__.py").write_text("")
    (root / "weights" / "model").mkdir()
    (root / "weights" / "model" / "model.safetensors").write_bytes(b"weights")
    (root / "demo" / "__pycache__").mkdir()
    (root / "demo" / "__pycache__" / "a.pyc").write_bytes(b"")
    for name in (*space.FILES, "README.md"):
        shutil.copy(space.ROOT / name, root / name)
    return root


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("hardware", space.HARDWARE)
def test_the_folder_holds_what_the_page_needs_and_says_on_what_it_runs(hardware: str, tmp_path: Path) -> None:
    folder = space.build(tmp_path / "space", hardware)
    found = names(folder)
    assert {"app.py", "demo/page.py", "weights/catalog.json", "requirements.txt", "README.md"} <= found
    assert not [name for name in found if name.startswith(("tests/", "docs/", ".")) or "__pycache__" in name]
    card, needs = (folder / "README.md").read_text(), (folder / "requirements.txt").read_text()
    assert f"\nsuggested_hardware: {hardware}\n" in card
    assert "sdk: gradio" in card
    (torch,) = re.findall("(?m)^torch[<>].*$", needs)
    assert torch.endswith("<2.12") == (hardware == space.ZERO)
    for line in (space.ROOT / "requirements.txt").read_text().splitlines()[1:]:
        assert line in needs


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(WeightsError, match="not empty"):
        space.build(tmp_path)


def test_one_commit_makes_the_space_what_the_folder_is(
    tiny: Path, tmp_path: Path, fake_hub: FakeHub, token: None
) -> None:
    folder = space.build(tmp_path / "space", root=tiny)
    made = space.push(folder, "me/page")
    assert set(fake_hub.files("me/page")) == names(folder)
    assert made.page.endswith("/spaces/me/page")
    (folder / "weights" / "model" / "model.safetensors").unlink()
    fake_hub.repos["me/page"].add({**fake_hub.files("me/page"), ".gitattributes": b"", "old.py": b""}, "main")
    commits = len(fake_hub.repos["me/page"].commits)
    space.push(folder, "me/page")
    assert set(fake_hub.files("me/page")) == names(folder) | {".gitattributes"}
    assert len(fake_hub.repos["me/page"].commits) == commits + 1


def test_hardware_that_costs_is_said(tiny: Path, tmp_path: Path, fake_hub: FakeHub, token: None) -> None:
    folder = space.build(tmp_path / "space", space.CPU, root=tiny)
    with pytest.raises(WeightsError, match="two Gradio Spaces, on ZeroGPU: leave --hardware out"):
        space.push(folder, "me/page", space.CPU)
    assert "me/page" not in fake_hub.repos


def test_without_a_token_nothing_is_sent(
    tiny: Path,
    tmp_path: Path,
    fake_hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(space, "get_token", lambda: None)
    monkeypatch.setattr(space, "ROOT", tiny)
    monkeypatch.setattr(space.build, "__defaults__", (space.ZERO, tiny))
    assert main(["space", "--repo", "me/page", "--output", str(tmp_path / "kept")]) == 2
    assert "HF_TOKEN is not set" in capsys.readouterr().err
    assert not fake_hub.requests
    assert names(tmp_path / "kept")


def test_a_folder_that_does_not_start_says_its_last_word(tiny: Path, tmp_path: Path) -> None:
    folder = space.build(tmp_path / "space", root=tiny)
    (folder / "app.py").write_text("raise SystemExit('no way')")
    with pytest.raises(WeightsError, match="does not start: no way"):
        space.check(folder, sys.executable)


def test_it_runs_by_itself_and_every_endpoint_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the interpreter of the tests; `python -m weights space --check` makes a fresh environment."""
    monkeypatch.setenv("PYTHONPATH", os.devnull)  # which must not help
    folder = space.build(tmp_path / "space")
    found = set(space.check(folder, sys.executable))
    assert {"/encode_image", "/encode_shape", "/classify_image", "/classify_text", "/list_models"} <= found
