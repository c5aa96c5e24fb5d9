"""Export the plans of a trained classifier to ONNX Runtime, in float32 and in dynamic int8.

    python -m textclf.export runs/reviews

Each graph is a small file beside ``model.safetensors`` and takes its weights from there by offset: float16 on disk,
turned into float32, or into int8 with one scale a column, while the session loads. Activations are quantised as they
come, to 8 bits over the range they have, which is what ``onnxruntime.quantization.quantize_dynamic`` does too.
"""

from __future__ import annotations

import io
import json
import math
import struct
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from textclf.bottleneck import Plan
from textclf.engine import ANY, LENGTHS, PRECISIONS, Precision, graph_path
from textclf.model import OnePlan, TextClassifier
from training.command import command
from training.runs import claimed
from weights.checkpoint import WEIGHTS, write

OPSET = 17
LARGE = 64  # tensors with fewer numbers stay in the graph


@dataclass(frozen=True)
class Export:
    """Write the ONNX graphs of a model folder.

    Args:
        model: folder, or the name of a shipped model.
        plans: names of the plans; every named plan if left out.
        precisions: float32, int8 or both.
    """

    model: Annotated[str, tyro.conf.Positional]
    plans: tuple[str, ...] = ()
    precisions: tuple[Precision, ...] = PRECISIONS


def run(options: Export) -> list[Path]:
    """Export a folder; returns the graphs written."""
    model = TextClassifier.from_pretrained(options.model)
    assert model.folder is not None
    unknown = set(options.plans) - set(model.plans)
    if unknown:
        raise ValueError(f"unknown plan {min(unknown)!r}: choose one of {', '.join(model.plans)}")
    with claimed(model.folder):
        return export(model, model.folder, options.plans or model.plans, options.precisions)


def export(
    model: TextClassifier,
    folder: Path,
    plans: Iterable[str],
    precisions: Iterable[Precision] = PRECISIONS,
) -> list[Path]:
    """Write the graphs of named plans beside the weights that ``model`` was saved to; returns their paths.

    Raises:
        ValueError: the ``onnx`` package is missing, or the folder's weights are not this model's.
        WeightsError: a graph cannot be written; the one that was there before stays.
    """
    stored, written = tensor_places(folder / WEIGHTS), []
    for name in plans:
        for precision in precisions:
            graph = plan_graph(model, model.plan(name))
            if precision == "int8":
                quantize(graph, model)
            store_outside(graph, stored)
            path = graph_path(folder, name, precision)
            write(folder, {path.name: graph.SerializeToString()})
            written.append(path)
    return written


def plan_graph(model: TextClassifier, plan: Plan) -> Any:
    """The ONNX model of a plan: ``ids``, ``mask`` (B, N) -> logits (B, K), any B and N."""
    length = 2 * math.prod(plan) + 1
    inputs = torch.zeros(2, length, dtype=torch.long), torch.ones(2, length)
    graph = traced(OnePlan(model, plan), inputs, ("ids", "mask"))
    graph.metadata_props.add(key=LENGTHS, value=ANY)
    return graph


def traced(part: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str]) -> Any:
    """A module as an ONNX model whose inputs are free in batch and length.

    Raises:
        ValueError: the ``onnx`` package is missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise ValueError("exporting needs the package onnx: pip install onnx") from error
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            part.eval(),
            inputs,
            buffer,  # type: ignore[arg-type]
            input_names=list(names),
            dynamic_axes=dict.fromkeys(names, {0: "batch", 1: "length"}),
            opset_version=OPSET,
            do_constant_folding=False,  # it would store transposed copies; the session folds them
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def in_session(graph: bytes) -> Callable[..., list[Any]]:
    """A graph with its weights inside as a function of tensors, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda *inputs: session.run(None, {n: x.numpy() for n, x in zip(names, inputs, strict=True)})


def quantize(graph: Any, model: TextClassifier) -> None:
    """Turn the encoder's matrix products with weights into int8 ones, in place.

    ``x W`` becomes ``(q(x) - zero) q(W)`` in integers times both scales; embeddings, attention's own products, sums
    and the head stay in float32.
    """
    from onnx import helper, numpy_helper

    state, nodes = model.state_dict(), list(graph.graph.node)
    made_by = {node.output[0]: node for node in nodes}
    changed: list[Any] = []
    for node in nodes:
        source = made_by.get(node.input[1]) if node.op_type == "MatMul" else None
        weight = source.input[0].removeprefix("model.") if source and source.op_type == "Transpose" else ""
        if not weight.startswith("encoder.layers"):
            changed.append(node)
            continue
        scale = (state[weight].half().float().abs().amax(1) / 127).numpy()  # one for each output
        names = [
            f"{node.name}/{n}"
            for n in ("scale", "zero", "weight", "x", "x_scale", "x_zero", "sum", "float", "s")
        ]
        s, zero, w, x, x_scale, x_zero, total, real, both = names
        graph.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), s))
        graph.graph.initializer.append(numpy_helper.from_array(np.zeros(len(scale), np.int8), zero))
        changed += [
            helper.make_node("QuantizeLinear", [node.input[1], s, zero], [w], axis=1),
            helper.make_node("DynamicQuantizeLinear", [node.input[0]], [x, x_scale, x_zero]),
            helper.make_node("MatMulInteger", [x, w, x_zero], [total]),
            helper.make_node("Cast", [total], [real], to=1),
            helper.make_node("Mul", [x_scale, s], [both]),
            helper.make_node("Mul", [real, both], node.output),
        ]
    del graph.graph.node[:]
    graph.graph.node.extend(changed)


def store_outside(graph: Any, stored: dict[str, tuple[str, list[int], int, int]]) -> None:
    """Replace the model's tensors in a graph by their places in the weights file, in place."""
    from onnx import TensorProto, external_data_helper

    kept, halves = [], set()
    for tensor in graph.graph.initializer:
        key = tensor.name.removeprefix("model.")
        if key not in stored or np.prod(tensor.dims) < LARGE:
            kept.append(tensor)
            continue
        kind, shape, offset, length = stored[key]
        if shape != list(tensor.dims):
            raise ValueError(f"{WEIGHTS} holds another model's {key}")
        half = kind == "F16"
        outside = TensorProto(name=tensor.name + ".half" if half else tensor.name, dims=tensor.dims)
        outside.data_type = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        outside.raw_data = b""  # marks it as external for the helper
        external_data_helper.set_external_data(outside, WEIGHTS, offset, length)
        outside.ClearField("raw_data")
        kept.append(outside)
        if half:
            halves.add(tensor.name)
    nodes = widened(graph.graph.node, halves)
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend(nodes)


def widened(nodes: Iterable[Any], halves: set[str]) -> list[Any]:
    """A graph's nodes, with casts to float32 of the weights ``NAME.half``.

    Of a table, the rows that were taken are cast, not the whole of it at the start: a session of ours would otherwise
    hold the word embeddings once more, which were two thirds of its memory.
    """
    from onnx import TensorProto, helper

    def cast(name: str) -> Any:
        return helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT)

    made, whole = [], set()
    for node in nodes:
        made.append(node)
        if node.op_type == "Gather" and node.input[0] in halves:
            rows = node.output[0]
            node.input[0], node.output[0] = f"{node.input[0]}.half", f"{rows}.half"
            made.append(cast(rows))
        else:
            whole |= halves.intersection(node.input)
    return [cast(name) for name in sorted(whole)] + made


def tensor_places(path: Path) -> dict[str, tuple[str, list[int], int, int]]:
    """Name -> (type, shape, offset in the file, bytes) of every tensor in a safetensors file."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {
        name: (
            entry["dtype"],
            entry["shape"],
            8 + size + entry["data_offsets"][0],
            int(np.diff(entry["data_offsets"])[0]),
        )
        for name, entry in header.items()
    }


if __name__ == "__main__":
    command(Export, run)
