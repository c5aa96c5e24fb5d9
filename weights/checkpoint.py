"""The files of one checkpoint folder: read strictly, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from glob import escape as glob_escape
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
METRICS = "metrics.json"
CARD = "README.md"
# What belongs to a model on the Hub: no checkpoint of a training, no pickle, nothing that happens to lie beside it.
FILES = (CONFIG, WEIGHTS, METRICS, CARD, "map.safetensors", "front.json", "*.onnx")
ASIDE = re.compile("[0-9a-f]{32}")  # what names a folder that is being written
ABANDONED = 600.0  # seconds; writing a model takes few
PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")


class WeightsError(Exception):
    """A checkpoint cannot be found, read or written; the message is one sentence that helps."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; ``WeightsError`` if it is missing or anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{path.parent} holds no {path.name}: it is not a saved model") from error
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not readable JSON ({one_line(error)})") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path} holds a {type(value).__name__} where a JSON object is needed")
    return value


def read_config(folder: Path) -> tuple[str | None, dict[str, Any]]:
    """Library and ``__init__`` arguments of the model in ``folder``; ``WeightsError`` if there are none."""
    config = read_json(folder / CONFIG)
    if "library" not in config:
        raise WeightsError(f"{folder / CONFIG} names no library: save the model again with save_pretrained")
    return config.pop("library"), config


def read_tensors(folder: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """All tensors of ``folder``.

    Raises:
        WeightsError: no weights, or only a pickle; half a file; not this ``sha256``; NaN or infinity.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise WeightsError(_without_weights(folder))
    if sha256 is not None and (found := file_sha256(path)) != sha256:
        difference = f"sha256 {found[:12]} where the catalogue says {sha256[:12]}"
        raise WeightsError(f"{path} has {difference}: restore it, or accept it with `python -m weights add`")
    return load_tensors(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; ``WeightsError`` if it is damaged, or holds NaN or infinity."""
    try:
        tensors = safetensors.torch.load_file(path)
    except MemoryError as error:
        raise WeightsError(f"{path} does not fit into memory: {path.stat().st_size / 1e6:.0f} MB") from error
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
            raise WeightsError(f"{where} holds NaN or infinity in {name!r}: the model cannot work")


def parameter_count(folder: Path) -> int:
    """Numbers in the weights of ``folder``, from the header alone; ``WeightsError`` if it is damaged."""
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            return sum(torch.Size(file.get_slice(name).get_shape()).numel() for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{folder / WEIGHTS} is damaged or incomplete ({one_line(error)})") from error


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
    """First line of an error's message, or its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
