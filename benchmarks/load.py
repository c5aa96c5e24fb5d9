"""Claim: one CPU machine with two cores serves 64 visitors at once, 95 % of their answers within 3 seconds.

    python -m benchmarks.load
    python -m benchmarks.load --requests 10000
    python -m benchmarks.load --hostile

Starts the page in a process of its own and visits it over HTTP on the loopback, as programs do through its endpoints:
visitors take pictures and a chair apart, steer, draw random shapes, and classify a picture and a text, with a pause for
thought after each answer. With ``--requests`` it asks that often without pauses, after a warm-up, and compares the
server's memory before and after; every 20 requests are another visitor. With ``--hostile`` the most visitors come
once alone and once more while as many others do harm (``benchmarks/tools/hostile.py``): it asks that the kind ones
have no error and 95 % of their answers within 1.5 seconds, and that the page stays within the bounds that ``/healthz``
names. ``--dear`` has the others also ask what is dear to answer and no harm by itself, again and again.
"""

from __future__ import annotations

import asyncio
import io
import json
import multiprocessing
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image, ImageDraw

from benchmarks.claims.load import COLUMNS
from benchmarks.tools import hostile
from benchmarks.tools.serving import ROOT, Server, serving
from benchmarks.tools.tables import Rows, markdown, plainly, write
from training.command import command
from training.measure import commit, machine

IMAGES, SHAPES, PICTURES, TEXTS = "affinevae-mnist", "affinevae-modelnet10", "cnn-cifar10", "text-imdb"
LATENTS = 8  # of IMAGES
# As many tokens as TEXTS reads.
WORDS = (
    "The first act is patient, the second is loud, and the third forgets what both of them promised. " * 12
)
PATIENCE = 60.0  # seconds for one answer
VISIT = 20  # requests of one visitor in the memory mode
WARM_UP = 3000  # requests before that: 150 visitors, since the page keeps what 128 had, whoever they were
EARLY = 1000  # of these
WORKERS = 8  # who ask at once there
SWIFT = 1.5  # seconds within which 95 % of the answers should come among visitors who do harm
REST = 70.0  # seconds: the server gives memory back every minute


@dataclass(frozen=True)
class Load:
    """Visit the page, and time its answers.

    Args:
        visitors: how many at once, one round after another.
        seconds: of each round.
        think: seconds between an answer and the next question, on average.
        requests: instead of rounds, so many requests without pauses after a warm-up, to see whether memory grows.
        hostile: instead of rounds, one among visitors who do harm.
        foes: how many of these.
        dear: they also ask what costs most, as kind ones may.
        output: results; those of the memory mode are kept beside the others.
    """

    visitors: tuple[int, ...] = (1, 8, 32, 64)
    seconds: float = 20.0
    think: float = 4.0
    requests: int = 0
    hostile: bool = False
    foes: int = 64
    dear: bool = False
    output: Path = Path("benchmarks/results/load.json")


@dataclass
class Log:
    """Seconds of every answer by action, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)

    def rows(self) -> Rows:
        """Numbers of each action and of all together."""
        names = [name for name in ACTIONS if name in self.seconds or name in self.errors]
        found = {name: summary(self.seconds.get(name, []), self.errors.get(name, [])) for name in names}
        seconds = [value for values in self.seconds.values() for value in values]
        errors = [error for several in self.errors.values() for error in several]
        return {**found, "all": summary(seconds, errors)}


def summary(seconds: list[float], errors: list[str]) -> dict[str, Any]:
    """Percentiles, counts, and the first few things that went wrong."""
    row: dict[str, Any] = {"n": len(seconds), "errors": len(errors)}
    if seconds:
        row |= {f"p{q}": float(np.percentile(seconds, q)) for q in (50, 95, 99)}
    return row | ({"first_errors": sorted(set(errors))[:3]} if errors else {})


# What visitors do -----------------------------------------------------------------------------------------------------


class Visitor:
    """One session on the page. Every action returns when the whole answer is there."""

    def __init__(self, client: httpx.AsyncClient, seed: int) -> None:
        self.client, self.random = client, random.Random(seed)
        self.session = uuid.uuid4().hex

    async def ask(self, endpoint: str, *values: Any) -> Any:
        """Through the page's queue; ``RuntimeError`` if it refuses."""
        body = {"data": values, "session_hash": self.session}
        started = await self.client.post(f"gradio_api/call/{endpoint}", json=body)
        started.raise_for_status()
        address = f"gradio_api/call/{endpoint}/{started.json()['event_id']}"
        async with self.client.stream("GET", address) as answer:
            event = ""
            async for line in answer.aiter_lines():
                kind, _, value = line.partition(": ")
                event = value if kind == "event" else event
                if kind == "data" and event == "complete":
                    return json.loads(value)
                if kind == "data" and event == "error":
                    raise RuntimeError(f"{endpoint}: {value[:200]}")
        raise RuntimeError(f"{endpoint}: no answer")

    async def send(self, name: str, content: bytes) -> dict[str, Any]:
        """Upload a file."""
        answer = await self.client.post("gradio_api/upload", files={"files": (name, content)})
        answer.raise_for_status()
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}

    async def open(self) -> None:
        (await self.client.get("")).raise_for_status()

    async def steer(self) -> None:
        z = [self.random.gauss(0, 1) for _ in range(LATENTS)]
        await self.ask("decode_image", IMAGES, z, [self.random.uniform(-3, 3)])

    async def sample(self) -> None:
        await self.ask("sample_image", IMAGES, self.random.randrange(10_000))

    async def encode(self) -> None:
        await self.ask("encode_image", await self.send("digit.png", self._drawn("L")), IMAGES, "fast")

    async def encode_mesh(self) -> None:
        await self.ask("encode_shape", await self.send("chair.glb", CHAIR.read_bytes()), SHAPES, "fast")

    async def classify_picture(self) -> None:
        await self.ask("classify_image", await self.send("photo.png", self._drawn("RGB")), PICTURES, "full")

    async def classify_text(self) -> None:
        await self.ask("classify_text", WORDS, TEXTS, "balanced")

    def _drawn(self, mode: str) -> bytes:
        """A stroke, another one each time, so that no cache can answer."""
        picture, file = Image.new(mode, (280, 280)), io.BytesIO()
        points = [(self.random.randrange(40, 240), self.random.randrange(40, 240)) for _ in range(4)]
        ImageDraw.Draw(picture).line(points, fill="white", width=24)
        picture.save(file, "PNG")
        return file.getvalue()


CHAIR = ROOT / "demo" / "meshes" / "chair.glb"
Action = Callable[[Visitor], Awaitable[None]]
# How often each is done, for one time that the page is opened.
ACTIONS: dict[str, tuple[int, Action]] = {
    "open the page": (1, Visitor.open),
    "steer": (6, Visitor.steer),
    "random shape": (2, Visitor.sample),
    "encode a drawing": (2, Visitor.encode),
    "encode a mesh": (1, Visitor.encode_mesh),
    "classify a picture": (2, Visitor.classify_picture),
    "classify a text": (2, Visitor.classify_text),
}


async def act(visitor: Visitor, log: Log, name: str | None = None) -> None:
    """One action, by its name or at random, and how long it took."""
    weights = [weight for weight, _ in ACTIONS.values()]
    name = name or visitor.random.choices(list(ACTIONS), weights)[0]
    start = time.perf_counter()
    try:
        await ACTIONS[name][1](visitor)
        log.seconds.setdefault(name, []).append(time.perf_counter() - start)
    except (httpx.HTTPError, RuntimeError, ValueError, KeyError) as error:
        log.errors.setdefault(name, []).append(f"{type(error).__name__} {error}"[:300])


async def visit(visitor: Visitor, log: Log, think: float, until: float) -> None:
    """Open the page, and act and think until then."""
    await asyncio.sleep(visitor.random.uniform(0, think))  # people do not come at the same moment
    await act(visitor, log, "open the page")
    while time.perf_counter() < until:
        await act(visitor, log)
        await asyncio.sleep(visitor.random.expovariate(1 / think) if think else 0)


# Rounds ---------------------------------------------------------------------------------------------------------------


def client(server: Server, address: str | None = None) -> httpx.AsyncClient:
    """Connections to the page, from an address of the loopback if one is given."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    transport = httpx.AsyncHTTPTransport(local_address=address, limits=limits)
    return httpx.AsyncClient(base_url=server.url, timeout=PATIENCE, transport=transport, trust_env=False)


async def rush(server: Server, visitors: int, seconds: float, think: float, homes: int = 0) -> Log:
    """So many visitors for so many seconds; answers that are under way then are waited for.

    The first ``homes`` of them each have an address of their own, the others one together, as a class has.
    """
    log, until = Log(), time.perf_counter() + seconds
    async with AsyncExitStack() as stack:
        together = await stack.enter_async_context(client(server))
        own = [
            await stack.enter_async_context(client(server, f"127.0.1.{number}"))
            for number in range(1, homes + 1)
        ]
        people = [Visitor(http, seed) for seed, http in enumerate(own + [together] * (visitors - homes))]
        await asyncio.gather(*(visit(person, log, think, until) for person in people))
    return log


async def ask_often(server: Server, requests: int) -> Log:
    """So many requests by ``WORKERS`` at once, each of whom becomes somebody else every ``VISIT`` requests."""
    log, seeds = Log(), iter(range(-(-requests // VISIT)))

    async def work(http: httpx.AsyncClient) -> None:
        for seed in seeds:
            visitor = Visitor(http, seed)
            for _ in range(VISIT):
                await act(visitor, log)

    async with client(server) as http:
        await asyncio.gather(*(work(http) for _ in range(WORKERS)))
    return log


def used(server: Server) -> dict[str, float]:
    """Resident megabytes of the server, and CPU seconds of it and of the children that it has waited for."""
    process = psutil.Process(server.process.pid)
    return {"memory_mb": process.memory_info().rss / 1e6, "cpu_seconds": sum(process.cpu_times()[:4])}


def rounds(server: Server, options: Load) -> dict[str, Any]:
    """One round for each number of visitors, after everything was asked once."""
    asyncio.run(ask_often(server, 2 * VISIT))
    found: dict[str, Any] = {}
    for visitors in options.visitors:
        before = used(server)
        rows = asyncio.run(rush(server, visitors, options.seconds, options.think)).rows()
        after = used(server)
        cpu = after["cpu_seconds"] - before["cpu_seconds"]
        memory = {"before_mb": before["memory_mb"], "after_mb": after["memory_mb"]}
        found[str(visitors)] = {"actions": rows, "memory": memory, "server_cpu_seconds": cpu}
        markdown({f"{visitors} visitors: {name}": row for name, row in rows.items()}, COLUMNS)
    return found


def siege(server: Server, options: Load) -> dict[str, Any]:
    """The most visitors, half of them behind one address, alone and then among ``foes`` who do harm as long.

    Visitors and foes are programs on the same machine; what each took of its cores is told.
    """
    if not hostile.can_come_from_elsewhere():
        raise ValueError("this system's loopback has one address only: run it on Linux")
    asyncio.run(ask_often(server, 2 * VISIT))
    visitors = max(options.visitors)
    alone = asyncio.run(rush(server, visitors, options.seconds, options.think, visitors // 2)).rows()
    before, ours = used(server), time.process_time()

    async def all_at_once() -> tuple[Log, dict[str, Any], tuple[dict[str, dict[str, int]], float]]:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
            elsewhere.submit(
                hostile.can_come_from_elsewhere
            ).result()  # its process is there, and begins with us
            until = time.perf_counter() + options.seconds
            foes = asyncio.get_running_loop().run_in_executor(
                elsewhere, hostile.harm, server.url, options.foes, options.seconds, IMAGES, TEXTS, options.dear
            )  # fmt: skip
            return await asyncio.gather(
                rush(server, visitors, options.seconds, options.think, visitors // 2),
                hostile.watch(server, until),
                foes,
            )

    log, watched, (answered, theirs) = asyncio.run(all_at_once())
    rows = log.rows()
    page = used(server)["cpu_seconds"] - before["cpu_seconds"]
    cpu = {"page": page, "visitors": time.process_time() - ours, "foes": theirs}
    markdown({f"{visitors} alone": alone["all"]}, COLUMNS)
    markdown({f"{visitors} among {options.foes}: {name}": row for name, row in rows.items()}, COLUMNS)
    most, bounds = watched["most"], watched["bounds"]
    table = {name: {"most": used, "bound": bounds.get(name)} for name, used in most.items()}
    markdown(table, plainly("most", "bound", form="{:,.0f}"))
    kept = rows["all"]["errors"] == 0 and rows["all"].get("p95", PATIENCE) < SWIFT
    kept = kept and not watched["healthz"]["exceeded"] and not watched["healthz"]["failed"]
    return {
        "visitors": visitors, "foes": options.foes, "addresses": len(hostile.ADDRESSES), "dear": options.dear,
        "seconds": options.seconds, "think": options.think, "alone": alone, "actions": rows, **watched,
        "cpu_seconds": cpu, "foes_were_answered": answered, "promise_kept": kept,
    }  # fmt: skip


def at_rest(server: Server) -> float:
    """Resident megabytes once the server has given back what its last answers took."""
    time.sleep(REST)
    return used(server)["memory_mb"]


def growth(server: Server, requests: int) -> dict[str, Any]:
    """Memory at rest: early, after the warm-up, and after so many requests more."""
    asyncio.run(ask_often(server, EARLY))
    first = at_rest(server)
    asyncio.run(ask_often(server, WARM_UP - EARLY))
    before = at_rest(server)
    rows = asyncio.run(ask_often(server, requests)).rows()
    after = at_rest(server)
    grown = {"early": EARLY, "early_mb": first, "warm_up": WARM_UP}
    row = {"requests": requests, "before_mb": before, "after_mb": after, "growth_mb": after - before}
    columns = {
        **plainly("requests", form="{:,}"),
        **plainly("before_mb", "after_mb", "growth_mb", form="{:.0f}"),
    }
    markdown({"memory": row}, columns)
    return {**grown, **row, "actions": rows}


def run(options: Load) -> None:
    """Measure, print, keep."""
    kept = json.loads(options.output.read_text()) if options.output.is_file() else {}
    facts = {"machine": machine(), "commit": commit()}
    with TemporaryDirectory() as folder, serving(Path(folder) / "log.txt", ready=True) as server:
        if options.requests:
            kept["growth"] = {**facts, **growth(server, options.requests)}
        elif options.hostile:
            kept["hostile"] = {**facts, **siege(server, options)}
        else:
            asked = {"seconds": options.seconds, "think": options.think}
            kept |= {**facts, **asked, "visitors": rounds(server, options)}
    write(options.output, kept)


if __name__ == "__main__":
    command(Load, run, flags=True)
