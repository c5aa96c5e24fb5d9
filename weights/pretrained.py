"""``from_pretrained`` and ``save_pretrained`` for every model here: local first, strict, never a pickle."""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import safetensors.torch
import torch
from huggingface_hub import ModelCard, ModelCardData, PyTorchModelHubMixin
from torch import Tensor
from typing_extensions import Self  # torch brings it

from weights.catalog import NAME, Listed, catalog, folder, is_here, unknown
from weights.checkpoint import (
    CARD,
    CONFIG,
    METRICS,
    WEIGHTS,
    Size,
    WeightsError,
    load_tensors,
    one_line,
    read_config,
    read_tensors,
    require_finite,
    require_room,
    to_json,
    write,
)
from weights.hub import fetch

if TYPE_CHECKING:
    from weights.push import Pushed

REPO = re.compile(f"{NAME.pattern}/{NAME.pattern}")
LOADING = ("revision", "token", "local_files_only", "force_download", "cache_dir", "map_location")
SAVING = ("half", "metrics", "card", "push_to_hub", "repo_id")
PUSHING = (
    "private",
    "token",
    "branch",
    "create_pr",
    "commit_message",
    "commit_description",
    "allow_patterns",
    "ignore_patterns",
    "delete_patterns",
    "card",
)
# Arguments of other libraries' methods, and what does what they were for.
UNUSED = {
    "config": f"{CONFIG} holds the arguments that the model was made with, so make it with others",
    "model_card_kwargs": "a card has no template to fill in here, so pass its text as card",
    "proxies": "set HTTPS_PROXY in the environment",
    "resume_download": "what was cut short is fetched again by itself",
    "torch_dtype": "call .half() or .to(dtype) on the model",
    "dtype": "call .half() or .to(dtype) on the model",
    "device_map": "name the device as map_location",
    "subfolder": "a repository holds one model, so push each to its own",
    "trust_remote_code": "no code of a repository ever runs here",
    "use_safetensors": "weights are safetensors always",
    "safe_serialization": "weights are safetensors always",
    "state_dict": "the model's own is saved, so load it into the model first",
    "max_shard_size": "weights are one file",
}
PLAIN_CARD = """---
{front}
---

# {kind}

A model of `{library}`. It was not evaluated, so there are no results to show.

```python
from {library} import {kind}

model = {kind}.from_pretrained("owner/name")
```
"""


def locate(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    cache_dir: str | Path | None = None,
) -> tuple[Path, Listed | None]:
    """Folder of a checkpoint and what the catalogue says of its files, if it knows it.

    Tried in this order: a folder that exists, a name in the directory of weights, the Hub's cache, the Hub.
    A ``revision`` other than the catalogue's is always the Hub's. What the catalogue lists is compared with it, the
    weights left out, which whoever reads them compares.

    Raises:
        WeightsError: there is no such thing, the Hub cannot be reached, or a file is not the catalogue's.
    """
    name = str(name_or_path)

    def from_hub(repo: str, revision: str | None) -> Path:
        return fetch(
            repo,
            revision,
            token=token,
            local_files_only=local_files_only,
            force_download=force_download,
            cache_dir=cache_dir,
        )

    if not name.strip():
        raise WeightsError("a model needs a name: one of `python -m weights list`, a folder, or owner/repo")
    if (there := _existing(name)) is not None:
        if there.is_file():
            raise WeightsError(f"{name} is a file: give the folder that it lies in, {there.parent}")
        return _unversioned(there, revision), None
    if isinstance(name_or_path, str) and REPO.fullmatch(name):
        return from_hub(name, revision), None
    shipped, entry = folder(name), catalog().get(name)
    as_listed = entry is None or revision in (None, entry.revision)
    if as_listed and is_here(name):
        source = _unversioned(shipped, None if entry else revision)
    elif entry is None or entry.repo is None:
        raise unknown(name)
    else:
        source = from_hub(entry.repo, revision or entry.revision)
    if entry is None or not as_listed:
        return source, None
    listed = Listed(name, entry.files)
    listed.require(source, entry.files.keys() - {WEIGHTS})
    return source, listed


def _existing(name: str) -> Path | None:
    """The file or folder of a path, ``~`` being one's home."""
    try:
        path = Path(name).expanduser()
        return path if path.is_dir() or path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, or of a home that nobody has
        return None


def _unversioned(folder: Path, revision: str | None) -> Path:
    if revision is not None:
        raise WeightsError(f"{folder} is a folder and has no revision {revision!r}: leave revision out")
    return folder


class Pretrained(PyTorchModelHubMixin):
    """Mixin for an ``nn.Module`` whose ``__init__`` takes plain JSON keyword arguments.

    ``class Model(nn.Module, Pretrained, library_name="mypackage", license="apache-2.0")``. The Hub's mixin
    keeps the arguments of each instance; left alone it would also load pickles and half a state dict, and make a public
    repository before it knows whether there is anything to put in. All its methods are here, in our way.
    """

    # Arguments of ``__init__`` that some checkpoints are older than: their defaults say what was done then.
    later: ClassVar[tuple[str, ...]] = ()
    folder: Path | None = None  # where it was loaded from
    listed: Listed | None = None  # what the catalogue says of that folder
    saved_in: Path | None = None  # where it was saved last

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        cache_dir: str | Path | None = None,
        map_location: str | torch.device = "cpu",
        strict: bool = True,
        **unknown: Any,
    ) -> Self:
        """The model of a name, a folder or a Hub repository, in evaluation mode.

        Args:
            revision: branch, tag or commit on the Hub.
            token: for private and gated repositories; None: the one that ``hf auth login`` stored.
            local_files_only: never ask the Hub.
            force_download: fetch what is on the Hub again, cached or not.
            cache_dir: in place of the Hub's own.
            map_location: the device that the model is put on.
            strict: there is no other way.

        Raises:
            WeightsError: it cannot be found, or any key, tensor or byte of it is not as it must be.
        """
        if not strict:
            raise WeightsError("weights are loaded strictly here: leave strict out")
        _refuse(unknown, "from_pretrained", LOADING)
        source, listed = locate(
            pretrained_model_name_or_path,
            revision=revision,
            token=token,
            local_files_only=local_files_only,
            force_download=force_download,
            cache_dir=cache_dir,
        )
        library, arguments = read_config(source)
        if library != cls._library():
            raise WeightsError(f"{source} holds a model of {library}, not of {cls._library()}")
        cls._require_arguments(arguments, f"{source / CONFIG}")
        with _described(source, cls):
            needed = cls.size_of(arguments)
        require_room(needed, source)
        if listed is not None:
            listed.require(source, [WEIGHTS])
        tensors = read_tensors(source)
        with _described(source, cls):
            model = cls(**arguments)
        _load(model, tensors, f"{source / WEIGHTS}")
        model.folder, model.listed = source, listed
        return _on(model, map_location)

    @classmethod
    def allow(cls, reference: str) -> None:
        """Let code of one's own, ``module:function``, take part in building models of this class.

        Raises:
            ValueError: there is no such function.
            WeightsError: models of this class are built by no other code than the library's.
        """
        raise WeightsError(
            f"no code but {cls._library()}'s own builds its models: leave --allow {reference} out"
        )

    @classmethod
    def size_of(cls, arguments: Mapping[str, Any]) -> Size:
        """Tensors and numbers that a model of these arguments needs at least; known without building it.

        Raises:
            ValueError: these are no arguments of such a model.
        """
        return Size(0, 0)

    def compare_graphs(self) -> int:
        """How many graphs lie beside the weights, all of which answer as the weights do.

        Raises:
            WeightsError: one of them does not.
        """
        return 0

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | Path,
        *,
        half: bool = False,
        metrics: Mapping[str, Any] | None = None,
        card: str | None = None,
        push_to_hub: bool = False,
        repo_id: str | None = None,
        **pushing: Any,
    ) -> Path:
        """Write a checkpoint folder that ``from_pretrained`` reads: all files or none, and others there stay.

        Only ONNX graphs of other weights go: they would answer in the new ones' place.

        Args:
            half: floating tensors as float16: half the size, 3 decimal digits.
            metrics: ``metrics.json``.
            card: ``README.md``.
            push_to_hub: upload the folder to ``repo_id`` afterwards, as :meth:`push_to_hub` does, whose arguments
                ``pushing`` are.

        Raises:
            WeightsError: the disk is full, or the model could not be loaded again because of NaN, numbers
                beyond float16's 65504 or ``__init__`` arguments that are not JSON; or the Hub refuses.
        """
        known = PUSHING if push_to_hub else SAVING
        _refuse(
            {name: value for name, value in pushing.items() if name not in known}, "save_pretrained", known
        )
        if push_to_hub != (repo_id is not None):
            raise WeightsError('pushing takes both, push_to_hub=True and repo_id="you/name"; saving neither')
        config = self._arguments()
        files = {WEIGHTS: _weights(self, half), CONFIG: to_json({"library": self._library(), **config})}
        if metrics is not None:
            files[METRICS] = to_json(dict(metrics))
        if card is not None:
            files[CARD] = card.encode()
        place = Path(save_directory)
        _drop_graphs(place, files[WEIGHTS])
        write(place, files)
        self.saved_in = place.absolute()
        if repo_id is not None:
            self.push_to_hub(repo_id, **pushing)
        return place

    def push_to_hub(  # type: ignore[override]
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        allow_patterns: Sequence[str] | str | None = None,
        ignore_patterns: Sequence[str] | str | None = None,
        delete_patterns: Sequence[str] | str | None = None,
        card: str | None = None,
        **unknown: Any,
    ) -> Pushed:
        """Upload the model, as ``python -m weights push`` does: checked first, in one commit, private by default.

        Where a folder holds this very model (it was loaded from there, or saved to), the folder goes, with its card and
        its graphs; else the model is saved to one that is temporary, with a card that says that it was not evaluated.

        Args:
            repo_id: ``owner/name``; made if there is none.
            private: as :func:`weights.push.push`, as are the others; None is True.
            branch, revision: two names of the same.
            card: ``README.md`` in place of the folder's.

        Returns:
            The address of the commit, with ``commit`` and the ``line`` that loads the model from it.

        Raises:
            WeightsError: the model could not be loaded again, and nothing was sent; or the Hub refuses.
        """
        from weights.push import push  # it needs this module

        _refuse(unknown, "push_to_hub", PUSHING)
        if branch and revision and branch != revision:
            raise WeightsError(f"branch {branch!r} and revision {revision!r} are two places: name one")
        with self._in_a_folder() as (place, its_card):
            return push(
                place,
                repo_id,
                private=private is not False,
                token=token,
                branch=branch or revision,
                create_pr=bool(create_pr),
                message=commit_message,
                description=commit_description,
                allow=allow_patterns,
                ignore=ignore_patterns,
                delete=delete_patterns,
                card=card or its_card,
            )

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card that a push would send: that of the model's folder, or one that says that it was not evaluated."""
        if args or kwargs:
            raise WeightsError(
                "a card here has no template to fill in: leave the arguments out, and edit the text"
            )
        with self._in_a_folder() as (place, card):
            return ModelCard(card or (place / CARD).read_text(encoding="utf-8"))

    @contextmanager
    def _in_a_folder(self) -> Iterator[tuple[Path, str | None]]:
        """A folder that holds this very model, for a while, and its card where the folder has none."""
        for place in (self.saved_in, self.folder):
            if place is not None and self._is_in(place):
                yield place, None if (place / CARD).exists() else self._plain_card()
                return
        with tempfile.TemporaryDirectory() as aside:
            files = {
                WEIGHTS: _weights(self, False),
                CONFIG: to_json({"library": self._library(), **self._arguments()}),
            }
            write(Path(aside), files)
            yield Path(aside), self._plain_card()

    def _is_in(self, place: Path) -> bool:
        """Whether a folder holds this very model, in float32 or half of it."""
        try:
            library, arguments = read_config(place)
            stored = self.renamed(read_tensors(place))
        except WeightsError:
            return False
        mine = json.loads(to_json(self._arguments()))
        given = inspect.signature(type(self).__init__).parameters
        usual = {name: given[name].default for name in self.later}  # which older folders leave out
        if (library, usual | arguments) != (self._library(), usual | mine):
            return False
        state: dict[str, Tensor] = self.state_dict()  # type: ignore[attr-defined]
        first = set(_first_names(state).values())
        return stored.keys() == first and all(
            torch.equal(state[n].detach().cpu().to(stored[n].dtype), stored[n]) for n in first
        )

    def _plain_card(self) -> str:
        """A card without results."""
        kind, data = type(self).__name__, self._hub_mixin_info.model_card_data
        front = ModelCardData(library_name=data.library_name, license=data.license, tags=_own_tags(data.tags))
        return PLAIN_CARD.format(front=front.to_yaml(), kind=kind, library=data.library_name)

    # What else the Hub's mixin has, for those who call it by name ---------------------------------------------------

    def _save_pretrained(self, save_directory: Path) -> None:
        self.save_pretrained(save_directory)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:  # type: ignore[override]
        return cls.from_pretrained(model_id, **options)

    @classmethod
    def _load_as_pickle(cls, model: Any, model_file: str, *args: Any, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        raise WeightsError(f"{model_file} is a pickle, which can run code: save it as {WEIGHTS} instead")

    @classmethod
    def _load_as_safetensor(  # type: ignore[override]
        cls, model: Any, model_file: str, map_location: str = "cpu", strict: bool = True
    ) -> Any:
        if not strict:
            raise WeightsError("weights are loaded strictly here: leave strict out")
        _load(model, load_tensors(Path(model_file)), model_file)
        return _on(model, map_location)

    def renamed(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Stored tensors under the names that they have today; a model whose names have changed says how."""
        return tensors

    @classmethod
    def _library(cls) -> str | None:
        return cls._hub_mixin_info.model_card_data.library_name

    def _arguments(self) -> dict[str, Any]:
        config: Any = self._hub_mixin_config or {}
        self._require_arguments(config, f"the {type(self).__name__} to save")
        return dict(config)

    @classmethod
    def _require_arguments(cls, config: Any, where: str) -> None:
        names = set(list(inspect.signature(cls.__init__).parameters)[1:])
        missing = sorted(names - config.keys() - set(cls.later))
        unexpected = sorted(config.keys() - names)
        if missing or unexpected:
            raise WeightsError(f"{where} does not fit {cls.__name__}: {_difference(missing, unexpected)}")


@contextmanager
def _described(source: Path, kind: type[Any]) -> Iterator[None]:
    """Whatever a model's ``__init__`` says to values it cannot use, said of its config."""
    try:
        yield
    except Exception as error:
        reason = f"{source / CONFIG} describes no {kind.__name__} ({one_line(error)})"
        raise WeightsError(reason) from error


def _on(model: Any, device: str | torch.device) -> Any:
    try:
        return model.to(torch.device(device))
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise WeightsError(
            f'map_location {device!r} is no device here ({one_line(error)}): "cpu" is'
        ) from error


def _refuse(unknown: Mapping[str, Any], method: str, known: Sequence[str]) -> None:
    """``WeightsError`` for arguments that other libraries' methods of that name take; None asks for nothing."""
    for name, value in unknown.items():
        if value is not None:
            why = UNUSED.get(name, f"{method} takes {', '.join(known)}")
            raise WeightsError(f"{method} cannot use {name}: {why}")


def _own_tags(tags: Sequence[str] | None) -> list[str]:
    return [tag for tag in tags or () if not tag.endswith("model_hub_mixin")]


def _drop_graphs(folder: Path, weights: bytes) -> None:
    """Delete the graphs that were exported from other weights; first, so that a kill leaves none behind."""
    old = folder / WEIGHTS
    if old.is_file() and old.read_bytes() != weights:
        for graph in folder.glob("*.onnx"):
            with suppress(OSError):  # a disk that cannot be written is said by ``write``
                graph.unlink()


def _difference(missing: list[str], unexpected: list[str]) -> str:
    parts = (("missing", missing), ("unexpected", unexpected))
    return ", ".join(f"{word} {', '.join(name[:80] for name in names[:5])}" for word, names in parts if names)


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
    tensors = model.renamed(tensors)
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
