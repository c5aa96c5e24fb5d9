"""Whose turn it is: Gradio's queue with bounds for each visitor, fair turns, and an end for work that nobody waits for.

Gradio answers first come, first served, up to one bound for all, and goes on working for whoever left. Here an address
and a session may have so many questions open, waiting, answered or unread; the next turn is that of the address which
had the least time lately, in it of such a session; and a question that nobody listens for ends within seconds.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gradio as gr
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, EventQueue, Queue
from gradio.server_messages import EstimationMessage
from gradio.utils import LRUCache
from gradio_client.utils import is_http_url_like

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
FADING = 0.93  # of the time that somebody had, each second
LONG = (
    "text-table",
    "meshes",
    "yourown-open",
)  # lanes whose work may take long: an address never has all of one
# Answers at work, those of long lanes besides: who waits has a turn, who is one of fifty threads on two cores has none.
AT_WORK = max(6, 2 * (os.cpu_count() or 1))

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
        self.spent: defaultdict[str, float] = defaultdict(
            float
        )  # seconds of work lately, by address and by session
        self.running: Counter[tuple[str, str]] = Counter()  # by lane and address
        self.dropped: OrderedDict[str, None] = OrderedDict()  # sessions that asked and were not answered
        self.changed = True  # since nobody was found whose turn it is
        self.refused = self.abandoned = 0

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
        self.changed = True
        self.quiet.pop(session, None)
        if session not in self.pending_messages_per_session:  # a page that has nothing to ask listens too
            self.pending_messages_per_session[session] = Unread()
        try:
            yield
        finally:
            self.listeners[session] -= 1
            if not self.listeners[session]:
                del self.listeners[session]
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
        for who in list(self.spent):
            self.spent[who] *= FADING
            if self.spent[who] < 0.001:
                del self.spent[who]
        self.changed = True

    def _is_wanted(self, lane: EventQueue) -> bool:
        """Whether somebody who listens waits for a lane that is full."""
        return not _has_room(lane) and any(self.listeners[event.session_hash] for event in lane.queue)

    def _lanes(self, session: str) -> set[str]:
        """Where a session's questions wait or are answered."""
        asked = (self.event_ids_to_events.get(i) for i in self.pending_event_ids_session.get(session, ()))
        return {event.concurrency_id for event in asked if event is not None}

    # ---- whose turn it is ----

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """The next question of any lane that has room; no function of the page takes several at once."""
        if not self.changed:
            return None
        busy = {address for _, address in self.running}
        full = sum(count for (lane, _), count in self.running.items() if lane not in LONG) >= AT_WORK
        lanes = [
            lane
            for name, lane in self.event_queue_per_concurrency_id.items()
            if lane.queue and _has_room(lane) and (name in LONG or not full)
        ]
        ready = (event for lane in lanes for event in lane.queue if self._may_start(event, lane, busy))
        event = min(ready, key=self._account, default=None)
        if event is None:
            self.changed = False
            return None
        self.event_queue_per_concurrency_id[event.concurrency_id].queue.remove(event)
        return [event], False, event.concurrency_id

    def _may_start(self, event: Event, lane: EventQueue, busy: set[str]) -> bool:
        """Not without a listener, unless its address has nothing else under way: the stream is opened by and by."""
        address = self.asked.get(event.session_hash, "")
        if not self.listeners[event.session_hash] and address in busy:
            return False
        limit = lane.concurrency_limit
        return (
            lane.concurrency_id not in LONG or limit is None or limit < 2
            or self.running[lane.concurrency_id, address] < limit - 1
        )  # fmt: skip

    def _account(self, event: Event) -> tuple[bool, float, float, float]:
        session = event.session_hash
        address = self.asked.get(session, "")
        return not self.listeners[session], self.spent[address], self.spent[session], event.enqueue_time

    async def process_events(self, events: list[Event], batch: bool, begin_time: float, fn: Any) -> None:
        (event,), started = events, time.monotonic()
        address = address_of(event.request.scope)
        ADDRESS.set(address)
        self.running[event.concurrency_id, address] += 1
        try:
            await super().process_events(events, batch, begin_time, fn)
        finally:
            self.running[event.concurrency_id, address] -= 1
            if not self.running[event.concurrency_id, address]:
                del self.running[event.concurrency_id, address]
            for who in (address, event.session_hash):
                self.spent[who] += time.monotonic() - started
            if not event.alive:
                self.pending_event_ids_session.get(event.session_hash, set()).discard(event._id)
            self.changed = True


def _has_room(lane: EventQueue) -> bool:
    return lane.concurrency_limit is None or lane.current_concurrency < lane.concurrency_limit
