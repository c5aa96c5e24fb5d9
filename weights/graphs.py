"""ONNX graphs beside weights: what they may ask for, and whether they answer as the weights do.

A graph is a program of its own: nothing in its format says whose weights it holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import torch
from torch import Tensor

from weights.checkpoint import WeightsError

# Fields of ONNX's messages that hold other messages (onnx.proto3); what is not named here is data.
NESTED: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
DOMAIN = {"node": 7, "function": 10}
BUILT_IN = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}  # ONNX Runtime's own operators
# How far answers may be apart: an absolute part and one of the logits' spread. Ours differ by 1e-6 in float32 and by
# up to a third of what is allowed in int8; another model's, or the same with its sign turned, by twice of it and more.
TOLERANCE, TOLERANCE_INT8 = (0.01, 0.01), (0.05, 0.25)
QUANTISED = (b"QuantizeLinear", b"DynamicQuantizeLinear", b"MatMulInteger", b"ConvInteger")


def require_plain(path: Path, graph: bytes, beside: Collection[str] = ()) -> None:
    """``WeightsError`` if a graph reads another file than those ``beside`` it, or needs operators of a plug-in."""
    try:
        files, domains = asked_for(graph)
    except ValueError as error:
        raise WeightsError(
            f"{path} cannot be used (no ONNX graph, or half of one): export it again"
        ) from error
    if strange := sorted(files - set(beside)):
        allowed = f"only {', '.join(beside)} beside it" if beside else "no other file"
        raise WeightsError(
            f"{path} reads {strange[0]!r:.80}, and a graph here may read {allowed}: export it again"
        )
    if strange := sorted(domains - BUILT_IN):
        raise WeightsError(
            f"{path} needs operators of {strange[0]!r:.80}, which are a program: export it again"
        )


def asked_for(graph: bytes) -> tuple[set[str], set[str]]:
    """Files that a graph reads, and domains whose operators it runs without defining them.

    Raises:
        ValueError: the bytes are not in the format.
    """
    files: set[str] = set()
    used: set[str] = set()
    defined: set[str] = set()
    waiting: list[tuple[str, bytes | memoryview]] = [("model", memoryview(graph))]
    while waiting:
        kind, data = waiting.pop()
        if kind == "entry":
            entry = dict(_fields(data))
            if bytes(entry.get(1, b"")) == b"location":
                files.add(_text(entry.get(2, b"")))
            continue
        for number, value in _fields(data):
            if number in NESTED[kind]:
                waiting.append((NESTED[kind][number], value))
            elif number == DOMAIN.get(kind):
                (used if kind == "node" else defined).add(_text(value))
    return files, used - defined


def _text(value: bytes | memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")


def _fields(data: bytes | memoryview) -> Iterator[tuple[int, bytes | memoryview]]:
    """Number and bytes of each field of a message that has a length; the others are skipped."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("a field is longer than the file")
            yield key >> 3, data[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"no field is of type {kind}")


def _varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
    raise ValueError("half a number")


def is_quantised(graph: bytes) -> bool:
    """Whether a graph computes in int8."""
    return any(word in graph for word in QUANTISED)


def require_agreement(path: Path, graph: bytes, wanted: Tensor, found: Tensor, again: str) -> None:
    """``WeightsError`` unless a graph's logits ``found`` are those of the weights, ``wanted``, both (B, K).

    Args:
        again: the command that exports the graph.
    """
    absolute, relative = TOLERANCE_INT8 if is_quantised(graph) else TOLERANCE
    if found.shape == wanted.shape and bool(found.isfinite().all()):
        # A softmax does not see a constant, so neither does the comparison.
        a, b = (logits.double() - logits.double().mean(1, keepdim=True) for logits in (wanted, found))
        apart, spread = (float(x.square().mean().sqrt()) for x in (a - b, a))
        if apart <= absolute + relative * spread:
            return
    raise WeightsError(
        f"{path} does not answer as the weights beside it do: delete it, or export it again with `{again}`"
    )


def probe_rows(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """The same uniform numbers in [0, 1) each time."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
