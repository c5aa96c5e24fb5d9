"""Whatever a visitor sends ends in a plain image, plain values or one plain sentence."""

from __future__ import annotations

import base64
import functools
import io
import json
import os
import random
import re
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from demo.uploads.files import MAX_BYTES
from demo.uploads.pictures import read_data_url, read_image, read_image_file
from demo.uploads.values import UploadError, read_choice, read_integer, read_json, read_number, read_numbers

ROOT = Path(__file__).parents[3]


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corner(mode: str = "RGB", size: tuple[int, int] = (16, 8)) -> Image.Image:
    """Black with a white top left quarter, so that a turn shows."""
    image = Image.new("L", size)
    image.paste(255, (0, 0, size[0] // 2, size[1] // 2))
    if mode == "P":
        image.putpalette([0] * 765 + [255, 255, 250])
    if mode in ("LA", "RGBA"):
        image.putalpha(128)
    if mode == "I;16":
        return image.convert("I").point(lambda grey: grey * 257).convert(mode)
    return image.convert(mode)


def turned_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int = 8, height: int = 8, extra: bytes = b"", bits: int = 8, pixels: bytes | None = None
) -> bytes:
    rows = bytes((1 + width * bits // 8) * height) if pixels is None else pixels
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def exif_bomb(tags: int, size: int) -> bytes:
    """Many tags that point at the same block: Pillow would hold ``tags * size`` bytes."""
    entries = b"".join(struct.pack("<HHII", tag, 7, size, 8) for tag in range(1, tags + 1))
    return (b"II*\0" + struct.pack("<IH", 8, tags) + entries + bytes(4)).ljust(size + 8, b"\0")


def segment(code: int, data: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(data) + 2) + data


def gif_with(inserted: bytes) -> bytes:
    """A GIF with blocks inserted before its first frame."""
    data = encoded(Image.new("P", (8, 8)), "GIF")
    start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:start] + inserted + data[start:]


def webp_canvas(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size


def many_scans() -> bytes:
    data = encoded(Image.new("L", (64, 64), 99), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * 1000 + b"\xff\xd9"


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("digit.png", png())
    return buffer.getvalue()


PHOTO = encoded(corner(size=(64, 48)), "JPEG", quality=90)
BAD_IMAGES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"hello, I am a picture", "not a picture"),
    "html": (b"\n<!doctype html><title>x</title>", "HTML, SVG or XML"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "HTML, SVG or XML"),
    "svg after a mark": (b'\xef\xbb\xbf<?xml version="1.0"?><svg/>', "HTML, SVG or XML"),
    "zip": (archive(), "zip archive"),
    "pdf": (b"%PDF-1.7\n", "PDF"),
    "tiff": (encoded(corner(), "TIFF"), "TIFF"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    "avif": (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "AVIF"),
    "sound in RIFF": (b"RIFF\x24\0\0\0WAVEfmt ", "not a picture"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),
    "too many bytes": (PHOTO + bytes(MAX_BYTES), "8.0 MB"),
    "1-bit bomb": (png(10_000, 10_000, bits=1), "10000 x 10000"),
    "too many pixels": (png(4500, 4500), "4500 x 4500"),
    "too wide": (png(9000, 8), "9000 x 8"),
    "huge header": (png(0x7FFFFFFF, 0x7FFFFFFF, pixels=b""), "2147483647"),
    "zero": (png(0, 8), "only 0 x 8|damaged"),
    "header that lies": (png(1000, 1000, pixels=bytes(50)), "damaged"),
    "1 x 1": (png(1, 1), "only 1 x 1"),
    "3 x 100": (png(3, 100), "only 3 x 100"),
    "truncated PNG": (encoded(corner(size=(99, 99)), "PNG", compress_level=0)[:9000], "damaged"),
    "PNG signature": (png()[:8], "damaged"),
    "PNG in 25,000 chunks": (png(extra=chunk(b"tEXt", b"a\0") * 25_000), "too many parts"),
    "PNG in 25,000 pieces": (png(extra=chunk(b"IDAT", b"") * 25_000), "too many parts"),
    "truncated JPEG": (PHOTO[: len(PHOTO) * 2 // 3], "damaged"),
    "JPEG without scans": (PHOTO[: PHOTO.index(b"\xff\xda")], "damaged"),
    "JPEG in 25,000 segments": (PHOTO[:2] + segment(0xFE, b"") * 25_000 + PHOTO[2:], "too many parts"),
    "JPEG of fill bytes": (b"\xff\xd8" + b"\xff" * 1_000_000, "damaged"),
    "JPEG of 1,000 scans": (many_scans(), "100 scans"),
    "large JPEG": (encoded(Image.new("L", (5000, 4000)), "JPEG"), "5000 x 4000"),
    "large WebP": (webp_canvas(16383, 16383), "16383 x 16383"),
    "large lossy WebP": (encoded(Image.new("L", (9000, 8)), "WEBP"), "9000 x 8"),
    "large lossless WebP": (encoded(Image.new("L", (8, 9000)), "WEBP", lossless=True), "8 x 9000"),
    "truncated WebP": (encoded(corner(size=(99, 99)), "WEBP")[:60], "damaged"),
    "WebP without a frame": (webp_canvas(8, 8), "damaged"),
    "large GIF": (b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0," + bytes(30), "65535 x 65535"),
    "GIF frame off its screen": (
        b"GIF89a\x08\0\x08\0\0\0\0," + struct.pack("<4H", 60_000, 60_000, 8, 8) + bytes(9),
        "60008 x 60008",
    ),
    "GIF without a frame": (b"GIF89a\x08\0\x08\0\0\0\0;", "damaged"),
    "GIF cut in a comment": (gif_with(b"!\xfe\xff")[:30], "damaged"),
    "truncated BMP": (encoded(corner(), "BMP")[:100], "damaged"),
    "large BMP": (
        b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 9000, 9000, 1, 24) + bytes(24),
        "9000 x 9000",
    ),
}


def refused(call: Callable[[], object], problem: str) -> str:
    """The message of the refusal: names the problem, is one short sentence, leaks nothing."""
    with pytest.raises(UploadError, match=problem) as caught:
        call()
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 250
    assert not re.search(r"/(tmp|work|home|usr|root|proc|dev)\b|site-packages|0x|Traceback|Error", message)
    return message


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_image_is_refused(name: str) -> None:
    data, problem = BAD_IMAGES[name]
    refused(lambda: read_image(data), problem)


@pytest.mark.parametrize(("kind", "mode", "expected"), [
    ("PNG", "1", "L"), ("PNG", "L", "L"), ("PNG", "LA", "RGBA"), ("PNG", "P", "RGB"), ("PNG", "RGB", "RGB"),
    ("PNG", "RGBA", "RGBA"), ("PNG", "I;16", "L"), ("JPEG", "L", "L"), ("JPEG", "RGB", "RGB"),
    ("JPEG", "CMYK", "RGB"), ("WEBP", "RGB", "RGB"), ("WEBP", "RGBA", "RGBA"),
    ("GIF", "P", "RGB"), ("BMP", "1", "L"), ("BMP", "L", "L"), ("BMP", "P", "RGB"), ("BMP", "RGB", "RGB"),
])  # fmt: skip
def test_every_kind_and_mode_becomes_plain(kind: str, mode: str, expected: str) -> None:
    image = read_image(encoded(corner(mode), kind))
    assert (image.mode, image.size) == (expected, (16, 8))
    assert image.info == {}
    assert not image.getexif()
    grey = image.convert("L")
    assert grey.getpixel((2, 2)) == pytest.approx(255, abs=4)
    assert grey.getpixel((12, 6)) == pytest.approx(0, abs=4)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    image = Image.new("I;16", (8, 8), 0x8000)
    assert read_image(encoded(image, "PNG")).getpixel((0, 0)) == 0x80


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "L"), ("PNG", "P"), ("PNG", "RGB"), ("GIF", "P")])
def test_transparent_colour_becomes_alpha(kind: str, mode: str) -> None:
    transparency = (0, 0, 0) if mode == "RGB" else 0
    image = read_image(encoded(corner(mode), kind, transparency=transparency))
    assert image.mode == "RGBA"
    alphas = {image.getpixel((2, 2))[3], image.getpixel((12, 6))[3]}  # type: ignore[index]
    assert alphas == {0, 255}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [*range(10), 65535])
def test_orientation_is_applied_and_dropped(kind: str, orientation: int) -> None:
    data = encoded(corner(size=(32, 16)), kind, exif=turned_exif(orientation))
    image = read_image(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert image.tobytes() == expected.convert("RGB").tobytes()
    assert image.size == ((16, 32) if 5 <= orientation <= 8 else (32, 16))
    assert not image.getexif()


def test_big_endian_and_broken_exif() -> None:
    def turned(tiff: bytes) -> bool:
        return read_image(png(16, 8, extra=chunk(b"eXIf", tiff))).size == (8, 16)

    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    assert turned(b"MM\0*" + struct.pack(">IH", 8, 1) + entry)
    assert not turned(b"MM\0*" + struct.pack(">IH", 8, 60_000) + bytes(40))
    assert not turned(b"MM\0*\xff\xff\xff\xff")
    assert not turned(b"")
    assert not turned(b"junk" * 10)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), (shade, shade, shade)) for shade in range(20, 250, 10)]
    image = read_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True))
    assert image.size == (8, 8)
    assert image.convert("RGB").getpixel((4, 4)) == (20, 20, 20)


def test_appended_video_is_ignored() -> None:
    assert read_image(PHOTO + b"\xff\xda" * 500).tobytes() == read_image(PHOTO).tobytes()


def gif_of_frames(count: int) -> bytes:
    head = gif_with(b"")
    frame = head[head.index(b",", 13) : -1]
    return head[:-1] + frame * count + b";"


@functools.cache
def unpacks_to_much() -> bytes:
    return zlib.compress(bytes(200_000_000), 1)


SLOW: dict[str, Callable[[], bytes]] = {
    "profile": lambda: png(extra=chunk(b"iCCP", b"a\0\0" + unpacks_to_much())),
    "zTXt": lambda: png(extra=chunk(b"zTXt", b"a\0\0" + unpacks_to_much())),
    "iTXt": lambda: png(extra=chunk(b"iTXt", b"a\0\1\0\0\0" + unpacks_to_much())),
    "PNG EXIF": lambda: png(extra=chunk(b"eXIf", exif_bomb(10_000, 1_000_000))),
    "JPEG EXIF": lambda: PHOTO[:2] + segment(0xE1, b"Exif\0\0" + exif_bomb(4000, 60_000)) + PHOTO[20:],
    "GIF comment": lambda: gif_with(b"!\xfe" + b"\1a" * 3_900_000 + b"\0"),
    "GIF of 250,000 frames": lambda: gif_of_frames(250_000),
    "run-length BMP": lambda: (
        b"BM" + struct.pack("<IHHI", 0, 0, 0, 1078)
        + struct.pack("<IiiHHIIiiII", 40, 2000, 2000, 1, 8, 1, 0, 0, 0, 256, 0)
        + bytes(1024 + 7_000_000)
    ),
    "1-bit bomb": lambda: png(10_000, 10_000, bits=1),
}  # fmt: skip

MEASURE = """
import re, sys, time
from demo.uploads.pictures import read_image
from demo.uploads.values import UploadError
# Not ru_maxrss: a child inherits the peak of the process that started it.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
data = sys.stdin.buffer.read()
before, start = peak(), time.process_time()
try:
    result = read_image(data).size
except UploadError as error:
    result = error
print(peak() - before, time.process_time() - start, result)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", SLOW)
def test_bombs_take_little_memory_and_time(name: str) -> None:
    command = [sys.executable, "-c", MEASURE]
    done = subprocess.run(command, input=SLOW[name](), capture_output=True, cwd=ROOT, check=True)
    grown, seconds, _ = done.stdout.decode().split(maxsplit=2)
    assert float(grown) < 100
    assert float(seconds) < 5


HARDEN = """
import io, sys
import PIL.Image
from demo.uploads import pictures
pictures.harden_pillow()
data = sys.stdin.buffer.read()
try:
    image = PIL.Image.open(io.BytesIO(data))
    image.load()
    print(image.format, image.size, image.getexif().get(0x0112), sorted(image.info))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("data", "answer"), [
    (encoded(corner(), "PNG"), "PNG (16, 8) 1"),
    (encoded(corner(), "JPEG", exif=turned_exif(6)), "JPEG (16, 8) 6"),
    (encoded(corner(), "WEBP"), "WEBP (16, 8) 1"),
    (encoded(corner(), "GIF"), "GIF (16, 8) 1"),
    (png(1, 1), "PNG (1, 1) 1"),
    (encoded(corner(), "TIFF"), "UnidentifiedImageError"),
    (PHOTO[:100], "UnidentifiedImageError"),
    (png(10_000, 10_000, bits=1), "UploadError"),
    (png(extra=chunk(b"eXIf", exif_bomb(1000, 400_000))), "PNG (8, 8) 8 ['exif']"),
], ids=range(9))  # fmt: skip
def test_hardened_pillow(data: bytes, answer: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HARDEN], input=data, capture_output=True, cwd=ROOT, check=True
    )
    assert done.stdout.decode().startswith(answer)


@pytest.mark.slow
def test_importing_hardens_nothing() -> None:
    code = "import PIL.Image as p; a = p.MAX_IMAGE_PIXELS; import demo.uploads.pictures; assert p.MAX_IMAGE_PIXELS == a"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(PHOTO)
    assert read_image_file(path).size == (64, 48)
    assert read_image_file(str(path)).size == (64, 48)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    refused(lambda: read_image_file(tmp_path / "gone.png"), "not there")
    refused(lambda: read_image_file("a\0b.png"), "not there")
    refused(lambda: read_image_file(tmp_path), "not a file")
    (tmp_path / "empty.png").touch()
    refused(lambda: read_image_file(tmp_path / "empty.png"), "empty")
    (tmp_path / "note.png").write_text("secret")
    refused(lambda: read_image_file(tmp_path / "note.png"), "not a picture")
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(10**12)
    refused(lambda: read_image_file(tmp_path / "sparse.png"), "1000000.0 MB")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_pipes_and_devices_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    refused(lambda: read_image_file(tmp_path / "pipe.png"), "not a file")
    refused(lambda: read_image_file("/dev/zero"), "not a file")


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_data_url(kind: str) -> None:
    assert read_data_url(data_url(encoded(corner(), kind), kind)).size == (16, 8)


@pytest.mark.parametrize(("text", "problem"), [
    ("", "data URL"),
    (None, "data URL"),
    ("/etc/passwd", "data URL"),
    ("https://example.com/x.png", "data URL"),
    ("data:image/svg+xml;base64,PHN2Zy8+", "data URL"),
    ("data:text/html;base64,PHN2Zy8+", "data URL"),
    ("data:image/png,raw", "data URL"),
    ("data:image/png;base64,", "empty"),
    ("data:image/png;base64,iVBOR", "base64"),
    ("data:image/png;base64,iVBO Rw0K", "base64"),
    ("data:image/png;base64,iVBO\nRw0K", "base64"),
    ("data:image/png;base64,!!!!", "base64"),
    ("data:image/png;base64,éééé", "base64"),
    ("data:image/png;base64," + "A" * 20_000_000, "15.0 MB"),
    (data_url(b"<svg/>"), "SVG"),
    (data_url(png(1, 1)), "only 1 x 1"),
], ids=range(16))  # fmt: skip
def test_bad_data_url_is_refused(text: str, problem: str) -> None:
    refused(lambda: read_data_url(text), problem)


@pytest.mark.parametrize("value", [
    [1, -2.5, 0], (1, -2.5, 0), "1, -2.5, 0", "[1, -2.5, 0]", " [1,-2.5e0,.0] ", ["1", "-2.5", "+0."],
])  # fmt: skip
def test_numbers(value: object) -> None:
    assert read_numbers(value, 3, "z", -5, 5) == [1.0, -2.5, 0.0]


NOT_NUMBERS: list[object] = [
    None, True, "", "x", "nan", "inf", "-Infinity", "1_0", "0x1", "١", "1 2", "1" * 100, float("nan"),
    float("inf"), 10**400, 6, -5.001, [1], {}, b"1", 1j, object(),
]  # fmt: skip


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=range(len(NOT_NUMBERS)))
def test_what_is_no_number_is_refused_everywhere(value: object) -> None:
    refused(lambda: read_number(value, "The angle", -5, 5), "The angle must be a number from -5 to 5")
    refused(lambda: read_integer(value, "The seed", -5, 5), "The seed must be a whole number from -5 to 5")
    refused(lambda: read_numbers([0, value, 0], 3, "z", -5, 5), "1 of them are not")


@pytest.mark.parametrize(("value", "problem"), [
    (None, "must be a list"), (7, "must be a list"), ({"a": 1}, "must be a list"),
    (b"1,2,3", "must be a list"), ([], "not of 0"), ([1, 2], "not of 2"), ("1,2", "not of 2"),
    ([0] * 10**6, "not of 1000000"),
    ("1,2,nan", "1 of them"), ("[1,2,NaN]", "1 of them"), ("[[1,2,3]]", "2 of them"), ("[1,2,3", "1 of them"),
    ('["1",2,3]', "1 of them"), ("1," * 10**6, "must be a list"), ([[1], [2], [3]], "3 of them"),
    ("1;2;3", "not of 1"),
], ids=range(16))  # fmt: skip
def test_bad_lists_are_refused(value: object, problem: str) -> None:
    refused(lambda: read_numbers(value, 3, "z", -5, 5), problem)


def test_single_numbers() -> None:
    assert read_number("2.5", "x", 0, 5) == 2.5
    assert isinstance(read_number(2, "x", 0, 5), float)
    assert read_integer(3.0, "n", 0, 5) == 3
    assert isinstance(read_integer(3.0, "n", 0, 5), int)
    assert read_integer(str(2**63 - 1), "seed", 0, 2**63 - 1) == 2**63 - 1
    refused(lambda: read_integer(2.5, "n", 0, 5), "whole number")


def test_choice() -> None:
    choices = [f"affinevae-{name}" for name in "abcdefghijk"]
    assert read_choice("affinevae-c", choices, "The model") == "affinevae-c"
    message = refused(
        lambda: read_choice("afinevae-c", choices, "The model"), r"did you mean 'affinevae-c'\?"
    )
    assert message.count("affinevae-") == 1 + 8
    assert "and 3 more" in message
    refused(lambda: read_choice(["affinevae-c"], choices, "The model"), "must be one of")
    refused(lambda: read_choice(None, ["a"], "The model"), "must be one of a.")


@pytest.mark.parametrize("text", ["x" * 10**6, "y\n\0\x1b[31m\u202e" * 1000, "'\"<script>" * 100])
def test_choice_quotes_little(text: str) -> None:
    message = refused(lambda: read_choice(text, ["fast", "best"], "The effort"), r"\.\.\.' is not known")
    assert len(message) < 100
    assert message.isprintable()


def test_json() -> None:
    assert read_json('{"z": [1, 2.5, -1e3], "z": {"a": null}, "t": "[[[[{{{{\\""}') == {
        "z": {"a": None},
        "t": '[[[[{{{{"',
    }
    assert read_json("{" + '"a":{' * 15 + "}" * 16)


@pytest.mark.parametrize(("text", "problem"), [
    (None, "must be text"), ("", "cannot be read"), ("{", "cannot be read"), ("{'a': 1}", "cannot be read"),
    ("[1]", "must be an object"), ("3", "must be an object"), ("null", "must be an object"),
    ('{"a": NaN}', "finite"), ('{"a": -Infinity}', "finite"), ('{"a": 1e999}', "finite"),
    ('{"a":' * 17 + "1" + "}" * 17, "nested"), ("[" * 20_000, "nested"), ('"\\' * 9_000, "cannot be read"),
    (json.dumps({"a": "x" * 20_000}), "20,000 characters"), ('{"a": ' + "1" * 19_000 + "}", "cannot be read"),
], ids=range(15))  # fmt: skip
def test_bad_json_is_refused(text: str, problem: str) -> None:
    refused(lambda: read_json(text), problem)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four of: flipped bytes, a cut, a repeat, an overwritten length."""
    spoiled = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(spoiled))
        match rng.randrange(4):
            case 0:
                spoiled[at] = rng.randrange(256)
            case 1:
                del spoiled[at : at + rng.randint(1, 40)]
            case 2:
                spoiled[at:at] = spoiled[at : at + rng.randint(1, 40)]
            case 3:
                spoiled[at : at + 4] = rng.choice(
                    [b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xd9\xff\xda"]
                )
        spoiled = spoiled or bytearray(b"x")
    return bytes(spoiled)


@pytest.mark.filterwarnings("error")
def test_damage_ends_in_an_image_or_a_refusal() -> None:
    source = corner(size=(24, 20))
    seeds = [encoded(source, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]
    seeds += [encoded(source, kind, exif=turned_exif(6)) for kind in ("PNG", "JPEG", "WEBP")]
    seeds += [encoded(corner(mode), kind) for mode, kind in [("P", "PNG"), ("CMYK", "JPEG"), ("P", "BMP")]]
    rng, start, images = random.Random(0), time.process_time(), 0
    for turn in range(300):
        data = mutated(seeds[turn % len(seeds)], rng)
        try:
            image = read_image(data)
        except UploadError:
            continue
        images += 1
        assert image.mode in ("L", "RGB", "RGBA")
        assert 4 <= min(image.size) <= max(image.size) <= 8192
    assert 10 < images < 290
    assert time.process_time() - start < 5


def bitmap(width: int, height: int, packed: bytes) -> bytes:
    """A BMP of 8 bits a pixel, its pixels packed as runs."""
    header, palette = 54, 4 * 256
    size = header + palette + len(packed)
    start = struct.pack("<2sIHHI", b"BM", size, 0, 0, header + palette)
    facts = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(packed), 0, 0, 256, 0)
    return start + facts + bytes(range(256)) * 4 + packed


@pytest.mark.parametrize(("side", "runs"), [(2000, 8_000), (64, 700_000)])
def test_a_packed_bitmap_that_takes_seconds_to_unpack_is_refused_unread(side: int, runs: int) -> None:
    data = bitmap(side, side, b"\x01\x05" * runs + b"\x00\x01")
    started = time.process_time()
    with pytest.raises(UploadError, match=r"packed \(RLE\) and large; save it as a PNG"):
        read_image(data)
    assert time.process_time() - started < 1


def test_a_small_packed_bitmap_is_read() -> None:
    rows = (b"\x08\x05\x00\x00") * 8 + b"\x00\x01"
    assert read_image(bitmap(8, 8, rows)).size == (8, 8)
