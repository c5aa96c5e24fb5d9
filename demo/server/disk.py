"""The disk: what visitors upload lies in a folder of this process, within a quota, and is gone after an hour."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gradio.route_utils import GradioMultiPartParser, GradioUploadFile

ALL = 2_000_000_000  # bytes
AGE = 3600.0  # seconds, as Gradio keeps files
YOUNG = 60.0  # seconds in which whoever sent a file will ask about it
BLOCK = 8192  # bytes that a file takes at least, with its folder
SPARE = 64_000_000  # bytes of the disk, or a twentieth of it, that are left to others
SMALL = 256_000  # bytes of a file up to which nobody notices that it is written
NAME = "page-"
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)

FULL = "The page has no room on its disk for a file at present: try again in a few minutes."
MANY = "You have sent more files than the page has room for: try again in a minute."


class File(NamedTuple):
    """A file of a visitor."""

    address: str
    size: int
    since: float


def own_folder() -> Path:
    """A folder of this process for what visitors upload, below ``GRADIO_TEMP_DIR``; what dead processes left is swept.

    Gradio's own default is shared by every Gradio program of the machine, and never emptied after a crash.
    """
    usual = Path(tempfile.gettempdir()) / f"redundancy-{os.getuid() if hasattr(os, 'getuid') else 'page'}"
    root = Path(os.environ.get("GRADIO_TEMP_DIR") or usual)
    for left in root.glob(f"{NAME}*"):
        if not _is_alive(left.name.removeprefix(NAME)):
            shutil.rmtree(left, ignore_errors=True)
    folder = root / f"{NAME}{os.getpid()}"
    with contextlib.suppress(OSError):  # a full disk is told to whoever uploads
        folder.mkdir(parents=True, mode=0o700)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


def _is_alive(number: str) -> bool:
    """Whether another process of that number runs; in a container it is our own number each time."""
    if not number.isdigit() or int(number) == os.getpid():
        return not number.isdigit()
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Disk:
    """What visitors have in ``folder``, the oldest first.

    Args:
        forget: told of each file that is removed.
        most: bytes of all visitors; half of it for an address.
    """

    def __init__(
        self, folder: Path, forget: Callable[[str], object] = lambda path: None, most: int = ALL
    ) -> None:
        self.folder, self.forget, self.most = folder, forget, most
        self.files: OrderedDict[str, File] = OrderedDict()
        self.arriving: Counter[str] = Counter()
        self.refused = 0

    @property
    def used(self) -> int:
        """Bytes of all files, and of those that arrive."""
        return sum(file.size for file in self.files.values()) + self.arriving.total()

    def refusal(self, address: str, size: int) -> str | None:
        """Why a file of that size has no place, once older ones were removed for it; None where it has one."""
        held = Counter(self.arriving)
        for file in self.files.values():
            held[file.address] += file.size
        while held.total() + size > self.most and (path := self._victim(held)):
            held[self.files[path].address] -= self.files[path].size
            self._remove(path)
        if not self._has_room(size):
            self.refused += 1
            return FULL
        if held.total() + size > self.most or held[address] + size > self.most // 2:
            self.refused += 1
            return MANY
        return None

    def _victim(self, held: Counter[str]) -> str | None:
        """The oldest file of whoever has most, but none that was sent just now."""
        late = time.monotonic() - YOUNG
        old = (path for path, file in self.files.items() if file.since < late)
        return max(old, key=lambda path: held[self.files[path].address], default=None)

    def _has_room(self, size: int) -> bool:
        try:
            disk = shutil.disk_usage(self.folder.parent)
        except OSError:
            return False
        return disk.free - self.arriving.total() - size > min(SPARE, disk.total // 20)

    def add(self, path: str, address: str) -> None:
        """A file has arrived."""
        with contextlib.suppress(OSError):
            size = max(os.path.getsize(path), BLOCK)
            self.files[path] = File(address, size, time.monotonic())
            self.files.move_to_end(path)

    def _remove(self, path: str) -> None:
        self.files.pop(path, None)
        self.forget(path)
        with contextlib.suppress(OSError):
            os.unlink(path)
            os.rmdir(os.path.dirname(path))

    def sweep(self) -> None:
        """Remove what is old, whoever left it."""
        late = time.monotonic() - AGE
        for path in [path for path, file in self.files.items() if file.since < late]:
            self._remove(path)
        old = time.time() - AGE
        for folder, _, names in os.walk(self.folder, topdown=False):
            for path in (os.path.join(folder, name) for name in names):
                with contextlib.suppress(OSError):
                    if os.path.getmtime(path) < old and path not in self.files:
                        self._remove(path)


class Upload(GradioUploadFile):
    """A file as it arrives. A small one is written at once: going to another thread and back takes longer."""

    @property
    def _in_memory(self) -> bool:
        return (self.size or 0) < SMALL


class Parser(GradioMultiPartParser):
    """Gradio's parser of uploads: one file in a request and nothing else, and nothing is left where it goes wrong."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "max_files": 1, "max_fields": 0})

    async def parse(self) -> Any:
        try:
            form = await super().parse()
            if self._file_parts_to_write or len(self.items) != len(self._files_to_close_on_error):
                raise _incomplete()
            return form
        except BaseException:
            for file in self._files_to_close_on_error:
                with contextlib.suppress(OSError):
                    file.close()
                with contextlib.suppress(OSError):
                    os.unlink(file.name)
            raise


def _incomplete() -> Exception:
    from starlette.formparsers import MultiPartException

    return MultiPartException("The file did not arrive whole: send it again.")
