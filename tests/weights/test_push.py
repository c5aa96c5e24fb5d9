"""Uploading with the real client of the Hub to a Hub on the loopback, and what comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hub import TOKEN, FakeHub
from tiny import Tiny

import weights
import weights.push
from affinevae import AffineVAE
from classifiers import CompactCNN
from textclf import TextClassifier
from weights import WeightsError
from weights.__main__ import main
from weights.push import renamed

CARD = """---
library_name: tinylib
license: apache-2.0
tags: [tiny]
model-index:
- name: mine
  results:
  - task: {type: other}
    dataset: {type: mine, name: mine}
    metrics:
    - {type: accuracy, value: 0.5}
---

# mine

Terms of the data: none.

```python
model = Tiny.from_pretrained("mine")
```
"""


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own retries wait for 24 seconds."""
    no_wait = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
    monkeypatch.setattr("huggingface_hub.utils._http.time", no_wait)


@pytest.fixture
def mine(model: Tiny, shelf: Path) -> Path:
    """A model folder with all that belongs, and what must never leave this machine."""
    folder = model.save_pretrained(shelf / "mine", metrics={"accuracy": 0.5}, card=CARD)
    shutil.copy(folder / "model.safetensors", folder / "map.safetensors")
    (folder / "full.int8.onnx").write_bytes(b"graph")
    (folder / "front.json").write_text("{}")
    for secret in (".env", "notes.txt", "training.pt", "optimizer.bin", "pytorch_model.bin", "id_rsa"):
        (folder / secret).write_text("secret")
    (folder / "runs").mkdir()
    (folder / "runs" / "config.json").write_text("secret")
    return folder


BELONGS = {
    "config.json", "model.safetensors", "metrics.json", "README.md", "map.safetensors", "front.json", "full.int8.onnx"
}  # fmt: skip


def push(*more: str) -> int:
    return main(["push", "mine", "--repo", "me/tiny", *more])


@pytest.mark.usefixtures("token")
def test_round_trip_is_exact(
    fake_hub: FakeHub,
    mine: Path,
    model: Tiny,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert push() == 0
    url, line = capsys.readouterr().out.splitlines()
    files = fake_hub.files("me/tiny")
    assert set(files) == BELONGS
    assert b"secret" not in b"".join(files.values())
    commit = fake_hub.repos["me/tiny"].refs["main"]
    assert url == f"{fake_hub.url}/me/tiny/commit/{commit}"
    assert line == f'Tiny.from_pretrained("me/tiny", revision="{commit}")'
    back = eval(line, {"Tiny": Tiny})
    assert all(torch.equal(tensor, back.state_dict()[name]) for name, tensor in model.state_dict().items())
    copy, _ = weights.locate("me/tiny", revision=commit, local_files_only=True)
    assert {path.name for path in copy.iterdir()} == BELONGS
    for name in BELONGS - {"README.md"}:
        assert (copy / name).read_bytes() == (mine / name).read_bytes()
    assert not caplog.records


@pytest.mark.usefixtures("token", "mine")
def test_the_card_is_named_after_the_repository(fake_hub: FakeHub) -> None:
    assert push() == 0
    card = fake_hub.files("me/tiny")["README.md"].decode()
    assert "\n# tiny\n" in card
    assert 'Tiny.from_pretrained("me/tiny")' in card
    assert "- name: tiny\n" in card
    assert "mine" not in card.replace("type: mine", "").replace("name: mine", "")
    assert "Terms of the data: none." in card
    assert renamed(card, "me/tiny") == card


@pytest.mark.usefixtures("token", "mine")
def test_a_folder_and_a_branch(fake_hub: FakeHub, mine: Path) -> None:
    assert main(["push", str(mine), "--repo", "me/tiny", "--revision", "v2"]) == 0
    assert fake_hub.files("me/tiny") == {}
    assert set(fake_hub.files("me/tiny", "v2")) == BELONGS
    assert push("--revision", "v2") == 0


@pytest.mark.usefixtures("token", "mine")
def test_an_update_is_a_new_commit_and_the_old_one_stays(fake_hub: FakeHub, mine: Path) -> None:
    assert push() == 0
    Tiny(2, scales=[]).save_pretrained(mine, card=CARD)
    assert push() == 0
    assert len(fake_hub.repos["me/tiny"].commits) == 3  # with the empty one
    assert Tiny.from_pretrained("me/tiny").head.weight.shape == (3, 2)


@pytest.mark.usefixtures("token", "mine")
def test_private(fake_hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert push("--private") == 0
    assert fake_hub.repos["me/tiny"].private
    fake_hub.repos["me/tiny"].private = False
    before = dict(fake_hub.repos["me/tiny"].commits)
    assert push("--private") == 2
    assert "me/tiny is public already" in capsys.readouterr().err
    assert fake_hub.repos["me/tiny"].commits == before


@pytest.mark.usefixtures("token", "mine")
def test_a_name_of_the_catalogue_can_be_pinned(fake_hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert push("--pin") == 2
    assert fake_hub.requests == []
    weights.register("mine")
    capsys.readouterr()
    assert push() == 0
    pinning = capsys.readouterr().out.splitlines()[-1].removeprefix("to pin it: python -m weights ")
    assert main(pinning.split()) == 0
    pinned = weights.catalog()["mine"]
    assert (pinned.repo, pinned.revision) == ("me/tiny", fake_hub.repos["me/tiny"].refs["main"])
    weights.register("mine", "other/place", "0" * 40)
    assert push("--pin") == 0
    assert weights.catalog()["mine"] == pinned


# Refused before anything is sent ------------------------------------------------------------------------------------


def nan(folder: Path) -> None:
    broken = Tiny(4, scales=[])
    broken.norm.bias.data.fill_(1.0)
    data = broken.save_pretrained(folder).joinpath("model.safetensors")
    data.write_bytes(data.read_bytes().replace(b"\x00\x00\x80\x3f", b"\x00\x00\xc0\x7f"))


def other_tensors(folder: Path) -> None:
    Tiny(2, scales=[]).save_pretrained(folder.parent / "aside")
    shutil.copy(folder.parent / "aside" / "model.safetensors", folder)


def in_config(old: str, new: str) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(path.read_text().replace(old, new))

    return damage


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "NaN": (nan, "holds NaN or infinity in 'norm"),
    "other tensors": (other_tensors, "of shape"),
    "torn map": (lambda f: (f / "map.safetensors").write_bytes(b"x"), "map.safetensors is damaged"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "a pickle"),
    "no config": (lambda f: (f / "config.json").unlink(), "no weights named 'mine'|holds no config.json"),
    "unknown library": (in_config("tinylib", "os"), "nothing here can load a model of os"),
    "no card": (lambda f: (f / "README.md").unlink(), "holds no README.md"),
    "bad card": (lambda f: (f / "README.md").write_text("---\na: [\n---\n"), "front matter of README.md"),
    "binary card": (lambda f: (f / "README.md").write_bytes(b"\xff\xfe"), "README.md cannot be read"),
}


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_before_anything_is_sent(kind: str, fake_hub: FakeHub, mine: Path) -> None:
    damage, message = REFUSED[kind]
    damage(mine)
    with pytest.raises(WeightsError, match=message) as caught:
        weights.push.push(mine, "me/tiny")
    assert "\n" not in str(caught.value)
    assert fake_hub.requests == []


@pytest.mark.usefixtures("mine")
def test_without_a_token(
    fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert push() == 2
    assert capsys.readouterr().err.startswith("HF_TOKEN is not set")
    assert fake_hub.requests == []


@pytest.mark.usefixtures("token", "mine")
@pytest.mark.parametrize("repo", ["tiny", "me/tiny/x", "../tiny", "me/", ""])
def test_what_is_no_repository(fake_hub: FakeHub, repo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", "mine", "--repo", repo]) == 2
    assert "is no repository: write owner/name" in capsys.readouterr().err
    assert fake_hub.requests == []


# Trouble on the way -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("token", "mine")
@pytest.mark.parametrize("where", ["/api/repos/create", "/preupload/", "/lfs/", "/commit/"])
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not accept the token"),
        (403, "may not write to it"),
        (404, "no such place on the Hub"),
        (429, "asked too often"),
        (500, "answered 500: try again later"),
    ],
)
def test_every_refusal_is_one_sentence(
    fake_hub: FakeHub, status: int, words: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_hub.status, fake_hub.status_at = status, where
    assert push() == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "me/tiny was not written" in said.err
    assert words in said.err
    assert TOKEN not in said.err
    assert not any(fake_hub.repos[name].commits.keys() - {"0" * 40} for name in fake_hub.repos)


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(("read_only", "words"), [(False, "does not accept"), (True, "may not write")])
def test_tokens_that_do_not_open(
    fake_hub: FakeHub,
    read_only: bool,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN if read_only else "hf_made_up")
    fake_hub.read_only = read_only
    assert push() == 2
    assert words in capsys.readouterr().err
    assert fake_hub.repos == {}


@pytest.mark.usefixtures("token", "mine")
@pytest.mark.parametrize("where", ["/api/repos/create", "/lfs/", "/commit/"])
def test_a_connection_that_is_cut(fake_hub: FakeHub, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    fake_hub.hang_up = where
    assert push() == 2
    assert "cannot be reached" in capsys.readouterr().err
    fake_hub.hang_up = ""
    assert push() == 0


@pytest.mark.usefixtures("token", "mine")
def test_a_hub_that_is_gone(fake_hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    fake_hub.stop()
    assert push() == 2
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.usefixtures("token", "mine")
def test_a_hub_that_does_not_answer(
    fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights.push, "PATIENCE", 0.2)
    fake_hub.delay = 1
    assert push() == 2
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.usefixtures("token", "mine")
@pytest.mark.parametrize("where", ["/tree/", "full.int8.onnx", "model.safetensors", "config.json"])
def test_a_download_that_is_cut_starts_again(fake_hub: FakeHub, model: Tiny, where: str) -> None:
    assert push() == 0
    fake_hub.hang_up = where
    with pytest.raises(WeightsError, match="cannot be reached|download failed"):
        Tiny.from_pretrained("me/tiny")
    fake_hub.hang_up = ""
    back = Tiny.from_pretrained("me/tiny")
    assert torch.equal(back.head.weight, model.head.weight)
    copy, _ = weights.locate("me/tiny", local_files_only=True)
    assert {path.name for path in copy.iterdir()} == BELONGS


@pytest.mark.slow
@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("name", ["affinevae-mnist", "cnn-cifar10", "text-agnews"])
def test_shipped_models_come_back_with_their_graphs(
    fake_hub: FakeHub, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = {"affinevae": AffineVAE, "cnn": CompactCNN, "text": TextClassifier}[name.partition("-")[0]]
    assert main(["push", name, "--repo", f"me/{name}"]) == 0
    assert f'{kind.__name__}.from_pretrained("me/{name}", revision=' in capsys.readouterr().out
    files = fake_hub.files(f"me/{name}")
    own = weights.folder(name)
    assert set(files) == {path.name for path in own.iterdir()}
    assert all(files[n] == (own / n).read_bytes() for n in files.keys() - {"README.md"})
    model, back = kind.from_pretrained(name), kind.from_pretrained(f"me/{name}")
    if isinstance(back, CompactCNN):
        assert back.engine == model.engine == "ONNX Runtime"
    if isinstance(back, TextClassifier) and isinstance(model, TextClassifier):
        assert torch.equal(*(m.predict(["Goal!"], plan="fastest", engine="int8") for m in (model, back)))
    state = back.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


@pytest.mark.slow
def test_commands_write_no_bars_into_logs(
    fake_hub: FakeHub, model: Tiny, shelf: Path, tmp_path: Path
) -> None:
    """On a terminal the client shows its progress; here nothing but the answer."""
    mine = model.save_pretrained(shelf / "mine", card=CARD)
    paths = os.pathsep.join([str(Path(weights.__file__).parents[1]), str(Path(__file__).parent)])
    environment = {
        **os.environ, "HF_ENDPOINT": fake_hub.url, "HF_HOME": str(tmp_path), "PYTHONPATH": paths,
        "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    code = f"import tiny, weights.__main__ as w; w.main(['push', {str(mine)!r}, '--repo', 'me/tiny']); "
    code += "tiny.Tiny.from_pretrained('me/tiny')"
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 2, "")
