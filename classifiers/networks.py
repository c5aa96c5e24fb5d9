"""Networks by name: ``"wrn16-4"``, half as wide ``"wrn16-4@0.5"``, tied ``"wrn16-4:blueprint-4"``, or both.

A function of one's own builds one as well: ``"my_module:build"``, tied ``"my_module:build:blueprint-4"``.

CIFAR forms (32 x 32 pixels) of ResNet (He et al. 2016, arXiv:1512.03385, section 4.2), Wide ResNet (Zagoruyko &
Komodakis 2016, arXiv:1605.07146), MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) and the quick ResNet-9, and
ImageNet forms (224 x 224) of ResNet, MobileNetV2, EfficientNet-B0 (Tan & Le 2019, arXiv:1905.11946) and the simpler
EfficientNet-Lite0 (Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite"), TensorFlow's padding included.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from classifiers.tie import tie
from classifiers.tied import Conv2d
from training.functions import function_of

Act = type[nn.Module]


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Convolution without bias that keeps the size at stride 1."""
    return Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class SamePad(nn.Module):
    """Zeros around a map as TensorFlow's "SAME" lays them before a strided convolution, which then pads nothing.

    Of an odd number of zeros the last row and column get one more, where torch pads both ends alike.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        (top, bottom), (left, right) = map(self._zeros, x.shape[-2:])
        return F.pad(x, (left, right, top, bottom))

    def _zeros(self, side: int) -> tuple[int, int]:
        """Before and after ``side`` pixels."""
        both = max(0, self.kernel - 1 - (int(side) - 1) % self.stride)
        return both // 2, both - both // 2

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    act: Act | None = nn.ReLU,
    tensorflow: bool = False,
) -> nn.Sequential:
    """Convolution, batch norm and, unless ``act`` is None, its activation; padded and normed as TensorFlow does it."""
    layers = [conv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs)]
    if tensorflow:
        layers = [layers[0], nn.BatchNorm2d(outputs, eps=1e-3)]
    if tensorflow and stride > 1:
        unpadded = Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        layers = [SamePad(kernel, stride), unpadded, layers[1]]
    return nn.Sequential(*layers, *([act(inplace=True)] if act else []))


class Head(nn.Sequential):
    """Mean over the map, then a linear layer: (B, C, H, W) to logits (B, K)."""

    def __init__(self, channels: int, classes: int, dropout: float = 0.0) -> None:
        drop = [nn.Dropout(dropout)] if dropout else []
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *drop, nn.Linear(channels, classes))


# ResNets -----------------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """``relu(shortcut(x) + body(x))``."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.body(x))


class PadShortcut(nn.Module):
    """Every second pixel, and zeros for the channels that are new: a shortcut without parameters."""

    def __init__(self, stride: int, channels: int) -> None:
        super().__init__()
        self.stride, self.channels = stride, channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.channels))


def basic_block(inputs: int, outputs: int, stride: int, padded: bool) -> Residual:
    """Two 3x3 convolutions; the shortcut changes size by padding (CIFAR) or a 1x1 convolution (ImageNet)."""
    body = nn.Sequential(conv_norm(inputs, outputs, stride=stride), conv_norm(outputs, outputs, act=None))
    return Residual(body, _shortcut(inputs, outputs, stride, padded))


def bottleneck_block(inputs: int, outputs: int, stride: int, padded: bool) -> Residual:
    """1x1 down to a quarter, 3x3, 1x1 up."""
    thin = outputs // 4
    body = nn.Sequential(
        conv_norm(inputs, thin, 1),
        conv_norm(thin, thin, stride=stride),
        conv_norm(thin, outputs, 1, act=None),
    )
    return Residual(body, _shortcut(inputs, outputs, stride, padded))


def _shortcut(inputs: int, outputs: int, stride: int, padded: bool) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return (
        PadShortcut(stride, outputs - inputs) if padded else conv_norm(inputs, outputs, 1, stride, act=None)
    )


def cifar_resnet(classes: int, channels: int, width: float, depth: int) -> nn.Sequential:
    """ResNet-``depth`` with 16, 32 and 64 channels."""
    widths = [scaled(c, width) for c in (16, 32, 64)]
    blocks, inputs = [], widths[0]
    for stage, outputs in enumerate(widths):
        for i in range((depth - 2) // 6):
            blocks.append(basic_block(inputs, outputs, 2 if stage and i == 0 else 1, padded=True))
            inputs = outputs
    return nn.Sequential(conv_norm(channels, widths[0]), *blocks, Head(inputs, classes))


def imagenet_resnet(
    classes: int,
    channels: int,
    width: float,
    counts: Sequence[int],
    block: Callable[..., Residual],
    expansion: int,
) -> nn.Sequential:
    """ResNet with a 7x7 stem and ``counts`` blocks in four stages."""
    stem = scaled(64, width)
    blocks: list[nn.Module] = [conv_norm(channels, stem, 7, 2), nn.MaxPool2d(3, 2, 1)]
    inputs = stem
    for stage, count in enumerate(counts):
        outputs = stem * 2**stage * expansion
        for i in range(count):
            blocks.append(block(inputs, outputs, 2 if stage and i == 0 else 1, padded=False))
            inputs = outputs
    return nn.Sequential(*blocks, Head(inputs, classes))


class PreActivation(nn.Module):
    """Norm and ReLU before each of two 3x3 convolutions; a 1x1 shortcut sees the activated input."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, stride=stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs)
        changes = stride > 1 or inputs != outputs
        self.shortcut = conv(inputs, outputs, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        y = self.conv2(F.relu(self.norm2(self.conv1(active))))
        return y + (x if self.shortcut is None else self.shortcut(active))


def wide_resnet(classes: int, channels: int, width: float, depth: int, widen: float) -> nn.Sequential:
    """WRN-``depth``-``widen``: 16 times ``widen`` channels in the first stage, then twice as many each."""
    stem = scaled(16, width) if width < 1 else 16
    widths = [scaled(c * widen, width) for c in (16, 32, 64)]
    blocks, inputs = [], stem
    for stage, outputs in enumerate(widths):
        for i in range((depth - 4) // 6):
            blocks.append(PreActivation(inputs, outputs, 2 if stage and i == 0 else 1))
            inputs = outputs
    tail = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
    return nn.Sequential(conv(channels, stem), *blocks, tail, Head(inputs, classes))


class Added(nn.Module):
    """``x + body(x)``."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def pooled(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution to half the size: pooled before the norm, which then has a quarter of the work."""
    layers = [conv(inputs, outputs), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def quick_resnet(classes: int, channels: int, width: float) -> nn.Sequential:
    """ResNet-9: shallow and wide, the quickest to train (Page 2018, "How to train your ResNet")."""
    a, b, c, d = (scaled(n, width) for n in (64, 128, 256, 512))
    blocks = [conv_norm(channels, a), pooled(a, b), Added(conv_norm(b, b), conv_norm(b, b))]
    blocks += [pooled(b, c), pooled(c, d), Added(conv_norm(d, d), conv_norm(d, d)), nn.AdaptiveMaxPool2d(1)]
    return nn.Sequential(*blocks, Head(d, classes))


class Whiten(Conv2d):
    """2x2 convolution, without padding, whose maps are uncorrelated and of unit variance, and their negatives.

    Its kernels come from training pictures (:meth:`fit`) and are not trained; the bias is.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 8 * channels, 2)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: Tensor, least: float = 5e-4) -> None:
        """Kernels of pictures (N, C, H, W); directions of less variance than ``least`` are not blown up."""
        patches = F.unfold(images.double(), 2).transpose(1, 2).flatten(0, 1)
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        kernels = (directions / (variances + least).sqrt()).T.view(-1, *self.weight.shape[1:])
        self.weight.copy_(torch.cat([kernels, -kernels]))


def airbench(classes: int, channels: int, width: float) -> nn.Sequential:
    """Six 3x3 convolutions after whitened 2x2 patches (Jordan 2024, arXiv:2404.00498, its network for 94 %).

    Channels come in sixteens: at any other number of them ONNX Runtime leaves its fast layout wherever maps are pooled.
    """
    blocks: list[nn.Module] = [Whiten(channels), nn.GELU()]
    inputs = 8 * channels
    for outputs in (scaled(n, width, 16) for n in (64, 256, 256)):
        halved = [conv(inputs, outputs), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.GELU()]
        blocks += [*halved, conv_norm(outputs, outputs, act=None), nn.GELU()]
        inputs = outputs
    return nn.Sequential(*blocks, nn.AdaptiveMaxPool2d(1), Head(inputs, classes))


# Inverted residuals ------------------------------------------------------------------------------------------------


class SqueezeExcite(nn.Module):
    """Channels weighted by a small network of their means (Hu et al. 2018)."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, reduced, 1), nn.Conv2d(reduced, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.expand(F.silu(self.reduce(x.mean((2, 3), keepdim=True)))).sigmoid()


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, (squeeze and excite,) 1x1 projection; added where sizes agree."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        expand: int,
        kernel: int,
        stride: int,
        act: Act,
        excite: bool,
        tensorflow: bool,
    ) -> None:
        super().__init__()
        hidden, normed = inputs * expand, functools.partial(conv_norm, tensorflow=tensorflow)
        layers: list[nn.Module] = [normed(inputs, hidden, 1, act=act)] if expand > 1 else []
        layers.append(normed(hidden, hidden, kernel, stride, groups=hidden, act=act))
        if excite:
            layers.append(SqueezeExcite(hidden, max(1, inputs // 4)))
        self.body = nn.Sequential(*layers, normed(hidden, outputs, 1, act=None))
        self.added = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.added else self.body(x)


@dataclass(frozen=True)
class Stage:
    """``count`` inverted residuals to ``outputs`` channels, the first at ``stride``."""

    expand: int
    outputs: int
    count: int
    stride: int
    kernel: int = 3


def mobilenet(
    classes: int,
    channels: int,
    width: float,
    stages: Sequence[Stage],
    stem_stride: int,
    act: Act = nn.ReLU6,
    excite: bool = False,
    dropout: float = 0.0,
    tensorflow: bool = False,
) -> nn.Sequential:
    """Stem of 32 channels, inverted residuals, 1280 features."""
    inputs, features = scaled(32, width), scaled(1280, max(1.0, width))
    normed = functools.partial(conv_norm, act=act, tensorflow=tensorflow)
    blocks: list[nn.Module] = [normed(channels, inputs, stride=stem_stride)]
    for stage in stages:
        outputs = scaled(stage.outputs, width)
        for i in range(stage.count):
            stride = stage.stride if i == 0 else 1
            kind = (stage.expand, stage.kernel, stride, act, excite, tensorflow)
            blocks.append(InvertedResidual(inputs, outputs, *kind))
            inputs = outputs
    return nn.Sequential(*blocks, normed(inputs, features, 1), Head(features, classes, dropout))


MOBILENET_V2 = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
# Two strides fewer (with the stem three), so that 32 pixels end as 4 x 4.
MOBILENET_V2_CIFAR = tuple(
    Stage(s.expand, s.outputs, s.count, 1 if i == 1 else s.stride) for i, s in enumerate(MOBILENET_V2)
)
EFFICIENTNET_B0 = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 40, 2, 2, 5),
    Stage(6, 80, 3, 2),
    Stage(6, 112, 3, 1, 5),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1),
)


def scaled(channels: float, width: float, multiple: int = 4) -> int:
    """Channels times ``width``, to the nearest ``multiple`` and at least one of it."""
    return max(1, int(channels * width / multiple + 0.5)) * multiple


# Names -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """How a named network is made, and the pixels it was designed for."""

    make: Callable[[int, int, float], nn.Sequential]
    size: int


def _recipe(make: Callable[..., nn.Sequential], size: int, **options: object) -> Recipe:
    return Recipe(functools.partial(make, **options), size)


NETWORKS: dict[str, Recipe] = {
    "resnet9": _recipe(quick_resnet, 32),
    "airbench": _recipe(airbench, 32),
    **{f"resnet{depth}": _recipe(cifar_resnet, 32, depth=depth) for depth in (20, 32, 56)},
    **{f"wrn{d}-{k}": _recipe(wide_resnet, 32, depth=d, widen=k) for d, k in ((16, 2), (16, 4), (28, 3))},
    "mobilenetv2": _recipe(mobilenet, 32, stages=MOBILENET_V2_CIFAR, stem_stride=1),
    "imagenet-resnet18": _recipe(imagenet_resnet, 224, counts=(2, 2, 2, 2), block=basic_block, expansion=1),
    "imagenet-resnet50": _recipe(
        imagenet_resnet, 224, counts=(3, 4, 6, 3), block=bottleneck_block, expansion=4
    ),
    "imagenet-mobilenetv2": _recipe(mobilenet, 224, stages=MOBILENET_V2, stem_stride=2, dropout=0.2),
    "imagenet-efficientnet-b0": _recipe(
        mobilenet, 224, stages=EFFICIENTNET_B0, stem_stride=2, act=nn.SiLU, excite=True, dropout=0.2
    ),
    "efficientnet-lite0": _recipe(
        mobilenet, 224, stages=EFFICIENTNET_B0, stem_stride=2, dropout=0.2, tensorflow=True
    ),
}
# The dense forms that are listed, and the plans that each is listed with; any other width or plan works by name too.
DENSE = (
    "resnet9", "airbench", "resnet20", "resnet32", "resnet56", "wrn16-2", "wrn16-4", "wrn28-3", "mobilenetv2@0.5",
    "mobilenetv2", "imagenet-resnet18", "imagenet-resnet50", "imagenet-mobilenetv2", "imagenet-efficientnet-b0",
    "efficientnet-lite0",
)  # fmt: skip
STANDARD_PLANS = ("blueprint", "blueprint-4", "decoupled-2", "channel_group-4", "block-2", "kronecker-4", "kernel_bank-2", "filter_tile-2")  # fmt: skip  # noqa: E501
EFFICIENT_PLANS = ("kernel_bank-2", "filter_tile-2", "kronecker-2", "kronecker-4", "kronecker-2+kernel_bank-2", "block-2")  # fmt: skip  # noqa: E501
NAME = re.compile(
    r"(?P<base>[a-z][a-z0-9-]*)(?:@(?P<width>\d{1,2}(?:\.\d{1,3})?))?(?::(?P<plan>[a-z_0-9+-]+))?"
)
# A function of one's own that builds a network, and a plan: my_module:build, my_package.my_module:build:blueprint.
OWN = re.compile(
    r"(?P<base>(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*))(?::(?P<plan>[a-z_0-9+-]+))?"
)
Builder = Callable[..., nn.Module]  # (classes=K, channels=C) -> (B, C, H, W) to logits (B, K)
ALLOWED: dict[str, Builder] = {}  # by reference; nothing but ``allow_network`` adds to it


def list_networks(pattern: str = "*") -> list[str]:
    """Names of the listed networks, dense and tied, that match: ``list_networks("*:blueprint")``."""
    names = []
    for dense in DENSE:
        plans = EFFICIENT_PLANS if "mobilenet" in dense or "efficientnet" in dense else STANDARD_PLANS
        names += [dense, *(f"{dense}:{plan}" for plan in plans)]
    return fnmatch.filter(names, pattern)


class Name(NamedTuple):
    """A network's name, taken apart."""

    base: str  # of NETWORKS, or the reference of a function
    width: float
    plan: str | None
    own: bool  # built by a function of one's own


def parse_name(name: str) -> Name:
    """``"wrn16-4@0.5:block"`` -> base, width and plan; so is the reference of a function, allowed or not.

    Raises:
        ValueError: an unknown network or width; the sentence says what there is.
    """
    match = NAME.fullmatch(name)
    if match is not None and match["base"] in NETWORKS:
        width = float(match["width"] or 1)
        if not 0.05 <= width <= 16:
            raise ValueError(f"the width of {name!r} must be 0.05 to 16")
        return Name(match["base"], width, match["plan"], own=False)
    if (own := OWN.fullmatch(name)) is not None:
        return Name(own["base"], 1.0, own["plan"], own=True)
    raise ValueError(
        f"unknown network {name[:80]!r}: choose {', '.join(NETWORKS)}, then @WIDTH and :TIE if wanted, or a "
        "function of your own that builds one, my_module:build"
    )


def is_own(name: str) -> bool:
    """Whether a function of one's own builds the network of that name."""
    return parse_name(name).own


def allow_network(function: str | Builder) -> str:
    """Let a function of one's own build networks; returns its reference, ``"my_module:build"``.

    A reference is imported, which runs its module's code: only the one who runs the program can want that, so nothing
    that is loaded, from a folder, the Hub or a visitor, ever does. What was allowed stays so while the program runs.

    Args:
        function: ``my_module:build``, where a plan may follow, or the function itself, which must be one that can be
            found again under that name. Called as ``build(classes=10, channels=3)``, it returns a module from
            (B, channels, H, W) to logits (B, classes).

    Raises:
        ValueError: there is no such function, or its module cannot be imported.
    """
    if callable(function):
        reference = f"{function.__module__}:{getattr(function, '__qualname__', type(function).__name__)}"
        if not OWN.fullmatch(reference):
            raise ValueError(
                f"{reference} cannot be found again by its name: define it at the top of a module"
            )
        ALLOWED[reference] = function
        return reference
    match = OWN.fullmatch(function)
    if match is None or not parse_name(function).own:
        raise ValueError(f"{function[:80]!r} names no function: write my_module:build")
    ALLOWED[match["base"]] = function_of(match["module"], match["function"])
    return match["base"]


def create_network(name: str, classes: int = 10, channels: int = 3) -> nn.Module:
    """The network of a name: (B, channels, H, W) to logits (B, classes).

    One of ours has random weights. One of a function that :func:`allow_network` was told has those that the function
    gives it, and where a plan ties it the nearest ones.

    Raises:
        ValueError: an unknown network, width or plan, or a function that is not allowed.
    """
    base, width, plan, own = parse_name(name)
    if own:
        network = _build_own(base, classes, channels)
    else:
        network = NETWORKS[base].make(classes, channels, width)
        initialise(network)
    if plan:
        tie(network, plan, project=own)
    return network


def _build_own(reference: str, classes: int, channels: int) -> nn.Module:
    if reference not in ALLOWED:
        raise ValueError(
            f"unknown network {reference[:60]!r}: ours are {', '.join(list(NETWORKS)[:3])} and more, and a function of "
            "your own must be allowed, with --allow MODULE:FUNCTION or allow_network in Python"
        )
    try:
        network = ALLOWED[reference](classes=classes, channels=channels)
    except TypeError as error:
        wanted = "it must take classes= and channels= and return a module"
        raise ValueError(f"{reference} does not build a network ({error}): {wanted}") from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"{reference} returns a {type(network).__name__} where a torch module is needed")
    return network


def require_logits(network: nn.Module, name: str, classes: int, channels: int, size: int) -> None:
    """``ValueError`` unless the network makes finite logits (B, classes) of pictures of that size."""
    modes = [(module, module.training) for module in network.modules()]
    device = next((t.device for t in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            found = network.eval()(torch.zeros(2, channels, size, size, device=device))
    except Exception as error:  # whatever somebody's module raises
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{name} does not run on pictures of {channels} x {size} x {size}: {told[:200]}"
        ) from error
    finally:
        for module, training in modes:
            module.training = training
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != (2, classes):
        raise ValueError(f"{name} gives {shape} for two pictures where logits (2, {classes}) are needed")
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinity in {key!r}, which cannot be saved")


def dense_name(name: str) -> str:
    """The untied network of the same shape: ``"wrn16-4:block"`` -> ``"wrn16-4"``."""
    plan = parse_name(name).plan
    return name.removesuffix(f":{plan}") if plan else name


def native_size(name: str) -> int:
    """Pixels a side that the network was designed for; of a function's, which does not say, those of CIFAR's."""
    base, *_, own = parse_name(name)
    return 32 if own else NETWORKS[base].size


def initialise(network: nn.Module) -> None:
    """He et al. 2015 for convolutions; a small linear layer."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.is_meta:
            continue  # shapes alone
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in" if module.groups == 1 else "fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


def penultimate(network: nn.Module, x: Tensor) -> Tensor:
    """Features (B, C) that the linear layer sees.

    Raises:
        ValueError: no linear layer of the network makes its logits.
    """
    if isinstance(network, nn.Sequential) and len(network) and isinstance(head := network[-1], Head):
        for layer in [*list(network)[:-1], *list(head)[:-1]]:
            x = layer(x)
        return torch.as_tensor(x)
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    here = threading.get_ident()  # others may be asking the same network

    def note(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        if threading.get_ident() == here:
            seen[module] = given[0], made

    hooks = [module.register_forward_hook(note) for module in linear]
    try:
        logits = network(x)
    finally:
        for hook in hooks:
            hook.remove()
    for given, made in seen.values():
        if made is logits and given.ndim == 2:
            return given
    raise ValueError("no linear layer of the network makes its logits: it has no features to show")
