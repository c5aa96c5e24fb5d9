"""Who had how much of the processor lately, so that whoever had little is answered before whoever had much.

An address may be one person or a class of thirty, and a session's name is a line of text that anyone can invent. So a
session stands for a person once it has read an answer; the others of an address share one account, which counts as that
of ``NEW`` people; and an address counts as ``PEOPLE`` at most, however many sessions it keeps.
"""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

PEOPLE, NEW = 32, 8  # behind one address: a class; and those of it whom nobody knows yet
KNOWN = 4096  # sessions that stand for a person, of all addresses
FADING = 0.93  # of what somebody had, each second: half of it in ten
TRACE = 0.001  # seconds that are forgotten
NEWCOMERS = ""  # the session that stands for those of an address that have read nothing yet

Person = tuple[str, str]  # address and session


class Shares:
    """Seconds of the processor, by person and by address."""

    def __init__(self) -> None:
        self.spent: defaultdict[Person, float] = defaultdict(float)
        self.together: defaultdict[str, float] = defaultdict(float)
        self.known: OrderedDict[Person, None] = OrderedDict()  # the one heard of longest ago first
        self._lock = threading.Lock()

    def person(self, address: str, session: str) -> Person:
        """Whose account a session is on."""
        return (address, session) if (address, session) in self.known else (address, NEWCOMERS)

    def had(self, address: str, session: str) -> float:
        """Seconds that whoever asks had lately; at least a share of what the address had."""
        person = self.person(address, session)
        own = self.spent.get(person, 0.0) / (1 if person[1] else NEW)
        return max(own, self.together.get(address, 0.0) / PEOPLE)

    def charge(self, address: str, session: str, seconds: float) -> None:
        """Work was done for them; from any thread."""
        with self._lock:
            self.spent[self.person(address, session)] += seconds
            self.together[address] += seconds

    def has_read(self, address: str, session: str, seconds: float) -> None:
        """A session has read an answer that took so long: what was charged to all newcomers is its own."""
        if (address, session) not in self.known:
            with self._lock:
                self.spent[address, NEWCOMERS] = max(0.0, self.spent[address, NEWCOMERS] - seconds)
                self.spent[address, session] += seconds
        self.known[address, session] = None
        self.known.move_to_end((address, session))
        while len(self.known) > KNOWN:
            self.known.popitem(last=False)

    def fade(self) -> None:
        """Each second: let the past count for less."""
        with self._lock:
            for spent in (self.spent, self.together):
                for who, seconds in list(spent.items()):
                    spent[who] = seconds * FADING  # type: ignore[index]
                    if seconds < TRACE:
                        del spent[who]  # type: ignore[arg-type]


@dataclass
class Meter:
    """What a question took: seconds of the processor, and seconds that its function ran."""

    cpu: float = 0.0
    wall: float = 0.0
    elsewhere: bool = False  # waits for another process


# Of the question that is being answered.
METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def elsewhere() -> Iterator[Meter]:
    """While another process works for the question that is being answered; it adds to the meter what that took."""
    meter = METER.get() or Meter()
    meter.elsewhere = True
    try:
        yield meter
    finally:
        meter.elsewhere = False


@dataclass
class _Running:
    """Adds what happens inside of a ``with`` to the meter of the question."""

    meter: Meter | None = field(default_factory=METER.get)

    def __enter__(self) -> None:
        self.cpu, self.wall = time.thread_time(), time.monotonic()

    def __exit__(self, *error: object) -> None:
        if self.meter is not None:
            self.meter.cpu += time.thread_time() - self.cpu
            self.meter.wall += time.monotonic() - self.wall


def metered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler of the page, or a generator of one, that tells the question's meter what it took."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def steps(*args: Any, **options: Any) -> Iterator[Any]:
            made = function(*args, **options)
            while True:
                with _Running():
                    try:
                        value = next(made)
                    except StopIteration:
                        return
                yield value

        return steps

    @functools.wraps(function)
    def handler(*args: Any, **options: Any) -> Any:
        with _Running():
            return function(*args, **options)

    return handler
