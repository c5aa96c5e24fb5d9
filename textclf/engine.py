"""Running an exported plan in ONNX Runtime, where a model's folder has one.

A graph is a small file; its weights are the folder's ``model.safetensors``, read by offset, so every plan in float32
and in int8 is the same 40 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from weights.checkpoint import WEIGHTS, WeightsError, one_line
from weights.graphs import probe_rows, require_agreement, require_plain
from weights.kept import kept_with_first

if TYPE_CHECKING:
    from textclf.model import TextClassifier

Precision = Literal["float32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
# What a graph says of itself; those of before wanted lengths that the plan divides.
LENGTHS, ANY = "lengths", "any"
AGAIN = "python -m textclf.export"
Run = Callable[[Tensor, Tensor], Tensor]  # ids (B, N) int64 and mask (B, N) float -> logits (B, K)


def graph_path(folder: Path, plan: str, precision: Precision) -> Path:
    """Where the graph of a named plan is or would be: beside the weights that it reads."""
    return folder / f"{plan}.{precision}.onnx"


def load(
    model: TextClassifier, plan: str, precision: Precision = "float32", threads: int | None = None
) -> Run:
    """The session of a named plan, as long as the model lives; it answers as the model's weights do.

    Raises:
        FileNotFoundError: it was never exported.
        WeightsError: it is damaged, another model's, or not what the catalogue lists.
    """
    assert model.folder is not None
    path = graph_path(model.folder, plan, precision)
    state = path.stat()
    stamp = state.st_mtime_ns, state.st_size, state.st_ino
    return _session(model, path, plan, threads or torch.get_num_threads(), stamp)


@kept_with_first(8)
def _session(model: TextClassifier, path: Path, plan: str, threads: int, stamp: tuple[int, ...]) -> Run:
    """A graph as a function; ``stamp`` is of the file, so that a new export is a new session."""
    graph = path.read_bytes()
    require_plain(path, graph, (WEIGHTS,))
    if model.listed is not None:
        model.listed.require(path.parent, [path.name, WEIGHTS])
    run = _opened(path, threads)
    if model.listed is None or path.name not in model.listed.files:
        ids, mask = probe(model.config.vocabulary, model.config.longest)
        try:
            found = run(ids, mask)
        except Exception as error:  # whatever ONNX Runtime says to inputs that are not the graph's
            raise WeightsError(f"{path} cannot be used ({one_line(error)}): run {AGAIN} again") from error
        wanted = model.reference(plan)(ids, mask)
        require_agreement(path, graph, wanted, found, f"{AGAIN} {path.parent}")
    return run


def probe(vocabulary: int, longest: int) -> tuple[Tensor, Tensor]:
    """Four texts of tokens that are always the same, of different lengths: ids and mask (4, N)."""
    length = min(24, longest)
    ids = (probe_rows((4, length)) * vocabulary).long()
    mask = torch.arange(length) < torch.tensor([length, length, length * 3 // 4, length // 2])[:, None]
    return ids * mask, mask.float()


def _opened(path: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        loaded = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever ONNX Runtime says to a graph, or to weights, that it cannot use
        raise WeightsError(f"{path} cannot be used ({one_line(error)}): run {AGAIN} again") from error
    if loaded.get_modelmeta().custom_metadata_map.get(LENGTHS) != ANY:
        raise WeightsError(f"{path} was exported by an earlier version: run {AGAIN} {path.parent}")

    def run(ids: Tensor, mask: Tensor) -> Tensor:
        (logits,) = loaded.run(None, {"ids": ids.numpy(), "mask": mask.numpy()})
        return torch.from_numpy(logits)

    return run
