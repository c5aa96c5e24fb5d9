"""Functions of one's own by reference, ``my_module:function``: to import one runs its module's code."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def function_of(module: str, name: str) -> Callable[..., Any]:
    """The function ``name`` of a module, which is imported; only what a person typed may come here.

    Raises:
        ValueError: there is no such module or function, or the module raises; in one sentence.
    """
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        where = "run the command in the folder where it lies, or put that on PYTHONPATH"
        raise ValueError(
            f"{module}:{name} cannot be imported, there is no module {error.name}: {where}"
        ) from error
    except Exception as error:  # whatever somebody's module raises
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{module}:{name} cannot be imported, {module} raises {told[:200]}") from error
    if not callable(found):
        raise ValueError(f"{module} has no function {name}")
    return found  # type: ignore[no-any-return]
