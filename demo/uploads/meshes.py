"""A visitor's shape: a mesh, read in a process of its own (``mesh_child.py``), or the grid that the page shows."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from affinevae.polygons import ANY_KIND, KINDS, unknown_kind
from demo.uploads import mesh_parent
from demo.uploads.files import MAX_BYTES, check_bytes, read_file
from demo.uploads.mesh_child import LIMITS
from demo.uploads.values import UploadError

MESH_LIMITS = f"{LIMITS.faces:,} faces, {LIMITS.vertices:,} points and {MAX_BYTES / 1e6:g} MB"
MAX_CELLS_A_SIDE = 64  # of a grid from the page


def read_shape_file(path: str | os.PathLike[str], size: int) -> Tensor:
    """The occupancy grid of a mesh file, float ``(1, 1, size, size, size)`` of zeros and ones.

    GLB, OBJ, STL, OFF or PLY, told by name and content; at most ``LIMITS``. Nothing of the
    file is parsed in this process.

    Raises:
        UploadError: not a mesh, too large, damaged, or without faces.
    """
    return _shape(read_file(path, "mesh", MESH_LIMITS), os.path.splitext(path)[1], size)


def _shape(data: bytes, suffix: str, size: int) -> Tensor:
    kind = suffix[1:].lower()
    if kind not in KINDS:
        raise UploadError(str(unknown_kind(kind)))
    if not data:
        raise UploadError(f"The file is empty; give {ANY_KIND}.")
    cells = np.frombuffer(_in_child(data, kind, size, size**3), bool).astype(np.float32)
    return torch.from_numpy(cells.reshape(1, 1, size, size, size))


def read_shape_url(url: object, name: object, size: int) -> Tensor:
    """A file that the page sent as a data URL, ``(1, 1, size, size, size)``; see ``read_shape_file``."""
    if url is None:
        raise UploadError(f"The file is too large: a mesh may have {MESH_LIMITS}.")
    suffix = Path(name).suffix if isinstance(name, str) else ""
    try:
        data = base64.b64decode(str(url)[: 2 * MAX_BYTES].partition(",")[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise UploadError("The file did not arrive whole: send it again.") from error
    check_bytes(len(data), "mesh", MESH_LIMITS)
    return _shape(data, suffix, size)


def read_cells(text: object) -> Tensor:
    """The grid ``(1, 1, S, S, S)`` in [0, 1] that the page shows: base64 of one byte a cell, x slowest.

    Raises:
        UploadError: it is anything else.
    """
    data = base64.b64decode(text) if isinstance(text, str) and len(text) <= 2 * MAX_CELLS_A_SIDE**3 else b""
    side = round(len(data) ** (1 / 3))
    if not 8 <= side <= MAX_CELLS_A_SIDE or side**3 != len(data):
        raise UploadError("A grid must be a cube of 8 to 64 cells a side, one byte each, as base64.")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(1, 1, side, side, side) / 255


def _in_child(data: bytes, kind: str, size: int, cells: int) -> bytes:
    """What ``mesh_child`` makes of a file: ``cells`` bytes."""
    try:
        done = mesh_parent.PARENT.ask(data, kind, size)
    except TimeoutError as error:
        raise UploadError("The mesh takes too long to read; simplify it and send that.") from error
    except (OSError, MemoryError) as error:  # no process can be started
        raise UploadError("The server cannot read a mesh at present; try again in a minute.") from error
    answer, _, rest = done.partition(b" ")
    if answer == b"no":
        raise UploadError(rest.decode())
    if answer != b"grid" or len(rest) != cells:  # killed by a limit, mostly
        raise UploadError("The mesh takes too much time or memory to read; simplify it and send that.")
    return rest
