"""The process in which a stranger's mesh is read: one file, little memory, little time, and gone.

A new process for each upload shares nothing with the page: no file, no token, no heap to exhaust. Most of the second
that starting one takes is the import of numpy and scipy, so on Linux ``python -m demo.uploads.mesh_child`` imports
them once and then forks a process for each request; it never reads a file itself, so that nothing of an upload is
there for the next. Elsewhere ``python -m demo.uploads.mesh_child KIND SIZE`` reads one file from stdin. Both answer
``grid`` and a byte a cell, or ``no`` and a sentence. ``mesh_parent.py`` is the page's side of it.

The reader is the library's own, ``affinevae/meshes.py``, held to ``LIMITS``; what is here are the walls around it.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

from affinevae.polygons import Limits, MeshError

LIMITS = Limits(faces=500_000, vertices=500_000, parts=500, json=1_000_000)
MAX_MEMORY = 300_000_000  # of address space; imports before a fork are not of it
MAX_SECONDS = 6  # of CPU; the largest files we accept take 2.5
MAX_WAIT = 20  # seconds of wall time; a busy machine gets through its CPU seconds slowly
MAX_REQUEST = 100  # bytes

READY = b"+"  # what a forked process says first, so that the page can tell a lost one from one that never was
SPENT = struct.Struct("<f")  # and before its answer: seconds of CPU
SMALL = 0.3  # of these, after which it lets everybody else go first


def main() -> None:
    import affinevae.meshes
    import affinevae.solid  # noqa: F401 - before anything is limited or forked

    if not sys.argv[1:]:
        return fork_for_each(socket.socket(fileno=sys.stdin.fileno()))
    kind, size = sys.argv[1:]
    limit_resources()
    sys.stdout.buffer.write(answer(sys.stdin.buffer.read(), kind, int(size)))


def fork_for_each(control: socket.socket) -> None:
    """A process for each request, ``KIND SIZE`` and a socket for file and answer, until the page is gone."""
    gc.freeze()  # or the first collection in each process would copy every page of the modules
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries who ends
    while True:
        request, lines, _, _ = socket.recv_fds(control, MAX_REQUEST, 1)
        if not request:
            return
        with socket.socket(fileno=lines[0]) as line, suppress(OSError):
            if not os.fork():  # where it fails, the line is closed unused
                _read_one(control, line, request)


def _read_one(control: socket.socket, line: socket.socket, request: bytes) -> None:
    """What a forked process does, from its first moment to its last."""
    try:
        control.close()
        signal.alarm(MAX_WAIT)  # which nothing handles: the system ends the process, whatever it is doing
        limit_resources()
        give_way()
        line.sendall(READY)
        kind, size = request.decode().split()
        with line.makefile("rb") as file:
            data = file.read()
        found = answer(data, kind, int(size))
        line.sendall(SPENT.pack(time.process_time()) + found)
    finally:
        os._exit(0)  # not up the stack, which is the server's


def answer(data: bytes, kind: str, size: int) -> bytes:
    """``grid`` and the cells of a file, or ``no`` and what is wrong with it."""
    from affinevae.meshes import parse_mesh
    from affinevae.solid import occupancy

    try:
        return b"grid " + bytes(occupancy(parse_mesh(data, kind, LIMITS), size))
    except MeshError as error:
        return b"no " + str(error).encode()
    except MemoryError:
        return b"no The mesh takes too much memory; simplify it and send that."


def give_way() -> None:
    """From ``SMALL`` on a file takes what the page and the small ones leave."""
    signal.signal(signal.SIGPROF, lambda number, frame: os.nice(10))
    signal.setitimer(signal.ITIMER_PROF, SMALL)


def limit_resources() -> None:
    """``MAX_SECONDS`` of CPU, ``MAX_MEMORY`` on top of what is taken, and not a byte in a file."""
    try:
        import resource
    except ImportError:  # Windows; the parent's time limit remains
        return
    limits = {resource.RLIMIT_CPU: MAX_SECONDS, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    if (status := Path("/proc/self/statm")).exists():
        limits[resource.RLIMIT_AS] = int(status.read_text().split()[0]) * resource.getpagesize() + MAX_MEMORY
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


if __name__ == "__main__":
    main()
