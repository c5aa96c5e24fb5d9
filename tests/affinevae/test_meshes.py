"""One solid in every way that files write it is one grid, over every entry; what is not read is refused by its name."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import trimesh

from affinevae.data import load
from affinevae.meshes import parse_mesh
from affinevae.polygons import Array, Limits, MeshError, triangulate
from affinevae.voxels import Voxelize, read_shape, run, voxelize, voxelize_file
from demo.uploads.meshes import read_shape_file
from demo.uploads.values import UploadError
from training.errors import DataError

SIZE = 24
ENTRIES: dict[str, Callable[[Path], Array]] = {
    "library": lambda path: read_shape(path, SIZE)[0, 0].numpy() > 0,
    "commands": lambda path: voxelize_file(path.read_bytes(), path.suffix[1:].lower(), SIZE),
    "page": lambda path: read_shape_file(path, SIZE)[0, 0].numpy() > 0,
}


class Solid(NamedTuple):
    """A prism: its points are small whole numbers, so that every kind of number holds them exactly."""

    points: Array
    polygons: list[list[int]]  # both caps have as many corners as the outline
    triangles: Array  # cut by hand


def prism(outline: Sequence[tuple[int, int]], height: int, caps: Sequence[tuple[int, int, int]]) -> Solid:
    """Along z, its outline counter-clockwise; ``caps`` are the outline's triangles."""
    n = len(outline)
    points = np.array([(x, y, z) for z in (0, height) for x, y in outline])
    sides = [[i, (i + 1) % n, n + (i + 1) % n, n + i] for i in range(n)]
    triangles = [t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))]
    triangles += [t for a, b, c in caps for t in ((c, b, a), (a + n, b + n, c + n))]
    return Solid(points, [list(range(n))[::-1], list(range(n, 2 * n)), *sides], np.array(triangles))


def star() -> Solid:
    angles = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2, 40, 100)
    outline = [(round(r * np.cos(a)), round(r * np.sin(a))) for r, a in zip(radii, angles, strict=True)]
    inner = [(1, 3, 5), (1, 5, 7), (1, 7, 9)]
    return prism(outline, 70, [*inner, *((i - 1, i, i + 1) if i else (9, 0, 1) for i in range(0, 10, 2))])


L = prism(
    [(0, 0), (90, 0), (90, 20), (20, 20), (20, 120), (0, 120)],
    50,
    [(3, 4, 5), (3, 5, 0), (3, 0, 1), (3, 1, 2)],
)
SOLIDS = {"L": L, "star": star()}


@cache
def expected(name: str) -> Array:
    solid = SOLIDS[name]
    return voxelize(trimesh.Trimesh(solid.points, solid.triangles, process=False), SIZE).numpy()


def iou(one: Array, other: Array) -> float:
    return float((one & other).sum() / (one | other).sum())


# ---- texts ----


def rows(values: Any) -> str:
    return "".join(" ".join(map(str, row)) + "\n" for row in values)


def obj(solid: Solid, corner: str = "{}", point: str = "v {} {} {}") -> str:
    points = "".join(point.format(*p) + "\n" for p in solid.points)
    faces = "".join("f " + " ".join(corner.format(i + 1) for i in p) + "\n" for p in solid.polygons)
    return points + "vt 0 0\nvn 0 0 1\n" + faces


def obj_face_by_face(solid: Solid) -> str:
    """As ShapeNet's and many exporters' files: the points of a face, then the face, counted back."""
    return "".join(
        "".join("v {} {} {}\n".format(*solid.points[i]) for i in p)
        + "f "
        + " ".join(f"{-k}" for k in range(len(p), 0, -1))
        + "\n"
        for p in solid.polygons
    )


def obj_from_the_end(solid: Solid) -> str:
    faces = [[i - len(solid.points) for i in polygon] for polygon in solid.polygons]
    mixed = [[i + 1 for i in solid.polygons[0]], *faces[1:]]
    return rows([("v", *p) for p in solid.points]) + rows([("f", *p) for p in mixed])


def off(solid: Solid, head: str = "OFF\n{} {} 0\n", point: str = "", face: str = "") -> str:
    points = "".join(" ".join(map(str, p)) + point + "\n" for p in solid.points)
    faces = "".join(f"{len(p)} " + " ".join(map(str, p)) + face + "\n" for p in solid.polygons)
    return head.format(len(solid.points), len(solid.polygons)) + points + faces


def stl_text(solid: Solid, name: str = "solid") -> str:
    facets = "".join(
        " facet normal 0 0 0\n  outer loop\n"
        + "".join("   vertex {} {} {}\n".format(*solid.points[i]) for i in triangle)
        + "  endloop\n endfacet\n"
        for triangle in solid.triangles
    )
    return f"solid {name}\n{facets}endsolid {name}\n"


def stl_bytes(solid: Solid, head: bytes = b"") -> bytes:
    facets = np.zeros(len(solid.triangles), [("n", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
    facets["corners"] = solid.points[solid.triangles]
    return head.ljust(80, b"\0") + struct.pack("<I", len(facets)) + facets.tobytes()


# ---- PLY ----


def ply(
    solid: Solid,
    form: str = "ascii",
    *,
    number: str = "float",
    index: tuple[str, str] = ("uchar", "int"),
    name: str = "vertex_indices",
    around: bool = False,
    triangles: bool = False,
    end: str = "\n",
) -> bytes:
    """``around``: with properties before and after, other lists, other elements, and the faces first."""
    polygons = solid.triangles.tolist() if triangles else solid.polygons
    codes = {"uchar": "B", "int": "i", "uint": "I", "short": "h", "ushort": "H", "float": "f", "double": "d"}
    order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(form, "")

    def written(*values: tuple[str, Any]) -> bytes:
        if not order:
            return " ".join(str(value) for _, value in values).encode() + end.encode()
        return b"".join(struct.pack(order + codes[kind], value) for kind, value in values)

    extra = [("uchar", 200)] * around
    several = [("uchar", 2), ("float", 0.5), ("float", 1.5)] * around
    points = b"".join(written(*extra, *((number, p) for p in point), *extra) for point in solid.points)
    faces = b"".join(
        written(*extra, *several, (index[0], len(p)), *((index[1], i) for i in p), *extra) for p in polygons
    )
    sides = written(("int", 0), ("int", 1)) * around
    grey = ["property uchar grey"] * around
    vertex = [f"element vertex {len(solid.points)}", *grey, *(f"property {number} {a}" for a in "xyz")]
    face = [
        f"element face {len(polygons)}", *grey, *["property list uchar float texcoord"] * around,
        f"property list {index[0]} {index[1]} {name}",
    ]  # fmt: skip
    grey = ["property uchar shine"] * around
    edge = ["element edge 1", "property int vertex1", "property int vertex2"] * around
    parts = [(edge, sides), ([*face, *grey], faces), ([*vertex, *grey], points)]
    parts = parts if around else parts[::-1]
    head = [
        "ply",
        f"format {form} 1.0",
        "comment end_header and more",
        "obj_info x",
        *sum((p[0] for p in parts), []),
    ]
    return end.join([*head, "end_header", ""]).encode() + b"".join(body for _, body in parts)


def ply_strips(solid: Solid) -> bytes:
    """Stanford's: all strips in one list, each ended by -1."""
    corners = [i for a, b, c in solid.triangles for i in (a, b, c, -1)]
    return (
        f"ply\nformat ascii 1.0\nelement vertex {len(solid.points)}\nproperty float x\nproperty float y\n"
        "property float z\nelement tristrips 1\nproperty list int int vertex_indices\nend_header\n"
        + rows(solid.points) + rows([(len(corners), *corners)])
    ).encode()  # fmt: skip


# ---- GLB ----

CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}


class Glb:
    """A file in the making."""

    def __init__(self, **fields: Any) -> None:
        self.gltf: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "bufferViews": [],
            "accessors": [],
            **fields,
        }
        self.binary = b""

    def view(self, data: bytes, **fields: Any) -> int:
        self.binary += bytes(-len(self.binary) % 4)
        place = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        self.gltf["bufferViews"].append(place | fields)
        self.binary += data
        return len(self.gltf["bufferViews"]) - 1

    def accessor(self, values: Any, kind: str, *, stride: int = 0, **fields: Any) -> int:
        array = np.asarray(values).astype("<" + kind)
        array = array if array.ndim > 1 else array[:, None]
        strided = {"byteStride": stride} if stride else {}
        data = b"".join(row.tobytes().ljust(stride, b"\x7f") for row in array)
        widths = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
        self.gltf["accessors"].append(
            {"bufferView": self.view(data, **strided), "componentType": CODES[kind], "count": len(array),
             "type": widths[array.shape[1]], **fields}
        )  # fmt: skip
        return len(self.gltf["accessors"]) - 1

    def bytes(self) -> bytes:
        gltf = {"buffers": [{"byteLength": len(self.binary)}]} | self.gltf
        gltf.setdefault("scenes", [{"nodes": list(range(len(gltf.get("nodes", []))))}])
        text = json.dumps(gltf).encode()
        text += b" " * (-len(text) % 4)
        binary = self.binary + bytes(-len(self.binary) % 4)
        body = struct.pack("<I4s", len(text), b"JSON") + text
        body += struct.pack("<I4s", len(binary), b"BIN\0") + binary
        return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def y_up(points: Array) -> Array:
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], 1)


def glb(
    solid: Solid,
    kind: str = "f4",
    index: str = "u2",
    *,
    nodes: Any = None,
    points: dict[str, Any] | None = None,
    corners: Any = None,
    mode: int | None = None,
    **fields: Any,
) -> bytes:
    file = Glb(nodes=nodes or [{"mesh": 0}], **fields)
    primitive: dict[str, Any] = {
        "attributes": {"POSITION": file.accessor(y_up(solid.points), kind, **(points or {}))},
        "indices": file.accessor(solid.triangles.ravel() if corners is None else corners, index),
    }
    file.gltf["meshes"] = [{"primitives": [primitive | ({} if mode is None else {"mode": mode})]}]
    return file.bytes()


def glb_without_indices(solid: Solid) -> bytes:
    file = Glb(nodes=[{"mesh": 0}])
    points = file.accessor(y_up(solid.points)[solid.triangles.ravel()], "f4")
    file.gltf["meshes"] = [{"primitives": [{"attributes": {"POSITION": points}}]}]
    return file.bytes()


def glb_of_fans(solid: Solid) -> bytes:
    """Sides of four corners, the caps' triangles of three; beside lines, which are no part of a solid."""
    file = Glb(nodes=[{"mesh": 0}])
    points = file.accessor(y_up(solid.points), "f4")
    caps = solid.triangles[2 * (len(solid.polygons) - 2) :].tolist()
    primitives = [
        {"attributes": {"POSITION": points}, "indices": file.accessor(fan, "u1"), "mode": 6}
        for fan in [*solid.polygons[2:], *caps]
    ]
    line = {"attributes": {"POSITION": file.accessor([[0, 0, 0], [999, 0, 0]], "f4")}, "mode": 1}
    file.gltf["meshes"] = [{"primitives": [*primitives, line]}]
    return file.bytes()


def glb_sparse(solid: Solid, based: bool) -> bytes:
    """All points but the first from a view, or none of them: a sparse accessor alone stands on zeros."""
    points = y_up(solid.points)
    file = Glb(nodes=[{"mesh": 0}])
    wrong = points.copy()
    wrong[::2] = 7
    position = file.accessor(wrong, "f4")
    changed = range(0, len(points), 2) if based else range(len(points))
    file.gltf["accessors"][position]["sparse"] = {
        "count": len(changed),
        "indices": {"bufferView": file.view(np.array(changed, "<u2").tobytes()), "componentType": 5123},
        "values": {"bufferView": file.view(points[list(changed)].astype("<f4").tobytes())},
    }
    if not based:
        del file.gltf["accessors"][position]["bufferView"]
    corners = file.accessor(solid.triangles.ravel(), "u2")
    file.gltf["meshes"] = [{"primitives": [{"attributes": {"POSITION": position}, "indices": corners}]}]
    return file.bytes()


def glb_morphed(solid: Solid, on: str) -> bytes:
    """Half of the solid, and a target that adds the other half; the weights stand on the mesh or the node."""
    points = y_up(solid.points)
    file = Glb(nodes=[{"mesh": 0}])
    half, target = (file.accessor(points / 2, "f4") for _ in range(2))
    corners = file.accessor(solid.triangles.ravel(), "u2")
    primitive = {"attributes": {"POSITION": half}, "indices": corners}
    waste = {"POSITION": file.accessor(points[::-1], "f4")}
    file.gltf["meshes"] = [
        {"primitives": [primitive | {"targets": [waste, {"POSITION": target}, {"NORMAL": 0}]}]}
    ]
    file.gltf["meshes" if on == "mesh" else "nodes"][0]["weights"] = [0, 1.0, 0.5]
    return file.bytes()


def glb_skinned(solid: Solid) -> bytes:
    """The lower half of the points hangs on one joint, the upper on another that was bound elsewhere."""
    points = y_up(solid.points).astype(float)
    upper = solid.points[:, 2] > 0
    written = points.copy()
    written[upper] += (500, 0, 0)
    bind = np.stack([np.eye(4), np.eye(4)])
    bind[1, 0, 3] = -507  # at (507, 0, 0), and at (7, 0, 0) now
    file = Glb(nodes=[
        {"mesh": 0, "skin": 0, "translation": [9, 9, 9], "scale": [3, 1, 1]},  # which does not count
        {"children": [2]}, {"translation": [7, 0, 0]},
    ], scenes=[{"nodes": [0, 1]}])  # fmt: skip
    matrices = file.accessor(bind.swapaxes(1, 2).reshape(2, 16), "f4")
    file.gltf["skins"] = [{"joints": [1, 2], "inverseBindMatrices": matrices}]
    joints = np.where(upper[:, None], [1, 0, 0, 0], [0, 1, 0, 0])
    weights = np.broadcast_to([255, 0, 0, 0], joints.shape)
    attributes = {
        "POSITION": file.accessor(written, "f4"),
        "JOINTS_0": file.accessor(joints, "u1"),
        "WEIGHTS_0": file.accessor(weights, "u1", normalized=True),
    }
    corners = file.accessor(solid.triangles.ravel(), "u2")
    file.gltf["meshes"] = [{"primitives": [{"attributes": attributes, "indices": corners}]}]
    return file.bytes()


def glb_in_pieces(solid: Solid, extension: str = "") -> bytes:
    """Caps and sides as two meshes; with an optional extension beside data that is there plainly."""
    file = Glb(nodes=[{"children": [1, 2]}, {"mesh": 0}, {"mesh": 1}], scenes=[{"nodes": [0]}])
    points = file.accessor(y_up(solid.points), "f4")
    cut = 2 * (len(solid.polygons) - 2)
    parts = [file.accessor(part.ravel(), "u2") for part in (solid.triangles[:cut], solid.triangles[cut:])]
    primitives = [{"attributes": {"POSITION": points}, "indices": part} for part in parts]
    if "draco" in extension:
        primitives = [
            p | {"extensions": {extension: {"bufferView": 0, "attributes": {"POSITION": 0}}}}
            for p in primitives
        ]
    elif extension:
        for view in file.gltf["bufferViews"]:
            view["extensions"] = {extension: {"buffer": 0, "byteOffset": 0, "byteLength": 4}}
    file.gltf["meshes"] = [{"primitives": [p]} for p in primitives]
    file.gltf["extensionsUsed"] = [extension] if extension else []
    return file.bytes()


def strip(triangles: Array) -> list[int]:
    """One strip, its triangles joined by degenerate ones."""
    return [corner for a, b, c in triangles.tolist() for corner in (a, a, b, c, c)]


def filled(data: bytes, rest: bytes) -> bytes:
    """A GLB with something behind its JSON."""
    end = 20 + struct.unpack_from("<I", data, 12)[0]
    head = struct.pack("<4sIII", b"glTF", 2, len(data) + len(rest), end - 20 + len(rest))
    return head + data[16:end] + rest + data[end:]


QUARTER = [0, 0.5**0.5, 0, 0.5**0.5]  # about y
NESTED = [  # three quarter turns and one, about y; a scale, and its inverse; shifts that do not matter
    {"children": [1], "translation": [5, 6, 7], "scale": [2, 2, 2]},
    {"children": [2], "rotation": QUARTER},
    {"children": [3], "matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 300, 1, 2, 1]},
    {"mesh": 0, "rotation": [2 * q for q in QUARTER]},
]
Write = Callable[[Solid], "str | bytes"]
READ: dict[str, Write] = {
    "plain.obj": obj,
    "texture.obj": lambda s: obj(s, "{}/1"),
    "normals.obj": lambda s: obj(s, "{}//1"),
    "both.obj": lambda s: obj(s, "{0}/1/1"),
    "relative both.obj": lambda s: obj_from_the_end(s).replace("f -", "f  -"),
    "face by face.obj": obj_face_by_face,
    "colours.obj": lambda s: obj(s, point="v {} {} {} 0.5 0.25 1.0"),
    "weights.obj": lambda s: obj(s, point="v {} {} {} 1.0"),
    "mixed columns.obj": lambda s: obj(s).replace("\n", " 1 0 0\n", 3),
    "groups.obj": lambda s: "mtllib a.mtl\no thing\n" + obj(s).replace("f ", "g v 1 2 3\nusemtl f 1\ns off\nf ", 3),
    "lines end in CR LF.obj": lambda s: obj(s).replace("\n", "\r\n"),
    "lines end in CR.obj": lambda s: obj(s).replace("\n", "\r"),
    "tabs and spaces.obj": lambda s: obj(s).replace("f ", " f\t").replace("v ", "\tv   ").replace("\n", " \n"),
    "continued.obj": lambda s: obj(s).replace("f ", "f \\\n", 2).replace(" 3", " \\\r\n3"),
    "comments.obj": lambda s: "# f 1 2 3\n" + obj(s).replace("\n", " # v 9 9 9\n", 4),
    "comments behind.obj": lambda s: obj(s).replace("\n", "# v 9 9 9\n"),
    "Latin-1.obj": lambda s: "o Stück Größe\n".encode("latin-1") + obj(s).encode(),
    "UTF-8.obj": lambda s: "o Stück 椅子\n".encode() + obj(s).encode(),
    "byte order mark.obj": lambda s: b"\xef\xbb\xbf" + obj(s).encode(),
    "UTF-16.obj": lambda s: obj(s).encode("utf-16"),
    "points last.obj": lambda s: "".join(sorted(obj(s).splitlines(True), key=lambda line: line[0] != "f")),
    "no last line feed.obj": lambda s: obj(s).rstrip(),
    "exponents.obj": lambda s: obj(s, point="v {}e-3 {}E-3 +{}e-03".replace("+{}", "{}")),
    "plain.off": off,
    "ModelNet.off": lambda s: off(s, "OFF{} {} 0\n"),
    "counts behind.off": lambda s: off(s, "OFF {} {} 0\n"),
    "two counts.off": lambda s: off(s, "OFF\n{} {}\n"),
    "colours.off": lambda s: off(s, "COFF\n{} {} 0\n", " 255 0 0 255", " 1.0 0 0"),
    "normals.off": lambda s: off(s, "NOFF\n{} {} 0\n", " 0 0 1"),
    "all.off": lambda s: off(s, "STCNOFF\n{} {} 0\n", " 0 0 1 1 1 1 1 0 0"),
    "small letters.off": lambda s: off(s, "off\n{} {} 0\n"),
    "comments.off": lambda s: "# by hand: café\n" + off(s, "OFF # 8 6\n\n# here\n{} {} 0 # counts\n", "  # a", " # b"),
    "lines after it.off": lambda s: off(s) + "end\n1 2\n",
    "lines end in CR LF.off": lambda s: off(s).replace("\n", "\r\n"),
    "byte order mark.off": lambda s: b"\xef\xbb\xbf" + off(s).encode(),
    "text.stl": stl_text,
    "text, capitals.stl": lambda s: stl_text(s).upper(),
    "text, a name of words.stl": lambda s: stl_text(s, "a solid facet of vertex"),
    "text, two solids.stl": lambda s: stl_text(s._replace(triangles=s.triangles[:9]))
    + stl_text(s._replace(triangles=s.triangles[9:])),
    "text, CR LF and mark.stl": lambda s: b"\xef\xbb\xbf" + stl_text(s).replace("\n", "\r\n").encode(),
    "binary.stl": stl_bytes,
    "binary, calls itself solid.stl": lambda s: stl_bytes(s, b"solid exported by a program"),
    "text.ply": ply,
    "text, CR LF.ply": lambda s: ply(s, end="\r\n"),
    "text, around.ply": lambda s: ply(s, around=True),
    "text, mark.ply": lambda s: b"\xef\xbb\xbf" + ply(s),
    "little.ply": lambda s: ply(s, "binary_little_endian"),
    "little, CR LF.ply": lambda s: ply(s, "binary_little_endian", end="\r\n"),
    "little, around.ply": lambda s: ply(s, "binary_little_endian", around=True),
    "little, triangles.ply": lambda s: ply(s, "binary_little_endian", triangles=True, around=True),
    "big.ply": lambda s: ply(s, "binary_big_endian", around=True),
    "big, triangles.ply": lambda s: ply(s, "binary_big_endian", number="double", triangles=True),
    "vertex_index.ply": lambda s: ply(s, name="vertex_index"),
    "another name.ply": lambda s: ply(s, "binary_little_endian", name="corners"),
    "unsigned.ply": lambda s: ply(s, "binary_little_endian", index=("uint", "ushort")),
    "whole numbers.ply": lambda s: ply(s, "binary_big_endian", number="short", index=("int", "uchar")),
    "strips.ply": ply_strips,
    "bytes count.glb": lambda s: glb(s, index="u1"),
    "shorts count.glb": glb,
    "words count.glb": lambda s: glb(s, index="u4"),
    "without indices.glb": glb_without_indices,
    "strip.glb": lambda s: glb(s, corners=strip(s.triangles), mode=5),
    "fans.glb": glb_of_fans,
    "interleaved.glb": lambda s: glb(s, points={"stride": 28}),
    "sparse.glb": lambda s: glb_sparse(s, based=True),
    "sparse alone.glb": lambda s: glb_sparse(s, based=False),
    "bytes.glb": lambda s: glb(s, "i1", points={"stride": 4}),
    "shorts.glb": lambda s: glb(s, "i2", points={"stride": 8}, extensionsRequired=["KHR_mesh_quantization"]),
    "normalised bytes.glb": lambda s: glb(
        s, "i1", points={"stride": 4, "normalized": True}, nodes=[{"mesh": 0, "scale": [9, 9, 9]}]
    ),
    "normalised shorts.glb": lambda s: glb(s, "i2", points={"stride": 8, "normalized": True}),
    "unsigned.glb": lambda s: glb(s._replace(points=s.points + (100, 120, 100)), "u1", points={"stride": 4}),
    "unsigned normalised.glb": lambda s: glb(
        s._replace(points=s.points + (100, 120, 100)), "u2", points={"stride": 8, "normalized": True}
    ),
    "nested.glb": lambda s: glb(s, nodes=NESTED, scenes=[{"nodes": [0]}]),
    "mirrored.glb": lambda s: glb(
        s._replace(points=s.points * (-1, 1, 1)), nodes=[{"mesh": 0, "scale": [-1, 1, 1]}]
    ),
    "the second scene.glb": lambda s: glb(
        s, nodes=[{"mesh": 0, "scale": [9, 1, 1]}, {"mesh": 0}], scenes=[{"nodes": [0, 1]}, {"nodes": [1]}], scene=1
    ),
    "out of the scene.glb": lambda s: glb(
        s, nodes=[{"mesh": 0}, {"mesh": 0, "translation": [500, 0, 0]}], scenes=[{"nodes": [0]}]
    ),
    "no scene.glb": lambda s: glb(s, scenes=[]),
    "no nodes.glb": lambda s: glb(s, nodes=[{}]).replace(b'"nodes": [{}]', b'"nodes": []  ').replace(
        b'"scenes": [{"nodes": [0]}]', b'"scenes": [{"nodes": [ ]}]'
    ),
    "hidden.glb": lambda s: glb(s, nodes=[
        {"mesh": 0}, {"mesh": 0, "scale": [9, 1, 1], "extensions": {"KHR_node_visibility": {"visible": False}}},
    ]),
    "pieces.glb": glb_in_pieces,
    "Draco besides.glb": lambda s: glb_in_pieces(s, "KHR_draco_mesh_compression"),
    "meshopt besides.glb": lambda s: glb_in_pieces(s, "EXT_meshopt_compression"),
    "materials.glb": lambda s: glb(
        s, extensionsRequired=["KHR_materials_unlit", "KHR_texture_transform", "EXT_texture_webp"],
        images=[{"uri": "a.png"}], materials=[{}], textures=[{"source": 0}],
    ),
    "morphed by the mesh.glb": lambda s: glb_morphed(s, "mesh"),
    "morphed by the node.glb": lambda s: glb_morphed(s, "node"),
    "skinned.glb": glb_skinned,
    "longer than it says.glb": lambda s: glb(s) + b"rest",
    "filled up with zeros.glb": lambda s: filled(glb(s), b"\0\0\0\0"),
}  # fmt: skip


def saved(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("solid", SOLIDS)
@pytest.mark.parametrize("name", READ)
def test_every_way_to_write_a_solid_is_the_same_grid(name: str, solid: str, tmp_path: Path) -> None:
    path, grid = saved(tmp_path, name, READ[name](SOLIDS[solid])), expected(solid)
    assert iou(voxelize_file(path.read_bytes(), path.suffix[1:], SIZE), grid) > 0.99


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("name", [
    "face by face.obj", "Latin-1.obj", "counts behind.off", "binary, calls itself solid.stl", "big.ply",
    "normalised bytes.glb", "nested.glb",
])  # fmt: skip
def test_every_entry_reads_alike(name: str, entry: str, tmp_path: Path) -> None:
    path = saved(tmp_path, name, READ[name](L))
    assert iou(ENTRIES[entry](path.rename(path.with_suffix(path.suffix.upper()))), expected("L")) > 0.99


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("parent", [{}, {"scale": [0.01, 0.01, 0.01], "rotation": [0, 0, 0, 2]}])
def test_a_mesh_is_as_often_there_as_nodes_place_it(
    parent: dict[str, Any], entry: str, tmp_path: Path
) -> None:
    """Under a parent or not, by shift, by turn and by matrix; quantised, as exporters write such scenes."""
    turn = [0, 0, -1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 300, 0, 1]  # a quarter about y, and up
    children = [{"mesh": 0}, {"mesh": 0, "translation": [0, 90, 200]}, {"mesh": 0, "matrix": turn}]
    nodes = [*children, {"children": [0, 1, 2], **parent}]
    data = glb(L, "i1", points={"stride": 4}, nodes=nodes, scenes=[{"nodes": [3]}])
    places = [np.eye(4), np.eye(4), np.array(turn).reshape(4, 4).T]
    places[1][:3, 3] = (0, 90, 200)
    up = [y_up(L.points) @ place[:3, :3].T + place[:3, 3] for place in places]
    points = np.concatenate([np.stack([p[:, 0], -p[:, 2], p[:, 1]], 1) for p in up])
    faces = np.concatenate([L.triangles + i * len(L.points) for i in range(3)])
    grid = voxelize(trimesh.Trimesh(points, faces, process=False), SIZE).numpy()
    assert iou(ENTRIES[entry](saved(tmp_path, "three.glb", data)), grid) > 0.99


# ---- what is not read ----


def changed(data: bytes, **fields: Any) -> bytes:
    """A GLB with other fields."""
    length = struct.unpack_from("<I", data, 12)[0]
    text = json.dumps(json.loads(data[20 : 20 + length]) | fields).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + data[20 + length :]
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def glb_hidden_in(extension: str) -> bytes:
    """Compressed for good: what is plain is empty."""
    data = glb_in_pieces(L, extension)
    gltf = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    if "draco" in extension:
        for accessor in gltf["accessors"]:
            del accessor["bufferView"]
    else:
        gltf["buffers"].append({"byteLength": 999, "extensions": {extension: {"fallback": True}}})
        for view in gltf["bufferViews"]:
            view["buffer"] = 1
    return changed(data, **gltf)


def glb_required(extension: str) -> bytes:
    return glb(L, extensionsRequired=[extension])


instances = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": 0}}}
NOT_READ: dict[str, tuple[str | bytes, str]] = {
    "Draco.glb": (glb_hidden_in("KHR_draco_mesh_compression"), "'KHR_draco_mesh_compression'.*without compression"),
    "meshopt.glb": (glb_hidden_in("EXT_meshopt_compression"), "'EXT_meshopt_compression'.*without compression"),
    "new meshopt.glb": (glb_hidden_in("KHR_meshopt_compression"), "'KHR_meshopt_compression'"),
    "Draco needed.glb": (glb_required("KHR_draco_mesh_compression"), "'KHR_draco_mesh_compression'"),
    "anything needed.glb": (glb_required("XYZ_new_geometry"), "'XYZ_new_geometry'"),
    "instances.glb": (glb(L, nodes=[{"mesh": 0, "extensions": instances}]), "'EXT_mesh_gpu_instancing'"),
    "beside it.glb": (glb(L, buffers=[{"byteLength": 9, "uri": "a.bin"}]), "other files"),
    "glTF 1.glb": (glb(L)[:4] + b"\1" + glb(L)[5:], "version 2"),
    "no such corner.glb": (glb(L, corners=[0, 1, 99]), "corners that do not exist"),
    "two corners over.glb": (glb(L, corners=[0, 1, 2, 3, 4]), "damaged"),
    "JSON.glb": (b'{"asset": {"version": "2.0"}}', "export a GLB"),
    "corner 0.obj": (obj(L).replace("f 1 ", "f 0 ").replace("f 6 ", "f 0 "), "corners that do not exist"),
    "before the first.obj": (obj(L) + "f -1 -2 -99\n", "corners that do not exist"),
    "decimal commas.obj": (obj(L, point="v {},5 {},5 {},5"), "decimal commas"),
    "decimal commas.stl": (stl_text(L).replace("vertex 0", "vertex 0,5"), "decimal commas"),
    "infinite by Windows.obj": (obj(L, point="v {} {} 1.#INF"), "damaged"),
    "words.obj": (obj(L, point="v {} {} up"), "damaged"),
    "a GLB.obj": (glb(L), "holds a GLB; rename"),
    "an STL.obj": (stl_text(L), "holds an STL; rename"),
    "an OFF.ply": (off(L), "holds an OFF; rename"),
    "four numbers.off": (off(L, "4OFF\n{} {} 0\n", " 1"), "not of three numbers"),
    "any dimension.off": (off(L, "nOFF\n3\n{} {} 0\n"), "not of three numbers"),
    "binary.off": (b"OFF BINARY\n" + bytes(99), "is binary"),
    "faces over.off": (off(L) + "3 0 1 2\n", "12 points and 8 faces, a line each, and has 21 lines"),
    "a face short.off": (off(L, "OFF\n{} 9 0\n"), "12 points and 9 faces, a line each, and has 20 lines"),
    "cut.stl": (stl_text(L)[:-90], "damaged"),
    "cut in bytes.stl": (stl_bytes(L)[:-9], "damaged"),
    "longer than it says.stl": (stl_bytes(L) + bytes(50), "damaged"),
    "points.ply": (ply(L._replace(polygons=[])), "no faces"),
    "points of lists.ply": (ply(L).replace(b"property float x", b"property list uchar float x"), "damaged"),
    "two lists.ply": (
        ply(L, name="one").replace(b"int one", b"int one\nproperty list uchar int two"), "damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_not_read_is_refused_with_one_sentence_everywhere(name: str, tmp_path: Path) -> None:
    data, problem = NOT_READ[name]
    path = saved(tmp_path, name, data)
    with pytest.raises(MeshError, match=problem) as by_library:
        read_shape(path, SIZE)
    with pytest.raises(UploadError) as by_page:
        read_shape_file(path, SIZE)
    assert str(by_page.value) == str(by_library.value)
    assert str(by_library.value).endswith(".")
    assert "\n" not in str(by_library.value)


def refusal(name: str) -> str:
    data, _ = NOT_READ[name]
    with pytest.raises(MeshError) as caught:
        parse_mesh(data if isinstance(data, bytes) else data.encode(), name.rpartition(".")[2])
    return str(caught.value)


def test_the_documents_quote_what_is_said() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    table = text.partition("### What is not read")[2].partition("###")[0]
    quoted = re.findall(r"^\|[^|]*\| ([A-Z].*\.) \|$", table, re.MULTILINE)
    said = {*map(refusal, NOT_READ), *(str(other_kind(kind)) for kind in ("fbx", "gltf"))}
    assert len(quoted) > 10
    assert set(quoted) <= said


def other_kind(kind: str) -> MeshError:
    with pytest.raises(MeshError) as caught:
        parse_mesh(b"Kaydara", kind)
    return caught.value


@pytest.mark.parametrize("kind", ["fbx", "dae", "gltf", "3ds", "stp", ""])
def test_other_kinds_are_told_what_works(kind: str) -> None:
    with pytest.raises(
        MeshError, match=rf"GLB, OBJ, STL, OFF, PLY, not {kind.upper() or 'unnamed'}; export a GLB"
    ):
        parse_mesh(b"Kaydara", kind)


@pytest.mark.parametrize("kind", ["obj", "off", "ply", "glb", "stl"])
def test_limits_are_held_before_anything_is_made(kind: str) -> None:
    data = next(write(L) for name, write in READ.items() if name.endswith(kind))
    data = data if isinstance(data, bytes) else data.encode()
    faces = len(parse_mesh(data, kind).faces)
    parse_mesh(data, kind, Limits(faces=faces, vertices=3 * faces))
    for limits in (Limits(faces=faces - 1), Limits(vertices=11)):
        if kind == "stl" and limits.faces > faces:
            continue  # three points a face
        with pytest.raises(MeshError, match="it may have"):
            parse_mesh(data, kind, limits)


# ---- sets ----


def test_a_set_is_made_into_grids_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every kind of file in one set, some of them bad: all named with their reasons, or left out on request."""
    for i, name in enumerate(name for name in READ if i_th_of_its_kind(name) < 3):
        folder = tmp_path / "set" / ("L" if i % 2 else "star") / str(i) / "models"
        folder.mkdir(parents=True)
        saved(folder, f"model.{name.rpartition('.')[2]}", READ[name](SOLIDS["L" if i % 2 else "star"]))
    for name in ("Draco.glb", "decimal commas.obj"):
        saved(folder, name, NOT_READ[name][0])
    with pytest.raises(
        ValueError, match="set: 2 of 17 meshes cannot be read: .*Draco.glb \\(the GLB's.*--leave-out"
    ):
        run(Voxelize(tmp_path / "set", tmp_path / "new" / "set.npz", 16))
    with pytest.raises(
        DataError, match=r"2 of 17 meshes.*python -m affinevae\.voxels .*--leave-out-unreadable"
    ):
        load(str(tmp_path / "set"), size=16)
    run(Voxelize(tmp_path / "set", tmp_path / "new" / "set.npz", 16, leave_out_unreadable=True))
    said = capsys.readouterr().out
    assert "17 files found, 15 read, as class folders" in said
    assert re.search(r"1 left out: cannot be read: the mesh's numbers have decimal commas", said)
    data = load(str(tmp_path / "new" / "set.npz"))
    assert data.classes == ("L", "star")
    assert (data.report.read, data.train.images.shape[1:]) == (15, (1, 16, 16, 16))


def i_th_of_its_kind(name: str) -> int:
    return [other for other in READ if other[-3:] == name[-3:]].index(name)


# ---- polygons ----


def areas(points: Array, triangles: Array) -> Array:
    a, b, c = (points[triangles[:, i]] for i in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


@pytest.mark.parametrize("seed", range(4))
def test_triangles_of_a_polygon_tile_it(seed: int) -> None:
    """Outlines that a fan from no corner covers, anywhere in space, from any first corner, either way round."""
    rng = np.random.default_rng(seed)
    count = 30
    angles, radii = np.sort(rng.random(count)) * 2 * np.pi, 1 + 9 * rng.random(count)
    flat = np.stack([radii * np.cos(angles), radii * np.sin(angles), np.zeros(count)], 1)
    x, y = flat[:, 0], flat[:, 1]
    area = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    points = flat @ turn.T + (100, -50, 3)
    for corners in (np.arange(count), np.roll(np.arange(count)[::-1], seed)):
        triangles = triangulate(points, corners[None])
        assert triangles.shape == (count - 2, 3)
        assert areas(points, triangles).sum() == pytest.approx(area, rel=1e-6)


def test_polygons_of_all_kinds_at_once() -> None:
    """Convex ones and others in one batch, and degenerate ones, which lose nothing and break nothing."""
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.9, 0.9, 0]], float)
    polygons = np.array([[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 1], [0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1]])
    triangles = triangulate(square, polygons)
    assert areas(square, triangles).sum() == pytest.approx(1 + 2 * 0.1, rel=1e-6)
    assert triangulate(square, np.zeros((0, 4), np.int64)).shape == (0, 3)
    assert triangulate(square, np.array([[0, 1]])).shape == (0, 3)
    assert torch.equal(
        torch.from_numpy(triangulate(square * np.nan, polygons[:1])), torch.tensor([[0, 1, 2], [0, 2, 3]])
    )
