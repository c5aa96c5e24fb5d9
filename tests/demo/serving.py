"""``app.py`` in a process of its own, for as long as a test needs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def serving(weights: Path, log: Path, **changed: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and process of a page that answers; ``changed`` are environment variables."""
    port = free_port()
    url, command = f"http://127.0.0.1:{port}/", [sys.executable, str(ROOT / "app.py"), "--port", str(port)]
    usual = {"WEIGHTS_DIR": str(weights), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **usual, **changed}
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(url, process, log)
            yield url, process
        finally:
            process.terminate()
            process.wait(10)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the page did not start: {log.read_text()}")
