"""``CompactCNN``: a named network with its classes and the scale of its pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from onnxruntime import InferenceSession, SessionOptions
from torch import Tensor, nn
from typing_extensions import Self

from classifiers import images as pictures
from classifiers.networks import (
    allow_network,
    create_network,
    dense_name,
    is_own,
    penultimate,
    require_logits,
)
from classifiers.tie import retie, ties_of
from classifiers.tied import TiedConv, rename_kernel
from training.pictures import Fit, Ground, Preparation, prepare_all
from weights.arguments import items, number, texts, whole
from weights.checkpoint import Size, WeightsError, one_line
from weights.graphs import is_quantised, probe_rows, require_agreement, require_plain
from weights.pretrained import Pretrained

Engine = Literal["auto", "onnx", "torch"]
ENGINES: tuple[Engine, ...] = ("auto", "onnx", "torch")
AGAIN = "python -m classifiers.export"
BATCH, PIXELS = 256, 256 * 64 * 64  # pictures and pixels that run at once: maps of more fall out of the cache
MOST = 500_000_000  # numbers of a network that is built to be loaded, before it is tied
ONNX = "model.onnx"


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
        return self


class CompactCNN(
    nn.Module,
    Pretrained,
    library_name="classifiers",
    tags=["image-classification", "weight-sharing", "efficient-networks"],
    license="apache-2.0",
):
    """Image classifier over (B, C, H, W) in [0, 1]. Arguments: see :class:`CompactCNNConfig`."""

    later = ("fit", "ground", "invert", "ties")

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
    ) -> None:
        super().__init__()
        named, scale = items("classes", classes), (items("mean", mean), items("std", std))
        config = CompactCNNConfig(network, named, size, channels, *scale, fit, ground, invert, ties)
        self.config = config.check()
        self.session: InferenceSession | None = None  # not a module: neither saved nor moved
        self.quantised = False  # the session's graph
        self.loaded: tuple[tuple[int, int], ...] | None = None  # what the session answers for
        self.network = _network(self.config)
        self.register_buffer("mean", torch.tensor(self.config.mean).view(-1, 1, 1), persistent=False)
        # Energy below which 95 % of held-out pictures lie; training measures it at its end.
        self.register_buffer("scope", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(self.config.std).view(-1, 1, 1), persistent=False)

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
        if not is_own(config.network):
            with torch.device("meta"):
                named = create_network(config.network, len(config.classes), config.channels)
            if ties == ties_of(named):
                return {k: v for k, v in super()._arguments().items() if k != "ties"}
        self.config = replace(config, ties=ties)
        return {**super()._arguments(), "ties": ties}

    @property
    def classes(self) -> tuple[str, ...]:
        return self.config.classes

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, *, engine: Engine = "auto", **options: Any
    ) -> Self:
        """See :meth:`weights.pretrained.Pretrained.from_pretrained`.

        Args:
            engine: what :meth:`predict` runs on: "onnx" (ONNX Runtime on the folder's ``model.onnx``), "torch", or
                "auto", which is the first where the folder has the file.

        Raises:
            WeightsError: also for an ONNX file that is missing, damaged or another model's.
        """
        if engine not in ENGINES:
            raise WeightsError(f"there is no engine {engine!r:.40}: choose one of {', '.join(ENGINES)}")
        model: Self = super().from_pretrained(pretrained_model_name_or_path, **options)
        assert model.folder is not None
        if engine == "onnx" or (engine == "auto" and (model.folder / ONNX).is_file()):
            model.session = open_session(model.folder / ONNX, model)
            model.quantised = is_quantised((model.folder / ONNX).read_bytes())
        channels_last(model)
        model.loaded = _versions(model)
        return model

    def compare_graphs(self) -> int:
        """See :meth:`weights.Pretrained.compare_graphs`."""
        if self.folder is None or not (self.folder / ONNX).is_file():
            return 0
        open_session(self.folder / ONNX, self)
        return 1

    def renamed(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        state = dict(tensors)
        for name, module in self.named_modules():
            if isinstance(module, TiedConv):
                rename_kernel(module, state, f"{name}.")
        return state

    @property
    def engine(self) -> str:
        """What :meth:`predict` runs on, in words."""
        return "PyTorch" if self.session is None else "ONNX Runtime"

    @property
    def precision(self) -> str:
        """In which :meth:`predict` computes: "float32" or "int8"."""
        return "int8" if self.session is not None and self.quantised else "float32"

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, K)."""
        return self.network((image - self.mean) / self.std)

    def features(self, image: Tensor) -> Tensor:
        """What the linear layer sees, (B, C)."""
        return penultimate(self.network, (image - self.mean) / self.std)

    @torch.no_grad()
    def predict(self, images: Iterable[pictures.Picture] | Tensor) -> Tensor:
        """Probabilities (B, K) of pictures of any size and mode, or of floats (B, C, H, W) in [0, 1].

        Pictures are PIL's, files or arrays of bytes (H, W) or (H, W, 1 or 3), and are prepared as the training ones
        were; floats are taken as they are, and scaled to the model's size.

        Raises:
            ValueError: what is none of these, a file that cannot be read, or a picture of 32-bit pixels.
        """
        return self.logits(images).softmax(1)

    @torch.no_grad()
    def logits(self, images: Iterable[pictures.Picture] | Tensor) -> Tensor:
        """As :meth:`predict`, before the softmax."""
        batch = self.prepare(images)
        if not len(batch):
            return batch.new_zeros(0, len(self.classes))
        most = max(1, min(BATCH, PIXELS // self.config.size**2))
        return torch.cat([self._run(part) for part in batch.split(most)])

    def _run(self, batch: Tensor) -> Tensor:
        if self.session is not None and self.loaded is not None and self.loaded != _versions(self):
            self.session = (
                None  # the network was tied or trained since: the graph would answer for the old one
            )
        if self.session is not None:
            return torch.from_numpy(self.session.run(None, {"image": batch.numpy()})[0])
        self.eval()
        return self(batch.contiguous(memory_format=torch.channels_last))

    def prepare(self, images: Iterable[pictures.Picture] | Tensor) -> Tensor:
        """Pictures as the network takes them: floats (B, C, size, size)."""
        config = self.config
        if isinstance(images, Tensor):
            return pictures.resize(pictures.check(images, config.channels), config.size)
        found = pictures.opened(images)
        if not found:
            return torch.zeros(0, config.channels, config.size, config.size)
        return prepare_all(found, config.prepared)


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


def open_session(path: Path, model: CompactCNN) -> InferenceSession:
    """The ONNX model of a file; ``WeightsError`` if it cannot be the model's, or does not answer as its weights do.

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
    wanted = [config.channels, config.size, config.size], len(config.classes)
    if given.name != "image" or given.shape[1:] != wanted[0] or found.shape[-1:] != [wanted[1]]:
        raise WeightsError(f"{path} is another model's: export it again with `{AGAIN}`")
    if not known:
        answers = _both(engine, model, probe(config.channels, config.size))
        require_agreement(path, graph, *answers, f"{AGAIN} {path.parent}")
    return engine


def probe(channels: int, size: int) -> Tensor:
    """Soft pictures of noise that are always the same, (B, C, size, size) in [0, 1]."""
    noise = probe_rows((4 if size <= 64 else 2, channels, 4, 4))
    return nn.functional.interpolate(noise, (size, size), mode="bilinear")


@torch.no_grad()
def _both(engine: InferenceSession, model: CompactCNN, image: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the weights and of the graph; the model stays in its mode."""
    training = model.training
    wanted: Tensor = model.eval()(image.to(model.scope.device)).cpu()
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
