"""Mesh files to triangles, in numpy: GLB, OBJ, STL, OFF and PLY.

The only reader of meshes: of the library, of the commands, and of the process in which the page looks at strangers'
files, which is why it needs neither torch nor trimesh, and checks what a file claims against its length before it
makes anything of that size. No other file is ever opened: materials, textures and what a file refers to are left.
What cannot be read rightly is refused.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from affinevae.gltf import parse_glb
from affinevae.polygons import ANY_KIND, KINDS, Array, Limits, Mesh, MeshError, mesh_of, strips, unknown_kind

GENEROUS = Limits()
MAX_HEADER = 100_000  # bytes of a PLY
FACETS = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])  # of a binary STL


def parse_mesh(data: bytes, kind: str, limits: Limits = GENEROUS) -> Mesh:
    """A mesh file's content as triangles, z up; glTF is y up, so a GLB is turned: ``(x, y, z)`` becomes ``(x, -z, y)``.

    Args:
        kind: one of ``KINDS``, the suffix without its dot.
        limits: what the file may hold.

    Raises:
        MeshError: another kind of file, damaged, too large, without faces, or with something that is not read.
    """
    if kind not in KINDS:
        raise unknown_kind(kind)
    if not data:
        raise MeshError(f"The file is empty; give {ANY_KIND}.")
    for start, sentence in STRANGERS:
        if start.match(data):
            raise MeshError(sentence)
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused when the mesh is filled
            mesh = READERS[kind](data, limits)
    except MeshError:
        raise
    except PARSING_ERRORS as error:
        raise _damaged(kind) from error
    if not len(mesh.faces):
        raise MeshError(
            "The mesh has no faces; a point cloud or lines cannot be filled, so export triangles."
        )
    return mesh


def _read_glb(data: bytes, limits: Limits) -> Mesh:
    if data[:4] != b"glTF":
        raise _stranger("glb", data)
    vertices, faces = parse_glb(data, limits)
    return Mesh(np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], 1), faces)


def _read_obj(data: bytes, limits: Limits) -> Mesh:
    """Points and faces, and of a face's corners (7/3/9) only the point; negative ones count back from their line."""
    text = _text(data)
    if "\0" in text:
        raise _stranger("obj", data)
    text = re.sub(r"\\[ \t]*\n", " ", text)
    text = re.sub(r"(^|(?<=[ \t\d]))#.*|/[^ \t\n]*", "", text, flags=re.MULTILINE)
    text = re.sub(r"[ \t]+", " ", text)
    points = re.findall(r"^ ?v (.*)", text, re.MULTILINE)
    lines = re.findall(r"^ ?fo? (.*)", text, re.MULTILINE)
    if not points:
        raise _stranger("obj", data)
    limits.check(len(points), len(lines))
    relative = any("-" in line for line in lines)
    kinds = re.findall(r"^ ?([vf])o? ", text, re.MULTILINE) if relative else []
    seen = np.array([points for kind, points in zip(kinds, accumulate(k == "v" for k in kinds), strict=True)
                     if kind == "f"])  # fmt: skip
    polygons = []
    spans = ((0, line.strip().count(" ") + 1) for line in lines)
    for corners, which in _polygons(lines, spans, len(points), limits):
        polygons.append(
            np.where(corners < 0, corners + seen[which, None], corners - 1) if relative else corners - 1
        )
    return mesh_of(_points(points), polygons, limits)


def _read_stl(data: bytes, limits: Limits) -> Mesh:
    """Binary where its length is right, whatever its header says: many begin with "solid"."""
    faces = int.from_bytes(data[80:84], "little")
    if len(data) >= 84 and len(data) == 84 + FACETS.itemsize * faces:
        limits.check(0, faces)
        points = np.frombuffer(data, FACETS, faces, 84)["corners"].reshape(-1, 3).astype(float)
    else:
        text = _text(data).lower()
        if not re.match(r"\s*solid\b", text):
            raise _stranger("stl", data)
        faces = len(re.findall(r"\bendfacet\b", text))
        limits.check(0, faces)
        corners = re.findall(r"\bvertex[ \t]+(\S+[ \t]+\S+[ \t]+\S+)", text)
        if "\0" in text or len(corners) != 3 * faces or not re.search(r"\bendsolid\b[^\n]*\s*$", text):
            raise ValueError("cut")
        points = _points(corners)
    return Mesh(points, np.arange(len(points)).reshape(-1, 3))


def _read_off(data: bytes, limits: Limits) -> Mesh:
    """Points may carry normals and colours, faces colours. ModelNet's files lack the line break after OFF."""
    text = re.sub(r"#.*", "", _text(data))
    head = re.match(r"\s*(?:ST|st)?[Cc]?N?(4?n?)(?:OFF|off)(?![A-Za-z])", text)
    if head is None:
        raise _stranger("off", data)
    if head[1]:
        raise MeshError("The OFF's points are not of three numbers; export it with x, y and z alone.")
    if text[head.end() :].split(None, 1)[:1] == ["BINARY"]:
        raise MeshError("The OFF is binary; export it as text, or as STL.")
    lines = [line for line in text[head.end() :].split("\n") if line.strip()]
    points, faces = (_count(word) for word in lines[0].split()[:2])
    limits.check(points, faces)
    over = [line for line in lines[1 + points + faces :] if FACE.match(line)]
    if points + faces > len(lines) - 1 or over:
        raise MeshError(
            f"The OFF is damaged or incomplete: it says {points:,} points and {faces:,} faces, a line each, and has "
            f"{len(lines) - 1:,} lines; export it again."
        )
    written = lines[1 + points : 1 + points + faces]
    spans = ((1, _count(line.split(None, 1)[0])) for line in written)
    polygons = [corners for corners, _ in _polygons(written, spans, points, limits)]
    return mesh_of(_points(lines[1 : 1 + points]), polygons, limits)


def _read_ply(data: bytes, limits: Limits) -> Mesh:
    """As text or bytes in either order; elements and properties in any order, polygons and strips."""
    elements, form, start = _ply_header(data.removeprefix(codecs.BOM_UTF8))
    body = data.removeprefix(codecs.BOM_UTF8)[start:]
    rows = [[e.rows for e in elements if (e.name == "vertex") == points] for points in (True, False)]
    limits.check(*(max(some, default=0) for some in rows))
    read = _ply_text(body, elements, limits) if form == "ascii" else _ply_bytes(body, elements, ORDERS[form])
    polygons = list(read.get("face", []))
    for strip in read.get("tristrips", []):
        ended = np.pad(strip, ((0, 0), (0, 1)), constant_values=-1)
        polygons.append(strips(ended.ravel()))
    return mesh_of(np.concatenate([np.zeros((0, 3)), *read.get("vertex", [])]), polygons, limits)


class Property(NamedTuple):
    """A PLY's property; ``length`` is the type of a list's length, empty for a single number."""

    name: str
    type: str
    length: str


class Element(NamedTuple):
    """A PLY's element."""

    name: str
    rows: int
    properties: list[Property]

    def corners(self) -> int:
        """Which property names the corners of its faces: the list that is called so, or its only one."""
        lists = [i for i, p in enumerate(self.properties) if p.length]
        called = [i for i in lists if self.properties[i].name in ("vertex_index", "vertex_indices")]
        (found,) = called or lists
        return found

    def xyz(self) -> list[int]:
        """Which properties are the place of a point; only lists after them are of no matter to it."""
        names = [p.name for p in self.properties]
        found = [names.index(axis) for axis in "xyz"]
        if any(p.length for p in self.properties[: max(found) + 1]):
            raise ValueError("lists among points")
        return found


def _ply_header(data: bytes) -> tuple[list[Element], str, int]:
    """Elements, form ("ascii" or one of ``ORDERS``), and where the header ends."""
    start = re.match(rb"ply[ \t]*(\r\n|\n|\r)", data)
    if not start:
        raise _stranger("ply", data)
    head, end, _ = data[:MAX_HEADER].partition(start[1] + b"end_header")
    after = re.match(rb"[ \t]*" + start[1], data[len(head) + len(end) :])
    if not end or not after:
        raise ValueError("no end")
    form, elements = "", list[Element]()
    for line in head.decode("latin-1").split(start[1].decode()):
        match line.split():
            case ["format", form, _]:
                pass
            case ["element", name, count]:
                elements.append(Element(name, _count(count), []))
            case ["property", "list", length, kind, name]:
                elements[-1].properties.append(Property(name, NUMBERS[kind], WHOLE[length]))
            case ["property", kind, name]:
                elements[-1].properties.append(Property(name, NUMBERS[kind], ""))
    if form != "ascii" and form not in ORDERS:
        raise ValueError("no such form")
    return elements, form, len(head) + len(end) + after.end()


def _ply_text(body: bytes, elements: Sequence[Element], limits: Limits) -> dict[str, list[Array]]:
    """Points and corners of the elements that have them; an element's rows are lines."""
    lines = [line for line in _text(body).split("\n") if line.strip()]
    if sum(element.rows for element in elements) > len(lines):
        raise ValueError("cut")
    found: dict[str, list[Array]] = {}
    for element in elements:
        rows, lines = lines[: element.rows], lines[element.rows :]
        if element.name == "vertex":
            found["vertex"] = [_points(rows, element.xyz())]
        elif element.name in SURFACES:
            spans = (_span(row, element, element.corners()) for row in rows)
            found[element.name] = [corners for corners, _ in _polygons(rows, spans, 0, limits)]
    return found


def _span(row: str, element: Element, wanted: int) -> tuple[int, int]:
    """Which of a line's words is the first of a list, and how many there are."""
    before, at = element.properties[:wanted], 0
    words = row.split() if any(p.length for p in before) else row.split(None, wanted + 1)
    for p in before:
        at += 1 + (_count(words[at]) if p.length else 0)
    return at + 1, _count(words[at])


def _ply_bytes(body: bytes, elements: Sequence[Element], order: str) -> dict[str, list[Array]]:
    """Points and corners of the elements that have them."""
    found: dict[str, list[Array]] = {}
    at = 0
    for element in elements:
        if not element.rows or not element.properties:
            continue
        rows = _records(body, at, element, order)
        if element.name == "vertex":
            if rows is None:
                raise ValueError("lists among points")
            found["vertex"] = [np.stack([rows[str(i)] for i in element.xyz()], 1).astype(float)]
        if rows is not None:
            at += rows.nbytes
            if element.name in SURFACES:
                found[element.name] = [rows[str(element.corners())].astype(np.int64)]
        else:
            lists, at = _walked(body, at, element, order)
            if element.name in SURFACES:
                found[element.name] = lists
    return found


def _records(body: bytes, at: int, element: Element, order: str) -> Array | None:
    """An element's rows, a field a property, where all have lists as long as the first one's."""
    fields: list[Any] = []
    lengths, end = {}, at
    for i, p in enumerate(element.properties):
        if p.length:
            (lengths[i],) = struct.unpack_from(order + p.length, body, end)
            fields.append((f"length {i}", order + p.length))
            end += struct.calcsize(p.length)
        fields.append((str(i), order + p.type, (lengths[i],) if p.length else ()))
        end += struct.calcsize(p.type) * lengths.get(i, 1)
    if end + (element.rows - 1) * (end - at) > len(body):
        if lengths:
            return None
        raise ValueError("cut")
    rows = np.frombuffer(body, np.dtype(fields), element.rows, at)
    return rows if all((rows[f"length {i}"] == length).all() for i, length in lengths.items()) else None


def _walked(body: bytes, at: int, element: Element, order: str) -> tuple[list[Array], int]:
    """Lists of corners by their length, row after row; and where the element ends."""
    wanted = element.corners() if element.name in SURFACES else -1
    steps = [
        (struct.Struct(order + p.length) if p.length else None, struct.calcsize(p.type))
        for p in element.properties
    ]
    starts = defaultdict[int, list[int]](list)
    for _ in range(element.rows):
        for i, (length, size) in enumerate(steps):
            count = 1
            if length is not None:
                (count,) = length.unpack_from(body, at)
                at += length.size
                if i == wanted:
                    starts[count].append(at)
            at += count * size
    if at > len(body) or min(starts, default=0) < 0:
        raise ValueError("cut")
    kind, content = np.dtype(order + element.properties[wanted].type), np.frombuffer(body, np.uint8)
    spread = {count: np.arange(count * kind.itemsize) for count in starts}
    lists = [
        content[np.array(where)[:, None] + spread[count]].view(kind)
        for count, where in starts.items()
        if count
    ]
    return [corners.astype(np.int64) for corners in lists], at


def _text(data: bytes) -> str:
    """Any text a character a byte (names may be in any encoding, numbers are ASCII), lines ended by a line feed."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16")
    else:
        text = data.removeprefix(codecs.BOM_UTF8).decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _points(rows: Sequence[str], columns: Sequence[int] = (0, 1, 2)) -> Array:
    """Points ``(n, 3)`` of rows of numbers, which may hold more."""
    if not rows:
        return np.zeros((0, 3))
    try:
        return np.loadtxt(rows, usecols=columns, comments=None, ndmin=2)
    except ValueError:
        if any(re.search(r"\d,\d", row) for row in rows):
            raise MeshError(
                "The mesh's numbers have decimal commas; export it with points (0.5, not 0,5)."
            ) from None
        raise


def _polygons(
    rows: Sequence[str], spans: Iterable[tuple[int, int]], points: int, limits: Limits
) -> list[tuple[Array, Array]]:
    """Polygons ``(m, k)`` as they are written and their rows ``(m,)``, for each number of corners k.

    ``spans`` says for each row which word is the first corner, and how many follow; two are no polygon.
    """
    which = defaultdict[tuple[int, int], list[int]](list)
    for row, span in enumerate(spans):
        which[span].append(row)
    limits.check(points, sum(max(count - 2, 0) * len(some) for (_, count), some in which.items()))
    return [
        (
            np.loadtxt(
                [rows[i] for i in some], np.int64, comments=None, usecols=range(start, start + count), ndmin=2
            ),
            np.array(some),
        )
        for (start, count), some in which.items()
        if count > 2
    ]


def _count(word: str) -> int:
    count = int(word)
    if not 0 <= count < 2**48:
        raise ValueError("not a count")
    return count


def _stranger(kind: str, data: bytes) -> MeshError:
    """A file that is not what its name says: another that we know, damaged, or no mesh at all."""
    for other, start in LOOKS.items():
        if kind.upper() not in other and start.match(data[:1000]):
            return MeshError(f"The file's name ends in .{kind}, but it holds {other}; rename it.")
    if kind == "stl" and b"\0" in data:  # a binary one has no mark of its own
        return _damaged(kind)
    return MeshError(f"The file's name ends in .{kind}, but it is not such a file; give {ANY_KIND}.")


def _damaged(kind: str) -> MeshError:
    return MeshError(f"The {kind.upper()} file is damaged or incomplete; export it again.")


READERS: dict[str, Callable[[bytes, Limits], Mesh]] = dict(
    zip(KINDS, (_read_glb, _read_obj, _read_stl, _read_off, _read_ply), strict=True)
)
FACE = re.compile(r"\s*\d+(\s+\d+){3}")  # of an OFF
SURFACES = ("face", "tristrips")
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
WHOLE = {
    "char": "b", "int8": "b", "uchar": "B", "uint8": "B", "short": "h", "int16": "h", "ushort": "H",
    "uint16": "H", "int": "i", "int32": "i", "uint": "I", "uint32": "I",
}  # fmt: skip
NUMBERS = WHOLE | {"float": "f", "float32": "f", "double": "d", "float64": "d"}
PARSING_ERRORS = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, struct.error,
)  # fmt: skip
LOOKS = {
    "a GLB": re.compile(rb"glTF"),
    "a PLY": re.compile(rb"ply\s"),
    "an OFF": re.compile(rb"\s*(ST)?C?N?OFF\s"),
    "an STL": re.compile(rb"\s*solid\b[^\n]*\n\s*facet\b"),
    "an OBJ": re.compile(rb"(\s*[#\w][^\n]*\n)*?\s*v[ \t]+[-.\d]"),
}
STRANGERS = (
    (
        re.compile(rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|7z\xbc\xaf|Rar!"),
        f"That is an archive; unpack it and give {ANY_KIND}.",
    ),
    (
        re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP", re.DOTALL),
        f"That is a picture; give {ANY_KIND}.",
    ),
    (re.compile(rb"%PDF"), f"That is a PDF; give {ANY_KIND}."),
    (
        re.compile(rb"(\xef\xbb\xbf)?\s*\{"),
        "That is JSON; of glTF only the binary form is read, so export a GLB.",
    ),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<"), f"That is HTML or XML; give {ANY_KIND}."),
)
