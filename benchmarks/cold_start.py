"""Claim: the page can be used 8 seconds after its command, and takes less than 1 GB of memory when nobody visits.

    python -m benchmarks.cold_start

One model, that of the tab that is opened, beside the plain one it is compared with: from the start of the process
until a real browser shows what the model made of the first drawing. On a machine with other work the seconds of the
processor say more than those of the clock. Then the server's resident memory, with these and with all shipped models.
"""

from __future__ import annotations

import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks.claims.cold_start import COLUMNS, EVERY, ONE
from benchmarks.load import used
from benchmarks.screenshots import FLAGS
from benchmarks.serving import ROOT, Server, serving
from benchmarks.tables import markdown, write
from training.command import command
from training.measure import commit, machine

FIRST = ("affinevae-mnist", "vae-mnist")
VIEW = "document.querySelector('#shapes2d-bench .strip')?.src.startsWith('data:')"
SLOWEST = 300.0  # seconds of a start, on a machine that is busy
SETTLE = 5.0  # seconds without a request


@dataclass(frozen=True)
class ColdStart:
    """Start the page, and look at it.

    Args:
        runs: starts with one model; the median is kept, and every one of them.
        output: results.
    """

    runs: int = 3
    output: Path = Path("benchmarks/results/cold_start.json")


def first_view(browser: Any, folder: Path) -> dict[str, float]:
    """One start with one model: until it can be used, and its memory when all is quiet."""
    started = time.perf_counter()
    weights = str(folder / "weights")
    with serving(folder / "log.txt", patience=SLOWEST, WEIGHTS_DIR=weights) as server:
        page = browser.new_page()
        page.set_default_timeout(1000 * SLOWEST)
        page.goto(f"{server.url}?tab=shapes2d")
        page.wait_for_function(VIEW)
        seconds, spent = time.perf_counter() - started, used(server)["cpu_seconds"]
        page.close()
        return {"seconds": seconds, "cpu_seconds": spent, "idle_mb": idle(server)}


def idle(server: Server) -> float:
    """Resident megabytes once the first models are loaded and nothing happens."""
    while not server.is_ready():
        time.sleep(0.5)
    time.sleep(SETTLE)
    return used(server)["memory_mb"]


def all_models(folder: Path) -> dict[str, float]:
    """Memory with every shipped model loaded, as listing them does."""
    with serving(folder / "log.txt", ready=True, patience=SLOWEST) as server:
        asked = httpx.post(f"{server.url}gradio_api/call/list_models", json={"data": []}, timeout=SLOWEST)
        asked.raise_for_status()
        address = f"{server.url}gradio_api/call/list_models/{asked.json()['event_id']}"
        httpx.get(address, timeout=SLOWEST).raise_for_status()
        return {"cpu_seconds": used(server)["cpu_seconds"], "idle_mb": idle(server)}


def starts(folder: Path, runs: int) -> list[dict[str, float]]:
    """Several starts; the first of them fills the caches of the disk."""
    from playwright.sync_api import sync_playwright

    for name in FIRST:
        shutil.copytree(ROOT / "weights" / name, folder / "weights" / name)
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=found, args=FLAGS)
        return [first_view(browser, folder) for _ in range(runs)]


def run(options: ColdStart) -> None:
    """Measure, print, keep."""
    with TemporaryDirectory() as place:
        every = starts(Path(place), options.runs)
        full = all_models(Path(place))
    middle = {key: statistics.median(one[key] for one in every) for key in every[0]}
    rows: dict[str, dict[str, Any]] = {ONE: middle, EVERY: full}
    markdown(rows, COLUMNS)
    facts = {"n": options.runs, "machine": machine(), "commit": commit(), "models": list(FIRST)}
    write(options.output, {**facts, "rows": rows, "runs": every})


if __name__ == "__main__":
    command(ColdStart, run)
