"""The models behind the page: found in the weights, loaded once when first asked for."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from affinevae import AffineVAE
from affinevae.explore import DEFAULT_FILL, Map, Upright, read_map, typical_fill, upright_of
from classifiers import CompactCNN
from classifiers.anatomy import Layer, layers
from classifiers.backbone import published
from classifiers.model import PlanFacts
from demo.models.facts import Facts, read_facts, section
from demo.models.kinds import Kind, ShapeKind, kind_of
from demo.models.outside import Guest, Policy, called, find
from demo.models.reader import Reader
from demo.models.stops import FULL, USUAL, Stop, stop_of, stops
from demo.uploads.values import read_choice
from textclf import TextClassifier
from training.measure import macs, parameters
from weights import WeightsError, available, folder, locate
from weights.catalog import local, package_of
from weights.checkpoint import METRICS, UPRIGHT, WEIGHTS, belonging, read_config

DENSE = "-dense"  # what a dense twin's name ends in
FRONT = "front.json"
MOST_OPENED = 4  # models from outside of the weights that are kept
T = TypeVar("T")
Stamp = tuple[tuple[str, int, int, int], ...]  # name, time, bytes and number of each file
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model with what belongs to it: its map and plain counterpart where there are any, its framing in 2D."""

    name: str
    model: AffineVAE
    plain: AffineVAE | None
    map: Map | None
    fill: float
    up: Upright | None = None  # which way is up, where somebody measured it


@dataclass(frozen=True, eq=False)
class Net:
    """A classifier, or what of it a plan runs, with what was counted and measured."""

    name: str
    model: CompactCNN
    parameters: int
    macs: int  # of one picture
    bytes: int  # of the weights on disk
    layers: tuple[Layer, ...]
    test: Facts  # of its metrics; empty where it was never evaluated
    note: str = ""  # on what was measured
    plan: str = FULL
    size: int = 0  # pixels a side that it sees

    def logits(self, image: Tensor) -> Tensor:
        """Of prepared pictures."""
        return self.model.logits(image, self.plan)

    @property
    def engine(self) -> str:
        """What its answers run on, and in which precision: chosen by measuring when it was exported."""
        searched = self.model.config.plans and self.model.engine != "PyTorch"
        return (
            f"{self.model.engine}, {self.model.plans[self.plan].form if searched else self.model.precision}"
        )


@dataclass(frozen=True, eq=False)
class Classifier:
    """A compact network, its dense twin and the front of networks that it was chosen from, where there are any."""

    name: str
    compact: Net
    dense: Net | None
    front: Facts | None

    @cached_property
    def stops(self) -> tuple[Stop[PlanFacts], ...]:
        """Its plans, each once: the full one first, the fastest last; none for networks that have none."""
        return stops(self.compact.model.plans, lambda facts: facts.plan, lambda facts: sum(facts.plan.blocks))

    def plan(self, asked: object) -> str:
        """The name of a plan; ``UploadError`` if there is none."""
        return (
            stop_of(self.stops, asked).name
            if self.stops
            else read_choice(asked, [FULL, USUAL], "The plan") and FULL
        )

    @cached_property
    def _planned(self) -> dict[str, Net]:
        return {}

    def planned(self, plan: str) -> Net:
        """What of the compact network a plan runs."""
        if plan == FULL:
            return self.compact
        if plan not in self._planned:
            self._planned[plan] = _planned(self.compact, stop_of(self.stops, plan))
        return self._planned[plan]

    def nets(self, plan: str = FULL) -> tuple[Net, ...]:
        """What is compared: a plan and the full network; without plans the compact network and its dense twin."""
        if plan != FULL:
            return self.planned(plan), self.compact
        return (self.compact, self.dense) if self.dense else (self.compact,)


class Models:
    """Thread-safe: two visitors who ask for the same model wait for one load.

    A folder whose weights were replaced is loaded again, so a retrained model shows without a restart.

    Args:
        policy: what may be opened besides the models in the weights; nothing if left out.
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}
        self._loaded: dict[str, tuple[Stamp, Any]] = {}
        self._opened: OrderedDict[str, Guest] = OrderedDict()  # the one used longest ago first

    def loaded(self) -> list[str]:
        """Sorted names of the models in the weights that are in memory; what a visitor opened is theirs."""
        return sorted(name for name in self._loaded.copy() if name not in self._opened)

    def names(self, kind: ShapeKind = "image") -> list[str]:
        """Names that the tab of that kind can show: those with a pose."""
        return [name for name in available_here("affinevae") if _kind(name) == kind]

    def get(self, name: str, kind: ShapeKind = "image") -> Loaded:
        """The model of that name and kind.

        Raises:
            WeightsError: it is not in the weights, nor opened, or damaged; one sentence.
        """
        return self._once(name, kind, self.names(kind), (name,), _load)

    def classifiers(self) -> list[str]:
        """Names of the classifiers; a dense twin is shown beside its compact network only."""
        names = available_here("classifiers")
        return [n for n in names if not (n.endswith(DENSE) and n.removesuffix(DENSE) in names)]

    def classifier(self, name: str) -> Classifier:
        """The classifier of that name with its twin; raises as :meth:`get`."""
        return self._once(name, "classifier", self.classifiers(), (name, f"{name}{DENSE}"), _load_classifier)

    def readers(self) -> list[str]:
        """Names of the text classifiers."""
        return available_here("textclf")

    def listed(self, kind: Kind) -> list[str]:
        """Names that the tab of that kind can show."""
        if kind in ("image", "shape"):
            return self.names(kind)
        return self.classifiers() if kind == "classifier" else self.readers()

    def load(self, name: str, kind: Kind) -> Loaded | Classifier | Reader:
        """The model of that name and kind; raises as :meth:`get`."""
        if kind in ("image", "shape"):
            return self.get(name, kind)
        return self.classifier(name) if kind == "classifier" else self.reader(name)

    def reader(self, name: str) -> Reader:
        """The text classifier of that name; raises as :meth:`get`."""
        return self._once(name, "text", self.readers(), (name,), _load_reader)

    def open(self, asked: object, policy: Policy) -> Guest:
        """Load a model from outside of the weights; afterwards its name is one for :meth:`get` and its like.

        The ``MOST_OPENED`` that were used last are kept.

        Raises:
            UploadError, WeightsError: see ``demo.models.outside.find``; or it cannot be loaded.
        """
        guest = find(asked, policy)
        with called(guest.name, guest.folder):
            stamp, loaded = _stamp(guest.folder), LOADERS[guest.kind](guest.name, guest.folder)
        with self._lock:  # now that nothing can go wrong: one of that name is there until then
            self._opened[guest.name], self._loaded[guest.name] = guest, (stamp, loaded)
            self._opened.move_to_end(guest.name)
            while len(self._opened) > MOST_OPENED:
                forgotten, _ = self._opened.popitem(last=False)
                self._loaded.pop(forgotten, None)
        return guest

    def opened(self, name: object, kind: Kind | None = None) -> Guest | None:
        """What was opened under that name, and is of that kind, if any."""
        with self._lock:
            guest = self._opened.get(name) if isinstance(name, str) else None
            if guest is None or kind not in (None, guest.kind):
                return None
            self._opened.move_to_end(guest.name)
            return guest

    def guests(self) -> list[Guest]:
        """What was opened and is kept, the one used longest ago first."""
        with self._lock:
            return list(self._opened.values())

    def _once(
        self,
        name: str,
        kind: Kind,
        known: Sequence[str],
        made_of: Sequence[str],
        load: Callable[[str, str | Path], T],
    ) -> T:
        guest = self.opened(name, kind)
        if guest is None and name not in known:
            listed = ", ".join(known) or "none yet"
            raise WeightsError(f"There is no model called {str(name)[:60]!r} here: choose one of {listed}.")
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        # One lock a name: a slow load, or a download, holds up nobody who asks for another model.
        with loading:
            places = [guest.folder] if guest else map(folder, made_of)
            stamp = tuple(chain.from_iterable(map(_stamp, places)))
            if name not in self._loaded or self._loaded[name][0] != stamp:
                self._loaded[name] = (stamp, load(name, guest.folder if guest else name))
            loaded: T = self._loaded[name][1]
            return loaded


def available_here(package: str) -> list[str]:
    """With a damaged catalogue the folders that are here; whoever loads one of them is told what is wrong."""
    try:
        return available(package)
    except WeightsError as error:
        logger.warning("only the local models: %s", error)
        return [name for name in local() if package_of(name) == package]


def _kind(name: str) -> Kind | None:
    """None for a plain model: the page shows it beside its counterpart only."""
    try:
        config = read_config(folder(name))[1]
    except WeightsError:  # only on the Hub so far, where the names are the catalogue's
        return None if name.startswith("vae-") else "shape" if "modelnet" in name else "image"
    return None if config.get("group") == "none" else kind_of("affinevae", len(config.get("size", ())))


def _stamp(place: Path) -> Stamp:
    """Of every file that belongs to the model: a clock that was set back must not hide a new one."""
    try:
        states = [(entry.name, entry.stat()) for entry in os.scandir(place) if belonging([entry.name])]
    except OSError:  # only on the Hub so far, or being replaced just now
        return ()
    return tuple(sorted((file, state.st_mtime_ns, state.st_size, state.st_ino) for file, state in states))


def _load(name: str, place: str | Path) -> Loaded:
    """A model of that name from a folder, or from wherever the name leads; so do its like."""
    model = AffineVAE.from_pretrained(place)
    layout = _map(place, model.config.latent_dim)
    if model.config.dims == 3:  # its tab compares with nothing and frames nothing
        return Loaded(name, model, None, layout, DEFAULT_FILL)
    twin = name.removeprefix("affine")
    plain = AffineVAE.from_pretrained(twin) if twin != name and twin in available("affinevae") else None
    if plain is not None and plain.config.size != model.config.size:
        plain = None
    fill = typical_fill(model, layout and layout.z)
    return Loaded(name, model, plain, layout, fill, layout and _up(place, layout, model.config.classes))


def _up(place: str | Path, layout: Map, classes: Sequence[str]) -> Upright | None:
    """None also for a file that says something else."""
    said = section(read_facts(place, UPRIGHT), "classes")
    angles = {i: said[name] for i, name in enumerate(classes) if isinstance(said.get(name), float)}
    return upright_of(layout, angles)


def _map(place: str | Path, latent_dim: int) -> Map | None:
    """None also for a damaged map: the model is shown without one."""
    try:
        return read_map(locate(place, local_files_only=True)[0], latent_dim)
    except ValueError as error:
        logger.warning("no map: %s", error)
        return None


def _load_classifier(name: str, place: str | Path) -> Classifier:
    compact = _net(name, place)
    return Classifier(name, compact, _twin(compact), read_facts(place, FRONT) or None)


def _planned(full: Net, stop: Stop[PlanFacts]) -> Net:
    """A plan with what the search counted of it; what it did not is counted here."""
    facts, model = stop.facts, full.model
    numbers, work = facts.parameters, facts.macs
    if numbers is None or work is None:
        alone, size = model.planned(stop.name), facts.plan.size
        numbers, work = parameters(alone), macs(alone, torch.zeros(1, model.config.channels, size, size))
    test = full.test.get("plans", {}).get(stop.name, {}) if isinstance(full.test.get("plans"), dict) else {}
    return replace(
        full, parameters=int(numbers), macs=int(work), plan=stop.name, size=facts.plan.size, test=test
    )


def _twin(compact: Net) -> Net | None:
    """None also for half a checkpoint, and for one that answers otherwise: the compact network is shown alone."""
    name = f"{compact.name}{DENSE}"
    try:
        dense = _net(name, name) if name in available("classifiers") else None
    except WeightsError as error:
        logger.warning("no twin: %s", error)
        return None
    return dense if dense and _answers(dense) == _answers(compact) else None


def _answers(net: Net) -> tuple[object, ...]:
    """Networks that differ here cannot be asked about the same picture."""
    config = net.model.config
    return config.classes, config.prepared


def _net(name: str, place: str | Path) -> Net:
    model = CompactCNN.from_pretrained(place)
    config, metrics = model.config, read_facts(place, METRICS)
    one = torch.zeros(1, config.channels, config.size, config.size)
    weights = (locate(place, local_files_only=True)[0] / WEIGHTS).stat().st_size
    counts = parameters(model), macs(model, one), weights
    found = tuple(layers(model)), measured(place), _note(metrics)
    return Net(name, model, *counts, *found, size=config.size)


def _note(metrics: Facts) -> str:
    """What a released network was tested on, which is not what its authors did."""
    said, terms = published(metrics), str(metrics.get("terms") or "").partition(";")[0]
    return f"Tested here on {metrics.get('data')}, {terms}; {said}." if said else ""


def measured(place: str | Path) -> Facts:
    """What was measured of a model on test data; empty where nobody did."""
    return section(read_facts(place, METRICS), "test")


def _load_reader(name: str, place: str | Path) -> Reader:
    return Reader(name, TextClassifier.from_pretrained(place), read_facts(place, METRICS))


LOADERS: dict[Kind, Callable[[str, str | Path], Loaded | Classifier | Reader]] = {
    "image": _load, "shape": _load, "classifier": _load_classifier, "text": _load_reader,
}  # fmt: skip
