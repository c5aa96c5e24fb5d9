"""Scenes without a browser: links, numbers from outside, the Python that the page offers, the examples."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import gradio as gr
import pytest
import torch
from tiny_weights import BROKEN, COLOURS, MODEL

from affinevae.picture import GRID, EmptyPicture
from demo.models.registry import Models
from demo.shapes import steering
from demo.shapes2d import examples, scene
from demo.shapes2d import tab as shapes2d
from demo.uploads.values import UploadError
from weights import WeightsError

pytestmark = pytest.mark.usefixtures("in_weights")


def test_a_link_brings_back_every_kind_of_scene() -> None:
    loaded = Models().get(MODEL)
    first = scene.opening(loaded)
    kinds = [
        first,
        scene.from_seed(loaded, 7),
        replace(scene.from_strokes(loaded, first.strokes), pinned=None),
        scene.random_shape(scene.from_example(loaded, 3), loaded, 11),
        scene.random_orientation(first, loaded, 12),
    ]
    names = loaded.model.group.names
    for made in kinds:
        query = scene.as_query(made, names)
        again = scene.from_query(dict(parse_qsl(query)), loaded)
        assert replace(again, image=0, code=0) == replace(made, image=0, code=0)
        assert torch.equal(again.image, made.image)
        assert scene.as_query(again, names) == query


def test_a_link_of_a_model_with_all_of_the_pose() -> None:
    loaded = Models().get(COLOURS)
    made = scene.from_seed(loaded, 5)
    query = dict(parse_qsl(scene.as_query(made, loaded.model.group.names)))
    assert {"angle", "shift_x", "shear"} <= query.keys()
    assert scene.from_query(query, loaded).now == made.now


def test_an_upload_in_a_link_becomes_its_code() -> None:
    loaded = Models().get(MODEL)
    made = replace(scene.from_seed(loaded, 1), start="upload")
    again = scene.from_query(dict(parse_qsl(scene.as_query(made, ("angle",)))), loaded)
    assert again.start == "code"
    assert again.now == made.now


@pytest.mark.parametrize(
    "query",
    [
        {"z": "1e400,0,0,0"},
        {"z": "0,0,0,0", "angle": "inf"},
        {"start": "drawing", "draw": "1.2-3"},
        {"start": "drawing", "draw": "300.300-1.1"},
        {"start": "drawing", "draw": "_".join(["1.1-2.2"] * 1000)},
        {"start": "example-99"},
        {"start": "example-x"},
        {"start": "sample", "seed": "-1"},
        {"start": "code"},
        {"start": "elsewhere"},
    ],
)
def test_hostile_links_are_refused_in_a_sentence(query: dict[str, str]) -> None:
    with pytest.raises(UploadError):
        scene.from_query(query, Models().get(MODEL))


def test_an_empty_canvas_and_wrong_strokes() -> None:
    loaded = Models().get(MODEL)
    with pytest.raises(EmptyPicture):
        scene.from_strokes(loaded, scene.read_strokes([]))
    strokes = [{"points": [1]}], [{"points": [math.nan, 1]}], [{"points": [1, 2], "grey": 9}]
    for wrong in (None, "x", [1], *strokes):
        with pytest.raises(UploadError):
            scene.read_strokes(wrong)


def test_the_offered_python_runs_and_makes_the_shown_picture() -> None:
    loaded = Models().get(MODEL)
    made = scene.random_shape(scene.opening(loaded), loaded, 3)
    room: dict[str, object] = {}
    exec(scene.as_python(made, loaded.model.group.names), room)
    shown = loaded.model.decode(*made.now.tensors())
    assert torch.allclose(room["image"], shown, atol=1e-3)  # type: ignore[arg-type]
    assert json.loads(scene.as_json(made, ("angle",)))["z"] == list(made.now.z)


def test_steering_leaves_the_picture_and_reset_comes_back() -> None:
    loaded = Models().get(MODEL)
    first = scene.opening(loaded)
    moved = scene.random_shape(first, loaded, 4)
    assert moved.now.z != first.now.z
    assert moved.now.pose == first.now.pose
    assert steering.straighten(moved).now.pose == (0.0,)
    assert steering.reset(moved).now == first.now
    assert steering.pin(steering.pin(moved)).pinned is None


def test_the_page_asks_directly_while_dragging_and_is_refused_in_words() -> None:
    draw_code, peek_map = shapes2d.direct_calls(Models())
    assert draw_code({"model": MODEL, "z": [0] * 4, "pose": [0]})["redrawn"].startswith("data:image/png")
    assert peek_map({"model": MODEL, "x": 0.5, "y": 0.2})["redrawn"].startswith("data:image/png")
    no_numbers = {"model": MODEL, "z": [math.nan] * 4, "pose": [0], "x": math.nan, "y": 0}
    for wrong in (None, {}, [], no_numbers, {"model": [], "x": 0, "y": 0}):
        assert draw_code(wrong).keys() == {"refused"}
        assert peek_map(wrong).keys() == {"refused"}


def test_models_are_loaded_once_and_again_when_they_change(in_weights: Path) -> None:
    models = Models()
    assert models.names() == [MODEL, COLOURS, BROKEN]
    first = models.get(MODEL)
    assert models.get(MODEL) is first
    assert first.plain is not None
    (in_weights / MODEL / "model.safetensors").touch()
    assert models.get(MODEL) is not first
    for name, words in ((BROKEN, "damaged"), ("vae-mnist", "no model called"), ("../x", "no model called")):
        with pytest.raises(WeightsError, match=words):
            models.get(name)


@pytest.mark.parametrize("left", [(), (BROKEN,)], ids=["nothing", "half a checkpoint"])
def test_without_a_usable_model_the_page_opens_and_says_so(
    left: tuple[str, ...], in_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in left:
        shutil.copytree(in_weights / name, tmp_path / name)
    monkeypatch.setenv("WEIGHTS_DIR", str(tmp_path))
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    answer = shapes2d.Shapes2D(Models()).open(SimpleNamespace(query_params={}))  # type: ignore[arg-type]
    assert len(answer) == 7
    assert "no usable model" in said[-1]
    assert len(said) == 1 + len(left)


@pytest.mark.parametrize("clothes", [False, True])
def test_examples_lie_on_the_grid(clothes: bool) -> None:
    for index in range(len(examples.names(clothes))):
        strokes = examples.example(clothes, index)
        assert all(0 <= v < GRID for s in strokes for point in s.points for v in point)
        assert scene._parse_strokes(scene._write_strokes(strokes)) == strokes
