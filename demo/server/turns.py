"""Whose turn it is: Gradio's queue with bounds for each visitor, fair turns, and an end for work that nobody waits for.

Gradio answers first come, first served, up to one bound for all, and goes on working for whoever left. Here an address
and a session may have so many questions open, waiting, answered or unread; the next turn is that of the person who
waits longest, where what somebody had of the processor lately (:mod:`demo.server.shares`), and what the question will
take, count as having come later; whoever had more than a share leaves places to others; and a question that nobody
listens for ends within seconds.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import time
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from math import inf
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, EventQueue, Queue
from gradio.server_messages import EstimationMessage
from gradio.utils import LRUCache
from gradio_client.utils import is_http_url_like

from demo.server.shares import METER, Meter, Shares, metered
from demo.server.visitors import ADDRESS, address_of, size_of

ALL = 2048  # questions that wait, are answered or are unread
EACH = 640  # of an address: thirty who open the page at once ask 300
SESSION = 40
UNREAD = 64_000_000  # bytes of answers that wait to be read, of an address; one of a table has up to 40 MB
NAME = 64  # characters of a session's name; Gradio's own have 11 or 32
# Seconds without anybody listening after which work ends; those in which the page is deaf do not count. A browser
# that is starved of its processor takes ten of them to open its stream.
ABANDONED = 30
IN_THE_WAY = 8  # seconds after which it ends where somebody who listens waits for its lane
LONG = (
    "text-table",
    "meshes",
    "yourown-open",
)  # lanes whose work may take long: an address never has all of one
BESIDES = ("text-table", "yourown-open")  # of these, lanes that take no place from the others
# Answers at work at once: who waits has a turn, who is one of fifty threads on two cores has none.
AT_WORK = 1.0 + max(2, os.cpu_count() or 1)
AROUND = 0.05  # seconds of a question in which nothing is computed: the shorter it is, the less of a place it takes
# Seconds of the processor, lately and with what is asked: whoever had more leaves half of the places to others, and
# one of a lane; for each second of waiting it may be more.
SHARE, EARNED = 0.4, 0.1
HANDICAP = 5.0  # seconds that a second of the processor sets one back among those who wait
# Seconds that a question takes of whose like nothing is known, and for each byte of a text or a file with it.
USUAL, A_BYTE = 0.05, 2e-7
LEARNING = 0.2  # of what a question took, in what the next one of its like is taken to
KINDS = 1024  # of questions whose time is remembered
WORD = 32  # characters up to which a text is a choice, as of a model or an effort, and not a matter
LATELY = 60.0  # seconds of which waits are told
LATE = 0.2  # seconds that somebody within a share waits, or the page is deaf, from which on it is strained

BUSY = "The page has too many questions to answer at present: try again in a minute."
MANY = "You have many questions open: wait for their answers, and ask again."


class Unread(asyncio.Queue):
    """Messages for a session that nobody has fetched yet, and their size."""

    bytes = 0

    def _put(self, item: Any) -> None:
        self.bytes += size_of(getattr(item, "output", None))
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.bytes -= size_of(getattr(item, "output", None))
        return item


class Kind(NamedTuple):
    """What a question has in common with others that take as long: how much it brings, as a power of four, and what
    is chosen."""

    function: int
    size: int
    chosen: tuple[str, ...]


@dataclass
class Work:
    """A question that is being answered: where, for whom, and what it took of the processor."""

    lane: str
    address: str
    session: str
    place: float
    meter: Meter = field(default_factory=Meter)
    charged: float = 0.0

    @property
    def takes(self) -> float:
        """Of the places that there are."""
        return 0.0 if self.meter.elsewhere or self.lane in BESIDES else self.place


@dataclass
class Lane:
    """What was done in a lane so far."""

    answered: int = 0
    cpu: float = 0.0
    wall: float = 0.0


class Turns(Queue):
    """In place of the queue of a page, before it is launched."""

    def __init__(self, page: gr.Blocks) -> None:
        plain = page._queue
        super().__init__(
            plain.live_updates, plain.max_thread_count, plain.update_intervals, ALL, page,
            plain.default_concurrency_limit,
        )  # fmt: skip
        self.pending_messages_per_session = LRUCache(2 * ALL)
        self.asked: dict[str, str] = {}  # address of each session that has questions open
        self.listeners: Counter[str] = Counter()  # streams that are open, by session
        self.quiet: dict[str, int] = {}  # seconds for which nobody has listened to a session that asked
        self.shares = Shares()
        # Seconds of the processor that a question of a kind takes, the kind heard of longest ago first.
        self.costs: OrderedDict[Kind, float] = OrderedDict()
        self.kinds: WeakKeyDictionary[Event, Kind] = WeakKeyDictionary()
        self.at_work: dict[str, Work] = {}  # by question
        self.lanes: defaultdict[str, Lane] = defaultdict(Lane)
        # When a question of somebody within a share began to be answered, and how long it had waited.
        self.waits: deque[tuple[float, float]] = deque(maxlen=10 * ALL)
        self.heard: dict[str, float] = {}  # since when somebody listens to a session
        self.dropped: OrderedDict[str, None] = OrderedDict()  # sessions that asked and were not answered
        self.changed = True  # since nobody was found whose turn it is
        self.refused = self.abandoned = 0
        self.strained = False
        for fn in page.fns.values():
            if fn.fn is not None:
                fn.fn = metered(fn.fn)

    # ---- who asks ----

    async def push(self, body: PredictBodyInternal, request: Any, username: str | None) -> Any:
        """As Gradio's, which answers with a status and a sentence where it refuses."""
        if refusal := self._malformed(body):
            return False, refusal, "error"
        address = address_of(request.scope)
        session = body.session_hash = body.session_hash or uuid.uuid4().hex
        if refusal := self._crowded(session, address):
            self.refused += 1
            return False, refusal, "queue_full"
        self._expect(session, address)
        token = ADDRESS.set(address)
        try:
            found = await super().push(body, request, username)
            if (event := self.event_ids_to_events.get(str(found[1]))) is not None:
                self.kinds[event] = kind_of(event.fn._id, body.data)
        finally:
            ADDRESS.reset(token)
        with suppress(AttributeError):
            del request._body  # read; the question would hold it until it is answered
        self.changed = True
        return found

    def _malformed(self, body: PredictBodyInternal) -> str | None:
        if body.session_hash and len(body.session_hash) > NAME:
            return f"The name of a session may have {NAME} characters."
        fn = self.blocks.fns.get(body.fn_index) if isinstance(body.fn_index, int) else None
        if fn is None:
            return "There is no such function."
        if isinstance(body.data, list):
            body.data = filled(fn.fn, body.data, len(fn.inputs))
        if not isinstance(body.data, list) or len(body.data) != len(fn.inputs):
            return f"The function takes {len(fn.inputs)} values as data."
        if any(isinstance(v, dict) and is_http_url_like(str(v.get("path", ""))) for v in body.data):
            return "The page fetches nothing from elsewhere: upload the file."
        return None

    def _crowded(self, session: str, address: str) -> str | None:
        """Why there is no place for another question of a visitor, if so. What nobody listens for makes room."""
        open_ = self.pending_event_ids_session
        theirs = [name for name, where in self.asked.items() if where == address]
        unread = (self.pending_messages_per_session.get(name) for name in theirs)
        if len(open_.get(session, ())) >= SESSION or sum(q.bytes for q in unread if q is not None) > UNREAD:
            return MANY
        if sum(len(open_.get(name, ())) for name in theirs) >= EACH and not self._drop(theirs):
            return MANY
        everyone = list(self.asked)
        return BUSY if sum(map(len, open_.values())) >= ALL and not self._drop(everyone) else None

    def _drop(self, sessions: list[str]) -> bool:
        """Let go of the oldest question that nobody listens for, unless it is being answered just now."""
        for session in sessions:
            for event_id in (
                () if self.listeners[session] else list(self.pending_event_ids_session.get(session, ()))
            ):
                event = self.event_ids_to_events.get(event_id)
                if event is not None:
                    waiting = self.event_queue_per_concurrency_id[event.concurrency_id].queue
                    if event not in waiting:
                        continue
                    waiting.remove(event)
                    del self.event_ids_to_events[event_id]
                self._dropped(session, 1)
                self.pending_event_ids_session[session].discard(event_id)
                if not self.pending_event_ids_session[session]:
                    self._close(session)
                return True
        return False

    def _dropped(self, session: str, count: int) -> None:
        self.abandoned += count
        self.dropped[session] = None
        while len(self.dropped) > ALL:
            self.dropped.popitem(last=False)

    def send_message(self, event: Event, event_message: Any) -> None:
        """How long it may take is told to those who listen only: it would pile up."""
        if self.listeners[event.session_hash] or not isinstance(event_message, EstimationMessage):
            super().send_message(event, event_message)

    def compute_analytics_summary(self, records: Any) -> Any:
        """For a dashboard that this page has closed; it takes milliseconds of every answer."""
        return self.cached_event_analytics_summary

    def held(self) -> Counter[str]:
        """Bytes of the questions that wait or are answered, by address."""
        held: Counter[str] = Counter()
        for event in self.event_ids_to_events.values():
            held[self.asked.get(event.session_hash, "")] += event.request.scope.get("page.bytes", 0)
        return held

    # ---- who listens ----

    def _expect(self, session: str, address: str) -> None:
        self.asked[session] = address
        if session not in self.pending_messages_per_session:
            self.pending_messages_per_session[session] = Unread()
        if not self.listeners[session]:
            self.quiet.setdefault(session, 0)

    def _close(self, session: str) -> None:
        for kept in (self.asked, self.quiet, self.pending_event_ids_session):
            kept.pop(session, None)
        with suppress(KeyError):
            del self.pending_messages_per_session[session]

    def session_of(self, event_id: str) -> str:
        """The session that asked a question; the question's own name where it named none."""
        if (event := self.event_ids_to_events.get(event_id)) is not None:
            return event.session_hash
        return next((s for s, ids in self.pending_event_ids_session.items() if event_id in ids), event_id)

    @contextmanager
    def listening(self, session: str) -> Iterator[None]:
        """As long as somebody reads the answers of a session."""
        self.listeners[session] += 1
        self.heard.setdefault(session, time.monotonic())
        self.changed = True
        self.quiet.pop(session, None)
        if session not in self.pending_messages_per_session:  # a page that has nothing to ask listens too
            self.pending_messages_per_session[session] = Unread()
        try:
            yield
        finally:
            self.listeners[session] -= 1
            if not self.listeners[session]:
                del self.listeners[session], self.heard[session]
                if self.pending_event_ids_session.get(session):
                    self.quiet[session] = 0
                else:
                    self._close(session)

    async def tidy(self) -> None:
        """Each second: end what nobody waits for, and let the past fade."""
        for session in list(self.quiet):
            self.quiet[session] += 1
        wanted = {
            lane for lane, queue in self.event_queue_per_concurrency_id.items() if self._is_wanted(queue)
        }
        for session, seconds in list(self.quiet.items()):
            if seconds <= (IN_THE_WAY if wanted & self._lanes(session) else ABANDONED):
                continue
            ids = self.pending_event_ids_session.get(session, set())
            self._dropped(session, sum(event in self.event_ids_to_events for event in ids))
            await self.clean_events(session_hash=session)
            self._close(session)
        for work in self.at_work.values():
            self._charge(work)
        self.shares.fade()
        self.changed = True

    def _is_wanted(self, lane: EventQueue) -> bool:
        """Whether somebody who listens waits for a lane that is full."""
        return _room(lane) < 1 and any(self.listeners[event.session_hash] for event in lane.queue)

    def _lanes(self, session: str) -> set[str]:
        """Where a session's questions wait or are answered."""
        asked = (self.event_ids_to_events.get(i) for i in self.pending_event_ids_session.get(session, ()))
        return {event.concurrency_id for event in asked if event is not None}

    # ---- whose turn it is ----

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """The next question of any lane that has room; no function of the page takes several at once."""
        if not self.changed:
            return None
        event = min(self._ready(), key=self._account, default=None)
        if event is None:
            self.changed = False
            return None
        self.event_queue_per_concurrency_id[event.concurrency_id].queue.remove(event)
        self._begin(event)
        return [event], False, event.concurrency_id

    def _begin(self, event: Event) -> None:
        """It counts from now on, not from when its task first runs: the next turn may be given before."""
        if self._is_modest(event):
            now = time.monotonic()
            self.waits.append((now, now - self._since(event)))
        place = _place(self._cost(event))
        work = Work(event.concurrency_id, self._address(event), event.session_hash, place)
        self.at_work[event._id] = work

    def _ready(self) -> Iterator[Event]:
        """Questions that may be answered now: of each person's the oldest of its kind in a lane."""
        busy = Counter(work.address for work in self.at_work.values())
        places = AT_WORK - sum(work.takes for work in self.at_work.values())
        for name, lane in self.event_queue_per_concurrency_id.items():
            if not lane.queue or _room(lane) < 1 or (places <= 0 and name not in BESIDES):
                continue
            seen: set[tuple[Any, ...]] = set()
            for event in lane.queue:
                address, listens = self._address(event), bool(self.listeners[event.session_hash])
                like = self.shares.person(address, event.session_hash), self.kinds[event], listens
                if like in seen:
                    continue
                seen.add(like)
                # Without a listener only if nothing else of the address is under way: a stream is opened by and by.
                if (listens or not busy[address]) and self._fits(event, address, lane, places):
                    yield event

    def _fits(self, event: Event, address: str, lane: EventQueue, places: float) -> bool:
        """Whether there is a place for a question; whoever had more than a share leaves half of them to the others."""
        limit = lane.concurrency_limit or 2
        if lane.concurrency_id in LONG and limit > 1:
            here = sum(
                (work.lane, work.address) == (lane.concurrency_id, address) for work in self.at_work.values()
            )
            if here >= limit - 1:
                return False
        if lane.concurrency_id in BESIDES:
            return True
        waited = time.monotonic() - self._since(event)
        if self._due(event) <= SHARE + EARNED * waited:
            return places > 0
        return places > AT_WORK / 2 and (limit < 2 or _room(lane) >= 2)

    def _address(self, event: Event) -> str:
        return self.asked.get(event.session_hash, "")

    def _due(self, event: Event) -> float:
        """Seconds of the processor that whoever asks will have had lately once this is answered."""
        return self.shares.had(self._address(event), event.session_hash) + self._cost(event)

    def _cost(self, event: Event) -> float:
        kind = self.kinds[event]
        return self.costs.get(kind, USUAL + A_BYTE * float(4**kind.size))

    def _account(self, event: Event) -> tuple[bool, float]:
        """Who waits longest is next; what one had of the processor counts as having come later."""
        return not self.listeners[event.session_hash], self._since(event) + HANDICAP * self._due(event)

    async def process_events(self, events: list[Event], batch: bool, begin_time: float, fn: Any) -> None:
        (event,) = events
        work = self.at_work[event._id]
        ADDRESS.set(address_of(event.request.scope))
        METER.set(work.meter)
        try:
            await super().process_events(events, batch, begin_time, fn)
        finally:
            del self.at_work[event._id]
            self._charge(work)
            self._note(work, event)
            if not event.alive:
                self.pending_event_ids_session.get(work.session, set()).discard(event._id)
            elif self.listeners[work.session]:
                self.shares.has_read(work.address, work.session, work.meter.cpu)
            self.changed = True

    def _charge(self, work: Work) -> None:
        """What a question took since it was last charged for."""
        self.shares.charge(work.address, work.session, work.meter.cpu - work.charged)
        work.charged = work.meter.cpu

    def _note(self, work: Work, event: Event) -> None:
        lane = self.lanes[work.lane]
        lane.answered += 1
        lane.cpu += work.meter.cpu
        lane.wall += work.meter.wall
        before = self.costs.pop(self.kinds[event], work.meter.cpu)
        self.costs[self.kinds[event]] = before + LEARNING * (work.meter.cpu - before)
        while len(self.costs) > KINDS:
            self.costs.popitem(last=False)

    # ---- how long one waits ----

    def _since(self, event: Event) -> float:
        """When somebody began to wait for an answer: having asked, and listening."""
        return max(event.enqueue_time, self.heard.get(event.session_hash, 0.0))

    def waited(self, share: float = 0.95) -> float:
        """Seconds within which the turn of such a share of questions came, of people within their own, lately."""
        now = time.monotonic()
        found = sorted([*(seconds for when, seconds in self.waits if now - when < LATELY), *self._waiting()])
        return found[int(share * len(found))] if found else 0.0

    def _is_modest(self, event: Event) -> bool:
        """Whether it is asked by somebody known, who listens, and is within a share."""
        known = self.shares.person(self._address(event), event.session_hash)[1]
        return bool(known and self.listeners[event.session_hash]) and self._due(event) <= SHARE

    def _waiting(self) -> Iterator[float]:
        """How long such have waited by now."""
        now = time.monotonic()
        for lane in self.event_queue_per_concurrency_id.values():
            for event in lane.queue:
                if self._is_modest(event):
                    yield now - self._since(event)

    def look(self, deaf: float) -> None:
        """Now and then: whether the page is strained; ``deaf`` are seconds for which its loop did not get to this."""
        self.strained = deaf > LATE or max(self._waiting(), default=0.0) > LATE
        self.changed = True


def filled(function: Callable[..., Any] | None, values: list[Any], of: int) -> list[Any]:
    """The values of a call, with the function's own defaults for the last of ``of`` where they are left out.

    An endpoint that has learned one more thing to be asked for goes on answering the calls of before.
    """
    left_out = list(inspect.signature(function).parameters.values())[len(values) : of] if function else []
    return values + list(
        takewhile(lambda value: value is not inspect.Parameter.empty, (p.default for p in left_out))
    )


def kind_of(function: int, values: Any) -> Kind:
    """Of a question with these values."""
    size = sum(map(_bytes, values))
    chosen = tuple(value for value in values if isinstance(value, str) and len(value) <= WORD)
    return Kind(function, size.bit_length() // 2, chosen)


def _bytes(value: Any) -> int:
    """Of a text or an uploaded file."""
    if isinstance(value, dict) and isinstance(path := value.get("path"), str):
        with suppress(OSError, ValueError):
            return os.path.getsize(path)
    return len(value) if isinstance(value, str) else 0


def _place(cost: float) -> float:
    """How much of a place a question of so many seconds takes while it is under way."""
    return cost / (cost + AROUND)


def _room(lane: EventQueue) -> float:
    return inf if lane.concurrency_limit is None else lane.concurrency_limit - lane.current_concurrency
