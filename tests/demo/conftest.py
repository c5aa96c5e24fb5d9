"""The page, served from a folder of tiny models by ``app.py`` in a process of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from filelock import FileLock

from benchmarks.tools.serving import serving

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(
    str(ROOT / "tests" / "textclf")
)  # tiny_weights makes its tokenizer as the tests of textclf do

from tiny_weights import write_weights  # noqa: E402


@pytest.fixture(scope="session")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written once, by the worker that needs it first."""
    shared = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else None
    folder = (shared or tmp_path_factory.getbasetemp()) / "weights"
    with FileLock(f"{folder}.lock"):
        return folder if folder.exists() else write_weights(folder)


@pytest.fixture
def in_weights(weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, for tests in this process."""
    monkeypatch.setenv("WEIGHTS_DIR", str(weights_dir))
    return weights_dir


@pytest.fixture(scope="session")
def server(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the page. Nothing that the tests do may leave a traceback in its log."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with serving(log, WEIGHTS_DIR=str(weights_dir)) as server:
        yield server.url
    assert "Error launching" not in log.read_text()
    left = log.read_text().split("Traceback")[1:]
    # Gradio itself prints that it refused a path on the server, which is what one test asks for.
    assert all("InvalidPathError" in trace for trace in left), left


@pytest.fixture(scope="session")
def client(server: str) -> Any:
    """How a program asks the page."""
    from gradio_client import Client

    return Client(server, verbose=False)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from browsing import FLAGS, playwright

    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    with playwright.sync_playwright() as p:
        path = found or p.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("there is no browser on this machine")
        browser = p.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


# What Gradio says when a page is left for another while something is under way.
ABORTED = ("AbortError: signal is aborted", "AbortError: BodyStreamBuffer was aborted")
FAREWELL = (*ABORTED, "Unexpected error Connection errored out")


@pytest.fixture
def visit(browser: Any, server: str) -> Iterator[Callable[..., Any]]:
    """Open the page, with a query or without; a request to anywhere else or an error in the page fails the test.

    ``ready`` is what to wait for, in JavaScript; ``script`` runs in the page before its own.
    """
    from browsing import DESKTOP, LISTEN, PATIENCE

    contexts, wrong = [], []
    first_strip = "document.querySelector('.strip')?.src.startsWith('data:')"

    def check(url: str) -> None:
        if urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname != "127.0.0.1":
            wrong.append(url)

    def open_page(
        query: str = "?tab=shapes2d",
        size: tuple[int, int] = DESKTOP,
        ready: str = first_strip,
        script: str = "",
        **how: Any,
    ) -> Any:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.add_init_script(LISTEN + script)
        page.on("request", lambda request: check(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.goto(server + query)
        page.wait_for_function(ready)
        return page

    yield open_page
    for context in contexts:
        context.close()
    if any(text.startswith(ABORTED) for text in wrong):
        wrong = [text for text in wrong if not text.startswith(FAREWELL)]
    assert not wrong
