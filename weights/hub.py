"""Checkpoints from the Hugging Face Hub: from the cache where it cannot be out of date, and no long wait."""

from __future__ import annotations

import concurrent.futures
import errno
import logging
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from huggingface_hub import (
    HfApi,
    RepoFile,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

from weights.checkpoint import CONFIG, FILES, WEIGHTS, WeightsError, belonging, one_line

T = TypeVar("T")

PATIENCE = 2.5  # seconds; the client's own retries take 24
COMMIT = re.compile(r"[0-9a-f]{40}")
SILENCE = (concurrent.futures.TimeoutError, httpx.TransportError, OfflineModeIsEnabled)

logger = logging.getLogger(__name__)


def fetch(
    repo: str,
    revision: str | None = None,
    *,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    cache_dir: str | Path | None = None,
    files: Sequence[str] = FILES,
    most: int | None = None,
) -> Path:
    """A folder with one commit of ``owner/repo``: ``config.json``, ``model.safetensors`` and what else of ``files``.

    A cached commit is used without asking. For a branch the Hub is asked what is new; where it does not
    answer, the cached copy is used, with a warning in the log.

    Args:
        force_download: fetch every file again, as if nothing were cached.
        cache_dir: in place of the Hub's own.
        most: bytes that may be fetched.

    Raises:
        WeightsError: nothing is cached and the Hub is silent for ``PATIENCE`` seconds or refuses; or the files are
            larger than ``most``, and none was fetched.
    """
    if local_files_only and force_download:
        raise WeightsError(f"{repo} cannot be fetched with local_files_only: leave it or force_download out")
    copy = None if force_download else cached(repo, revision, cache_dir)
    if copy and (local_files_only or COMMIT.fullmatch(revision or "")):
        return copy
    if local_files_only:
        raise WeightsError(f"{repo} is not in the cache, and local_files_only forbids to ask the Hub")
    try:
        return _download(repo, revision, token, force_download, cache_dir, files, most)
    except WeightsError:
        raise
    except Exception as error:  # the client, its HTTP library and hf_xet raise what they like
        reason = _reason(revision, error)
        if copy is None:
            known = "was to be fetched again" if force_download else "is neither a folder nor in the cache"
            raise WeightsError(f"{repo} {known}, and {reason}") from error
        logger.warning("using the cached copy of %s: %s", repo, reason)
        return copy


def cached(repo: str, revision: str | None = None, cache_dir: str | Path | None = None) -> Path | None:
    """The folder of a commit, or of the last one seen of a branch, if both files are in the cache.

    Raises:
        WeightsError: there can be no such repository.
    """
    try:
        found = [try_to_load_from_cache(repo, file, cache_dir, revision) for file in (CONFIG, WEIGHTS)]
    except HFValidationError as error:
        raise WeightsError(f"no folder {repo!r}, and as a Hub repository: {one_line(error)}") from error
    paths = [Path(path) for path in found if isinstance(path, str)]
    return paths[0].parent if len(paths) == 2 else None


def _download(
    repo: str,
    revision: str | None,
    token: str | bool | None,
    again: bool,
    cache_dir: str | Path | None,
    files: Sequence[str],
    most: int | None,
) -> Path:
    url = hf_hub_url(repo, CONFIG, revision=revision)
    commit = within(PATIENCE, lambda: get_hf_file_metadata(url, token=token, timeout=PATIENCE)).commit_hash
    if commit and not again and (copy := cached(repo, revision, cache_dir)) and copy.name == commit:
        return copy
    api = HfApi(constants.ENDPOINT, token=token)
    tree = within(PATIENCE, lambda: list(api.list_repo_tree(repo, revision=commit)))
    sizes = {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}
    there = belonging(sizes, files)
    if most is not None and (total := sum(sizes[name] for name in there)) > most:
        raise WeightsError(
            f"{repo} has {total / 1e6:,.0f} MB of files: at most {most / 1e6:,.0f} MB are fetched here"
        )

    def get(name: str, revision: str | None) -> str:
        return hf_hub_download(
            repo, name, revision=revision, token=token, cache_dir=cache_dir, force_download=again
        )

    beside = (name for name in there if name not in (WEIGHTS, CONFIG))
    for name in (WEIGHTS, *beside, CONFIG):  # the last one is the sign of a complete folder
        path = get(name, commit)
    folder = Path(path).parent
    if cached(repo, revision, cache_dir) != folder:  # moves the branch, now that the commit is complete
        get(CONFIG, revision)
    return folder


def within(seconds: float, question: Callable[[], T]) -> T:
    """The answer, or ``concurrent.futures.TimeoutError``: no HTTP time-out covers a silent name server."""
    answer: concurrent.futures.Future[T] = concurrent.futures.Future()

    def ask() -> None:
        try:
            answer.set_result(question())
        except Exception as error:  # noqa: BLE001 - handed to the thread that asked
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    return answer.result(seconds)


def unreachable() -> str:
    """What is wrong where nobody answers."""
    return f"the Hub ({constants.ENDPOINT}) cannot be reached"


def _reason(revision: str | None, error: Exception) -> str:
    if isinstance(error, SILENCE):
        return unreachable()
    if isinstance(error, GatedRepoError):
        return "the Hub gates it: accept its terms there and pass a token"
    if isinstance(error, RepositoryNotFoundError):
        return "the Hub has no such repository, or it is private and needs a token"
    if isinstance(error, RevisionNotFoundError):
        return f"the Hub has no revision {revision!r} of it"
    if isinstance(error, EntryNotFoundError):
        return f"on the Hub it lacks {CONFIG} or {WEIGHTS} (a pickle is never loaded)"
    if isinstance(error, HfHubHTTPError):
        return f"the Hub answered {error.response.status_code}: try again later or with a token"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full: free some space in {constants.HF_HUB_CACHE}"
    return f"the download failed ({one_line(error)}): try again"
