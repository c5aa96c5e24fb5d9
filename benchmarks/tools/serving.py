"""The page in a process of its own, on the loopback, for as long as it is needed: for benchmarks and tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Server(NamedTuple):
    """Address, ending in a slash, and process of a page that answers."""

    url: str
    process: subprocess.Popen[bytes]

    def is_ready(self) -> bool:
        """Whether it answers and has loaded its first models."""
        try:
            with urllib.request.urlopen(f"{self.url}healthz", timeout=5) as answer:
                return bool(json.load(answer)["ready"])
        except OSError:
            return False


@contextmanager
def serving(log: Path, *, ready: bool = False, patience: float = 90, **environment: str) -> Iterator[Server]:
    """Start ``app.py``, and end it.

    Args:
        log: where its output goes.
        ready: wait for its first models, not only for the page.
        patience: seconds to wait.
        environment: variables to change; it asks no Hub.

    Raises:
        RuntimeError: it did not start in time; with what it said.
    """
    port = free_port()
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port)]
    changed = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=changed, stdout=out, stderr=subprocess.STDOUT)
        server = Server(f"http://127.0.0.1:{port}/", process)
        try:
            _wait(server, log, ready, time.monotonic() + patience)
            yield server
        finally:
            process.terminate()
            process.wait(10)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _wait(server: Server, log: Path, ready: bool, deadline: float) -> None:
    while time.monotonic() < deadline and server.process.poll() is None:
        with socket.socket() as s:
            listens = s.connect_ex(("127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2]))) == 0
        if listens and (server.is_ready() or not ready):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the page did not start: {log.read_text()}")
