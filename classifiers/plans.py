"""Plans: one network of inverted residuals, and the many smaller ones that its weights hold.

A plan says the size of the picture and, stage by stage, how many blocks run, how many of their expanded channels, and
which rank the 1x1 kernels have. What runs of a block is always the first of its channels, so these are sorted by what
they are worth (:func:`sort_channels`; Molchanov et al. 2019, arXiv:1906.10771), as in Once-for-All (Cai et al. 2020,
arXiv:1908.09791).

    picture --scaled--> (B, 3, S, S) --stem, stages, features--> (B, F, s, s) --mean, linear--> logits (B, K)

A norm has statistics of its own for each plan, as in slimmable networks (Yu et al. 2019, arXiv:1812.08928): they are
set so that what it hands on has the mean and deviation that it has in the full network (:func:`calibrate`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from classifiers.networks import Head, InvertedResidual, SamePad, SqueezeExcite
from classifiers.tied import TiedConv, convolve
from weights.arguments import items, whole

WHOLE = 8  # widths and ranks are counted in eighths
LEAST = 2  # eighths of the expanded channels that a plan keeps
MULTIPLE = 8  # channels are kept in such groups, which processors take at once
STEP = 16  # pixels between sizes
PICTURES = (
    256  # of 128 pixels, that a plan's norms are set by: statistics of the last maps are of 16 places each
)
TINY = 1e-6  # variance of a channel that says nothing
NEEDS = "plans need a network of inverted residuals without ties, such as efficientnet-lite0 or mobilenetv2"

Norm = Callable[["Unit", Tensor], Tensor]  # what stands in for a batch norm: (unit, (B, C, H, W)) -> as much


class Plan(NamedTuple):
    """How much of a network runs.

    Args:
        size: pixels a side of the picture.
        blocks: that run, of each stage, the first ones.
        widths: eighths of the expanded channels, of each stage, and last of the features that the linear layer sees.
        ranks: eighths of the largest rank of the 1x1 kernels, of each stage; 8 leaves them as they are.
    """

    size: int
    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    ranks: tuple[int, ...]


class Parts(NamedTuple):
    """A network of inverted residuals, taken apart; a stage begins where channels or sides change."""

    stem: nn.Sequential
    stages: tuple[tuple[InvertedResidual, ...], ...]
    features: nn.Sequential
    head: Head


def parts(network: nn.Module) -> Parts:
    """Of a network; ``ValueError`` if it is another kind, or its convolutions are tied."""
    layers = list(network) if isinstance(network, nn.Sequential) else []
    blocks = [layer for layer in layers[1:-2] if isinstance(layer, InvertedResidual)]
    tied = any(isinstance(module, TiedConv) for module in network.modules())
    if not blocks or len(blocks) != len(layers) - 3 or tied:
        raise ValueError(NEEDS)
    stem, features, head = layers[0], layers[-2], layers[-1]
    assert isinstance(stem, nn.Sequential)
    assert isinstance(features, nn.Sequential)
    assert isinstance(head, Head)
    stages: list[list[InvertedResidual]] = []
    for block in blocks:
        if block.added and stages:
            stages[-1].append(block)
        else:
            stages.append([block])
    return Parts(stem, tuple(map(tuple, stages)), features, head)


def has_plans(network: nn.Module) -> bool:
    """Whether a network holds smaller ones."""
    try:
        return bool(parts(network))
    except ValueError:
        return False


# Plans -------------------------------------------------------------------------------------------------------------


def full_plan(network: nn.Module, size: int) -> Plan:
    """All of the network."""
    stages = parts(network).stages
    whole_ = (WHOLE,) * len(stages)
    return Plan(size, tuple(map(len, stages)), (*whole_, WHOLE), whole_)


def smallest_plan(network: nn.Module, size: int) -> Plan:
    """The least that is trained: the smallest picture, one block a stage, the least of their channels."""
    full = full_plan(network, size)
    ones = (1,) * len(full.blocks)
    return whole_where_it_must(network, Plan(sizes(size)[0], ones, (LEAST,) * len(full.widths), full.ranks))


def sizes(size: int) -> tuple[int, ...]:
    """Pixels a side that the plans of a network for ``size`` pixels may have, from about half of it on."""
    return tuple(sorted({size, *range(math.ceil(size / 2 / STEP) * STEP, size, STEP)}))


def whole_where_it_must(network: nn.Module, plan: Plan) -> Plan:
    """The plan with all channels of stages that expand none, which have nothing to choose from."""
    fixed = [not _expands(stage[0]) for stage in parts(network).stages]
    widths = [WHOLE if kept else w for w, kept in zip(plan.widths, [*fixed, False], strict=True)]
    return plan._replace(widths=tuple(widths))


def check_plan(network: nn.Module, size: int, plan: Mapping[str, Any] | Iterable[Any]) -> Plan:
    """A plan as JSON or a caller has it; ``ValueError`` if it is none of the network's."""
    values = dict(plan) if isinstance(plan, Mapping) else dict(zip(Plan._fields, plan, strict=False))
    if set(values) != set(Plan._fields):
        raise ValueError(f"a plan has {', '.join(Plan._fields)}, not {', '.join(map(str, values))[:80]}")
    full = full_plan(network, size)
    whole("size of a plan", values["size"], 8, size)
    made = {"size": values["size"]}
    for name, least in (("blocks", 1), ("widths", 1), ("ranks", 1)):
        most, found = getattr(full, name), items(f"{name} of a plan", values[name])
        if len(found) != len(most):
            raise ValueError(f"{name} of a plan must be {len(most)} numbers, not {len(found)}")
        made[name] = tuple(
            whole(f"{name} of a plan", v, least, top) for v, top in zip(found, most, strict=True)
        )
    return whole_where_it_must(network, Plan(**made))


# What of the network runs -------------------------------------------------------------------------------------------


class Unit(NamedTuple):
    """A convolution with its norm and activation, of which the first ``rows`` of ``columns`` channels run."""

    pad: SamePad | None
    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    act: nn.Module | None
    rows: int
    columns: int  # of one group
    rank: int | None

    @property
    def depthwise(self) -> bool:
        return self.conv.groups > 1

    def weight(self) -> Tensor:
        """The kernel that runs, (rows, columns, k, k), of full rank."""
        return self.conv.weight[: self.rows, : self.columns]


class Excite(NamedTuple):
    """Squeeze and excite, of which the first ``rows`` channels run."""

    layer: SqueezeExcite
    rows: int


class Block(NamedTuple):
    """Units one after the other, added to their input or not."""

    units: tuple[Unit | Excite, ...]
    added: bool


def _conv(layers: nn.Module) -> nn.Conv2d:
    """The first convolution."""
    return next(module for module in layers.modules() if isinstance(module, nn.Conv2d))


def _linear(head: Head) -> nn.Linear:
    last = head[-1]
    assert isinstance(last, nn.Linear)
    return last


def _layers(block: InvertedResidual) -> list[nn.Sequential | SqueezeExcite]:
    return [m for m in block.body if isinstance(m, nn.Sequential | SqueezeExcite)]  # every one of them


def _unit(layers: nn.Sequential, rows: int, columns: int, eighths: int = WHOLE) -> Unit:
    conv = _conv(layers)
    norm = next(m for m in layers if isinstance(m, nn.BatchNorm2d))
    act = layers[-1] if not isinstance(layers[-1], nn.BatchNorm2d) else None
    pad = layers[0] if isinstance(layers[0], SamePad) else None
    most = min(rows, columns)
    rank = (
        max(1, math.ceil(most * eighths / WHOLE)) if eighths < WHOLE and conv.kernel_size == (1, 1) else None
    )
    if rank is not None and rank * (rows + columns) >= rows * columns:
        rank = None  # the kernel itself is less work
    return Unit(pad, conv, norm, act, rows, columns, rank)


def _channels(layers: nn.Module) -> int:
    return _conv(layers).out_channels


def _expands(block: InvertedResidual) -> bool:
    return _conv(block).groups == 1


def kept(channels: int, eighths: int) -> int:
    """How many of so many channels run: a multiple of ``MULTIPLE``, all of them at eight eighths."""
    return min(channels, max(1, math.ceil(channels * eighths / WHOLE / MULTIPLE)) * MULTIPLE)


def layout(network: nn.Module, plan: Plan) -> tuple[list[Block], int]:
    """The blocks of a plan, stem and features included, and how many features the linear layer sees."""
    taken = parts(network)
    blocks = [Block((_whole(taken.stem),), False)]
    chosen = zip(taken.stages, plan.blocks, plan.widths, plan.ranks, strict=False)
    for stage, count, width, rank in chosen:
        blocks += [_block(block, width, rank) for block in stage[:count]]
    features = kept(_channels(taken.features), plan.widths[-1])
    last = _whole(taken.features)
    blocks.append(Block((last._replace(rows=features),), False))
    return blocks, features


def _whole(layers: nn.Sequential) -> Unit:
    conv = _conv(layers)
    return _unit(layers, conv.out_channels, conv.in_channels // conv.groups)


def _block(block: InvertedResidual, width: int, rank: int) -> Block:
    *before, last = _layers(block)
    assert isinstance(last, nn.Sequential)
    hidden = _conv(last).in_channels
    rows = kept(hidden, width) if _expands(block) else hidden
    units: list[Unit | Excite] = []
    for layer in before:
        if isinstance(layer, SqueezeExcite):
            units.append(Excite(layer, rows))
            continue
        first = _whole(layer)
        units.append(_unit(layer, rows, first.columns, WHOLE if first.depthwise else rank))
    units.append(_unit(last, _channels(last), rows, rank))
    return Block(tuple(units), block.added)


# Running -----------------------------------------------------------------------------------------------------------


def run(network: nn.Module, x: Tensor, plan: Plan, norm: Norm, dropout: float = 0.0) -> Tensor:
    """Logits (B, K) of a plan for scaled pictures (B, C, S, S), on the network's own weights, which may learn."""
    blocks, features = layout(network, plan)
    for block in blocks:
        y = x
        for unit in block.units:
            y = _excite(unit, y) if isinstance(unit, Excite) else _convolve(unit, y, norm)
        x = x + y if block.added else y
    linear = _linear(parts(network).head)
    pooled = F.dropout(x.mean((2, 3)), dropout, dropout > 0)
    return F.linear(pooled, linear.weight[:, :features], linear.bias)


def _convolve(unit: Unit, x: Tensor, norm: Norm) -> Tensor:
    conv, weight = unit.conv, unit.weight()
    if unit.rank is not None:
        left, right = factored(weight, unit.rank)
        weight = (left @ right)[..., None, None]
    x = x if unit.pad is None else unit.pad(x)
    groups = unit.rows if unit.depthwise else 1
    x = convolve(x, weight, None, conv.stride, conv.padding, conv.dilation, groups)
    x = norm(unit, x)
    return x if unit.act is None else unit.act(x)


def _excite(unit: Excite, x: Tensor) -> Tensor:
    layer, rows = unit
    mean = x.mean((2, 3), keepdim=True)
    reduced = F.silu(F.conv2d(mean, layer.reduce.weight[:, :rows], layer.reduce.bias))
    bias = layer.expand.bias
    return x * F.conv2d(reduced, layer.expand.weight[:rows], None if bias is None else bias[:rows]).sigmoid()


def factored(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(O, r) and (r, I) whose product is nearest to a 1x1 kernel (O, I, 1, 1)."""
    u, s, v = torch.linalg.svd(weight.flatten(1).float(), full_matrices=False)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]


# Norms -------------------------------------------------------------------------------------------------------------

Moments = dict[
    nn.BatchNorm2d, tuple[Tensor, Tensor]
]  # what a norm hands on in the full network: mean, deviation (C,)


def own(unit: Unit, x: Tensor) -> Tensor:
    """The norm with the statistics that it was trained with."""
    norm, rows = unit.norm, unit.rows
    assert norm.running_mean is not None
    assert norm.running_var is not None
    statistics = norm.running_mean[:rows], norm.running_var[:rows]
    return F.batch_norm(x, *statistics, norm.weight[:rows], norm.bias[:rows], False, 0.0, norm.eps)


def recording(moments: Moments, every: int = 1) -> Norm:
    """:func:`own`, which notes what it hands on, of every so manieth picture."""

    def norm(unit: Unit, x: Tensor) -> Tensor:
        x = own(unit, x)
        with torch.no_grad():
            moments[unit.norm] = _moments(x[::every])
        return x

    return norm


def matching(moments: Moments) -> Norm:
    """A norm by the batch's own statistics, that hands on the mean and the deviation of the full network."""

    def norm(unit: Unit, x: Tensor) -> Tensor:
        mean, deviation = (m[: unit.rows] for m in moments[unit.norm])
        return F.batch_norm(x, None, None, deviation, mean, True, 0.0, TINY)

    return norm


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (C,) of a map (B, C, H, W)."""
    variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
    return mean, variance.sqrt()


@torch.no_grad()
def calibrate(network: nn.Module, plan: Plan, moments: Moments, x: Tensor) -> Tensor:
    """A scale and a shift for each channel of each norm of a plan, (2, C), one norm after the other.

    Args:
        moments: see :func:`full_moments`.
        x: scaled pictures (B, C, S, S) of the plan's size.
    """
    found: list[Tensor] = []

    def norm(unit: Unit, y: Tensor) -> Tensor:
        mean, deviation = (m[: unit.rows] for m in moments[unit.norm])
        variance, middle = torch.var_mean(y, (0, 2, 3), correction=0)
        scale = deviation * (variance + TINY).rsqrt()
        found.append(torch.stack([scale, mean - scale * middle]))
        return y * scale[:, None, None] + found[-1][1][:, None, None]

    run(network, x, plan, norm)
    return torch.cat(found, 1)


@torch.no_grad()
def full_moments(network: nn.Module, plan: Plan, x: Tensor) -> Moments:
    """What each norm of the full plan hands on for scaled pictures (B, C, S, S)."""
    moments: Moments = {}
    run(network, x, plan, recording(moments))
    return moments


def enough(size: int) -> int:
    """How many pictures of that size set norms: as many places as ``PICTURES`` of 128 pixels have."""
    return max(16, min(PICTURES, PICTURES * 128**2 // size**2))


def norm_channels(network: nn.Module, plan: Plan) -> int:
    """Channels of all norms of a plan together."""
    blocks, _ = layout(network, plan)
    return sum(unit.rows for block in blocks for unit in block.units if isinstance(unit, Unit))


def own_scales(network: nn.Module, plan: Plan) -> Tensor:
    """As :func:`calibrate`, of the statistics that the norms were trained with."""
    blocks, _ = layout(network, plan)
    units = [unit for block in blocks for unit in block.units if isinstance(unit, Unit)]
    return torch.cat([_own_scale(unit) for unit in units], 1).detach()


# The small network by itself ----------------------------------------------------------------------------------------


class Added(nn.Sequential):
    """Layers whose output is added to their input."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x)
        return x + y


class Shortened(nn.Module):
    """A plan's own network, norms folded into the convolutions: pictures (B, C, S, S) in [0, 1] to logits (B, K).

    Args:
        trunk: to maps of features.
        head: their mean, and the linear layer.
        mean, std: of pixels.
        size: S.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: nn.Sequential, head: Head, mean: Tensor, std: Tensor, size: int) -> None:
        super().__init__()
        self.trunk, self.head, self.size = trunk, head, size
        self.register_buffer("mean", mean.detach().clone(), persistent=False)
        self.register_buffer("std", std.detach().clone(), persistent=False)

    def maps(self, image: Tensor) -> Tensor:
        """Features place by place, (B, F, s, s): ``head[-1]`` on them says where a class was seen."""
        y: Tensor = self.trunk((image - self.mean) / self.std)
        return y

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, K)."""
        y: Tensor = self.head(self.maps(image))
        return y


@torch.no_grad()
def shortened(network: nn.Module, plan: Plan, norms: Tensor | None, mean: Tensor, std: Tensor) -> Shortened:
    """The network of a plan by itself, with copies of the weights that run.

    Args:
        norms: scales and shifts as :func:`calibrate` finds them; None: the norms' own statistics.
        mean, std: of pixels, (C, 1, 1).
    """
    blocks, features = layout(network, plan)
    made: list[nn.Module] = []
    done = 0
    for block in blocks:
        layers: list[nn.Module] = []
        for unit in block.units:
            if isinstance(unit, Excite):
                layers.append(_excite_alone(unit))
                continue
            given = _own_scale(unit) if norms is None else norms[:, done : done + unit.rows]
            layers += _folded(unit, given[0], given[1])
            done += unit.rows
        made.append(Added(*layers) if block.added else nn.Sequential(*layers))
    linear = _linear(parts(network).head)
    head = Head(features, linear.out_features).to(linear.weight)
    _linear(head).weight.copy_(linear.weight[:, :features])
    _linear(head).bias.copy_(linear.bias)
    found = Shortened(nn.Sequential(*made), head, mean, std, plan.size)
    return found.to(mean.device).eval().requires_grad_(False)


def _own_scale(unit: Unit) -> Tensor:
    norm = unit.norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return torch.stack([scale, norm.bias - scale * norm.running_mean])[:, : unit.rows]


def _folded(unit: Unit, scale: Tensor, shift: Tensor) -> list[nn.Module]:
    """A unit as plain layers: its kernel times the scale, the shift as its bias."""
    conv = unit.conv
    weight = unit.weight()
    layers: list[nn.Module] = [] if unit.pad is None else [unit.pad]
    if unit.rank is not None:
        left, right = factored(weight, unit.rank)
        first = nn.Conv2d(unit.columns, unit.rank, 1, bias=False).to(weight)
        first.weight.copy_(right[..., None, None])
        layers.append(first)
        weight = left[..., None, None]
    groups, columns = (unit.rows, unit.rows) if unit.depthwise else (1, weight.shape[1])
    kind = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, groups)
    plain = nn.Conv2d(columns, unit.rows, *kind).to(weight)  # type: ignore[arg-type]
    plain.weight.copy_(weight * scale[:, None, None, None])
    assert plain.bias is not None
    plain.bias.copy_(shift)
    return [*layers, plain, *([] if unit.act is None else [type(unit.act)()])]


def _excite_alone(unit: Excite) -> SqueezeExcite:
    layer, rows = unit
    small = SqueezeExcite(rows, layer.reduce.out_channels).to(layer.reduce.weight)
    small.reduce.weight.copy_(layer.reduce.weight[:, :rows])
    small.expand.weight.copy_(layer.expand.weight[:rows])
    assert small.reduce.bias is not None
    assert layer.reduce.bias is not None
    assert small.expand.bias is not None
    assert layer.expand.bias is not None
    small.reduce.bias.copy_(layer.reduce.bias)
    small.expand.bias.copy_(layer.expand.bias[:rows])
    return small


# What channels are worth --------------------------------------------------------------------------------------------


def sort_channels(network: nn.Module, x: Tensor, labels: Tensor, batch: int = 32) -> None:
    """Put expanded channels and features, in place, in the order of what they are worth; the network computes the same.

    A channel is worth the squared change of a picture's loss, to first order, if it were left out.

    Args:
        x: scaled pictures (N, C, S, S).
        labels: (N,).
    """
    taken = parts(network)
    blocks = [block for stage in taken.stages for block in stage if _expands(block)]
    places: list[nn.Module] = [*(block.body[-1] for block in blocks), taken.head]
    worth: dict[nn.Module, Tensor] = {}
    masks: dict[nn.Module, Tensor] = {}

    def mask(module: nn.Module, given: tuple[Tensor, ...]) -> Tensor:
        masks[module] = given[0].new_ones(*given[0].shape[:2], 1, 1).requires_grad_()
        return given[0] * masks[module]

    training = network.training
    hooks = [module.register_forward_pre_hook(mask) for module in places]
    try:
        for image, label in zip(x.split(batch), labels.split(batch), strict=True):
            loss = F.cross_entropy(network.eval()(image), label, reduction="sum")
            found = torch.autograd.grad(loss, [masks[module] for module in places])
            for module, gradient in zip(places, found, strict=True):
                worth[module] = worth.get(module, 0) + gradient.square().sum((0, 2, 3))
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    for block in blocks:
        _reorder_block(block, worth[block.body[-1]].argsort(descending=True, stable=True))
    order = worth[taken.head].argsort(descending=True, stable=True)
    _reorder(taken.features, rows=order)
    _take(_linear(taken.head).weight, order, 1)


def _reorder_block(block: InvertedResidual, order: Tensor) -> None:
    *before, last = _layers(block)
    for layer in before:
        if isinstance(layer, SqueezeExcite):
            _take(layer.reduce.weight, order, 1)
            _take(layer.expand.weight, order, 0)
            assert layer.expand.bias is not None
            _take(layer.expand.bias, order, 0)
        else:
            _reorder(layer, rows=order)
    _take(_conv(last).weight, order, 1)


def _reorder(layers: nn.Module, rows: Tensor) -> None:
    """The outputs of a convolution and its norm in another order."""
    for module in layers.modules():
        if isinstance(module, nn.Conv2d):
            _take(module.weight, rows, 0)
        elif isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                _take(tensor, rows, 0)


@torch.no_grad()
def _take(tensor: Tensor, order: Tensor, axis: int) -> None:
    tensor.copy_(tensor.index_select(axis, order))


def drawn(network: nn.Module, size: int, full: Plan) -> Plan:
    """A random plan: sides, blocks and widths each on their own, or, half of the time, all widths alike."""
    at = sizes(size)
    blocks = tuple(int(torch.randint(1, most + 1, ())) for most in full.blocks)
    widths = torch.randint(LEAST, WHOLE + 1, (len(full.widths),))
    if float(torch.rand(())) < 0.5:
        widths = widths[:1].expand(len(full.widths))
    plan = Plan(at[int(torch.randint(len(at), ()))], blocks, tuple(widths.tolist()), full.ranks)
    return whole_where_it_must(network, plan)


def in_words(plan: Plan) -> str:
    """ "112 px, blocks 1 2 1, widths 8 4 6" for people; ranks only where a kernel has less than its own."""
    said = [f"{plan.size} px", f"blocks {_row(plan.blocks)}", f"widths {_row(plan.widths)}"]
    return ", ".join(said + [f"ranks {_row(plan.ranks)}"] * (min(plan.ranks, default=WHOLE) < WHOLE))


def _row(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))
