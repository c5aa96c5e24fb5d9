"""A model folder to the Hugging Face Hub: checked first, only the files that belong, in one commit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelCard,
    constants,
    get_token,
)
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

from weights.checkpoint import CARD, CONFIG, WEIGHTS, WeightsError, belonging, one_line
from weights.hub import SILENCE, unreachable, within
from weights.pretrained import REPO, locate
from weights.whole import require_whole

TOKEN = "HF_TOKEN"
PATIENCE = 15.0  # seconds for the first answer
REFUSALS = {
    401: "the Hub does not accept the token: make one that may write, in the settings there",
    403: "the token may not write to it",
    404: "there is no such place on the Hub, or the token may not see it",
    409: "somebody else is changing it: try again",
    429: "it was asked too often: try again in some minutes",
}


class Pushed(str):
    """The address of a commit on the Hub; ``line`` loads the model from it."""

    commit: str
    line: str

    @property
    def url(self) -> str:
        return str(self)


def push(
    name_or_path: str | Path,
    repo: str,
    *,
    private: bool = True,
    token: str | bool | None = None,
    branch: str | None = None,
    create_pr: bool = False,
    message: str | None = None,
    description: str | None = None,
    allow: Sequence[str] | str | None = None,
    ignore: Sequence[str] | str | None = None,
    delete: Sequence[str] | str | None = None,
    card: str | None = None,
) -> Pushed:
    """Upload a model folder with its card, named after ``repo``, in one commit.

    What the repository holds of a model and the folder does not, such as graphs of the weights before, goes.

    Args:
        name_or_path: of a checkpoint on this machine; its files that are not ``FILES`` stay here.
        repo: ``owner/name``; made if there is none.
        private: the repository is made so; one that is public is refused, so that nothing is published unasked.
        token: of the Hub, that may write there; None: the one in ``HF_TOKEN``, or that ``hf auth login`` stored.
        branch: made if there is none; default: the main one.
        create_pr: as a pull request, to a repository that there is.
        message, description: of the commit.
        allow, ignore: patterns of the names that are sent and that are not.
        delete: patterns of other names that go from the repository.
        card: text in place of the folder's ``README.md``.

    Raises:
        WeightsError: the folder does not load, holds NaN or a graph of other weights, or has no card, and nothing was
            sent; or the Hub cannot be reached or refuses.
    """
    if not isinstance(repo, str) or not REPO.fullmatch(repo):
        raise WeightsError(f"{repo!r:.80} is no repository: write owner/name")
    source, listed = locate(name_or_path, local_files_only=True)
    if listed is not None:
        listed.require(source, listed.files)
    kind, _ = require_whole(source)
    its_card = renamed(card if card is not None else _card(source), repo).encode()
    names = _matching(sorted({*belonging(os.listdir(source)), CARD}), allow, ignore)
    if left_out := sorted({CONFIG, WEIGHTS, CARD} - set(names)):
        raise WeightsError(f"a model on the Hub has {', '.join(left_out)}: let the patterns take it in")
    files = [CommitOperationAdd(n, its_card if n == CARD else source / n) for n in names]
    token = get_token() if token in (None, True) else token
    if not token:
        raise WeightsError(f"{TOKEN} is not set and nobody is logged in: put a token of the Hub that may write to "
                           f"{repo} into it, or run `hf auth login`")  # fmt: skip
    commit = Commit(
        repo, files, delete, branch, create_pr, message or f"Model of {len(files)} files", description
    )
    try:
        made = _send(HfApi(constants.ENDPOINT, token=token), commit, private)
    except WeightsError:
        raise
    except Exception as error:  # the client, its HTTP library and hf_xet raise what they like
        raise WeightsError(f"{repo} was not written: {reason(error)}") from error
    pushed = Pushed(made.pr_url or made.commit_url)
    pushed.commit = made.oid
    pushed.line = f'{kind.__name__}.from_pretrained("{repo}", revision="{made.oid}")'
    return pushed


class Commit(NamedTuple):
    """What is changed in a repository at once."""

    repo: str
    files: list[CommitOperationAdd]
    delete: Sequence[str] | str | None
    branch: str | None
    create_pr: bool
    message: str
    description: str | None


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


def _send(api: HfApi, commit: Commit, private: bool) -> CommitInfo:
    repo = commit.repo
    if not commit.create_pr:
        within(PATIENCE, lambda: api.create_repo(repo, private=private or None, exist_ok=True))
    if private and not within(PATIENCE, lambda: api.model_info(repo)).private:
        raise WeightsError(f"{repo} is public already: make it private on the Hub, or ask for a public one "
                           "(private=False, --public)")  # fmt: skip
    if commit.branch is not None and not commit.create_pr:
        api.create_branch(repo, branch=commit.branch, exist_ok=True)
    sent = {file.path_in_repo for file in commit.files}
    there = [path for path in api.list_repo_files(repo, revision=commit.branch) if path not in sent]
    gone = {*belonging(there), *(_matching(there, commit.delete) if commit.delete else ())}
    return api.create_commit(
        repo,
        [*commit.files, *(CommitOperationDelete(path) for path in sorted(gone))],
        commit_message=commit.message,
        commit_description=commit.description,
        revision=commit.branch,
        create_pr=commit.create_pr,
    )


def _matching(
    names: Sequence[str], allow: Sequence[str] | str | None, ignore: Sequence[str] | str | None = None
) -> list[str]:
    """Those of the names that the Hub's patterns let through."""
    return list(filter_repo_objects(names, allow_patterns=allow, ignore_patterns=ignore))  # type: ignore[arg-type]


def reason(error: Exception) -> str:
    """Why the Hub took nothing, in words."""
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
