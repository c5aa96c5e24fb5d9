"""The real client of the Hub against a Hub on the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hub import FakeHub
from tiny import Tiny

import weights
from weights import WeightsError
from weights.__main__ import main
from weights.checkpoint import file_sha256
from weights.hub import fetch


def equal(a: Tiny, b: Tiny) -> bool:
    return all(torch.equal(t, b.state_dict()[name]) for name, t in a.state_dict().items())


@pytest.fixture
def commit(fake_hub: FakeHub, model: Tiny, tmp_path: Path) -> str:
    """The only commit of me/tiny."""
    return fake_hub.push("me/tiny", model.save_pretrained(tmp_path / "saved"))


@pytest.fixture
def listed(fake_hub: FakeHub, commit: str, model: Tiny, shelf: Path) -> None:
    """me/tiny in the catalogue as tiny, and not on this machine."""
    saved = shelf.parent / "saved"
    files = {name: file_sha256(saved / name) for name in ("config.json", "model.safetensors")}
    entry = {"repo": "me/tiny", "revision": commit, "package": "tinylib", "files": files}
    (shelf / "catalog.json").write_text(json.dumps({"tiny": entry}))


@pytest.mark.usefixtures("commit")
def test_cached_when_the_hub_is_gone(
    fake_hub: FakeHub, model: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    assert equal(model, Tiny.from_pretrained("me/tiny"))
    fake_hub.requests.clear()
    Tiny.from_pretrained("me/tiny")
    assert len(fake_hub.requests) == 1  # what is new? nothing
    Tiny.from_pretrained("me/tiny", local_files_only=True)
    assert len(fake_hub.requests) == 1
    fake_hub.stop()
    assert equal(model, Tiny.from_pretrained("me/tiny"))
    assert "using the cached copy of me/tiny: the Hub" in caplog.text


def test_a_new_commit_is_fetched_and_an_old_one_stays(fake_hub: FakeHub, commit: str, tmp_path: Path) -> None:
    Tiny.from_pretrained("me/tiny")
    newer = Tiny(2, scales=[])
    fake_hub.push("me/tiny", newer.save_pretrained(tmp_path / "newer"))
    assert equal(newer, Tiny.from_pretrained("me/tiny"))
    fake_hub.stop()
    assert equal(newer, Tiny.from_pretrained("me/tiny", local_files_only=True))
    assert Tiny.from_pretrained("me/tiny", revision=commit).head.weight.shape == (3, 4)


def test_an_update_cut_short_leaves_the_old_copy(
    fake_hub: FakeHub, model: Tiny, commit: str, tmp_path: Path
) -> None:
    Tiny.from_pretrained("me/tiny")
    fake_hub.push("me/tiny", Tiny(2, scales=[]).save_pretrained(tmp_path / "newer"))
    fake_hub.truncate = True
    assert equal(model, Tiny.from_pretrained("me/tiny"))
    fake_hub.stop()
    assert equal(model, Tiny.from_pretrained("me/tiny", local_files_only=True))


@pytest.mark.usefixtures("listed")
def test_catalogue_name_from_the_hub(
    fake_hub: FakeHub, model: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights.available("tinylib") == ["tiny"]
    assert main(["list"]) == main(["verify"]) == 0
    assert "Hub only" in (out := capsys.readouterr().out)
    assert "tiny: not downloaded" in out
    assert equal(model, Tiny.from_pretrained("tiny"))
    fake_hub.requests.clear()
    assert equal(model, Tiny.from_pretrained("tiny"))
    assert fake_hub.requests == []  # a commit cannot be out of date
    fake_hub.stop()
    assert main(["list"]) == main(["verify"]) == 0
    assert "tiny: ok (cached; 2 files as listed)" in capsys.readouterr().out


@pytest.mark.usefixtures("listed")
def test_another_revision_of_a_catalogue_name(fake_hub: FakeHub, tmp_path: Path) -> None:
    newer = Tiny(2, scales=[])
    fake_hub.push("me/tiny", newer.save_pretrained(tmp_path / "newer"), ref="v2")
    assert equal(newer, Tiny.from_pretrained("tiny", revision="v2"))


@pytest.mark.usefixtures("listed")
def test_wrong_sha256_from_the_hub(shelf: Path) -> None:
    catalog = json.loads((shelf / "catalog.json").read_text())
    catalog["tiny"]["files"]["model.safetensors"] = "0" * 64
    (shelf / "catalog.json").write_text(json.dumps(catalog))
    with pytest.raises(
        WeightsError, match="model.safetensors is not what the catalogue's sha256 says: delete the folder"
    ):
        Tiny.from_pretrained("tiny")


@pytest.mark.usefixtures("commit")
@pytest.mark.parametrize(
    ("repo", "revision", "message"),
    [
        ("me/nothing", None, "me/nothing is neither a folder nor in the cache, and the Hub has no such"),
        ("me/tiny", "v9", "no revision 'v9'"),
        ("me/ti--ny", None, "no folder 'me/ti--ny', and as a Hub repository"),
    ],
)
def test_what_is_not_there(repo: str, revision: str | None, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        Tiny.from_pretrained(repo, revision=revision)
    assert "\n" not in str(caught.value)


def test_a_repository_with_a_pickle_only(fake_hub: FakeHub, model: Tiny, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "saved")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    fake_hub.push("me/pickle", folder)
    with pytest.raises(WeightsError, match="lacks config.json or model.safetensors"):
        Tiny.from_pretrained("me/pickle")
    assert not any("pytorch_model" in request for request in fake_hub.requests)


@pytest.mark.usefixtures("commit")
def test_truncated_download(fake_hub: FakeHub) -> None:
    fake_hub.truncate = True
    with pytest.raises(WeightsError, match="the download failed"):
        Tiny.from_pretrained("me/tiny")
    fake_hub.truncate = False
    Tiny.from_pretrained("me/tiny")


@pytest.mark.usefixtures("commit")
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "answered 401: try again later or with a token"),
        (403, "answered 403: try again later or with a token"),
        (404, "answered 404"),
        (429, "answered 429"),
        (500, "answered 500"),
    ],
)
def test_refusals_of_the_hub(fake_hub: FakeHub, status: int, words: str) -> None:
    fake_hub.status = status
    with pytest.raises(WeightsError, match=words) as caught:
        Tiny.from_pretrained("me/tiny")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("commit")
def test_gated(fake_hub: FakeHub) -> None:
    fake_hub.repos["me/tiny"].gated = True
    with pytest.raises(WeightsError, match="the Hub gates it: accept its terms there and pass a token"):
        Tiny.from_pretrained("me/tiny")


def test_what_lies_beside_the_weights_comes_along_and_nothing_else(
    fake_hub: FakeHub, model: Tiny, tmp_path: Path
) -> None:
    folder = model.save_pretrained(tmp_path / "saved")
    belongs = {"config.json", "model.safetensors", "front.json", "full.int8.onnx", "map.safetensors"}
    for name in (*belongs - {"config.json", "model.safetensors"}, "training.pt", "big.zip", "run.py"):
        (folder / name).write_bytes(b"x")
    fake_hub.push("me/tiny", folder)
    Tiny.from_pretrained("me/tiny")
    copy, _ = weights.locate("me/tiny", local_files_only=True)
    assert {path.name for path in copy.iterdir()} == belongs
    fake_hub.stop()
    assert equal(model, Tiny.from_pretrained("me/tiny"))


@pytest.mark.slow
@pytest.mark.usefixtures("commit")
@pytest.mark.parametrize("trouble", ["gone", "silent", "status"])
def test_an_unreachable_hub_costs_at_most_three_seconds(fake_hub: FakeHub, trouble: str) -> None:
    if trouble == "gone":
        fake_hub.stop()
    fake_hub.delay = 4 if trouble == "silent" else 0
    fake_hub.status = 503 if trouble == "status" else 200
    start = time.monotonic()
    with pytest.raises(WeightsError, match="answered 503" if trouble == "status" else "cannot be reached"):
        Tiny.from_pretrained("me/tiny")
    assert time.monotonic() - start < 3


@pytest.mark.slow
def test_a_name_server_that_is_silent(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: time.sleep(4))
    start = time.monotonic()
    with pytest.raises(WeightsError, match="cannot be reached"):
        Tiny.from_pretrained("me/tiny")
    assert time.monotonic() - start < 3


@pytest.mark.usefixtures("commit")
def test_local_files_only_asks_nobody(fake_hub: FakeHub) -> None:
    with pytest.raises(WeightsError, match="local_files_only"):
        Tiny.from_pretrained("me/tiny", local_files_only=True)
    assert fake_hub.requests == []


@pytest.mark.slow
def test_import_and_load_print_nothing_and_ask_nobody(
    fake_hub: FakeHub, model: Tiny, shelf: Path, tmp_path: Path
) -> None:
    model.save_pretrained(shelf / "mine")
    paths = os.pathsep.join([str(Path(weights.__file__).parents[1]), str(Path(__file__).parent)])
    environment = {**os.environ, "HF_ENDPOINT": fake_hub.url, "HF_HOME": str(tmp_path), "PYTHONPATH": paths}
    code = "import threading, tiny; assert threading.active_count() == 1; tiny.Tiny.from_pretrained('mine')"
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert fake_hub.requests == []


@pytest.mark.usefixtures("commit")
def test_no_more_is_fetched_than_was_allowed(fake_hub: FakeHub) -> None:
    with pytest.raises(WeightsError, match="me/tiny has 0 MB of files: at most 0 MB are fetched here"):
        fetch("me/tiny", most=100)
    assert not any("GET" in request and "/resolve/" in request for request in fake_hub.requests)
    assert (fetch("me/tiny", most=1_000_000) / "model.safetensors").is_file()


def test_only_the_files_that_were_asked_for_are_fetched(
    fake_hub: FakeHub, model: Tiny, tmp_path: Path
) -> None:
    saved = model.save_pretrained(tmp_path / "saved", metrics={"n": 1})
    (saved / "model.onnx").write_bytes(b"graph")
    fake_hub.push("me/tiny", saved)
    found = fetch("me/tiny", files=("config.json", "*.safetensors"))
    assert sorted(path.name for path in found.iterdir()) == ["config.json", "model.safetensors"]
