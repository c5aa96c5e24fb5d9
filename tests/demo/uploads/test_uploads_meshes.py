"""A stranger's mesh becomes a grid or one plain sentence, soon, and in a process that can be lost."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import struct
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from trimesh.creation import icosphere, torus

from affinevae.meshes import parse_mesh
from affinevae.polygons import MeshError
from affinevae.solid import occupancy
from affinevae.voxels import read_shape
from demo.uploads import mesh_parent
from demo.uploads.mesh_child import LIMITS
from demo.uploads.meshes import read_shape_file
from demo.uploads.values import UploadError

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "demo" / "meshes").glob("*.glb"))

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4")
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], "<u4")
BINARY = CORNERS.tobytes() + FACES.tobytes()


def glb(gltf: dict[str, Any] | bytes, binary: bytes = BINARY) -> bytes:
    text = gltf if isinstance(gltf, bytes) else json.dumps(gltf).encode()
    text += b" " * (-len(text) % 4)
    body = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def gltf(**changes: Any) -> dict[str, Any]:
    """A tetrahedron; ``changes`` replace whole fields."""
    return {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(BINARY)}],
        "bufferViews": [{"buffer": 0, "byteLength": 48}, {"buffer": 0, "byteOffset": 48, "byteLength": 48}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": 12, "type": "SCALAR"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    } | changes


def accessors(**changes: Any) -> list[dict[str, Any]]:
    """The tetrahedron's, its points changed."""
    first, second = gltf()["accessors"]
    return [{name: value for name, value in (first | changes).items() if value is not None}, second]


def ply(vertices: int, faces: int, body: bytes, kind: str = "ascii", extra: str = "") -> bytes:
    return (
        f"ply\nformat {kind} 1.0\n{extra}element vertex {vertices}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {faces}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode() + body


def stl(count: int, faces: bytes) -> bytes:
    return bytes(80) + struct.pack("<I", count) + faces


def stl_of(triangles: np.ndarray) -> bytes:
    records = np.zeros(len(triangles), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
    records["corners"] = triangles
    return stl(len(triangles), records.tobytes())


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.obj", b"#" * 50_000_000)
    return buffer.getvalue()


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNiAAAABgADNjd8qAAAAABJRU5ErkJggg=="
)
BALL = icosphere(2)
BALL_GLB = BALL.export(file_type="glb")
TETRA_OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"
SQUARE = b"0 0 0\n1 0 0\n0 1 0\n1 1 0\n"


def far(offset: float) -> bytes:
    return (
        "".join(f"v {offset + x} {offset + y} 0\n" for x, y in ((0, 0), (1, 0), (0, 1))).encode()
        + b"f 1 2 3\n"
    )


# Each is refused by what it claims, before anything of that size is made.
FALSE_CLAIMS: dict[str, tuple[bytes, str]] = {
    "empty JSON.glb": (glb(b""), "damaged"),
    "JSON list.glb": (glb(b"[]"), "damaged"),
    "magic only.glb": (b"glTF", "damaged"),
    "version 1.glb": (b"glTF" + struct.pack("<I", 1) + BALL_GLB[8:], "version 2"),
    "no data of its own.glb": (
        glb(gltf(accessors=accessors(bufferView=None, count=400_000))),
        "without data of their own",
    ),
    "much of nothing.glb": (glb(gltf(accessors=accessors(bufferView=None, count=10**8))), "100,000,000 points"),
    "sparse.glb": (glb(gltf(accessors=accessors(sparse={"count": 10**8}))), "damaged"),
    "a billion points.glb": (glb(gltf(accessors=accessors(count=10**9))), "1,000,000,000 points"),
    "more than there are.glb": (glb(gltf(accessors=accessors(count=5))), "damaged"),
    "negative count.glb": (glb(gltf(accessors=accessors(count=-1))), "damaged"),
    "count is text.glb": (glb(gltf(accessors=accessors(count="4"))), "damaged"),
    "count is true.glb": (glb(gltf(accessors=accessors(count=True))), "damaged"),
    "points of 32-bit integers.glb": (glb(gltf(accessors=accessors(componentType=5125))), "damaged"),
    "view off the end.glb": (
        glb(gltf(bufferViews=[{"buffer": 0, "byteOffset": 90, "byteLength": 48}] * 2)),
        "damaged",
    ),
    "view of the page.glb": (glb(gltf(bufferViews=[{"buffer": 1, "byteLength": 48}] * 2)), "damaged"),
    "stride 0.glb": (
        glb(gltf(bufferViews=[{"buffer": 0, "byteLength": 48, "byteStride": 0}] * 2)),
        "damaged",
    ),
    "file.glb": (glb(gltf(buffers=[{"byteLength": 96, "uri": "../../../../etc/passwd"}])), "other files"),
    "http.glb": (glb(gltf(buffers=[{"byteLength": 96, "uri": "http://127.0.0.1/x"}])), "other files"),
    "data.glb": (glb(gltf(buffers=[{"byteLength": 96, "uri": "data:;base64,AAAA"}])), "other files"),
    "Draco.glb": (glb(gltf(extensionsRequired=["KHR_draco_mesh_compression"])), "KHR_draco.*without compr"),
    "two parents.glb": (glb(gltf(nodes=[{"children": [2]}, {"children": [2]}, {"mesh": 0}])), "damaged"),
    "own child.glb": (glb(gltf(nodes=[{"children": [0], "mesh": 0}])), "damaged"),
    "no such node.glb": (glb(gltf(nodes=[{"children": [7]}, {"mesh": 0}])), "damaged"),
    "no such mesh.glb": (glb(gltf(nodes=[{"mesh": 7}])), "damaged"),
    "a thousand parts.glb": (glb(gltf(nodes=[{"mesh": 0}] * 1000)), "parts"),
    "copies of many parts.glb": (
        glb(gltf(
            nodes=[{"mesh": 0}] * 100, scenes=[{"nodes": list(range(100))}],
            meshes=[{"primitives": gltf()["meshes"][0]["primitives"] * 100}],
        )),
        "too many parts",
    ),
    "many copies.glb": (
        glb(
            gltf(
                accessors=accessors(count=4000),
                nodes=[{"mesh": 0}] * 400,
                scenes=[{"nodes": list(range(400))}],
                meshes=[{"primitives": [{"attributes": {"POSITION": 0}}]}],
                bufferViews=[{"buffer": 0, "byteLength": 48_000}] * 2,
            ),
            bytes(48_000),
        ),
        "1,600,000 points",
    ),
    "NaN in the tree.glb": (
        glb(json.dumps(gltf(nodes=[{"mesh": 0, "scale": [float("nan"), 1, 1]}])).encode()),
        "damaged",
    ),
    "huge scale.glb": (glb(gltf(nodes=[{"mesh": 0, "scale": [10**400, 1, 1]}])), "damaged"),
    "short matrix.glb": (glb(gltf(nodes=[{"mesh": 0, "matrix": [1, 0]}])), "damaged"),
    "deep JSON.glb": (glb(b'{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}"), "damaged"),
    "large JSON.glb": (glb(b'{"a": [' + b"{}," * 400_000 + b"1]}"), "JSON"),
    "ten million faces.stl": (stl(10_000_000, bytes(500)), "damaged"),
    "a thousand solids.stl": (b"solid\nendsolid\n" * 1000, "no faces"),
    "spaces.stl": (b"solid " + b" " * 7_900_000, "damaged"),
    "ten million faces.off": (b"OFF\n4 10000000 0\n" + SQUARE, "10,000,000 faces"),
    "a million points.off": (b"OFF\n400000 400000 0\n" + SQUARE, "damaged"),
    "negative.off": (b"OFF\n-4 -1 0\n" + SQUARE, "damaged|no faces"),
    "letters.off": (b"OFF\nfour one\n", "damaged"),
    "endless polygon.off": (b"OFF\n4 1 0\n" + SQUARE + b"3900000" + b" 1" * 3_900_000, "3,899,998 faces"),
    "ten million faces.ply": (ply(4, 10_000_000, SQUARE), "10,000,000 faces"),
    "claims points.ply": (ply(400_000, 1, SQUARE), "damaged"),
    "claims faces.ply": (ply(4, 400_000, bytes(48), "binary_little_endian"), "damaged"),
    "claims others.ply": (ply(4, 1, SQUARE, extra="element edge 99999999\nproperty int a\n"), "99,999,999"),
    "unknown type.ply": (ply(4, 1, SQUARE, "binary_little_endian", "element x 1\nproperty huge a\n"), "damaged"),
    "400 digits.ply": (ply(4, 10**400, SQUARE), "damaged"),
    "no end.ply": (b"ply\nformat ascii 1.0\n" + b"comment a\n" * 200_000, "damaged"),
    "endless polygon.ply": (ply(4, 1, SQUARE + b"3900000" + b" 1" * 3_900_000), "3,899,998 faces"),
    "endless polygon.obj": (TETRA_OBJ + b"f" + b" 1 2 3" * 1_300_000, "3,900,002 faces"),
    "empty lines.obj": (TETRA_OBJ[:32] + b"\n" * 7_900_000, "no faces"),
    "faces.obj": (TETRA_OBJ + b"f 1 2 3\n" * 900_000, "900,004 faces"),
}  # fmt: skip

STRANGERS: dict[str, tuple[bytes, str]] = {
    "zip bomb.glb": (zip_bomb(), "archive"),
    "zip.obj": (zip_bomb(), "archive"),
    "picture.obj": (PNG, "picture"),
    "picture.stl": (PNG, "picture"),
    "picture.ply": (b"\xff\xd8\xff\xe0" + bytes(99), "picture"),
    "text.stl": (b"hello, I am a mesh", "not such a file"),
    "text.obj": (b"hello, I am a mesh", "not such a file"),
    "text.off": (b"hello, I am a mesh", "not such a file"),
    "text.ply": (b"hello, I am a mesh", "not such a file"),
    "text.glb": (b"hello, I am a mesh", "not such a file"),
    "page.obj": (b"<!doctype html>", "HTML or XML"),
    "gltf.glb": (json.dumps(gltf()).encode(), "export a GLB"),
    "ball.obj": (BALL_GLB, "holds a GLB; rename"),
    "ball.stl": (BALL_GLB, "holds a GLB"),
    "ball.ply": (TETRA_OBJ, "holds an OBJ"),
    "ball.glb": (TETRA_OBJ, "holds an OBJ"),
}

# These claim nothing false, so they are parsed.
BAD_SHAPES: dict[str, tuple[bytes, str]] = {
    "NaN.stl": (stl_of(np.full((9, 3, 3), np.nan)), "finite"),
    "NaN.obj": (TETRA_OBJ.replace(b"v 1", b"v nan"), "finite|damaged"),
    "infinite.off": (b"OFF\n4 1 0\n" + SQUARE.replace(b"1", b"inf") + b"3 0 1 2\n", "finite|damaged"),
    "NaN.ply": (ply(4, 1, SQUARE.replace(b"1", b"nan") + b"3 0 1 2\n"), "finite"),
    "far.obj": (far(1e12), "too far"),
    "far.glb": (glb(gltf(nodes=[{"mesh": 0, "translation": [1e12, 0, 0]}])), "too far"),
    "point.obj": (b"v 1 1 1\n" * 3 + b"f 1 2 3\n", "the same"),
    "cloud.ply": (ply(4, 0, SQUARE), "no faces"),
    "cloud.obj": (TETRA_OBJ[:32], "no faces"),
    "cloud.glb": (glb(gltf(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 0}]}])), "no faces"),
    "lines.glb": (glb(gltf(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 1}]}])), "no faces"),
    "nothing.glb": (glb(gltf(meshes=[], nodes=[], scenes=[{"nodes": []}])), "no faces|damaged"),
    "wrong corner.obj": (TETRA_OBJ + b"f 1 2 99\n", "damaged|do not exist"),
    "wrong corner.off": (b"OFF\n4 1 0\n" + SQUARE + b"3 0 1 99\n", "do not exist"),
    "wrong corner.ply": (ply(4, 1, SQUARE + b"3 0 1 99\n"), "do not exist|damaged"),
    "wrong corner.glb": (glb(gltf(), BINARY[:-4] + struct.pack("<I", 10**9)), "do not exist|damaged"),
    "folded.stl": (stl_of(np.random.default_rng(0).random((100_000, 3, 3))), "too much surface"),
}  # fmt: skip


def saved(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def sentence(error: BaseException) -> str:
    """The message, after a check that it is one short sentence and leaks nothing."""
    message = str(error)
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 250
    assert not re.search(
        r"/(tmp|work|home|usr|root|proc|dev|etc)\b|site-packages|0x|Traceback|Error", message
    )
    return message


def read_here(data: bytes, kind: str) -> np.ndarray:
    """What the child does, without the child."""
    try:
        return occupancy(parse_mesh(data, kind, LIMITS), 16)
    except MeshError as error:
        raise UploadError(sentence(error)) from error


def refused(path: Path, problem: str) -> str:
    with pytest.raises(UploadError, match=problem) as caught:
        read_shape_file(path, 32)
    return sentence(caught.value)


@pytest.mark.parametrize("name", {**FALSE_CLAIMS, **STRANGERS})
def test_false_claims_are_refused_before_anything_is_parsed(name: str) -> None:
    data, problem = {**FALSE_CLAIMS, **STRANGERS}[name]
    start = time.thread_time()
    with pytest.raises(MeshError, match=problem) as caught:
        parse_mesh(data, name.rpartition(".")[2], LIMITS)
    sentence(caught.value)
    assert time.thread_time() - start < 3


@pytest.mark.parametrize("name", [
    "no data of its own.glb", "zip bomb.glb", "ten million faces.stl", "NaN.stl", "cloud.ply", "far.glb",
])  # fmt: skip
def test_a_refusal_comes_through(name: str, tmp_path: Path) -> None:
    data, problem = {**FALSE_CLAIMS, **STRANGERS, **BAD_SHAPES}[name]
    refused(saved(tmp_path, name, data), problem)


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_bad_shapes_are_refused(name: str) -> None:
    data, problem = BAD_SHAPES[name]
    with pytest.raises(UploadError, match=problem):
        read_here(data, name.rpartition(".")[2])


@pytest.mark.parametrize("kind", ["glb", "obj", "stl", "off", "ply", "ascii.stl", "ascii.ply"])
def test_every_kind_gives_the_same_grid(kind: str, tmp_path: Path) -> None:
    mesh = torus(1.0, 0.3)
    options = {"encoding": "ascii"} if kind == "ascii.ply" else {}
    written = mesh.copy()
    if kind == "glb":
        written.vertices = np.stack([mesh.vertices[:, 0], mesh.vertices[:, 2], -mesh.vertices[:, 1]], 1)
    data = written.export(file_type={"ascii.stl": "stl_ascii"}.get(kind, kind[-3:]), **options)
    path = saved(tmp_path, f"Torus.{kind.upper()}", data)
    grid = read_shape_file(str(path), 24)
    assert (grid.shape, grid.dtype) == ((1, 1, 24, 24, 24), torch.float32)
    assert set(grid.unique().tolist()) == {0.0, 1.0}
    mesh.export(tmp_path / "torus.stl")
    expected = read_shape(tmp_path / "torus.stl", 24)
    assert (grid != expected).sum() < 0.02 * expected.sum()  # rounded coordinates move a few cells


@pytest.mark.parametrize("kind", ["glb", "obj", "stl", "off", "ply", "ascii.stl", "ascii.ply"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.98])
def test_cut_files_end_in_a_refusal(kind: str, kept: float) -> None:
    options = {"encoding": "ascii"} if kind == "ascii.ply" else {}
    data = BALL.export(file_type={"ascii.stl": "stl_ascii"}.get(kind, kind[-3:]), **options)
    data = data if isinstance(data, bytes) else data.encode()
    cut, kind = data[: int(kept * len(data))], kind[-3:]
    if kind == "obj" and kept == 0.98:  # a text without an end: what is there counts
        assert read_here(cut, kind).any()
        return
    with pytest.raises(UploadError, match="damaged|no faces|not such a file"):
        read_here(cut, kind)


def spoiled(data: bytes, rng: random.Random) -> bytes:
    """One to four of: a flipped byte, a cut, a repeat, an overwritten number."""
    new = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(min(len(new), rng.choice([300, 10**6])))
        match rng.randrange(4):
            case 0:
                new[at] = rng.randrange(256)
            case 1:
                del new[at : at + rng.randint(1, 40)]
            case 2:
                new[at:at] = new[at : at + rng.randint(1, 40)]
            case 3:
                new[at : at + 4] = rng.choice(
                    [b"\xff" * 4, bytes(4), b"9999", b"-1 -", b"null", b"[[[[", b"\n"]
                )
        new = new or bytearray(b"x")
    return bytes(new)


@pytest.mark.filterwarnings("ignore")
def test_damage_ends_in_a_grid_or_a_refusal() -> None:
    seeds = [(kind, BALL.export(file_type=kind)) for kind in ("glb", "obj", "stl", "off", "ply")]
    seeds += [
        ("stl", BALL.export(file_type="stl_ascii")),
        ("ply", BALL.export(file_type="ply", encoding="ascii")),
    ]
    rng, grids = random.Random(0), 0
    for turn in range(420):
        kind, data = seeds[turn % len(seeds)]
        try:
            grids += bool(
                read_here(spoiled(data if isinstance(data, bytes) else data.encode(), rng), kind).any()
            )
        except UploadError:
            continue
    assert 10 < grids < 300


OBJ_WITH_REFERENCES = (
    b"mtllib ../../../../etc/passwd\nmtllib /etc/passwd\no thing\nusemtl evil\ncall rm.sh\nmap_Kd /dev/zero\n"
    + TETRA_OBJ.replace(b"f ", b"g a\nusemtl /etc/shadow\nf ")
)
HARMLESS: dict[str, bytes] = {
    "references.obj": OBJ_WITH_REFERENCES,
    "slashes.obj": b"vn 0 0 1\nvt 0 0\n" + TETRA_OBJ[:32] + re.sub(rb"(\d)", rb"\1/1/1", TETRA_OBJ[32:]),
    "relative.obj": TETRA_OBJ[:32] + b"f -4 -2 -3\nf -4 -3 -1\nf -3 -2 -1\nf -4 -1 -2\n",
    "continued.obj": TETRA_OBJ.replace(b"f 1 3 2", b"f 1 \\\n3 2").replace(b"\n", b"\r\n"),
    "references.ply": ply(
        4, 4, b"0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 0 3 2\n",
        extra="comment TextureFile ../../../../etc/passwd\ncomment TextureFile http://127.0.0.1/\n",
    ),
    "textured.glb": glb(gltf(
        images=[{"uri": "file:///etc/passwd"}, {"bufferView": 99, "mimeType": "image/png"}],
        textures=[{"source": 0}], materials=[{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        meshes=[{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 77}, "indices": 1, "material": 0}]}],
        animations=[{"channels": [1], "samplers": "x"}], extras={"a": [[[]]]},
    )),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_references_are_not_followed(name: str) -> None:
    """The tetrahedron comes out as if nothing else were in the file; y up where the file is a GLB."""
    kind = name.rpartition(".")[2]
    plain = read_here(glb(gltf()), "glb") if kind == "glb" else read_here(TETRA_OBJ, "obj")
    assert (read_here(HARMLESS[name], kind) == plain).all()


def test_strides_instances_and_strips(tmp_path: Path) -> None:
    """What exporters really write: interleaved points, a mesh used twice, a triangle strip."""
    interleaved = np.hstack([CORNERS, CORNERS]).tobytes()
    strip = np.array([0, 1, 2, 3, 0, 1], "<u2").tobytes()
    data = glb(
        gltf(
            buffers=[{"byteLength": 108}],
            bufferViews=[
                {"buffer": 0, "byteLength": 96, "byteStride": 24},
                {"buffer": 0, "byteOffset": 96, "byteLength": 12},
            ],
            accessors=[
                {"bufferView": 0, "byteOffset": 12, "componentType": 5126, "count": 4, "type": "VEC3"},
                {"bufferView": 1, "componentType": 5123, "count": 6, "type": "SCALAR"},
            ],
            meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "mode": 5}]}],
            nodes=[
                {"children": [1, 2], "scale": [2, 2, 2]},
                {"mesh": 0},
                {"mesh": 0, "translation": [0, 3, 0]},
            ],
        ),
        interleaved + strip,
    )
    grid = read_shape_file(saved(tmp_path, "strip.glb", data), 32)[0, 0]
    heights = grid.any(0).any(0).nonzero().flatten()
    assert len(heights) < int(heights.max() - heights.min() + 1)  # two pieces above one another


def test_files_are_refused_before_a_process_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(mesh_parent.PARENT, "ask", forbidden)
    refused(tmp_path / "gone.glb", "not there")
    refused(tmp_path, "not a file")
    refused(saved(tmp_path, "empty.glb", b""), "empty")
    refused(saved(tmp_path, "shape.gltf", b"{}"), "export a GLB")
    refused(saved(tmp_path, "shape.3mf", b"PK\3\4"), "not 3MF; export a GLB")
    refused(saved(tmp_path, "shape", BALL_GLB), "not unnamed")
    with open(tmp_path / "sparse.stl", "wb") as file:
        file.truncate(10**10)
    assert "500,000 faces" in refused(tmp_path / "sparse.stl", "10000.0 MB")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.obj")
        refused(tmp_path / "pipe.obj", "not a file")


MEASURED = """
import re, sys, time
from demo.uploads import mesh_child
real = mesh_child.answer
def measured(*what):
    found = real(*what)
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
    return found[:200] + f" {peak} {time.process_time()} {'torch' in sys.modules}".encode()
mesh_child.answer = measured
mesh_child.main()
"""


@pytest.fixture(scope="module")
def measuring() -> Iterator[mesh_parent.Parent]:
    """Its processes say what they took."""
    parent = mesh_parent.Parent((sys.executable, "-c", MEASURED))
    yield parent
    parent.stop()


def polygons_of_bytes() -> bytes:
    """A PLY of 7.7 MB whose 30,000 faces have 255 corners each: 7.6 million triangles."""
    head = ply(3, 30_000, b"", "binary_little_endian").replace(b"uchar int", b"uchar uchar")
    return head + CORNERS[:3].tobytes() + (b"\xff" + b"\0\1\2" * 85) * 30_000


HEAVY: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "accessor of 1e8": ("glb", lambda: FALSE_CLAIMS["much of nothing.glb"][0], "no The mesh has 4 faces and 100"),
    "500 parts": ("glb", lambda: glb(gltf(nodes=[{"mesh": 0}] * 500, scenes=[{"nodes": list(range(500))}])), "grid "),
    "chain of 500": (
        "glb",
        lambda: glb(gltf(nodes=[{"children": [i + 1]} for i in range(499)] + [{"mesh": 0}])),
        "grid ",
    ),
    "folded surface": ("stl", lambda: BAD_SHAPES["folded.stl"][0], "no The mesh has too much surface"),
    "327,680 faces": ("glb", lambda: icosphere(7).export(file_type="glb"), "grid "),
    "980,000 lines": ("obj", lambda: b"v 0 0 0\n" * 490_000 + b"f 1 2 3\n" * 490_000, "no All points"),
    "polygons": ("ply", polygons_of_bytes, "no The mesh has 7,590,000 faces"),
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", HEAVY)
def test_the_process_takes_little_memory_and_time(name: str, measuring: mesh_parent.Parent) -> None:
    kind, data, expected = HEAVY[name]
    found, peak, seconds, torch_imported = measuring.ask(data(), kind, 32).rsplit(b" ", 3)
    assert found.decode("latin-1").startswith(expected.removesuffix(" "))
    assert float(peak) < 300
    assert float(seconds) < 5
    assert torch_imported == b"False"


@pytest.mark.parametrize(("outcome", "problem"), [
    (TimeoutError(), "too long"),
    (b"", "too much time or memory"),
    (b"grid ", "too much time or memory"),
    (b"grid " + bytes(5), "too much time or memory"),
    (b"Segmentation fault", "too much time or memory"),
])  # fmt: skip
def test_a_lost_process_is_one_sentence(
    outcome: object, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> object:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(mesh_parent.PARENT, "ask", lost)
    refused(saved(tmp_path, "ball.glb", BALL_GLB), problem)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_pass_the_checks_and_are_licensed(path: Path) -> None:
    grid = occupancy(parse_mesh(path.read_bytes(), "glb", LIMITS), 32)
    assert 400 < grid.sum() < 8000
    assert ndimage.label(grid, np.ones((3, 3, 3)))[1] == 1
    assert path.stat().st_size < 150_000
    table = (path.parent / "LICENSES.md").read_text()
    assert re.search(rf"\| `{path.name}` \|.*\| CC(0| BY) \d", table)


def test_examples_are_there() -> None:
    assert len(EXAMPLES) >= 8
    assert sum(path.stat().st_size for path in EXAMPLES) < 1_500_000
