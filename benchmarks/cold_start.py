"""Claim: the page can be used within 8 seconds of its command, and takes less than 1 GB when nobody visits.

    python -m benchmarks.cold_start
    python -m benchmarks.cold_start --install True

One model, that of the tab that is opened, beside the plain one it is compared with: from the start of the process
until a real browser shows what the model made of the first drawing. On a machine with other work the seconds of the
processor say more than those of the clock. And the server's resident memory at rest, with these, with those that a
page with the shipped models starts with, and with all of them.
``--install`` times the README's installation of the page instead, in a fresh environment.
"""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import subprocess
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks.claims.cold_start import COLUMNS, EVERY, INSTALL, ONE, SHIPPED
from benchmarks.load import used
from benchmarks.tools.screenshots import FLAGS
from benchmarks.tools.serving import ROOT, Server, serving
from benchmarks.tools.tables import markdown, write
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
        install: instead of starts, an installation; what was measured of starts is kept beside it.
        output: results.
    """

    runs: int = 3
    install: bool = False
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


def shipped_models(folder: Path) -> dict[str, dict[str, float]]:
    """Memory with the models in ``weights/``: those that the tabs open with, then all, as listing them does."""
    with serving(folder / "log.txt", patience=SLOWEST) as server:
        first = {"idle_mb": idle(server), "cpu_seconds": used(server)["cpu_seconds"]}
        asked = httpx.post(f"{server.url}gradio_api/call/list_models", json={"data": []}, timeout=SLOWEST)
        asked.raise_for_status()
        address = f"{server.url}gradio_api/call/list_models/{asked.json()['event_id']}"
        httpx.get(address, timeout=SLOWEST).raise_for_status()
        return {SHIPPED: first, EVERY: {"idle_mb": idle(server), "cpu_seconds": used(server)["cpu_seconds"]}}


def starts(folder: Path, runs: int) -> list[dict[str, float]]:
    """Several starts; the first of them fills the caches of the disk."""
    from playwright.sync_api import sync_playwright

    for name in FIRST:
        shutil.copytree(ROOT / "weights" / name, folder / "weights" / name)
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=found, args=FLAGS)
        return [first_view(browser, folder) for _ in range(runs)]


def installed(folder: Path) -> dict[str, float]:
    """What the page needs, into a fresh environment: seconds, of the clock and of processors, and megabytes on disk."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(ROOT / "requirements.txt")], check=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
    return {"seconds": seconds, "cpu_seconds": spent, "disk_mb": size / 1e6}


def run(options: ColdStart) -> None:
    """Measure, print, keep."""
    kept = json.loads(options.output.read_text()) if options.output.is_file() else {}
    facts = {"machine": machine(), "commit": commit()}
    with TemporaryDirectory() as place:
        if options.install:
            kept["install"] = {**facts, **installed(Path(place))}
            markdown({"installation": kept["install"]}, INSTALL)
        else:
            every = starts(Path(place), options.runs)
            middle = {key: statistics.median(one[key] for one in every) for key in every[0]}
            rows: dict[str, dict[str, Any]] = {ONE: middle, **shipped_models(Path(place))}
            markdown(rows, COLUMNS)
            kept |= {**facts, "n": options.runs, "models": list(FIRST), "rows": rows, "runs": every}
    write(options.output, kept)


if __name__ == "__main__":
    command(ColdStart, run)
