"""Claim: sharing weights across channels saves work on a real processor, and which ways of sharing do.

    python -m benchmarks.network_costs

Parameters, multiply-accumulates and latency of every listed network beside its dense twin, random weights, at the size
that it was designed for. Latency is processor time of ONNX Runtime on one thread, in float32 and in int8; a network is
timed in turns with its twin, so the ratio holds where the machine drifts, and both are taken in the form that serves
them best.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from onnxruntime import InferenceSession

from benchmarks.claims.network_costs import COLUMNS
from benchmarks.tied_networks import forms
from benchmarks.tools.tables import Rows, markdown, write
from classifiers import CompactCNN, list_networks
from classifiers.model import session
from classifiers.networks import dense_name, native_size
from training.command import command
from training.measure import Latency, commit, compare, machine, macs, parameters

BATCHES = {32: (1, 64), 224: (1,)}  # 64 pictures of 224 pixels would take minutes a network


@dataclass(frozen=True)
class NetworkCosts:
    """Size, work and latency of dense and tied networks.

    Args:
        patterns: which of the listed networks.
        rounds: turns that a network and its twin take.
        output: results.
    """

    patterns: tuple[str, ...] = ("*",)
    rounds: int = 5
    output: Path = Path("benchmarks/results/network_costs.json")


Forms = dict[str, InferenceSession]  # "float32" and "int8"


def exported(name: str) -> tuple[CompactCNN, Forms]:
    """A network with random weights and ten classes (1000 at 224 pixels), and its engines."""
    size = native_size(name)
    torch.manual_seed(0)
    model = CompactCNN(name, [str(i) for i in range(10 if size == 32 else 1000)], size).eval()
    return model, {form: session(onnx) for form, onnx in forms(model).items()}


def speeds(twin: Forms, tied: Forms, size: int, batch: int, rounds: int) -> dict[str, Latency]:
    """Processor time of both in both forms, timed in turns: under "twin float32" and so on."""
    given = {"image": torch.rand(batch, 3, size, size).numpy()}
    engines = {
        f"{who} {form}": e for who, found in (("twin", twin), ("tied", tied)) for form, e in found.items()
    }
    return compare(
        {name: lambda e=engine: e.run(None, given) for name, engine in engines.items()},  # type: ignore[misc]
        rounds=rounds,
        repeats=10 if size == 32 and batch == 1 else 2,
    )


def costs(name: str, twin: tuple[CompactCNN, Forms], rounds: int) -> dict[str, Any]:
    """One row."""
    size = native_size(name)
    model, engines = exported(name) if name != dense_name(name) else twin
    one = torch.zeros(1, 3, size, size)
    row = {
        "parameters": parameters(model),
        "fewer parameters": parameters(twin[0]) / parameters(model),
        "MACs, million": macs(model, one) / 1e6,
        "fewer MACs": macs(twin[0], one) / macs(model, one),
    }
    for batch in BATCHES[size]:
        found = speeds(twin[1], engines, size, batch, rounds)
        ms = {key: latency.cpu_median_ms for key, latency in found.items()}
        if batch == 1:
            row |= {"ms": ms["tied float32"], "ms, int8": ms["tied int8"]}
        row[f"faster, batch {batch}, float32"] = ms["twin float32"] / ms["tied float32"]
        best = [min(ms[f"{who} {form}"] for form in engines) for who in ("twin", "tied")]
        row[f"faster, batch {batch}"] = best[0] / best[1]
    return row


def run(options: NetworkCosts) -> None:
    """Measure and print."""
    found: Rows = {}
    twin: dict[str, tuple[CompactCNN, Forms]] = {}
    for name in [n for n in list_networks() if any(fnmatch(n, pattern) for pattern in options.patterns)]:
        if dense_name(name) not in twin:
            twin = {dense_name(name): exported(dense_name(name))}  # one at a time: the largest takes 100 MB
        found[name] = costs(name, twin[dense_name(name)], options.rounds)
    facts = {
        "machine": machine(),
        "commit": commit(),
        "rounds": options.rounds,
        "patterns": list(options.patterns),
    }
    write(options.output, {**facts, "rows": found})
    markdown(found, COLUMNS)


if __name__ == "__main__":
    command(NetworkCosts, run)
