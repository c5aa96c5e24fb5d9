"""Names: what is available, what is refused, and the commands over them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import Other, Tiny

import weights
from weights import WeightsError
from weights.__main__ import main


def test_shipped_catalogue_is_complete() -> None:
    for name, entry in weights.catalog().items():
        assert entry.repo or weights.folder(name).is_dir()


def test_a_folder_dropped_in_is_available(shelf: Path, model: Tiny) -> None:
    model.save_pretrained(shelf / "mine")
    Other().save_pretrained(shelf / "theirs")
    (shelf / "__pycache__").mkdir()
    (shelf / "half-made").mkdir()
    assert weights.available() == ["mine", "theirs"]
    assert weights.available("tinylib") == ["mine"]
    assert Tiny.from_pretrained("mine").head.weight.shape == (3, 4)


def test_a_folder_with_a_broken_config_is_listed_but_belongs_to_no_package(shelf: Path, model: Tiny) -> None:
    (model.save_pretrained(shelf / "mine") / "config.json").write_text("{")
    assert weights.available() == ["mine"]
    assert weights.available("tinylib") == []


def test_unknown_name_suggests_the_nearest(shelf: Path, model: Tiny) -> None:
    for name in ("tiny-digits", "large"):
        model.save_pretrained(shelf / name)
    message = r"'tiny-digit' \(did you mean 'tiny-digits'\?\): use one of large, tiny-digits, "
    with pytest.raises(WeightsError, match=message):
        Tiny.from_pretrained("tiny-digit")


def test_a_file_of_a_model_is_answered_with_its_folder(shelf: Path, model: Tiny) -> None:
    model.save_pretrained(shelf / "tiny")
    with pytest.raises(
        WeightsError, match=r"model.safetensors is a file: give the folder that it lies in, .*tiny$"
    ):
        Tiny.from_pretrained(shelf / "tiny" / "model.safetensors")


def test_a_home_is_found_and_what_is_no_path_is_a_sentence(
    model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    model.save_pretrained(tmp_path / "runs" / "tiny")
    assert Tiny.from_pretrained("~/runs/tiny").folder == tmp_path / "runs" / "tiny"
    for name, message in (("", "a model needs a name"), ("~nobody/x", "no folder"), ("a" * 5000, "no ")):
        with pytest.raises(WeightsError, match=message):
            Tiny.from_pretrained(name)


@pytest.mark.parametrize("name", ["../x", "..", "/no/such", "a/b/c", ".hidden", "a\\b", "a\0b", "a b", "é"])
def test_only_plain_names(name: str, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nothing" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "nothing" / "here")  # a folder of that name may lie beside any other
    with pytest.raises(
        WeightsError, match="names are of folders in .*: move it there" if name == ".." else "as a name"
    ):
        weights.folder(name)
    if name != "..":
        with pytest.raises(WeightsError, match="no folder"):
            Tiny.from_pretrained(name)


def test_a_folder_has_no_revision(shelf: Path, model: Tiny) -> None:
    model.save_pretrained(shelf / "mine")
    for where in ("mine", str(shelf / "mine")):
        with pytest.raises(WeightsError, match="no revision 'v1'"):
            Tiny.from_pretrained(where, revision="v1")


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}', '{"a": {"sha": "0"}}', '{"../a": {}}'])
def test_bad_catalogue_is_one_sentence(shelf: Path, text: str) -> None:
    (shelf / "catalog.json").write_text(text)
    with pytest.raises(WeightsError):
        weights.catalog()


def test_register_keeps_the_revision_of_unchanged_weights_only(shelf: Path, model: Tiny) -> None:
    model.save_pretrained(shelf / "mine")
    first = weights.register("mine", "me/mine", "v1")
    assert weights.register("mine") == first == weights.catalog()["mine"]
    Tiny(2, scales=[]).save_pretrained(shelf / "mine")
    changed = weights.register("mine")
    assert (changed.repo, changed.revision) == ("me/mine", None)
    assert all(changed.files[name] != first.files[name] for name in ("config.json", "model.safetensors"))
    assert json.loads((shelf / "catalog.json").read_text())["mine"]["package"] == "tinylib"


def test_listed_without_a_folder_or_a_repository(shelf: Path, model: Tiny) -> None:
    model.save_pretrained(shelf / "mine")
    weights.register("mine")
    (shelf / "mine").rename(shelf / "yours")
    with pytest.raises(WeightsError, match="mine is in the catalogue, but neither in"):
        Tiny.from_pretrained("mine")
    assert main(["verify"]) == 2
    assert main(["list"]) == 0


def test_wrong_sha256_is_refused(shelf: Path, model: Tiny) -> None:
    model.save_pretrained(shelf / "mine")
    weights.register("mine")
    Tiny(4, scales=[]).save_pretrained(shelf / "mine")
    with pytest.raises(WeightsError, match="config.json is not what the catalogue's sha256 says"):
        Tiny.from_pretrained("mine")


def test_list(shelf: Path, model: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    model.save_pretrained(shelf / "mine")
    model.save_pretrained(shelf / "shipped")
    weights.register("shipped")
    (model.save_pretrained(shelf / "torn") / "model.safetensors").write_bytes(b"x")
    assert main(["list"]) == 0
    head, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head == ["name", "library", "on", "disk", "parameters", "graphs", "place"]
    assert rows == [
        ["mine", "tinylib", "0.00", "MB", "21", "0", "local"],
        ["shipped", "tinylib", "0.00", "MB", "21", "0", "shipped"],
        ["torn", "tinylib", "-", "-", "-", "missing", "or", "damaged"],
    ]


def test_verify_says_one_line_a_name(shelf: Path, model: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("added", "changed", "dropped"):
        model.save_pretrained(shelf / name)
    assert main(["add", "added", "--repo", "me/added"]) == main(["add", "changed"]) == 0
    Tiny(2, scales=[]).save_pretrained(shelf / "changed")
    capsys.readouterr()
    assert main(["verify"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["added", "changed", "dropped"]
    assert lines[0] == "added: ok (shipped; 2 files as listed)"
    assert lines[1].startswith("changed: WRONG: ")
    assert "config.json, model.safetensors are not what the catalogue's sha256 says" in lines[1]
    assert lines[2] == LOADS.format("dropped")
    assert main(["verify", "added"]) == 0
    assert main(["verify", "nothing"]) == 2


LOADS = "{}: ok (local, not in the catalogue; it loads; graphs that answer as its weights do: 0)"
UNKNOWN = (
    "{}: ok (local, not in the catalogue; the numbers were read, but nothing here runs a model of tinylib)\n"
)


def command(shelf: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WEIGHTS_DIR": str(shelf)}
    root = Path(weights.__file__).parents[1]
    run = [sys.executable, "-m", "weights", *arguments]
    return subprocess.run(run, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_library_is_found_by_itself(shelf: Path) -> None:
    """Folders are looked into whose library nobody has imported yet."""
    names = ("vae-mnist", "cnn-fashion", "cnn-fashion-dense")
    shipped = Path(weights.__file__).parent
    done = command(shelf, "verify", *(str(shipped / name) for name in names))
    said = [line.rpartition("; ")[2] for line in done.stdout.splitlines()]
    assert said == [f"graphs that answer as its weights do: {n})" for n in (0, 1, 1)]
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_and_no_such_name_are_sentences(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for asked in (["list"], ["verify"]):
        assert main(asked) == 2
        assert capsys.readouterr().err == f"there are no models in {shelf}: copy a model's folder there\n"
    assert main(["add", "nothing"]) == 2
    assert "has no folder 'nothing': copy the model's folder there first" in capsys.readouterr().err


@pytest.mark.slow
def test_exit_codes(shelf: Path, model: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    model.save_pretrained(shelf / "mine")
    good = command(shelf, "verify", "mine")
    assert (good.returncode, good.stdout, good.stderr) == (0, UNKNOWN.format("mine"), "")
    assert main(["add", "nothing"]) == 2
    bad = capsys.readouterr()
    assert (bad.out, bad.err.count("\n")) == ("", 1)
    (shelf / "mine" / "model.safetensors").write_bytes(b"torn")
    assert main(["verify"]) == 2
    torn = capsys.readouterr()
    assert (torn.out.count("\n"), torn.err) == (1, "1 of 1 wrong\n")
