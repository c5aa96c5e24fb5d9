"""A visitor's file: it is one, it is there, and it is no larger than its kind may be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from demo.uploads.values import UploadError

MAX_BYTES = 8_000_000


def check_bytes(size: int, what: str, limits: str, most: int = MAX_BYTES) -> None:
    """Refuse a file of more than ``most`` bytes; ``limits`` says in words what a ``what`` may have."""
    if size > most:
        raise UploadError(f"The file has {size / 1e6:.1f} MB; a {what} may have {limits}.")


def read_file(path: str | os.PathLike[str], what: str, limits: str, most: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file, whose size is checked before it is read, and after."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise UploadError(f"That is not a file; send one {what}.")
        check_bytes(status.st_size, what, limits, most)
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except UploadError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UploadError("The uploaded file is not there any more; send it again.") from error
    check_bytes(len(data), what, limits, most)  # it may have grown
    return data
