"""A classifier as an ONNX file, for the engine that runs on processors: ``python -m classifiers.export runs/my-cnn``.

Tied kernels keep their own cheap execution; ONNX Runtime folds norms into the convolutions before them. Static int8
(one scale a channel, activations calibrated) is written where it is asked for and where accuracy holds on held-out
pictures; on small tied networks it is often slower than float32, so the choice is measured (``--precision fastest``).
"""

from __future__ import annotations

import importlib.util
import io
import math
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from classifiers.data import in_order, load
from classifiers.evaluate import record_graph
from classifiers.model import ONNX, CompactCNN, probe, session
from classifiers.networks import allow_network, is_own
from training.command import command
from training.datasets import ImageData
from training.measure import Latency, compare
from training.pictures import to_floats
from training.progress import say
from training.runs import claimed
from weights.checkpoint import one_line, write

CALIBRATION = 512  # pictures that set the range of each activation
OPSET = 17
LARGE = 64  # tensors with fewer numbers stay as they are


@dataclass(frozen=True)
class Export:
    """Write ``model.onnx`` beside a model's weights.

    Args:
        model: folder of a model.
        precision: float32, int8, or the faster of the two on this machine at batch 1.
        data: pictures as for training, to calibrate int8 on, which needs them, and to measure the graph on.
        allow: functions of your own, module:function, that build networks: they are imported.
        tolerance: accuracy that int8 may cost on held-out pictures, as a share, before float32 is kept.
    """

    model: Annotated[Path, tyro.conf.Positional]
    precision: Literal["float32", "int8", "fastest"] = "float32"
    data: str | None = None
    tolerance: float = 0.002
    allow: tuple[str, ...] = ()


def to_onnx(model: CompactCNN) -> bytes:
    """The model as ONNX: ``image`` (B, C, H, W) in [0, 1] -> ``logits`` (B, K), any B.

    Raises:
        ValueError: the ``onnx`` package is missing (``pip install -e ".[train]"``), or a network of one's own has
            operations that ONNX has not, or answers otherwise there.
    """
    config = model.config
    found = traced(model, torch.zeros(2, config.channels, config.size, config.size), name=config.network)
    if is_own(config.network):
        _require_same(found, model)
    return found


def plan_to_onnx(model: CompactCNN, plan: str) -> bytes:
    """A named plan as ONNX: ``image`` (B, C, S, S) in [0, 1] of the plan's size -> ``logits`` (B, K), any B."""
    network = model.planned(plan)
    return traced(network, torch.zeros(2, model.config.channels, network.size, network.size))


def traced(
    module: nn.Module, example: Tensor, given: str = "image", name: str = "the network", free: bool = False
) -> bytes:
    """A module of one input and one output as ONNX, for any batch, and where it is ``free`` any sides.

    Raises:
        ValueError: as for :func:`to_onnx`.
    """
    buffer = io.BytesIO()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # Which product comes first depends on the size of the maps, which an export fixes: no cause to warn.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                (example,),
                buffer,  # type: ignore[arg-type]
                input_names=[given],
                output_names=["logits"],
                dynamic_axes={
                    given: {0: "batch", **({2: "height", 3: "width"} if free else {})},
                    "logits": {0: "batch"},
                },
                opset_version=OPSET,
                dynamo=False,
            )
    except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
        if importlib.util.find_spec("onnx") is None:
            raise ValueError(f"the export needs the packages of the extra `train`: {error}") from error
        raise ValueError(f"{name} cannot be written as ONNX: {one_line(error)}") from error
    return buffer.getvalue()


def halved(graph: bytes) -> bytes:
    """A float32 graph whose kernels are stored as float16, which a session widens once, while it loads."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(graph)
    casts, kept = [], []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or math.prod(tensor.dims) < LARGE:
            kept.append(tensor)
            continue
        half = numpy_helper.to_array(tensor).astype(np.float16)
        kept.append(numpy_helper.from_array(half, f"{tensor.name}.half"))
        casts.append(helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    found: bytes = model.SerializeToString()
    return found


@torch.no_grad()
def _require_same(onnx: bytes, model: CompactCNN) -> None:
    """``ValueError`` if the graph answers otherwise than the model, at batches that the export did not see."""
    config = model.config
    for batch in (1, 3):
        image = probe(config.channels, config.size)[:1].repeat(batch, 1, 1, 1)
        try:
            found = run_session(onnx, image)
        except Exception as error:  # whatever ONNX Runtime says to a batch of another size
            raise ValueError(
                f"{config.network} as ONNX runs on no batch of {batch}: {one_line(error)}"
            ) from error
        if found.shape != (wanted := model(image)).shape or not torch.allclose(
            found, wanted, rtol=1e-3, atol=1e-3
        ):
            raise ValueError(f"{config.network} answers otherwise as ONNX, at a batch of {batch}")


def to_int8(onnx: bytes, calibration: Tensor) -> bytes:
    """Static quantisation: int8 weights, one scale a channel; uint8 activations, ranged on ``calibration``."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.parts = iter(calibration.split(32))

        def get_next(self) -> dict[str, Any] | None:
            part = next(self.parts, None)
            return None if part is None else {"image": part.numpy()}

    with tempfile.TemporaryDirectory() as folder:
        source, ready, output = (Path(folder) / n for n in ("float.onnx", "ready.onnx", "int8.onnx"))
        source.write_bytes(onnx)
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(output),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return output.read_bytes()


def run(options: Export) -> dict[str, Latency]:
    """Export a folder's model; returns the latencies that decided."""
    for function in options.allow:
        allow_network(function)
    if not options.model.is_dir():
        raise ValueError(f"there is no folder {options.model}")
    with claimed(options.model):
        return _export(options)


def _export(options: Export) -> dict[str, Latency]:
    model = CompactCNN.from_pretrained(options.model, engine="torch")
    data = load(options.data, model.config.prepared) if options.data else None
    if data and data.test.labels is not None:
        data = in_order(data, model.classes)
    candidates = {"float32": to_onnx(model)}
    if options.precision != "float32":
        if not data:
            raise ValueError("int8 is calibrated on pictures: name them with --data")
        candidates["int8"] = _checked_int8(candidates["float32"], data, options.tolerance)
    say(f"timing {' and '.join(candidates)}")
    found = latencies(candidates, model)
    wanted = options.precision
    if wanted == "fastest":
        wanted = min(("float32", "int8"), key=lambda name: found[name].median_ms)
    write(options.model, {ONNX: candidates[wanted]})
    if data and data.test.labels is not None:
        record_graph(options.model, data.test)
    return found


def _checked_int8(onnx: bytes, data: ImageData, tolerance: float) -> bytes:
    quantised = to_int8(onnx, to_floats(data.train.images[:CALIBRATION]))
    held, labels = to_floats(data.validation.images[:2000]), data.validation.labels
    if labels is None:
        raise ValueError(f"{data.name} has no labels to check the accuracy of int8 with")
    before, after = (
        float((run_session(b, held).argmax(1) == labels[:2000]).float().mean()) for b in (onnx, quantised)
    )
    if before - after > tolerance:
        raise ValueError(
            f"int8 answers {after:.2%} of held-out pictures rightly where float32 answers {before:.2%}: keep float32, "
            "or raise --tolerance"
        )
    return quantised


def run_session(onnx: bytes, images: Tensor) -> Tensor:
    """Logits (N, K) of an ONNX model for images (N, C, H, W) in [0, 1]."""
    engine = session(onnx)
    parts = [torch.from_numpy(engine.run(None, {"image": part.numpy()})[0]) for part in images.split(256)]
    return torch.cat(parts)


def latencies(candidates: dict[str, bytes], model: CompactCNN, batch: int = 1) -> dict[str, Latency]:
    """One-thread latencies of ONNX models, measured in turns."""
    config = model.config
    given = {"image": torch.rand(batch, config.channels, config.size, config.size).numpy()}
    engines = {name: session(onnx) for name, onnx in candidates.items()}
    return compare({name: lambda e=engine: e.run(None, given) for name, engine in engines.items()})  # type: ignore[misc]


if __name__ == "__main__":
    command(Export, run)
