"""Bytes of a file as letters: unpacked, in the encoding that they are in, or refused."""

from __future__ import annotations

import codecs
import gzip
import string
from dataclasses import dataclass, field
from pathlib import Path

from training.errors import DataError, counted


@dataclass
class Text:
    """The letters of a file, and what there is to say about how they were read."""

    text: str
    encoding: str
    cleaned: int = 0
    notes: list[str] = field(default_factory=list)


SIGNATURES = {
    b"PK\x03\x04": "an Excel workbook or a zip archive: name a workbook .xlsx, and unpack an archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook or one with a password: save it as .xlsx without password, or as CSV",
    b"PAR1": "a parquet file: name it .parquet",
    b"\x1f\x8b": "packed with gzip: give its name the ending .gz",
    b"%PDF": "a PDF: save its text or its table as text",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull`",
    b"SQLite format 3": "a database: export its table as CSV",
}
NAMES = {"cp1252": "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a file, unpacked if it is a ``.gz``; of a larger one no more than the limit is ever held."""
    packed = path.suffix.lower() == ".gz"
    if packed:
        with gzip.open(path) as archive:
            content = archive.read(limit + 1)
    else:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    if len(content) > limit:
        what = "unpacks to" if packed else "has"
        raise DataError(f"{path.name} {what} more than the limit of {limit:,} bytes: give it in parts")
    return content


def decode_text(content: bytes, name: str) -> Text:
    """Letters in UTF-8, UTF-16, UTF-32 or Windows-1252, told by the bytes; NUL characters and marks removed.

    Raises:
        DataError: the bytes are no text.
    """
    for signature, what in SIGNATURES.items():
        if content.startswith(signature):
            raise DataError(f"{name} is not text but {what}")
    encoding, damaged = _encoding(content)
    try:
        text = content.decode(encoding, "replace" if damaged else "strict")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name} is not text in UTF-8, UTF-16 or Windows-1252 (line {line:,}): save it as UTF-8"
        ) from error
    if encoding == "cp1252" and _foreign(content):
        raise DataError(
            f"{name} is not text in UTF-8, and its letters are not those of Windows-1252: save it as UTF-8"
        )
    found = Text(text.lstrip("\ufeff"), encoding.removesuffix("-sig"))
    if damaged:
        line = text.count("\n", 0, text.index("\ufffd")) + 1
        found.notes.append(
            f"{counted(damaged, 'byte')} not in UTF-8, the first on line {line:,}: replaced by \ufffd"
        )
    elif encoding != "utf-8-sig":
        found.notes.append(f"read as {encoding_name(encoding)}: the file is not UTF-8")
    if "\0" in text:
        if text.count("\0") > len(text) // 10:
            raise DataError(f"{name} is not text: more than a tenth of it are NUL bytes")
        found.cleaned = sum("\0" in line for line in found.text.split("\n"))
        found.text = found.text.replace("\0", "")
    return found


def encoding_name(encoding: str) -> str:
    """As people call it: "Windows-1252"."""
    return NAMES.get(encoding, encoding.removesuffix("-sig").upper())


def _encoding(content: bytes) -> tuple[str, int]:
    """The encoding, and how many bytes of a file that is UTF-8 otherwise are damaged."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32", 0
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", 0
    head = content[:4096]
    for order, zeros, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if len(head) > 7 and zeros.count(0) > 0.7 * len(zeros) and letters.count(0) < 0.1 * len(letters):
            return order, 0
    try:
        content.decode("utf-8-sig")
        return "utf-8-sig", 0
    except UnicodeDecodeError:
        text = content.decode("utf-8-sig", "replace")
    damaged, beyond = text.count("\ufffd"), sum(not part.isascii() for part in text)
    return ("utf-8-sig", damaged) if beyond > 5 * damaged else ("cp1252", 0)


def _foreign(content: bytes) -> bool:
    """Whether most letters are beyond ASCII: of Western languages few are, of Cyrillic or Japanese nearly all."""
    head = content[:1_000_000]
    beyond = len(head.translate(None, bytes(range(128))))
    plain = len(head) - len(head.translate(None, string.ascii_letters.encode()))
    return beyond >= 20 and beyond > plain
