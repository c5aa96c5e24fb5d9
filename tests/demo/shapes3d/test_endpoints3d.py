"""What programs are promised about shapes."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from tiny_weights import MODEL, QUARTERS, SOLID


@pytest.fixture(scope="module")
def pole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("meshes") / "pole.obj"
    trimesh.creation.box((1, 1, 3)).export(path)
    return path


def occupied(grid: dict[str, Any]) -> np.ndarray:
    """As the documentation says."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(grid["bits"]), np.uint8))
    return bits[: grid["size"] ** 3].reshape([grid["size"]] * 3)


def test_there_and_back(client: Client, pole: Path) -> None:
    code = client.predict(handle_file(pole), SOLID, "fast", api_name="/encode_shape")
    assert len(code["z"]) == 4
    assert code["pose_names"] == ["rot_x", "rot_y", "rot_z"]
    assert len(code["pose"]) == 3
    assert 0 <= code["overlap"] <= 1
    shape = occupied(code["input"])
    assert shape.any(0).any(0).sum() > 2 * shape.any(1).any(1).sum()  # tall in z
    drawn = client.predict(SOLID, code["z"], code["pose"], api_name="/decode_shape")
    assert (occupied(drawn["grid"]) != occupied(code["reconstruction"])).mean() < 0.01
    canonical = client.predict(model=SOLID, z=code["z"], api_name="/decode_shape")
    assert canonical["pose"] is None


@pytest.mark.parametrize("kind", ["glb", "stl", "obj"])
def test_files(client: Client, kind: str) -> None:
    made = client.predict(SOLID, [0.0] * 4, None, kind, api_name="/decode_shape")
    data = base64.b64decode(made["file"].partition(",")[2])
    assert len(trimesh.load(io.BytesIO(data), file_type=kind, force="mesh").faces) > 100


def test_samples_repeat(client: Client) -> None:
    first, again, other = (
        client.predict(SOLID, seed, "grid", api_name="/sample_shape") for seed in (3, 3, 4)
    )
    assert first == again
    assert first["grid"] != other["grid"]
    assert len(client.predict(QUARTERS, 0, "grid", api_name="/sample_shape")["pose"]) == 7


@pytest.mark.parametrize(
    ("arguments", "endpoint", "words"),
    [
        ((SOLID, [0.0, 1.0], None, "grid"), "/decode_shape", "z must be"),
        ((SOLID, [0.0] * 4, [1.0], "grid"), "/decode_shape", "pose must be"),
        ((SOLID, [0.0] * 4, None, "exe"), "/decode_shape", "format"),
        ((MODEL, [0.0] * 4, None, "grid"), "/decode_shape", "no model called"),
        ((SOLID, -1, "grid"), "/sample_shape", "seed must be"),
        ((None, SOLID, "fast"), "/encode_shape", "no object"),
    ],
)
def test_refusals_are_one_sentence(
    client: Client, arguments: tuple[Any, ...], endpoint: str, words: str
) -> None:
    with pytest.raises(AppError, match=words) as refused:
        client.predict(*arguments, api_name=endpoint)
    assert "\n" not in str(refused.value)


def test_files_that_are_no_shapes(client: Client, tmp_path: Path) -> None:
    text = tmp_path / "text.stl"
    text.write_text("hello")
    with pytest.raises(AppError):
        client.predict(handle_file(text), SOLID, "fast", api_name="/encode_shape")
