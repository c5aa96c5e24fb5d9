"""Who a visitor is, and what the page keeps of each, bounded in bytes.

A session's name is a line of text that anyone can invent, an address is not: whoever invents sessions crowds out
their own.
"""

from __future__ import annotations

import ipaddress
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import gradio as gr
from gradio.state_holder import SessionState, StateHolder
from PIL import Image
from starlette.types import Scope
from torch import Tensor

KEPT_BYTES = 128_000_000  # of all visitors together
KEPT_EACH = 8_000_000  # of one: a text of a million characters, or a picture as large as the page keeps one
KEPT_SESSIONS = 1024  # of 20 KB each, besides what they keep
FORGOTTEN = 6 * 3600.0  # seconds without a word
NOBODY = "nobody"

# Whose question is being answered, wherever in the program.
ADDRESS: ContextVar[str] = ContextVar("address", default=NOBODY)


def address_of(scope: Scope) -> str:
    """Where a request comes from; of IPv6 the first 64 bits, since whoever has one address has all that begin so."""
    client = scope.get("client")
    return shortened(client[0]) if client else NOBODY


def shortened(address: str) -> str:
    """An address as visitors are told apart by it."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False).network_address)


def size_of(value: Any) -> int:
    """Bytes that a value takes in memory, roughly: those of scenes and of answers."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, Image.Image):
        return value.width * value.height * len(value.getbands())
    if is_dataclass(value):
        return sum(size_of(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return sys.getsizeof(value) + sum(size_of(key) + size_of(item) for key, item in value.items())
    if isinstance(value, (tuple, list, set)):
        return sys.getsizeof(value) + sum(map(size_of, value))
    return sys.getsizeof(value)


class Session(SessionState):
    """What is kept of one: the values of ``gr.State`` and its own components, but no copy of all that it was shown."""

    def __init__(self, name: str, holder: Visitors) -> None:
        # Gradio copies the configuration of every component, 0.25 MB, for deep links, which this page has not.
        page: Any = SimpleNamespace(default_config=holder.blocks.default_config, blocks=())
        super().__init__(page)
        self.name, self.holder, self.address = name, holder, ADDRESS.get()
        self.used = time.monotonic()
        self.sizes: dict[int, int] = {}

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if not isinstance(block, gr.State):
            self.blocks_config.blocks[key] = value
            return
        self._state_ttl[key] = block.time_to_live, datetime.now()
        self.state_data[key] = value
        self.sizes[key] = size_of(value)
        self.holder.keep(self)

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


class Visitors(StateHolder):
    """Sessions, the one used longest ago first. Who stores nothing is not kept; who is on the page is forgotten last.

    Args:
        page: whose visitors they are.
        is_here: whether a session has a connection open.
        most: bytes of all.
        each: bytes of one.
        sessions: how many.
    """

    def __init__(
        self,
        page: gr.Blocks,
        is_here: Callable[[str], bool] = lambda name: False,
        most: int = KEPT_BYTES,
        each: int = KEPT_EACH,
        sessions: int = KEPT_SESSIONS,
    ) -> None:
        super().__init__()
        self.session_data: OrderedDict[str, Session] = OrderedDict()  # type: ignore[assignment]
        self.set_blocks(page)
        self.is_here, self.most, self.each, self.sessions = is_here, most, each, sessions
        # Those of the questions under way, so that two at once of a new visitor mean the same session.
        self.new: WeakValueDictionary[str, Session] = WeakValueDictionary()

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(session.size for session in self.session_data.values())

    def __getitem__(self, name: str) -> Session:
        with self.lock:
            found = self.session_data.get(name) or self.new.get(name)
            if found is None:
                found = self.new[name] = Session(name, self)
            elif name in self.session_data:
                self.session_data.move_to_end(name)
            found.used = time.monotonic()
            return found

    def keep(self, session: Session) -> None:
        """It has stored something; forget others, or itself, until all is within bounds."""
        with self.lock:
            self.session_data[session.name] = session
            self.session_data.move_to_end(session.name)
            if session.size > self.each:
                self._forget(session)
            size = self.size
            while size > self.most or len(self.session_data) > self.sessions:
                victim = self._victim(session, by_size=size > self.most)
                size -= victim.size
                self._forget(victim)

    def _victim(self, newest: Session, by_size: bool) -> Session:
        """Of the address that has most: one who is not here if there is any, and of these the one used longest ago."""
        held: Counter[str] = Counter()
        for session in self.session_data.values():
            held[session.address] += session.size if by_size else 1
        others = [session for session in self.session_data.values() if session is not newest] or [newest]
        # The first of equals.
        return max(others, key=lambda session: (held[session.address], not self.is_here(session.name)))

    def _forget(self, session: Session) -> None:
        self.session_data.pop(session.name, None)
        session.state_data.clear()
        session.sizes.clear()

    def delete_all_expired_state(self) -> None:
        """Gradio asks every second."""
        super().delete_all_expired_state()
        late = time.monotonic() - FORGOTTEN
        with self.lock:
            for session in list(self.session_data.values()):
                session.sizes = {key: n for key, n in session.sizes.items() if key in session.state_data}
                if session.used < late and not self.is_here(session.name):
                    self._forget(session)
