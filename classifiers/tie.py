"""``tie``: put tied convolutions in the place of a network's own, whatever the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn

from classifiers.tied import FAMILIES, TiedConv2d

Filter = Callable[[str, nn.Conv2d], bool]  # (name in the network, convolution) -> may it be tied?


@dataclass(frozen=True)
class Tie:
    """A family at a degree, for convolutions of so many channels; written ``kronecker-4`` or ``kronecker-4-from-128``.

    Wide layers hold most of a network's parameters, at sizes where a kernel has few places to be: there sharing costs
    least (README, "Kernels that share weights").
    """

    family: str
    degree: int
    least: int = 0  # input and output channels

    def __str__(self) -> str:
        return f"{self.family}-{self.degree}" + (f"-from-{self.least}" if self.least else "")

    def fits(self, conv: nn.Conv2d) -> bool:
        """Whether it can take the convolution's place."""
        wide = min(conv.in_channels, conv.out_channels) >= self.least
        return wide and FAMILIES[self.family].fits(conv, self.degree)


@dataclass(frozen=True)
class Change:
    """One convolution that was replaced, with its parameters before and after."""

    name: str
    tie: Tie
    before: int
    after: int


def parse_plan(plan: str) -> tuple[Tie, ...]:
    """``"kronecker-4+kernel_bank-from-64"`` -> its ties, in the order in which each convolution tries them.

    Raises:
        ValueError: an unknown family or an impossible degree.
    """
    return tuple(_parse(part) for part in plan.split("+"))


def _parse(part: str) -> Tie:
    match = re.fullmatch(r"([a-z_]+)(?:-([1-9]\d{0,3}))?(?:-from-([1-9]\d{0,3}))?", part)
    if match is None or match[1] not in FAMILIES:
        raise ValueError(
            f"unknown tie {part!r}: choose {', '.join(FAMILIES)}, or one of them with a degree (block-2) or "
            "for wide layers alone (block-from-128)"
        )
    return Tie(match[1], int(match[2] or FAMILIES[match[1]].default), int(match[3] or 0))


def tie(
    network: nn.Module,
    plan: str,
    *,
    where: Filter | None = None,
    min_channels: int = 8,
    project: bool = True,
) -> list[Change]:
    """Replace convolutions of ``network`` in place by tied ones; says which.

    Each convolution takes the first tie of the plan that fits it; one that none fits stays as it is.

    Args:
        plan: ties joined by ``+``: ``"blueprint"``, ``"kronecker-4+kernel_bank-2"``.
        where: further filter by name and convolution: ``lambda name, conv: conv.kernel_size == (1, 1)``.
        min_channels: convolutions with fewer input or output channels stay (the first one of a network, usually).
        project: start from the nearest tied kernel to each dense one; False: from random weights.

    Raises:
        ValueError: an unknown tie, or a plan that fits no convolution of the network.
    """
    ties, changes = parse_plan(plan), []
    for parent, child, name, conv in list(_convolutions(network)):
        wide = min(conv.in_channels, conv.out_channels) >= min_channels
        chosen = next((t for t in ties if t.fits(conv)), None)
        if chosen is None or not wide or (where is not None and not where(name, conv)):
            continue
        replacement = tied_like(conv, chosen, project)
        setattr(parent, child, replacement)
        changes.append(Change(name, chosen, _size(conv), _size(replacement)))
    if not changes:
        raise ValueError(f"no convolution of the network can be tied by {plan}")
    return changes


def tied_like(conv: nn.Conv2d, tie: Tie, project: bool = True) -> TiedConv2d:
    """The tied convolution that replaces ``conv``: on its device, in its precision and mode."""
    tied = FAMILIES[tie.family](conv, tie.degree)
    tied = tied.to(conv.weight).train(conv.training)
    if project:
        tied.project(conv.weight.detach())
    if tied.bias is not None and conv.bias is not None:
        tied.bias.data.copy_(conv.bias.data)
    return tied


def untie(network: nn.Module) -> nn.Module:
    """Replace tied convolutions of ``network`` in place by dense ones that compute the same; returns it."""
    for parent in list(network.modules()):
        for child, module in list(parent.named_children()):
            if isinstance(module, TiedConv2d):
                setattr(parent, child, module.dense().to(next(module.parameters())))
    return network


def _convolutions(network: nn.Module) -> Iterator[tuple[nn.Module, str, str, nn.Conv2d]]:
    for prefix, parent in network.named_modules():
        for child, module in parent.named_children():
            if isinstance(module, nn.Conv2d):
                yield parent, child, f"{prefix}.{child}".lstrip("."), module


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
