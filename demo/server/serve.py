"""How the page is served: what every answer tells browsers, which doors are closed, its health and its end."""

from __future__ import annotations

import ctypes
import gc
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

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
from demo.server.frontpage import FrontPage
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
CLOSED = ("dev/", "vibe-", "process_recording", "deep_link", "run-history", "runs", "proxy=", "stream/")
API = "/gradio_api/"
ARENA_MAX = -8  # of glibc's mallopt
TIDY = 60.0  # seconds


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
            answer = PlainTextResponse("Not Found", 404)
        await answer(scope, receive, guarded)


def is_closed(path: str) -> bool:
    """Whether nobody is let in at the path of a request."""
    return path.startswith("/monitoring") or path.startswith(tuple(API + door for door in CLOSED))


@dataclass(frozen=True)
class Health:
    """What ``/healthz`` answers: 200 as long as the server does, ``ready`` once the first models are loaded."""

    models: Models
    warmed: threading.Event = field(default_factory=threading.Event)

    def warm(self) -> None:
        """Load the first models, which takes seconds."""
        warm(self.models)
        _keep_for_good()
        _give_memory_back()
        self.warmed.set()

    async def answer(self, request: Request) -> JSONResponse:
        """Asynchronous, so that it waits for no thread that is busy with a model."""
        state = {"status": "ok", "version": __version__, "ready": self.warmed.is_set()}
        return JSONResponse(state | {"models": self.models.loaded()})


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
    health = Health(Models(policy))
    page = build(health.models)
    # Also where a shell's "&" has them ignored; containers send TERM.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        page.launch(
            server_name=host, server_port=port, share=share, prevent_thread_lock=True, **options(health)
        )
        _keep_for_good()
        threading.Thread(target=health.warm, daemon=True).start()
        while True:
            time.sleep(TIDY)
            _give_memory_back()
    page.close(verbose=False)
    PARENT.stop()


def options(health: Health) -> dict[str, Any]:
    """For ``Blocks.launch``: those of the page, a route of our own, and the guard; MCP where its package is."""
    routes = [Route("/healthz", health.answer)]
    return {
        **launch_options(),
        "app_kwargs": {"routes": routes, "middleware": [Middleware(Guard), Middleware(FrontPage)]},
        "mcp_server": has_mcp(),
    }


def has_mcp() -> bool:
    """Whether Gradio's optional ``mcp`` extra is installed: the endpoints are then tools for language models too."""
    return find_spec("mcp") is not None
