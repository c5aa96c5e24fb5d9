"""Take the pictures of the page that the README shows: every tab, on a desktop and on a phone.

python -m benchmarks.tools.screenshots

Needs a Chromium or Chrome. Starts the page itself, with the shipped weights and on the loopback only.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.tools.serving import ROOT, serving
from training.command import command

PATIENCE = 60_000  # milliseconds
# What to wait for in each tab: its slowest part.
READY = {
    "start": "document.querySelectorAll('.card.filled').length === 4",
    "shapes2d": "document.querySelector('#shapes2d-turning .trace') && document.querySelector('.film img')",
    "shapes3d": "document.querySelector('#shapes3d-walk img')?.src.startsWith('data:')",
    "classify": "document.querySelector('#classify-costs')?.innerText.includes(' ms')",
    "text": "document.querySelector('#text-costs')?.innerText.includes(' ms')",
    "evidence": "document.querySelectorAll('#evidence-evidence .mark').length > 3",
    "yourown": "document.querySelector('#yourown-train li') && document.querySelector('#yourown-open dl')",
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


def run(options: Screenshots) -> None:
    """Write the pictures."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    with TemporaryDirectory() as folder, serving(Path(folder) / "log.txt") as server, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=found, args=FLAGS)
        for tab in options.tabs:
            for suffix, (width, height) in SIZES.items():
                page = browser.new_page(viewport={"width": width, "height": height})
                page.set_default_timeout(PATIENCE)
                take(
                    page,
                    f"{server.url}?tab={tab}",
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
