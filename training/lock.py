"""One process at a time writes a folder: a lock of the operating system, which ends with its process in any case."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from training.loop import RunError
from training.progress import say

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # says who holds it; one that a killed process left holds nobody up
WITHOUT = (
    errno.ENOLCK,
    errno.ENOTSUP,
    errno.EBADF,
    errno.ENOSYS,
    errno.EINVAL,
)  # file systems that lock nothing


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep every other process out of ``folder``, which exists, until the block ends.

    Args:
        wait: for another process to end, instead of refusing.

    Raises:
        RunError: the folder cannot be written, or another process is writing there; the sentence names it.
    """
    file = _taken(folder, wait)
    try:
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                (folder / LOCK).unlink()
            os.close(file)


def _taken(folder: Path, wait: bool) -> int | None:
    """The lock's file, open; None on a system without locks."""
    if fcntl is None:
        _unguarded(folder)
        return None
    while True:
        try:
            file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(
                f"{folder} cannot be written ({error.strerror}): choose another --output"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(file)
            raise RunError(_in_use(folder)) from error
        except OSError as error:
            os.close(file)
            if error.errno not in WITHOUT:
                raise
            _unguarded(folder)
            return None
        if _is_there(folder / LOCK, file):
            os.ftruncate(file, 0)
            os.write(file, json.dumps(_myself()).encode())
            return file
        os.close(file)  # whoever held it took the file away: another one lies there, or none


def _is_there(path: Path, file: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(file))
    return False


def _myself() -> dict[str, Any]:
    program = "/".join(Path(sys.argv[0] or "python").parts[-2:])
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "program": program,
        "since": time.strftime("%H:%M"),
    }


def _in_use(folder: Path) -> str:
    try:
        other = json.loads((folder / LOCK).read_text())
        where = "" if other["host"] == socket.gethostname() else f" on {other['host']}"
        who = f"process {other['pid']}{where} ({other['program']}, since {other['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return f"{who} is writing {folder}: wait for its end, or choose another --output"


def _unguarded(folder: Path) -> None:
    say(f"nothing locks files here, so let no other process write {folder} meanwhile")
