"""Models from outside of ``weights/``: who may open which, where they are found, and what is checked before one loads.

A public page must not let its visitors read the server's disk or fill it, so the page's owner decides: nothing,
repositories of the Hub, or folders of this machine too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from classifiers import CompactCNN
from classifiers.networks import ALLOWED, dense_name, is_own
from demo.models.facts import Facts
from demo.models.kinds import KINDS, Kind, kind_of
from demo.uploads.values import UploadError, quotable
from demo.words import listed
from training.measure import macs
from weights import WeightsError
from weights.checkpoint import CARD, CONFIG, METRICS, WEIGHTS, one_line, read_config
from weights.hub import fetch
from weights.pretrained import REPO

Sources = Literal["none", "hub", "all"]
MAX_BYTES = 500_000_000  # of a model; float16 BERT-large has 670 MB
MAX_CONFIG_BYTES = 2_000_000
MAX_MACS = 100_000_000_000  # of a picture: seconds on a processor
# No ONNX graph of a stranger: it need not be what the weights say, and it is a program of its own.
FETCHED = (CONFIG, WEIGHTS, METRICS, CARD, "map.safetensors", "front.json")
HUB = re.compile(rf"({REPO.pattern})(?:@([A-Za-z0-9][A-Za-z0-9._/-]*))?")
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Policy:
    """What visitors may open.

    Args:
        sources: nothing, repositories of the Hub ("hub"), or any folder as well ("all").
        at_home: only who sits at this machine; the token that is stored here is then theirs.
    """

    sources: Sources = "none"
    at_home: bool = False

    def allows(self, headers: Mapping[str, str]) -> Sources:
        """What the sender of a request may open."""
        return self.sources if not self.at_home or is_local(headers) else "none"


def policy_of(asked: Sources | None, host: str, share: bool) -> Policy:
    """What the owner asked for; where they said nothing, everything for themselves on the loopback, else nothing."""
    if asked is not None:
        return Policy(asked)
    return Policy("all", at_home=True) if host in LOOPBACK and not share else Policy()


def is_local(headers: Mapping[str, str]) -> bool:
    """Whether a request was made to this very machine by name, and not passed on by a proxy that says so."""
    host = re.sub(r":\d+$", "", headers.get("host", ""))
    return host in LOOPBACK and not any(headers.get(name) for name in FORWARDED)


class Guest(NamedTuple):
    """A model from outside that can be loaded: what links call it, its folder, its kind."""

    name: str
    folder: Path
    kind: Kind


def find(asked: object, policy: Policy) -> Guest:
    """The model of a folder, or of ``OWNER/NAME[@REVISION]`` on the Hub, which is fetched.

    Raises:
        UploadError: it was not said in a way that this page allows.
        WeightsError: there is none, the Hub cannot be reached, or it is not a model of ours; one sentence.
    """
    text = quotable(asked, "The model")
    hub = HUB.fullmatch(text)
    if policy.sources == "all" and (folder := _folder(text)) is not None:
        return Guest(str(folder), folder, kind_in(folder, policy.at_home))
    if hub and policy.sources != "none":
        token = None if policy.at_home else False
        folder = fetch(hub[1], hub[2], token=token, files=FETCHED, most=MAX_BYTES)
        with called(text, folder):
            return Guest(text, folder, kind_in(folder))
    if policy.sources == "all":
        raise UploadError(
            f"There is no folder {text!r}: write a model's folder, or OWNER/NAME of one on the Hub."
        )
    raise UploadError("Write OWNER/NAME of a model on the Hub, with @REVISION behind it if you like.")


@contextmanager
def called(name: str, folder: Path) -> Iterator[None]:
    """What is wrong with a model is said under its name: where this machine keeps it is nobody's business."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(folder), name)) from error


def _folder(text: str) -> Path | None:
    """The folder of that name, or that the named file lies in."""
    path = Path(text).expanduser()
    try:
        path = path.parent if path.name in (CONFIG, WEIGHTS) else path
        return path.resolve() if path.is_dir() else None
    except (OSError, RuntimeError):  # a name too long, a link that leads to itself
        return None


def kind_in(folder: Path, owner: bool = False) -> Kind:
    """What a folder holds by its config, which loading compares with the weights; raises as :func:`find`.

    Args:
        owner: whether the page's owner asks, whose own code may build the network of a classifier.
    """
    for file, most in ((CONFIG, MAX_CONFIG_BYTES), (WEIGHTS, MAX_BYTES)):
        path = folder / file
        if path.exists() and not path.is_file():
            raise WeightsError(f"{path} is not a file")
        if path.is_file() and path.stat().st_size > most:
            raise WeightsError(
                f"{path} is larger than {most / 1e6:g} MB: put the model into weights/ instead"
            )
    library, config = read_config(folder)
    try:
        kind = _kind(str(library), config)
        if kind == "classifier" and is_own(config["network"]):
            _require_allowed(folder, dense_name(config["network"]), owner)
        elif kind == "classifier":
            _require_quick(config)
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise WeightsError(f"{folder / CONFIG} describes no model ({one_line(error)})") from error
    return kind


def _require_allowed(folder: Path, function: str, owner: bool) -> None:
    """``WeightsError`` unless the page's owner asks, and started it with the function that builds the network."""
    if not owner:
        raise WeightsError(
            f"{folder} needs code of its own, {function[:60]}, which this page runs for nobody"
        )
    if function not in ALLOWED:
        raise WeightsError(
            f"{folder} needs code of its own: if {function[:60]} is yours, start the page with --allow {function[:60]}"
        )


def _require_quick(config: Facts) -> None:
    """``WeightsError`` for a network that would take minutes a picture, which small weights do not rule out."""
    with torch.device("meta"):  # shapes, and no numbers
        network = CompactCNN(**config)
        work = macs(network, torch.zeros(1, config["channels"], config["size"], config["size"]))
    if work > MAX_MACS:
        raise WeightsError(
            f"It does {work / 1e9:,.0f} billion multiply-accumulates a picture: this page runs up to "
            f"{MAX_MACS / 1e9:,.0f}"
        )


def _kind(library: str, config: Facts) -> Kind:
    if library == "affinevae" and config["group"] == "none":
        raise WeightsError("A plain VAE has no orientation to show: call it vae-NAME and put it into weights/, "
                           "to compare affinevae-NAME with it")  # fmt: skip
    dims = len(config["size"]) if library == "affinevae" else 0
    kind = kind_of(library, dims)
    if kind is None and dims:
        raise ValueError(f"{dims} dimensions")
    if kind is None:
        shown = listed(list(dict.fromkeys(about.library for about in KINDS.values())))
        raise WeightsError(f"It is a model of {library[:40]}: this page shows those of {shown}")
    return kind


def as_arguments(name: str) -> str:
    """What ``from_pretrained`` is called with for a model that links call so, in Python."""
    hub = HUB.fullmatch(name)
    if hub and hub[2]:
        return f"{json.dumps(hub[1])}, revision={json.dumps(hub[2])}"
    return json.dumps(name, ensure_ascii=False)


def label(name: str) -> str:
    """How a picker calls a model: the last part of a path."""
    return name if HUB.fullmatch(name) else Path(name).name
