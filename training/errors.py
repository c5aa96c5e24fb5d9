"""What a person can mend in the data they named, said in one sentence."""

from __future__ import annotations


class DataError(ValueError):
    """The data cannot be used; the message is one sentence for the person who named them."""


def sentence(error: BaseException) -> str:
    """What another library said, on one line."""
    return " ".join(str(error).split())


def counted(number: int, what: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{number:,} {what}{'s' * (number != 1)}"
