"""The process in which a stranger's mesh is read: one file, little memory, little time, and gone.

A new process for each upload shares nothing with the page: no file, no token, no heap to exhaust. Most of the second
that starting one takes is the import of trimesh, so on Linux ``python -m demo.uploads.mesh_child`` imports it once and
then forks a process for each request; it never reads a file itself, so that nothing of an upload is there for the next.
Elsewhere ``python -m demo.uploads.mesh_child KIND SIZE`` reads one file from stdin. Both answer ``grid`` and a byte a
cell, or ``no`` and a sentence. ``mesh_parent.py`` is the page's side of it.

What a file claims is checked against its length before anything is allocated; trimesh 5.2 makes 2.4 GB of a GLB of
1 KB whose accessor has no data. GLB and OBJ are cut down to the parts that make triangles: materials, textures,
animations and extensions never reach a parser.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import math
import os
import re
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

MAX_FACES = MAX_VERTICES = 500_000
MAX_CHECKS = 550_000_000  # of address space while a file is checked; imports before a fork are not of it
MAX_MEMORY = 200_000_000  # for the mesh; half a million faces need 155 MB
MAX_SECONDS = 6  # of CPU; the largest files we accept take 2.5
MAX_WAIT = 20  # seconds of wall time; a busy machine gets through its CPU seconds slowly
MAX_JSON = 1_000_000  # bytes; parsed it takes up to 40 times as much
MAX_DEPTH = 32
MAX_PARTS = 500  # of a scene; each takes trimesh a millisecond or two
MAX_WORDS = 2_500_000  # of a text file; a mesh of 8 MB has about one million
MAX_LINES = 1_500_000
MAX_HEADER = 100_000  # bytes
MAX_REQUEST = 100  # bytes

KINDS = "a GLB, OBJ, STL, OFF or PLY file"
LIMITS = f"{MAX_FACES:,} faces and {MAX_VERTICES:,} points"
READY = b"+"  # what a forked process says first, so that the page can tell a lost one from one that never was


class Refused(ValueError):
    """One sentence for the visitor."""


def main() -> None:
    if not sys.argv[1:]:
        return fork_for_each(socket.socket(fileno=sys.stdin.fileno()))
    kind, size = sys.argv[1:]
    limit_resources(MAX_CHECKS)
    sys.stdout.buffer.write(answer(sys.stdin.buffer.read(), kind, int(size)))


def fork_for_each(control: socket.socket) -> None:
    """A process for each request, ``KIND SIZE`` and a socket for file and answer, until the page is gone."""
    _solid()
    gc.freeze()  # or the first collection in each process would copy every page of the modules
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries who ends
    while True:
        request, lines, _, _ = socket.recv_fds(control, MAX_REQUEST, 1)
        if not request:
            return
        with socket.socket(fileno=lines[0]) as line, suppress(OSError):
            if not os.fork():  # where it fails, the line is closed unused
                _read_one(control, line, request)


def _read_one(control: socket.socket, line: socket.socket, request: bytes) -> None:
    """What a forked process does, from its first moment to its last."""
    try:
        control.close()
        signal.alarm(MAX_WAIT)  # which nothing handles: the system ends the process, whatever it is doing
        limit_resources(MAX_CHECKS)
        line.sendall(READY)
        kind, size = request.decode().split()
        with line.makefile("rb") as file:
            data = file.read()
        line.sendall(answer(data, kind, int(size)))
    finally:
        os._exit(0)  # not up the stack, which is the server's


def answer(data: bytes, kind: str, size: int) -> bytes:
    """``grid`` and the cells of a file, or ``no`` and what is wrong with it."""
    try:
        return b"grid " + cells(checked(data, kind), kind, size)
    except Refused as error:
        return b"no " + str(error).encode()
    except MemoryError:
        return b"no The mesh takes too much memory; simplify it and send that."


def limit_resources(memory: int) -> None:
    """``MAX_SECONDS`` of CPU, ``memory`` bytes of address space on top of what is taken, and not a byte in a file."""
    try:
        import resource
    except ImportError:  # Windows; the parent's time limit remains
        return
    limits = {resource.RLIMIT_CPU: MAX_SECONDS, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    if (status := Path("/proc/self/statm")).exists():
        limits[resource.RLIMIT_AS] = int(status.read_text().split()[0]) * resource.getpagesize() + memory
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


def cells(data: bytes, kind: str, size: int) -> bytes:
    """The file's occupancy grid, a byte a cell."""
    solid = _solid()
    limit_resources(MAX_MEMORY)
    try:
        mesh = solid.parse_mesh(data, kind)
        _check_counts(len(mesh.vertices), len(mesh.faces))
        return bytes(solid.occupancy(mesh, size))
    except solid.MeshError as error:
        raise Refused(str(error)) from error


@cache
def _solid() -> ModuleType:
    """``affinevae.solid`` by its path: importing the package would import torch, 2 s and 400 MB."""
    path = Path(__file__).parents[2] / "affinevae" / "solid.py"
    spec = importlib.util.spec_from_file_location("solid", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def checked(data: bytes, kind: str) -> bytes:
    """The parts of a file that make triangles, its claims checked against its length.

    Raises:
        Refused: not of this kind, incomplete, or too large.
    """
    for start, sentence in STRANGERS:
        if start.match(data):
            raise Refused(sentence)
    try:
        return CHECKS[kind](data)
    except Refused:
        raise
    except PARSING_ERRORS as error:
        raise _damaged(kind) from error


def _damaged(kind: str) -> Refused:
    return Refused(f"The {kind.upper()} file is damaged or incomplete; export it again.")


def _stranger(kind: str) -> Refused:
    return Refused(f"The file's name ends in .{kind}, but it is not such a file; send {KINDS}.")


def _check_counts(vertices: int, faces: int) -> None:
    if vertices > MAX_VERTICES or faces > MAX_FACES:
        raise Refused(f"The mesh has {faces:,} faces and {vertices:,} points; it may have {LIMITS}.")


def _check_words(text: bytes) -> None:
    if text.count(b" ") + text.count(b"\t") + text.count(b"\n") > MAX_WORDS:
        raise Refused(f"The file holds too many numbers; the mesh may have {LIMITS}.")


def _check_stl(data: bytes) -> bytes:
    faces = int.from_bytes(data[80:84], "little")
    if len(data) == 84 + 50 * faces:
        return data
    if not re.match(rb"\s*solid\b", data):
        raise _damaged("stl") if b"\0" in data else _stranger("stl")
    faces = data.count(b"endfacet")
    _check_counts(0, faces)
    if b"\0" in data or data.count(b"endsolid") not in range(1, MAX_PARTS) or not faces:
        raise _damaged("stl")
    if data.count(b"solid") != 2 * data.count(b"endsolid") or data.count(b"vertex") != 3 * faces:
        raise _damaged("stl")
    return data


def _check_obj(data: bytes) -> bytes:
    """Points and faces, and of a face's corners (7/3/9) only the point."""
    if b"\0" in data:
        raise _stranger("obj")
    if data.count(b"\n") > MAX_LINES:
        raise Refused(f"The OBJ has too many lines; it may have {LIMITS}.")
    data = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    kept = re.findall(rb"^[ \t]*([vf][ \t][^\r\n]*)", data, re.MULTILINE)
    faces = [line for line in kept if line.startswith(b"f")]
    if len(faces) == len(kept):
        raise _stranger("obj")
    _check_counts(len(kept) - len(faces), len(faces))
    _check_words(b"".join(faces))
    return re.sub(rb"/[^ \t\n]*", b"", b"\n".join(kept))


def _check_off(data: bytes) -> bytes:
    plain = re.sub(rb"#[^\r\n]*", b"", data)
    if not (head := re.match(rb"\s*(ST)?C?N?OFF\s*", plain)):
        raise _stranger("off")
    vertices, faces = (
        _index(int(word)) for word in plain[head.end() : head.end() + 100].split(maxsplit=2)[:2]
    )
    _check_counts(vertices, faces)
    if vertices + faces > plain.count(b"\n") + 1:
        raise _damaged("off")
    _check_words(plain)
    return plain


def _check_ply(data: bytes) -> bytes:
    if not re.match(rb"ply\s", data):
        raise _stranger("ply")
    head, end, _ = data[:MAX_HEADER].partition(b"end_header")
    if not end:
        raise _damaged("ply")
    body = data[len(head) :]
    head = re.sub(rb"\n\s*(comment|obj_info)\b[^\n]*", b"", head)  # a comment may name a texture
    text, rows, needed = b"format ascii" in head, 0, 0
    if text:
        _check_words(body)
    for element in re.split(rb"\n\s*element\b", head)[1:MAX_PARTS]:
        name, count = element.split()[0], _index(int(element.split()[1]))
        _check_counts(*((count, 0) if name == b"vertex" else (0, count)))
        properties = re.findall(rb"\n\s*property\s+(?:list\s+)?(\w+)", element)
        rows += count
        needed += count * sum(2 if text else PLY_BYTES[p] for p in properties)
    if needed > len(body) or (text and rows > body.count(b"\n")):
        raise _damaged("ply")
    return head + body


def _check_glb(data: bytes) -> bytes:
    """The file with nothing but nodes and triangles; see the glTF 2.0 specification, sections 3 and 4."""
    if data[:4] != b"glTF":
        raise _stranger("glb")
    _, version, length, json_length, json_kind = struct.unpack_from("<4sIII4s", data)
    if version != 2:
        raise Refused("The GLB is not of version 2; export it again as glTF 2.0 (GLB).")
    if length > len(data) or json_kind != b"JSON" or 20 + json_length > length:
        raise _damaged("glb")
    binary = b""
    if 28 + json_length <= length:
        binary_length, binary_kind = struct.unpack_from("<I4s", data, 20 + json_length)
        binary = data[28 + json_length : 28 + json_length + binary_length]
        if binary_kind != b"BIN\0" or len(binary) != binary_length:
            raise _damaged("glb")
    return _glb(_plain_gltf(_read_gltf(data[20 : 20 + json_length]), len(binary)), binary)


def _read_gltf(text: bytes) -> dict[str, Any]:
    if len(text) > MAX_JSON:
        raise Refused(
            f"The GLB describes too many parts; its JSON may have {MAX_JSON / 1e6:g} MB, so join them."
        )
    # An unclosed string runs to the end, so the scan is linear whatever comes in.
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"?', b"", text, flags=re.DOTALL)
    if max(accumulate((c in b"[{") - (c in b"]}") for c in bare), default=0) > MAX_DEPTH:
        raise _damaged("glb")
    return _fields(json.loads(text, parse_constant=float))


def _plain_gltf(gltf: dict[str, Any], binary_length: int) -> dict[str, Any]:
    compressed = {"KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression"}
    if compressed & set(gltf.get("extensionsRequired", [])):
        raise Refused("The GLB is compressed (Draco or meshopt); export it without compression.")
    if any("uri" in _fields(buffer) for buffer in gltf.get("buffers", [])):
        raise Refused("The GLB refers to other files; export it with everything in one GLB.")
    accessors: dict[int, int] = {}  # those of triangles, and their new numbers
    meshes = [
        {"primitives": [_primitive(gltf, _fields(p), accessors) for p in mesh["primitives"]]}
        for mesh in gltf.get("meshes", [])
    ]
    nodes = _nodes(gltf)
    if sum(len(meshes[node["mesh"]]["primitives"]) for node in nodes if "mesh" in node) > MAX_PARTS:
        raise Refused(f"The GLB has too many parts; it may have {MAX_PARTS:,}, so join them.")
    plain = [_accessor(gltf, index, binary_length) for index in accessors]
    sizes = [_mesh_size(mesh, plain) for mesh in meshes]
    used = [sizes[node["mesh"]] for node in nodes if "mesh" in node]
    _check_counts(sum(vertices for vertices, _ in used), sum(faces for _, faces in used))
    views = [accessor.pop("view") for accessor in plain]
    return {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": binary_length}],
        "bufferViews": views,
        "accessors": [{**accessor, "bufferView": i} for i, accessor in enumerate(plain)],
        "meshes": meshes,
        "nodes": nodes,
        "scenes": [
            {"nodes": _indices(scene.get("nodes", []), len(nodes))} for scene in gltf.get("scenes", [])
        ],
        "scene": _index(gltf.get("scene", 0)),
    }


def _primitive(gltf: dict[str, Any], primitive: dict[str, Any], accessors: dict[int, int]) -> dict[str, Any]:
    """Points and corners of triangles (4) or a strip of them (5); anything else stays as points (0)."""
    mode = primitive.get("mode", 4)
    used = {"POSITION": primitive["attributes"]["POSITION"]}
    if mode in (4, 5) and "indices" in primitive:
        used["indices"] = primitive["indices"]
    new = {name: accessors.setdefault(_index(index), len(accessors)) for name, index in used.items()}
    corners = {"indices": new.pop("indices")} if "indices" in new else {}
    return {"attributes": new, "mode": mode if mode in (4, 5) else 0, **corners}


def _accessor(gltf: dict[str, Any], index: int, binary_length: int) -> dict[str, Any]:
    """An accessor and the view it looks through, which must lie in the file."""
    accessor = _fields(gltf["accessors"][index])
    if "bufferView" not in accessor or "sparse" in accessor:
        raise Refused("The GLB has points without data of their own; export it again, uncompressed.")
    view = _fields(gltf["bufferViews"][_index(accessor["bufferView"])])
    count, kind, component = _index(accessor["count"]), accessor["type"], _index(accessor["componentType"])
    start, offset = _index(view.get("byteOffset", 0)), _index(accessor.get("byteOffset", 0))
    length, row = _index(view["byteLength"]), GLTF_BYTES.get((kind, component), 0)
    stride = _index(view.get("byteStride", row))
    if not row:
        raise Refused("The GLB's points are quantized; export it uncompressed, with 32-bit floats.")
    if stride < row or not count or offset + (count - 1) * stride + row > length:
        raise _damaged("glb")
    if _index(view.get("buffer", 0)) or start + length > binary_length:
        raise _damaged("glb")
    strided = {"byteStride": stride} if stride != row else {}
    return {
        "view": {"buffer": 0, "byteOffset": start, "byteLength": length, **strided},
        "byteOffset": offset,
        "count": count,
        "type": kind,
        "componentType": component,
    }


def _mesh_size(mesh: dict[str, Any], accessors: list[dict[str, Any]]) -> tuple[int, int]:
    vertices = faces = 0
    for primitive in mesh["primitives"]:
        points = accessors[primitive["attributes"]["POSITION"]]["count"]
        corners = accessors[primitive["indices"]]["count"] if "indices" in primitive else points
        vertices += points
        faces += {4: corners // 3, 5: corners, 0: 0}[primitive["mode"]]
    return vertices, faces


def _nodes(gltf: dict[str, Any]) -> list[dict[str, Any]]:
    """Nodes with their places, children and meshes; a tree, as the specification demands (3.5.3)."""
    nodes = [_fields(node) for node in gltf.get("nodes", [])]
    if len(nodes) > MAX_PARTS:
        raise Refused(f"The GLB has {len(nodes):,} parts; it may have {MAX_PARTS:,}, so join them.")
    children = [child for node in nodes for child in _indices(node.get("children", []), len(nodes))]
    if len(children) != len(set(children)) or (nodes and len(children) >= len(nodes)):
        raise _damaged("glb")
    return [{name: _place(name, node[name]) for name in NODE_FIELDS if name in node} for node in nodes]


def _place(name: str, value: Any) -> Any:
    if name == "children":
        return value
    if name == "mesh":
        return _index(value)
    numbers = [float(number) for number in value]
    if len(numbers) != NODE_FIELDS[name] or not all(map(math.isfinite, numbers)):
        raise _damaged("glb")
    return numbers


def _fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _damaged("glb")
    return value


def _index(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**48:
        raise ValueError("not an index or count")
    return value


def _indices(values: Iterable[Any], end: int) -> list[int]:
    numbers = [_index(value) for value in values]
    if any(number >= end for number in numbers):
        raise _damaged("glb")
    return numbers


def _glb(gltf: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(gltf).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + len(binary), len(text), 0x4E4F534A)
    return head + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary


NODE_FIELDS = {"translation": 3, "rotation": 4, "scale": 3, "matrix": 16, "children": 0, "mesh": 0}
GLTF_BYTES = {("SCALAR", 5121): 1, ("SCALAR", 5123): 2, ("SCALAR", 5125): 4, ("VEC3", 5126): 12}
PLY_BYTES = {
    name: size
    for size, names in {
        1: (b"char", b"uchar", b"int8", b"uint8"),
        2: (b"short", b"ushort", b"int16", b"uint16"),
        4: (b"int", b"uint", b"float", b"int32", b"uint32", b"float32"),
        8: (b"double", b"float64"),
    }.items()
    for name in names
}
CHECKS: dict[str, Callable[[bytes], bytes]] = {
    "glb": _check_glb,
    "obj": _check_obj,
    "stl": _check_stl,
    "off": _check_off,
    "ply": _check_ply,
}
PARSING_ERRORS = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, struct.error,
)  # fmt: skip
STRANGERS = (
    (
        re.compile(rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|7z\xbc\xaf|Rar!"),
        f"That is an archive; unpack it and send {KINDS}.",
    ),
    (re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP", re.DOTALL), f"That is a picture; send {KINDS}."),
    (re.compile(rb"%PDF"), f"That is a PDF; send {KINDS}."),
    (
        re.compile(rb"(\xef\xbb\xbf)?\s*\{"),
        "That is JSON; of glTF only the binary form can be read, so export a GLB.",
    ),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<"), f"That is HTML or XML; send {KINDS}."),
)

if __name__ == "__main__":
    main()
