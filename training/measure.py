"""Size, work and time of a model, and where and from which source they were measured."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


class Latency(NamedTuple):
    """Wall-clock and CPU time of one call, in milliseconds; CPU time is summed over threads."""

    median_ms: float
    min_ms: float
    p90_ms: float
    cpu_median_ms: float
    repeats: int
    threads: int


def parameters(module: nn.Module) -> int:
    """Number of parameters; one that is shared counts once."""
    return sum(p.numel() for p in module.parameters())


def macs(module: nn.Module, *inputs: Any) -> int:
    """Multiply-accumulates of one forward pass in evaluation mode: convolutions, linear layers, products.

    Counted on the operations that run (half of PyTorch's FLOPs), so a layer that is skipped costs nothing.
    Leaves every submodule in the mode it was in.
    """
    counter = FlopCounterMode(display=False)
    with _evaluating(module), torch.no_grad(), counter:
        module(*inputs)
    return counter.get_total_flops() // 2


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = [m for m in module.modules() if m.training]
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not see into fused attention
    module.eval()
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for m in training:
            m.training = True


def latency(
    function: Callable[[], object], *, warmup: int = 3, repeats: int = 20, threads: int = 1
) -> Latency:
    """Time ``repeats`` calls after ``warmup`` untimed ones, in inference mode on ``threads`` threads."""
    return compare({"": function}, rounds=1, repeats=repeats, warmup=warmup, threads=threads)[""]


def compare(
    functions: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 10,
    repeats: int = 5,
    warmup: int = 3,
    threads: int = 1,
) -> dict[str, Latency]:
    """Time functions in turns, ``rounds * repeats`` calls each, so the machine's drift hits all alike.

    Every other round goes backwards, so none always follows the same neighbour. PyTorch's thread count is
    put back afterwards.

    Raises:
        ValueError: if ``rounds``, ``repeats`` or ``threads`` is below 1.
    """
    times = take_turns(functions, rounds=rounds, repeats=repeats, warmup=warmup, threads=threads)
    return {name: _summary(pairs, threads) for name, pairs in times.items()}


def take_turns(
    functions: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    repeats: int = 1,
    warmup: int = 0,
    threads: int = 1,
) -> dict[str, list[tuple[float, float]]]:
    """Wall-clock and CPU milliseconds of each call as :func:`compare` makes them, in the order of the rounds."""
    if min(rounds, repeats, threads) < 1:
        raise ValueError(f"rounds, repeats, threads must be at least 1, not {rounds}, {repeats}, {threads}")
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            for function in functions.values():
                for _ in range(warmup):
                    function()
            for turn in range(rounds):
                for name in list(functions)[:: -1 if turn % 2 else 1]:
                    times[name] += [_time(functions[name]) for _ in range(repeats)]
    finally:
        torch.set_num_threads(before)
    return times


def _time(function: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU milliseconds of one call, with what it left to do on a GPU."""
    _synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    _synchronize()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def _synchronize() -> None:
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()


def _summary(pairs: list[tuple[float, float]], threads: int) -> Latency:
    wall, cpu = zip(*pairs, strict=True)
    p90 = quantiles(wall, n=10, method="inclusive")[-1] if len(wall) > 1 else wall[0]
    return Latency(median(wall), min(wall), p90, median(cpu), len(wall), threads)


def interval(hits: int, of: int) -> tuple[float, float]:
    """95 % confidence interval of a share, here of ``hits`` among ``of`` (Wilson 1927).

    Raises:
        ValueError: there is nothing to have a share of, or more hits than that.
    """
    if not 0 <= hits <= of or of < 1:
        raise ValueError(f"hits must be 0 to {of} of at least one, not {hits}")
    z, share = 1.959964, hits / of
    middle, wide = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + (z / (2 * of)) ** 2)
    return (middle - wide) / (1 + z * z / of), (middle + wide) / (1 + z * z / of)


def available_memory() -> int | None:
    """Bytes that this process may still take, by the system and by the container it runs in; None where unknown."""
    found = []
    info, group = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
    if info.exists():
        found += [
            int(line.split()[1]) * 1024 for line in info.read_text().splitlines() if "MemAvailable" in line
        ]
    limit, used = ((group / name) for name in ("memory.max", "memory.current"))
    if limit.exists() and used.exists() and limit.read_text().strip().isdigit():
        found.append(max(0, int(limit.read_text()) - int(used.read_text())))
    return min(found, default=None)


def machine() -> dict[str, str | int]:
    """What a reader must know to judge a time; no host name, no user, no path."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def commit(path: Path = Path(__file__)) -> str | None:
    """Short hash of the commit that ``path`` belongs to, with ``+dirty`` when tracked files differ from it.

    None outside a git tree, without git, and where ``path`` is not tracked, as in a virtual environment that
    lies inside somebody else's repository.
    """
    git = ["git", "--no-optional-locks", "-C", str(path.resolve().parent)]
    tracked = [*git, "ls-files", "--error-unmatch", path.name]
    describe = [*git, "describe", "--always", "--dirty=+dirty", "--exclude=*"]
    try:
        subprocess.run(tracked, check=True, capture_output=True)
        return subprocess.run(describe, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
