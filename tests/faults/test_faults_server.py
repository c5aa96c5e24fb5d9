"""The page among visitors who do harm: what they may not, what it answers, and that the others notice nothing."""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from disks import Disk
from tiny_weights import MODEL, TINY_TEXT, write_weights

from benchmarks.tools.serving import Server, serving
from demo.server import connections, turns

API = "gradio_api/"
KIND = 5.0  # seconds in which whoever does no harm is answered, on a machine that is busy with other tests


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def page(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page")
    places = {"WEIGHTS_DIR": str(weights), "GRADIO_TEMP_DIR": str(folder / "uploads")}
    with serving(folder / "log.txt", ready=True, **places) as server:
        yield server


@pytest.fixture
def http_client(page: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.url, timeout=60, trust_env=False) as client:
        yield client


def health(page: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{page.url}healthz", timeout=10, trust_env=False).json()
    return found


def memory(page: Server) -> float:
    """Megabytes of the page and its children."""
    parent = psutil.Process(page.process.pid)
    return sum(p.memory_info().rss for p in [parent, *parent.children(recursive=True)]) / 1e6


def ask(client: httpx.Client, endpoint: str, *values: Any, session: str = "kind") -> Any:
    """As a kind visitor does: ask, and read the answer."""
    body = {"data": values, "session_hash": session}
    started = client.post(f"{API}call/{endpoint}", json=body)
    started.raise_for_status()
    with client.stream("GET", f"{API}call/{endpoint}/{started.json()['event_id']}") as answer:
        event = ""
        for line in answer.iter_lines():
            kind, _, value = line.partition(": ")
            event = value if kind == "event" else event
            if kind == "data" and event in ("complete", "error"):
                return json.loads(value) if event == "complete" else {"refused": value}
    raise AssertionError("no answer")


def sample(client: httpx.Client, session: str = "kind") -> float:
    """Seconds that a small question takes."""
    start = time.monotonic()
    assert ask(client, "sample_image", MODEL, 1, session=session)[0]["seed"] == 1
    return time.monotonic() - start


def multipart(
    content: bytes, name: str = 'name="files"; filename="a.png"', end: bool = True
) -> dict[str, Any]:
    body = b"--x\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (name.encode(), content)
    return {
        "content": body + b"--x--\r\n" * end,
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    }


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def uploads(page: Server) -> Path:
    return Path(psutil.Process(page.process.pid).environ()["GRADIO_TEMP_DIR"])


def eventually(found: Any, seconds: float = 2 * turns.ABANDONED) -> bool:
    deadline = time.monotonic() + seconds
    while not (there := found()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return bool(there)


# 1: the queue ---------------------------------------------------------------------------------------------------------


def unread(client: httpx.Client, count: int, session: str | None = None) -> list[int]:
    """Questions whose answers nobody reads, of one session or of many; the status of each."""
    found = []
    for number in range(count):
        name = session or f"invented{number}"
        body = {"data": [MODEL, number], "session_hash": name}
        found.append(client.post(f"{API}call/sample_image", json=body).status_code)
    return found


def test_a_session_may_have_so_many_questions_open_and_no_more(http_client: httpx.Client) -> None:
    found = unread(http_client, turns.SESSION + 20, "greedy")
    assert found[: turns.SESSION - 1] == [200] * (turns.SESSION - 1)
    assert 503 in found
    assert sample(http_client) < KIND


def test_whoever_reads_is_answered_before_thousands_that_nobody_reads(http_client: httpx.Client) -> None:
    found = unread(http_client, turns.EACH + 50)
    assert set(found) <= {200, 503}
    times = [sample(http_client, f"kind{number}") for number in range(5)]
    assert sorted(times)[2] < KIND


def test_what_nobody_listens_for_ends_within_seconds(page: Server, http_client: httpx.Client) -> None:
    unread(http_client, 30)
    assert eventually(lambda: health(page)["used"]["questions"] == 0)


def test_a_table_that_nobody_reads_makes_room_for_another(page: Server, http_client: httpx.Client) -> None:
    config = http_client.get("config").json()
    trigger = next(
        d for d in config["dependencies"] if d["targets"][0][1] == "upload" and len(d["inputs"]) == 2
    )
    table = b"text\n" + b"word1 word2 word3 word4\n" * 60_000
    path = http_client.post(f"{API}upload", **multipart(table, 'name="files"; filename="t.csv"')).json()[0]
    data = [None, {"path": path, "meta": {"_type": "gradio.FileData"}}]
    body = {
        "data": data,
        "fn_index": trigger["id"],
        "trigger_id": trigger["targets"][0][0],
        "event_data": None,
    }
    for number in range(3):
        answer = http_client.post(f"{API}queue/join", json=body | {"session_hash": f"gone{number}"})
        assert answer.status_code == 200
    assert eventually(lambda: health(page)["used"]["questions"] == 0)


# 2, 3: ways in, and bodies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["api", "run"])
@pytest.mark.parametrize("name", ["classify_text", "sample_image", "open", "table"])
def test_nothing_is_answered_past_the_queue(door: str, name: str, http_client: httpx.Client) -> None:
    answer = http_client.post(f"{API}{door}/{name}", json={"data": [MODEL, 1]})
    assert answer.status_code == 404
    assert "call/NAME" in answer.json()["detail"]


def test_only_what_is_needed_of_a_text_is_tokenized(page: Server, http_client: httpx.Client) -> None:
    before = memory(page)
    with ThreadPoolExecutor(6) as pool:
        asked = [
            pool.submit(
                ask, http_client, "classify_text", "\u96fb" * 1_000_000, TINY_TEXT, "full", session=f"t{n}"
            )
            for n in range(6)
        ]
        found = [future.result()[0] for future in asked]
    assert all("probabilities" in answer for answer in found)
    assert memory(page) - before < 400


def endless(page: Server, path: str, kind: str, size: int, declared: bool) -> int:
    """The status that a body of so many bytes gets, sent until there is one; 0 where the page hangs up."""
    address, part = urlsplit(page.url), b" " * 65536
    length = f"Content-Length: {size}" if declared else "Transfer-Encoding: chunked"
    head = f"POST /{API}{path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {kind}\r\n{length}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=30) as line:
        try:
            line.sendall(head.encode())
            for _ in range(size // len(part)):
                if select.select([line], [], [], 0)[0]:
                    break
                line.sendall(part if declared else b"10000\r\n" + part + b"\r\n")
            return int(line.recv(64).split()[1])
        except (ConnectionError, IndexError):
            return 0


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("path", ["queue/join", "call/sample_image", "component_server", "cancel", "upload"])
def test_a_body_without_end_is_refused_before_it_is_read(
    path: str, declared: bool, page: Server, http_client: httpx.Client
) -> None:
    before = memory(page)
    kind = "multipart/form-data; boundary=x" if path == "upload" else "application/json"
    assert endless(page, path, kind, 3000 * 65536, declared) in (0, 400, 413)
    assert memory(page) - before < 60
    assert sample(http_client) < KIND


@pytest.mark.parametrize("body", [b"[" * 400_000, b'{"data":[' + b"1," * 400_000 + b"1]}"])
def test_json_of_a_million_parts_is_not_parsed(body: bytes, http_client: httpx.Client) -> None:
    answer = http_client.post(f"{API}queue/join", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "parts" in answer.json()["detail"]


def test_a_text_of_a_million_commas_is_a_text(http_client: httpx.Client) -> None:
    assert "probabilities" in ask(http_client, "classify_text", "word1, " * 140_000, TINY_TEXT, "full")[0]


WRONG_BODIES: dict[str, Any] = {
    "no function": {"data": [], "fn_index": 10_000, "session_hash": "a"},
    "too few values": {"data": [], "session_hash": "a"},
    "a file from elsewhere": {"data": [{"path": "http://127.0.0.1:1/a"}, MODEL, "fast"], "session_hash": "a"},
    "a session like a book": {"data": [], "fn_index": 0, "session_hash": "a" * 10_000},
}


@pytest.mark.parametrize("name", WRONG_BODIES)
def test_a_question_that_is_none_is_one_sentence(name: str, http_client: httpx.Client) -> None:
    body = WRONG_BODIES[name]
    path = "queue/join" if "fn_index" in body else "call/encode_image"
    answer = http_client.post(f"{API}{path}", json=body)
    assert 400 <= answer.status_code < 500
    assert len(answer.json()["detail"]) > 10


# 5: the disk ----------------------------------------------------------------------------------------------------------

LITTER: dict[str, dict[str, Any]] = {
    "a field": multipart(b"x" * 100_000, 'name="files"'),
    "two files": {
        "content": multipart(b"a", end=False)["content"] + multipart(b"b")["content"],
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    },
    "no end": multipart(b"x" * 100_000, end=False),
    "no boundary": {"content": b"x" * 1000, "headers": {"Content-Type": "multipart/form-data"}},
    "no name": multipart(b"x", 'filename="a.png"'),
    "not a form": {"content": b"{}", "headers": {"Content-Type": "application/json"}},
}


@pytest.mark.parametrize("name", LITTER)
def test_an_upload_that_goes_wrong_leaves_nothing(name: str, page: Server, http_client: httpx.Client) -> None:
    before = files(uploads(page))
    answer = http_client.post(f"{API}upload?upload_id=u", **LITTER[name])
    assert 400 <= answer.status_code < 500, answer.text
    assert files(uploads(page)) == before


def test_an_aborted_upload_leaves_nothing(page: Server, http_client: httpx.Client) -> None:
    before, used = files(uploads(page)), health(page)["used"]["disk_mb"]
    address = urlsplit(page.url)
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port), timeout=10) as line:
            head = f"POST /{API}upload HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 1000000\r\n"
            line.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode())
            line.sendall(multipart(b"x" * 200_000, end=False)["content"])
            time.sleep(0.2)
    assert eventually(lambda: files(uploads(page)) == before)
    assert eventually(lambda: health(page)["used"]["disk_mb"] <= used)


def test_a_call_leaves_its_file_and_nothing_else(page: Server, http_client: httpx.Client) -> None:
    path = http_client.post(f"{API}upload", **multipart(b"no picture")).json()[0]
    before = files(uploads(page))
    data = {"path": path, "meta": {"_type": "gradio.FileData"}}
    assert "not a picture" in ask(http_client, "encode_image", data, MODEL, "fast")["refused"]
    assert files(uploads(page)) == before


def test_what_a_dead_page_left_is_swept_at_the_start(weights: Path, tmp_path: Path) -> None:
    left = tmp_path / "uploads" / "page-999999999"
    left.mkdir(parents=True)
    (left / "old.csv").write_text("text\n")
    places = {"WEIGHTS_DIR": str(weights), "GRADIO_TEMP_DIR": str(tmp_path / "uploads")}
    with serving(tmp_path / "log.txt", **places) as server:
        assert not left.exists()
        httpx.post(f"{server.url}{API}upload", **multipart(b"a picture"), trust_env=False).raise_for_status()
        assert len(files(tmp_path / "uploads")) == 1
    assert not files(tmp_path / "uploads")


def test_a_full_disk_is_a_sentence(disk: Disk, weights: Path, tmp_path: Path) -> None:
    folder = disk.folder / "uploads"
    folder.mkdir()
    places = {"WEIGHTS_DIR": str(weights), "GRADIO_TEMP_DIR": str(folder), "TMPDIR": str(folder)}
    with serving(tmp_path / "log.txt", **places) as server:
        ballast = disk.fill(left=20_000)
        for size in (500_000, 10_000):
            answer = httpx.post(f"{server.url}{API}upload", **multipart(bytes(size)), trust_env=False)
            assert answer.status_code == 507
            assert "no room on its disk" in answer.json()["detail"]
        ballast.unlink()
        answer = httpx.post(f"{server.url}{API}upload", **multipart(bytes(100_000)), trust_env=False)
        assert answer.status_code == 200


# 6: sessions ----------------------------------------------------------------------------------------------------------


def test_invented_sessions_cost_nothing(page: Server, http_client: httpx.Client) -> None:
    before = health(page)["used"]["sessions"]
    body = {"data": {}, "component_id": 1, "fn_name": "x"}
    for number in range(300):
        http_client.post(f"{API}component_server", json=body | {"session_hash": f"made up {number}"})
    assert health(page)["used"]["sessions"] == before


# 7: foreign pages -----------------------------------------------------------------------------------------------------

FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://example.com"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9"},
    {"Origin": "http://localhost:9"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:9"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", ["component_server", "upload", "queue/join", "call/sample_image", "cancel"])
def test_a_foreign_page_changes_nothing(
    path: str, kind: str, headers: dict[str, str], http_client: httpx.Client
) -> None:
    answer = http_client.post(f"{API}{path}", content=b"{}", headers=headers | {"Content-Type": kind})
    assert answer.status_code == 403
    assert "own visitors" in answer.json()["detail"]


def test_the_page_itself_and_programs_are_let_in(page: Server, http_client: httpx.Client) -> None:
    body = {"data": [MODEL, 1], "session_hash": "own"}
    own = page.url.rstrip("/")
    for headers in ({}, {"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}):
        assert http_client.post(f"{API}call/sample_image", json=body, headers=headers).status_code == 200
    assert (
        http_client.post(
            f"{API}component_server", content=b"{}", headers={"Content-Type": "text/plain"}
        ).status_code
        == 415
    )


# 9: connections -------------------------------------------------------------------------------------------------------


def test_half_sent_headers_silence_nobody(page: Server, http_client: httpx.Client) -> None:
    address = urlsplit(page.url)
    lines = []
    try:
        for _ in range(connections.EACH + 100):
            line = socket.create_connection((address.hostname, address.port), timeout=10)
            line.sendall(b"GET / HTTP/1.1\r\nHost: a")
            lines.append(line)
        assert health(page)["used"]["connections"] <= connections.EACH + 1
        assert sample(http_client) < KIND
    finally:
        for line in lines:
            line.close()


def test_the_log_does_not_repeat_itself(page: Server, weights: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with serving(log, WEIGHTS_DIR=str(weights)) as server:
        address = urlsplit(server.url)
        for _ in range(200):
            with socket.create_connection((address.hostname, address.port), timeout=10) as line:
                line.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
                line.recv(100)
        for number in range(50):
            connection = http.client.HTTPConnection(address.netloc, timeout=10)
            connection.request(
                "POST", f"/{API}call/nothing{number}", b"{}", {"Content-Type": "application/json"}
            )
            connection.getresponse().read()
            connection.close()
    assert log.stat().st_size < 20_000


# Kind visitors --------------------------------------------------------------------------------------------------------


def test_a_class_of_thirty_behind_one_address_is_served(http_client: httpx.Client) -> None:
    """All press at once, and each has two tabs."""
    with ThreadPoolExecutor(30) as pool:
        times = list(pool.map(lambda n: sample(http_client, f"pupil{n}"), range(60)))
    assert len(times) == 60


def test_a_slow_line_sends_its_picture_all_the_same(page: Server) -> None:
    """A byte at a time where it is rude, parts with pauses where it is only slow."""
    body = json.dumps({"data": [MODEL, 1], "session_hash": "slow"}).encode()
    address = urlsplit(page.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as line:
        head = f"POST /{API}call/sample_image HTTP/1.1\r\nHost: {address.netloc}\r\n"
        for part in (head, f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"):
            line.sendall(part.encode())
            time.sleep(0.5)
        for start in range(0, len(body), 20):
            line.sendall(body[start : start + 20])
            time.sleep(0.3)
        assert b"event_id" in line.recv(4000)


def test_strain_is_told(page: Server) -> None:
    found = health(page)
    assert found["status"] == ("strained" if found["exceeded"] else "ok")
    assert (
        set(found["used"])
        == set(found["bounds"])
        >= {"memory_mb", "disk_mb", "connections", "questions", "kept_mb"}
    )
    assert found["used"]["memory_mb"] < found["bounds"]["memory_mb"]


def test_another_address_is_not_pushed_aside(page: Server) -> None:
    """One address has as many questions open as it may; another asks."""
    transport = httpx.HTTPTransport(local_address="127.0.0.9")
    stop = threading.Event()

    def flood() -> None:
        with httpx.Client(base_url=page.url, timeout=60, trust_env=False) as client:
            while not stop.is_set():
                unread(client, 20)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        with httpx.Client(base_url=page.url, timeout=60, transport=transport) as other:
            assert all(sample(other, f"other{n}") < KIND for n in range(5))
    finally:
        stop.set()
        flooding.join()
