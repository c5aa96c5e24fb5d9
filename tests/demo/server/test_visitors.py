"""What is kept of visitors and on the disk, and whose turn it is: bounded, fair, and the active are spared."""

from __future__ import annotations

import asyncio
import errno
import json
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import gradio as gr
import pytest
import torch
from PIL import Image

from demo.models.registry import Models
from demo.server import disk, log, serve, turns
from demo.server.connections import Connections
from demo.server.disk import Disk
from demo.server.gate import House, Pace, Refused, Slots, _meaning, _parts, is_foreign
from demo.server.shares import METER, Meter, Shares, metered
from demo.server.turns import Turns, filled
from demo.server.visitors import ADDRESS, Visitors, shortened, size_of

T = TypeVar("T")


@pytest.fixture
def page() -> gr.Blocks:
    with gr.Blocks() as found:
        gr.State(None)
        gr.Textbox()
    return found


def store(found: Visitors, page: gr.Blocks, session: str, address: str, size: int) -> None:
    token = ADDRESS.set(address)
    key = next(key for key, block in page.blocks.items() if isinstance(block, gr.State))
    found[session][key] = b"x" * size
    ADDRESS.reset(token)


def finished(task: Coroutine[Any, Any, T]) -> T:
    """What a task ends with, in a thread of its own: the browser of other tests keeps a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, task).result()


def test_an_address_is_what_nobody_can_make_up() -> None:
    assert shortened("::ffff:10.0.0.1") == shortened("10.0.0.1") == "10.0.0.1"
    assert shortened("2001:db8::1") == shortened("2001:db8::ffff:2") != shortened("2001:db8:0:1::1")


def test_sizes_are_those_of_what_is_large() -> None:
    assert size_of(torch.zeros(1000)) == 4000
    assert size_of(Image.new("RGB", (100, 50))) == 15_000
    assert size_of({"a": ["x" * 5000]}) > 5000
    assert size_of(SimpleNamespace()) < 1000


def test_who_stores_nothing_is_not_kept(page: gr.Blocks) -> None:
    found = Visitors(page)
    for number in range(1000):
        found[f"made up {number}"].blocks_config.blocks[1] = None
    assert not found.session_data
    assert found["two at once"] is not found["another"]


def test_two_questions_at_once_of_a_new_visitor_mean_one_session(page: gr.Blocks) -> None:
    found = Visitors(page)
    first, second = found["a"], found["a"]
    assert first is second


def test_a_crowd_of_one_address_drives_out_its_own(page: gr.Blocks) -> None:
    found = Visitors(page, most=10_000, each=5_000)
    store(found, page, "kind", "home", 1_000)
    for number in range(50):
        store(found, page, f"made up {number}", "foe", 1_000)
    assert "kind" in found.session_data
    assert found.size <= 10_000


def test_of_one_address_those_who_are_here_stay(page: gr.Blocks) -> None:
    found = Visitors(page, lambda name: name == "here", sessions=3)
    for name in ("here", "gone", "later", "last"):
        store(found, page, name, "school", 10)
    assert set(found.session_data) == {"here", "later", "last"}


def test_one_who_keeps_too_much_keeps_nothing(page: gr.Blocks) -> None:
    found = Visitors(page, each=5_000)
    store(found, page, "greedy", "home", 6_000)
    assert not found.session_data
    assert found.size == 0


# The disk -------------------------------------------------------------------------------------------------------------


def write(folder: Path, name: str, size: int) -> str:
    path = folder / name / "file"
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    return str(path)


def test_old_files_of_whoever_has_most_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[str] = []
    found = Disk(tmp_path, forgotten.append, most=100_000)
    kind = write(tmp_path, "kind", 20_000)
    foe = [write(tmp_path, f"foe{n}", 25_000) for n in range(2)]
    found.add(kind, "home")
    for path in foe:
        found.add(path, "foe")
    assert found.refusal("foe", 40_000) == disk.MANY  # all young
    assert found.refusal("other", 20_000) is None
    monkeypatch.setattr(disk, "YOUNG", -1.0)
    assert found.refusal("other", 40_000) is None
    assert forgotten == foe[:1]
    assert Path(kind).exists()
    assert not Path(foe[0]).parent.exists()


def test_a_full_disk_is_seen_before_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(free=1_000_000, total=10_000_000)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: full)
    assert Disk(tmp_path).refusal("a", 900_000) == disk.FULL
    assert Disk(tmp_path).refusal("a", 100_000) is None
    assert _meaning(OSError(errno.ENOSPC, "full")).status == 507


def test_what_is_old_is_swept_whoever_left_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Disk(tmp_path)
    known, litter = write(tmp_path, "known", 10), write(tmp_path, "litter", 10)
    found.add(known, "a")
    found.sweep()
    assert Path(known).exists()
    monkeypatch.setattr(disk, "AGE", -10.0)
    found.sweep()
    assert not Path(known).exists()
    assert not Path(litter).exists()


# Turns ----------------------------------------------------------------------------------------------------------------


class Waiting:
    """A queue with questions of sessions, to ask whose turn it is."""

    def __init__(self) -> None:
        with gr.Blocks() as page:
            gr.Button().click(lambda: None)
        page.queue()
        self.turns = Turns(page)
        (self.fn,) = page.fns.values()

    async def push(self, session: str, address: str) -> Any:
        request = SimpleNamespace(scope={"client": (address, 1)}, headers={})
        body = SimpleNamespace(
            fn_index=self.fn._id,
            data=[],
            session_hash=session,
            event_id=None,
            request=request,
            trigger_id=None,
        )
        return await self.turns.push(body, request, None)

    def next(self) -> str:
        found = self.turns.get_events()
        return found[0][0].session_hash if found else ""


def test_whoever_listens_is_first_and_then_who_had_least() -> None:
    async def ask() -> list[str]:
        queue = Waiting()
        shares = queue.turns.shares
        for session, address, spent in (
            ("a", "10.0.0.2", 0.3),
            ("c", "10.0.0.3", 0.2),
            ("b", "10.0.0.3", 0.1),
        ):
            shares.has_read(address, session, 0.0)
            shares.charge(address, session, spent)
        for session, address in (("u", "10.0.0.1"), ("a", "10.0.0.2"), ("b", "10.0.0.3"), ("c", "10.0.0.3")):
            await queue.push(session, address)
        for session in "abc":
            queue.turns.listeners[session] += 1
        queue.turns.event_queue_per_concurrency_id[queue.fn.concurrency_id].concurrency_limit = None
        return [queue.next() for _ in range(4)]

    assert finished(ask()) == ["b", "c", "a", "u"]


def test_whoever_had_much_leaves_places_to_others_until_they_waited_long() -> None:
    async def ask() -> list[str]:
        queue = Waiting()
        found = list[str]()
        for session in ("foe", "kind"):
            queue.turns.shares.has_read("10.0.0.1", session, 0.0)
            await queue.push(session, "10.0.0.1")
            queue.turns.listeners[session] += 1
        queue.turns.shares.charge("10.0.0.1", "foe", 2 * turns.SHARE)
        queue.turns.at_work["long"] = turns.Work("text", "10.0.0.9", "other", place=0.6 * turns.AT_WORK)
        found += [queue.next(), queue.next()]
        (event,) = queue.turns.event_queue_per_concurrency_id[queue.fn.concurrency_id].queue
        event.enqueue_time -= 2 * turns.SHARE / turns.EARNED
        queue.turns.changed = True
        return [*found, queue.next()]

    assert finished(ask()) == ["kind", "", "foe"]


def test_short_questions_take_less_of_the_places_than_long_ones() -> None:
    async def ask(cost: float) -> int:
        queue = Waiting()
        queue.turns.event_queue_per_concurrency_id.clear()
        for number in range(30):
            await queue.push(f"s{number}", f"10.0.0.{number}")
            queue.turns.listeners[f"s{number}"] += 1
        lane = queue.turns.event_queue_per_concurrency_id[queue.fn.concurrency_id]
        lane.concurrency_limit = None
        queue.turns.costs[queue.turns.kinds[lane.queue[0]]] = cost
        return sum(bool(queue.next()) for _ in range(30))

    assert finished(ask(0.3)) <= turns.AT_WORK + 1
    assert finished(ask(0.005)) > 3 * turns.AT_WORK


def test_what_a_question_takes_is_learned_and_charged() -> None:
    meter = Meter()
    token = METER.set(meter)
    try:
        assert metered(lambda: sum(range(300_000)))() > 0
        assert list(metered(lambda: None)() or [1]) == [1]
    finally:
        METER.reset(token)
    assert 0 < meter.cpu <= meter.wall + 0.1
    assert not meter.elsewhere


def test_sessions_that_nobody_knows_share_an_account_and_a_class_does_not() -> None:
    shares = Shares()
    for number in range(100):
        shares.charge("foe", f"made up {number}", 0.1)
    assert shares.had("foe", "another") == pytest.approx(10 / 8)
    for number in range(30):
        shares.charge("school", f"pupil {number}", 0.1)
        shares.has_read("school", f"pupil {number}", 0.1)
    assert shares.had("school", "pupil 3") == pytest.approx(0.1)
    assert shares.had("school", "the next one") == pytest.approx(3 / 32)
    for _ in range(200):
        shares.fade()
    assert not shares.spent
    assert not shares.together


def test_an_address_counts_as_a_class_at_most() -> None:
    shares = Shares()
    for number in range(1000):
        shares.has_read("foe", f"kept {number}", 0.0)
        shares.charge("foe", f"kept {number}", 0.1)
    assert shares.had("foe", "kept 1") == pytest.approx(100 / 32)


def test_health_tells_how_long_people_wait() -> None:
    async def ask() -> tuple[float, float, bool]:
        queue = Waiting()
        queue.turns.shares.has_read("10.0.0.1", "kind", 0.0)
        for session in ("kind", "unknown"):
            await queue.push(session, "10.0.0.1")
            queue.turns.listeners[session] += 1
        for event in queue.turns.event_queue_per_concurrency_id[queue.fn.concurrency_id].queue:
            event.enqueue_time -= 3.0 if event.session_hash == "kind" else 50.0
        queue.turns.look(0.0)
        waiting = queue.turns.waited()
        while queue.next():
            pass
        return waiting, queue.turns.waited(), queue.turns.strained

    waiting, answered, strained = finished(ask())
    assert waiting == pytest.approx(3.0, abs=0.5)
    assert answered == pytest.approx(3.0, abs=0.5)
    assert strained


@pytest.mark.parametrize(
    ("strained", "sent", "slow"), [(False, 10**8, False), (True, 10**5, False), (True, 10**8, True)]
)
def test_whoever_sent_much_is_read_slowly_while_others_wait(strained: bool, sent: int, slow: bool) -> None:
    async def read(monkeypatch: pytest.MonkeyPatch) -> float:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr("demo.server.gate.asyncio.sleep", sleep)
        house: Any = SimpleNamespace(turns=SimpleNamespace(shares=Shares(), strained=strained), paces={})
        pace = house.paces["foe"] = Pace(house, "foe")
        await pace.keep(sent)
        return sum(slept)

    with pytest.MonkeyPatch.context() as patching:
        assert (finished(read(patching)) > 1) == slow


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"[" + b"{}," * 400_000 + b"0]", 800_001),
        (b'{"data":["' + b"a, " * 1_000_000 + b'"]}', 2),
        (b'{"data":["' + rb"\\\", " * 400_000 + b'"]}', 2),
        (b'["\\\\",' + b"1," * 400_000 + b"1]", 400_002),
    ],
)
def test_values_of_a_question_are_counted_and_commas_in_its_texts_are_not(body: bytes, count: int) -> None:
    assert _parts(body) == count


def test_what_an_old_call_leaves_out_is_as_the_function_says() -> None:
    def function(image: str, model: str, plan: str = "balanced", rounds: int = 3) -> None: ...

    assert filled(function, ["a", "b"], 4) == ["a", "b", "balanced", 3]
    assert filled(function, ["a", "b", "full", 1], 4) == ["a", "b", "full", 1]
    assert filled(function, ["a"], 4) == ["a"]  # what has no default is missed
    assert filled(None, ["a"], 2) == ["a"]


def test_a_full_queue_lets_go_of_what_nobody_listens_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "EACH", 10)

    async def ask() -> tuple[list[bool], bool, bool]:
        queue = Waiting()
        unread = [(await queue.push(f"u{n}", "10.0.0.1"))[0] for n in range(30)]
        for name in queue.turns.asked:
            queue.turns.listeners[name] += 1
        late = (await queue.push("late", "10.0.0.1"))[0]
        return unread, late, (await queue.push("else", "10.0.0.2"))[0]

    unread, late, elsewhere = finished(ask())
    assert all(unread)
    assert not late
    assert elsewhere


def test_what_nobody_listens_for_ends() -> None:
    async def ask() -> tuple[int, int, bool]:
        queue = Waiting()
        await queue.push("gone", "10.0.0.1")
        await queue.push("here", "10.0.0.1")
        with queue.turns.listening("here"):
            for _ in range(turns.ABANDONED + 1):
                await queue.turns.tidy()
            return len(queue.turns), queue.turns.abandoned, "gone" in queue.turns.dropped

    assert finished(ask()) == (1, 1, True)


def test_what_nobody_listens_for_ends_sooner_where_it_is_in_the_way() -> None:
    async def ask() -> list[str]:
        queue = Waiting()
        for session in ("gone", "kind"):
            await queue.push(session, "10.0.0.1")
        lane = queue.turns.event_queue_per_concurrency_id[queue.fn.concurrency_id]
        (event,), _, _ = queue.turns.get_events()  # type: ignore[misc]
        assert event.session_hash == "gone"
        lane.concurrency_limit = lane.current_concurrency = 1
        with queue.turns.listening("kind"):
            for _ in range(turns.IN_THE_WAY + 1):
                await queue.turns.tidy()
        return list(queue.turns.dropped)

    assert finished(ask()) == ["gone"]


def test_component_calls_take_turns_and_have_a_bound() -> None:
    async def ask() -> list[str]:
        shares = Shares()
        shares.charge("foe", "", 30.0)
        slots, order = Slots(1, 3, shares), list[str]()

        async def call(address: str, name: str) -> None:
            async with slots.turn(address):
                order.append(name)
                await asyncio.sleep(0)

        everyone = [asyncio.create_task(call("foe", f"foe{n}")) for n in range(3)]
        everyone.append(asyncio.create_task(call("kind", "kind")))
        await asyncio.sleep(0)
        with pytest.raises(Refused):
            await call("foe", "one too many")
        await asyncio.gather(*everyone)
        assert slots.free == 1
        return order

    assert finished(ask()) == ["foe0", "kind", "foe1", "foe2"]


# Connections, origins, the log ----------------------------------------------------------------------------------------


def connection(address: str, silent: bool = True) -> Any:
    aborted: list[bool] = []
    transport = SimpleNamespace(abort=lambda: aborted.append(True))
    found = SimpleNamespace(client=(address, 1), is_silent=silent, transport=transport, aborted=aborted)
    return type("Line", (), {**vars(found), "__hash__": object.__hash__})()


def test_silent_connections_make_room_and_busy_ones_do_not() -> None:
    doors = Connections(most=10, each=3)
    silent = [connection("10.0.0.1") for _ in range(3)]
    assert all(doors.enter(line) for line in silent)
    assert doors.enter(connection("10.0.0.1", silent=False))
    assert [bool(line.aborted) for line in silent] == [True, False, False]
    assert doors.enter(connection("10.0.0.2"))
    busy = Connections(most=10, each=2)
    assert all(busy.enter(connection("10.0.0.1", silent=False)) for _ in range(2))
    late = connection("10.0.0.1", silent=False)
    assert not busy.enter(late)
    assert late.aborted
    assert len(busy.open) == 2


def test_a_trusted_proxy_brings_as_many_as_there_is_room_for() -> None:
    doors = Connections(most=10, each=3, proxies=("10.0.0.1",))
    assert all(doors.enter(connection("10.0.0.1", silent=False)) for _ in range(10))


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"host": "page.org", "origin": "https://page.org"}, False),
        ({"host": "page.org", "origin": "https://page.org:8443"}, True),
        ({"host": "127.0.0.1:7860", "origin": "https://page.org", "x-forwarded-host": "page.org"}, False),
        ({"host": "127.0.0.1:7860", "origin": "https://page.org", "sec-fetch-site": "same-origin"}, False),
        ({"host": "page.org", "origin": "https://page.org", "sec-fetch-site": "cross-site"}, True),
        ({"host": "localhost:7860", "origin": "http://localhost:9000", "sec-fetch-site": "same-site"}, True),
        ({"host": "localhost:7860", "origin": "null"}, True),
    ],
)
def test_who_is_foreign(headers: dict[str, str], foreign: bool) -> None:
    assert is_foreign(headers, {}) == foreign  # type: ignore[arg-type]


def test_the_log_says_a_thing_once(caplog: pytest.LogCaptureFixture) -> None:
    logger, once = log.logging.getLogger("said.once"), log.Once()
    logger.addFilter(once)
    for number in range(500):
        logger.error("lost %s", number)
    logger.error("something else")
    assert [record.getMessage() for record in caplog.records] == ["lost 0", "something else"]
    once.last = {kind: (-100.0, count) for kind, (_, count) in once.last.items()}
    logger.error("lost %s", 500)
    assert "499 times since" in caplog.records[-1].getMessage()


# Health ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["", "memory_mb", "disk_mb", "wait_s", "questions", "kept_mb"])
def test_health_names_what_reached_its_bound(
    what: str, page: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Waiting()
    health = serve.Health(Models(), house=House(queue.turns, Disk(tmp_path)), visitors=Visitors(page))
    assert health.house is not None
    assert health.visitors is not None
    if what == "memory_mb":
        monkeypatch.setattr(serve, "MEMORY", 1_000_000)
    elif what == "disk_mb":
        health.house.disk.most = turns_bytes = 50_000
        health.house.disk.add(write(tmp_path, "large", turns_bytes), "a")
    elif what == "wait_s":
        queue.turns.waits.append((time.monotonic(), serve.WAIT + 1))
    elif what == "questions":
        queue.turns.pending_event_ids_session["a"] = set(map(str, range(turns.ALL)))
    elif what == "kept_mb":
        health.visitors.most = 1_000
        store(health.visitors, page, "a", "home", 900)
        health.visitors.most = 900
    body = json.loads(finished(health.answer(None)).body)  # type: ignore[arg-type]
    assert body["exceeded"] == ([what] if what else [])
    assert body["status"] == ("strained" if what else "ok")
    assert set(body["used"]) == set(body["bounds"])
