"""Take the pictures of the page that the README shows: every tab, on a desktop and on a phone.

python -m benchmarks.screenshots

Needs a Chromium or Chrome. Starts the page itself, with the shipped weights and on the loopback only.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.command import command

ROOT = Path(__file__).parent.parent
PATIENCE = 60_000  # milliseconds
# What to wait for in each tab: its slowest part.
READY = {
    "start": "document.querySelectorAll('.card.filled').length === 4",
    "shapes2d": "document.querySelector('#shapes2d-turning .trace') && document.querySelector('.film img')",
    "shapes3d": "document.querySelector('#shapes3d-walk img')?.src.startsWith('data:')",
    "classify": "document.querySelector('#classify-costs')?.innerText.includes(' ms')",
    "text": "document.querySelector('#text-costs')?.innerText.includes(' ms')",
}
SIZES = {"": (1280, 900), "_phone": (390, 844)}
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@dataclass(frozen=True)
class Screenshots:
    """Pictures of the page.

    Args:
        tabs: which.
        output: folder for ``TAB.png`` and ``TAB_phone.png``.
        settle: milliseconds to wait once a tab is ready, for its 3D views to be drawn.
    """

    tabs: tuple[str, ...] = tuple(READY)
    output: Path = ROOT / "docs"
    settle: int = 4000


@contextmanager
def served() -> Iterator[str]:
    """Address of the page, while it runs in a child process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(ROOT / "app.py"), "--port", str(port)], cwd=ROOT)
    try:
        yield ready(f"http://127.0.0.1:{port}/", process)
    finally:
        process.terminate()
        process.wait(30)


def ready(url: str, process: subprocess.Popen[bytes], seconds: float = 90) -> str:
    """The address, once it answers; ``RuntimeError`` if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}healthz", timeout=5).close()
            return url
        except OSError:
            time.sleep(0.3)
    raise RuntimeError("the page did not start")


def run(options: Screenshots) -> None:
    """Write the pictures."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    with served() as url, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=found, args=FLAGS)
        for tab in options.tabs:
            for suffix, (width, height) in SIZES.items():
                page = browser.new_page(viewport={"width": width, "height": height})
                page.set_default_timeout(PATIENCE)
                take(
                    page,
                    f"{url}?tab={tab}",
                    READY[tab],
                    options.settle,
                    options.output / f"{tab}{suffix}.png",
                )
                page.close()


def take(page: Any, url: str, ready: str, settle: int, path: Path) -> None:
    """One picture of the first screen."""
    page.goto(url)
    page.wait_for_function(ready)
    page.wait_for_timeout(settle)
    page.screenshot(path=path)


if __name__ == "__main__":
    command(Screenshots, run)
