"""A Hugging Face Hub on the loopback, as much of one as the real client needs to download models."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_HEAD(self) -> None:
        self._resolve(body=False)

    def do_GET(self) -> None:
        self._resolve(body=True)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def _resolve(self, body: bool) -> None:
        hub = self.server
        hub.requests.append(f"{self.command} {self.path}")
        time.sleep(hub.delay)
        match = RESOLVE.fullmatch(self.path)
        repo = hub.repos.get(match[1]) if match else None
        if hub.status != 200:
            self._answer(hub.status, {})
        elif match is None or repo is None:
            self._answer(404, {"X-Error-Code": "RepoNotFound"})
        elif (commit := repo.refs.get(match[2], match[2])) not in repo.commits:
            self._answer(404, {"X-Error-Code": "RevisionNotFound"})
        elif (content := repo.commits[commit].get(match[3])) is None:
            self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            sent = content[: len(content) // 2] if body and hub.truncate else content
            self._answer(200, {"X-Repo-Commit": commit, "ETag": etag}, sent, body)

    def _answer(self, status: int, headers: dict[str, str], content: bytes = b"", body: bool = False) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


@dataclass
class Repo:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)


class FakeHub(ThreadingHTTPServer):
    """Knobs: ``status`` other than 200 for everything, ``delay`` in seconds, ``truncate`` for half a body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.requests: list[str] = []
        self.status, self.delay, self.truncate = 200, 0.0, False
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def push(self, repo: str, folder: Path, ref: str = "main") -> str:
        """Make the files of a folder a new commit of ``repo``; its hash."""
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        stored = self.repos.setdefault(repo, Repo())
        stored.commits[commit] = files
        stored.refs[ref] = commit
        return commit

    def stop(self) -> None:
        """Refuse connections; without close_session a pooled one would still be served."""
        self.shutdown()
        self.server_close()
        huggingface_hub.close_session()


@pytest.fixture
def fake_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub with nothing on it, and an empty cache."""
    hub = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    yield hub
    hub.stop()
