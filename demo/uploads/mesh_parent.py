"""The page's side of ``mesh_child.py``: a process for each mesh, limited and soon gone.

On Linux a server forks them, which saves each upload the second that the imports take. It is started by the first
upload, holds none of the page's files, sockets or secrets, and ends when the page does, however that ends: its
socket closes. Elsewhere forking is not safe or not there, and each upload starts an interpreter.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from demo.server.shares import Meter, elsewhere
from demo.uploads.mesh_child import MAX_SECONDS, MAX_WAIT, READY, SPENT

FORKS = sys.platform == "linux"
COMMAND = (sys.executable, "-m", "demo.uploads.mesh_child")
ROOT = Path(__file__).parents[2]
INHERITED = ("PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "SYSTEMROOT")
CHUNK = 1_000_000  # bytes
AT_ONCE = 3  # processes, each of which may take 350 MB
TRIES = 4  # a process may be ended from outside, and all that waited with it


class Server(NamedTuple):
    """The process that forks, and the line on which it is asked to."""

    process: subprocess.Popen[bytes]
    control: socket.socket


class Parent:
    """Has meshes read in processes of their own; safe from many threads."""

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self.command = command
        self.server: Server | None = None
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def ask(self, data: bytes, kind: str, size: int) -> bytes:
        """What ``mesh_child.answer`` says of a file; cut short where its process was lost.

        Raises:
            TimeoutError: it took ``MAX_WAIT`` seconds.
            OSError: no process could be started, or none lived long enough.
        """
        if not self._turns.acquire(timeout=MAX_WAIT):
            raise OSError("too many meshes are being read")
        try:
            with elsewhere() as meter:
                if FORKS:
                    return self._fork_and_ask(data, kind, size, meter)
                return self._start_and_ask(data, kind, size)
        finally:
            self._turns.release()

    def _fork_and_ask(self, data: bytes, kind: str, size: int, meter: Meter) -> bytes:
        deadline = time.monotonic() + MAX_WAIT
        for _ in range(TRIES):
            ours, theirs = socket.socketpair()
            with ours:
                with theirs:
                    server = self._fork(theirs, f"{kind} {size}".encode())
                if answer := _talk(ours, data, deadline):
                    return _charged(answer.removeprefix(READY), meter)
            self.stop(server)
        raise OSError("there is no process for a mesh")

    def stop(self, lost: Server | None = None) -> None:
        """End the server, or ``lost`` if it still is the server; files that are being read are read to their end."""
        with self._lock:
            if self.server is not None and lost in (None, self.server):
                self.server.control.close()
                self.server.process.kill()
                self.server.process.wait()
                self.server = None

    def _fork(self, line: socket.socket, request: bytes) -> Server:
        """Give a new process its end of a line. If that fails nobody has it, and the other end finds it closed."""
        with self._lock:  # or another thread might close the control meanwhile
            if self.server is None:
                self.server = self._start()
            with suppress(ConnectionError):
                socket.send_fds(self.server.control, [request], [line.fileno()])
            return self.server

    def _start(self) -> Server:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(MAX_WAIT)
        with theirs, ExitStack() as undo:
            undo.callback(ours.close)
            process = subprocess.Popen(
                self.command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                cwd=ROOT, env=_environment(),
            )  # fmt: skip
            undo.pop_all()
        return Server(process, ours)

    def _start_and_ask(self, data: bytes, kind: str, size: int) -> bytes:
        """Without a server."""
        try:
            done = subprocess.run(
                [*self.command, kind, str(size)], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                cwd=ROOT, env=_environment(), timeout=MAX_WAIT,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise TimeoutError("the process for a mesh takes too long") from error
        return b"" if done.returncode else done.stdout


PARENT = Parent()


def _talk(line: socket.socket, data: bytes, deadline: float) -> bytes:
    """Send a file, and receive until the other side is done or lost."""
    answer = bytearray()
    with suppress(ConnectionError):  # lost while it read; what it said before is still there
        line.settimeout(_left(deadline))
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
    with suppress(ConnectionError):
        line.settimeout(_left(deadline))
        while part := line.recv(CHUNK):
            answer += part
            line.settimeout(_left(deadline))
    return bytes(answer)


def _charged(answer: bytes, meter: Meter) -> bytes:
    """The answer itself; what it took counts as whose mesh it is."""
    if len(answer) < SPENT.size:  # lost while it read, mostly to its limit
        meter.cpu += MAX_SECONDS
        return b""
    meter.cpu += SPENT.unpack_from(answer)[0]
    return answer[SPENT.size :]


def _left(deadline: float) -> float:
    """Seconds, never 0, which would mean not to wait at all."""
    return max(deadline - time.monotonic(), 0.001)


def _environment() -> dict[str, str]:
    """Nothing secret."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # A thread pool for each core would take gigabytes of the address space that a process is allowed.
    return environment | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
