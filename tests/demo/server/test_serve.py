"""How the page is served: headers, closed doors, health, one load a model, and a clean end."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browsing import PATIENCE
from tiny_weights import MODEL, SOLID, TINY_TEXT

import demo.models.registry
from benchmarks.tools.serving import ROOT, serving
from demo import __version__
from demo.models.registry import Loaded, Models
from demo.server.serve import HEADERS


def ask(server: str, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case and body. As it stands: no client tidies the path up."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=20)
    connection.request(method, f"/{path}")
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def health(server: str) -> Any:
    return json.loads(ask(server, "healthz")[2])


@pytest.mark.parametrize(
    "path",
    ["", "healthz", "config", "theme.css", "gradio_api/info", "gradio_api/file=/etc/passwd", "no-such"],
)
def test_headers_on_every_answer(server: str, path: str) -> None:
    _, headers, _ = ask(server, path)
    assert {name: headers.get(name.lower()) for name in HEADERS} == HEADERS


def test_no_host_but_our_own_is_in_the_policy_except_who_may_embed_the_page() -> None:
    *rules, embedding = HEADERS["Content-Security-Policy"].split("; ")
    assert not any("//" in rule or "*" in rule for rule in rules)
    assert embedding == "frame-ancestors 'self' https://huggingface.co https://*.hf.space"


def test_health_becomes_ready_and_names_the_models_in_memory(server: str) -> None:
    deadline = time.monotonic() + 60
    while not health(server)["ready"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    found = health(server)
    assert (found["status"], found["version"]) == ("ok", __version__)
    assert {MODEL, SOLID, TINY_TEXT} <= set(found["models"])
    assert any(name.startswith("cnn-") for name in found["models"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "monitoring"),
        ("GET", "monitoring/summary"),
        ("GET", "gradio_api/dev/reload"),
        ("GET", "gradio_api/vibe-code"),
        ("POST", "gradio_api/vibe-edit"),
        ("POST", "gradio_api/process_recording"),
        ("GET", "gradio_api/deep_link?session_hash=a"),
        ("GET", "gradio_api/runs"),
        ("GET", "gradio_api/proxy=https://example.com"),
    ],
)
def test_closed_doors(server: str, method: str, path: str) -> None:
    assert ask(server, path, method)[0] == 404


UP = "../" * 12


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=%2Fetc%2Fpasswd",
        f"gradio_api/file={ROOT}/README.md",
        "gradio_api/file=README.md",
        "gradio_api/file=app.py",
        f"gradio_api/file={UP}etc/passwd",
        "gradio_api/file=http://127.0.0.1:1/",
        "gradio_api/file/etc/passwd",
        f"assets/{UP}etc/passwd",
        f"static/{UP}etc/passwd",
        f"static/{UP.replace('/', '%2f')}etc/passwd",
        f"svelte/{UP}etc/passwd",
        f"gradio_api/upload_progress?upload_id={UP}etc/passwd",
        f"?deep_link={UP}etc/passwd",
    ],
)
def test_no_file_of_the_server_is_given(server: str, path: str) -> None:
    status, _, body = ask(server, path)
    assert path.startswith(("?", "gradio_api/upload_progress")) or 400 <= status < 500
    assert b"root:" not in body
    assert b"# Neural representations" not in body
    assert b"import" not in body or path.startswith("?")


def test_nothing_says_where_the_server_lives(server: str, weights_dir: Path) -> None:
    for path in ("", "config", "gradio_api/info", "gradio_api/openapi.json", "openapi.json", "manifest.json"):
        body = ask(server, path)[2].decode()
        assert not [place for place in (ROOT, Path.home(), weights_dir, sys.prefix) if f"{place}/" in body], (
            path
        )


def test_what_is_uploaded_is_never_shown_as_a_page(server: str) -> None:
    script = b"<script>alert(1)</script>"
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="../../a.html"\r\n\r\n%s\r\n--x--\r\n'
        % script
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(f"{server}gradio_api/upload", body, kind)
    (path,) = json.load(urllib.request.urlopen(request))
    assert path.endswith("/a.html")
    assert ".." not in path
    status, headers, found = ask(server, f"gradio_api/file={path}")
    assert (status, found) == (200, script)
    assert headers["content-disposition"].startswith("attachment")


def test_the_policy_stops_a_request_to_anywhere_else(browser: Any, server: str) -> None:
    page = browser.new_page()
    page.goto(server)
    elsewhere = server.replace("127.0.0.1", "localhost")  # the same machine, another origin
    asking = "url => fetch(url).then(() => 'answered', () => 'refused')"
    page.evaluate("window.stopped = []")
    page.evaluate("addEventListener('securitypolicyviolation', e => stopped.push(e.blockedURI))")
    assert page.evaluate(asking, f"{server}healthz") == "answered"
    assert page.evaluate(asking, f"{elsewhere}healthz") == "refused"
    page.evaluate("url => { new Image().src = url }", f"{elsewhere}favicon.ico")
    page.wait_for_function("stopped.length === 2", timeout=PATIENCE)
    assert all(url.startswith(elsewhere) for url in page.evaluate("stopped"))
    page.close()


# Models ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def loads(in_weights: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names in the order of their loads, each of which takes a while."""
    asked: list[str] = []
    load = demo.models.registry._load

    def slowly(name: str, place: str | Path) -> Loaded:
        asked.append(name)
        time.sleep(0.3)
        return load(name, place)

    monkeypatch.setattr(demo.models.registry, "_load", slowly)
    return asked


def test_two_at_once_load_a_model_once(loads: list[str]) -> None:
    models = Models()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(models.get, [MODEL] * 4))
    assert loads == [MODEL] == models.loaded()
    assert all(loaded is found[0] for loaded in found)


def test_a_slow_load_holds_up_nobody_who_asks_for_another_model(loads: list[str]) -> None:
    models = Models()
    models.get(SOLID, "shape")
    slow = threading.Thread(target=models.get, args=(MODEL,))
    slow.start()
    while MODEL not in loads:
        time.sleep(0.01)
    models.get(SOLID, "shape")
    assert models.loaded() == [SOLID]
    slow.join()
    assert models.loaded() == sorted([MODEL, SOLID])


# The process ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_ends_cleanly_while_models_are_loading(
    weights_dir: Path, tmp_path: Path, number: signal.Signals
) -> None:
    log = tmp_path / "log.txt"
    with serving(log, WEIGHTS_DIR=str(weights_dir)) as (_, process):
        process.send_signal(number)
        assert process.wait(8) == 0
    assert "Running on local URL" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_port_that_is_taken_is_one_line(weights_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, str(ROOT / "app.py"), "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 2
    assert done.stderr == f"port {port} of 127.0.0.1 is taken: leave --port out to take the first free one\n"


# MCP ------------------------------------------------------------------------------------------------------------------


def test_tools_are_the_endpoints(server: str) -> None:
    pytest.importorskip("mcp")
    tools = json.loads(ask(server, "gradio_api/mcp/schema")[2])
    endpoints = json.loads(ask(server, "gradio_api/info")[2])["named_endpoints"]
    assert {f"/{tool['name']}" for tool in tools} == set(endpoints)
    for tool in tools:
        asked = [parameter["parameter_name"] for parameter in endpoints[f"/{tool['name']}"]["parameters"]]
        assert list(tool["inputSchema"]["properties"]) == asked
        assert tool["description"]
