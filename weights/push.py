"""A model folder to the Hugging Face Hub: checked first, only the files that belong, in one commit."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, constants
from huggingface_hub.errors import HfHubHTTPError

from weights.catalog import catalog
from weights.checkpoint import (
    CARD,
    CONFIG,
    WEIGHTS,
    WeightsError,
    belonging,
    load_tensors,
    one_line,
    read_config,
)
from weights.hub import SILENCE, unreachable, within
from weights.pretrained import REPO, Pretrained, locate

TOKEN = "HF_TOKEN"
PATIENCE = 15.0  # seconds for the first answer
REFUSALS = {
    401: f"the Hub does not accept the token in {TOKEN}: make one that may write, in the settings there",
    403: f"the token in {TOKEN} may not write to it",
    404: f"there is no such place on the Hub, or the token in {TOKEN} may not see it",
    409: "somebody else is changing it: try again",
    429: "it was asked too often: try again in some minutes",
}


class Pushed(NamedTuple):
    """A commit on the Hub: its address, its hash, and the line that loads the model from it."""

    url: str
    commit: str
    line: str


def push(name_or_path: str | Path, repo: str, *, private: bool = False, branch: str | None = None) -> Pushed:
    """Upload a model folder with its card, named after ``repo``. The token is the one in ``HF_TOKEN``.

    Args:
        name_or_path: of a checkpoint on this machine; its files that are not ``FILES`` stay here.
        repo: ``owner/name``; made if there is none.
        private: where it is made; a public one is then refused.
        branch: made if there is none; default: the main one.

    Raises:
        WeightsError: the folder does not load, holds NaN or has no card, and nothing was sent; or the Hub cannot be
            reached or refuses.
    """
    if not REPO.fullmatch(repo):
        raise WeightsError(f"{repo!r} is no repository: write owner/name")
    kind, source = _loaded(name_or_path), locate(name_or_path, local_files_only=True)[0]
    card = renamed(_card(source), repo).encode()
    paths = {name: source / name for name in belonging(os.listdir(source))}
    files = [CommitOperationAdd(name, card if name == CARD else path) for name, path in paths.items()]
    token = os.environ.get(TOKEN)
    if not token:
        raise WeightsError(f"{TOKEN} is not set: put a token of the Hub that may write to {repo} into it")
    try:
        url, commit = _send(HfApi(constants.ENDPOINT, token=token), repo, files, private, branch)
    except WeightsError:
        raise
    except Exception as error:  # the client, its HTTP library and hf_xet raise what they like
        raise WeightsError(f"{repo} was not written: {_reason(error)}") from error
    return Pushed(url, commit, f'{kind.__name__}.from_pretrained("{repo}", revision="{commit}")')


def _loaded(name_or_path: str | Path) -> type[Pretrained]:
    """The class of a checkpoint that loads, and whose every number is one."""
    source, _ = locate(name_or_path, local_files_only=True)
    kind = _class(read_config(source)[0])
    kind.from_pretrained(name_or_path, local_files_only=True)
    for path in source.glob("*.safetensors"):
        if path.name != WEIGHTS and belonging([path.name]):
            load_tensors(path)
    return kind


def _class(library: str | None) -> type[Pretrained]:
    """The class that loads the models of a library; imports none but the catalogue's, whatever a config says."""
    if library in [entry.package for entry in catalog().values()]:
        with suppress(ImportError):
            importlib.import_module(str(library))
    for kind in Pretrained.__subclasses__():
        if kind._library() == library:
            return kind
    raise WeightsError(f"nothing here can load a model of {library}: its {CONFIG} names another library")


def _card(source: Path) -> str:
    try:
        return (source / CARD).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise WeightsError(f"{source} holds no {CARD}: evaluate the model first, which writes one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{source / CARD} cannot be read ({one_line(error)})") from error


def renamed(card: str, repo: str) -> str:
    """A model card with the title, the usage and the name of the results as they are in ``repo``.

    Raises:
        WeightsError: its front matter is not that of a model card.
    """
    name = repo.partition("/")[2]
    try:
        parsed = ModelCard(card)
        if parsed.data.get("eval_results"):
            parsed.data["model_name"] = name
        front = parsed.data.to_yaml()
    except Exception as error:  # of YAML, of the client's checks
        raise WeightsError(f"the front matter of {CARD} is not a model's ({one_line(error)})") from error
    text = re.sub(r"^# .*$", f"# {name}", parsed.text, count=1, flags=re.MULTILINE)
    text = re.sub(r'(\.from_pretrained\()"[^"]*"', rf'\g<1>"{repo}"', text)
    return f"---\n{front}\n---\n{text}"


def _send(
    api: HfApi, repo: str, files: list[CommitOperationAdd], private: bool, branch: str | None
) -> tuple[str, str]:
    within(PATIENCE, lambda: api.create_repo(repo, private=private or None, exist_ok=True))
    if private and not api.model_info(repo).private:
        raise WeightsError(f"{repo} is public already: make it private on the Hub, or leave --private out")
    if branch is not None:
        api.create_branch(repo, branch=branch, exist_ok=True)
    message = f"Model of {len(files)} files"
    made = api.create_commit(repo, files, commit_message=message, revision=branch)
    return made.commit_url, made.oid


def _reason(error: Exception) -> str:
    for cause in _causes(error):
        if isinstance(cause, SILENCE):
            return unreachable()
        if isinstance(cause, HfHubHTTPError):
            status = cause.response.status_code
            again = f"the Hub answered {status}: try again later"
            return REFUSALS.get(status, again if status >= 500 else one_line(cause))
    return f"the upload failed ({one_line(error)})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
