"""Convolutions whose kernels share weights across channels: fewer numbers, and less work for the same ones.

A dense kernel W (O, I, k, k) gives each of its O * I channel pairs a spatial kernel of its own. Every family here
writes W by fewer numbers and never forms it to compute: it runs the cheapest sequence of ordinary operations that its
algebra allows. ``to_dense`` forms W (tests hold the two equal), ``project`` finds the nearest tied kernel to a dense
one, ``parameter_count`` and ``mac_count`` are exact. Which families pay on a real processor, and which only on
paper, is in docs/results.md.

The algebra asks neither how many axes a kernel has nor which way it runs: k, k stands for one, two or three sides, a
grouped convolution is tied within its groups (I is then the channels of one), and in a transposed one the same two
steps, mixing of channels and spatial kernel, run with the spatial kernel transposed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd as ConvNd
from typing_extensions import Self

Padding = tuple[int, ...] | str
Spatial = Callable[..., Tensor]  # (x, weight (O, I / groups, k, k), bias=None, groups=1) -> y

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
PLAIN: dict[tuple[int, bool], type[ConvNd]] = {  # (axes, transposed) -> torch's own layer
    (1, False): nn.Conv1d,
    (2, False): nn.Conv2d,
    (3, False): nn.Conv3d,
    (1, True): nn.ConvTranspose1d,
    (2, True): nn.ConvTranspose2d,
    (3, True): nn.ConvTranspose3d,
}


# Functions that look at their tensors are leaves to ``torch.fx``, as torch's own convolutions are.


@torch.fx.wrap
def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: Padding,
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """``F.conv2d`` or its sister of other axes, faster to train where it is depthwise and strided.

    There the processor's gradient is slower than all the rest of a network together (20 times that of stride 1), so
    every position is computed and the strided ones are kept: the same numbers. In bfloat16 it is slower than in
    float32, which a depthwise kernel is therefore trained in (EfficientNet-Lite0: 21 ms a picture in place of 29).
    """
    run = CONVOLVE[weight.ndim - 2]
    # What is traced is not looked at: there a size is a tensor.
    depthwise = groups > 1 and _is_training() and weight.shape[1] == 1
    if depthwise and _trains_in_bfloat16(x) and x.dtype != torch.float64:  # which autocast leaves alone
        with torch.autocast("cpu", enabled=False):
            bias = None if bias is None else bias.float()
            return convolve(x.float(), weight.float(), bias, stride, padding, dilation, groups)
    if depthwise and max(stride) > 1 and x.device.type == "cpu":
        every = run(x, weight, bias, 1, padding, dilation, groups)  # type: ignore[arg-type]
        return every[((...,) + tuple(slice(None, None, step) for step in stride))]
    return run(x, weight, bias, stride, padding, dilation, groups)  # type: ignore[arg-type]


class Conv2d(nn.Conv2d):
    """``nn.Conv2d`` by :func:`convolve`."""

    def forward(self, input: Tensor) -> Tensor:
        return convolve(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@torch.fx.wrap
def batched(x: Tensor, channels: int, axes: int) -> Tensor:
    """``x`` (B, C, H, W), or (C, H, W) with a batch of one around it.

    Raises:
        RuntimeError: it has other axes or channels, which a reshape in blocks would not notice.
    """
    if x.ndim not in (axes + 1, axes + 2):
        raise RuntimeError(f"expected {axes + 1}D (unbatched) or {axes + 2}D (batched) input, not {x.ndim}D")
    if not _is_traced() and x.shape[-axes - 1] != channels:
        raise RuntimeError(f"expected input of {channels} channels, not of shape {list(x.shape)}")
    return x if x.ndim == axes + 2 else x[None]


@torch.fx.wrap
def unbatched(y: Tensor, x: Tensor, axes: int) -> Tensor:
    """``y`` with a batch axis exactly where the input ``x`` had one."""
    return y if x.ndim == axes + 2 else y[0]


@torch.fx.wrap
def wider(x: Tensor, size: Sequence[int] | None, conv: Sequence[Any]) -> tuple[int, ...]:
    """Output padding with which a transposed convolution of ``x`` has the output ``size``: ``conv`` if that is None.

    Args:
        conv: output padding, and for each axis kernel size, stride, padding and dilation.

    Raises:
        ValueError: no output padding gives that size.
    """
    usual, axes = conv[0], conv[1:]
    if size is None:
        return tuple(usual)
    least = [
        (int(side) - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
        for side, (kernel, stride, padding, dilation) in zip(x.shape[2:], axes, strict=True)
    ]
    most = [low + stride - 1 for low, (_, stride, _, _) in zip(least, axes, strict=True)]
    asked = [int(side) for side in size][-len(least) :]
    if len(size) not in (len(least), len(least) + 1, len(least) + 2) or any(
        not low <= side <= high for low, side, high in zip(least, asked, most, strict=True)
    ):
        raise ValueError(f"output_size must be {least} to {most}, not {list(size)}")
    return tuple(side - low for low, side in zip(least, asked, strict=True))


@torch.fx.wrap
def beside_batch(x: Tensor, blocks: int, groups: int) -> Tensor:
    """Blocks of channels laid beside the batch: (B, groups * blocks * C, ...) to (B * blocks, groups * C, ...)."""
    if groups == 1:
        return x.unflatten(1, (blocks, -1)).flatten(0, 1)
    return x.unflatten(1, (groups, blocks, -1)).transpose(1, 2).flatten(0, 1).flatten(1, 2)


@torch.fx.wrap
def on_diagonal(kernel: Tensor, blocks: int) -> Tensor:
    """The thin kernel of every block, (R, C, ...), in one of all channels: (R * blocks, blocks * C, ...)."""
    same = torch.eye(blocks, dtype=kernel.dtype, device=kernel.device)
    return torch.einsum("oi...,ab->oabi...", kernel, same).flatten(0, 1).flatten(1, 2)


@torch.fx.wrap
def mix_blocks(x: Tensor, mix: Tensor, size: int, groups: int) -> Tensor:
    """Blocks of ``size`` channels mixed as wholes by ``mix`` (R, C / groups): (B, C size, ...) to (B, R size, ...)."""
    rows, columns = mix.shape
    if groups == 1:
        mixed = mix @ x.unflatten(1, (columns, size)).flatten(2)
    else:
        mixed = mix.unflatten(0, (groups, -1)) @ x.unflatten(1, (groups, columns, size)).flatten(3)
    return mixed.reshape(-1, rows * size, *x.shape[2:])


@torch.fx.wrap
def pointwise(x: Tensor, weight: Tensor, groups: int = 1, bias: Tensor | None = None) -> Tensor:
    """Channels mixed place by place: (B, I, ...) by ``weight`` (O, I / groups) to (B, O, ...)."""
    axes = x.ndim - 2
    return CONVOLVE[axes](x, spread(weight, axes), bias, groups=groups)


def spread(x: Tensor, axes: int) -> Tensor:
    """``x`` with so many axes of one place behind it."""
    return x.unflatten(-1, (-1, *[1] * axes))


def margins(conv: ConvNd | TiedConv) -> list[tuple[int, int]]:
    """Places that a convolution adds before and after each axis."""
    if isinstance(conv.padding, str):
        reach = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        return [(r // 2, r - r // 2) if conv.padding == "same" else (0, 0) for r in reach]
    return [(int(p), int(p)) for p in conv.padding]


def output_size(conv: ConvNd | TiedConv, *sides: int) -> tuple[int, ...]:
    """Sides of the output of a convolution, torch's own or a tied one, for an input of those sides."""
    reaches = [d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    around = [before + after for before, after in margins(conv)]
    if conv.transposed:
        axes = zip(sides, conv.stride, around, reaches, conv.output_padding, strict=True)
        return tuple((n - 1) * step - pad + reach + extra for n, step, pad, reach, extra in axes)
    grown = zip(sides, conv.stride, around, reaches, strict=True)
    return tuple((n + pad - reach) // step + 1 for n, step, pad, reach in grown)


def factors(u: Tensor, s: Tensor, v: Tensor, fresh: Tensor, even: bool = True) -> tuple[Tensor, Tensor]:
    """Factors of a singular value decomposition cut to D parts, in which a gradient never dies.

    Where both factors of a part are zero, as those of a kernel that starts at zero would be, neither ever gets a
    gradient. A part without size, and one that the matrix has no rank for, keeps ``fresh`` on the right, and zero on
    the left: the same product.

    Args:
        u, s, v: (..., N, R), (..., R) and (..., R, M).
        fresh: (..., D, M) of a random start.
        even: share the size of a part between both factors; else it is the left one's.

    Returns:
        (..., N, D) and (..., D, M).
    """
    depth = fresh.shape[-2]
    parts = min(depth, s.shape[-1])
    u, s, v = u[..., :parts], s[..., :parts], v[..., :parts, :]
    dead = s <= s[..., :1] * NOTHING
    root = torch.where((s > SMALL) & even, s.sqrt(), torch.ones_like(s))
    left = torch.where(dead[..., None, :], 0.0, u * (s / root)[..., None, :])
    right = torch.where(dead[..., None], fresh[..., :parts, :].to(v), v * root[..., None])
    rest = fresh[..., parts:, :].to(v)
    return F.pad(left, (0, depth - parts)), torch.cat([right, rest], -2)


def svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular value decomposition (..., N, R), (..., R), (..., R, M), thin."""
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    return u, s, v


NOTHING = 1e-12  # of the largest singular value: rounding
SMALL = 1e-4  # a part of less size is the left factor's: shared, it would slow the gradients of both


class TiedConv(nn.Module):
    """A convolution with a tied kernel, in place of ``like``; starts at random with the variance of He et al. 2015.

    It answers to what torch's own layer answers to: the same settings under the same names, ``weight`` (formed anew
    each time; what learns are the factors), one sample without a batch, ``reset_parameters``.

    Args:
        like: torch's convolution, which gives channels, kernel size, stride, padding and its mode, dilation, groups
            and whether there is a bias.
        degree: how much is shared; what it counts is the family's matter.

    Raises:
        ValueError: the family cannot replace this convolution; ``fits`` tells beforehand.
    """

    family: ClassVar[str]
    default: ClassVar[int] = 4  # degree where none is given
    needs: ClassVar[str] = "another shape"  # of what it can replace

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int
    padding_mode: str
    bias: nn.Parameter | None

    def __init__(self, like: ConvNd, degree: int) -> None:
        super().__init__()
        if not self.fits(like, degree):
            raise ValueError(f"{self.family}-{degree} cannot replace {like}: it needs {self.needs}")
        self.degree = degree
        for name in ConvNd.__constants__:
            setattr(self, name, getattr(like, name))
        self.transposed = like.transposed
        self.axes = len(like.kernel_size)
        self.area = math.prod(like.kernel_size)
        self.fan_in = like.in_channels // like.groups
        self.bias = nn.Parameter(torch.zeros(like.out_channels)) if like.bias is not None else None

    @classmethod
    def fits(cls, conv: ConvNd, degree: int) -> bool:
        """Whether the family can replace this convolution: divisible channels, mostly."""
        return degree > 0 and cls._fits(conv, degree)

    @classmethod
    def _fits(cls, conv: ConvNd, degree: int) -> bool:
        raise NotImplementedError

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(B, I, H, W) or (I, H, W) to as many axes; ``output_size`` is for transposed convolutions, as torch's."""
        x = batched(input, self.in_channels, self.axes)
        spatial = self._spatial
        if self.transposed:
            settings = zip(self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
            extra = wider(x, output_size, (self.output_padding, *settings))
            spatial = functools.partial(self._spatial, extra=extra)
        elif isinstance(output_size, Sequence):
            raise TypeError(f"{type(self).__name__} takes an output_size only where it is transposed")
        return unbatched(self._run(x, spatial), input, self.axes)

    def _run(self, x: Tensor, spatial: Spatial) -> Tensor:
        """The convolution of a batch, by its cheapest execution; ``spatial`` convolves as the settings say."""
        return spatial(x, self.to_dense(), self.bias, self.groups)

    def to_dense(self) -> Tensor:
        """The kernel in full, (O, I / groups, k, k)."""
        raise NotImplementedError

    def project(self, weight: Tensor) -> None:
        """Become the tied kernel nearest to ``weight`` (O, I / groups, k, k) in squared error."""
        raise NotImplementedError

    def parameter_count(self) -> int:
        """Numbers that are learned, bias included."""
        raise NotImplementedError

    def mac_count(self, *sides: int) -> int:
        """Multiply-accumulates for one input of those sides; additions alone are not counted."""
        raise NotImplementedError

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        rename_kernel(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @property
    def weight(self) -> Tensor:
        """The kernel as torch's layer would hold it: (O, I / groups, k, k), or (I, O / groups, k, k) if transposed.

        Formed from the factors each time: it can be read and differentiated, but to write into it changes nothing.
        """
        dense = self.to_dense()
        return turned(dense, self.groups) if self.transposed else dense

    def output_size(self, *sides: int) -> tuple[int, ...]:
        """Sides of the output."""
        return output_size(self, *sides)

    def plain(self, device: torch.device | str = "meta", dtype: torch.dtype | None = None) -> ConvNd:
        """Torch's own layer of the same settings, with weights of its own."""
        settings = {name: getattr(self, name) for name in ConvNd.__constants__}
        if not self.transposed:
            del settings["output_padding"]
        kind: Any = PLAIN[self.axes, self.transposed]
        layer: ConvNd = kind(**settings, bias=self.bias is not None, device=device, dtype=dtype)
        return layer

    @torch.no_grad()
    def dense(self) -> ConvNd:
        """An ordinary convolution that computes the same, on the same device and in the same precision."""
        weight = self.weight
        conv = self.plain(weight.device, weight.dtype)
        conv.weight.copy_(weight)
        if conv.bias is not None and self.bias is not None:
            conv.bias.copy_(self.bias)
        return conv

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start again at random."""
        for own, new in zip(self.parameters(), self.fresh().parameters(), strict=True):
            own.copy_(new)

    def fresh(self) -> Self:
        """Another of the same settings, with weights of its own."""
        return type(self)(self.plain(), self.degree)

    def extra_repr(self) -> str:
        return f"{ConvNd.extra_repr(self)}, degree={self.degree}"  # type: ignore[arg-type]

    def _spatial(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, groups: int = 1, extra: Any = 0
    ) -> Tensor:
        if self.transposed:
            kernel = turned(weight, groups)
            run: Any = TRANSPOSE[self.axes]
            return run(x, kernel, bias, self.stride, self.padding, extra, groups, self.dilation)
        padding = self.padding
        if self.padding_mode != "zeros":
            sides = [side for pair in reversed(margins(self)) for side in pair]
            x, padding = F.pad(x, sides, mode=self.padding_mode), (0,) * self.axes
        return convolve(x, weight, bias, self.stride, padding, self.dilation, groups)

    def _biased(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + spread(self.bias.to(y.dtype), self.axes)

    def _places(self, *sides: int) -> int:
        """Where a spatial kernel is laid on: at every output, or if transposed at every input."""
        return math.prod(sides if self.transposed else self.output_size(*sides))

    def _bias_count(self) -> int:
        return self.out_channels if self.bias is not None else 0

    def _normal(self, *shape: int, variance: float) -> nn.Parameter:
        if torch.get_default_device().type == "meta":  # shapes alone: numbers there take seconds to import
            return nn.Parameter(torch.empty(shape))
        return nn.Parameter(torch.randn(shape) * math.sqrt(variance))


def rename_kernel(conv: TiedConv, state: dict[str, Any], prefix: str) -> None:
    """Take up a ``kernel`` that was stored as ``weight``, before that became the name of the kernel in full."""
    old, new = f"{prefix}weight", f"{prefix}kernel"
    if "kernel" in conv._parameters and old in state and new not in state:
        state[new] = state.pop(old)


def turned(weight: Tensor, groups: int) -> Tensor:
    """A kernel (O, I / groups, ...) as a transposed convolution holds it, (I, O / groups, ...), and back."""
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)


class Blueprint(TiedConv):
    """One spatial kernel a filter, times a weight for each input channel.

        W[o, i] = a[o, i] S[o],        a = A B of rank I / degree (degree 1: a of full rank)

    Runs as 1x1 convolutions, then a depthwise one. Cost a pixel: r (I + O) + O k^2 with r = I / degree, or I O + O k^2;
    at a stride, only the depthwise part is spared. Full rank is BSConv-U, low rank BSConv-S (Haase & Amthor 2020,
    arXiv:2003.13549).
    """

    family = "blueprint"
    default = 1
    needs = "a kernel of several places, and input channels that its degree divides"

    def __init__(self, like: ConvNd, degree: int = default) -> None:
        super().__init__(like, degree)
        rows, columns = like.out_channels, self.fan_in
        self.rank = columns // degree
        if degree == 1:
            self.mix = self._normal(rows, columns, variance=2 / columns)
        else:
            self.reduce = self._normal(like.groups * self.rank, columns, variance=1 / columns)
            self.mix = self._normal(rows, self.rank, variance=2 / self.rank)
        self.blueprint = self._normal(rows, 1, *like.kernel_size, variance=1 / self.area)

    @classmethod
    def _fits(cls, conv: ConvNd, degree: int) -> bool:
        columns = conv.in_channels // conv.groups
        return _is_spatial(conv) and columns > 1 and columns % degree == 0

    def _run(self, x: Tensor, spatial: Spatial) -> Tensor:
        if _trains_in_bfloat16(x):
            return spatial(x, self.to_dense(), self.bias, self.groups)
        if self.degree > 1:
            x = pointwise(x, self.reduce, self.groups)
        return spatial(pointwise(x, self.mix, self.groups), self.blueprint, self.bias, self.out_channels)

    def to_dense(self) -> Tensor:
        scale = self.mix
        if self.degree > 1:
            mix, reduce = (factor.unflatten(0, (self.groups, -1)) for factor in (self.mix, self.reduce))
            scale = (mix @ reduce).flatten(0, 1)
        return spread(scale, self.axes) * self.blueprint

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        # (O, I, k^2); each filter is nearest to its first singular pair
        rows = weight.double().flatten(2)
        found = svd(rows)
        left, right = factors(*found, self.blueprint.flatten(1)[:, None], even=False)
        scale, blueprint = left[:, :, 0], right[:, 0]
        if self.degree > 1:
            reduce = self.reduce.unflatten(0, (self.groups, -1))
            for _ in range(ALTERNATIONS):  # each half-step is exact: the error never grows
                left, right = factors(*self._ranks(rows, blueprint), reduce)
                nearest = ((left @ right).flatten(0, 1)[:, :, None] * rows).sum(1)
                size = nearest.norm(dim=1, keepdim=True)
                blueprint = torch.where(size > 0, nearest / size.clamp(min=1e-300), blueprint)
            left, right = factors(*self._ranks(rows, blueprint), reduce)
            scale = left.flatten(0, 1)
            self.reduce.copy_(right.flatten(0, 1))
        self.mix.copy_(scale)
        self.blueprint.copy_(blueprint.view_as(self.blueprint))

    def _ranks(self, rows: Tensor, blueprint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Singular value decomposition, group by group, of the best weights for given blueprints."""
        seen = (rows * blueprint[:, None]).sum(-1) / blueprint.square().sum(1, keepdim=True)
        return svd(seen.unflatten(0, (self.groups, -1)))

    def _mixing(self) -> int:
        rows, columns = self.out_channels, self.fan_in
        return rows * columns if self.degree == 1 else self.rank * (rows + self.in_channels)

    def parameter_count(self) -> int:
        return self._mixing() + self.out_channels * self.area + self._bias_count()

    def mac_count(self, *sides: int) -> int:
        return self._mixing() * math.prod(sides) + self.out_channels * self.area * self._places(*sides)


ALTERNATIONS = 50  # of the projection onto low-rank blueprints


class Decoupled(TiedConv):
    """``degree`` spatial kernels a filter, each with a weight for every input channel.

        W[o, i] = sum_r a[r, o, i] S[r, o]

    Between a blueprint (degree 1) and a dense kernel (degree k^2): a filter, seen as a matrix (I, k^2), has rank
    ``degree``. Runs as so many blueprints whose maps are added up. Cost a pixel: degree (I O + O k^2); at a stride,
    only the depthwise part is spared. Guo et al. 2018, "Network decoupling", arXiv:1808.05517.
    """

    family = "decoupled"
    default = 2
    needs = "several input channels, and a kernel of more places than its degree"

    def __init__(self, like: ConvNd, degree: int = default) -> None:
        super().__init__(like, degree)
        rows, columns = like.out_channels, self.fan_in
        self.mix = self._normal(degree * rows, columns, variance=2 / (degree * columns))
        self.kernel = self._normal(degree * rows, 1, *like.kernel_size, variance=1 / self.area)

    @classmethod
    def _fits(cls, conv: ConvNd, degree: int) -> bool:
        return conv.in_channels > conv.groups and degree < math.prod(conv.kernel_size)

    def _run(self, x: Tensor, spatial: Spatial) -> Tensor:
        if _trains_in_bfloat16(x):
            return spatial(x, self.to_dense(), self.bias, self.groups)
        rows = self.out_channels
        parts = [slice(i * rows, (i + 1) * rows) for i in range(self.degree)]
        # The bias is added once.
        maps = [
            spatial(
                pointwise(x, self.mix[p], self.groups), self.kernel[p], None if p.start else self.bias, rows
            )
            for p in parts
        ]
        return sum(maps[1:], maps[0])

    def to_dense(self) -> Tensor:
        pairs = spread(self.mix, self.axes) * self.kernel
        return pairs.unflatten(0, (self.degree, -1)).sum(0)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        # Each filter is nearest to its first singular pairs; there are fewer than ``degree`` if it has fewer channels.
        found = svd(weight.double().flatten(2))
        start = self.kernel.flatten(1).unflatten(0, (self.degree, -1)).transpose(0, 1)
        mix, kernel = factors(*found, start)
        self.mix.copy_(mix.permute(2, 0, 1).flatten(0, 1))
        self.kernel.copy_(kernel.transpose(0, 1).reshape(self.kernel.shape))

    def parameter_count(self) -> int:
        return self.degree * self.out_channels * (self.fan_in + self.area) + self._bias_count()

    def mac_count(self, *sides: int) -> int:
        mixing = self.out_channels * self.fan_in * math.prod(sides)
        return self.degree * (mixing + self.out_channels * self.area * self._places(*sides))


class ChannelGroup(TiedConv):
    """Groups of ``degree`` input channels share one kernel, and each channel has a weight of its own.

        W[o, i] = s[i] T[o, g(i)],     g(i) = i div degree

    Runs as a weighted sum within each group (a grouped 1x1 convolution to I / degree maps), then a dense convolution.
    Cost a pixel: I + O (I / degree) k^2. With a weight a pair of channels instead of one a channel it would be weighted
    kernel sharing (2018), whose work grows back to a dense layer's.
    """

    family = "channel_group"
    needs = "more input channels than its degree, which divides them"

    def __init__(self, like: ConvNd, degree: int = 4) -> None:
        super().__init__(like, degree)
        self.scale = nn.Parameter(torch.ones(like.in_channels // degree, degree))
        variance = 2 / (self.fan_in * self.area)
        self.kernel = self._normal(
            like.out_channels, self.fan_in // degree, *like.kernel_size, variance=variance
        )

    @classmethod
    def _fits(cls, conv: ConvNd, degree: int) -> bool:
        columns = conv.in_channels // conv.groups
        return columns % degree == 0 and columns > degree

    def _run(self, x: Tensor, spatial: Spatial) -> Tensor:
        return spatial(
            pointwise(x, self.scale, self.in_channels // self.degree), self.kernel, self.bias, self.groups
        )

    def to_dense(self) -> Tensor:
        scale = self.scale.view(self.groups, 1, self.fan_in, *[1] * self.axes)
        kernel = self.kernel.repeat_interleave(self.degree, 1).unflatten(0, (self.groups, -1))
        return (kernel * scale).flatten(0, 1)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        # Rank one for each group of channels that share: (groups, O / groups, I / degree, degree, k^2), O last but one.
        apart = weight.double().flatten(2).unflatten(1, (-1, self.degree)).unflatten(0, (self.groups, -1))
        u, s, v = svd(apart.permute(0, 2, 3, 1, 4).flatten(3))
        size = math.sqrt(self.degree)
        scale = torch.where(s[..., :1] > 0, u[..., 0] * size, 1.0)
        kernel = (s[..., :1] / size * v[..., 0, :]).unflatten(-1, (-1, self.area))  # (groups, I / d, O, k^2)
        self.scale.copy_(scale.reshape(self.scale.shape))
        self.kernel.copy_(kernel.transpose(1, 2).reshape(self.kernel.shape))

    def parameter_count(self) -> int:
        return self.in_channels + self.kernel.numel() + self._bias_count()

    def mac_count(self, *sides: int) -> int:
        return self.in_channels * math.prod(sides) + self.kernel.numel() * self._places(*sides)


class Blockwise(TiedConv):
    """A family that cuts input and output channels into blocks of ``degree`` channels, or into ``degree`` blocks."""

    needs = "more input and output channels than its degree, which divides both"

    @classmethod
    def _fits(cls, conv: ConvNd, degree: int) -> bool:
        sides = conv.in_channels // conv.groups, conv.out_channels // conv.groups
        return all(side % degree == 0 and side > degree for side in sides)

    def _run(self, x: Tensor, spatial: Spatial) -> Tensor:
        if _is_training():  # working by blocks rearranges every map in memory: dearer to train
            return spatial(x, self.to_dense(), self.bias, self.groups)
        return self._biased(self._in_blocks(x, spatial))

    def _in_blocks(self, x: Tensor, spatial: Spatial) -> Tensor:
        """The convolution without its bias, by its cheapest execution."""
        raise NotImplementedError


class Block(Blockwise):
    """Input and output channels in ``degree`` blocks that share one thin kernel.

        W[o, i] = T[o div degree, i mod (I / degree)] where o mod degree = i div (I / degree), else 0

    Runs as one dense convolution with the blocks laid beside the batch. Parameters fall by degree^2, cost a pixel to
    O I k^2 / degree. Outputs of the blocks are interleaved (a channel shuffle), so the next layer's blocks see all
    of these. Tied block convolution (Wang & Yu 2021, arXiv:2009.12021), shuffle after Zhang et al. 2018.
    """

    family = "block"
    default = 2

    def __init__(self, like: ConvNd, degree: int = default) -> None:
        super().__init__(like, degree)
        thin = self.fan_in // degree
        variance = 2 / (thin * self.area)
        self.kernel = self._normal(like.out_channels // degree, thin, *like.kernel_size, variance=variance)

    def _in_blocks(self, x: Tensor, spatial: Spatial) -> Tensor:
        y = spatial(beside_batch(x, self.degree, self.groups), self.kernel, None, self.groups)
        return y.unflatten(0, (-1, self.degree)).transpose(1, 2).flatten(1, 2)

    def to_dense(self) -> Tensor:
        return on_diagonal(self.kernel, self.degree)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        parts = weight.unflatten(1, (self.degree, -1)).unflatten(0, (-1, self.degree))
        self.kernel.copy_(parts.diagonal(dim1=1, dim2=2).mean(-1))

    def parameter_count(self) -> int:
        return self.kernel.numel() + self._bias_count()

    def mac_count(self, *sides: int) -> int:
        return self.kernel.numel() * self.degree * self._places(*sides)


class Kronecker(Blockwise):
    """A channel mixing that is the same for all members of a block, times one small convolution within blocks.

        W[(o1, o2), (i1, i2)] = A[o1, i1] K[o2, i2],      i2, o2 < degree

    Runs as the small convolution of every block, then the mixing of blocks, or the other way round where that is
    cheaper. Parameters: O I / degree^2 + degree^2 k^2. The only family that also pays on 1x1 kernels, where efficient
    networks keep their weights. Kronecker layers: Zhou et al. 2015, arXiv:1507.07775; nearest one: Van Loan &
    Pitsianis 1993.
    """

    family = "kronecker"

    def __init__(self, like: ConvNd, degree: int = 4) -> None:
        super().__init__(like, degree)
        rows, columns = like.out_channels // degree, self.fan_in // degree
        self.mix = self._normal(rows, columns, variance=1 / columns)
        self.kernel = self._normal(degree, degree, *like.kernel_size, variance=2 / (degree * self.area))

    def _in_blocks(self, x: Tensor, spatial: Spatial) -> Tensor:
        if self._mixes_first():
            return self._convolve(self._mix(x), self.out_channels // self.degree, spatial)
        return self._mix(self._convolve(x, self.in_channels // self.degree, spatial))

    def _mix(self, x: Tensor) -> Tensor:
        return mix_blocks(x, self.mix, self.degree, self.groups)

    def _convolve(self, x: Tensor, blocks: int, spatial: Spatial) -> Tensor:
        return spatial(beside_batch(x, blocks, 1), self.kernel).unflatten(0, (-1, blocks)).flatten(1, 2)

    def _costs(self, before: int, after: int) -> tuple[int, int]:
        """Multiply-accumulates when mixing comes first, and when it comes last, for maps of so many places."""
        places = before if self.transposed else after
        mixing = self.out_channels * self.fan_in // self.degree
        small = self.degree**2 * self.area * places
        first = mixing * before + self.out_channels // self.degree * small
        return first, mixing * after + self.in_channels // self.degree * small

    def _mixes_first(self) -> bool:
        """By the stride alone: an order that hung on the size of the maps could not be exported for any size."""
        step = math.prod(self.stride)
        first, last = self._costs(1, step) if self.transposed else self._costs(step, 1)
        return first < last

    def to_dense(self) -> Tensor:
        dense = torch.einsum("ab,oc...->aobc...", self.mix, self.kernel)
        return dense.flatten(0, 1).flatten(1, 2)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        rows, columns = self.mix.shape
        parts = weight.double().unflatten(1, (columns, self.degree)).unflatten(0, (rows, self.degree))
        matrix = parts.transpose(1, 2).reshape(
            rows * columns, -1
        )  # a Kronecker product is a rank-one matrix here
        found = svd(matrix)
        mix, kernel = factors(*found, self.kernel.flatten()[None])
        self.mix.copy_(mix.view_as(self.mix))
        self.kernel.copy_(kernel.view_as(self.kernel))

    def parameter_count(self) -> int:
        return self.mix.numel() + self.kernel.numel() + self._bias_count()

    def mac_count(self, *sides: int) -> int:
        first, last = self._costs(math.prod(sides), math.prod(self.output_size(*sides)))
        return first if self._mixes_first() else last


class KernelBank(TiedConv):
    """Every spatial kernel is a mixture of the ``degree`` kernels of a small bank.

        W[o, i] = sum_m c[o, i, m] D[m]

    For depthwise kernels this is the thesis' form for efficient networks: C degree + degree k^2 numbers in place of
    C k^2; it runs as the depthwise convolution that it is. A dense kernel runs as ``degree`` depthwise maps an input
    and a 1x1 convolution, where that is cheaper than a dense one. Cost a pixel: min(I m k^2 + O I m, O I k^2); forming
    kernels from the bank is the weights' own affair, done once by an export, and not counted.
    Decomposed filters: Qiu et al. 2018, arXiv:1802.04145.
    """

    family = "kernel_bank"
    default = 2
    needs = "a kernel of more places than its degree"

    def __init__(self, like: ConvNd, degree: int = default) -> None:
        super().__init__(like, degree)
        # Five axes where there are three sides, as torch's memory formats for these want.
        self.bank = self._normal(degree, *[1] * (self.axes == 3), *like.kernel_size, variance=1 / self.area)
        self.mix = self._normal(like.out_channels, self.fan_in, degree, variance=2 / (self.fan_in * degree))

    @classmethod
    def _fits(cls, conv: ConvNd, degree: int) -> bool:
        return degree < math.prod(conv.kernel_size)

    def _run(self, x: Tensor, spatial: Spatial) -> Tensor:
        if not self._runs_through_bank() or _trains_in_bfloat16(x):
            return spatial(x, self.to_dense(), self.bias, self.groups)
        bank = self.bank.view(self.degree, 1, *self.kernel_size)
        maps = spatial(x, bank.repeat(self.in_channels, 1, *[1] * self.axes), None, self.in_channels)
        return pointwise(maps, self.mix.flatten(1), self.groups, self.bias)

    def _costs(self, before: int, after: int) -> tuple[int, int]:
        """Multiply-accumulates through the bank, and through the kernel in full, for maps of so many places."""
        places = before if self.transposed else after
        mixing = self.out_channels * self.fan_in * self.degree
        through = self.in_channels * self.degree * self.area * places + mixing * after
        return through, self.out_channels * self.fan_in * self.area * places

    def _runs_through_bank(self) -> bool:
        through, dense = self._costs(1, math.prod(self.stride) if self.transposed else 1)
        return through < dense

    def to_dense(self) -> Tensor:
        bank = self.bank.view(self.degree, *self.kernel_size)
        return (spread(self.mix, self.axes) * bank).sum(2)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        found = svd(weight.double().flatten(2).flatten(0, 1))
        mix, bank = factors(*found, self.bank.flatten(1), even=False)
        self.mix.copy_(mix.view_as(self.mix))
        self.bank.copy_(bank.view_as(self.bank))

    def parameter_count(self) -> int:
        return self.mix.numel() + self.bank.numel() + self._bias_count()

    def mac_count(self, *sides: int) -> int:
        through, dense = self._costs(math.prod(sides), math.prod(self.output_size(*sides)))
        return through if self._runs_through_bank() else dense


class FilterTile(TiedConv):
    """Whole filters are used ``degree`` times: the author's first form, kept as a control.

        W[o] = T[o mod (O / degree)]

    Runs as a convolution with O / degree filters whose maps are repeated. The next layer could add up its weights over
    the copies, so this is a narrower network in disguise, wherever nothing else enters between; for depthwise kernels
    it is a bank in which each kernel serves ``degree`` channels.
    """

    family = "filter_tile"
    default = 2
    needs = "output channels that its degree divides, and if it is grouped a kernel of several places"

    def __init__(self, like: ConvNd, degree: int = default) -> None:
        super().__init__(like, degree)
        variance = 2 / (self.fan_in * self.area)
        self.kernel = self._normal(
            like.out_channels // degree, self.fan_in, *like.kernel_size, variance=variance
        )

    @classmethod
    def _fits(cls, conv: ConvNd, degree: int) -> bool:
        return (conv.groups == 1 or _is_spatial(conv)) and conv.out_channels % degree == 0

    def _run(self, x: Tensor, spatial: Spatial) -> Tensor:
        if self.groups > 1:
            return spatial(x, self.to_dense(), self.bias, self.groups)
        return self._biased(spatial(x, self.kernel).repeat(1, self.degree, *[1] * self.axes))

    def to_dense(self) -> Tensor:
        return self.kernel.repeat(self.degree, *[1] * (self.axes + 1))

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        self.kernel.copy_(weight.unflatten(0, (self.degree, -1)).mean(0))

    def parameter_count(self) -> int:
        return self.kernel.numel() + self._bias_count()

    def mac_count(self, *sides: int) -> int:
        used = self.degree if self.groups > 1 else 1
        return used * self.kernel.numel() * self._places(*sides)


FAMILIES: dict[str, type[TiedConv]] = {
    c.family: c for c in (Blueprint, Decoupled, ChannelGroup, Block, Kronecker, KernelBank, FilterTile)
}


def _is_traced() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined]


def _is_training() -> bool:
    """Whether gradients are recorded; what ``torch.jit.trace`` records is for use."""
    return torch.is_grad_enabled() and not _is_traced()


def _trains_in_bfloat16(x: Tensor) -> bool:
    """Whether one dense layer is cheaper to train: processors with bfloat16 multiply faster than they move maps."""
    return _is_training() and torch.is_autocast_enabled("cpu") and x.device.type == "cpu"


def _is_spatial(conv: ConvNd) -> bool:
    return math.prod(conv.kernel_size) > 1
