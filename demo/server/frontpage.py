"""The page's HTML, made and compressed once for each address that it is asked under.

Gradio writes 0.4 MB of configuration into it anew for every visitor, in a thread that takes the interpreter from the
answers under way. Nothing in it is a visitor's own: the page asks no names, and sessions begin in the browser.
"""

from __future__ import annotations

import gzip
import time
from collections import Counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.server.gate import CROWD, Refused
from demo.server.visitors import address_of

# What of a request Gradio writes into the page: where it seems to be from outside.
ADDRESS = ("host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server")
# Kept at once: there is one, or a few behind a proxy; a visitor who makes some up only costs the oldest.
ADDRESSES = 4 * 16
# What tells all of the page, 0.1 s of work each time that it is made.
PAGES = ("/", "/config", "/gradio_api/info", "/gradio_api/openapi.json")
# Pages that are made anew for one visitor in so many seconds; and such as are because of another host.
NEW, NAMES, WHILE = 60, 6, 60.0
OWN = (b"deep_link", b"all_endpoints", b"page=")  # of a query: Gradio's own parameters, which change the page

Address = tuple[str, ...]
Rendered = tuple[Message, bytes]  # start of the answer, and its body in gzip


class FrontPage:
    """ASGI middleware: answers GET of ``PAGES`` with what the application answered first under the same address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.kept: dict[Address, Rendered] = {}
        self.made: Counter[tuple[str, int]] = Counter()  # for whom, lately, and how many there may be
        self.since = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["path"].rstrip("/") not in _PATHS
            or scope["method"] not in ("GET", "HEAD")
        ):
            return await self.app(scope, receive, send)
        if not _is_kept(scope):
            self._count(scope, NEW)
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        address = (scope["path"], scope["scheme"], *(headers.get(name, "") for name in ADDRESS))
        if address not in self.kept:
            self._count(scope, NAMES)
            start, body = await _answer(self.app, scope, receive)
            if start["status"] != 200:
                await send(start)
                await send({"type": "http.response.body", "body": body})
                return
            if len(self.kept) >= ADDRESSES:
                self.kept.pop(next(iter(self.kept)))
            self.kept[address] = start, gzip.compress(body, 6)
        self.kept[address] = self.kept.pop(address)  # the last now: invented addresses drive out each other
        await _send(*self.kept[address], "gzip" in headers.get("accept-encoding", ""), send)

    def _count(self, scope: Scope, most: int) -> None:
        """Whoever has the page made anew again and again, as by making up hosts, is refused after so many times."""
        if (now := time.monotonic()) - self.since > WHILE:
            self.made.clear()
            self.since = now
        made = address_of(scope), most
        if self.made[made] >= most:
            raise Refused(429, CROWD)
        self.made[made] += 1


_PATHS = tuple(path.rstrip("/") for path in PAGES)


def _is_kept(scope: Scope) -> bool:
    return scope["method"] == "GET" and not any(name in scope["query_string"] for name in OWN)


async def _answer(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


async def _send(start: Message, body: bytes, compressed: bool, send: Send) -> None:
    body = body if compressed else gzip.decompress(body)
    message = {**start, "headers": list(start["headers"])}
    headers = MutableHeaders(scope=message)
    headers["content-length"] = str(len(body))
    headers["vary"] = "Accept-Encoding"
    if compressed:
        headers["content-encoding"] = "gzip"
    await send(message)
    await send({"type": "http.response.body", "body": body})
