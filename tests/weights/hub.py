"""A Hugging Face Hub on the loopback, as much of one as the real client needs to move models."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
ABOUT = re.compile(
    r"/api/(?:models|spaces)/([^/]+/[^/]+)(?:/(revision|tree|preupload|commit|branch)/([^/?]+))?(?:\?.*)?"
)
BATCH = re.compile(r"/(?:spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch")
TOKEN = "hf_that_may_write"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_HEAD(self) -> None:
        self._open(self._resolve)

    def do_GET(self) -> None:
        self._open(self._about if self.path.startswith("/api/") else self._resolve)

    def do_POST(self) -> None:
        self._open(self._written)

    def do_PUT(self) -> None:
        self._open(self._stored)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    # What may go wrong with every request ---------------------------------------------------------------------------

    def _open(self, answer: Callable[[], None]) -> None:
        hub = self.server
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        hub.requests.append(f"{self.command} {self.path}")
        time.sleep(hub.delay)
        if hub.stall and hub.stall in self.path and self.command in ("POST", "PUT"):
            self._wait_to_go_on()
        elif hub.hang_up and hub.hang_up in self.path:
            self.close_connection = True
        elif hub.status != 200 and hub.status_at in self.path:
            self._answer(hub.status, {})
        elif self.command == "POST" and (refused := self._refused()):
            self._answer(refused, {})
        else:
            answer()

    def _refused(self) -> int:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401
        return 403 if self.server.read_only else 0

    def _answer(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and self.server.stall and self.server.stall in self.path:
            self.wfile.write(content[: len(content) // 2])
            self._wait_to_go_on()
        elif self.command != "HEAD":
            self.wfile.write(content)

    def _wait_to_go_on(self) -> None:
        self.wfile.flush()
        self.server.stalled.set()
        self.server.go_on.wait(120)
        self.close_connection = True

    def _json(self, value: object, status: int = 200) -> None:
        self._answer(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _missing(self, what: str, **headers: str) -> None:
        self._answer(404, {"X-Error-Code": what, **headers})

    # Reading --------------------------------------------------------------------------------------------------------

    def _resolve(self) -> None:
        match = RESOLVE.fullmatch(self.path)
        repo = self.server.repos.get(match[1]) if match else None
        if match is None or repo is None:
            self._missing("RepoNotFound")
        elif repo.gated:
            self._answer(403, {"X-Error-Code": "GatedRepo"})
        elif (commit := repo.refs.get(match[2], match[2])) not in repo.commits:
            self._missing("RevisionNotFound")
        elif (content := repo.commits[commit].get(match[3])) is None:
            self._missing("EntryNotFound", **{"X-Repo-Commit": commit})
        else:
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            if self.server.truncate and self.command == "GET":
                content = content[: len(content) // 2]
            self._answer(200, {"X-Repo-Commit": commit, "ETag": etag}, content)

    def _about(self) -> None:
        match = ABOUT.fullmatch(self.path)
        repo = self.server.repos.get(match[1]) if match else None
        if match is None or repo is None:
            return self._missing("RepoNotFound")
        commit = repo.refs.get(match[3] or "main", match[3] or "main")
        if match[2] != "tree":
            return self._json({"id": match[1], "sha": commit, "private": repo.private, "siblings": []})
        files = repo.commits[commit].items()
        self._json([{"type": "file", "path": n, "size": len(c), "oid": "0" * 40} for n, c in files])

    # Writing --------------------------------------------------------------------------------------------------------

    def _written(self) -> None:
        if self.path == "/api/repos/create":
            return self._create()
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if match := BATCH.fullmatch(self.path):
            return self._json({"objects": [self._slot(o) for o in json.loads(self.body)["objects"]]})
        match = ABOUT.fullmatch(self.path)
        repo = self.server.repos.get(match[1]) if match else None
        if match is None or repo is None:
            return self._missing("RepoNotFound")
        {"preupload": self._preupload, "branch": self._branch, "commit": self._commit}[match[2]](repo, match)

    def _create(self) -> None:
        asked = json.loads(self.body)
        if asked.get("type") == "space" and asked.get("hardware") not in self.server.free_hardware:
            return self._json({"error": "Payment required"}, 402)
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.server.repos:
            return self._json(
                {"error": "You already created this repo", "url": f"{self.server.url}/{name}"}, 409
            )
        made = Repo(
            {EMPTY: {}}, {"main": EMPTY}, private=asked.get("visibility") == "private" or asked.get("private")
        )
        self.server.repos[name] = made
        self._json({"url": f"{self.server.url}/{name}", "name": name})

    def _slot(self, thing: dict[str, Any]) -> dict[str, Any]:
        return {**thing, "actions": {"upload": {"href": f"{self.server.url}/lfs/{thing['oid']}"}}}

    def _stored(self) -> None:
        self.server.large[self.path.rpartition("/")[2]] = self.body
        self._answer(200, {})

    def _branch(self, repo: Repo, match: re.Match[str]) -> None:
        if match[3] in repo.refs:
            return self._json({"error": "Reference already exists"}, 409)
        repo.refs[match[3]] = repo.refs["main"]
        self._json({})

    def _preupload(self, repo: Repo, match: re.Match[str]) -> None:
        names = [file["path"] for file in json.loads(self.body)["files"]]
        modes = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in names}
        self._json({"files": [{"path": n, "uploadMode": m, "shouldIgnore": False} for n, m in modes.items()]})

    def _commit(self, repo: Repo, match: re.Match[str]) -> None:
        files = dict(repo.commits[repo.refs[match[3]]])
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "header":
                repo.messages.append((value["summary"], value["description"]))
        as_pull = "create_pr=1" in self.path
        commit = repo.add(files, "refs/pr/1" if as_pull else match[3])
        address = f"{self.server.url}/{match[1]}"
        made = {"commitUrl": f"{address}/commit/{commit}", "commitOid": commit, "success": True}
        self._json({**made, "pullRequestUrl": f"{address}/discussions/1"} if as_pull else made)


EMPTY = "0" * 40


@dataclass
class Repo:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    messages: list[tuple[str, str]] = field(default_factory=list)

    def add(self, files: dict[str, bytes], ref: str) -> str:
        """Make the files a new commit of a branch; its hash."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[commit] = files
        self.refs[ref] = commit
        return commit


class FakeHub(ThreadingHTTPServer):
    """Who has ``TOKEN`` may write.

    Knobs: ``status`` other than 200 where ``status_at`` is in the path, ``delay`` in seconds, ``truncate`` for half a
    body, no answer at all where ``hang_up`` is in the path, ``read_only`` for tokens that may not write. Where
    ``stall`` is in the path, half a body is sent (of an upload nothing is kept), and no more until ``go_on``.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.requests: list[str] = []
        self.large: dict[str, bytes] = {}
        self.status, self.status_at, self.delay, self.truncate = 200, "", 0.0, False
        self.hang_up, self.read_only = "", False
        self.free_hardware = ("zero-a10g",)
        self.stall, self.stalled, self.go_on = "", threading.Event(), threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def push(self, repo: str, folder: Path, ref: str = "main") -> str:
        """Make the files of a folder a new commit of ``repo``; its hash."""
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        return self.repos.setdefault(repo, Repo()).add(files, ref)

    def files(self, repo: str, ref: str = "main") -> dict[str, bytes]:
        """What a branch holds."""
        return self.repos[repo].commits[self.repos[repo].refs[ref]]

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
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # plain LFS
    huggingface_hub.close_session()
    yield hub
    hub.stop()
