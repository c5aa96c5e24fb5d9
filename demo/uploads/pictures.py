"""The only way in for a visitor's bytes: pictures, meshes, texts, tables, numbers, choices and JSON, with their limits.

A picture is cut down to the parts that make its pixels before Pillow sees it: text, colour profiles, EXIF
and comments never reach a parser. Pillow's own limits do not cover them (12.3, measured): a PNG of 1 MB whose
EXIF points at one block 10,000 times takes more than 3 GB; a GIF comment is joined in quadratic time, minutes
for 8 MB; a JPEG of 8 MB can ask for half a million passes over its pixels. Of the metadata only the
orientation is read, and then applied. A mesh is read in a process of its own, see ``mesh_child.py``.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import io
import json
import math
import os
import re
import stat
import struct
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from demo.uploads import mesh_child, mesh_parent

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 8_000_000
MAX_PIXELS = 16_000_000  # a phone photo is 12
MIN_SIDE, MAX_SIDE = 4, 8192
MAX_PARTS = 20_000  # chunks or segments; an 8 MB picture in the usual 8 KB chunks has 1,000
MAX_SCANS = 100  # of a progressive JPEG; encoders write about 10
MAX_DEPTH = 16  # of JSON
MAX_TEXT = 1_000_000  # characters
MAX_TABLE_BYTES, MAX_ROWS = 32_000_000, 100_000
MAX_CELLS = 10_000  # in a line; a parser needs memory for each, empty ones too

KINDS = "PNG, JPEG, WebP, GIF or BMP"
LIMITS = f"{MIN_SIDE} to {MAX_SIDE} pixels a side, {MAX_PIXELS / 1e6:g} megapixels and {MAX_BYTES / 1e6:g} MB"


class UploadError(ValueError):
    """One plain sentence for the visitor: what was wrong and what would work. Safe to show."""


Opened = tuple[ImageFile.ImageFile, int]  # header read, pixels not yet decoded; EXIF orientation


def read_image(data: bytes) -> Image.Image:
    """The picture in ``data``, its first frame, upright, without metadata.

    The kind is told by content: PNG, JPEG, WebP, GIF or BMP. Size is checked before any pixel is decoded.

    Returns:
        An image in mode L, RGB or RGBA. 16-bit greys keep their upper 8 bits.

    Raises:
        UploadError: not a picture, too large, too small or damaged.
    """
    if not data:
        raise UploadError(f"The file is empty; send a picture ({KINDS}).")
    _check_bytes(len(data))
    opener = _opener(data)
    try:
        picture, orientation = opener(data)
        _check_size(*picture.size)
        if min(picture.size) < MIN_SIDE:
            raise UploadError(f"The picture is only {_by(picture.size)} pixels; it may have {LIMITS}.")
        picture.load()
        return _plain(picture, orientation)
    except UploadError:
        raise
    except Exception as error:  # Pillow raises a dozen kinds on damaged data
        raise UploadError("The picture is damaged or incomplete; save it again and send that.") from error


def read_image_file(path: str | os.PathLike[str]) -> Image.Image:
    """:func:`read_image` of a regular file, whose size is checked before it is read."""
    return read_image(_read_file(path, "picture", LIMITS))


def read_shape_file(path: str | os.PathLike[str], size: int) -> Tensor:
    """The occupancy grid of a mesh file, float ``(1, 1, size, size, size)`` of zeros and ones.

    GLB, OBJ, STL, OFF or PLY, told by name and content; at most ``MAX_FACES`` faces and points. Nothing of the
    file is parsed in this process.

    Raises:
        UploadError: not a mesh, too large, damaged, or without faces.
    """
    import torch  # 2 s that whoever only reads pictures does not pay

    data = _read_file(path, "mesh", MESH_LIMITS)
    kind = os.path.splitext(path)[1][1:].lower()
    if kind not in mesh_child.CHECKS:
        hint = "of glTF only the binary form can be read, so export a GLB" if kind == "gltf" else "send that"
        raise UploadError(f"A mesh must be {mesh_child.KINDS} by its name; {hint}.")
    if not data:
        raise UploadError(f"The file is empty; send {mesh_child.KINDS}.")
    cells = np.frombuffer(_in_child(data, kind, size, size**3), bool).astype(np.float32)
    return torch.from_numpy(cells.reshape(1, 1, size, size, size))


class TextTable(NamedTuple):
    """A table of strings with a column of texts.

    Args:
        text: index of the column of the texts.
        notes: what was found and mended, a sentence each.
    """

    columns: list[str]
    rows: list[list[str]]
    text: int
    notes: list[str]


def read_text(value: object) -> str:
    """A text of at most ``MAX_TEXT`` characters, without control characters and half surrogate pairs."""
    if not isinstance(value, str):
        raise UploadError("The text must be a string.")
    if len(value) > MAX_TEXT:
        raise UploadError(f"The text has {len(value):,} characters; it may have {MAX_TEXT:,}.")
    return clean_text(value)


def clean_text(text: str) -> str:
    """Line ends as one character, no other control characters; surrogates that JSON let through joined or replaced."""
    if SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def read_table_file(path: str | os.PathLike[str]) -> TextTable:
    """The table in a CSV file, UTF-8, UTF-16 or Windows-1252, with a header that names a column of texts.

    Raises:
        UploadError: not a table, too large, damaged, or without such a column.
    """
    data = _read_file(path, "table", f"{MAX_TABLE_BYTES / 1e6:g} MB", MAX_TABLE_BYTES)
    if not data.strip():
        raise UploadError("The file is empty; send a CSV with a header.")
    if max(line.count(b",") for line in data.split(b"\n")) > MAX_CELLS:
        raise UploadError(f"The table has more than {MAX_CELLS:,} columns; send one with a column of texts.")
    return _text_table(Path(path))


def _text_table(path: Path) -> TextTable:
    import pandas

    from training.datasets import DataError
    from training.texts import read_csv

    try:
        frame, encoding, cleaned = read_csv(path)
    except DataError as error:
        raise UploadError(f"{str(error).replace(path.name, 'The file', 1)}.") from error
    if len(frame) > MAX_ROWS:
        raise UploadError(
            f"The table has {len(frame):,} rows; it may have {MAX_ROWS:,}, so send it in parts."
        )
    columns = [str(column) for column in frame.columns]
    text = _text_column(columns)
    if not len(frame):
        raise UploadError("The table has a header but no rows.")
    if not isinstance(frame.index, pandas.RangeIndex):  # pandas takes what is too much as names of the rows
        raise UploadError(
            "The rows have more fields than the header; put texts with commas in double quotes."
        )
    notes = [f"It was read as {encoding}, not UTF-8."] if encoding else []
    notes += [f"NUL characters were removed from {cleaned:,} lines."] if cleaned else []
    rows: Any = frame.fillna("").to_numpy().tolist()  # short rows end in missing fields
    return TextTable(columns, rows, text, notes)


def _text_column(columns: list[str]) -> int:
    from training.texts import TEXT_COLUMNS

    found = next((name for name in TEXT_COLUMNS if name in columns), None)
    if found is not None:
        return columns.index(found)
    if len(columns) == 1 and (columns[0].count(";") or columns[0].count("\t")):
        raise UploadError("The columns are not separated by commas; save the table as CSV with commas.")
    listed = ", ".join(_shown(name) for name in columns[:5]) + (", ..." if len(columns) > 5 else "")
    raise UploadError(
        f"The first row must name the columns, one of them 'text' (or {', '.join(TEXT_COLUMNS[1:5])}); "
        f"it holds {listed}."
    )


def read_data_url(text: str) -> Image.Image:
    """:func:`read_image` of ``data:image/png;base64,...`` (png, jpeg or webp), as a canvas sends it."""
    if not isinstance(text, str) or not (head := DATA_URL.match(text)):
        raise UploadError("The drawing must be a data URL: data:image/png;base64,... (png, jpeg or webp).")
    _check_bytes((len(text) - head.end()) // 4 * 3 - 2)
    try:
        data = base64.b64decode(text[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: not ASCII
        raise UploadError("The drawing is not valid base64; send the canvas's whole data URL.") from error
    return read_image(data)


def read_number(value: object, name: str, low: float, high: float) -> float:
    """A finite number in [low, high]; a string that is one counts, a bool does not."""
    number = _number(value)
    if number is None or not low <= number <= high:
        raise UploadError(f"{name} must be a number from {low:g} to {high:g}.")
    return float(number)


def read_integer(value: object, name: str, low: int, high: int) -> int:
    """A whole number in [low, high]; 3.0 and "3" count, as sliders and forms send them."""
    number = _number(value)
    if number is None or not low <= number <= high or number != int(number):
        raise UploadError(f"{name} must be a whole number from {low} to {high}.")
    return int(number)


def read_numbers(value: object, length: int, name: str, low: float, high: float) -> list[float]:
    """Exactly ``length`` finite numbers in [low, high]: a list, or a string "1, 2" or "[1, 2]"."""
    wanted = f"{length} numbers from {low:g} to {high:g}"
    if isinstance(value, str) and len(value) <= MAX_NUMBER * (length + 1):
        inner = value.strip()
        value = (inner[1:-1] if inner[:1] + inner[-1:] == "[]" else inner).split(",")
    if not isinstance(value, (list, tuple)):
        raise UploadError(f"{name} must be a list of {wanted}.")
    if len(value) != length:
        raise UploadError(f"{name} must be a list of {wanted}, not of {len(value)}.")
    numbers = [_number(item) for item in value]
    found = [float(number) for number in numbers if number is not None and low <= number <= high]
    if len(found) != length:
        raise UploadError(f"{name} must be a list of {wanted}; {length - len(found)} of them are not.")
    return found


def read_choice(value: object, choices: Sequence[str], name: str) -> str:
    """One of ``choices``; the refusal names the nearest."""
    if isinstance(value, str) and value in choices:
        return value
    listed = ", ".join(choices[:8]) + (f" and {len(choices) - 8} more" if len(choices) > 8 else "")
    if not isinstance(value, str):
        raise UploadError(f"{name} must be one of {listed}.")
    near = difflib.get_close_matches(value[:MAX_NUMBER], choices, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise UploadError(f"{name} {_shown(value)} is not known{hint}; use one of {listed}.")


def read_json(text: str, limit: int = 20_000) -> dict[str, object]:
    """A JSON object of at most ``limit`` characters, 16 levels deep, every number finite."""
    if not isinstance(text, str) or len(text) > limit:
        raise UploadError(f"The JSON must be text of at most {limit:,} characters.")
    # An unclosed string runs to the end, so the scan is linear whatever comes in.
    nesting = accumulate((c in "[{") - (c in "]}") for c in JSON_STRING.sub("", text))
    if max(nesting, default=0) > MAX_DEPTH:
        raise UploadError(f"The JSON is nested too deeply; use at most {MAX_DEPTH} levels.")
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except UploadError:
        raise
    except ValueError as error:
        raise UploadError("The JSON cannot be read; check its commas, quotes and brackets.") from error
    if not isinstance(value, dict):
        raise UploadError('The JSON must be an object: {"name": value, ...}.')
    return value


def harden_pillow() -> None:
    """Make ``PIL.Image.open`` as careful as :func:`read_image`, for decoders that are not ours; call once.

    ``gr.Image`` opens an upload before any handler runs. From here on Pillow, in the whole process, reads
    only the kinds above, within the same limits and without metadata other than the orientation.
    """
    Image.init()
    Image.ID.clear()
    for kind, (_, opener) in OPENERS.items():
        Image.register_open(kind, partial(_open_for_pillow, opener), Image.OPEN[kind][1])
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    # Above the limit Pillow only warns, and raises above twice the limit.
    warnings.simplefilter("error", Image.DecompressionBombWarning)


MESH_LIMITS = f"{mesh_child.MAX_FACES:,} faces, {mesh_child.MAX_VERTICES:,} points and {MAX_BYTES / 1e6:g} MB"


def _in_child(data: bytes, kind: str, size: int, cells: int) -> bytes:
    """What ``mesh_child`` makes of a file: ``cells`` bytes."""
    try:
        done = mesh_parent.PARENT.ask(data, kind, size)
    except TimeoutError as error:
        raise UploadError("The mesh takes too long to read; simplify it and send that.") from error
    except (OSError, MemoryError) as error:  # no process can be started
        raise UploadError("The server has no memory left to read a mesh; try again in a minute.") from error
    answer, _, rest = done.partition(b" ")
    if answer == b"no":
        raise UploadError(rest.decode())
    if answer != b"grid" or len(rest) != cells:  # killed by a limit, mostly
        raise UploadError("The mesh takes too much time or memory to read; simplify it and send that.")
    return rest


def _read_file(path: str | os.PathLike[str], what: str, limits: str, most: int = MAX_BYTES) -> bytes:
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise UploadError(f"That is not a file; send one {what}.")
        _check_bytes(status.st_size, what, limits, most)
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except UploadError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UploadError("The uploaded file is not there any more; send it again.") from error
    _check_bytes(len(data), what, limits, most)  # it may have grown
    return data


MAX_NUMBER = 40  # characters
SURROGATE = re.compile(r"[\ud800-\udfff]")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
DATA_URL = re.compile(r"data:image/(?:png|jpeg|webp);base64,")


def _number(value: object) -> int | float | None:
    """A finite number, or None. Whole ones stay int: a seed above 2^53 must not lose digits."""
    if isinstance(value, str):
        if len(value) > MAX_NUMBER or not NUMBER.fullmatch(value):
            return None
        value = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise UploadError("The JSON holds NaN, Infinity or a number too large; use finite numbers.")
    return number


def _shown(text: str) -> str:
    clean = "".join(c if c.isprintable() else " " for c in text[:MAX_NUMBER])
    return f"'{clean}'" if len(text) <= MAX_NUMBER else f"'{clean[:-3]}...'"


def _check_bytes(size: int, what: str = "picture", limits: str = LIMITS, most: int = MAX_BYTES) -> None:
    if size > most:
        raise UploadError(f"The file has {size / 1e6:.1f} MB; a {what} may have {limits}.")


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UploadError(f"The picture is too large, {_by((width, height))} pixels; it may have {LIMITS}.")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # but stuffed zeros, restarts and fill bytes
SOS, APP0, APP1, ADOBE, COM = 0xDA, 0xE0, 0xE1, 0xEE, 0xFE


def _open_png(data: bytes) -> Opened:
    kept, orientation, at = [data[:8]], 1, 8
    for _ in range(MAX_PARTS):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if kind in PNG_PIXELS:
            kept.append(data[at:end])
        elif kind == b"eXIf":
            orientation = _orientation(data[at + 8 : end - 4])
        if kind == b"IEND" or end >= len(data):
            return PngImageFile(io.BytesIO(b"".join(kept))), orientation
        at = end
    raise UploadError("The picture is cut into too many parts; save it again as a plain PNG.")


def _open_jpeg(data: bytes) -> Opened:
    kept, orientation, at = [data[:2]], 1, 2
    for _ in range(MAX_PARTS):
        at = _next_marker(data, at)
        code, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if code == SOS:
            kept.append(_jpeg_scans(data[at:]))
            return JpegImageFile(io.BytesIO(b"".join(kept))), orientation
        if code == APP1 and data.startswith(b"Exif\0\0", at + 4):
            orientation = _orientation(data[at + 10 : end])
        # JFIF and Adobe say which colours the components are.
        if code in (APP0, ADOBE) or not APP0 <= code <= COM:
            kept.append(data[at:end])
        at = end
    raise UploadError("The picture is cut into too many parts; save it again as a plain JPEG.")


def _next_marker(data: bytes, at: int) -> int:
    if not (found := JPEG_MARKER.search(data, at)):
        raise SyntaxError("no scan")  # what Pillow's plugins raise, and Image.open expects
    return found.start()


def _jpeg_scans(data: bytes) -> bytes:
    """Everything up to the end of the image; what phones append (videos, depth maps) is dropped."""
    scans, end, _ = data.partition(b"\xff\xd9")
    if scans.count(b"\xff\xda") > MAX_SCANS:
        raise UploadError(f"The JPEG has more than {MAX_SCANS} scans; save it again without 'progressive'.")
    return scans + end


def _open_webp(data: bytes) -> Opened:
    # Opening allocates the canvas, so the size is read first (RFC 9649, sections 2.5 to 2.7).
    form = data[12:16]
    if form == b"VP8X":
        size = (int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1)
    elif form == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    else:
        width, height = struct.unpack_from("<HH", data, 26)
        size = (width & 0x3FFF, height & 0x3FFF)
    _check_size(*size)
    picture = WebPImageFile(io.BytesIO(data))
    return picture, _orientation(picture.info.get("exif", b""))


def _open_gif(data: bytes) -> Opened:
    """Header, palette, the last control block, and all from the first frame on; later ones are not read."""
    start = at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    control = b""
    while data[at] == ord("!"):
        if data[at : at + 3] == b"!\xf9\x04":
            control = data[at : at + 7] + b"\0"
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    if data[at] != ord(","):
        raise SyntaxError("no frame")
    left, top, width, height = struct.unpack_from("<4H", data, at + 1)
    screen = struct.unpack_from("<HH", data, 6)
    _check_size(max(screen[0], left + width), max(screen[1], top + height))
    return GifImageFile(io.BytesIO(data[:start] + control + data[at:])), 1


def _open_bmp(data: bytes) -> Opened:
    return BmpImageFile(io.BytesIO(data)), 1


Opener = Callable[[bytes], Opened]
OPENERS: dict[str, tuple[re.Pattern[bytes], Opener]] = {
    "PNG": (re.compile(rb"\x89PNG\r\n\x1a\n"), _open_png),
    "JPEG": (re.compile(rb"\xff\xd8\xff"), _open_jpeg),
    "WEBP": (re.compile(rb"RIFF.{4}WEBPVP8[ LX]", re.DOTALL), _open_webp),
    "GIF": (re.compile(rb"GIF8[79]a"), _open_gif),
    "BMP": (re.compile(rb"BM"), _open_bmp),
}
STRANGERS = (
    (re.compile(rb"(\xef\xbb\xbf)?\s*<"), "a page or drawing in text form (HTML, SVG or XML)"),
    (re.compile(rb"PK[\x03\x05\x07]"), "a zip archive"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF"),
    (re.compile(rb".{4}ftyp(hei|hev|mif|msf)", re.DOTALL), "a HEIC photo"),
    (re.compile(rb".{4}ftypavi[fs]", re.DOTALL), "an AVIF picture"),
)


def _opener(data: bytes) -> Opener:
    for magic, opener in OPENERS.values():
        if magic.match(data):
            return opener
    for magic, name in STRANGERS:
        if magic.match(data):
            raise UploadError(f"The file is {name}, not a picture this page can read; send {KINDS}.")
    raise UploadError(f"The file is not a picture, whatever its name says; send {KINDS}.")


def _open_for_pillow(opener: Opener, file: IO[bytes], filename: str | bytes) -> ImageFile.ImageFile:
    data = file.read(MAX_BYTES + 1)
    _check_bytes(len(data))
    picture, orientation = opener(data)
    _check_size(*picture.size)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation if orientation in TURNS else 1
    picture.info["exif"] = exif.tobytes()
    return picture


ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(exif: bytes) -> int:
    """The orientation tag of an EXIF block, 1 to 8; 1 where it is missing or broken (CIPA DC-008, 4.6.4)."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == ORIENTATION:
                return int(value)
    except struct.error:
        pass
    return 1


def _plain(picture: Image.Image, orientation: int) -> Image.Image:
    """Mode L, RGB or RGBA, turned upright, metadata dropped."""
    if picture.mode.startswith("I"):
        # convert() would clip 16 bits to 255. A transparent grey of a 16-bit PNG is dropped.
        plain = picture.convert("I").point(lambda grey: grey * (1 / 256)).convert("L")
    elif picture.has_transparency_data:
        plain = picture.convert("RGBA")
    else:
        plain = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    plain.info.clear()
    return plain.transpose(TURNS[orientation]) if orientation in TURNS else plain
