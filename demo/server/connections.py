"""Connections: how many an address may hold, and for how long one may say nothing or read nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import h11
from uvicorn import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from demo.server.visitors import NOBODY, shortened

ALL = 2048
EACH = 384  # of an address: a class of thirty whose browsers open six each, twice
FILES = 8192  # that may be open, where the system lets us
OTHER_FILES = 256  # than connections
HEADERS = 15.0  # seconds until a request is whole but for its body
READING = 120.0  # seconds in which whoever is answered must take 48 KB of it
AT_ONCE = 65_536  # bytes that are read of one connection before the others have their turn
UNWANTED = 4_000_000  # bytes a second of a request that is answered already, which are read for the sender's sake only


class Connections:
    """Those that are open, by address. Proxies that are trusted to name their visitors may have all there are."""

    def __init__(self, most: int = ALL, each: int = EACH, proxies: Any = ()) -> None:
        self.most, self.each, self.proxies = most, each, proxies
        self.open: dict[Careful, str] = {}  # in the order they came
        self.held: Counter[str] = Counter()
        self.refused = 0

    def enter(self, connection: Careful) -> bool:
        """Let it in, if need be in place of one that says nothing; False where there is no place."""
        host = connection.client[0] if connection.client else NOBODY
        address = shortened(host)
        self.open[connection] = address
        self.held[address] += 1
        crowded = self.held[address] > self.each and host not in self.proxies
        if not crowded and len(self.open) <= self.most:
            return True
        heaviest = address if crowded else self.held.most_common(1)[0][0]
        silent = (other for other in self.open if self.open[other] == heaviest and other.is_silent)
        victim = next(silent, connection)
        self.leave(victim)
        victim.transport.abort()
        self.refused += 1
        return victim is not connection

    def leave(self, connection: Careful) -> None:
        address = self.open.pop(connection, None)
        if address is not None:
            self.held[address] -= 1
            if not self.held[address]:
                del self.held[address]


class Careful(H11Protocol):
    """uvicorn's protocol, whose patience has an end before a request is there, and while nobody reads the answer."""

    doors: Connections
    _silence: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it waits for a request, or for the rest of its headers."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # of asyncio's own, where it is 256 KB
            transport.max_size = AT_ONCE
        if self.doors.enter(self):
            self._listen()

    def connection_lost(self, exc: Exception | None) -> None:
        self.doors.leave(self)
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY:
            self.transport.pause_reading()
            self.loop.call_later(len(data) / UNWANTED, self._read_on)
        if not self.is_silent and self._silence is not None:
            self._silence.cancel()
            self._silence = None
        elif self.is_silent and self._silence is None and not self.transport.is_closing():
            self._listen()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._silence is not None:  # uvicorn's own patience begins
            self._silence.cancel()
            self._silence = None

    def _listen(self) -> None:
        self._silence = self.loop.call_later(HEADERS, self.transport.abort)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(READING, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _cancel(self) -> None:
        for timer in (self._silence, self._stuck):
            if timer is not None:
                timer.cancel()


def raise_limit() -> int:
    """Let the process open as many files as the system allows, up to ``FILES``; how many connections there may be."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return ALL
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(64, min(ALL, soft - OTHER_FILES))


def guard(config: Config) -> Connections:
    """Have a server that was started by Gradio, which passes no options on to uvicorn, guard its connections."""
    if not config.loaded:
        config.load()
    proxies = config.loaded_app.trusted_hosts if isinstance(config.loaded_app, ProxyHeadersMiddleware) else ()
    connections = Connections(raise_limit(), proxies=proxies)
    config.http_protocol_class = type("Guarded", (Careful,), {"doors": connections})
    config.ws_protocol_class = None
    return connections
