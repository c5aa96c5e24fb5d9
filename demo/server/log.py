"""A log that does not repeat itself: what thousands of requests cause is said once a minute, with their number."""

from __future__ import annotations

import logging
import sys
import time

AGAIN = 60.0  # seconds
KINDS = 500  # of messages that are remembered
LOGGERS = ("asyncio", "uvicorn.error", "gradio", __package__)
Kind = tuple[str, str, str]

logger = logging.getLogger(__name__)


class Once(logging.Filter):
    """Lets a message of a kind pass once in ``AGAIN`` seconds; the next one tells how many it stood for."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[Kind, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.name, str(record.msg)[:80], _raised(record)
        said, kept_back = self.last.get(kind, (-AGAIN, 0))
        if (now := time.monotonic()) - said < AGAIN:
            self.last[kind] = said, kept_back + 1
            return False
        if len(self.last) >= KINDS:
            self.last.clear()
        self.last[kind] = now, 0
        if kept_back:
            record.msg = f"{record.msg} (and {kept_back} times since it was last said)"
        return True


def _raised(record: logging.LogRecord) -> str:
    """Kind and place of an exception."""
    if not record.exc_info or (error := record.exc_info[1]) is None:
        return ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        f"{type(error).__name__} {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        if trace
        else repr(error)
    )


def quieten() -> None:
    """Everything that a visitor can cause to be logged."""
    once = Once()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(once)


class Traceback:
    """In place of the module where Gradio prints tracebacks: they are logged, and so not repeated."""

    @staticmethod
    def print_exc() -> None:
        logger.error("a visitor's question failed", exc_info=sys.exc_info())
