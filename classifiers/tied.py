"""Convolutions whose kernels share weights across channels: fewer numbers, and less work for the same ones.

A dense kernel W (O, I, k, k) gives each of its O * I channel pairs a spatial kernel of its own. Every family here
writes W by fewer numbers and never forms it to compute: it runs the cheapest sequence of ordinary operations that its
algebra allows. ``to_dense`` forms W (tests hold the two equal), ``project`` finds the nearest tied kernel to a dense
one, ``parameter_count`` and ``mac_count`` are exact. Which families pay on a real processor, and which only on
paper, is in README, "Kernels that share weights".
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, dilation: int, groups: int
) -> Tensor:
    """``F.conv2d``, faster to train where it is depthwise and strided.

    There the processor's gradient is slower than all the rest of a network together (20 times that of stride 1), so
    every position is computed and the strided ones are kept: the same numbers.
    """
    if stride > 1 and groups == x.shape[1] and torch.is_grad_enabled() and x.device.type == "cpu":
        return F.conv2d(x, weight, bias, 1, padding, dilation, groups)[:, :, ::stride, ::stride]
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


class TiedConv2d(nn.Module):
    """A convolution with a tied kernel, in place of ``like``; starts at random with the variance of He et al. 2015.

    Args:
        like: gives channels, kernel size, stride, padding, dilation, groups and whether there is a bias.
        degree: how much is shared; what it counts is the family's matter.

    Raises:
        ValueError: the family cannot replace this convolution; ``fits`` tells beforehand.
    """

    family: ClassVar[str]
    default: ClassVar[int] = 4  # degree where none is given

    def __init__(self, like: nn.Conv2d, degree: int) -> None:
        super().__init__()
        if not self.fits(like, degree):
            raise ValueError(f"{self.family}-{degree} cannot replace {like}")
        self.degree = degree
        self.in_channels, self.out_channels, self.groups = like.in_channels, like.out_channels, like.groups
        self.kernel_size, self.stride = _square(like.kernel_size), _square(like.stride)
        self.padding, self.dilation = _square(like.padding), _square(like.dilation)
        self.bias = nn.Parameter(torch.zeros(like.out_channels)) if like.bias is not None else None

    @classmethod
    def fits(cls, conv: nn.Conv2d, degree: int) -> bool:
        """Whether the family can replace this convolution: square, zero-padded, and of divisible channels."""
        plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
        return plain and degree > 0 and all(a == b for a, b in _sides(conv)) and cls._fits(conv, degree)

    @classmethod
    def _fits(cls, conv: nn.Conv2d, degree: int) -> bool:
        raise NotImplementedError

    def to_dense(self) -> Tensor:
        """The kernel in full, (O, I / groups, k, k)."""
        raise NotImplementedError

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        """Become the tied kernel nearest to ``weight`` (O, I / groups, k, k) in squared error."""
        raise NotImplementedError

    def parameter_count(self) -> int:
        """Numbers that are learned, bias included."""
        raise NotImplementedError

    def mac_count(self, height: int, width: int) -> int:
        """Multiply-accumulates for one input of that size; additions alone are not counted."""
        raise NotImplementedError

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output."""
        reach = 2 * self.padding - self.dilation * (self.kernel_size - 1) - 1
        return (height + reach) // self.stride + 1, (width + reach) // self.stride + 1

    def dense(self) -> nn.Conv2d:
        """An ordinary convolution that computes the same."""
        conv = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.bias is not None,
        )
        with torch.no_grad():
            conv.weight.copy_(self.to_dense())
            if conv.bias is not None and self.bias is not None:
                conv.bias.copy_(self.bias)
        return conv

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, {self.kernel_size}, degree={self.degree}"

    def _spatial(self, x: Tensor, weight: Tensor, bias: Tensor | None = None, groups: int = 1) -> Tensor:
        return convolve(x, weight, bias, self.stride, self.padding, self.dilation, groups)

    def _bias_count(self) -> int:
        return self.out_channels if self.bias is not None else 0

    def _normal(self, *shape: int, variance: float) -> nn.Parameter:
        return nn.Parameter(torch.randn(shape) * math.sqrt(variance))


class Blueprint(TiedConv2d):
    """One spatial kernel a filter, times a weight for each input channel.

        W[o, i] = a[o, i] S[o],        a = A B of rank I / degree (degree 1: a of full rank)

    Runs as 1x1 convolutions, then a depthwise one. Cost a pixel: r (I + O) + O k^2 with r = I / degree, or I O + O k^2;
    at a stride, only the depthwise part is spared. Full rank is BSConv-U, low rank BSConv-S (Haase & Amthor 2020,
    arXiv:2003.13549).
    """

    family = "blueprint"
    default = 1

    def __init__(self, like: nn.Conv2d, degree: int = default) -> None:
        super().__init__(like, degree)
        rows, columns, k = like.out_channels, like.in_channels, self.kernel_size
        self.rank = columns // degree
        if degree == 1:
            self.mix = self._normal(rows, columns, variance=2 / columns)
        else:
            self.reduce = self._normal(self.rank, columns, variance=1 / columns)
            self.mix = self._normal(rows, self.rank, variance=2 / self.rank)
        self.blueprint = self._normal(rows, 1, k, k, variance=1 / k**2)

    @classmethod
    def _fits(cls, conv: nn.Conv2d, degree: int) -> bool:
        rank = conv.in_channels // degree
        return conv.groups == 1 and conv.kernel_size[0] > 1 and rank > 0 and conv.in_channels % degree == 0

    def forward(self, x: Tensor) -> Tensor:
        if _trains_in_bfloat16(x):
            return self._spatial(x, self.to_dense(), self.bias)
        if self.degree > 1:
            x = F.conv2d(x, self.reduce[:, :, None, None])
        mixed = F.conv2d(x, self.mix[:, :, None, None])
        return self._spatial(mixed, self.blueprint, self.bias, self.out_channels)

    def to_dense(self) -> Tensor:
        scale = self.mix if self.degree == 1 else self.mix @ self.reduce
        return scale[:, :, None, None] * self.blueprint

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        rows = weight.double().flatten(2)  # (O, I, k^2); each filter is nearest to its first singular pair
        u, s, v = torch.linalg.svd(rows, full_matrices=False)
        blueprint, scale = v[:, 0], u[:, :, 0] * s[:, :1]
        for _ in range(
            0 if self.degree == 1 else ALTERNATIONS
        ):  # each half-step is exact: the error never grows
            p, d, q = torch.linalg.svd((rows * blueprint[:, None]).sum(-1), full_matrices=False)
            left, right = p[:, : self.rank] * d[: self.rank], q[: self.rank]
            blueprint = F.normalize(((left @ right)[:, :, None] * rows).sum(1), dim=1)
        if self.degree > 1:
            p, d, q = torch.linalg.svd((rows * blueprint[:, None]).sum(-1), full_matrices=False)
            root = d[: self.rank].sqrt()
            scale = p[:, : self.rank] * root
            self.reduce.copy_(root[:, None] * q[: self.rank])
        self.mix.copy_(scale)
        self.blueprint.copy_(blueprint.view_as(self.blueprint))

    def parameter_count(self) -> int:
        rows, columns = self.out_channels, self.in_channels
        mixing = rows * columns if self.degree == 1 else self.rank * (rows + columns)
        return mixing + rows * self.kernel_size**2 + self._bias_count()

    def mac_count(self, height: int, width: int) -> int:
        rows, columns = self.out_channels, self.in_channels
        mixing = rows * columns if self.degree == 1 else self.rank * (rows + columns)
        return mixing * height * width + rows * self.kernel_size**2 * math.prod(
            self.output_size(height, width)
        )


ALTERNATIONS = 50  # of the projection onto low-rank blueprints


class Decoupled(TiedConv2d):
    """``degree`` spatial kernels a filter, each with a weight for every input channel.

        W[o, i] = sum_r a[r, o, i] S[r, o]

    Between a blueprint (degree 1) and a dense kernel (degree k^2): a filter, seen as a matrix (I, k^2), has rank
    ``degree``. Runs as so many blueprints whose maps are added up. Cost a pixel: degree (I O + O k^2); at a stride,
    only the depthwise part is spared. Guo et al. 2018, "Network decoupling", arXiv:1808.05517.
    """

    family = "decoupled"
    default = 2

    def __init__(self, like: nn.Conv2d, degree: int = default) -> None:
        super().__init__(like, degree)
        rows, columns, k = like.out_channels, like.in_channels, self.kernel_size
        self.mix = self._normal(degree * rows, columns, variance=2 / (degree * columns))
        self.weight = self._normal(degree * rows, 1, k, k, variance=1 / k**2)

    @classmethod
    def _fits(cls, conv: nn.Conv2d, degree: int) -> bool:
        return conv.groups == 1 and conv.kernel_size[0] > 1 and degree < conv.kernel_size[0] ** 2

    def forward(self, x: Tensor) -> Tensor:
        if _trains_in_bfloat16(x):
            return self._spatial(x, self.to_dense(), self.bias)
        parts = zip(self.mix.chunk(self.degree), self.weight.chunk(self.degree), strict=True)
        # The bias is added once.
        maps = [
            self._spatial(
                F.conv2d(x, mix[:, :, None, None]), weight, None if i else self.bias, self.out_channels
            )
            for i, (mix, weight) in enumerate(parts)
        ]
        return sum(maps[1:], maps[0])

    def to_dense(self) -> Tensor:
        pairs = self.mix[:, :, None, None] * self.weight
        return pairs.unflatten(0, (self.degree, -1)).sum(0)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        # Each filter is nearest to its first singular pairs; fewer than ``degree`` where it has fewer channels.
        u, s, v = torch.linalg.svd(weight.double().flatten(2), full_matrices=False)
        found = min(self.degree, s.shape[1])
        root = s[:, :found].sqrt()
        mix, kernels = u[:, :, :found] * root[:, None], v[:, :found] * root[:, :, None]
        self.mix.zero_()
        self.weight.zero_()
        rows = found * self.out_channels
        self.mix[:rows] = mix.permute(2, 0, 1).reshape(rows, -1).to(self.mix)
        self.weight[:rows] = kernels.transpose(0, 1).reshape(rows, *self.weight.shape[1:]).to(self.weight)

    def parameter_count(self) -> int:
        return self.degree * self.out_channels * (self.in_channels + self.kernel_size**2) + self._bias_count()

    def mac_count(self, height: int, width: int) -> int:
        mixing = self.out_channels * self.in_channels * height * width
        spatial = self.out_channels * self.kernel_size**2 * math.prod(self.output_size(height, width))
        return self.degree * (mixing + spatial)


class ChannelGroup(TiedConv2d):
    """Groups of ``degree`` input channels share one kernel, and each channel has a weight of its own.

        W[o, i] = s[i] T[o, g(i)],     g(i) = i div degree

    Runs as a weighted sum within each group (a grouped 1x1 convolution to I / degree maps), then a dense convolution.
    Cost a pixel: I + O (I / degree) k^2. With a weight a pair of channels instead of one a channel it would be weighted
    kernel sharing (2018), whose work grows back to a dense layer's.
    """

    family = "channel_group"

    def __init__(self, like: nn.Conv2d, degree: int = 4) -> None:
        super().__init__(like, degree)
        k, maps = self.kernel_size, like.in_channels // degree
        self.scale = nn.Parameter(torch.ones(maps, degree))
        self.weight = self._normal(like.out_channels, maps, k, k, variance=2 / (like.in_channels * k**2))

    @classmethod
    def _fits(cls, conv: nn.Conv2d, degree: int) -> bool:
        return conv.groups == 1 and conv.in_channels % degree == 0 and conv.in_channels > degree

    def forward(self, x: Tensor) -> Tensor:
        maps = self.in_channels // self.degree
        return self._spatial(F.conv2d(x, self.scale[:, :, None, None], groups=maps), self.weight, self.bias)

    def to_dense(self) -> Tensor:
        return self.weight.repeat_interleave(self.degree, 1) * self.scale.view(1, -1, 1, 1)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        maps = self.in_channels // self.degree
        groups = weight.double().unflatten(1, (maps, self.degree)).permute(1, 2, 0, 3, 4).flatten(2)
        u, s, v = torch.linalg.svd(
            groups, full_matrices=False
        )  # rank one within each group: (maps, degree, O k^2)
        size = s[:, :1] / math.sqrt(self.degree)
        self.scale.copy_(u[:, :, 0] * math.sqrt(self.degree))
        kernel = (size * v[:, 0]).view(maps, self.out_channels, self.kernel_size, self.kernel_size)
        self.weight.copy_(kernel.transpose(0, 1))

    def parameter_count(self) -> int:
        maps = self.in_channels // self.degree
        return self.in_channels + self.out_channels * maps * self.kernel_size**2 + self._bias_count()

    def mac_count(self, height: int, width: int) -> int:
        kernel = self.out_channels * (self.in_channels // self.degree) * self.kernel_size**2
        return self.in_channels * height * width + kernel * math.prod(self.output_size(height, width))


class BlockwiseConv2d(TiedConv2d):
    """A family that cuts input and output channels into blocks of ``degree`` channels, or into ``degree`` blocks."""

    @classmethod
    def _fits(cls, conv: nn.Conv2d, degree: int) -> bool:
        whole = conv.in_channels % degree == 0 and conv.out_channels % degree == 0
        return conv.groups == 1 and whole and min(conv.in_channels, conv.out_channels) > degree

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():  # working by blocks rearranges every map in memory: dearer to train
            return self._spatial(x, self.to_dense(), self.bias)
        y = self._in_blocks(x)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _in_blocks(self, x: Tensor) -> Tensor:
        """The convolution without its bias, by its cheapest execution."""
        raise NotImplementedError


class Block(BlockwiseConv2d):
    """Input and output channels in ``degree`` blocks that share one thin kernel.

        W[o, i] = T[o div degree, i mod (I / degree)] where o mod degree = i div (I / degree), else 0

    Runs as one dense convolution with the blocks laid beside the batch. Parameters fall by degree^2, cost a pixel to
    O I k^2 / degree. Outputs of the blocks are interleaved (a channel shuffle), so the next layer's blocks see all
    of these. Tied block convolution (Wang & Yu 2021, arXiv:2009.12021), shuffle after Zhang et al. 2018.
    """

    family = "block"
    default = 2

    def __init__(self, like: nn.Conv2d, degree: int = default) -> None:
        super().__init__(like, degree)
        k, thin = self.kernel_size, like.in_channels // degree
        self.weight = self._normal(like.out_channels // degree, thin, k, k, variance=2 / (thin * k**2))

    def _in_blocks(self, x: Tensor) -> Tensor:
        blocks = x.reshape(-1, self.in_channels // self.degree, *x.shape[2:])
        return (
            self._spatial(blocks, self.weight).unflatten(0, (-1, self.degree)).transpose(1, 2).flatten(1, 2)
        )

    def to_dense(self) -> Tensor:
        same = torch.eye(self.degree, dtype=self.weight.dtype, device=self.weight.device)
        dense = torch.einsum("oikl,ab->oabikl", self.weight, same)  # (O / B, B, B, I / B, k, k)
        return dense.flatten(0, 1).flatten(1, 2)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        parts = weight.unflatten(1, (self.degree, -1)).unflatten(0, (-1, self.degree))
        self.weight.copy_(parts.diagonal(dim1=1, dim2=2).mean(-1))

    def parameter_count(self) -> int:
        dense = self.out_channels * self.in_channels * self.kernel_size**2
        return dense // self.degree**2 + self._bias_count()

    def mac_count(self, height: int, width: int) -> int:
        dense = self.out_channels * self.in_channels * self.kernel_size**2
        return dense // self.degree * math.prod(self.output_size(height, width))


class Kronecker(BlockwiseConv2d):
    """A channel mixing that is the same for all members of a block, times one small convolution within blocks.

        W[(o1, o2), (i1, i2)] = A[o1, i1] K[o2, i2],      i2, o2 < degree

    Runs as the small convolution of every block, then the mixing of blocks, or the other way round where that is
    cheaper. Parameters: O I / degree^2 + degree^2 k^2. The only family that also pays on 1x1 kernels, where efficient
    networks keep their weights. Kronecker layers: Zhou et al. 2015, arXiv:1507.07775; nearest one: Van Loan &
    Pitsianis 1993.
    """

    family = "kronecker"

    def __init__(self, like: nn.Conv2d, degree: int = 4) -> None:
        super().__init__(like, degree)
        k, rows, columns = self.kernel_size, like.out_channels // degree, like.in_channels // degree
        self.mix = self._normal(rows, columns, variance=1 / columns)
        self.weight = self._normal(degree, degree, k, k, variance=2 / (degree * k**2))

    def _in_blocks(self, x: Tensor) -> Tensor:
        rows, columns = self.mix.shape
        if self._mixes_first(*x.shape[2:]):
            return self._convolve(self._mix(x, columns), rows)
        return self._mix(self._convolve(x, columns), columns)

    def _mix(self, x: Tensor, columns: int) -> Tensor:
        blocks = x.unflatten(1, (columns, self.degree)).flatten(2)
        return (self.mix @ blocks).reshape(-1, self.out_channels, *x.shape[2:])

    def _convolve(self, x: Tensor, blocks: int) -> Tensor:
        y = self._spatial(x.reshape(-1, self.degree, *x.shape[2:]), self.weight)
        return y.reshape(-1, blocks * self.degree, *y.shape[2:])

    def _costs(self, height: int, width: int) -> tuple[int, int]:
        """Multiply-accumulates when mixing comes first, and when it comes last."""
        rows, columns = self.mix.shape
        before, after = height * width, math.prod(self.output_size(height, width))
        kernel, mixing = self.degree**2 * self.kernel_size**2, rows * columns * self.degree
        return mixing * before + rows * kernel * after, columns * kernel * after + mixing * after

    def _mixes_first(self, height: int, width: int) -> bool:
        first, last = self._costs(height, width)
        return first < last

    def to_dense(self) -> Tensor:
        dense = torch.einsum("ab,ockl->aobckl", self.mix, self.weight)
        return dense.flatten(0, 1).flatten(1, 2)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        rows, columns = self.mix.shape
        parts = weight.double().unflatten(1, (columns, self.degree)).unflatten(0, (rows, self.degree))
        matrix = parts.transpose(1, 2).reshape(
            rows * columns, -1
        )  # a Kronecker product is a rank-one matrix here
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        self.mix.copy_((u[:, 0] * s[0].sqrt()).view_as(self.mix))
        self.weight.copy_((v[0] * s[0].sqrt()).view_as(self.weight))

    def parameter_count(self) -> int:
        small = self.degree**2 * self.kernel_size**2
        return self.out_channels * self.in_channels // self.degree**2 + small + self._bias_count()

    def mac_count(self, height: int, width: int) -> int:
        return min(self._costs(height, width))


class KernelBank(TiedConv2d):
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

    def __init__(self, like: nn.Conv2d, degree: int = default) -> None:
        super().__init__(like, degree)
        k, fan_in = self.kernel_size, like.in_channels // like.groups
        self.bank = self._normal(degree, k, k, variance=1 / k**2)
        self.mix = self._normal(like.out_channels, fan_in, degree, variance=2 / (fan_in * degree))

    @classmethod
    def _fits(cls, conv: nn.Conv2d, degree: int) -> bool:
        whole = conv.groups == 1 or conv.groups == conv.in_channels == conv.out_channels
        return whole and conv.kernel_size[0] > 1 and degree < conv.kernel_size[0] ** 2

    def forward(self, x: Tensor) -> Tensor:
        first, dense = self._costs(*x.shape[2:])
        if self.groups > 1 or dense <= first or _trains_in_bfloat16(x):
            return self._spatial(x, self.to_dense(), self.bias, self.groups)
        maps = self._spatial(x, self.bank[:, None].repeat(self.in_channels, 1, 1, 1), None, self.in_channels)
        return F.conv2d(maps, self.mix.flatten(1)[:, :, None, None], self.bias)

    def _costs(self, height: int, width: int) -> tuple[int, int]:
        """Multiply-accumulates through the bank, and through the kernel in full."""
        after = math.prod(self.output_size(height, width))
        fan_in, area = self.in_channels // self.groups, self.kernel_size**2
        through = self.in_channels * self.degree * (area + self.out_channels)
        return through * after, self.out_channels * fan_in * area * after

    def to_dense(self) -> Tensor:
        return (self.mix[..., None, None] * self.bank).sum(2)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        u, s, v = torch.linalg.svd(weight.double().flatten(2).flatten(0, 1), full_matrices=False)
        self.mix.zero_()
        self.bank.zero_()
        found = min(self.degree, len(s))
        self.mix[..., :found] = (u * s)[:, :found].view(*self.mix.shape[:2], found).to(self.mix)
        self.bank[:found] = v[:found].view(found, *self.bank.shape[1:]).to(self.bank)

    def parameter_count(self) -> int:
        fan_in = self.in_channels // self.groups
        mixing = self.out_channels * fan_in * self.degree
        return mixing + self.degree * self.kernel_size**2 + self._bias_count()

    def mac_count(self, height: int, width: int) -> int:
        first, dense = self._costs(height, width)
        return dense if self.groups > 1 else min(first, dense)


class FilterTile(TiedConv2d):
    """Whole filters are used ``degree`` times: the author's first form, kept as a control.

        W[o] = T[o mod (O / degree)]

    Runs as a convolution with O / degree filters whose maps are repeated. The next layer could add up its weights over
    the copies, so this is a narrower network in disguise, wherever nothing else enters between; for depthwise kernels
    it is a bank in which each kernel serves ``degree`` channels.
    """

    family = "filter_tile"
    default = 2

    def __init__(self, like: nn.Conv2d, degree: int = default) -> None:
        super().__init__(like, degree)
        k, fan_in = self.kernel_size, like.in_channels // like.groups
        self.weight = self._normal(like.out_channels // degree, fan_in, k, k, variance=2 / (fan_in * k**2))

    @classmethod
    def _fits(cls, conv: nn.Conv2d, degree: int) -> bool:
        depthwise = conv.groups == conv.in_channels == conv.out_channels and conv.kernel_size[0] > 1
        return (conv.groups == 1 or depthwise) and conv.out_channels % degree == 0

    def forward(self, x: Tensor) -> Tensor:
        if self.groups > 1:
            return self._spatial(x, self.to_dense(), self.bias, self.groups)
        y = self._spatial(x, self.weight).repeat(1, self.degree, 1, 1)
        return y if self.bias is None else y + self.bias[:, None, None]

    def to_dense(self) -> Tensor:
        return self.weight.repeat(self.degree, 1, 1, 1)

    @torch.no_grad()
    def project(self, weight: Tensor) -> None:
        self.weight.copy_(weight.unflatten(0, (self.degree, -1)).mean(0))

    def parameter_count(self) -> int:
        return self.weight.numel() + self._bias_count()

    def mac_count(self, height: int, width: int) -> int:
        used = self.degree if self.groups > 1 else 1
        return used * self.weight.numel() * math.prod(self.output_size(height, width))


FAMILIES: dict[str, type[TiedConv2d]] = {
    c.family: c for c in (Blueprint, Decoupled, ChannelGroup, Block, Kronecker, KernelBank, FilterTile)
}


def _trains_in_bfloat16(x: Tensor) -> bool:
    """Whether one dense layer is cheaper to train: processors with bfloat16 multiply faster than they move maps."""
    return torch.is_grad_enabled() and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")


def _square(pair: tuple[int, ...] | str) -> int:
    return int(pair[0])


def _sides(conv: nn.Conv2d) -> list[tuple[int, ...]]:
    return [pair for pair in (conv.kernel_size, conv.stride, conv.padding, conv.dilation) if len(pair) == 2]  # type: ignore[misc]
