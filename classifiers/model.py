"""``CompactCNN``: a named network with its classes, the scale of its pixels, and the plans that a search named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from onnxruntime import InferenceSession, SessionOptions
from torch import Tensor, nn
from typing_extensions import Self

from classifiers import images as pictures
from classifiers import plans as shorter
from classifiers.networks import (
    allow_network,
    create_network,
    dense_name,
    is_own,
    penultimate,
    require_logits,
)
from classifiers.plans import Plan, Shortened
from classifiers.tie import retie, ties_of
from classifiers.tied import TiedConv, rename_kernel
from training.pictures import Fit, Ground, Preparation, prepare_all
from weights.arguments import file_stem, items, number, texts, whole
from weights.checkpoint import Size, WeightsError, one_line
from weights.graphs import is_quantised, probe_rows, require_agreement, require_plain
from weights.kept import kept_with_first
from weights.pretrained import Pretrained

Engine = Literal["auto", "onnx", "int8", "torch"]
ENGINES: tuple[Engine, ...] = ("auto", "onnx", "int8", "torch")
Precision = Literal["float32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
AGAIN = "python -m classifiers.export"
BATCH, PIXELS = 256, 256 * 64 * 64  # pictures and pixels that run at once: maps of more fall out of the cache
MOST = 500_000_000  # numbers of a network that is built to be loaded, before it is tied
ONNX = "model.onnx"
FULL, BALANCED = "full", "balanced"
MOST_PLANS = 64  # of a config


class PlanFacts(NamedTuple):
    """A named plan; what was not measured is None.

    Accuracies and ``n`` are of the validation pictures that the search used, ``macs`` and times of one picture (batch
    1, one thread, ONNX Runtime). ``form`` is the faster of float32 and int8, among those that lose no accuracy.
    """

    plan: Plan
    accuracy: float | None = None
    n: int | None = None
    parameters: int | None = None
    macs: int | None = None
    latency_ms: float | None = None
    int8_accuracy: float | None = None
    int8_latency_ms: float | None = None
    form: Precision = "float32"

    def to_json(self) -> dict[str, Any]:
        """As ``config.json`` holds it."""
        measured = {k: v for k, v in self._asdict().items() if k != "plan" and v is not None}
        return {
            **{k: list(v) if isinstance(v, tuple) else v for k, v in self.plan._asdict().items()},
            **measured,
        }


def check_facts(name: str, facts: Any) -> None:
    """``ValueError`` unless these are a plan's, as :meth:`PlanFacts.to_json` writes them."""
    known = {*Plan._fields, *PlanFacts._fields[1:]}
    if not isinstance(facts, Mapping) or not set(Plan._fields) <= facts.keys() <= known:
        raise ValueError(f"what is known about plan {name!r} is not in the format of a search")
    for key in PlanFacts._fields[1:-1]:
        if facts.get(key) is not None:
            number(f"{key} of plan {name!r}", facts[key], 0, 1e18)
    if facts.get("form", "float32") not in PRECISIONS:
        raise ValueError(f"form of plan {name!r} must be float32 or int8, not {facts['form']!r:.40}")


@dataclass(frozen=True)
class CompactCNNConfig:
    """What makes a classifier besides its weights.

    Args:
        network: name, see :mod:`classifiers.networks`.
        ties: name of each tied convolution and its tie, where the network's name does not say: of a network of one's
            own, and of one that was tied afterwards.
        classes: names, in the order of the logits.
        size: pixels a side that it was trained on.
        channels: 1 grey, 3 RGB.
        mean, std: of the training pixels, one number a channel.
        fit, ground, invert: how pictures become pixels, see :class:`training.pictures.Preparation`.
        plans: name -> a plan and what is known of it, see :class:`PlanFacts`.
    """

    network: str
    classes: tuple[str, ...]
    size: int = 32
    channels: int = 3
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.25,)
    fit: Fit = "crop"
    ground: Ground = "white"
    invert: bool = True  # what models did that do not say
    ties: Mapping[str, str] | None = field(default=None, hash=False)
    plans: Mapping[str, Mapping[str, Any]] | None = field(default=None, hash=False)

    @property
    def prepared(self) -> Preparation:
        """How a picture becomes pixels, in training as ever after."""
        return Preparation(self.size, self.channels, self.fit, self.ground, self.invert)

    def check(self) -> CompactCNNConfig:
        """Itself, or ``ValueError`` with what is wrong."""
        if type(self.channels) is not int or self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB), not {self.channels!r:.40}")
        texts("classes", self.classes, 2)
        whole("size", self.size, 8, 1024)
        if len(self.mean) not in (1, self.channels) or len(self.std) != len(self.mean):
            raise ValueError(f"mean and std must be {self.channels} numbers, std above 0")
        for mean, std in zip(self.mean, self.std, strict=True):
            number("a mean of pixels", mean, -1e6, 1e6)
            number("a std of pixels", std, 1e-6, 1e6)
        self.prepared.check()
        if self.ties is not None:
            if not isinstance(self.ties, Mapping):
                raise ValueError(
                    f"ties must be names of convolutions, each with its tie, not {self.ties!r:.40}"
                )
            texts("ties", [*self.ties, *self.ties.values()])
        if self.plans is not None:
            if not isinstance(self.plans, Mapping) or len(self.plans) > MOST_PLANS:
                raise ValueError(f"plans must be at most {MOST_PLANS} by their names, not {self.plans!r:.40}")
            for name, facts in self.plans.items():
                check_facts(file_stem("the name of a plan", name), facts)
        return self


class CompactCNN(
    nn.Module,
    Pretrained,
    library_name="classifiers",
    tags=["image-classification", "weight-sharing", "efficient-networks"],
    license="apache-2.0",
):
    """Image classifier over (B, C, H, W) in [0, 1]. Arguments: see :class:`CompactCNNConfig`."""

    later = ("fit", "ground", "invert", "ties", "plans")

    mean: Tensor
    std: Tensor
    scope: Tensor

    def __init__(
        self,
        network: str,
        classes: Sequence[str],
        size: int = 32,
        channels: int = 3,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.25,),
        fit: Fit = "crop",
        ground: Ground = "white",
        invert: bool = True,
        ties: Mapping[str, str] | None = None,
        plans: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        named, scale = items("classes", classes), (items("mean", mean), items("std", std))
        config = CompactCNNConfig(network, named, size, channels, *scale, fit, ground, invert, ties, plans)
        self.config = config.check()
        self.session: InferenceSession | None = None  # not a module: neither saved nor moved
        self.quantised = False  # the session's graph
        self.loaded: tuple[tuple[int, int], ...] | None = None  # what the session answers for
        self.network = _network(self.config)
        self.register_buffer("mean", torch.tensor(self.config.mean).view(-1, 1, 1), persistent=False)
        # Energy below which 95 % of held-out pictures lie; training measures it at its end.
        self.register_buffer("scope", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(self.config.std).view(-1, 1, 1), persistent=False)
        self.asked: Engine = "auto"
        if self.config.plans:
            # Scales and shifts of the norms of each plan, (2, C), one norm after the other.
            self.norms = nn.Module()
            for name, facts in self.plans.items():
                if name != FULL:
                    channels_ = shorter.norm_channels(self.network, facts.plan)
                    self.norms.register_buffer(_norms_of(name), torch.ones(2, channels_))

    @classmethod
    def allow(cls, reference: str) -> None:
        allow_network(reference)

    @classmethod
    def size_of(cls, arguments: Mapping[str, Any]) -> Size:
        """Of a network of ours; what one's own needs, its function alone knows."""
        if is_own(arguments["network"]):
            return Size(0, 0)
        with torch.device("meta"):  # shapes, and no numbers
            dense = create_network(dense_name(arguments["network"]), len(arguments["classes"]))
            state = cls(**arguments).state_dict().values()
        if (numbers := sum(p.numel() for p in dense.parameters())) > MOST:
            raise ValueError(f"the network has {numbers:,} numbers before it is tied, more than {MOST:,}")
        return Size(len(state), sum(tensor.numel() for tensor in state))

    def _arguments(self) -> dict[str, Any]:
        """With the ties that the network has now, where its name does not say them."""
        config, ties = self.config, ties_of(self.network)
        found = {k: v for k, v in super()._arguments().items() if k != "plans" or v}
        if not is_own(config.network):
            with torch.device("meta"):
                named = create_network(config.network, len(config.classes), config.channels)
            if ties == ties_of(named):
                return {k: v for k, v in found.items() if k != "ties"}
        self.config = replace(config, ties=ties)
        return {**found, "ties": ties}

    @property
    def classes(self) -> tuple[str, ...]:
        return self.config.classes

    # Plans ---------------------------------------------------------------------------------------------------------

    @property
    def plans(self) -> dict[str, PlanFacts]:
        """Every named plan, "full", all of the network, among them; empty for networks that have none."""
        if not shorter.has_plans(self.network):
            return {}
        full = shorter.full_plan(self.network, self.config.size)
        found = {FULL: PlanFacts(full)}
        for name, facts in (self.config.plans or {}).items():
            made = shorter.check_plan(self.network, self.config.size, {k: facts[k] for k in Plan._fields})
            found[name] = PlanFacts(made, **{k: v for k, v in facts.items() if k not in Plan._fields})
        if found[FULL].plan != full:
            raise ValueError('the plan "full" must be all of the network')
        return found

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels a side that plans may have; the model's own, the largest, for networks that have no plans."""
        size = self.config.size
        return shorter.sizes(size) if shorter.has_plans(self.network) else (size,)

    def plan(self, plan: str | Plan) -> Plan:
        """A plan by its name, or as it is; ``ValueError`` if there is none."""
        if not isinstance(plan, str):
            return shorter.check_plan(self.network, self.config.size, plan)
        named = self.plans
        if not named:
            raise ValueError(f"{self.config.network} has no plan {plan!r:.80}: {shorter.NEEDS}")
        if plan not in named:
            raise ValueError(f"unknown plan {plan!r:.80}: choose one of {', '.join(named)}")
        return named[plan].plan

    def planned(self, plan: str | Plan, norms: Tensor | None = None) -> Shortened:
        """The network of a plan by itself, norms folded: pictures (B, C, S, S) in [0, 1] of the plan's size to logits.

        Args:
            plan: a name in :attr:`plans`, or a plan.
            norms: as :meth:`calibrated` finds them; those of a named plan are known. Without them, norms keep the
                full network's statistics.

        Raises:
            ValueError: there is no such plan.
        """
        if norms is None and isinstance(plan, str):
            norms = self.norms_of(plan)
        return shorter.shortened(self.network, self.plan(plan), norms, self.mean, self.std)

    def norms_of(self, plan: str) -> Tensor | None:
        """Scales and shifts (2, C) of a named plan's norms; None for the full one, whose norms have statistics.

        Raises:
            ValueError: there is no such plan.
        """
        self.plan(plan)
        return None if plan == FULL else self.norms.get_buffer(_norms_of(plan))

    def calibrated(self, plan: Plan, images: Tensor, moments: shorter.Moments | None = None) -> Tensor:
        """Scales and shifts (2, C) of a plan's norms, set by training pictures (B, C, H, W) in [0, 1].

        Args:
            moments: of the full network on these pictures, where they are known.
        """
        if moments is None:
            moments = self.moments(images)
        x = (pictures.resize(images, plan.size) - self.mean) / self.std
        return shorter.calibrate(self.network, plan, moments, x.contiguous(memory_format=torch.channels_last))

    def moments(self, images: Tensor) -> shorter.Moments:
        """What the norms of the full network hand on for pictures (B, C, H, W) in [0, 1]."""
        x = (images - self.mean) / self.std
        full = shorter.full_plan(self.network, self.config.size)
        return shorter.full_moments(self.network, full, x.contiguous(memory_format=torch.channels_last))

    def with_plans(self, facts: Mapping[str, PlanFacts], norms: Mapping[str, Tensor]) -> Self:
        """The same model with these named plans and the scales and shifts of their norms; shares the weights."""
        stored = {name: known.to_json() for name, known in facts.items()}
        model = type(self)(**{**self._arguments(), "plans": stored})
        model.network, model.scope = self.network, self.scope
        for name in stored.keys() - {FULL}:
            model.norms.get_buffer(_norms_of(name)).copy_(norms[name])
        return model.eval()

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, *, engine: Engine = "auto", **options: Any
    ) -> Self:
        """See :meth:`weights.pretrained.Pretrained.from_pretrained`.

        Args:
            engine: what :meth:`predict` runs on: "onnx" (ONNX Runtime on the folder's graph in float32, ``model.onnx``
                or that of the plan), "int8" (the plan's in int8), "torch", or "auto": the graph that is fastest, where
                the folder has one.

        Raises:
            WeightsError: also for an ONNX file that is missing, damaged or another model's.
        """
        if engine not in ENGINES:
            raise WeightsError(f"there is no engine {engine!r:.40}: choose one of {', '.join(ENGINES)}")
        model: Self = super().from_pretrained(pretrained_model_name_or_path, **options)
        assert model.folder is not None
        model.asked = engine
        wanted = engine in ("onnx", "int8") or (engine == "auto" and (model.folder / ONNX).is_file())
        if wanted and not model.config.plans:
            model.session = open_session(model.folder / ONNX, model)
            model.quantised = is_quantised((model.folder / ONNX).read_bytes())
        channels_last(model)
        model.loaded = _versions(model)
        return model

    def compare_graphs(self) -> int:
        """See :meth:`weights.Pretrained.compare_graphs`."""
        if self.folder is None:
            return 0
        places: dict[str, str] = {ONNX: FULL}
        if self.config.plans:
            places = {graph_path(Path(), n, p).name: n for n in self.plans for p in PRECISIONS}
        found = sorted(path.name for path in self.folder.glob("*.onnx"))
        for name in found:
            if name not in places:
                raise WeightsError(f"{self.folder / name} is the graph of no plan: delete it")
            open_session(self.folder / name, self, places[name])
        return len(found)

    def renamed(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        state = dict(tensors)
        for name, module in self.named_modules():
            if isinstance(module, TiedConv):
                rename_kernel(module, state, f"{name}.")
        return state

    @property
    def engine(self) -> str:
        """What :meth:`predict` runs on, in words."""
        graphs = self.session is not None or (bool(self.config.plans) and self._graph(self._named(BALANCED)))
        return "ONNX Runtime" if graphs else "PyTorch"

    @property
    def precision(self) -> str:
        """In which :meth:`predict` computes: "float32" or "int8"."""
        if self.config.plans and (graph := self._graph(self._named(BALANCED))) is not None:
            return "int8" if graph.name.endswith(".int8.onnx") else "float32"
        return "int8" if self.session is not None and self.quantised else "float32"

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, K)."""
        return self.network((image - self.mean) / self.std)

    def features(self, image: Tensor) -> Tensor:
        """What the linear layer sees, (B, C)."""
        return penultimate(self.network, (image - self.mean) / self.std)

    @torch.no_grad()
    def predict(self, images: Iterable[pictures.Picture] | Tensor, plan: str | Plan = BALANCED) -> Tensor:
        """Probabilities (B, K) of pictures of any size and mode, or of floats (B, C, H, W) in [0, 1].

        Pictures are PIL's, files or arrays of bytes (H, W) or (H, W, 1 or 3), and are prepared as the training ones
        were; floats are taken as they are, and scaled to the model's size.

        Args:
            plan: a name in :attr:`plans`, or a plan; "balanced" is all of the network for a model without a search.

        Raises:
            ValueError: what is none of these, a file that cannot be read, a picture of 32-bit pixels, or an unknown
                plan.
        """
        return self.logits(images, plan).softmax(1)

    @torch.no_grad()
    def logits(self, images: Iterable[pictures.Picture] | Tensor, plan: str | Plan = BALANCED) -> Tensor:
        """As :meth:`predict`, before the softmax."""
        named = self._named(plan)
        size = self.config.size if named == FULL else self.plan(named).size
        batch = self.prepare(images)
        if not len(batch):
            return batch.new_zeros(0, len(self.classes))
        most = max(1, min(BATCH, PIXELS // size**2))
        return torch.cat([self._run(pictures.resize(part, size), named) for part in batch.split(most)])

    def _named(self, plan: str | Plan) -> str | Plan:
        """The plan, "balanced" being "full" where no search named one."""
        if plan == FULL or (plan == BALANCED and BALANCED not in (self.config.plans or {})):
            return FULL
        self.plan(plan)
        return plan

    def _run(self, batch: Tensor, plan: str | Plan) -> Tensor:
        if self.loaded is not None and self.loaded != _versions(self):
            # the network was tied or trained since: its graphs would answer for the old one
            self.session, self.asked = None, "torch"
        engine = self.session if plan == FULL else None
        if engine is None and isinstance(plan, str) and self.config.plans and (path := self._graph(plan)):
            engine = _plan_session(self, path, plan, path.stat().st_mtime_ns)
        if engine is not None:
            return torch.from_numpy(engine.run(None, {"image": batch.numpy()})[0])
        network = self.eval() if plan == FULL else _shortened(self, plan, _versions(self))
        found: Tensor = network(batch.contiguous(memory_format=torch.channels_last))
        return found

    def _graph(self, plan: str | Plan) -> Path | None:
        """The file that answers for a named plan; None where PyTorch does.

        Raises:
            WeightsError: the engine that was asked for has no file.
        """
        if self.folder is None or self.asked == "torch" or not isinstance(plan, str):
            return None
        both: tuple[Precision, ...] = ("int8", "float32") if self.plans[plan].form == "int8" else PRECISIONS
        wanted: dict[str, tuple[Precision, ...]] = {"onnx": ("float32",), "int8": ("int8",)}
        for precision in wanted.get(self.asked, both):
            if (path := graph_path(self.folder, plan, precision)).is_file():
                return path
        if self.asked == "auto":
            return None
        precision = wanted[self.asked][0]
        raise WeightsError(
            f"plan {plan!r} has no {precision} graph in {self.folder}: `python -m classifiers.search` makes them"
        )

    def prepare(self, images: Iterable[pictures.Picture] | Tensor) -> Tensor:
        """Pictures as the network takes them: floats (B, C, size, size)."""
        config = self.config
        if isinstance(images, Tensor):
            return pictures.resize(pictures.check(images, config.channels), config.size)
        found = pictures.opened(images)
        if not found:
            return torch.zeros(0, config.channels, config.size, config.size)
        return prepare_all(found, config.prepared)


def _norms_of(plan: str) -> str:
    """The buffer of a plan's norms; its name has no dot and is no attribute of a module."""
    return f"of_{plan}".replace(".", ",")


def graph_path(folder: Path, plan: str, precision: Precision) -> Path:
    """Where the graph of a named plan is or would be."""
    return folder / f"{plan}.{precision}.onnx"


@kept_with_first(8)
def _plan_session(model: CompactCNN, path: Path, plan: str, stamp: int) -> InferenceSession:
    """The session of a named plan; ``stamp`` is of the file, so that a new export is a new session."""
    return open_session(path, model, plan)


@kept_with_first(4)
def _shortened(model: CompactCNN, plan: str | Plan, versions: object) -> Shortened:
    """A plan's own network, as long as the weights stay; laid out as convolutions on processors like it."""
    return model.planned(plan).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _versions(model: nn.Module) -> tuple[tuple[int, int], ...]:
    """Which parameters a model has, and how often each was written, where torch counts it."""
    return tuple((id(p), 0 if p.is_inference() else p._version) for p in model.parameters())


def _network(config: CompactCNNConfig) -> nn.Module:
    """The network that a config describes, with the weights that its function gives it, or random ones."""
    network = create_network(
        config.network if config.ties is None else dense_name(config.network),
        len(config.classes),
        config.channels,
    )
    if config.ties is not None:
        retie(network, config.ties)
    if is_own(config.network):
        require_logits(network, config.network, len(config.classes), config.channels, config.size)
    return network


def channels_last(model: CompactCNN) -> CompactCNN:
    """The model itself, laid out in memory as convolutions on processors like it, if no tensor has five axes."""
    if any(tensor.ndim > 4 for tensor in model.state_dict().values()):
        return model
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def open_session(path: Path, model: CompactCNN, plan: str = FULL) -> InferenceSession:
    """The graph of a plan; ``WeightsError`` if it cannot be the model's, or does not answer as its weights do.

    A file that the catalogue lists is compared with its sha256, any other with the weights on pictures of noise.
    """
    config = model.config
    if not path.is_file():
        raise WeightsError(f'{path} is missing: make it with `{AGAIN}`, or ask for engine="torch"')
    graph = path.read_bytes()
    require_plain(path, graph)
    listed = model.listed
    known = listed is not None and path.name in listed.files
    if listed is not None:
        listed.require(path.parent, [path.name])
    try:
        engine = session(graph)
        given, found = engine.get_inputs()[0], engine.get_outputs()[0]
    except Exception as error:  # whatever ONNX Runtime says to bytes that it cannot use
        raise WeightsError(f"{path} cannot be used ({one_line(error)}): export it again") from error
    size = config.size if plan == FULL else model.plan(plan).size
    wanted = [config.channels, size, size], len(config.classes)
    if given.name != "image" or given.shape[1:] != wanted[0] or found.shape[-1:] != [wanted[1]]:
        raise WeightsError(f"{path} is another model's: export it again with `{AGAIN}`")
    if not known:
        answers = _both(engine, model, plan, probe(config.channels, size))
        require_agreement(path, graph, *answers, f"{AGAIN} {path.parent}")
    return engine


def probe(channels: int, size: int) -> Tensor:
    """Soft pictures of noise that are always the same, (B, C, size, size) in [0, 1]."""
    noise = probe_rows((4 if size <= 64 else 2, channels, 4, 4))
    return nn.functional.interpolate(noise, (size, size), mode="bilinear")


@torch.no_grad()
def _both(engine: InferenceSession, model: CompactCNN, plan: str, image: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the weights and of the graph; the model stays in its mode."""
    training = model.training
    network = model.eval() if plan == FULL else model.planned(plan)
    wanted: Tensor = network(image.to(model.scope.device)).cpu()
    model.train(training)
    return wanted, torch.from_numpy(engine.run(None, {"image": image.numpy()})[0])


def session(onnx: bytes, threads: int = 1) -> InferenceSession:
    """An ONNX Runtime session on the processor, quiet."""
    options = SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def energy(logits: Tensor) -> Tensor:
    """Free energy (B,) of logits (B, K): high where no class speaks up (Liu et al. 2020, arXiv:2010.03759)."""
    return -logits.logsumexp(1)
