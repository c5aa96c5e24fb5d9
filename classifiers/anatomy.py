"""Where a classifier keeps its parameters, and what its kernels look like."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from classifiers.model import CompactCNN
from classifiers.tied import Blueprint, KernelBank, TiedConv2d
from training.measure import parameters


class Layer(NamedTuple):
    """A layer with parameters of its own."""

    name: str
    kind: str  # "3x3", "1x1", "depthwise 3x3", "linear", "norm"
    tie: str | None  # "blueprint-4"
    parameters: int
    macs: int


Weighted = (nn.Conv2d, TiedConv2d, nn.Linear, nn.BatchNorm2d)


def layers(model: CompactCNN) -> list[Layer]:
    """Every layer with parameters, in the order of the network; they sum to the model's."""
    shapes = _input_shapes(model)
    named = [(name, m) for name, m in model.network.named_modules() if isinstance(m, Weighted)]
    return [Layer(name, _kind(m), _tie(m), parameters(m), _macs(m, shapes[name])) for name, m in named]


def tied_layers(model: CompactCNN) -> list[str]:
    """Names of the tied convolutions."""
    return [name for name, m in model.network.named_modules() if isinstance(m, TiedConv2d)]


def kernels(model: CompactCNN, layer: str, filters: int = 64, inputs: int = 8) -> Tensor:
    """The first kernels of a convolution as a dense one would hold them, (filters, inputs, k, k).

    Raises:
        ValueError: there is no convolution of that name.
    """
    module = dict(model.network.named_modules()).get(layer)
    if isinstance(module, TiedConv2d):
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
        return module.bank.detach()
    if isinstance(module, TiedConv2d):
        weight = module.get_parameter("weight").detach()
        return weight.flatten(0, 1)
    raise ValueError(f"{model.config.network} has no tied convolution called {layer!r}")


def _input_shapes(model: CompactCNN) -> dict[str, torch.Size]:
    """Shape of what each layer is given, for one picture of the model's size."""
    shapes: dict[str, torch.Size] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, given, name=name: shapes.update({name: given[0].shape}))  # type: ignore[misc]
        for name, module in model.network.named_modules()
        if isinstance(module, Weighted)
    ]
    config, training = model.config, model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, config.channels, config.size, config.size))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return shapes


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Linear | nn.BatchNorm2d):
        return "linear" if isinstance(module, nn.Linear) else "norm"
    assert isinstance(module, nn.Conv2d | TiedConv2d)
    side = module.kernel_size if isinstance(module, TiedConv2d) else module.kernel_size[0]
    return f"{'depthwise ' if module.groups > 1 else ''}{side}x{side}"


def _tie(module: nn.Module) -> str | None:
    return f"{module.family}-{module.degree}" if isinstance(module, TiedConv2d) else None


def _macs(module: nn.Module, shape: torch.Size) -> int:
    """As :func:`training.measure.macs` counts: norms are free, they fold into convolutions."""
    if isinstance(module, TiedConv2d):
        return module.mac_count(int(shape[2]), int(shape[3]))
    if isinstance(module, nn.Linear):
        return module.in_features * module.out_features
    if isinstance(module, nn.Conv2d):
        reach = 2 * int(module.padding[0]) - module.kernel_size[0]
        height, width = ((side + reach) // module.stride[0] + 1 for side in shape[2:])
        return module.weight.numel() * int(height) * int(width)
    return 0
