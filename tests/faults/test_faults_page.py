"""The page with damaged models, a full disk and no memory: one sentence where the damage is, and all else works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from disks import Disk
from hypothesis import given
from hypothesis import strategies as st
from tiny_weights import MODEL, SOLID, TINY_CNN, TINY_TEXT, front, write_weights

from benchmarks.tools.serving import Server, serving
from demo.classify import scene as verdict
from demo.classify import tab as classify
from demo.classify import views as views_classify
from demo.evidence import tab as evidence
from demo.models.reader import Reader
from demo.models.registry import Models
from demo.shapes2d import endpoints, scene
from demo.shapes2d import tab as shapes2d
from demo.shapes3d import endpoints as endpoints3d
from demo.shapes3d import scene as scene3d
from demo.start import tab as start
from demo.start.views import said
from demo.tab import ModelTab
from demo.text import endpoints as endpoints_text
from demo.text import scene as reading
from demo.text import tab as classify_text
from demo.text import views as views_text
from demo.uploads import mesh_parent
from demo.uploads.meshes import read_shape_file
from demo.uploads.values import UploadError
from textclf import TextClassifier
from textclf.export import export
from weights import WeightsError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that work, one of them with its graphs."""
    root = write_weights(tmp_path_factory.mktemp("weights"))
    model = TextClassifier.from_pretrained(root / TINY_TEXT)
    export(model, root / TINY_TEXT, ["full", "balanced"], ["float32"])
    return root


@pytest.fixture
def shelf(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them to damage."""
    monkeypatch.setenv("WEIGHTS_DIR", str(shutil.copytree(whole, tmp_path / "shelf")))
    return tmp_path / "shelf"


TABS: dict[str, type[ModelTab]] = {
    MODEL: shapes2d.Shapes2D,
    TINY_CNN: classify.Classify,
    TINY_TEXT: classify_text.ClassifyText,
}


def shown(models: Models, name: str) -> str:
    """Open a model in its tab; what the visitor is told instead, or nothing."""
    tab = TABS[name](models)
    try:
        loaded = tab.load(name)
        tab.show(tab.scenes.opening(loaded))
        tab.about(loaded)
    except (ValueError, WeightsError) as error:
        return str(error)
    return ""


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def with_keys(**changes: object) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


HARMFUL: list[tuple[str, str, Callable[[Path], object], str]] = [
    (MODEL, "config.json", cut, "There is no model called"),  # nobody can say what it would be
    (MODEL, "config.json", with_keys(latent_dim=10**12), "describes no AffineVAE"),
    (MODEL, "model.safetensors", cut, "model.safetensors is damaged"),
    (TINY_CNN, "config.json", with_keys(network=["a"]), "describes no CompactCNN"),
    (TINY_CNN, "model.safetensors", overwrite(b""), "model.safetensors is damaged"),
    (TINY_TEXT, "config.json", with_keys(plans={"full": {"factors": [1], "speed": 1}}), "not in the format"),
    (TINY_TEXT, "config.json", with_keys(plans={"full": {"factors": [1], "n": "x"}}), "n of plan 'full' must be"),
    (TINY_TEXT, "config.json", with_keys(plans=[1]), "describes no TextClassifier"),
    (TINY_TEXT, "balanced.float32.onnx", cut, "balanced.float32.onnx cannot be used"),
    (TINY_TEXT, "full.float32.onnx", overwrite(b"\xff" * 99), "full.float32.onnx cannot be used"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "file", "damage", "words"),
    HARMFUL,
    ids=[f"{name}-{file}-{words}" for name, file, _, words in HARMFUL],
)
def test_a_damaged_model_is_one_sentence_and_the_other_tabs_work(
    name: str, file: str, damage: Callable[[Path], object], words: str, shelf: Path
) -> None:
    damage(shelf / name / file)
    models = Models()
    said_instead = {tab: shown(models, tab) for tab in TABS}
    if words.endswith("cannot be used"):
        with pytest.raises(WeightsError, match=words):
            TextClassifier.from_pretrained(name).predict(["word1"], file.partition(".")[0], "onnx")
    else:
        assert words in said_instead.pop(name)
    assert not any(said_instead.values()), said_instead
    assert len(list(start.fill(models))) >= 2


HARMLESS: list[tuple[str, str, bytes]] = [
    (name, file, content)
    for name, file in (
        (MODEL, "map.safetensors"), (MODEL, "metrics.json"), (TINY_CNN, "metrics.json"), (TINY_CNN, "front.json"),
        (TINY_TEXT, "metrics.json"),
    )
    for content in (
        b"", b"\xff", b'{"test": {"accuracy": "0.9", "n": "x"}, "search": 3}', b'{"test": [1], "points": {}}'
    )
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "content"), HARMLESS)
def test_without_its_numbers_and_its_map_a_model_is_shown_all_the_same(
    name: str, file: str, content: bytes, shelf: Path
) -> None:
    (shelf / name / file).write_bytes(content)
    models = Models()
    assert shown(models, name) == ""
    assert set(list(start.fill(models))[-1]) >= {"shapes2d", "classify", "text"}


def test_a_damaged_catalogue_is_said_in_every_tab(shelf: Path) -> None:
    (shelf / "catalog.json").write_bytes(b"{")
    models = Models()
    for name, tab in TABS.items():
        assert name in tab(models).names()
        assert "catalog.json is not readable JSON" in shown(models, name)
    assert evidence.claims()["claims"]  # those of the benchmarks need no catalogue


json_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["test", "n", "accuracy", "plans", "linear", "search", "front", "points", "factors",
                             "error", "latency_ms", "parameters", "macs", "network", "data", "balanced"]),
            inner, max_size=5,
        ),
    ),
    max_leaves=20,
)  # fmt: skip


@pytest.fixture(scope="module")
def found(whole: Path) -> Iterator[dict[str, Any]]:
    """Every kind of model, loaded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIGHTS_DIR", str(whole))
        models = Models()
        kept: dict[str, Any] = {
            "models": models,
            "image": models.get(MODEL),
            "shape": models.get(SOLID, "shape"),
            "classifier": models.classifier(TINY_CNN),
            "reader": models.reader(TINY_TEXT),
        }
        with gr.Blocks() as page:
            endpoints_text.build(models)
        (endpoint,) = (fn.fn for fn in page.fns.values() if fn.api_name == "classify_text")
        scenes = {"reading": reading.opening(kept["reader"]), "verdict": verdict.opening(kept["classifier"])}
        yield {**kept, **scenes, "classify text": endpoint}


@given(value=json_value, at=st.sampled_from(["accuracy", "n", "points", "data", "network"]))
def test_any_metrics_are_shown(value: Any, at: str, found: dict[str, Any]) -> None:
    test = value if isinstance(value, dict) else {at: value}
    loaded = replace(found["classifier"], compact=replace(found["classifier"].compact, test=test))
    points = [{**point, at: value} for point in front()["points"]]  # type: ignore[attr-defined]
    for shape in ({"points": points, at: value}, test):
        views_classify.front(replace(loaded, front=shape))
    views_classify.costs(found["verdict"], loaded, None)
    reader = Reader(TINY_TEXT, found["reader"].model, {"search": test, "test": test})
    views_text.front(found["reading"], reader)
    views_text.linear(reader)
    views_text.plans(found["reading"], reader)
    assert isinstance(said(lambda: f"{test['n']:,} {100 * test['accuracy']:.1f}"), str)


@given(a=json_value, b=json_value, c=json_value)
def test_any_arguments_of_programs(a: Any, b: Any, c: Any, found: dict[str, Any]) -> None:
    size = found["image"].model.config.latent_dim
    calls: list[Callable[[], object]] = [
        lambda: endpoints._decode(found["image"], a, b),
        lambda: endpoints._decode(found["image"], [0.5] * size, a),
        lambda: endpoints._decode(found["image"], [a] * size, None),
        lambda: endpoints3d._decode(found["shape"], [0.0] * size, b, c),
        lambda: found["classify text"](a, TINY_TEXT, b),
        lambda: found["classify text"]("word1", TINY_TEXT, b),
        lambda: found["models"].get(a),
        lambda: found["models"].reader(a),
        lambda: scene.read_strokes(a),
        lambda: scene.read_strokes([{"points": a, "filled": b, "grey": c}]),
        lambda: scene.read_point(found["image"].model, a, b),
        lambda: scene3d.read_point(found["shape"].model, a, b),
        lambda: scene3d.read_look(a, b, c),
        lambda: scene.from_query({"z": str(a), "start": str(b), "pose": str(c)}, found["image"]),
        lambda: scene3d.from_query({"z": str(a), "start": str(b), "pose": str(c)}, found["shape"]),
        lambda: verdict.from_query({"start": str(a)}, found["classifier"]),
        lambda: reading.from_query({"text": str(a), "start": str(b), "plan": str(c)}, found["reader"]),
    ]
    for call in calls:
        with suppress(ValueError, WeightsError, gr.Error):  # what every door turns into a sentence
            call()


# The machine ----------------------------------------------------------------------------------------------------------


def test_a_replaced_model_is_seen_whatever_the_clock_says(shelf: Path) -> None:
    models = Models()
    before = models.get(MODEL)
    assert models.get(MODEL) is before
    fresh = before.model.save_pretrained(shelf / MODEL)
    os.utime(fresh / "model.safetensors", (1, 1))  # saved by a machine whose clock is far behind
    assert models.get(MODEL) is not before


@pytest.mark.parametrize(
    "problem", [OSError(12, "Cannot allocate memory"), OSError(24, "Too many open files"), MemoryError()]
)
def test_no_process_for_a_mesh_is_one_sentence(
    problem: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(mesh_parent, "PARENT", mesh_parent.Parent())
    monkeypatch.setattr(subprocess, "Popen", refuse)
    (tmp_path / "ball.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(UploadError, match="cannot read a mesh at present; try again in a minute"):
        read_shape_file(tmp_path / "ball.obj", 16)


def send(page: Server, size: int) -> int:
    """Upload a file; the status of the answer."""
    name = b'Content-Disposition: form-data; name="files"; filename="a.png"'
    body = b"--x\r\n%s\r\n\r\n%s\r\n--x--\r\n" % (name, bytes(size))
    address, kind = f"{page.url}gradio_api/upload", {"Content-Type": "multipart/form-data; boundary=x"}
    return httpx.post(address, content=body, headers=kind, timeout=60).status_code


def test_an_upload_onto_a_full_disk_is_refused_and_the_page_lives(
    disk: Disk, whole: Path, tmp_path: Path
) -> None:
    uploads = disk.folder / "uploads"
    uploads.mkdir()
    places = {"WEIGHTS_DIR": str(whole), "GRADIO_TEMP_DIR": str(uploads), "TMPDIR": str(uploads)}
    with serving(tmp_path / "log.txt", ready=True, **places) as page:
        ballast = disk.fill(left=20_000)
        assert 400 <= send(page, 500_000) < 600
        assert page.is_ready()
        ballast.unlink()
        assert send(page, 100_000) == 200
