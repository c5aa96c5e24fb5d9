"""Meshes are read in processes of their own: limited, alone, soon gone, and there again after a loss."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.uploads import mesh_parent
from demo.uploads.mesh_parent import Parent

ROOT = Path(__file__).parents[3]
PATIENCE = 60  # seconds
TETRA = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"
# Its processes say what becomes of an expression.
OBEDIENT = """
import os, time
from affinevae import meshes
from demo.uploads import mesh_child as m
def obey(data, kind, limits):
    raise m.MeshError(str(eval(data)))
meshes.parse_mesh, m.MAX_SECONDS, m.MAX_WAIT = obey, 1, 5
m.main()
"""
forking = pytest.mark.skipif(not mesh_parent.FORKS, reason="processes are forked on Linux only")


@pytest.fixture
def parent() -> Iterator[Parent]:
    found = Parent()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def obedient() -> Iterator[Parent]:
    found = Parent((sys.executable, "-c", OBEDIENT))
    yield found
    found.stop()


def read(parent: Parent) -> bool:
    """Whether a tetrahedron is read."""
    answer = parent.ask(TETRA, "obj", 8)
    return answer.startswith(b"grid ") and 0 < sum(answer[5:]) < 8**3 == len(answer[5:])


def eventually(found: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not (there := found()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return there


def children(pid: int) -> list[int]:
    """Those that run and those that nobody has buried."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
        except (OSError, IndexError):  # gone meanwhile
            continue
    return found


def files(pid: int | str) -> list[str]:
    """What a process has open."""
    return sorted(os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink())


def pid_of(parent: Parent) -> int:
    assert parent.server is not None
    return parent.server.process.pid


@pytest.mark.parametrize("forks", [pytest.param(True, marks=forking), False])
def test_both_ways_read_and_refuse_alike(
    forks: bool, parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mesh_parent, "FORKS", forks)
    assert read(parent)
    assert parent.ask(b"%PDF", "stl", 8).startswith(b"no That is a PDF; give")
    assert (parent.server is not None) == forks


def test_without_forks_a_late_process_is_ended(parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_parent, "FORKS", False)
    monkeypatch.setattr(mesh_parent, "MAX_WAIT", 1)
    parent.command = (sys.executable, "-c", "import time; time.sleep(1000)")
    with pytest.raises(TimeoutError):
        parent.ask(TETRA, "obj", 8)


@pytest.mark.parametrize("forks", [pytest.param(True, marks=forking), False])
def test_no_secrets_are_inherited(forks: bool, obedient: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_parent, "FORKS", forks)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    obedient.stop()
    answer = obedient.ask(b"dict(os.environ)", "obj", 8)
    assert b"PATH" in answer
    assert b"hf_secret" not in answer


# The limits -----------------------------------------------------------------------------------------------------------


@forking
@pytest.mark.parametrize(
    ("wish", "outcome"),
    [
        ("1 + 1", b"no 2"),
        ("len(bytearray(200_000_000))", b"no 200000000"),
        ("len(bytearray(350_000_000))", b"no The mesh takes too much memory"),
        ("[None for _ in iter(int, 1)]", b""),
        ("next(i for i in iter(int, 1) if i)", b""),
        ("time.sleep(1000)", b""),
        ("os._exit(1)", b""),
        ("os.kill(os.getpid(), 11)", b""),
    ],
)
def test_what_takes_too_much_is_lost_alone(wish: str, outcome: bytes, obedient: Parent) -> None:
    assert obedient.ask(b"None", "obj", 8) == b"no None"
    server = pid_of(obedient)
    answer = obedient.ask(wish.encode(), "obj", 8)
    assert (
        answer.startswith(outcome)
        if outcome
        else not answer or (answer.startswith(b"no ") and b"too much memory" in answer)
    )
    assert eventually(lambda: not children(server))
    assert obedient.ask(b"None", "obj", 8) == b"no None"
    assert pid_of(obedient) == server


@forking
def test_nothing_is_written_to_a_file(obedient: Parent, tmp_path: Path) -> None:
    path = tmp_path / "written"
    assert (
        obedient.ask(f"os.write(os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY), b'x')".encode(), "obj", 8)
        == b""
    )
    assert path.read_bytes() == b""


@forking
def test_nobody_waits_for_a_late_process(obedient: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    assert obedient.ask(b"None", "obj", 8) == b"no None"
    monkeypatch.setattr(mesh_parent, "MAX_WAIT", 1)
    with pytest.raises(TimeoutError):
        obedient.ask(b"time.sleep(1000)", "obj", 8)
    assert eventually(lambda: not children(pid_of(obedient)))


# What a process has ---------------------------------------------------------------------------------------------------


@forking
def test_the_server_is_light_and_has_one_thread(parent: Parent) -> None:
    assert read(parent)
    process = Path(f"/proc/{pid_of(parent)}")
    assert "\nThreads:\t1\n" in (process / "status").read_text()
    mapped = (process / "maps").read_text()
    assert "numpy" in mapped
    assert "torch" not in mapped


@forking
def test_no_socket_of_the_page_is_inherited(obedient: Parent, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    with socket.create_server(("127.0.0.1", 0)) as page, secret.open("w") as file:
        obedient.stop()
        for mine in (page, file):
            os.set_inheritable(mine.fileno(), True)
        wish = b"[os.readlink(f.path) for f in os.scandir('/proc/self/fd') if os.path.lexists(f.path)]"
        answer = obedient.ask(wish, "obj", 8).decode()
        forked, server = eval(answer.removeprefix("no ")), files(pid_of(obedient))
        listening = os.readlink(f"/proc/self/fd/{page.fileno()}")
    for found in (forked, server):
        assert str(secret) not in found
        assert listening not in found
        assert sum(name.startswith("socket:") for name in found) == 1
    assert not set(forked) & {name for name in server if name.startswith("socket:")}


@forking
def test_nothing_of_one_file_is_there_for_the_next(obedient: Parent) -> None:
    assert obedient.ask(b"m.__dict__.setdefault('left', 'behind')", "obj", 8) == b"no behind"
    assert obedient.ask(b"m.__dict__.get('left')", "obj", 8) == b"no None"


@forking
def test_many_leave_nothing_behind(parent: Parent) -> None:
    assert read(parent)
    server = pid_of(parent)
    assert eventually(lambda: not children(server))
    before, page_before = files(server), len(files("self"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: parent.ask(b"%PDF", "stl", 8), range(200)))
    assert all(answer.startswith(b"no That is a PDF") for answer in answers)
    assert eventually(lambda: not children(server))
    assert (pid_of(parent), files(server), len(files("self"))) == (server, before, page_before)


# Its life -------------------------------------------------------------------------------------------------------------


@forking
@pytest.mark.parametrize("waited", [True, False])
def test_a_killed_server_is_replaced(waited: bool, parent: Parent) -> None:
    assert parent.server is None
    assert read(parent)
    assert parent.server is not None
    lost = parent.server.process
    lost.send_signal(signal.SIGKILL)
    if waited:
        lost.wait()
    assert read(parent)
    assert pid_of(parent) != lost.pid
    assert lost.returncode == -signal.SIGKILL


@forking
def test_all_at_once_find_one_server_where_one_was_killed(parent: Parent) -> None:
    assert read(parent)
    os.kill(pid_of(parent), signal.SIGKILL)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: read(parent), range(8)))
    assert len([pid for pid in children(os.getpid()) if pid == pid_of(parent)]) == 1


@forking
def test_a_server_that_cannot_live_is_an_error(parent: Parent) -> None:
    parent.command = (sys.executable, "-c", "raise MemoryError")
    with pytest.raises(OSError, match="no process"):
        parent.ask(TETRA, "obj", 8)


PAGE = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" has it ignored
from demo.uploads.mesh_parent import PARENT
assert PARENT.server is None
PARENT.ask(b"%PDF", "stl", 8)
print(PARENT.server.process.pid, flush=True)
time.sleep({seconds})
"""


@forking
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, None])
def test_the_server_ends_with_the_page(number: signal.Signals | None) -> None:
    code = PAGE.format(seconds=1000 if number else 0)
    page = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert page.stdout is not None
    with page.stdout as lines:
        server = int(lines.readline())
    if number:
        page.send_signal(number)
    page.wait(PATIENCE)
    state = Path(f"/proc/{server}/stat")
    assert eventually(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z")


@forking
def test_many_who_wait_while_the_parser_is_killed_again_and_again_are_all_read(parent: Parent) -> None:
    assert read(parent)
    with ThreadPoolExecutor(9) as pool:
        waiting = [pool.submit(read, parent) for _ in range(9)]
        for _ in range(2):
            os.kill(pid_of(parent), signal.SIGKILL)
            time.sleep(0.3)
        assert all(future.result() for future in waiting)
