"""Hostile bytes for every reader of the page: a value or one sentence, within 2 s of CPU and 300 MB.

``HYPOTHESIS_PROFILE=long pytest tests/faults/test_fuzz_uploads.py`` looks for longer, at other examples each time.
"""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsing import ON_LINUX, Readers, reading, require_sentence
from PIL import Image
from trimesh.creation import icosphere

pytestmark = pytest.mark.skipif(not ON_LINUX, reason="the limits are Linux's")
HUGE = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 99_999_999, 65535, 255]
KINDS = ("glb", "obj", "stl", "off", "ply")


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    with reading() as found:
        yield found


def check(readers: Readers, name: str, data: bytes) -> str:
    """Read or refused, in a sentence."""
    found = readers.read(name, data)
    assert found.end != "broken", found.words
    if found.end == "refused":
        require_sentence(found.words)
    return found.end


# What is mutated ------------------------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def pictures() -> list[bytes]:
    """Every kind that is read, in its modes, still and moving."""
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 255, (20, 24, 3), np.uint8))
    modes = {
        "PNG": "1 L LA P RGB RGBA I;16",
        "JPEG": "L RGB CMYK",
        "WEBP": "RGB RGBA",
        "GIF": "P L",
        "BMP": "1 L P RGB",
    }
    found = [
        encoded(_in_mode(colour, mode), kind) for kind, listed in modes.items() for mode in listed.split()
    ]
    exif = Image.Exif()
    exif[0x0112] = 6
    found += [encoded(colour, kind, exif=exif) for kind in ("PNG", "JPEG", "WEBP")]
    found += [
        encoded(colour, kind, save_all=True, append_images=[colour] * 2) for kind in ("PNG", "WEBP", "GIF")
    ]
    return [*found, encoded(colour, "JPEG", progressive=True), encoded(colour, "WEBP", lossless=True)]


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    return image.convert("L").convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)


@cache
def meshes(kind: str) -> list[bytes]:
    """A ball in one kind of file, as bytes and as text."""
    ball = icosphere(1)
    ways: dict[str, list[dict[str, Any]]] = {
        "stl": [{"file_type": "stl"}, {"file_type": "stl_ascii"}],
        "ply": [{"file_type": "ply"}, {"file_type": "ply", "encoding": "ascii"}],
    }
    made = [ball.export(**options) for options in ways.get(kind, [{"file_type": kind}])]
    return [data if isinstance(data, bytes) else data.encode() for data in made]


TABLES = [
    b'text,label\nfine,1\n"a, b",2\n',
    "text;label\nfine;1\n".encode("utf-16"),
    "\ufefftext,l\u00e4bel\n\u00fc,\u00df\n".encode(),
    "review,x\nca\xe7a,1\n".encode("cp1252"),
    b'id,text\n1,"line\nbreak ""quoted"""\n2,\n',
    b"text\n" + b"word " * 400,
]
TEXTS = [
    '{"z": [1, 2.5e3, -0.1], "t": "\\u00e9\\ud83d\\ude00", "n": null}',
    "[1, -2.5, 0]",
    "1,2,3",
    "fast",
    "a\tb\r\nc\0",
]


# How it is mutated ----------------------------------------------------------------------------------------------------


@st.composite
def mutated(draw: st.DrawFn, sources: list[bytes]) -> bytes:
    """One to four of: a changed byte, a cut, a repeat, a splice with another, a huge number in header or text."""
    data = bytearray(draw(st.sampled_from(sources)))
    for _ in range(draw(st.integers(1, 4))):
        near_head = draw(st.booleans())
        at = draw(st.integers(0, min(len(data), 400 if near_head else len(data)) or 1))
        match draw(st.integers(0, 6)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at:]
            case 2:
                del data[at : at + draw(st.integers(1, 60))]
            case 3:
                data[at:at] = data[at : at + draw(st.integers(1, 60))] * draw(st.integers(1, 40))
            case 4:
                data[at:] = draw(st.sampled_from(sources))[at:]
            case 5:
                huge = struct.pack(draw(st.sampled_from(["<I", ">I"])), draw(st.sampled_from(HUGE)))
                data[at : at + 4] = huge[: draw(st.sampled_from([2, 4]))]
            case 6:
                data = _with_number(
                    data, at, draw(st.sampled_from([*HUGE, -1, "1e308", "nan", "-inf", "1e999", "9" * 400]))
                )
    return bytes(data)


def _with_number(data: bytearray, at: int, number: object) -> bytearray:
    """The first decimal number from there on replaced."""
    return bytearray(data[:at]) + re.sub(rb"-?\d+(\.\d+)?", str(number).encode(), bytes(data[at:]), count=1)


@given(data=st.data())
def test_mutated_pictures(data: st.DataObject, readers: Readers) -> None:
    check(readers, "image", data.draw(mutated(pictures())))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_mutated_meshes(kind: str, data: st.DataObject, readers: Readers) -> None:
    check(readers, kind, data.draw(mutated(meshes(kind))))


@given(data=st.data())
def test_mutated_tables(data: st.DataObject, readers: Readers) -> None:
    check(readers, "table", data.draw(mutated(TABLES)))


@pytest.mark.parametrize("name", ["json", "numbers", "choice", "text", "data url"])
@given(data=st.data())
def test_mutated_texts(name: str, data: st.DataObject, readers: Readers) -> None:
    url = "data:image/png;base64," + base64.b64encode(pictures()[0]).decode()
    text = data.draw(mutated([source.encode() for source in [*TEXTS, url]])).decode("latin-1")
    check(readers, name, text.encode())


# What is made up ------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    return struct.pack(">I", size) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


number = st.one_of(st.integers(0, 40), st.sampled_from(HUGE))
word = st.one_of(
    st.integers(-3, 30).map(str),
    st.floats(width=32).map(str),
    st.sampled_from(["", "1e400", "-1", "#", "//", "1/2/3", "\\"]),
)


@given(
    size=st.tuples(number, number),
    how=st.tuples(*(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 16, 255]) for _ in range(5))),
    chunks=st.lists(
        st.tuples(st.sampled_from([b"IDAT", b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"acTL", b"fdAT", b"zTXt", b"IHDR"]),
                  st.binary(max_size=60), st.one_of(st.none(), number)), max_size=6),
    pixels=st.integers(0, 3000),
)  # fmt: skip
def test_made_up_png(
    size: tuple[int, int], how: tuple[int, ...], chunks: list[Any], pixels: int, readers: Readers
) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, *how))
    extra = b"".join(chunk(*parts) for parts in chunks)
    body = chunk(b"IDAT", zlib.compress(bytes(pixels))) + chunk(b"IEND", b"")
    check(readers, "image", b"\x89PNG\r\n\x1a\n" + header + extra + body)


@given(start=st.sampled_from([b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8L",
                              b"RIFF\0\0\0\0WEBPVP8 "]), rest=st.binary(max_size=400))  # fmt: skip
def test_made_up_pictures_of_other_kinds(start: bytes, rest: bytes, readers: Readers) -> None:
    check(readers, "image", start + rest)


lines = st.lists(st.lists(word, max_size=6).map(" ".join), max_size=30)


@given(
    keys=st.lists(
        st.sampled_from(["v", "f", "vn", "l", "o", "mtllib", "usemtl", "g", "#", "call"]), max_size=30
    ),
    rows=lines,
)
def test_made_up_obj(keys: list[str], rows: list[str], readers: Readers) -> None:
    check(readers, "obj", "\n".join(f"{k} {r}" for k, r in zip(keys, rows, strict=False)).encode())


@given(
    head=st.sampled_from(["OFF", "COFF", "NOFF", "STOFF", "off", "OFF4 "]),
    counts=st.tuples(number, number, number),
    rows=lines,
)
def test_made_up_off(head: str, counts: tuple[int, int, int], rows: list[str], readers: Readers) -> None:
    check(readers, "off", "\n".join([head, " ".join(map(str, counts)), *rows]).encode())


kinds = st.sampled_from(
    ["char", "uchar", "short", "uint", "int", "float", "double", "int64", "list uchar int", "list float int"]
)
element = st.tuples(st.sampled_from(["vertex", "face", "edge", "x"]), number, st.lists(kinds, max_size=4))


@given(
    form=st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian", "x"]),
    elements=st.lists(element, max_size=4),
    body=st.one_of(st.binary(max_size=300), lines.map(lambda rows: "\n".join(rows).encode())),
)
def test_made_up_ply(form: str, elements: list[Any], body: bytes, readers: Readers) -> None:
    names = ["x", "y", "z", "vertex_indices"]
    described = "".join(
        f"element {name} {count}\n"
        + "".join(f"property {k} {n}\n" for k, n in zip(properties, names, strict=False))
        for name, count, properties in elements
    )
    check(readers, "ply", f"ply\nformat {form} 1.0\n{described}end_header\n".encode() + body)


@given(count=number, body=st.binary(max_size=300), text=st.booleans(), rows=lines)
def test_made_up_stl(count: int, body: bytes, text: bool, rows: list[str], readers: Readers) -> None:
    keys = ["facet normal", "outer loop", "vertex", "vertex", "vertex", "endloop", "endfacet"]
    facets = "\n".join(f"{keys[i % 7]} {row}" for i, row in enumerate(rows))
    ascii_form = f"solid a\n{facets}\nendsolid a\n".encode()
    check(readers, "stl", ascii_form if text else bytes(80) + struct.pack("<I", count) + body)


json_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = ["accessors", "bufferViews", "buffers", "meshes", "nodes", "scenes", "scene", "extensionsRequired"]


@given(
    fields=st.dictionaries(st.sampled_from(FIELDS), json_value, max_size=5), binary=st.binary(max_size=100)
)
def test_made_up_glb(fields: dict[str, Any], binary: bytes, readers: Readers) -> None:
    ball = meshes("glb")[0]
    length = struct.unpack_from("<I", ball, 12)[0]
    text = json.dumps({**json.loads(ball[20 : 20 + length]), **fields}).encode()
    text += b" " * (-len(text) % 4)
    binary = ball[28 + length :] if len(binary) < 50 else binary
    body = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    check(readers, "glb", struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)


@given(
    head=st.lists(
        st.sampled_from(["text", "review", "label", "a;b", "", '"', "text "]), min_size=1, max_size=4
    ),
    rows=st.lists(st.lists(st.text(max_size=12), max_size=5), max_size=8),
    joint=st.sampled_from([",", ";", "\t", ', "']),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "cp1252", "latin-1", "utf-32", "utf-7"]),
    end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
)
def test_made_up_tables(
    head: list[str], rows: list[list[str]], joint: str, encoding: str, end: str, readers: Readers
) -> None:
    text = end.join([",".join(head), *(joint.join(row) for row in rows)])
    check(readers, "table", text.encode(encoding, "replace"))


@given(value=json_value)
def test_made_up_json(value: Any, readers: Readers) -> None:
    check(readers, "json", json.dumps(value).encode())


# A corpus -------------------------------------------------------------------------------------------------------------

READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")


def written() -> list[tuple[str, str, bytes]]:
    """The same picture in every kind and mode that Pillow can write."""
    Image.init()
    picture, found = Image.effect_noise((40, 32), 60).convert("RGB"), []
    for kind in sorted(Image.SAVE.keys() - {"PDF", "HDF5", "GRIB", "BUFR", "WMF", "STUB"}):
        for mode in MODES:
            try:
                found.append((kind, mode, encoded(_in_mode(picture, mode), kind)))
            except (OSError, ValueError, KeyError, AttributeError, TypeError, SystemError):
                continue  # that kind has no such mode, or this Pillow no such encoder
    return found


def test_every_kind_and_mode_that_pillow_writes(readers: Readers) -> None:
    ends = {(kind, mode): check(readers, "image", data) for kind, mode, data in written()}
    assert len(ends) > 40
    same_bytes = {"DIB": "BMP", "MPO": "JPEG", "APNG": "PNG"}
    for (kind, mode), end in ends.items():
        assert end == ("read" if same_bytes.get(kind, kind) in READ and kind != "DIB" else "refused"), (
            kind,
            mode,
        )


STRANGE = {
    "empty": b"", "zeros": bytes(5000), "ones": b"\xff" * 5000, "text": b"hello", "ELF": b"\x7fELF" + bytes(99),
    "zip": b"PK\x03\x04" + bytes(99), "zlib": zlib.compress(bytes(10**7)), "PDF": b"%PDF-1.7", "SVG": b"<svg/>",
    "HEIC": b"\0\0\0\x18ftypheic" + bytes(99), "PSD": b"8BPS" + bytes(99), "Radiance": b"#?RADIANCE\n",
    "PCX": b"\x0a\x05\x01\x08" + bytes(200), "pickle": b"\x80\x04cos\nsystem\n", "NaN": b"nan",
    "voxels.npz": b"PK\x03\x04voxels.npy", "binvox": b"#binvox 1\ndim 32 32 32\ndata\n" + bytes(99),
    "deep": b"[" * 50_000, "lone surrogate": b"\xed\xa0\x80", "long line": b"a," * 200_000,
    "quotes": b'"' * 50_001,
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_what_nobody_should_send_is_refused_everywhere(name: str, readers: Readers) -> None:
    for reader in ("image", "table", *KINDS, "json", "numbers", "choice", "data url"):
        data = STRANGE[name]
        if reader in ("json", "numbers", "choice", "data url"):
            data = data.decode("latin-1").encode()
        assert check(readers, reader, data) == "refused", reader
