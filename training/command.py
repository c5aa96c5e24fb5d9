"""How every command line here behaves: typed options, one line for what went wrong, exit code 2."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import Annotated, TypeVar

import torch
import tyro

from training.datasets import DataError
from training.loop import RunError
from weights import WeightsError

T = TypeVar("T")

# An option that is said by its name alone (``--fresh``), where the others have their values written out.
_SAID = tyro.constructors.PrimitiveConstructorSpec[bool](
    nargs="*",
    metavar="",
    instance_from_str=lambda words: _truth(words),
    is_instance=lambda value: isinstance(value, bool),
    str_from_instance=lambda value: [str(value)],
)
FULL = "the memory is full: use a smaller --size or --batch, or a machine with more of it"
Flag = Annotated[bool, _SAID]


def _truth(words: list[str]) -> bool:
    if len(words) > 1 or (words and words[0] not in ("True", "False")):
        raise ValueError("it takes nothing, True or False")
    return words != ["False"]


def command(options: type[T], run: Callable[[T], object], flags: bool = False) -> None:
    """Parse the command line into the dataclass ``options`` and run it.

    Truth values are written out (``--full True``), or with ``flags`` said by their name alone (``--full``).

    A problem that the user can mend ends with one sentence on standard error and exit code 2; anything else is a
    defect of ours and keeps its traceback.
    """
    how = tyro.conf.FlagCreatePairsOff if flags else tyro.conf.FlagConversionOff
    parsed: T = tyro.cli(options, config=(tyro.conf.OmitArgPrefixes, how))
    try:
        run(parsed)
    except (DataError, RunError, WeightsError, ValueError) as error:
        _stop(str(error))
    except OSError as error:
        _stop(
            "the disk is full: free some space and run the same command again"
            if error.errno == errno.ENOSPC
            else f"{error.strerror or error}: {error.filename or ''}"
        )
    except (MemoryError, torch.OutOfMemoryError):
        _stop(FULL)
    except RuntimeError as error:
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        _stop(FULL)
    except KeyboardInterrupt:
        _stop("interrupted: the same command continues from the last checkpoint")


def _stop(sentence: str) -> None:
    sys.stderr.write(f"error: {' '.join(sentence.split())}\n")
    sys.exit(2)
