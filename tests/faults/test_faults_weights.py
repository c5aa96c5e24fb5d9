"""Saving, exporting, downloading and pushing, cut short anywhere: never half a model, and the next run mends it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from disks import Disk, leftovers
from dying import CONTEXT, PATIENCE, in_child, killed_at, with_limit
from hub import TOKEN, FakeHub
from huggingface_hub import constants
from tiny import Tiny

import classifiers.export
import weights
from classifiers import CompactCNN
from weights import WeightsError
from weights.checkpoint import ABANDONED, write
from weights.push import push

OLD, NEW = {"width": 4, "scales": [0.5, 2.0]}, {"width": 8, "scales": [1.0]}
FILES = ["config.json", "metrics.json", "model.safetensors"]


def tiny(arguments: dict[str, object]) -> Tiny:
    torch.manual_seed(0)
    return Tiny(**arguments)  # type: ignore[arg-type]


def save(folder: Path, arguments: dict[str, object]) -> None:
    tiny(arguments).save_pretrained(folder, metrics={"width": arguments["width"]})


def forget(folder: Path) -> None:
    """What is left over there is from long ago."""
    for path in (*folder.glob(".*"), *folder.parent.glob(".*")):
        os.utime(path, (0, 0))


# Saving ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exists", [False, True])
def test_save_killed_at_every_step_is_old_or_new_or_refused(exists: bool, tmp_path: Path) -> None:
    folder, found = tmp_path / "place" / "model", set()
    folder.parent.mkdir()
    for step in range(1, 30):
        if exists:
            save(folder, OLD)
        if not in_child(killed_at, step, tmp_path, save, folder, NEW).killed:
            break
        if folder.exists() or exists:
            found.add(loaded(folder))
        forget(folder)
        save(folder, NEW)
        assert loaded(folder) == "new"
        assert sorted(path.name for path in folder.iterdir()) == FILES
        assert leftovers(folder.parent) == []
        subprocess.run(["rm", "-r", folder], check=True)
    assert step > 4
    assert found <= ({"old", "new", "refused"} if exists else {"new"})


def loaded(folder: Path) -> str:
    """Whose weights and arguments a folder holds; never one's weights with the other's arguments."""
    try:
        model = Tiny.from_pretrained(folder)
    except WeightsError:
        return "refused"
    for name, arguments in (("old", OLD), ("new", NEW)):
        if model.embedding.weight.shape[1] == arguments["width"]:
            assert all(torch.equal(t, model.state_dict()[n]) for n, t in tiny(arguments).state_dict().items())
            return name
    raise AssertionError("neither")


def test_weights_of_the_same_shape_never_meet_the_arguments_of_others(tmp_path: Path) -> None:
    """Nothing but the config says which activation the weights were trained with."""
    for step in range(1, 30):
        save(tmp_path / "model", OLD)
        ended = in_child(killed_at, step, tmp_path, save, tmp_path / "model", {**OLD, "activation": "gelu"})
        if not ended.killed:
            break
        if loaded(tmp_path / "model") == "refused":
            assert not (tmp_path / "model" / "config.json").exists()
    assert "gelu" in (tmp_path / "model" / "config.json").read_text()


def test_only_what_was_abandoned_is_cleared(tmp_path: Path) -> None:
    save(tmp_path / "model", OLD)
    names = {"theirs": ".model." + "a" * 32, "ours": ".model." + "b" * 32, "else": ".model.notes"}
    for name in names.values():
        (tmp_path / "model" / name).mkdir()
    long_ago = time.time() - 2 * ABANDONED
    for key in ("ours", "else"):
        os.utime(tmp_path / "model" / names[key], (long_ago, long_ago))
    save(tmp_path / "model", OLD)
    assert leftovers(tmp_path / "model") == sorted([names["theirs"], names["else"]])


def test_a_clock_that_was_set_back_clears_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = tmp_path / "model" / (".model." + "a" * 32)
    aside.mkdir(parents=True)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    save(tmp_path / "model", OLD)
    assert aside.exists()


def test_a_full_disk_keeps_the_old_model(disk: Disk) -> None:
    folder = disk.folder / "model"
    save(folder, OLD)
    ballast = disk.fill()
    with pytest.raises(WeightsError, match="the disk is full, free some space"):
        save(folder, NEW)
    assert loaded(folder) == "old"
    assert leftovers(folder) == []
    ballast.unlink()
    save(folder, NEW)
    assert loaded(folder) == "new"


def test_a_folder_that_is_read_only_is_read_and_never_written(disk: Disk) -> None:
    folder = disk.folder / "model"
    save(folder, OLD)
    disk.protect()
    assert loaded(folder) == "old"
    for place in (folder, disk.folder / "other"):
        with pytest.raises(WeightsError, match="cannot write .*Read-only file system"):
            save(place, NEW)


def test_a_quota_is_said(tmp_path: Path) -> None:
    ended = in_child(with_limit, "FSIZE", 100, save, tmp_path / "model", NEW)
    assert (ended.raised, "cannot write" in ended.words) == ("WeightsError", True)
    assert list(tmp_path.iterdir()) == []


def load_large(folder: Path) -> None:
    Tiny.from_pretrained(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_model_that_does_not_fit_into_memory_is_one_sentence(tmp_path: Path) -> None:
    folder = tiny({"width": 4_000_000, "scales": []}).save_pretrained(tmp_path / "large")
    for room in (10_000_000, 70_000_000):
        ended = in_child(with_limit, "AS", room, load_large, folder)
        assert ended.raised == "WeightsError"
        assert "\n" not in ended.words


# Exporting ------------------------------------------------------------------------------------------------------------


def put(folder: Path, content: bytes) -> None:
    write(folder, {"model.onnx": content})


def test_an_export_killed_at_every_step_leaves_a_whole_file_or_the_old_one(tmp_path: Path) -> None:
    """What both exporters write with."""
    torch.manual_seed(0)
    model = CompactCNN("resnet20@0.25", ["a", "b"], size=8)
    folder, graph = model.save_pretrained(tmp_path / "model"), classifiers.export.to_onnx(model)
    for step in range(1, 20):
        if not in_child(killed_at, step, tmp_path, put, folder, graph).killed:
            break
        engine = CompactCNN.from_pretrained(folder).engine
        assert (folder / "model.onnx").exists() == (engine == "ONNX Runtime")
    assert step > 2
    assert CompactCNN.from_pretrained(folder).engine == "ONNX Runtime"
    (folder / "model.onnx").write_bytes(graph[:-99])
    with pytest.raises(WeightsError, match="model.onnx cannot be used .*: export it again"):
        CompactCNN.from_pretrained(folder)


# The Hub --------------------------------------------------------------------------------------------------------------


def talk(url: str, cache: str, act: Callable[..., object], *arguments: object) -> None:
    """Call a function that knows this Hub only."""
    constants.ENDPOINT, constants.HF_HUB_CACHE = url, cache
    constants.HUGGINGFACE_CO_URL_TEMPLATE = url + "/{repo_id}/resolve/{revision}/{filename}"
    constants.HF_HUB_DISABLE_XET, os.environ["HF_TOKEN"] = True, TOKEN
    act(*arguments)


def killed_half_way(hub: FakeHub, where: str, act: Callable[..., object], *arguments: object) -> None:
    """A process that talks to the Hub is killed where the Hub stalls."""
    hub.stall = where
    child = CONTEXT.Process(target=talk, args=(hub.url, constants.HF_HUB_CACHE, act, *arguments))
    child.start()
    assert hub.stalled.wait(PATIENCE)
    child.kill()
    child.join()
    hub.stall = ""
    hub.go_on.set()


@pytest.mark.parametrize("where", ["model.safetensors", "config.json"])
def test_a_download_that_is_killed_half_way_is_fetched_again(
    where: str, fake_hub: FakeHub, tmp_path: Path
) -> None:
    save(tmp_path / "saved", NEW)
    fake_hub.push("me/tiny", tmp_path / "saved")
    killed_half_way(fake_hub, where, Tiny.from_pretrained, "me/tiny")
    with pytest.raises(WeightsError, match="local_files_only"):
        Tiny.from_pretrained("me/tiny", local_files_only=True)
    assert torch.equal(Tiny.from_pretrained("me/tiny").head.weight, tiny(NEW).head.weight)


@pytest.mark.parametrize("where", ["/lfs/", "/commit/"])
def test_a_push_that_is_killed_half_way_changes_nothing(
    where: str, fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny(NEW).save_pretrained(tmp_path / "saved", card="---\nlicense: mit\n---\n# saved\n")
    killed_half_way(fake_hub, where, push, folder, "me/tiny")
    assert fake_hub.files("me/tiny") == {}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    push(folder, "me/tiny")
    assert set(fake_hub.files("me/tiny")) == {"README.md", "config.json", "model.safetensors"}


def test_a_download_onto_a_full_disk(
    disk: Disk, fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(disk.folder / "cache"))
    save(tmp_path / "saved", {"width": 20_000, "scales": []})
    fake_hub.push("me/tiny", tmp_path / "saved")
    ballast = disk.fill(left=100_000)
    with pytest.raises(WeightsError, match="the disk is full: free some space") as caught:
        Tiny.from_pretrained("me/tiny")
    assert "\n" not in str(caught.value)
    ballast.unlink()
    assert Tiny.from_pretrained("me/tiny").head.weight.shape == (3, 20_000)


# The catalogue --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"m": 1}', b'{"m": null}', b'{"m": {"repo": 1}}', b'{"../m": {}}',
     b'{"m": {"repo": null, "revision": null, "sha256": 5, "package": null}}',
     b'{"m": {"repo": ["a"], "revision": null, "sha256": "x", "package": null}}',
     b'{"m": {"repo": null, "revision": null, "sha256": null, "package": "tinylib"}}'],
)  # fmt: skip
def test_a_garbled_catalogue_is_one_sentence(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHTS_DIR", str(tmp_path))
    (tmp_path / "catalog.json").write_bytes(content)
    for ask in (weights.catalog, weights.available, lambda: Tiny.from_pretrained("m")):
        with pytest.raises(WeightsError) as caught:
            ask()
        assert "\n" not in str(caught.value)
