"""``tie``: put tied convolutions in the place of a network's own, whatever the network.

The contract: what comes out is a drop-in for what went in, in every respect that torch's own layers promise, or it
stays as it was and the report says why, convolution by convolution; all or nothing. A convolution *becomes* its tied
form: it stays the same object, so whoever holds it (two parents, a list, the caller) holds the tied one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd as ConvNd
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parallel import DistributedDataParallel

from classifiers.tied import FAMILIES, PLAIN, Conv2d, TiedConv, turned

Filter = Callable[[str, ConvNd], bool]  # (name in the network, convolution) -> may it be tied?
MOST_TIES = 16  # of a plan; each convolution tries them in turn
KNOWN = (*PLAIN.values(), Conv2d)  # classes whose forward is what their settings say
# What a subclass may have of its own and still be the convolution that its settings say.
HARMLESS = {"__module__", "__qualname__", "__doc__", "__init__", "__repr__", "extra_repr", "reset_parameters",
            "__constants__", "__annotations__", "__annotate_func__", "__annotations_cache__", "__orig_bases__",
            "__parameters__", "__firstlineno__", "__static_attributes__"}  # fmt: skip


@dataclass(frozen=True)
class Tie:
    """A family at a degree, for convolutions of so many channels; written ``kronecker-4`` or ``kronecker-4-from-128``.

    Wide layers hold most of a network's parameters, at sizes where a kernel has few places to be: there sharing costs
    least (docs/results.md).
    """

    family: str
    degree: int
    least: int = 0  # input and output channels

    def __str__(self) -> str:
        return f"{self.family}-{self.degree}" + (f"-from-{self.least}" if self.least else "")

    def fits(self, conv: ConvNd) -> bool:
        """Whether it can take the convolution's place."""
        return self.misfit(conv) is None

    def misfit(self, conv: ConvNd) -> str | None:
        """Why it cannot take the convolution's place, if so."""
        if min(conv.in_channels, conv.out_channels) < self.least:
            return f"{self} begins at {self.least} channels"
        family = FAMILIES[self.family]
        return None if family.fits(conv, self.degree) else f"{self} needs {family.needs}"


@dataclass(frozen=True)
class Change:
    """One convolution that was replaced, with its parameters before and after, and its other names in the network."""

    name: str
    tie: Tie
    before: int
    after: int
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """One convolution that stayed as it was, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name or 'the network itself'} ({self.reason})"


class Report(list[Change]):
    """What ``tie`` changed, and in ``kept`` what it left."""

    def __init__(self, changes: list[Change], kept: list[Kept]) -> None:
        super().__init__(changes)
        self.kept = kept

    def __str__(self) -> str:
        tied = [
            f"{c.name or 'the network itself'}: {c.tie}, {c.before:,} -> {c.after:,} parameters" for c in self
        ]
        return "\n".join(
            [*tied, *(f"{k.name or 'the network itself'}: as it was, {k.reason}" for k in self.kept)]
        )


def parse_plan(plan: str) -> tuple[Tie, ...]:
    """``"kronecker-4+kernel_bank-from-64"`` -> its ties, in the order in which each convolution tries them.

    Raises:
        ValueError: an unknown family, an impossible degree, or more ties than ``MOST_TIES``.
    """
    if not isinstance(plan, str):
        raise ValueError(f"a plan is text such as 'blueprint' or 'kronecker-4+block', not {plan!r:.60}")
    parts = plan.split("+", MOST_TIES)
    if len(parts) > MOST_TIES:
        raise ValueError(f"a plan has at most {MOST_TIES} ties")
    return tuple(_parse(part) for part in parts)


def _parse(part: str) -> Tie:
    match = re.fullmatch(r"([a-z_]+)(?:-([1-9]\d{0,3}))?(?:-from-([1-9]\d{0,3}))?", part)
    if match is None or match[1] not in FAMILIES:
        raise ValueError(
            f"unknown tie {part[:60]!r}: choose {', '.join(FAMILIES)}, or one of them with a degree (block-2) or "
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
) -> Report:
    """Tie convolutions of ``network`` in place; the report says which, and why the others stayed.

    Each convolution, of any number of axes, grouped or transposed, takes the first tie of the plan that fits it. One
    that none fits stays as it is; so does one that does or holds more than its settings say: a forward, hooks or a
    parametrisation of its own, weights that something else holds too. Whatever is raised, the network is as it was.

    Args:
        plan: ties joined by ``+``: ``"blueprint"``, ``"kronecker-4+kernel_bank-2"``.
        where: further filter by name and convolution: ``lambda name, conv: conv.kernel_size == (1, 1)``.
        min_channels: convolutions with fewer input or output channels stay (the first one of a network, usually).
        project: start from the nearest tied kernel to each dense one; False: from random weights.

    Raises:
        ValueError: an unknown tie, a plan that fits no convolution of the network, or one that holds NaN or infinity.
    """
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"a network is a torch.nn.Module, not a {type(network).__name__}: build or load it first"
        )
    ties, holders = parse_plan(plan), _holders(network)
    chosen: dict[ConvNd, Tie] = {}
    kept: list[Kept] = []
    names = _names(network)
    for conv, called in names.items():
        reason = obstacle(conv, holders)
        if reason is None and min(conv.in_channels, conv.out_channels) < min_channels:
            reason = f"it has fewer than {min_channels} channels"
        fitting = next((t for t in ties if t.fits(conv)), None) if reason is None else None
        if reason is None and fitting is None:
            reason = "; ".join(str(t.misfit(conv)) for t in ties)
        if reason is None and where is not None and not all(where(name, conv) for name in called):
            reason = "the filter leaves it"
        if fitting is None or reason is not None:
            kept.append(Kept(called[0], str(reason)))
        else:
            chosen[conv] = fitting
    if not chosen:
        left = ", ".join(map(str, kept[:3])) + (f" and {len(kept) - 3} more" if len(kept) > 3 else "")
        raise ValueError(
            f"no convolution of the network can be tied by {plan}: {left or _without_convolutions(network)}"
        )
    replacements = {conv: _like(conv, names[conv][0], t, project) for conv, t in chosen.items()}
    changes = [
        Change(names[conv][0], chosen[conv], _size(conv), _size(new), tuple(names[conv][1:]))
        for conv, new in replacements.items()
    ]
    _become(replacements)
    return Report(changes, kept)


def _without_convolutions(network: nn.Module) -> str:
    if isinstance(network, torch.jit.ScriptModule):
        return "it is TorchScript, which cannot be changed, so tie it before it is traced or scripted"
    if any("quantized" in type(m).__module__ for m in network.modules()):
        return "it is quantised, so tie it before"
    return "it has none of torch's (torch.nn.Conv2d and alike)"


def ties_of(network: nn.Module) -> dict[str, str]:
    """Name of each tied convolution of ``network``, and its tie: ``{"stages.a": "blueprint-1"}``."""
    tied = ((name, m) for name, m in network.named_modules() if isinstance(m, TiedConv))
    return {name: f"{m.family}-{m.degree}" for name, m in tied}


def retie(network: nn.Module, ties: Mapping[str, str]) -> None:
    """Make the ties of ``network``, in place, those that :func:`ties_of` said of another; new ones start at random.

    Raises:
        ValueError: it has no such convolution, or one that cannot be tied so; the network is then as it was.
    """
    modules, holders = dict(network.named_modules()), _holders(network)
    replacements: dict[nn.Module, TiedConv | ConvNd] = {}
    for name, m in modules.items():
        if isinstance(m, TiedConv) and ties.get(name) != f"{m.family}-{m.degree}":
            replacements[m] = _untied(m)
    for name, written in ties.items():
        module, (wanted, *others) = modules.get(name), parse_plan(written)
        if isinstance(module, TiedConv) and module not in replacements:
            continue
        conv = replacements.get(module, module) if module is not None else None
        if others or not isinstance(conv, ConvNd):
            raise ValueError(f"the network has no convolution {name[:60]!r} that {written[:60]!r} could tie")
        reason = obstacle(conv, holders) or wanted.misfit(conv)
        if reason is not None:
            raise ValueError(f"{name} cannot be tied by {wanted}: {reason}")
        assert module is not None
        replacements[module] = _like(conv, name, wanted, project=False)
    _become(replacements)


def tied_like(conv: ConvNd, tie: Tie, project: bool = True) -> TiedConv:
    """The tied convolution that can replace ``conv``: on its device, in its precision, layout and mode.

    The bias is the very same parameter, and factors are frozen where the kernel is.
    """
    weight = conv.weight.detach()
    # Where the kernel is has no part in the mathematics, and not every device knows doubles.
    with torch.device("meta" if weight.is_meta else "cpu"):
        tied = FAMILIES[tie.family](conv, tie.degree).to(weight.dtype)
    if project and not weight.is_meta:
        tied.project((turned(weight, conv.groups) if conv.transposed else weight).cpu())
    tied.bias = None
    tied = tied.to(weight.device).train(conv.training)
    if weight.ndim == 4 and not weight.is_contiguous():
        tied = tied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if weight.is_shared():
        tied = tied.share_memory()
    for factor in tied.parameters():
        factor.requires_grad_(conv.weight.requires_grad)
        vars(factor).update(vars(conv.weight))
    tied.bias = conv.bias  # type: ignore[assignment]
    return tied


def untie(network: nn.Module) -> nn.Module:
    """Make tied convolutions of ``network`` dense ones that compute the same, in place; returns it."""
    _become({m: _untied(m) for m in network.modules() if isinstance(m, TiedConv)})
    return network


def _untied(tied: TiedConv) -> ConvNd:
    conv = tied.dense().train(tied.training)
    factors = [p for p in tied.parameters() if p is not tied.bias]
    conv.weight.requires_grad_(any(p.requires_grad for p in factors))
    vars(conv.weight).update(vars(factors[0]))
    conv.bias = tied.bias  # type: ignore[assignment]
    return conv


def obstacle(conv: ConvNd, holders: Counter[int]) -> str | None:
    """Why a convolution cannot be replaced by what its settings and its kernel say, if so.

    Args:
        holders: how many places hold each tensor, by its address, see :func:`_holders`.
    """
    if isinstance(conv, LazyModuleMixin):
        return "its shape is not known before its first input"
    if conv._modules or set(conv._parameters) != {"weight", "bias"} or conv._buffers:
        held = sorted({*conv._modules, *conv._parameters, *conv._buffers} - {"weight", "bias"})
        return f"its kernel is computed from, or kept beside, {', '.join(held)}"
    if reason := _own_class(type(conv)):
        return reason
    if hooked := [name.strip("_") for name, value in vars(conv).items() if name.endswith("_hooks") and value]:
        return f"it has {hooked[0].replace('_', ' ')}"
    plain = _plain(conv)
    if own := [name for name in vars(conv).keys() - vars(plain).keys() if hasattr(TiedConv, name)]:
        return f"its {own[0]} was replaced by another"
    weight, bias = conv.weight, conv.bias
    if type(weight) is not nn.Parameter or type(bias) not in (nn.Parameter, type(None)):
        return f"its kernel is a {type(weight).__name__}"
    if not weight.is_floating_point() or weight.layout is not torch.strided:
        return f"its kernel is {weight.layout} of {weight.dtype}"
    if weight.shape != plain.weight.shape:
        return f"its kernel is {list(weight.shape)} where its settings say {list(plain.weight.shape)}"
    if weight._backward_hooks or getattr(weight, "_post_accumulate_grad_hooks", None):
        return "its kernel has hooks"
    if holders[_address(weight)] > 1:
        return "something else holds its kernel too"
    if getattr(conv, "_compiled_call_impl", None) is not None:
        return "it was compiled by itself"
    return None


def _own_class(kind: type) -> str | None:
    for base in kind.__mro__:
        if base in KNOWN:
            return None
        if own := sorted(vars(base).keys() - HARMLESS):
            known = "forward" if "forward" in own else own[0]
            return f"its class {kind.__name__} has a {known} of its own"
    return f"its class {kind.__name__} is none of torch's"


def _plain(conv: ConvNd) -> ConvNd:
    """Torch's own layer of the settings that ``conv`` says."""
    settings = {name: getattr(conv, name) for name in ConvNd.__constants__}
    if not conv.transposed:
        del settings["output_padding"]
    kind: Any = PLAIN[len(conv.kernel_size), conv.transposed]
    plain: ConvNd = kind(**settings, bias=conv.bias is not None, device="meta")
    return plain


def _names(network: nn.Module) -> dict[ConvNd, list[str]]:
    """All names of each convolution."""
    if any(isinstance(m, DistributedDataParallel) for m in network.modules()):
        raise ValueError(
            "the network is in DistributedDataParallel, which knows its old weights: tie it before"
        )
    names: dict[ConvNd, list[str]] = {}
    for name, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, ConvNd):
            names.setdefault(module, []).append(name)
    return names


def _holders(network: nn.Module) -> Counter[int]:
    """How many places of the network's modules hold each tensor, by its address."""
    held: list[Tensor] = []
    for module in network.modules():
        held += [t for t in (*module._parameters.values(), *module._buffers.values()) if t is not None]
        held += [t for key, value in vars(module).items() if key not in OWN for t in _tensors(value)]
    return Counter(map(_address, held))


OWN = vars(nn.Module()).keys()  # torch's own attributes of a module


def _tensors(value: object, depth: int = 4) -> Iterator[Tensor]:
    """Tensors in a value, its lists and its dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, Mapping | list | tuple | set):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(inner, depth - 1)


def _address(tensor: Tensor) -> int:
    """Of the first number, where there is one: two parameters may lie in the same memory."""
    lies = type(tensor) in (Tensor, nn.Parameter) and not tensor.is_meta and tensor.layout is torch.strided
    return tensor.data_ptr() if lies and tensor.numel() else -id(tensor)


def _like(conv: ConvNd, name: str, tie: Tie, project: bool) -> TiedConv:
    if project and not (conv.weight.is_meta or torch.isfinite(conv.weight).all()):
        raise ValueError(
            f"{name or 'the network'} holds NaN or infinity, which no tie is near to: nothing was tied"
        )
    return tied_like(conv, tie, project)


def _become(replacements: Mapping[Any, nn.Module]) -> None:
    """Turn each module, in place, into the other one; what was set on it besides its settings, and hooks, stay."""
    before = {module: (module.__class__, module.__dict__) for module in replacements}
    try:
        for module, other in replacements.items():
            known = vars(_plain(module)).keys() if isinstance(module, ConvNd) else vars(module.fresh()).keys()
            own = {k: v for k, v in vars(module).items() if k not in known}
            if clash := own.keys() & {*vars(other), *other._parameters}:
                raise ValueError(
                    f"{type(other).__name__} has a {min(clash)} of its own, and so has a convolution here"
                )
            hooks = {k: v for k, v in vars(module).items() if k.endswith("_hooks")}
            state = {**vars(other), **own, **hooks}
            module.__class__ = type(other)
            object.__setattr__(module, "__dict__", state)
    except BaseException:
        for module, (kind, state) in before.items():
            module.__class__ = kind
            object.__setattr__(module, "__dict__", state)
        raise


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
