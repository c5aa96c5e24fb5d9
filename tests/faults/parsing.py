"""The page's readers in a process that is allowed little: what comes of any bytes is a value or one sentence."""

from __future__ import annotations

import re
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from dying import CONTEXT

SECONDS = 2  # of CPU
MEMORY = 300_000_000  # bytes of address space on top of what the process takes before it has read anything
PATIENCE = 120  # seconds of wall time
LEAKS = re.compile(
    r"/(tmp|work|home|usr|root|proc|dev|etc|var)\b|site-packages|0x[0-9a-f]|Traceback|Error\b|\.py\b"
)


class Found(NamedTuple):
    """What became of some bytes: ``read``, ``refused`` with a sentence, or ``broken`` with the defect."""

    end: str
    words: str = ""


def _mesh(kind: str) -> Callable[[bytes], object]:
    from affinevae import meshes, polygons, solid
    from demo.uploads import mesh_child
    from demo.uploads.values import UploadError

    def read(data: bytes) -> object:
        try:
            return solid.occupancy(meshes.parse_mesh(data, kind, mesh_child.LIMITS), 16)
        except polygons.MeshError as error:
            raise UploadError(str(error)) from error
        except MemoryError as error:  # as the page's own child says it
            raise UploadError("The mesh takes too much memory; simplify it and send that.") from error

    return read


def _table(data: bytes) -> object:
    from demo.uploads.texts import read_table_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(data)
        table = read_table_file(path)
    assert all(
        len(row) == len(table.columns) and all(isinstance(cell, str) for cell in row) for row in table.rows
    )
    return table


def readers() -> dict[str, Callable[[bytes], object]]:
    """Every reader by name; a name of a mesh is its kind."""
    from affinevae import polygons
    from demo.uploads import pictures, texts, values

    text: dict[str, Callable[[str], object]] = {
        "text": texts.read_text,
        "json": values.read_json,
        "data url": pictures.read_data_url,
        "numbers": lambda t: values.read_numbers(t, 3, "z", -5, 5),
        "choice": lambda t: values.read_choice(t, ["fast", "best"], "The effort"),
    }
    of_text = {
        name: lambda data, read=read: read(data.decode("utf-8", "surrogatepass"))
        for name, read in text.items()
    }
    return {
        "image": pictures.read_image,
        "table": _table,
        **{kind: _mesh(kind) for kind in polygons.KINDS},
        **of_text,
    }  # type: ignore[dict-item]


def _serve(connection: Connection) -> None:
    warnings.simplefilter("ignore")
    import pandas  # noqa: F401 - before the limit

    from demo.uploads.values import UploadError

    known = readers()
    known["table"](b"text\na\n")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    while True:
        name, data = connection.recv()
        spent = resource.getrusage(resource.RUSAGE_SELF)
        most = (
            int(spent.ru_utime + spent.ru_stime) + SECONDS + 1
        )  # whole seconds, the first of which has begun
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        connection.send(_outcome(known[name], data, UploadError))


def _outcome(read: Callable[[bytes], object], data: bytes, refusal: type[Exception]) -> Found:
    try:
        read(data)
    except refusal as error:
        return Found("refused", str(error))
    except BaseException as error:  # noqa: BLE001 - whatever else it is, it is a defect
        return Found("broken", f"{type(error).__name__}: {error}"[:300])
    return Found("read")


class Readers:
    """The process, started again where it was lost."""

    def __init__(self) -> None:
        self.process: Any = None

    def read(self, name: str, data: bytes) -> Found:
        """What becomes of the bytes; a process that is killed by a limit is a defect."""
        if self.process is None:
            self._start()
        self.connection.send((name, data))
        try:
            if self.connection.poll(PATIENCE):
                found: Found = self.connection.recv()
                return found
        except EOFError:
            pass
        self.stop()
        return Found("broken", f"lost: more than {SECONDS} s of CPU, or crashed")

    def _start(self) -> None:
        self.connection, other = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


@contextmanager
def reading() -> Iterator[Readers]:
    """The process, for as long as it is needed."""
    found = Readers()
    try:
        yield found
    finally:
        found.stop()


def require_sentence(words: str) -> None:
    """One sentence for a visitor, which gives nothing away."""
    assert words
    assert "\n" not in words
    assert len(words) < 400
    assert words.endswith((".", ")"))
    assert words.isprintable()
    assert not LEAKS.search(words), words


ON_LINUX = sys.platform == "linux"
