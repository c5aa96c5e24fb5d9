"""What a command says while it works, on standard error: a bar where somebody looks, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from accelerate.state import PartialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

FIRST, EVERY = (
    20.0,
    300.0,
)  # seconds after which an untended log gets its first line, and a line between those of epochs


def say(*sentences: str) -> None:
    """Lines on standard error, of the main process only."""
    if PartialState().is_main_process:
        sys.stderr.write("".join(f"{sentence}\n" for sentence in sentences))
        sys.stderr.flush()


def tended() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr.isatty()


class Steps:
    """How far a long work is: as a bar on a terminal, in lines with the time left elsewhere; of the main process only.

    Args:
        total: steps in all.
        done: steps that an earlier process took.
        what: a step is, in a line: "step", "plan".
    """

    def __init__(self, total: int, done: int = 0, what: str = "step") -> None:
        self.total, self.done, self.before, self.what = total, done, done, what
        self.main = PartialState().is_main_process
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        shown = self.main and tended()
        self.bar = Progress(*columns, console=Console(stderr=True), disable=not shown, refresh_per_second=2)
        self.task = self.bar.add_task("", total=total, completed=done)
        self.began = time.monotonic()
        self.due = self.began + FIRST

    def __enter__(self) -> Steps:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def advance(self, numbers: Mapping[str, float], steps: int = 1) -> None:
        """One more step is done, or some; ``numbers`` are worth seeing."""
        self.done += steps
        if not self.main:
            return
        if tended():
            self.bar.update(self.task, advance=steps, description=in_words(numbers))
        elif time.monotonic() >= self.due:
            self.line(f"{self.what} {self.done:,} of {self.total:,}", numbers)

    def line(self, where: str, numbers: Mapping[str, float]) -> None:
        """A line in a log that nobody tends: where the work is, its numbers, and the time left."""
        if self.main and not tended():
            self.due = time.monotonic() + EVERY
            told = ", ".join(filter(None, (in_words(numbers), self.left())))
            say(f"{where}: {told}" if told else where)

    def left(self) -> str:
        """The time that the rest takes if it goes on like this; empty before anything is known."""
        new = self.done - self.before
        if not new or self.done >= self.total:
            return ""
        seconds = (time.monotonic() - self.began) / new * (self.total - self.done)
        return f"{clock(seconds)} left"


def in_words(numbers: Mapping[str, float]) -> str:
    """``{"loss": 1.23456}`` as "loss 1.235"."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in numbers.items())


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def counted(count: int, what: str) -> str:
    """ "1 epoch", "1,200 epochs"."""
    return f"{count:,} {what}{'s' * (count != 1)}"
