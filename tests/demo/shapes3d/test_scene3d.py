"""The 3D tab without a browser: links, poses as people read them, files, numbers from outside."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import gradio as gr
import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from tiny_weights import MODEL, QUARTERS, SOLID

from affinevae.affine3d import iou
from affinevae.explore import rotation_vector, walk_codes, yaw_pitch_roll
from affinevae.voxels import voxelize
from demo.models.registry import Loaded, Models
from demo.shapes import steering
from demo.shapes3d import examples as examples3d
from demo.shapes3d import scene as scene3d
from demo.shapes3d import tab as shapes3d
from demo.shapes3d import views as views3d
from demo.uploads.meshes import read_cells, read_shape_url
from demo.uploads.values import UploadError
from weights import WeightsError

pytestmark = pytest.mark.usefixtures("in_weights")


@pytest.fixture
def loaded() -> Loaded:
    return Models().get(SOLID, "shape")


@pytest.fixture
def quarters() -> Loaded:
    return Models().get(QUARTERS, "shape")


# ---- poses ----


def test_yaw_pitch_and_roll_are_exact_both_ways() -> None:
    import roma

    vectors = roma.random_rotvec(200).double()
    there = yaw_pitch_roll(vectors)
    assert (there[:, 1].abs() <= math.pi / 2).all()
    assert (
        roma.rotmat_geodesic_distance(*map(roma.rotvec_to_rotmat, (rotation_vector(there), vectors))).max()
        < 1e-6
    )


@pytest.mark.parametrize("pitch", [90, -90])
def test_looking_straight_up_loses_nothing(loaded: Loaded, pitch: float) -> None:
    import roma

    shown = scene3d.point(loaded.model, [0.0] * 4, [30, pitch, 50])
    assert shown.pose == (30, pitch, 50)  # the visitor's numbers stay
    pose = scene3d.tensors(loaded.model, shown)[1]
    again = scene3d.from_code(loaded.model, [], pose[0].tolist())
    assert again.pose[2] == pytest.approx(0, abs=0.2)  # all of it is yaw
    both = [roma.rotvec_to_rotmat(scene3d.tensors(loaded.model, p)[1]) for p in (shown, again)]
    assert roma.rotmat_geodesic_distance(*both)[0] < math.radians(0.3)


def test_a_model_of_quarter_turns_shows_the_turn_that_it_takes(quarters: Loaded) -> None:
    assert scene3d.pose_names(quarters.model) == (
        "yaw",
        "pitch",
        "roll",
        "shift_x",
        "shift_y",
        "shift_z",
        "log_scale",
    )
    shown = scene3d.point(quarters.model, [0.0] * 4, [80, 10, -5, 0.1, 0, 0, 0.05])
    assert shown.pose == pytest.approx((90, 0, 0, 0.1, 0, 0, 0.05), abs=0.1)


def test_orientations_walk_about_one_axis(loaded: Loaded) -> None:
    z, start = torch.zeros(1, 4), torch.tensor([[0.0, 0.0, math.radians(170)]])
    end = torch.tensor([[0.0, 0.0, math.radians(-170)]])
    _, pose = walk_codes(loaded.model, (z, start), (z, end), torch.zeros(3), torch.tensor([0.0, 0.5, 1.0]))
    turned = loaded.model.pose_matrix(pose)[1, :, :3]
    assert torch.allclose(turned, torch.diag(torch.tensor([-1.0, -1.0, 1.0])), atol=1e-4)


# ---- links ----


def test_a_link_brings_back_every_kind_of_scene(loaded: Loaded) -> None:
    first = scene3d.opening(loaded)
    look = scene3d.Look(0.3, "blocks", (12.5, -40.0, 1.5))
    kinds = [
        first,
        scene3d.from_seed(loaded, 7),
        scene3d.from_example(loaded, 2),
        scene3d.random_shape(first, loaded, 11),
        scene3d.random_orientation(scene3d.random_shape(first, loaded, 13), loaded, 14),
        scene3d.random_orientation(replace(first, pinned=None), loaded, 12),
    ]
    for made in kinds:
        query = scene3d.as_query(made, loaded.model, look)
        again = scene3d.from_query(dict(parse_qsl(query)), loaded)
        assert replace(again, image=0, code=0) == replace(made, image=0, code=0)
        assert torch.equal(again.image, made.image)
        assert scene3d.look_from_query(dict(parse_qsl(query))) == look
        assert scene3d.as_query(again, loaded.model, look) == query


def test_a_link_of_a_model_with_all_of_the_pose(quarters: Loaded) -> None:
    made = scene3d.from_seed(quarters, 5)
    query = dict(parse_qsl(scene3d.as_query(made, quarters.model, scene3d.Look())))
    assert {"tab", "yaw", "pitch", "roll", "shift_z", "log_scale"} <= query.keys()
    assert scene3d.from_query(query, quarters).now == made.now


def test_an_upload_in_a_link_becomes_its_code(loaded: Loaded) -> None:
    made = scene3d.from_upload(loaded, scene3d.from_example(loaded, 0).image)
    again = scene3d.from_query(dict(parse_qsl(scene3d.as_query(made, loaded.model, scene3d.Look()))), loaded)
    assert again.start == "code"
    assert again.now == made.now


@pytest.mark.parametrize(
    "query",
    [
        {"z": "1e400,0,0,0"},
        {"z": "0,0,0,0", "yaw": "inf"},
        {"z": "0,0,0,0", "pitch": "1e9"},
        {"start": "example-99"},
        {"start": "example-x"},
        {"start": "sample", "seed": "-1"},
        {"start": "code"},
        {"start": "elsewhere"},
    ],
)
def test_hostile_links_are_refused_in_a_sentence(query: dict[str, str], loaded: Loaded) -> None:
    with pytest.raises(UploadError):
        scene3d.from_query(query, loaded)


@pytest.mark.parametrize(
    "query", [{"level": "2"}, {"style": "<script>"}, {"view": "1,2"}, {"view": "1,2,900"}], ids=str
)
def test_hostile_ways_to_look_are_refused_in_a_sentence(query: dict[str, str]) -> None:
    with pytest.raises(UploadError):
        scene3d.look_from_query(query)


def test_the_link_of_the_other_tab_is_left_to_it(loaded: Loaded) -> None:
    tab = shapes3d.Shapes3D(Models())
    ours = SimpleNamespace(query_params={"tab": "shapes3d", "model": SOLID, "start": "sample", "seed": "3"})
    assert tab.enter_by_link(ours)[1].start == "sample"  # type: ignore[arg-type]
    assert not isinstance(tab.enter(None, ours), list)  # type: ignore[arg-type]  # it is being opened already
    for query in ({}, {"model": MODEL, "start": "sample"}, {"tab": "shapes2d", "start": "sample"}):
        request = SimpleNamespace(query_params=query)
        assert not isinstance(tab.enter_by_link(request), list)  # type: ignore[arg-type]
        assert tab.enter(None, request)[1].start == "example-1"  # type: ignore[arg-type]
        assert not isinstance(tab.enter(scene3d.opening(loaded), request), list)  # type: ignore[arg-type]


# ---- steering ----


def test_steering_leaves_the_object_and_reset_comes_back(loaded: Loaded) -> None:
    first = scene3d.opening(loaded)
    assert first.now.pose != first.now.pose[:0]
    moved = scene3d.steer(first, loaded, [1, 0, 0, 0.5], [10, 20, 30])
    assert moved.now.pose == (10, 20, 30)
    assert torch.equal(moved.image, first.image)
    straight = scene3d.straighten(moved, loaded)
    canonical = loaded.model.decode(torch.tensor([moved.now.z]))
    assert iou(scene3d.decoded(loaded.model, straight.now), canonical) > 0.95  # but for the frame's corners
    assert steering.reset(moved).now == first.now
    assert steering.pin(steering.pin(moved)).pinned is None


def test_every_example_is_turned_by_its_own_rotation(loaded: Loaded, quarters: Loaded) -> None:
    upright = examples3d.example(0, 16, tuple(map(tuple, np.eye(3).tolist())))
    assert iou(scene3d.from_example(loaded, 0).image, upright) < 0.6
    for index in range(len(examples3d.names())):
        assert scene3d.from_example(quarters, index).image.sum() > 20


def test_the_same_object_seen_by_another_model(loaded: Loaded, quarters: Loaded) -> None:
    for made in (scene3d.from_seed(loaded, 2), scene3d.from_example(loaded, 3)):
        again = scene3d.with_model(made, quarters)
        assert (again.start, again.seed, again.model) == (made.start, made.seed, QUARTERS)
    larger = torch.ones(1, 1, 32, 32, 32)
    assert scene3d.from_upload(loaded, larger).image.shape == (1, 1, 16, 16, 16)


def test_the_page_asks_directly_and_is_refused_in_words(loaded: Loaded) -> None:
    draw, strips, still, save = shapes3d.direct_calls(Models())
    look = {"level": 0.5, "style": "surface", "view": [0, 10, 1]}
    code = {"model": SOLID, "z": [0] * 4, "pose": [0, 0, 0], "look": look}
    grid = read_cells(draw(code)["redrawn"])
    assert torch.allclose(grid, loaded.model.decode(torch.zeros(1, 4), torch.zeros(1, 3)), atol=1 / 255)
    assert set(strips({**code, "latents": [2, 0]})["strips"]) == {"0", "2"}
    assert still({**code, "cells": views3d.cells(grid), "side": 64})["url"].startswith("data:image/png")
    for kind in views3d.FILES:
        assert save({**code, "kind": kind})["url"].startswith("data:model/")
    for wrong in (None, {}, [], {**code, "z": [math.nan] * 4}, {**code, "model": MODEL}):
        assert draw(wrong).keys() == {"refused"}
    for wrong in ({**code, "kind": "exe"}, {**code, "kind": "glb", "look": {**look, "level": 0}}):
        assert save(wrong).keys() == {"refused"}
    for text in ("", "AAAA", "x" * 10**7, None, views3d.cells(torch.ones(4, 4, 4))):
        assert still({**code, "cells": text, "side": 64}).keys() == {"refused"}
    assert strips({**code, "latents": [4]}).keys() == {"refused"}


# ---- what one takes away ----


def test_the_offered_python_runs_and_makes_the_shown_object(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = scene3d.random_shape(scene3d.opening(loaded), loaded, 3)
    room: dict[str, object] = {}
    exec(scene3d.as_python(made, loaded.model, scene3d.Look()), room)
    assert torch.allclose(room["grid"], scene3d.decoded(loaded.model, made.now), atol=1e-2)  # type: ignore[arg-type]
    assert (tmp_path / "shape.stl").stat().st_size > 1000
    code = json.loads(scene3d.as_json(made, loaded.model))
    assert code["z"] == list(made.now.z)
    assert list(code["turned_degrees"].values()) == list(made.now.pose)


@pytest.mark.parametrize("style", scene3d.STYLES)
def test_files_hold_the_shape_and_glb_is_y_up(style: str) -> None:
    grid = torch.zeros(1, 1, 16, 16, 16)
    grid[0, 0, 6:10, 6:10, 2:15] = 1  # a pole: tall in z
    for kind, tall in (("glb", 1), ("stl", 2), ("obj", 2)):
        url = views3d.mesh_url(grid, kind, scene3d.Look(style=style))
        data = base64.b64decode(url.partition(",")[2])
        mesh = trimesh.load(io.BytesIO(data), file_type=kind, force="mesh")
        assert int(np.argmax(mesh.extents)) == tall
        assert mesh.extents[tall] == pytest.approx(13 / 8, abs=0.15)
        assert mesh.volume > 0  # normals point outward
    assert voxelize(mesh, 16).sum() > 0


def test_a_walk_is_a_film_in_which_the_camera_goes_round(loaded: Loaded) -> None:
    scene = scene3d.opening(loaded)
    straight = scene3d.straighten(scene, loaded)
    walk = views3d.walk(replace(scene, pinned=straight.now), loaded, 0.5)
    assert (walk["across"], walk["down"]) == ("orientation", "")
    film = Image.open(io.BytesIO(base64.b64decode(walk["gif"].partition(",")[2])))
    frames = [np.asarray(film.convert("L"), float) for i in range(film.n_frames) if film.seek(i) is None]  # type: ignore[attr-defined]
    assert len(frames) >= 4 * views3d.FRAMES - 4
    assert np.abs(frames[0] - frames[len(frames) // 2]).mean() > 0.5
    assert "is the one now" in views3d.walk(replace(scene, pinned=scene.now), loaded, 0.5)["note"]
    assert "Pin a shape" in views3d.walk(replace(scene, pinned=None), loaded, 0.5)["note"]


# ---- what comes in ----


def test_uploads_are_told_by_name_and_content(tmp_path: Path) -> None:
    data = base64.b64encode(trimesh.creation.box((1, 2, 3)).export(file_type="stl")).decode()
    grid = read_shape_url(f"data:application/octet-stream;base64,{data}", "Box.STL", 16)
    assert grid.shape == (1, 1, 16, 16, 16)
    assert 100 < grid.sum() < 16**3
    wrong = [
        (None, "a.stl", "too large"),
        ("data:;base64,AAAA", "a.exe", "mesh must be"),
        ("data:;base64,AAAA", None, "mesh must be"),
        ("data:;base64,%%%", "a.stl", "arrive whole"),
        ("data:;base64,AAAA", "a.glb", "GLB|damaged|glTF"),
        ("data:;base64,AAAA", "../../a.glb", "GLB|damaged|glTF"),
    ]
    for url, name, words in wrong:
        with pytest.raises(UploadError, match=words):
            read_shape_url(url, name, 16)


def test_models_of_the_other_kind_are_not_here() -> None:
    models = Models()
    assert models.names("shape") == [SOLID, QUARTERS]
    with pytest.raises(WeightsError, match="no model called"):
        models.get(MODEL, "shape")
    with pytest.raises(WeightsError, match="no model called"):
        models.get(SOLID)


def test_without_a_model_the_tab_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHTS_DIR", str(tmp_path))
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    answer = shapes3d.Shapes3D(Models()).enter(None, SimpleNamespace(query_params={}))  # type: ignore[arg-type]
    assert len(answer) == 4
    assert said == [shapes3d.NO_MODEL]
