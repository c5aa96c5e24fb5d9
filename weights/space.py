"""The page as a Space of the Hugging Face Hub: a folder with what it needs and nothing else, tried, and one commit.

On the Hub a free account may have two Gradio Spaces on ZeroGPU; other machines want a paid plan (HTTP 402).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    SpaceHardware,
    constants,
    get_token,
)
from huggingface_hub.errors import HfHubHTTPError

from weights.checkpoint import CARD, WeightsError
from weights.pretrained import REPO
from weights.push import TOKEN, reason

ROOT = Path(__file__).resolve().parents[1]
ZERO, CPU = "zero-a10g", "cpu-basic"
HARDWARE = (ZERO, CPU)
PACKAGES = ("affinevae", "benchmarks", "classifiers", "demo", "textclf", "training", "weights")
FILES = ("app.py", "requirements.txt", "LICENSE")
LEFT_OUT = ("__pycache__", ".*", "*.pyc")
# What ZeroGPU runs is of torch 2.11 at most (Spaces ZeroGPU in the Hub's documentation, December 2026).
TORCH = {ZERO: "torch>=2.8,<2.12"}
KEPT = (".gitattributes",)  # of the Hub's own
PATIENCE = 600.0  # seconds until the page has started, of which a first import may take most
PAYMENT = "a free account may have two Gradio Spaces, on ZeroGPU: leave --hardware out, delete one, or take a paid plan"


# The folder -----------------------------------------------------------------------------------------------------------


def build(folder: Path, hardware: str = ZERO, root: Path = ROOT) -> Path:
    """Write exactly what is pushed into a new folder.

    Raises:
        WeightsError: the folder is not empty, or ``root`` is an installed package rather than the repository.
    """
    if hardware not in HARDWARE:
        raise WeightsError(f"the hardware must be one of {', '.join(HARDWARE)}, not {hardware!r:.40}")
    if not (root / "app.py").is_file():
        raise WeightsError(f"{root} holds no app.py: run this in a copy of the repository")
    if folder.exists() and any(folder.iterdir()):
        raise WeightsError(f"{folder} is not empty: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for name in FILES:
        shutil.copy(root / name, folder / name)
    (folder / CARD).write_text(_card((root / CARD).read_text(encoding="utf-8"), hardware), encoding="utf-8")
    if hardware in TORCH:
        path = folder / "requirements.txt"
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("".join(f"{_torch(line, hardware)}\n" for line in lines), encoding="utf-8")
    return folder


def _card(readme: str, hardware: str) -> str:
    """The front matter, which is the Space's settings, and a line; pictures of the README stay where they are."""
    found = re.match(r"---\n(.*?)\n---\n", readme, re.DOTALL)
    if found is None:
        raise WeightsError(f"{CARD} has no front matter, which says how a Space is run")
    settings = re.sub(r"(?m)^suggested_hardware: .*$", f"suggested_hardware: {hardware}", found[1])
    words = dict(re.findall(r"(?m)^(title|short_description): (.+)$", settings))
    return f"---\n{settings}\n---\n\n# {words.get('title', '')}\n\n{words.get('short_description', '')}.\n"


def _torch(line: str, hardware: str) -> str:
    return TORCH[hardware] if re.match(r"torch\b[^-]", line) else line


# Trying it ------------------------------------------------------------------------------------------------------------


def check(folder: Path, python: str | None = None) -> list[str]:
    """Start a built folder by itself and ask each endpoint once; their names.

    Args:
        python: an interpreter that has the requirements; None for a fresh environment, into which they are installed.

    Raises:
        WeightsError: it cannot be installed or does not start, or an endpoint does not answer.
    """
    with tempfile.TemporaryDirectory() as place:
        python = python or _fresh(folder, Path(place))
        with _running(folder, python, Path(place) / "log.txt") as url:
            endpoints = _get(url, "gradio_api/info")["named_endpoints"]
            return [_ask(url, name, about) for name, about in endpoints.items()]


def _fresh(folder: Path, place: Path) -> str:
    venv.create(place / "fresh", with_pip=True)
    python = place / "fresh" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "-r", folder / "requirements.txt"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise WeightsError(
            f"requirements.txt cannot be installed: {done.stderr.strip().splitlines()[-1]:.200}"
        )
    return str(python)


@contextmanager
def _running(folder: Path, python: str, log: Path) -> Iterator[str]:
    """The address of the page, run from its folder and nothing else of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "WEIGHTS_DIR")}
    with log.open("w") as out:
        process = subprocess.Popen(
            [python, "app.py", "--port", str(port)], cwd=folder, stdout=out, stderr=subprocess.STDOUT,
            env=clean | {"HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + PATIENCE
        while not _is_ready(url):
            if process.poll() is not None or time.monotonic() > deadline:
                last = (log.read_text(errors="replace").strip().splitlines() or ["no word"])[-1]
                raise WeightsError(f"the page in {folder} does not start: {last:.200}")
            time.sleep(0.3)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(url: str) -> bool:
    try:
        return bool(_get(url, "healthz")["ready"])
    except OSError:
        return False


def _get(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}{path}", timeout=60) as answer:
        return json.load(answer)


def _post(url: str, path: str, body: bytes, kind: str) -> Any:
    request = urllib.request.Request(f"{url}{path}", body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _ask(url: str, name: str, about: dict[str, Any]) -> str:
    """Ask an endpoint with its own defaults, and a small thing where it has none."""
    values: list[Any] = []
    for parameter in about["parameters"]:
        label = parameter["parameter_name"]
        values.append(
            parameter["parameter_default"]
            if parameter.get("parameter_has_default")
            else _example(url, name, label)
        )
    body = json.dumps({"data": values}).encode()
    try:
        event = _post(url, f"gradio_api/call{name}", body, "application/json")["event_id"]
        with urllib.request.urlopen(f"{url}gradio_api/call{name}/{event}", timeout=60) as answer:
            said = answer.read().decode()
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
    if "event: complete" not in said:
        raise WeightsError(f"the endpoint {name} does not answer: {said.strip()[-200:]}")
    return name


def _example(url: str, endpoint: str, label: str) -> Any:
    """What an endpoint is asked with: a picture, an object, a text, a model that it can use, a code of that."""
    if label in ("image", "shape"):
        return _upload(url, *(("a.png", _png()) if label == "image" else ("a.obj", _obj())))
    if label == "text":
        return "A good film."
    kind = next(kind for word, kind in _KINDS.items() if word in endpoint)
    models = [model for model in _call_list(url) if model["kind"] == kind]
    if not models:
        raise WeightsError(f"there is no model in weights/ for the endpoint {endpoint}")
    return models[0]["name"] if label == "model" else [0.0] * int(models[0]["latent_dim"])


_KINDS = {"classify_image": "classifier", "text": "text", "image": "image", "shape": "shape"}


def _call_list(url: str) -> list[dict[str, Any]]:
    event = _post(url, "gradio_api/call/list_models", b'{"data": []}', "application/json")["event_id"]
    with urllib.request.urlopen(f"{url}gradio_api/call/list_models/{event}", timeout=60) as answer:
        data = next(line for line in answer.read().decode().splitlines() if line.startswith("data: ["))
    found: list[dict[str, Any]] = json.loads(data.removeprefix("data: "))[0]
    return found


def _upload(url: str, name: str, content: bytes) -> dict[str, Any]:
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    form = head.encode() + content + b"\r\n--x--\r\n"
    path = _post(url, "gradio_api/upload", form, "multipart/form-data; boundary=x")[0]
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def _png() -> bytes:
    """A white square on black, 28 pixels a side."""
    rows = [bytes(255 if 8 < x < 20 and 6 < y < 22 else 0 for x in range(28)) for y in range(28)]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    head = struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _obj() -> bytes:
    """A tetrahedron."""
    return b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


# The Hub --------------------------------------------------------------------------------------------------------------


class Made(NamedTuple):
    """A commit of a Space: its address, and where the page will be."""

    commit: str
    page: str


def push(
    folder: Path, repo: str, hardware: str = ZERO, private: bool = True, token: str | None = None
) -> Made:
    """Send a built folder to a Space in one commit; what the Space holds otherwise goes.

    Args:
        repo: ``owner/name``; made if there is none.
        private: a Space that is made is for its owner only.
        token: of the Hub, that may write; None: the one in ``HF_TOKEN``, or that ``hf auth login`` stored.

    Raises:
        WeightsError: the Hub cannot be reached or refuses; nothing was sent.
    """
    if not REPO.fullmatch(repo):
        raise WeightsError(f"{repo!r:.80} is no repository: write owner/name")
    token = token or get_token()
    if not token:
        raise WeightsError(f"{TOKEN} is not set and nobody is logged in: put a token of the Hub that may write to "
                           f"{repo} into it, or run `hf auth login`")  # fmt: skip
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    api = HfApi(constants.ENDPOINT, token=token)
    try:
        api.create_repo(
            repo,
            repo_type="space",
            space_sdk="gradio",
            space_hardware=SpaceHardware(hardware),
            private=private,
            exist_ok=True,
        )
        there = api.list_repo_files(repo, repo_type="space")
        commit = api.create_commit(
            repo,
            [
                *(CommitOperationAdd(name, folder / name) for name in names),
                *(CommitOperationDelete(name) for name in sorted({*there} - {*names, *KEPT})),
            ],
            commit_message=f"The page, {len(names)} files",
            repo_type="space",
        )
    except HfHubHTTPError as error:
        paid = error.response.status_code == 402
        raise WeightsError(f"{repo} was not written: {PAYMENT if paid else reason(error)}") from error
    except Exception as error:  # the client, its HTTP library and hf_xet raise what they like
        raise WeightsError(f"{repo} was not written: {reason(error)}") from error
    return Made(commit.commit_url, f"{constants.ENDPOINT}/spaces/{repo}")


def run(repo: str | None, hardware: str, output: Path | None, tried: bool, private: bool) -> int:
    """``python -m weights space``: build, try if asked to, and push if a repository is named."""
    with tempfile.TemporaryDirectory() as place:
        folder = build(output or Path(place) / "space", hardware)
        files = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        print(f"{folder}: {len(files)} files, {size / 1e6:.1f} MB, for {hardware}", file=sys.stderr)
        if tried:
            print(f"answered: {', '.join(check(folder))}", file=sys.stderr)
        if repo is not None:
            print("\n".join(push(folder, repo, hardware, private)))
    return 0
