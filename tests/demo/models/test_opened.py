"""Which models a page opens from outside of weights/, for whom, and how anything else is refused."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import time
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_weights import MODEL, PLAIN, QUARTERS, TINY_CNN, TINY_TEXT

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "tests" / "weights"))
from hub import FakeHub, fake_hub  # noqa: E402

from demo.classify.tab import Classify  # noqa: E402
from demo.models import outside as opened  # noqa: E402
from demo.models.outside import Policy, as_arguments, is_local, label, policy_of  # noqa: E402
from demo.models.registry import MOST_OPENED, Models  # noqa: E402
from demo.shapes3d import scene, views  # noqa: E402
from demo.start import views as start_views  # noqa: E402
from demo.uploads.values import UploadError  # noqa: E402
from weights import WeightsError  # noqa: E402

__all__ = ["fake_hub"]
ALL, HUB = Policy("all", at_home=True), Policy("hub")


@pytest.fixture
def elsewhere(weights_dir: Path, tmp_path: Path) -> Path:
    """Models that are not in the page's weights."""
    for name in (MODEL, QUARTERS, TINY_CNN, TINY_TEXT, PLAIN):
        shutil.copytree(weights_dir / name, tmp_path / "mine" / f"my-{name}")
    return tmp_path / "mine"


@pytest.fixture
def models(in_weights: Path) -> Models:
    return Models(ALL)


def changed(folder: Path, **config: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


# ---- who may ----


def test_nothing_is_opened_unless_the_owner_says_so_except_on_the_loopback() -> None:
    assert policy_of(None, "127.0.0.1", share=False) == ALL
    assert policy_of(None, "127.0.0.1", share=True) == Policy("none")
    assert policy_of(None, "0.0.0.0", share=False) == Policy("none")
    assert policy_of("hub", "0.0.0.0", share=False) == HUB
    assert policy_of("none", "127.0.0.1", share=False) == Policy("none")
    assert Models().policy.sources == "none"


@pytest.mark.parametrize(
    ("headers", "local"),
    [
        ({"host": "127.0.0.1:7860"}, True),
        ({"host": "localhost"}, True),
        ({"host": "[::1]:7860"}, True),
        ({"host": "page.example"}, False),
        ({"host": "127.0.0.1.example:7860"}, False),
        ({}, False),
        ({"host": "127.0.0.1:7860", "x-forwarded-for": "10.0.0.1"}, False),
    ],
)
def test_at_home_is_who_asks_this_machine_by_name_and_through_no_proxy(
    headers: dict[str, str], local: bool
) -> None:
    assert is_local(headers) is local
    assert ALL.allows(headers) == ("all" if local else "none")
    assert HUB.allows(headers) == "hub"


def test_a_page_of_others_neither_opens_nor_looks_at_folders(models: Models, elsewhere: Path) -> None:
    for asked in (str(elsewhere / f"my-{MODEL}"), "/etc", "/etc/passwd", "..", "~", "a/b/c"):
        with pytest.raises(UploadError, match="Write OWNER/NAME"):
            models.open(asked, HUB)
        with pytest.raises(UploadError, match="Write OWNER/NAME"):
            models.open(asked, Policy("none"))
    with pytest.raises(UploadError, match="Write OWNER/NAME"):
        models.open("me/model", Policy("none"))


# ---- memory ----


def test_a_model_that_was_let_go_is_freed_with_all_that_was_kept_about_it(
    models: Models, elsewhere: Path
) -> None:
    solid, text = elsewhere / f"my-{QUARTERS}", elsewhere / f"my-{TINY_TEXT}"
    loaded = models.get(models.open(str(solid), ALL).name, "shape")
    start = scene.opening(loaded)
    views.thumbnails(loaded)
    views.walk(replace(start, pinned=scene.random_point(loaded, 3)), loaded, 0.5)
    start_views.furniture(loaded)
    reader = models.reader(models.open(str(text), ALL).name)
    reader.run(reader.full)
    let_go = [weakref.ref(thing) for thing in (loaded, loaded.model, reader, reader.model)]
    del loaded, reader
    for i in range(MOST_OPENED):
        models.open(str(shutil.copytree(elsewhere / f"my-{MODEL}", elsewhere / str(i))), ALL)
    gc.collect()
    assert [there() for there in let_go] == [None] * 4


# ---- folders ----


@pytest.mark.parametrize(
    ("name", "kind"), [(MODEL, "image"), (QUARTERS, "shape"), (TINY_CNN, "classifier"), (TINY_TEXT, "text")]
)
def test_a_folder_opens_and_is_asked_for_by_its_name(
    models: Models, elsewhere: Path, name: str, kind: str
) -> None:
    folder = elsewhere / f"my-{name}"
    found = models.open(str(folder), ALL)
    assert (found.name, found.kind) == (str(folder.resolve()), kind)
    asked = {"image": models.get, "classifier": models.classifier, "text": models.reader}
    loaded = models.get(found.name, "shape") if kind == "shape" else asked[kind](found.name)
    assert loaded.name == found.name
    listed = [*models.names(), *models.names("shape"), *models.classifiers(), *models.readers()]
    assert found.name not in [*listed, *models.loaded()]
    assert eval(f"[{as_arguments(found.name)}]") == [found.name]
    assert label(found.name) == f"my-{name}"


def test_a_file_of_the_model_leads_to_its_folder(models: Models, elsewhere: Path) -> None:
    asked = elsewhere / f"my-{MODEL}" / "model.safetensors"
    assert models.open(f"  {asked} ", ALL).folder == asked.parent.resolve()


def test_a_retrained_model_is_loaded_again(models: Models, elsewhere: Path, weights_dir: Path) -> None:
    folder = elsewhere / f"my-{MODEL}"
    name = models.open(str(folder), ALL).name
    before = models.get(name)
    assert models.get(name) is before
    (folder / "metrics.json").write_text("{}")
    assert models.get(name) is not before


def test_the_model_used_longest_ago_is_forgotten(models: Models, elsewhere: Path) -> None:
    copies = [
        shutil.copytree(elsewhere / f"my-{TINY_CNN}", elsewhere / f"copy{i}") for i in range(MOST_OPENED + 1)
    ]
    names = [models.open(str(copy), ALL).name for copy in copies[:MOST_OPENED]]
    models.classifier(names[0])
    models.open(str(copies[-1]), ALL)
    assert models.classifier(names[0]).name == names[0]
    with pytest.raises(WeightsError, match="no model called"):
        models.classifier(names[1])


def test_a_tab_shows_an_opened_model_by_its_link_and_only_of_its_kind(
    models: Models, elsewhere: Path
) -> None:
    name = models.open(str(elsewhere / f"my-{TINY_CNN}"), ALL).name
    request = SimpleNamespace(query_params={"tab": "classify", "model": name})
    picker, scene, *_ = Classify(models).open(request)  # type: ignore[arg-type]
    assert scene.model == name
    assert picker.choices[-1] == (f"my-{TINY_CNN}", name)
    with pytest.raises(WeightsError, match="no model called"):
        models.reader(name)
    elsewhere_link = SimpleNamespace(query_params={"tab": "classify", "model": "/etc"})
    assert Classify(models).open(elsewhere_link)[1].model in models.classifiers()  # type: ignore[arg-type]


def _without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _half(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def _with_nan(folder: Path) -> None:
    import safetensors.torch

    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] = torch.nan
    safetensors.torch.save_file(tensors, folder / "model.safetensors")


def _config(text: str) -> Any:
    return lambda folder: (folder / "config.json").write_text(text)


def _pipe(folder: Path) -> None:
    import os

    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_without_weights, "holds no model.safetensors"),
        (_pickle, "holds a pickle"),
        (_half, "damaged or incomplete"),
        (_with_nan, "NaN or infinity"),
        (_pipe, "is not a file"),
        (_config("{"), "not readable JSON"),
        (_config("[]"), "holds a list"),
        (_config('{"library": "affinevae"}'), "describes no model"),
        (_config('{"library": "diffusers"}'), "It is a model of diffusers"),
        (_config('{"library": ["x"]}'), "names no library"),
        (lambda f: changed(f, width=33), "where its config.json asks for"),
        (lambda f: changed(f, extra=1), "unexpected extra"),
        (lambda f: changed(f, size=[30, 30]), "multiple of 4"),
        (lambda f: changed(f, width="wide"), "width must be a whole number"),
        (lambda f: changed(f, width=10**9), "width must be a whole number"),
        (lambda f: changed(f, group="none"), "plain VAE"),
        (lambda f: changed(f, library="textclf"), "does not fit TextClassifier: missing ends"),
    ],
)
def test_what_is_no_model_of_ours_is_refused_in_a_sentence(
    models: Models, elsewhere: Path, damage: Any, words: str
) -> None:
    folder = elsewhere / f"my-{MODEL}"
    damage(folder)
    with pytest.raises(WeightsError, match=words) as refused:
        models.open(str(folder), ALL)
    assert "\n" not in str(refused.value)
    with pytest.raises(WeightsError):
        models.get(str(folder))


def test_a_classifier_that_claims_to_be_large_is_not_built(models: Models, elsewhere: Path) -> None:
    folder = changed(elsewhere / f"my-{TINY_CNN}", network="imagenet-resnet50@16")
    with pytest.raises(WeightsError, match="numbers before it is tied, more than"):
        models.open(str(folder), ALL)


@pytest.mark.parametrize("change", [{"hidden": 10**6}, {"layers": 10**7}, {"vocabulary": 10**10}])
def test_a_text_classifier_that_claims_to_be_large_is_not_built(
    models: Models, elsewhere: Path, change: dict[str, int]
) -> None:
    with pytest.raises(WeightsError, match="describes a larger network|must be a whole number"):
        models.open(str(changed(elsewhere / f"my-{TINY_TEXT}", **change)), ALL)


def test_a_model_too_large_for_a_page_is_not_read(models: Models, elsewhere: Path) -> None:
    folder = elsewhere / f"my-{MODEL}"
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(opened.MAX_BYTES + 1)  # a hole, which takes no room
    with pytest.raises(WeightsError, match="larger than 500 MB"):
        models.open(str(folder), ALL)


@pytest.mark.parametrize("asked", [None, 3, "", "  ", "a\x00b", "x" * 400, "--help", ["a"]])
def test_what_is_no_name_is_refused(models: Models, asked: object) -> None:
    with pytest.raises(UploadError, match="The model: "):
        models.open(asked, ALL)


def test_a_folder_that_is_not_there_is_refused(models: Models, tmp_path: Path) -> None:
    with pytest.raises(UploadError, match="There is no folder"):
        models.open(str(tmp_path / "no" / "such"), ALL)
    with pytest.raises(WeightsError, match="holds no config.json"):
        models.open(str(tmp_path), ALL)


# ---- the Hub ----


def test_a_repository_opens_without_the_graphs_that_lie_in_it(
    models: Models, elsewhere: Path, fake_hub: FakeHub
) -> None:
    folder = elsewhere / f"my-{TINY_CNN}"
    (folder / "model.onnx").write_bytes(b"a program of a stranger's")
    commit = fake_hub.push("me/cnn", folder)
    found = models.open(f"me/cnn@{commit}", HUB)
    assert not (found.folder / "model.onnx").exists()
    assert models.classifier(found.name).compact.model.engine == "PyTorch"
    assert as_arguments(found.name) == f'"me/cnn", revision="{commit}"'
    assert label(found.name) == found.name


def test_a_page_of_others_sends_no_token(
    models: Models, elsewhere: Path, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []

    def fetch(repo: str, revision: str | None, *, token: object, **limits: Any) -> Path:
        sent.append(token)
        assert limits["most"] == opened.MAX_BYTES
        return elsewhere / f"my-{TINY_CNN}"

    monkeypatch.setattr(opened, "fetch", fetch)
    models.open("me/cnn", HUB)
    models.open("me/cnn", ALL)
    assert sent == [False, None]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda hub: hub.stop(), "cannot be reached"),
        (lambda hub: setattr(hub, "delay", 30.0), "cannot be reached"),
        (lambda hub: setattr(hub, "status", 500), "answered 500"),
        (lambda hub: hub.repos.clear(), "no such repository"),
        (lambda hub: setattr(hub, "truncate", True), "download failed|damaged"),
    ],
)
def test_a_hub_that_fails_costs_seconds_and_is_explained(
    models: Models, elsewhere: Path, fake_hub: FakeHub, prepare: Any, words: str
) -> None:
    fake_hub.push("me/cnn", elsewhere / f"my-{TINY_CNN}")
    prepare(fake_hub)
    start = time.monotonic()
    with pytest.raises(WeightsError, match=words):
        models.open("me/cnn", HUB)
    assert time.monotonic() - start < 30  # a hang, not a time: nobody waits for the client's own retries


@pytest.mark.parametrize("damage", [_without_weights, _half, _with_nan, lambda f: changed(f, width=33)])
def test_what_is_wrong_with_a_repository_does_not_tell_where_the_server_keeps_it(
    models: Models, elsewhere: Path, fake_hub: FakeHub, damage: Any, tmp_path: Path
) -> None:
    damage(elsewhere / f"my-{MODEL}")
    fake_hub.push("me/vae", elsewhere / f"my-{MODEL}")
    with pytest.raises(WeightsError, match="me/vae") as refused:
        models.open("me/vae", HUB)
    assert str(tmp_path) not in str(refused.value)


def test_a_large_repository_is_not_fetched(
    models: Models, elsewhere: Path, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "MAX_BYTES", 1000)
    fake_hub.push("me/cnn", elsewhere / f"my-{TINY_CNN}")
    with pytest.raises(WeightsError, match="at most 0 MB are fetched here"):
        models.open("me/cnn", HUB)
    assert not any("/resolve/" in request and "safetensors" in request for request in fake_hub.requests)


# ---- the door ----


@pytest.mark.parametrize(
    ("arguments", "environment", "policy"),
    [
        (["--host", "127.0.0.1"], {}, ALL),
        (["--host", "127.0.0.1", "--share"], {}, Policy()),
        (["--host", "0.0.0.0"], {}, Policy()),
        (["--host", "0.0.0.0"], {"OPEN_MODELS": "hub"}, HUB),
        (["--host", "0.0.0.0", "--open-models", "none"], {"OPEN_MODELS": "all"}, Policy()),
        ([], {"SPACE_ID": "me/space"}, Policy()),
    ],
)
def test_the_door_passes_on_what_the_owner_said(
    arguments: list[str], environment: dict[str, str], policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app
    import demo.server.serve

    served: list[Policy] = []
    for name in ("OPEN_MODELS", "SPACE_ID", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(demo.server.serve, "serve", lambda host, port, share, policy: served.append(policy))
    monkeypatch.setattr("demo.uploads.pictures.harden_pillow", lambda: None)
    monkeypatch.setattr(app.os, "_exit", lambda code: None)
    app.main(arguments)
    assert served == [policy]


def test_the_door_refuses_a_word_that_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import app

    monkeypatch.setenv("OPEN_MODELS", "everything")
    with pytest.raises(SystemExit):
        app.main([])
    assert "OPEN_MODELS must be one of none, hub, all" in capsys.readouterr().err
