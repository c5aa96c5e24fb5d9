"""The triangles of a GLB, placed as its scene places them (glTF 2.0 specification, sections 3 and 4).

Nodes in any depth, one mesh under many of them, sparse, strided and quantised accessors (KHR_mesh_quantization),
strips and fans, skins and morph targets at rest. Materials, textures and animations are never looked at. What an
extension hides is read where the file holds it plainly as well; else it is refused by the extension's name.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from affinevae.polygons import Array, Limits, Mesh, MeshError, check_corners, strips

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
POINTS, INDICES = {5120, 5121, 5122, 5123, 5126}, {5121, 5123, 5125}
TRIANGLES, STRIP, FAN = 4, 5, 6
# Required ones that change nothing of a shape, by a word of their names.
HARMLESS = re.compile(
    "mesh_quantization|visibility|materials|texture|lights|xmp|animation|audio|interactivity|physics|metadata|features|"
    "outline|articulations|techniques|ngon|VRM"
)
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
DRACO = "KHR_draco_mesh_compression"
INSTANCING = "EXT_mesh_gpu_instancing"


class Placed(NamedTuple):
    """A primitive, its node, and where it is: ``(4, 4)``, or one a joint, ``(j, 4, 4)``."""

    primitive: dict[str, Any]
    node: dict[str, Any]
    mesh: dict[str, Any]
    place: Array


def parse_glb(data: bytes, limits: Limits) -> Mesh:
    """A GLB's default scene as one mesh, y up as the file is.

    Raises:
        MeshError: too large, or its data is compressed or elsewhere.
        ValueError, LookupError, TypeError and their like: damaged.
    """
    file = File(*_chunks(data, limits), limits)
    placed = list(islice(file.placed(), limits.parts + 1))
    if len(placed) > limits.parts:
        raise MeshError(f"The GLB has too many parts; it may have {limits.parts:,}, so join them.")
    sizes = [file.size(part.primitive) for part in placed]
    limits.check(sum(points for points, _ in sizes), sum(faces for _, faces in sizes))
    return joined([file.read(part) for part in placed])


def joined(parts: list[Mesh]) -> Mesh:
    """Meshes as one."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    faces = [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    return Mesh(
        np.concatenate([empty.vertices, *(vertices for vertices, _ in parts)]),
        np.concatenate([empty.faces, *faces]),
    )


class File:
    """A GLB's description and its binary part."""

    def __init__(self, gltf: dict[str, Any], binary: memoryview, limits: Limits) -> None:
        self.gltf, self.binary, self.limits = gltf, binary, limits
        self.accessor = cache(self._accessor)  # a mesh under many nodes is read once
        for name in gltf.get("extensionsRequired", []):
            if not HARMLESS.search(str(name)):
                raise _needs(name)
        if any("uri" in _fields(buffer) for buffer in gltf.get("buffers", [])):
            raise MeshError("The GLB refers to other files; export it with everything in one GLB.")

    def placed(self) -> Iterable[Placed]:
        """Every primitive of triangles, as often as the scene shows it."""
        nodes = [_fields(node) for node in self.gltf.get("nodes", [])]
        nodes = nodes or [
            {"mesh": i} for i in range(len(self.gltf.get("meshes", [])))
        ]  # a file of parts, no scene
        if len(nodes) > self.limits.parts:
            raise MeshError(
                f"The GLB has {len(nodes):,} parts; it may have {self.limits.parts:,}, so join them."
            )
        places = self._places(nodes)
        for index, place in places.items():
            node = nodes[index]
            if "mesh" not in node:
                continue
            if INSTANCING in node.get("extensions", {}):
                raise _needs(INSTANCING)
            mesh = _fields(self.gltf["meshes"][_index(node["mesh"])])
            where = self._joints(node, places) if "skin" in node else place
            for primitive in map(_fields, mesh["primitives"]):
                if primitive.get("mode", TRIANGLES) in (TRIANGLES, STRIP, FAN):
                    skinned = "skin" in node and "JOINTS_0" in primitive["attributes"]
                    yield Placed(primitive, node, mesh, where if skinned or "skin" not in node else place)

    def size(self, primitive: dict[str, Any]) -> tuple[int, int]:
        """Points and triangles that a primitive claims."""
        points = self._count(primitive["attributes"]["POSITION"])
        corners = self._count(primitive["indices"]) if "indices" in primitive else points
        return points, corners // 3 if primitive.get("mode", TRIANGLES) == TRIANGLES else max(corners - 2, 0)

    def read(self, part: Placed) -> Mesh:
        """A primitive's triangles in their place."""
        primitive, attributes = part.primitive, _fields(part.primitive["attributes"])
        used = [attributes["POSITION"], *([primitive["indices"]] if "indices" in primitive else [])]
        if DRACO in primitive.get("extensions", {}) and any("bufferView" not in self._entry(i) for i in used):
            raise _needs(DRACO)
        points = self.accessor(_index(attributes["POSITION"]), "VEC3", frozenset(POINTS))
        weights = part.node.get("weights", part.mesh.get("weights", []))
        for weight, target in zip(weights, primitive.get("targets", []), strict=False):
            if weight and "POSITION" in target:
                points = points + float(weight) * self.accessor(
                    _index(target["POSITION"]), "VEC3", frozenset(POINTS)
                )
        if "indices" in primitive:
            corners = self.accessor(_index(primitive["indices"]), "SCALAR", frozenset(INDICES))[:, 0].astype(
                np.int64
            )
        else:
            corners = np.arange(len(points))
        check_corners(corners, len(points))
        if part.place.ndim == 3:
            vertices = self._skinned(points, attributes, part.place)
        else:
            vertices = points @ part.place[:3, :3].T + part.place[:3, 3]
        faces = _triangles(corners, primitive.get("mode", TRIANGLES))
        mirrored = part.place.ndim == 2 and np.linalg.det(part.place[:3, :3]) < 0
        return Mesh(vertices, faces[:, ::-1] if mirrored else faces)

    def _places(self, nodes: list[dict[str, Any]]) -> dict[int, Array]:
        """Nodes that the scene shows, and where each is, ``(4, 4)``; a tree, as the specification demands (3.5.3)."""
        children = [
            [child for child in map(_index, node.get("children", [])) if _within(child, nodes)]
            for node in nodes
        ]
        everyone = [child for some in children for child in some]
        if len(everyone) != len(set(everyone)):
            raise ValueError("two parents")
        scenes = self.gltf.get("scenes", [])
        if scenes and self.gltf.get("nodes"):
            roots = [_index(root) for root in scenes[_index(self.gltf.get("scene", 0))].get("nodes", [])]
        else:
            roots = sorted(set(range(len(nodes))) - set(everyone))
        places: dict[int, Array] = {}
        waiting = [(root, np.eye(4)) for root in reversed(roots)]
        while waiting:
            index, parent = waiting.pop()
            if index in places:
                raise ValueError("a node is its own parent")
            node = nodes[index]
            if not node.get("extensions", {}).get("KHR_node_visibility", {}).get("visible", True):
                continue
            places[index] = parent @ _local(node)
            waiting += [(child, places[index]) for child in reversed(children[index])]
        return places

    def _joints(self, node: dict[str, Any], places: dict[int, Array]) -> Array:
        """Where each joint of a node's skin carries the points, ``(j, 4, 4)``; the node's own place does not count."""
        skin = _fields(self.gltf["skins"][_index(node["skin"])])
        joints = np.stack([places[_index(joint)] for joint in skin["joints"]])
        if "inverseBindMatrices" not in skin:
            return joints
        bind = self.accessor(_index(skin["inverseBindMatrices"]), "MAT4", frozenset({5126}))
        return joints @ bind[: len(joints)].reshape(-1, 4, 4).swapaxes(1, 2)  # written by columns

    def _skinned(self, points: Array, attributes: dict[str, Any], joints: Array) -> Array:
        """Points carried by the mean of their joints (section 3.7.3)."""
        total, moved = np.zeros((len(points), 1)), np.zeros_like(points)
        for k in range(len(attributes)):
            if f"JOINTS_{k}" not in attributes:
                break
            which = self.accessor(_index(attributes[f"JOINTS_{k}"]), "VEC4", frozenset({5121, 5123})).astype(
                np.int64
            )
            weights = self.accessor(_index(attributes[f"WEIGHTS_{k}"]), "VEC4", frozenset({5121, 5123, 5126}))
            for joint, weight in zip(which.T, weights.T, strict=True):
                place = joints[joint]
                carried = np.einsum("nij,nj->ni", place[:, :3, :3], points) + place[:, :3, 3]
                moved += weight[:, None] * carried
                total += weight[:, None]
        return moved / np.where(total > 0, total, 1)

    def _entry(self, index: Any) -> dict[str, Any]:
        return _fields(self.gltf["accessors"][_index(index)])

    def _count(self, index: Any) -> int:
        return _index(self._entry(index)["count"])

    def _accessor(self, index: int, kind: str, components: frozenset[int]) -> Array:
        """An accessor's values, float64 or whole numbers, ``(n, width)``."""
        entry = self._entry(index)
        count, component = _index(entry["count"]), entry["componentType"]
        if entry["type"] != kind or component not in components or not count:
            raise ValueError("not what it should be")
        if "bufferView" in entry:
            values = self._view(entry, count, component, WIDTHS[kind])
        elif "sparse" in entry:
            self.limits.check(count, 0)
            values = np.zeros((count, WIDTHS[kind]), COMPONENTS[component])
        else:
            raise MeshError("The GLB has points without data of their own; export it again, uncompressed.")
        if "sparse" in entry:
            values = self._sparse(values, _fields(entry["sparse"]), component)
        whole = kind == "SCALAR" or component == 5126
        if entry.get("normalized") and not whole:
            return np.maximum(values / np.iinfo(COMPONENTS[component]).max, -1.0)
        return values if kind == "SCALAR" else values.astype(np.float64)

    def _sparse(self, values: Array, sparse: dict[str, Any], component: int) -> Array:
        """Values with some of them replaced (section 3.6.2.3)."""
        count, where = _index(sparse["count"]), _fields(sparse["indices"])
        rows = self._view(where, count, where["componentType"], 1)[:, 0]
        values = values.copy()
        values[rows] = self._view(_fields(sparse["values"]), count, component, values.shape[1])
        return values

    def _view(self, entry: dict[str, Any], count: int, component: int, width: int) -> Array:
        """``(count, width)`` numbers in the binary part, through a buffer view, not copied."""
        view = _fields(self.gltf["bufferViews"][_index(entry["bufferView"])])
        number = _index(view.get("buffer", 0))
        buffer = _fields(self.gltf["buffers"][number])
        for name in MESHOPT:
            if name in view.get("extensions", {}) and (number or name in buffer.get("extensions", {})):
                raise _needs(name)
        start, length = _index(view.get("byteOffset", 0)), _index(view["byteLength"])
        kind = np.dtype(COMPONENTS[component])
        row = kind.itemsize * width
        stride, offset = _index(view.get("byteStride", row)), _index(entry.get("byteOffset", 0))
        inside = offset + (count - 1) * stride + row <= length and start + length <= len(self.binary)
        if number or stride < row or not inside:
            raise ValueError("off the end")
        return np.ndarray((count, width), kind, self.binary, start + offset, (stride, kind.itemsize))


def _chunks(data: bytes, limits: Limits) -> tuple[dict[str, Any], memoryview]:
    """The JSON and the binary part of a GLB (section 4.4)."""
    _, version, length, json_length, json_kind = struct.unpack_from("<4sIII4s", data)
    if version != 2:
        raise MeshError("The GLB is not of version 2; export it again as glTF 2.0 (GLB).")
    if length > len(data) or json_kind != b"JSON" or 20 + json_length > length:
        raise ValueError("cut")
    if json_length > limits.json:
        raise MeshError(
            f"The GLB describes too many parts; its JSON may have {limits.json / 1e6:g} MB, so join them."
        )
    binary = memoryview(b"")
    if 28 + json_length <= length:
        binary_length, binary_kind = struct.unpack_from("<I4s", data, 20 + json_length)
        binary = memoryview(data)[28 + json_length : 28 + json_length + binary_length]
        if binary_kind != b"BIN\0" or len(binary) != binary_length:
            raise ValueError("cut")
    text = data[20 : 20 + json_length].rstrip(b"\0 ")  # spaces by the specification, zeros by some programs
    return _fields(json.loads(text, parse_constant=float)), binary


def _triangles(corners: Array, mode: int) -> Array:
    if mode == STRIP:
        return strips(corners)
    if mode == FAN:
        return np.stack([np.full(max(len(corners) - 2, 0), corners[0]), corners[1:-1], corners[2:]], 1)
    return corners.reshape(-1, 3)


def _local(node: dict[str, Any]) -> Array:
    """A node's place below its parent, ``(4, 4)`` (section 3.5.3)."""
    if "matrix" in node:
        return _numbers(node["matrix"], 16).reshape(4, 4).T
    place = np.eye(4)
    turn = Rotation.from_quat(_numbers(node.get("rotation", (0, 0, 0, 1)), 4)).as_matrix()
    place[:3, :3] = turn * _numbers(node.get("scale", (1, 1, 1)), 3)
    place[:3, 3] = _numbers(node.get("translation", (0, 0, 0)), 3)
    return place


def _numbers(value: Any, count: int) -> Array:
    numbers = np.array([float(number) for number in value])
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError("not a place")
    return numbers


def _needs(name: object) -> MeshError:
    what = f"The GLB's shape is in the extension {str(name)[:60]!r}, which is not read"
    return MeshError(f"{what}; export it without {'compression' if 'compression' in str(name) else 'that'}.")


def _fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _index(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**48:
        raise ValueError("not an index or count")
    return value


def _within(index: int, nodes: list[dict[str, Any]]) -> bool:
    if index >= len(nodes):
        raise ValueError("no such node")
    return True
