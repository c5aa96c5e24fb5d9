"""Where a classifier keeps its parameters, and what its kernels look like."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd as ConvNd

from classifiers.images import resize
from classifiers.model import FULL, CompactCNN
from classifiers.networks import Head
from classifiers.tied import Blueprint, KernelBank, TiedConv, output_size


class Layer(NamedTuple):
    """A layer with parameters of its own."""

    name: str
    kind: str  # "3x3", "1x1", "depthwise 3x3", "linear", "norm"
    tie: str | None  # "blueprint-4"
    parameters: int
    macs: int


def layers(model: CompactCNN) -> list[Layer]:
    """Every layer with parameters of its own, in the order of the network; they sum to the model's."""
    shapes = _input_shapes(model)
    return [
        Layer(name, _kind(m), _tie(m), _own(m), _macs(m, shapes[name]) if name in shapes else 0)
        for name, m in _weighted(model)
    ]


def tied_layers(model: CompactCNN) -> list[str]:
    """Names of the tied convolutions whose kernels are pictures."""
    return [name for name, m in model.network.named_modules() if isinstance(m, TiedConv) and m.axes == 2]


def kernels(model: CompactCNN, layer: str, filters: int = 64, inputs: int = 8) -> Tensor:
    """The first kernels of a convolution as a dense one would hold them, (filters, inputs, k, k).

    Raises:
        ValueError: there is no convolution of that name.
    """
    module = dict(model.network.named_modules()).get(layer)
    if isinstance(module, TiedConv):
        return module.to_dense().detach()[:filters, :inputs]
    if isinstance(module, nn.Conv2d):
        return module.weight.detach()[:filters, :inputs]
    raise ValueError(f"{model.config.network} has no convolution called {layer!r}")


def shared_kernels(model: CompactCNN, layer: str) -> Tensor:
    """The spatial kernels that a tied convolution stores and shares, (M, k, k).

    Raises:
        ValueError: there is no tied convolution of that name.
    """
    module = dict(model.network.named_modules()).get(layer)
    if isinstance(module, Blueprint):
        return module.blueprint.detach()[:, 0]
    if isinstance(module, KernelBank):
        return module.bank.detach().view(-1, *module.kernel_size)
    if isinstance(module, TiedConv):
        weight = module.get_parameter("kernel").detach()
        return weight.flatten(0, 1)
    raise ValueError(f"{model.config.network} has no tied convolution called {layer!r}")


@torch.no_grad()
def class_activation(model: CompactCNN, image: Tensor, plan: str = FULL) -> Tensor | None:
    """How much each place of pictures (B, C, H, W) in [0, 1] speaks for each class, (B, K, h, w).

    The mean over the places, plus the linear layer's bias, is the logits (Zhou et al. 2016, "Learning Deep Features for
    Discriminative Localization"). None for networks in which no mean over a map stands before the linear layer.
    """
    if plan != FULL:
        short = model.planned(plan)
        return _activation(short.maps(resize(image, short.size)), short.head)
    network = model.network
    if not isinstance(network, nn.Sequential) or not isinstance(head := network[-1], Head):
        return None
    x = (image - model.mean) / model.std
    for layer in list(network)[:-1]:
        x = layer(x)
    return _activation(x, head) if x.shape[-1] > 1 else None


def _activation(maps: Tensor, head: Head) -> Tensor:
    """The linear layer at each place of maps (B, C, h, w)."""
    linear = head[-1]
    assert isinstance(linear, nn.Linear)
    return torch.einsum("kc,bchw->bkhw", linear.weight, maps)


def _weighted(model: CompactCNN) -> list[tuple[str, nn.Module]]:
    """Layers with parameters; a tied convolution is one, whatever a family puts into it."""
    return [(name, m) for name, m in model.network.named_modules() if _own(m)]


def _own(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters(recurse=False))


def _input_shapes(model: CompactCNN) -> dict[str, torch.Size]:
    """Shape of what each layer is given first, for one picture of the model's size; none for one that does not run."""
    shapes: dict[str, torch.Size] = {}

    def note(name: str, given: tuple[object, ...]) -> None:
        if given and isinstance(given[0], Tensor):
            shapes.setdefault(name, given[0].shape)

    hooks = [
        module.register_forward_pre_hook(lambda _, given, name=name: note(name, given))  # type: ignore[misc]
        for name, module in _weighted(model)
    ]
    config, modes = model.config, [(m, m.training) for m in model.modules()]
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, config.channels, config.size, config.size))
    finally:
        for module, mode in modes:
            module.training = mode
        for hook in hooks:
            hook.remove()
    return shapes


def _kind(module: nn.Module) -> str:
    if isinstance(module, ConvNd | TiedConv):
        sides = "x".join(map(str, module.kernel_size))
        shape = sides if len(module.kernel_size) > 1 else f"{sides} 1D"
        depthwise = module.groups == module.in_channels > 1
        return ("transposed " if module.transposed else "") + ("depthwise " if depthwise else "") + shape
    if isinstance(module, nn.Linear):
        return "linear"
    return "norm" if "Norm" in type(module).__name__ else type(module).__name__.lower()


def _tie(module: nn.Module) -> str | None:
    return f"{module.family}-{module.degree}" if isinstance(module, TiedConv) else None


def _macs(module: nn.Module, shape: torch.Size) -> int:
    """As :func:`training.measure.macs` counts: norms are free, they fold into convolutions."""
    if isinstance(module, nn.Linear):
        return module.weight.numel() * math.prod(shape[1:-1])
    if isinstance(module, TiedConv):
        return module.mac_count(*shape[2:])
    if isinstance(module, ConvNd):
        places = shape[2:] if module.transposed else output_size(module, *shape[2:])
        return module.weight.numel() * math.prod(places)
    return 0
