"""Answers that are kept as long as what they were asked of."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

Owner = TypeVar("Owner")
P = ParamSpec("P")
T = TypeVar("T")


def kept_with_first(
    most: int,
) -> Callable[[Callable[Concatenate[Owner, P], T]], Callable[Concatenate[Owner, P], T]]:
    """As ``lru_cache(most)`` for each first argument, which is held weakly: what is known of a model goes with it.

    The answers must not hold the first argument themselves.
    """

    def decorate(function: Callable[Concatenate[Owner, P], T]) -> Callable[Concatenate[Owner, P], T]:
        answers: weakref.WeakKeyDictionary[Any, Callable[..., T]] = weakref.WeakKeyDictionary()

        @wraps(function)
        def ask(owner: Owner, *args: P.args, **kwargs: P.kwargs) -> T:
            if owner not in answers:
                alive = weakref.ref(owner)
                answers[owner] = lru_cache(most)(lambda *a, **k: function(alive(), *a, **k))  # type: ignore[arg-type]
            return answers[owner](*args, **kwargs)

        return ask  # type: ignore[return-value]  # by keyword, nobody passes it

    return decorate
