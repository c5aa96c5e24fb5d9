"""A visitor's picture, as a file or as a canvas sends it.

A picture is cut down to the parts that make its pixels before Pillow sees it: text, colour profiles, EXIF
and comments never reach a parser. Pillow's own limits do not cover them (12.3, measured): a PNG of 1 MB whose
EXIF points at one block 10,000 times takes more than 3 GB; a GIF comment is joined in quadratic time, minutes
for 8 MB; a JPEG of 8 MB can ask for half a million passes over its pixels. Of the metadata only the
orientation is read, and then applied.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import struct
import warnings
from collections.abc import Callable
from functools import partial
from typing import IO

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from demo.uploads.files import MAX_BYTES, check_bytes, read_file
from demo.uploads.values import UploadError
from training.orientation import ORIENTATION, TURNS

MAX_PIXELS = 16_000_000  # a phone photo is 12
MIN_SIDE, MAX_SIDE = 4, 8192
MAX_PARTS = 20_000  # chunks or segments; an 8 MB picture in the usual 8 KB chunks has 1,000
RLE = (1, 2)  # ways of packing a bitmap, which Pillow unpacks in Python, a pixel or two bytes at a time
MAX_RLE_BYTES, MAX_RLE_PIXELS = 1_000_000, 2_100_000  # a screen of 1920 x 1080
MAX_SCANS = 100  # of a progressive JPEG; encoders write about 10
KINDS = "PNG, JPEG, WebP, GIF or BMP"
LIMITS = f"{MIN_SIDE} to {MAX_SIDE} pixels a side, {MAX_PIXELS / 1e6:g} megapixels and {MAX_BYTES / 1e6:g} MB"
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
    check_bytes(len(data), "picture", LIMITS)
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
    return read_image(read_file(path, "picture", LIMITS))


def read_data_url(text: object) -> Image.Image:
    """:func:`read_image` of ``data:image/png;base64,...`` (png, jpeg or webp), as a canvas sends it."""
    if not isinstance(text, str) or not (head := DATA_URL.match(text)):
        raise UploadError("The drawing must be a data URL: data:image/png;base64,... (png, jpeg or webp).")
    check_bytes((len(text) - head.end()) // 4 * 3 - 2, "picture", LIMITS)
    try:
        data = base64.b64decode(text[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: not ASCII
        raise UploadError("The drawing is not valid base64; send the canvas's whole data URL.") from error
    return read_image(data)


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


DATA_URL = re.compile(r"data:image/(?:png|jpeg|webp);base64,")


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
        if not (marker := JPEG_MARKER.search(data, at)):
            raise SyntaxError("no scan")  # what Pillow's plugins raise, and Image.open expects
        at = marker.start()
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
    picture = BmpImageFile(io.BytesIO(data))
    packed = picture.info.get("compression") in RLE
    if packed and (len(data) > MAX_RLE_BYTES or picture.width * picture.height > MAX_RLE_PIXELS):
        raise UploadError("The bitmap is packed (RLE) and large; save it as a PNG and send that.")
    return picture, 1


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
    check_bytes(len(data), "picture", LIMITS)
    picture, orientation = opener(data)
    _check_size(*picture.size)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation if orientation in TURNS else 1
    picture.info["exif"] = exif.tobytes()
    return picture


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
