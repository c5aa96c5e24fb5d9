"""The gate: every request passes it, and it reads none that is too large, too slow, or from another site's page.

What costs work without waiting in the queue, a component's questions and the page's own description, takes turns here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any
from urllib.parse import parse_qs, urlsplit
from weakref import WeakValueDictionary

from gradio.routes import file_upload_statuses
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.server.disk import FULL, FULL_ERRORS, Disk
from demo.server.shares import NEWCOMERS, Person, Shares
from demo.server.turns import Turns
from demo.server.visitors import ADDRESS, address_of

API = "/gradio_api/"
SAFE = ("GET", "HEAD", "OPTIONS")
UPLOAD, COMPONENT = f"{API}upload", f"{API}component_server"
ASKING = (f"{API}queue/join", f"{API}call/", f"{API}mcp")
DEAR = ("/openapi.json", "/manifest.json", "/theme.css", f"{API}theme.css")  # of what can be read
SMALL = 64_000  # bytes of any other request
COMPONENT_BYTES = 1_500_000  # a grid of 64 cells a side in base64, twice
QUESTION_BYTES = 13_000_000  # a picture of 8 MB in base64; a million characters, escaped as JSON
UPLOAD_BYTES = 32_000_000 + SMALL  # a table, and what stands around it
UNDECLARED = (
    1_000_000  # bytes of a question whose size is not said before it; browsers and HTTP libraries say it
)
PARTS = 300_000  # of JSON: numbers, texts, lists; a drawing as long as the page takes one
LARGE = 256_000  # bytes from which on a question waits for memory
ROOM, ROOM_EACH = (
    192_000_000,
    96_000_000,
)  # bytes of large questions that are read or wait, of all and of an address
PATIENCE = 60.0  # seconds in which there must be room
PAUSE = 30.0  # seconds between two parts of a request
SLOWEST = 500.0  # bytes a second, after the first minute; a telephone line has ten times that
# Bytes a second that are read of all who sent much lately, while others wait for their turn; and what is much, in
# seconds of the processor that reading takes.
RATE, MUCH = 6_000_000, 0.2
REQUEST, BYTE = 1e-3, 5e-9  # seconds of the processor that reading takes
SLOTS, SLOTS_EACH = 3, 96  # of component calls: at work, and of an address at work or waiting

FOREIGN = "This page answers its own visitors only, not the pages of other sites."
LATE = "The request came in too slowly: send it again."
COMPLEX = f"The question has more than {PARTS:,} parts."
CROWD = "The page is busy: try again in a minute."
FAILED = "That did not work. If it happens again, reload the page."
LOST = "Nobody has asked under this name, or the answer was not fetched in time: ask again."
UNKNOWN = "There is no such question, or it was not asked as the page's API says."
ONE_FILE = "A request may hold one file and nothing else: send each on its own."
SESSION = re.compile(rb'"session_hash"\s*:\s*"([a-z0-9]{1,64})"')
logger = logging.getLogger(__name__)


class Refused(Exception):
    """A request that is not answered, with the status and the sentence that it gets instead."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Slots:
    """A few may work at once; among those who wait, the person who had the least lately is next."""

    def __init__(self, count: int, each: int, shares: Shares) -> None:
        self.free, self.each, self.shares = count, each, shares
        self.held: Counter[str] = Counter()
        self.waiting: dict[asyncio.Future[None], Person] = {}

    @asynccontextmanager
    async def turn(self, address: str, session: str = NEWCOMERS) -> AsyncIterator[None]:
        if self.held[address] >= self.each:
            raise Refused(429, CROWD)
        self.held[address] += 1
        loop = asyncio.get_running_loop()
        try:
            await self._take(loop, (address, session))
            started = loop.time()
            try:
                yield
            finally:
                self.shares.charge(address, session, loop.time() - started)
                self._give()
        finally:
            self.held[address] -= 1
            if not self.held[address]:
                del self.held[address]

    async def _take(self, loop: asyncio.AbstractEventLoop, person: Person) -> None:
        if self.free:
            self.free -= 1
            return
        future: asyncio.Future[None] = loop.create_future()
        self.waiting[future] = person
        try:
            await future
        except asyncio.CancelledError:
            if self.waiting.pop(future, None) is None:  # it was our turn just then
                self._give()
            raise

    def _give(self) -> None:
        future = min(self.waiting, key=lambda future: self.shares.had(*self.waiting[future]), default=None)
        if future is None:
            self.free += 1
            return
        del self.waiting[future]
        future.set_result(None)


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app, self.house = app, house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send) if scope["type"] == "lifespan" else None
        answer = Answer(send)
        try:
            await self._let_in(scope, Headers(scope=scope), receive, answer)
        except Refused as refused:
            self.house.refused[refused.status] += 1
            answer.refusal = answer.refusal or refused
        except Exception as error:
            if answer.started:
                raise
            answer.refusal = answer.refusal or _meaning(error)
        if answer.refusal is not None and not answer.started:
            body = {"detail": answer.refusal.sentence, "error": answer.refusal.sentence}
            headers = {"Retry-After": "10"} if answer.refusal.status in (429, 503, 507) else {}
            await JSONResponse(body, answer.refusal.status, headers)(scope, receive, send)

    async def _let_in(self, scope: Scope, headers: Headers, receive: Receive, answer: Answer) -> None:
        path, address = scope["path"], address_of(scope)
        ADDRESS.set(address)
        if scope["method"] in SAFE:
            if (lost := self.house.lost(scope)) is not None:
                return await lost(scope, receive, answer.send)
            with self.house.listening(scope):
                async with self.house.slots.turn(address) if path.startswith(DEAR) else nullcontext():
                    return await self.app(scope, receive, answer.send)
        if is_foreign(headers, scope):
            raise Refused(403, FOREIGN)
        most = bytes_allowed(path)
        declared = headers.get("content-length", "")
        if not declared.isdigit() and not path.startswith(UPLOAD):
            most = min(most, UNDECLARED)
        size = int(declared) if declared.isdigit() else most
        if size > most:
            raise Refused(413, too_large(most))
        self.house.turns.shares.charge(address, NEWCOMERS, REQUEST)
        arriving = Arriving(receive, most, answer, self.house.pace(address))
        if path.startswith(UPLOAD) and not path.startswith(f"{UPLOAD}_"):
            return await self._upload(scope, arriving.receive, answer, address, size)
        if not headers.get("content-type", "").startswith("application/json"):
            raise Refused(415, "The page takes JSON.")
        async with self.house.room(address, size):
            body = await arriving.whole()
            scope["page.bytes"] = len(body)
            if _parts(body) > PARTS:
                raise Refused(413, COMPLEX)
            again = Again(body, receive).receive
            slots = self.house.slots
            async with slots.turn(address, _session(body)) if path.startswith(COMPONENT) else nullcontext():
                await self.app(scope, again, answer.send)

    async def _upload(self, scope: Scope, receive: Receive, answer: Answer, address: str, size: int) -> None:
        disk = self.house.disk
        if refusal := disk.refusal(address, size):
            raise Refused(507, refusal)
        disk.arriving[address] += size
        try:
            await self.app(scope, receive, answer.send)
        finally:
            disk.arriving[address] -= size
            for name in parse_qs(scope["query_string"].decode("latin-1")).get("upload_id", ()):
                asyncio.get_running_loop().call_later(PAUSE, file_upload_statuses.stop_tracking, name)
        if answer.status == 200:
            for path in json.loads(answer.body):
                disk.add(path, address)


class House:
    """What the gate knows: who is here, who works, and what there is room for."""

    def __init__(self, turns: Turns, disk: Disk) -> None:
        self.turns, self.disk = turns, disk
        self.slots = Slots(SLOTS, SLOTS_EACH, turns.shares)
        self.here: Counter[str] = Counter()  # pages that are open, by session
        self.reading: Counter[str] = Counter()  # bytes of large questions that are read, by address
        self.paces: WeakValueDictionary[str, Pace] = WeakValueDictionary()
        self.refused: Counter[int] = Counter()

    def is_here(self, session: str) -> bool:
        """Whether a session has a connection open."""
        return bool(self.here[session] or self.turns.listeners[session])

    def _reads(self, scope: Scope) -> str | None:
        """The session whose answers a request asks for, if it does."""
        path = scope["path"].rstrip("/")
        if path == f"{API}queue/data":
            return parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        if path.startswith(f"{API}call/") and path.count("/") > 3:
            return self.turns.session_of(path.rpartition("/")[2])
        return None

    def lost(self, scope: Scope) -> Response | None:
        """What to tell whoever asks for answers that there will not be; Gradio would begin a stream and break off."""
        session, of_page = self._reads(scope), scope["path"].startswith(f"{API}queue")
        if session is None or (of_page and session not in self.turns.dropped):
            return None
        if not of_page and session in self.turns.pending_messages_per_session:
            return None
        self.turns.dropped.pop(session, None)
        message = {"msg": "unexpected_error", "message": LOST, "success": False, "session_not_found": True}
        text = json.dumps(message if of_page else LOST)
        event = "" if of_page else "event: error\n"  # 3.10 takes no backslash inside
        return Response(f"{event}data: {text}\n\n", media_type="text/event-stream")

    @contextmanager
    def listening(self, scope: Scope) -> Iterator[None]:
        """Know of a session for as long as it keeps a stream open."""
        path = scope["path"].rstrip("/")
        if (session := self._reads(scope)) is not None:
            with self.turns.listening(session):
                yield
        elif path.startswith(f"{API}heartbeat/"):
            session = path.rpartition("/")[2]
            self.here[session] += 1
            try:
                yield
            finally:
                self.here[session] -= 1
                if not self.here[session]:
                    del self.here[session]
        else:
            yield

    def pace(self, address: str) -> Pace:
        """Of all that an address sends."""
        found = self.paces.get(address)
        if found is None:
            found = self.paces[address] = Pace(self, address)
        return found

    @asynccontextmanager
    async def room(self, address: str, size: int) -> AsyncIterator[None]:
        """Memory for a large question; until there is, its sender waits."""
        if size < LARGE:
            yield
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while not self._has_room(address, size):
            if loop.time() > until:
                raise Refused(503, CROWD)
            await asyncio.sleep(0.05)
        self.reading[address] += size
        try:
            yield
        finally:
            self.reading[address] -= size

    def _has_room(self, address: str, size: int) -> bool:
        held = self.reading + self.turns.held()
        return held.total() + size <= ROOM and held[address] + size <= ROOM_EACH


class Pace:
    """How fast an address is read: as fast as it sends, unless it sent much while others wait for their turn."""

    def __init__(self, house: House, address: str) -> None:
        self.turns, self.all, self.address, self.until = house.turns, house.paces, address, 0.0

    async def keep(self, size: int) -> None:
        """So many bytes were read."""
        shares = self.turns.shares
        shares.charge(self.address, NEWCOMERS, BYTE * size)
        if self.turns.strained and shares.spent[self.address, NEWCOMERS] > MUCH:
            now = asyncio.get_running_loop().time()
            self.until = max(self.until, now)
            slowed = sum(pace.until >= now for pace in self.all.values())
            self.until += slowed * size / RATE
            await asyncio.sleep(min(self.until - now, PAUSE))


class Arriving:
    """A body as it comes: counted, and not waited for for ever."""

    def __init__(self, receive: Receive, most: int, answer: Answer, pace: Pace) -> None:
        self.inner, self.most, self.answer, self.pace = receive, most, answer, pace
        self.bytes, self.done = 0, False
        self.waiting: asyncio.Task[Any] | None = None
        self.lost = False
        self.since = asyncio.get_running_loop().time()

    async def receive(self) -> Message:
        if self.done:
            return await self.inner()
        message = await self._next()
        self.bytes += len(message.get("body", b""))
        self.done = not message.get("more_body", False)
        seconds = asyncio.get_running_loop().time() - self.since
        if self.bytes > self.most:
            raise self._refuse(413, too_large(self.most))
        if not self.done and seconds > PATIENCE and self.bytes < SLOWEST * seconds:
            raise self._refuse(408, LATE)
        await self.pace.keep(len(message.get("body", b"")))
        return message

    async def _next(self) -> Message:
        """What comes next. Mostly it is there, and ``wait_for`` would start a task for it all the same."""
        task, patience = (
            asyncio.current_task(),
            asyncio.get_running_loop().call_later(PAUSE, self._lose_patience),
        )
        self.waiting = task
        try:
            return await self.inner()
        except asyncio.CancelledError:
            if not self.lost:
                raise
            if task is not None and hasattr(task, "uncancel"):  # not in Python 3.10
                task.uncancel()
            raise self._refuse(408, LATE) from None
        finally:
            patience.cancel()

    def _lose_patience(self) -> None:
        self.lost = True
        if self.waiting is not None:
            self.waiting.cancel()

    async def whole(self) -> bytes:
        parts: list[bytes] = []
        while not self.done:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "The request did not arrive whole.")
            parts.append(message.get("body", b""))
        return b"".join(parts)

    def _refuse(self, status: int, sentence: str) -> Refused:
        """Also where whoever reads the body turns the exception into another one."""
        self.answer.refusal = Refused(status, sentence)
        return self.answer.refusal


class Again:
    """A body that was read, to be read again; then whatever follows it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self.body: bytes | None = body
        self.inner = receive

    async def receive(self) -> Message:
        if self.body is None:
            return await self.inner()
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}


class Answer:
    """What the application says, unless it is to be said otherwise; of a short one also the body."""

    def __init__(self, send: Send) -> None:
        self.inner = send
        self.refusal: Refused | None = None
        self.started, self.status, self.body = False, 0, b""

    async def send(self, message: Message) -> None:
        if self.refusal is not None and not self.started:
            return
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
        elif len(self.body) < SMALL:
            self.body += message.get("body", b"")
        await self.inner(message)


def is_foreign(headers: Headers, scope: Scope) -> bool:
    """Whether a request was made by a page from elsewhere, be it from another port of this machine.

    Browsers say where from, programs do not; what says so cannot be set by a page (Fetch Metadata; RFC 6454).
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    ours = {headers.get(name, "").lower() for name in ("host", "x-forwarded-host")} - {""}
    return urlsplit(origin.lower()).netloc not in ours


def bytes_allowed(path: str) -> int:
    """How large the body of a request may be."""
    if path.startswith(UPLOAD):
        return UPLOAD_BYTES
    if path.startswith(COMPONENT):
        return COMPONENT_BYTES
    return QUESTION_BYTES if path.startswith(ASKING) else SMALL


def too_large(most: int) -> str:
    return f"The request is too large: it may have {most / 1e6:.3g} MB."


def _session(body: bytes) -> str:
    """The session that a component's question names, if it does; it counts with the address only."""
    found = SESSION.search(body)
    return found[1].decode() if found else NEWCOMERS


def _parts(body: bytes) -> int:
    """At most how many values a JSON text holds; where texts in it make it look large, without these."""
    count = sum(map(body.count, (b",", b"[", b"{")))
    if count > PARTS:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
        if (marks := body.count(b'"')) > 4 * PARTS:
            return marks
        outside = b" ".join(body.split(b'"')[::2])
        count = sum(map(outside.count, (b",", b"[", b"{")))
    return count


def _meaning(error: Exception) -> Refused:
    """What is said of an exception that nobody caught."""
    if isinstance(error, OSError) and error.errno in FULL_ERRORS:
        logger.warning("no room on the disk: %s", error)
        return Refused(507, FULL)
    logger.error("a request failed", exc_info=error)
    return (
        Refused(400, UNKNOWN)
        if isinstance(error, (LookupError, TypeError, ValueError))
        else Refused(500, FAILED)
    )
