"""Claim: sharing weights across channels saves work on a real processor, and which ways of sharing do.

    python -m benchmarks.network_costs

Parameters, multiply-accumulates and latency of every listed network beside its dense twin, random weights, at the size
that it was designed for. Latency is processor time of ONNX Runtime on one thread; a network is timed in turns with its
twin, so the ratio holds where the machine drifts. Rows that the results hold already and that are not asked for stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.claims.network_costs import COLUMNS
from benchmarks.tools.tables import Rows, markdown, write
from classifiers import CompactCNN, list_networks
from classifiers.export import to_onnx
from classifiers.model import session
from classifiers.networks import dense_name, native_size
from training.command import command
from training.measure import commit, compare, machine, macs, parameters
from weights.checkpoint import read_json

BATCHES = {32: (1, 64), 224: (1,)}  # 64 pictures of 224 pixels would take minutes a network


@dataclass(frozen=True)
class NetworkCosts:
    """Size, work and latency of dense and tied networks.

    Args:
        pattern: which of the listed networks.
        rounds: turns that a network and its twin take.
        output: results.
    """

    pattern: str = "*"
    rounds: int = 5
    output: Path = Path("benchmarks/results/network_costs.json")


def exported(name: str) -> tuple[CompactCNN, bytes]:
    """A network with random weights and ten classes (1000 at 224 pixels), and its ONNX form."""
    size = native_size(name)
    torch.manual_seed(0)
    model = CompactCNN(name, [str(i) for i in range(10 if size == 32 else 1000)], size).eval()
    return model, to_onnx(model)


def speed(twin: bytes, tied: bytes, size: int, batch: int, rounds: int) -> tuple[float, float]:
    """Milliseconds of processor time of both, timed in turns."""
    given = {"image": torch.rand(batch, 3, size, size).numpy()}
    engines = {"twin": session(twin), "tied": session(tied)}
    times = compare(
        {name: lambda e=engine: e.run(None, given) for name, engine in engines.items()},  # type: ignore[misc]
        rounds=rounds,
        repeats=10 if size == 32 and batch == 1 else 2,
    )
    return times["twin"].cpu_median_ms, times["tied"].cpu_median_ms


def costs(name: str, twin: tuple[CompactCNN, bytes], rounds: int) -> dict[str, Any]:
    """One row."""
    size = native_size(name)
    model, onnx = exported(name) if name != dense_name(name) else twin
    one = torch.zeros(1, 3, size, size)
    row = {
        "parameters": parameters(model),
        "fewer parameters": parameters(twin[0]) / parameters(model),
        "MACs, million": macs(model, one) / 1e6,
        "fewer MACs": macs(twin[0], one) / macs(model, one),
    }
    for batch in BATCHES[size]:
        before, after = speed(twin[1], onnx, size, batch, rounds)
        row |= {"ms": after} if batch == 1 else {}
        row[f"faster, batch {batch}"] = before / after
    return row


def run(options: NetworkCosts) -> None:
    """Measure and print."""
    found: Rows = read_json(options.output)["rows"] if options.output.exists() else {}
    twin: dict[str, tuple[CompactCNN, bytes]] = {}
    for name in list_networks(options.pattern):
        if dense_name(name) not in twin:
            twin = {dense_name(name): exported(dense_name(name))}  # one at a time: the largest takes 100 MB
        found[name] = costs(name, twin[dense_name(name)], options.rounds)
    rows = {name: found[name] for name in list_networks() if name in found}
    write(options.output, {"machine": machine(), "commit": commit(), "rounds": options.rounds, "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(NetworkCosts, run)
