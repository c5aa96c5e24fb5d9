"""Children that end badly: killed at a chosen moment, out of memory, on a full disk."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# A child of a server that has imported torch once starts in milliseconds, and inherits no thread of the tests.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["classifiers.train", "classifiers.export", "training.runs", "weights.push"])
PATIENCE = 120  # seconds
CHANGES = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree")


class Outcome(NamedTuple):
    """How a child ended: what it returned, or the kind and the words of what it raised; neither if it was killed."""

    value: Any
    raised: str | None
    words: str
    killed: bool


def in_child(act: Callable[..., Any], *arguments: Any) -> Outcome:
    """Call a function of a module in a process of its own."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_child, args=(sender, act, arguments))
    process.start()
    sender.close()
    process.join(PATIENCE)
    if process.exitcode is None:
        process.kill()
        raise AssertionError("the child hangs")
    if process.exitcode == -signal.SIGKILL:
        return Outcome(None, None, "", True)
    return Outcome(*receiver.recv(), False)


def _child(sender: Any, act: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        answer: tuple[Any, str | None, str] = (act(*arguments), None, "")
    except BaseException as error:  # noqa: BLE001 - the tests look at it
        answer = (None, type(error).__name__, str(error))
    sender.send(answer)


def killed_at(change: int, folder: Path, act: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, and be killed right before the given change of a file below ``folder``: 1 is the first.

    Python reports its own changes; those that torch and safetensors make in C++ are between two of them.
    """
    left = change

    def watch(event: str, details: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in CHANGES or not _changes(event, details, str(folder)):
            return
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return act(*arguments)


def _changes(event: str, details: tuple[Any, ...], folder: str) -> bool:
    if not isinstance(details[0], (str, os.PathLike)) or not os.fspath(details[0]).startswith(folder):
        return event in ("os.remove", "os.rmdir")  # of rmtree, relative to a folder that is open
    return event != "open" or bool(details[2] & (os.O_WRONLY | os.O_RDWR))


def with_limit(limit: str, room: int, act: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function under a limit: FSIZE bytes in a file, or AS bytes of memory on top of what is used."""
    import resource

    used = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if limit == "AS" else 0
    )
    which = getattr(resource, f"RLIMIT_{limit}")
    resource.setrlimit(which, (used + room, resource.getrlimit(which)[1]))
    return act(*arguments)
