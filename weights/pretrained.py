"""``from_pretrained`` and ``save_pretrained`` for every model here: local first, strict, never a pickle."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor
from typing_extensions import Self  # torch brings it

from weights.catalog import NAME, catalog, folder, unknown
from weights.checkpoint import (
    CARD,
    CONFIG,
    METRICS,
    WEIGHTS,
    WeightsError,
    one_line,
    read_config,
    read_tensors,
    require_finite,
    to_json,
    write,
)
from weights.hub import fetch

REPO = re.compile(f"{NAME.pattern}/{NAME.pattern}")


def locate(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> tuple[Path, str | None]:
    """Folder of a checkpoint and the sha256 its weights must have, if the catalogue knows it.

    Tried in this order: a folder that exists, a name in the directory of weights, the Hub's cache, the Hub.
    A ``revision`` other than the catalogue's is always the Hub's.

    Raises:
        WeightsError: there is no such thing, or the Hub cannot be reached.
    """
    name = str(name_or_path)
    if Path(name).is_dir():
        return _unversioned(Path(name), revision), None
    if isinstance(name_or_path, str) and REPO.fullmatch(name):
        return fetch(name, revision, token=token, local_files_only=local_files_only), None
    shipped, entry = folder(name), catalog().get(name)
    as_listed = entry is None or revision in (None, entry.revision)
    sha256 = entry.sha256 if entry and as_listed else None
    if as_listed and shipped.is_dir():
        return _unversioned(shipped, None if entry else revision), sha256
    if entry is None or entry.repo is None:
        raise unknown(name)
    revision = revision or entry.revision
    return fetch(entry.repo, revision, token=token, local_files_only=local_files_only), sha256


def _unversioned(folder: Path, revision: str | None) -> Path:
    if revision is not None:
        raise WeightsError(f"{folder} is a folder and has no revision {revision!r}: leave revision out")
    return folder


class Pretrained(PyTorchModelHubMixin):
    """Mixin for an ``nn.Module`` whose ``__init__`` takes plain JSON keyword arguments.

    ``class Model(nn.Module, Pretrained, library_name="mypackage", license="apache-2.0")``. The Hub's mixin
    keeps the arguments of each instance; left alone it would also load pickles and half a state dict.
    """

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """The model of a name, a folder or a Hub repository, on the CPU, in evaluation mode.

        Args:
            revision: branch, tag or commit on the Hub.
            token: for private and gated repositories; None: the one that ``hf auth login`` stored.
            local_files_only: never ask the Hub.

        Raises:
            WeightsError: it cannot be found, or any key, tensor or byte of it is not as it must be.
        """
        source, sha256 = locate(
            name_or_path, revision=revision, token=token, local_files_only=local_files_only
        )
        library, arguments = read_config(source)
        if library != cls._library():
            raise WeightsError(f"{source} holds a model of {library}, not of {cls._library()}")
        cls._require_arguments(arguments, f"{source / CONFIG}")
        tensors = read_tensors(source, sha256)
        try:
            model = cls(**arguments)
        except Exception as error:  # whatever the model's __init__ says to values it cannot use
            reason = f"{source / CONFIG} describes no {cls.__name__} ({one_line(error)})"
            raise WeightsError(reason) from error
        _load(model, tensors, f"{source / WEIGHTS}")
        return model

    def save_pretrained(  # type: ignore[override]
        self,
        folder: str | Path,
        *,
        half: bool = False,
        metrics: Mapping[str, Any] | None = None,
        card: str | None = None,
    ) -> Path:
        """Write a checkpoint folder that ``from_pretrained`` reads: all files or none, and others there stay.

        Only ONNX graphs of other weights go: they would answer in the new ones' place.

        Args:
            half: floating tensors as float16: half the size, 3 decimal digits.
            metrics: ``metrics.json``.
            card: ``README.md``.

        Raises:
            WeightsError: the disk is full, or the model could not be loaded again because of NaN, numbers
                beyond float16's 65504 or ``__init__`` arguments that are not JSON.
        """
        config: Any = self._hub_mixin_config or {}
        self._require_arguments(config, f"the {type(self).__name__} to save")
        files = {
            WEIGHTS: _weights(self, half),
            CONFIG: to_json({"library": self._library(), **config}),
        }
        if metrics is not None:
            files[METRICS] = to_json(dict(metrics))
        if card is not None:
            files[CARD] = card.encode()
        _drop_graphs(Path(folder), files[WEIGHTS])
        write(Path(folder), files)
        return Path(folder)

    @classmethod
    def _library(cls) -> str | None:
        return cls._hub_mixin_info.model_card_data.library_name

    @classmethod
    def _require_arguments(cls, config: Any, where: str) -> None:
        names = set(list(inspect.signature(cls.__init__).parameters)[1:])
        missing, unexpected = sorted(names - config.keys()), sorted(config.keys() - names)
        if missing or unexpected:
            raise WeightsError(f"{where} does not fit {cls.__name__}: {_difference(missing, unexpected)}")


def _drop_graphs(folder: Path, weights: bytes) -> None:
    """Delete the graphs that were exported from other weights; first, so that a kill leaves none behind."""
    old = folder / WEIGHTS
    if old.is_file() and old.read_bytes() != weights:
        for graph in folder.glob("*.onnx"):
            with suppress(OSError):  # a disk that cannot be written is said by ``write``
                graph.unlink()


def _difference(missing: list[str], unexpected: list[str]) -> str:
    parts = (("missing", missing), ("unexpected", unexpected))
    return ", ".join(f"{word} {', '.join(names[:5])}" for word, names in parts if names)


def _first_names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Name -> the first name of the same tensor: tied weights are stored once, under the same name always."""
    first: dict[Any, str] = {}
    keys = {name: (t.data_ptr(), t.dtype, t.shape, t.stride()) for name, t in sorted(state.items())}
    return {name: first.setdefault(key, name) for name, key in keys.items()}


def _weights(model: Any, half: bool) -> bytes:
    state: dict[str, Tensor] = model.state_dict()
    tensors = {name: state[name].detach().cpu() for name in sorted(set(_first_names(state).values()))}
    if half:
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    require_finite(tensors, f"the {type(model).__name__} to save")
    return safetensors.torch.save({name: t.contiguous() for name, t in tensors.items()})


def _load(model: Any, tensors: Mapping[str, Tensor], where: str) -> None:
    state: dict[str, Tensor] = model.state_dict()
    names = _first_names(state)
    stored = set(names.values())
    missing, unexpected = sorted(stored - tensors.keys()), sorted(tensors.keys() - stored)
    if missing or unexpected:
        raise WeightsError(f"{where} does not fit its {CONFIG}: {_difference(missing, unexpected)}")
    for name in tensors:
        _require_same_kind(name, tensors[name], state[name], where)
    model.load_state_dict({name: tensors[first] for name, first in names.items()})
    model.eval()


def _require_same_kind(name: str, found: Tensor, wanted: Tensor, where: str) -> None:
    if found.shape != wanted.shape:
        shapes = f"{list(found.shape)} where its {CONFIG} asks for {list(wanted.shape)}"
        raise WeightsError(f"{where} holds {name!r} of shape {shapes}")
    both_float = found.is_floating_point() and wanted.is_floating_point()
    if found.dtype != wanted.dtype and not both_float:
        raise WeightsError(f"{where} holds {name!r} as {found.dtype} where {wanted.dtype} is needed")
