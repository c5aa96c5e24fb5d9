"""What programs are promised: names, arguments, answers and refusals of the endpoints."""

from __future__ import annotations

import base64
import io
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageDraw
from tiny_weights import BROKEN, COLOURS, MODEL, QUARTERS, SOLID


@pytest.fixture(scope="module")
def digit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    picture = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(picture).line([(60, 30), (140, 30), (90, 170)], fill=0, width=18)
    path = tmp_path_factory.mktemp("pictures") / "seven.png"
    picture.save(path)
    return path


def picture(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_names_and_arguments(server: str) -> None:
    with urllib.request.urlopen(f"{server}gradio_api/info") as answer:
        info = json.load(answer)["named_endpoints"]
    arguments = {n: [p["parameter_name"] for p in e["parameters"]] for n, e in info.items()}
    assert arguments == {
        "/encode_image": ["image", "model", "effort"],
        "/decode_image": ["model", "z", "pose"],
        "/sample_image": ["model", "seed"],
        "/encode_shape": ["shape", "model", "effort"],
        "/decode_shape": ["model", "z", "pose", "format"],
        "/sample_shape": ["model", "seed", "format"],
        "/classify_image": ["image", "model", "plan"],
        "/classify_text": ["text", "model", "plan"],
        "/list_models": [],
    }
    assert all(endpoint["description"] for endpoint in info.values())


def test_models(client: Client) -> None:
    models = {m["name"]: m for m in client.predict(api_name="/list_models") if "pose" in m}
    assert set(models) == {MODEL, COLOURS, SOLID, QUARTERS}  # neither the plain VAE nor half a checkpoint
    assert {n for n, m in models.items() if m["kind"] == "shape"} == {SOLID, QUARTERS}
    assert models[SOLID]["pose"] == ["rot_x", "rot_y", "rot_z"]
    assert models[MODEL]["pose"] == ["angle"]
    assert models[COLOURS]["channels"] == 3


def test_there_and_back(client: Client, digit: Path) -> None:
    code = client.predict(handle_file(digit), MODEL, "fast", api_name="/encode_image")
    assert len(code["z"]) == 4
    assert len(code["pose"]) == 1
    assert 0 <= code["pose_nats"] < 5
    drawn = client.predict(MODEL, code["z"], code["pose"], api_name="/decode_image")
    assert drawn["image"] == code["reconstruction"]
    assert picture(drawn["image"]).size == (32, 32)
    upright = client.predict(model=MODEL, z=code["z"], api_name="/decode_image")
    assert upright["image"] != drawn["image"]


def test_samples_repeat(client: Client) -> None:
    first, again, other = (client.predict(MODEL, seed, api_name="/sample_image") for seed in (3, 3, 4))
    assert first == again
    assert first["image"] != other["image"]
    assert picture(client.predict(COLOURS, 0, api_name="/sample_image")["image"]).size == (24, 24)


@pytest.mark.parametrize(
    ("arguments", "endpoint", "words"),
    [
        ((MODEL, [0.0, 1.0]), "/decode_image", "z must be"),
        ((MODEL, ["nan", 0, 0, 0]), "/decode_image", "z must be"),
        ((MODEL, [0.0] * 4, [1.0, 2.0]), "/decode_image", "pose must be"),
        ((BROKEN, [0.0] * 4), "/decode_image", "damaged or incomplete"),
        (("../../etc", [0.0] * 4), "/decode_image", "no model called"),
        ((MODEL, -1), "/sample_image", "seed must be"),
        ((None, MODEL, "fast"), "/encode_image", "no picture"),
    ],
)
def test_refusals_are_one_sentence(
    client: Client, arguments: tuple[Any, ...], endpoint: str, words: str
) -> None:
    with pytest.raises(AppError, match=words) as refused:
        client.predict(*arguments, api_name=endpoint)
    assert "\n" not in str(refused.value)


def test_files_that_are_no_pictures(client: Client, digit: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("hello")
    with pytest.raises(AppError, match="not a picture"):
        client.predict(handle_file(text), MODEL, "fast", api_name="/encode_image")
    with pytest.raises(AppError, match="effort"):
        client.predict(handle_file(digit), MODEL, "much", api_name="/encode_image")


def test_a_path_on_the_server_is_not_read(server: str, weights_dir: Path) -> None:
    body = {"data": [{"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}, MODEL, "fast"]}
    request = urllib.request.Request(
        f"{server}gradio_api/run/encode_image",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)
