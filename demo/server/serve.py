"""How the page is served: what every answer tells browsers, which doors are closed, its health and its end."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fastapi.dependencies.utils
import gradio as gr
import gradio.queueing
import gradio.route_utils
import gradio.routes
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import __version__
from demo.models.outside import Policy
from demo.models.registry import Models
from demo.page import build, launch_options, warm
from demo.server import disk, log
from demo.server.connections import Connections, guard
from demo.server.disk import Disk, Parser, Upload
from demo.server.frontpage import FrontPage
from demo.server.gate import ROOM, Gate, House
from demo.server.turns import ALL as QUESTIONS
from demo.server.turns import Turns
from demo.server.visitors import Visitors
from demo.uploads.mesh_parent import PARENT

SELF = "'self' data: blob:"
# Gradio starts from inline scripts, and makes functions of the components' own ones (js_on_load).
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' blob: 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": SELF,
    "media-src": SELF,
    "font-src": "'self' data:",
    "connect-src": SELF,
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self' https://huggingface.co https://*.hf.space",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{what} {where}" for what, where in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}
# Of Gradio, and of no use to this page: they watch, write to disk, or hold a connection open for nothing.
CLOSED = ("dev/", "vibe-", "undo-vibe-", "process_recording", "deep_link", "run-history", "runs", "proxy=", "stream/",
          "file=http:", "file=https:", "file/http:", "file/https:", "profiling", "custom_component")  # fmt: skip
# Past the queue: answered without a turn, by anyone, as often as they like.
DIRECT = ("api/", "run/")
USE_QUEUE = (
    "Questions take turns here: ask POST /gradio_api/call/NAME, and read /gradio_api/call/NAME/EVENT_ID."
)
API = "/gradio_api/"
ARENA_MAX = -8  # of glibc's mallopt
TIDY, LOOK = 60.0, 0.1  # seconds between two looks at the disk, and at who waits
MEMORY = 2_000_000_000  # bytes that all bounds together leave the process
WAIT = 1.5  # seconds in which the turn of 95 % comes who are within their share
logger = logging.getLogger(__name__)


class Guard:
    """ASGI middleware: ``HEADERS`` on every answer, and 404 at the doors that are ``CLOSED``."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self.app
        if scope["type"] == "http" and is_closed(scope["path"]):
            direct = scope["path"].startswith(tuple(API + door for door in DIRECT))
            answer = (
                JSONResponse({"detail": USE_QUEUE}, 404) if direct else PlainTextResponse("Not Found", 404)
            )
        await answer(scope, receive, guarded)


def is_closed(path: str) -> bool:
    """Whether nobody is let in at the path of a request."""
    return path.startswith(("/monitoring", *(API + door for door in (*CLOSED, *DIRECT))))


@dataclass
class Health:
    """What ``/healthz`` answers: 200 as long as the server does, ``ready`` once the first models are loaded.

    ``used`` stands beside ``bounds``; where one is reached, ``status`` is "strained" and ``exceeded`` names it.
    """

    models: Models
    warmed: threading.Event = field(default_factory=threading.Event)
    house: House | None = None
    visitors: Visitors | None = None
    connections: Connections | None = None

    def warm(self) -> None:
        """Load the first models, which takes seconds."""
        warm(self.models)
        _keep_for_good()
        _give_memory_back()
        self.warmed.set()

    async def answer(self, request: Request) -> JSONResponse:
        """Asynchronous, so that it waits for no thread that is busy with a model."""
        loads = self.loads()
        exceeded = [name for name, (used, bound) in loads.items() if used >= bound]
        state = {
            "status": "strained" if exceeded else "ok",
            "version": __version__,
            "ready": self.warmed.is_set(),
        }
        used, bounds = ({name: load[which] for name, load in loads.items()} for which in (0, 1))
        refused: dict[str, int] = {}
        if self.house is not None:
            turns, files = self.house.turns, self.house.disk
            refused = {f"HTTP {status}": count for status, count in self.house.refused.items()}
            refused |= {"questions": turns.refused, "abandoned": turns.abandoned, "files": files.refused}
        if self.connections is not None:
            refused["connections"] = self.connections.refused
        strain = {"exceeded": exceeded, "used": used, "bounds": bounds, "refused": refused}
        return JSONResponse(state | {"models": self.models.loaded()} | strain | {"lanes": self.lanes()})

    def loads(self) -> dict[str, tuple[float, float]]:
        """What is used of everything that has a bound, and the bound."""
        loads: dict[str, tuple[float, float]] = {"memory_mb": (memory() / 1e6, MEMORY / 1e6)}
        if self.house is not None:
            turns, files = self.house.turns, self.house.disk
            asked = sum(map(len, turns.pending_event_ids_session.values()))
            reading = self.house.reading.total() + turns.held().total()
            loads["questions"] = asked, QUESTIONS
            loads["questions_mb"] = reading / 1e6, ROOM / 1e6
            loads["wait_s"] = turns.waited(), WAIT
            loads["disk_mb"] = files.used / 1e6, files.most / 1e6
        if self.visitors is not None:
            loads["kept_mb"] = self.visitors.size / 1e6, self.visitors.most / 1e6
            loads["sessions"] = len(self.visitors.session_data), self.visitors.sessions
        if self.connections is not None:
            loads["connections"] = len(self.connections.open), self.connections.most
        return {name: (round(used, 2), round(bound, 2)) for name, (used, bound) in loads.items()}

    def lanes(self) -> dict[str, dict[str, float]]:
        """What was answered in each lane: questions, seconds of the processor, and seconds that these took."""
        found = self.house.turns.lanes if self.house is not None else {}
        return {
            name: {"answered": lane.answered, "cpu_s": round(lane.cpu, 2), "took_s": round(lane.wall, 2)}
            for name, lane in found.items()
            if not name.isdigit()
        }


def memory() -> int:
    """Bytes that this process has in memory; 0 where the system does not say so in /proc."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _share_memory() -> None:
    """Two heaps for all threads: glibc gives every thread its own, and each keeps what its largest answer took."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(ARENA_MAX, 2)


def _keep_for_good() -> None:
    """What is there by now stays to the end, so the garbage collector need not stop visitors to look at it."""
    gc.freeze()
    gc.enable()


def _give_memory_back() -> None:
    """What loading and answers took for a moment; glibc keeps it, and no other allocator has the function."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def serve(host: str, port: int | None = None, share: bool = False, policy: Policy | None = None) -> None:
    """Serve the page until SIGINT or SIGTERM; a second one ends the process at once.

    Args:
        port: None for the first free one from 7860, or ``GRADIO_SERVER_PORT``.
        share: a public link through Gradio's servers.
        policy: what visitors may open besides the models in ``weights/``; nothing if left out.

    Raises:
        OSError: there is no free port.
    """
    _share_memory()
    folder = disk.own_folder()
    health = Health(Models(policy))
    page = build(health.models)
    # Also where a shell's "&" has them ignored; containers send TERM.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        _trust_proxies(share)
        page.launch(
            server_name=host, server_port=port, share=share, prevent_thread_lock=True,
            **options(health, page, folder),
        )  # fmt: skip
        health.connections = guard(page.server.config)
        log.quieten()
        _keep_for_good()
        threading.Thread(target=health.warm, daemon=True).start()
        while True:
            time.sleep(TIDY)
            if health.house is not None:
                health.house.disk.sweep()
            _give_memory_back()
    page.close(verbose=False)
    PARENT.stop()
    shutil.rmtree(folder, ignore_errors=True)


def options(health: Health, page: gr.Blocks, folder: Path) -> dict[str, Any]:
    """For ``Blocks.launch``: those of the page, a route of our own, and who guards it; MCP where its package is."""
    routes = [Route("/healthz", health.answer)]
    page._queue = turns = Turns(page)
    health.house = house = House(turns, Disk(folder, page.upload_file_set.discard))
    gradio.route_utils.GradioMultiPartParser = Parser  # type: ignore[misc]
    gradio.route_utils.GradioUploadFile = Upload  # type: ignore[misc]
    fastapi.dependencies.utils.run_in_threadpool = _at_once  # type: ignore[assignment,attr-defined]
    for kind in (gr.File, gr.UploadButton):  # theirs leaves an empty file behind for each call
        kind._process_single_file = lambda self, file: file.path  # type: ignore[method-assign]
    for module in (gradio.queueing, gradio.routes):
        module.traceback = log.Traceback  # type: ignore[attr-defined]

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        health.visitors = app.state_holder = Visitors(page, house.is_here)
        tidying = asyncio.create_task(_tidy(turns))
        yield
        tidying.cancel()

    guards = [Middleware(Guard), Middleware(Gate, house=house), Middleware(FrontPage)]
    return {
        **launch_options(),
        "app_kwargs": {"routes": routes, "middleware": guards, "lifespan": lifespan},
        "mcp_server": has_mcp(),
    }


async def _at_once(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What each request asks first, as who is logged in: looked up at once, where FastAPI would ask a thread."""
    if getattr(call, "__module__", "") == gradio.routes.__name__:
        return call(*args, **options)
    return await run_in_threadpool(call, *args, **options)


async def _tidy(turns: Turns) -> None:
    loop = asyncio.get_running_loop()
    while True:
        until = loop.time() + 1
        try:
            while (now := loop.time()) < until:
                await asyncio.sleep(LOOK)
                turns.look(loop.time() - now - LOOK)
            await turns.tidy()
        except Exception:
            logger.exception("the queue could not be tidied")
            await asyncio.sleep(1)


def _trust_proxies(share: bool) -> None:
    """Who may say in ``X-Forwarded-For`` whom they ask for: the Space's own proxies, or those of a shared link.

    uvicorn would trust whoever comes from this machine, and so every visitor of a page on the loopback. Who runs a
    proxy of their own names it in ``FORWARDED_ALLOW_IPS``, which uvicorn reads.
    """
    inside = "127.0.0.1,::1" if share else ""
    usual = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16" if "SPACE_ID" in os.environ else inside
    os.environ.setdefault("FORWARDED_ALLOW_IPS", usual)


def has_mcp() -> bool:
    """Whether Gradio's optional ``mcp`` extra is installed: the endpoints are then tools for language models too."""
    return find_spec("mcp") is not None
