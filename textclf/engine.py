"""Running an exported plan in ONNX Runtime, where a model's folder has one.

A graph is a small file; its weights are the folder's ``model.safetensors``, read by offset, so every plan in float32
and in int8 is the same 40 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from weights.checkpoint import WeightsError, one_line

Precision = Literal["float32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
# What a graph says of itself; those of before wanted lengths that the plan divides.
LENGTHS, ANY = "lengths", "any"
Run = Callable[[Tensor, Tensor], Tensor]  # ids (B, N) int64 and mask (B, N) float -> logits (B, K)


def graph_path(folder: Path, plan: str, precision: Precision) -> Path:
    """Where the graph of a named plan is or would be: beside the weights that it reads."""
    return folder / f"{plan}.{precision}.onnx"


@lru_cache(maxsize=8)
def session(path: Path, threads: int, changed: float) -> Run:
    """A graph as a function; ``changed`` is its time stamp, so that a new export is a new session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        loaded = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever ONNX Runtime says to a graph, or to weights, that it cannot use
        reason = f"{path} cannot be used ({one_line(error)}): run python -m textclf.export again"
        raise WeightsError(reason) from error
    if loaded.get_modelmeta().custom_metadata_map.get(LENGTHS) != ANY:
        raise WeightsError(
            f"{path} was exported by an earlier version: run python -m textclf.export {path.parent}"
        )

    def run(ids: Tensor, mask: Tensor) -> Tensor:
        (logits,) = loaded.run(None, {"ids": ids.numpy(), "mask": mask.numpy()})
        return torch.from_numpy(logits)

    return run


def load(folder: Path, plan: str, precision: Precision = "float32", threads: int | None = None) -> Run:
    """The session of a plan; ``FileNotFoundError`` if it was never exported, ``WeightsError`` if it is damaged."""
    path = graph_path(folder, plan, precision)
    return session(path, threads or torch.get_num_threads(), path.stat().st_mtime)
