"""The files of one checkpoint folder: read strictly, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from glob import escape as glob_escape
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
METRICS = "metrics.json"
CARD = "README.md"
UPRIGHT = "upright.json"  # which way is up, to show pictures by
# What a model's answers come from, and what the catalogue holds the sha256 of.
USED = (CONFIG, WEIGHTS, "map.safetensors", "front.json", "*.onnx")
# What belongs to a model on the Hub: no checkpoint of a training, no pickle, nothing that happens to lie beside it.
FILES = (*USED, UPRIGHT, METRICS, CARD)
MAX_CONFIG, MAX_JSON = 2_000_000, 20_000_000  # bytes; ours have some thousands
SHOWN = 300  # letters of somebody else's message in one of ours
ASIDE = re.compile("[0-9a-f]{32}")  # what names a folder that is being written
ABANDONED = 600.0  # seconds; writing a model takes few
PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")


class WeightsError(Exception):
    """A checkpoint cannot be found, read or written; the message is one sentence that helps."""


def read_json(path: Path, *, config: bool = False) -> dict[str, Any]:
    """A JSON object from a file; ``WeightsError`` if it is missing or anything else, of a ``config`` NaN too."""
    most = MAX_CONFIG if config else MAX_JSON
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise WeightsError(f"{path} is not a file")
        if path.stat().st_size > most:
            raise WeightsError(f"{path} is larger than {most / 1e6:g} MB: no model needs so much")
        text = path.read_text(encoding="utf-8")
        value = json.loads(text, parse_constant=_not_a_number if config else None)
    except FileNotFoundError as error:
        raise WeightsError(f"{path.parent} holds no {path.name}: it is not a saved model") from error
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not readable JSON ({one_line(error)})") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path} holds a {type(value).__name__} where a JSON object is needed")
    return value


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def read_config(folder: Path) -> tuple[str | None, dict[str, Any]]:
    """Library and ``__init__`` arguments of the model in ``folder``; ``WeightsError`` if there are none."""
    config = read_json(folder / CONFIG, config=True)
    library = config.pop("library", None)
    if not isinstance(library, str) or len(library) > 100:
        raise WeightsError(f"{folder / CONFIG} names no library: save the model again with save_pretrained")
    return library, config


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of ``folder``; ``WeightsError`` if there are none, or as :func:`load_tensors`."""
    return load_tensors(weights_file(folder))


def weights_file(folder: Path) -> Path:
    """Where the weights of ``folder`` are; ``WeightsError`` if there are none, or only a pickle."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise WeightsError(_without_weights(folder))
    return path


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; ``WeightsError`` if it is damaged, or holds NaN or infinity."""
    try:
        tensors = safetensors.torch.load_file(path)
    except MemoryError as error:
        raise WeightsError(_too_large(path)) from error
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} is damaged or incomplete ({one_line(error)}): save it again") from error
    require_finite(tensors, str(path))
    return tensors


def belonging(names: Iterable[str], patterns: Sequence[str] = FILES) -> list[str]:
    """Those of the names that belong to a model, sorted."""
    flat = (name for name in names if "/" not in name)
    return sorted(name for name in flat if any(fnmatchcase(name, pattern) for pattern in patterns))


def _without_weights(folder: Path) -> str:
    pickles = sorted(path.name for path in folder.glob("*") if path.suffix in PICKLES)
    if pickles:
        return f"{folder} holds a pickle ({pickles[0]}), which can run code: save it as {WEIGHTS} instead"
    return f"{folder} holds no {WEIGHTS}"


def require_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """``WeightsError`` names the first tensor that holds NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
            raise WeightsError(f"{where} holds NaN or infinity in {name!r:.80}: the model cannot work")


def parameter_count(folder: Path) -> int:
    """Numbers in the weights of ``folder``, from the header alone; ``WeightsError`` if it is damaged."""
    return held(folder).numbers


class Size(NamedTuple):
    """How large a model is: its tensors, and the numbers in all of them."""

    tensors: int
    numbers: int


def held(folder: Path) -> Size:
    """What the weights of ``folder`` hold, from the header alone; ``WeightsError`` if it is damaged."""
    path = weights_file(folder)
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            return Size(len(names), sum(math.prod(file.get_slice(name).get_shape()) for name in names))
    except MemoryError as error:
        raise WeightsError(_too_large(path)) from error
    except (OSError, SafetensorError, OverflowError) as error:
        raise WeightsError(f"{path} is damaged or incomplete ({one_line(error)}): save it again") from error


def _too_large(path: Path) -> str:
    return f"{path} does not fit into memory: {path.stat().st_size / 1e6:.0f} MB"


def require_room(needed: Size, folder: Path) -> None:
    """``WeightsError`` if a model needs much more than the weights of ``folder`` hold; asked before it is built.

    A little more is let through: whoever compares the tensors says which of them is missing or of another shape.
    """
    found = held(folder)
    for word, asked, there in zip(Size._fields, needed, found, strict=True):
        if asked > 2 * there:
            sizes = f"{asked:,} {word} or more where {WEIGHTS} holds {there:,}"
            raise WeightsError(
                f"{folder / CONFIG} describes a larger network than its weights: {sizes:.{SHOWN}}"
            )


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def known_sha256(path: Path) -> str:
    """As :func:`file_sha256`, of a file that has not changed since read only once."""
    state = path.stat()
    return _sha256_as_of(path, state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=256)
def _sha256_as_of(path: Path, *state: int) -> str:
    return file_sha256(path)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put ``files`` in ``folder``, all complete before the first is moved into place; other files there stay.

    Raises:
        WeightsError: the disk is full or the folder cannot be written. What was there before is untouched.
    """
    folder = folder.absolute()
    # Inside a folder that exists: it may be the root of its file system, out of which nothing can be renamed.
    place = folder if folder.is_dir() else folder.parent
    _clear_abandoned(place, f".{folder.name}.")
    aside = place / f".{folder.name}.{uuid.uuid4().hex}"
    try:
        aside.mkdir(parents=True)
        for name, content in files.items():
            (aside / name).write_bytes(content)
        _move(aside, folder, list(files))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full, free some space" if full else one_line(error)
        raise WeightsError(f"cannot write {folder}: {reason}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _clear_abandoned(place: Path, prefix: str) -> None:
    """What a killed process left aside; another's that is still being written is younger."""
    for path in place.glob(f"{glob_escape(prefix)}*"):
        with suppress(OSError):
            if (
                ASIDE.fullmatch(path.name.removeprefix(prefix))
                and time.time() - path.stat().st_mtime > ABANDONED
            ):
                shutil.rmtree(path)


def _move(source: Path, folder: Path, names: list[str]) -> None:
    if not folder.exists():
        os.replace(source, folder)
        return
    if CONFIG in names and _differ(source / CONFIG, folder / CONFIG):
        # A kill between two files must not pair new weights with another model's config.
        (folder / CONFIG).unlink()
    for name in sorted(names, key=lambda name: name == CONFIG):
        os.replace(source / name, folder / name)


def _differ(fresh: Path, old: Path) -> bool:
    return old.is_file() and old.read_bytes() != fresh.read_bytes()


def to_json(value: Any) -> bytes:
    """Indented UTF-8 JSON with a newline at the end."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def one_line(error: BaseException) -> str:
    """First line of an error's message, or its type; cut where it is endless."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."
