"""Visitors who do harm, for ``benchmarks.load --hostile``: each act has few requests and little time, on the loopback.

They come from ``ADDRESSES`` of their own there, as strangers do from the internet.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import socket
import struct
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
from PIL import Image, ImageDraw

from benchmarks.tools.serving import Server

ADDRESSES = tuple(f"127.0.0.{number}" for number in range(11, 19))
API = "gradio_api/"
FEW = 20  # requests of an act
PATIENCE = 15.0  # seconds of an act
PART = b"x" * 65536
PAUSE = 0.2  # seconds after an act
EVERY = 0.5  # seconds between two looks at the page
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
JSON = {"Content-Type": "application/json"}
GONE = (httpx.HTTPError, OSError, RuntimeError, asyncio.TimeoutError)


@dataclass
class Outcomes:
    """Answers to harm by act and status; "gone" where the page hung up, or an act took too long."""

    answers: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, act: str, what: int | str) -> None:
        self.answers.setdefault(act, Counter())[str(what)] += 1


class Hostile:
    """One of them. ``model`` and ``text`` are names of models that the page has."""

    def __init__(
        self, url: str, seed: int, model: str, text: str, outcomes: Outcomes, dear: bool = False
    ) -> None:
        self.url, self.model, self.text, self.outcomes = url, model, text, outcomes
        self.acts = {**ACTS, **(DEAR if dear else {})}
        self.random, self.address = random.Random(seed), ADDRESSES[seed % len(ADDRESSES)]
        self.seed, self.session = seed, uuid.uuid4().hex

    async def run(self, until: float) -> None:
        """One act after another."""
        transport = httpx.AsyncHTTPTransport(local_address=self.address)
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE, transport=transport) as self.http:
            names = list(self.acts)
            turn = self.seed
            while time.perf_counter() < until:
                name = names[turn % len(names)]
                turn += 1
                try:
                    await asyncio.wait_for(self.acts[name](self), PATIENCE)
                except GONE:
                    self.outcomes.add(name, "gone")
                await asyncio.sleep(PAUSE)

    async def post(self, act: str, path: str, **what: Any) -> httpx.Response | None:
        """A request whose status is noted; None where the page hung up."""
        try:
            answer = await self.http.post(f"{API}{path}", **what)
        except httpx.HTTPError:
            self.outcomes.add(act, "gone")
            return None
        self.outcomes.add(act, answer.status_code)
        return answer

    async def upload(self, act: str, name: str, content: bytes) -> dict[str, Any] | None:
        answer = await self.post(act, "upload", files={"files": (name, content)})
        if answer is None or answer.status_code != 200:
            return None
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}

    async def ask(self, act: str, endpoint: str, *values: Any) -> None:
        """A question whose answer is read; always the same visitor's."""
        body = {"data": values, "session_hash": self.session}
        answer = await self.post(act, f"call/{endpoint}", json=body)
        if answer is not None and answer.status_code == 200:
            await self.http.get(f"{API}call/{endpoint}/{answer.json()['event_id']}")

    # ---- acts ----

    async def leave_unread(self) -> None:
        for _ in range(FEW):
            body = {"data": [self.model, 1], "session_hash": uuid.uuid4().hex}
            await self.post("unread answers", "call/sample_image", json=body)

    async def pass_the_queue(self) -> None:
        for name in ("classify_text", "sample_image"):
            await self.post("past the queue", f"api/{name}", json={"data": [self.model, 1]})

    async def send_without_end(self) -> None:
        for path, kind in (("queue/join", JSON), ("component_server", JSON), ("upload", FORM)):
            await self.post("bodies without end", path, content=_endless(500), headers=kind)

    async def send_a_field(self) -> None:
        head = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
        await self.post("fields like files", "upload", content=_endless(400, head), headers=FORM)

    async def send_parts(self) -> None:
        await self.post(
            "JSON of many parts", "queue/join", content=b"[" + b"{}," * 400_000 + b"0]", headers=JSON
        )

    async def fill_the_disk(self) -> None:
        await self.upload("large files", f"{self.random.random()}.csv", self.random.randbytes(4) + PART * 450)

    async def abort(self) -> None:
        url = urlsplit(self.url)
        for _ in range(3):
            head = f"POST /{API}upload HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 9000000\r\n"
            lines = (
                f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\n--x\r\nContent-Disposition: form-data; "
            )
            await self._say((lines + 'name="files"; filename="a"\r\n\r\n').encode() + PART)
        self.outcomes.add("aborted uploads", "gone")

    async def invent(self) -> None:
        for _ in range(FEW):
            body = {"data": {}, "component_id": 1, "fn_name": "x", "session_hash": uuid.uuid4().hex}
            await self.post("invented sessions", "component_server", json=body)

    async def come_from_elsewhere(self) -> None:
        for headers in ({"Origin": "https://example.com"}, {"Sec-Fetch-Site": "same-site"}):
            await self.post("foreign pages", "component_server", content=b"{}", headers=headers)

    async def send_a_link(self) -> None:
        await self.http.get(
            "?tab=classify&model=<a href=//example.com>here</a>", headers={"Host": uuid.uuid4().hex}
        )
        self.outcomes.add("links and hosts", "asked")

    async def half_send(self) -> None:
        lines = [await self._open() for _ in range(FEW)]
        for _, writer in lines:
            writer.write(b"GET / HTTP/1.1\r\nHost: a")
        await asyncio.sleep(2)
        for _, writer in lines:
            writer.close()
        self.outcomes.add("half-sent headers", "gone")

    async def talk_nonsense(self) -> None:
        for _ in range(FEW):
            await self._say(b"\x16\x03\x01 nonsense\r\n\r\n")
        self.outcomes.add("nonsense", "gone")

    async def send_wide_table(self) -> None:
        row = b",".join([b"1"] * 10_000) + b"\n"
        await self.upload("wide tables", "wide.csv", b"text," + row * 300)

    async def send_packed_bitmap(self) -> None:
        side = 2000
        head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 0, 0)
        size = 54 + 1024 + 4_000_000
        data = (
            b"BM" + struct.pack("<IHHI", size, 0, 0, 54 + 1024) + head + bytes(1024) + b"\0\2\0\0" * 1_000_000
        )
        if (file := await self.upload("packed bitmaps", "a.bmp", data)) is not None:
            await self.ask("packed bitmaps", "encode_image", file, self.model, "fast")

    async def send_chain(self) -> None:
        if (file := await self.upload("chains of parts", "a.glb", _chain(499))) is not None:
            await self.ask("chains of parts", "encode_shape", file, "affinevae-modelnet10", "fast")

    async def send_long_text(self) -> None:
        await self.ask("long texts", "classify_text", "\u96fb" * 1_000_000, self.text, "full")

    async def ask_without_end(self) -> None:
        """As a visitor with one session who reads every answer, but never thinks."""
        for _ in range(FEW):
            await self.ask("questions without end", "sample_image", self.model, self.random.randrange(9999))

    async def search_thoroughly(self) -> None:
        if (file := await self.upload("thorough searches", "a.png", _picture())) is not None:
            await self.ask("thorough searches", "encode_image", file, self.model, "best")

    async def send_large_mesh(self) -> None:
        triangles = struct.pack("<12fH", *(self.random.random() for _ in range(12)), 0) * 1000
        content = bytes(80) + struct.pack("<I", 150_000) + triangles * 150
        if (file := await self.upload("large meshes", "a.stl", content)) is not None:
            await self.ask("large meshes", "encode_shape", file, "affinevae-modelnet10", "best")

    async def leave_a_table(self) -> None:
        """Have a long table classified, and never come for it."""
        config = (await self.http.get("config")).json()
        asked = (d for d in config["dependencies"] if d["targets"] and d["targets"][0][1] == "upload")
        trigger = next(d for d in asked if len(d["inputs"]) == 2)
        table = b"text\n" + b"a word and another\n" * 100_000
        if (file := await self.upload("tables left alone", "a.csv", table)) is not None:
            body = {"data": [None, file], "fn_index": trigger["id"], "trigger_id": trigger["targets"][0][0]}
            what = {"event_data": None, "session_hash": uuid.uuid4().hex}
            await self.post("tables left alone", "queue/join", json=body | what)

    async def read_nothing(self) -> None:
        """Ask for the page again and again on one connection, and take none of it."""
        _, writer = await self._open()
        writer.write(b"GET /config HTTP/1.1\r\nHost: a\r\n\r\n" * FEW)
        await asyncio.sleep(2)
        writer.close()
        self.outcomes.add("unread pages", "gone")

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = urlsplit(self.url)
        return await asyncio.open_connection(url.hostname, url.port, local_addr=(self.address, 0))

    async def _say(self, words: bytes) -> None:
        _, writer = await self._open()
        writer.write(words)
        with suppress(OSError):
            await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()


ACTS: dict[str, Callable[[Hostile], Awaitable[None]]] = {
    "unread answers": Hostile.leave_unread,
    "past the queue": Hostile.pass_the_queue,
    "bodies without end": Hostile.send_without_end,
    "fields like files": Hostile.send_a_field,
    "JSON of many parts": Hostile.send_parts,
    "large files": Hostile.fill_the_disk,
    "aborted uploads": Hostile.abort,
    "invented sessions": Hostile.invent,
    "foreign pages": Hostile.come_from_elsewhere,
    "links and hosts": Hostile.send_a_link,
    "half-sent headers": Hostile.half_send,
    "nonsense": Hostile.talk_nonsense,
    "wide tables": Hostile.send_wide_table,
    "packed bitmaps": Hostile.send_packed_bitmap,
    "chains of parts": Hostile.send_chain,
    "long texts": Hostile.send_long_text,
    "unread pages": Hostile.read_nothing,
    "tables left alone": Hostile.leave_a_table,
}
# No harm by themselves: what kind visitors may ask, too, but never as often.
DEAR: dict[str, Callable[[Hostile], Awaitable[None]]] = {
    "questions without end": Hostile.ask_without_end,
    "thorough searches": Hostile.search_thoroughly,
    "large meshes": Hostile.send_large_mesh,
}


async def _endless(parts: int, head: bytes = b"") -> AsyncIterator[bytes]:
    """So many parts of 64 KB, one in memory at a time."""
    yield head
    for _ in range(parts):
        yield PART


def _picture() -> bytes:
    """A stroke."""
    picture, file = Image.new("L", (280, 280)), io.BytesIO()
    ImageDraw.Draw(picture).line([(60, 60), (220, 220)], fill="white", width=24)
    picture.save(file, "PNG")
    return file.getvalue()


def _chain(count: int) -> bytes:
    """A GLB of so many triangles, each hanging on the one before."""
    points = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    described = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(points)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(points)}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0, "children": [i + 1], "scale": [0.99] * 3} for i in range(count)]
        + [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    text = json.dumps(described).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + len(points), len(text), 0x4E4F534A)
    return head + text + struct.pack("<I4s", len(points), b"BIN\0") + points


async def watch(server: Server, until: float) -> dict[str, Any]:
    """What the page needs meanwhile and what it says of itself: the most of each, and its bounds."""
    most: Counter[str] = Counter()
    bounds: dict[str, float] = {}
    seconds: list[float] = []
    found: dict[str, Any] = {"asked": 0, "failed": 0, "exceeded": []}
    async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE, trust_env=False) as http:
        while time.perf_counter() < until:
            start = time.perf_counter()
            found["asked"] += 1
            try:
                health = (await http.get("healthz")).json()
            except (httpx.HTTPError, ValueError):
                found["failed"] += 1
                continue
            seconds.append(time.perf_counter() - start)
            bounds = health["bounds"]
            found["lanes"] = health["lanes"]
            for name, used in health["used"].items():
                most[name] = max(most[name], used)
            found["exceeded"] = sorted({*found["exceeded"], *health["exceeded"]})
            with suppress(psutil.Error):
                page = psutil.Process(server.process.pid)
                together = sum(p.memory_info().rss for p in [page, *page.children(recursive=True)]) / 1e6
                most["memory_with_children_mb"] = max(most["memory_with_children_mb"], round(together))
            await asyncio.sleep(EVERY)
    worst = max(seconds, default=PATIENCE)
    return {"healthz": {**found, "worst_s": worst}, "most": dict(most), "bounds": bounds}


def harm(
    server_url: str, count: int, seconds: float, model: str, text: str, dear: bool
) -> tuple[dict[str, dict[str, int]], float]:
    """So many of them for so many seconds, in the process that is asked; how they were answered, and what it took."""
    before = time.process_time()

    async def all_at_once() -> Outcomes:
        outcomes, until = Outcomes(), time.perf_counter() + seconds
        foes = [Hostile(server_url, seed, model, text, outcomes, dear) for seed in range(count)]
        await asyncio.gather(*(foe.run(until) for foe in foes))
        return outcomes

    answered = {act: dict(answers) for act, answers in asyncio.run(all_at_once()).answers.items()}
    return answered, time.process_time() - before


def can_come_from_elsewhere() -> bool:
    """Whether this system's loopback has more addresses than one."""
    with socket.socket() as s, suppress(OSError):
        s.bind((ADDRESSES[0], 0))
        return True
    return False
