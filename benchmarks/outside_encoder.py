"""Claim: the full-length model that plans are compared with is as fast as what people deploy today.

    python -m benchmarks.outside_encoder --model text-imdb

An encoder of the same sizes as `transformers` has it: eager, through ``torch.onnx.export``, and quantised by ONNX
Runtime's own ``quantize_dynamic``, all with their defaults, and once more after ONNX Runtime's optimiser for BERT has
rewritten the graph; beside it ours at full length and shortened, in turns, in one process. Times are the processor's.
The outside network's weights are random, which its time does not depend on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.claims.outside_encoder import COLUMNS, ENGINES, FULL, OUTSIDE, REWRITTEN, SHORT
from benchmarks.tools.tables import Rows, markdown, write
from textclf import TextClassifier
from textclf.encoder import EncoderConfig
from textclf.evaluate import plan_runs
from textclf.model import Engine
from training.command import command
from training.loop import RunError
from training.measure import commit, compare, machine
from training.runs import read_metrics

NEEDED = "this comparison needs transformers and onnx: pip install transformers onnx"
OPSET = 17
OURS = {FULL: "full", SHORT: "balanced"}

Run = Callable[[], object]


@dataclass(frozen=True)
class OutsideEncoder:
    """`transformers` and ONNX Runtime as people use them, beside our full length and a shortened plan.

    Args:
        model: an exported model with a plan "balanced": shipped name or folder.
        tokens: of the text; the typical length of the model's test texts if left out.
        rounds: of timing, in which every one has its turn.
        threads: of every engine.
        output: results; named after the model if left out.
    """

    model: str = "text-imdb"
    tokens: int | None = None
    rounds: int = 10
    threads: int = 1
    output: Path | None = None


class Logits(nn.Module):
    """`transformers`' classifier with plain inputs and one output, as an exporter wants it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        return logits


def outside_encoder(sizes: EncoderConfig) -> nn.Module:
    """`transformers`' BERT of these sizes, with a classifier of two classes.

    Raises:
        RunError: it is not installed.
    """
    try:
        from transformers import BertConfig, BertForSequenceClassification
    except ImportError:
        raise RunError(NEEDED) from None
    config = BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.intermediate,
        max_position_embeddings=sizes.positions,
    )
    return Logits(BertForSequenceClassification(config)).eval()


def exported(model: nn.Module, inputs: tuple[Tensor, Tensor], folder: Path) -> dict[Engine, Path]:
    """Its graphs, as the tools' defaults make them: "onnx" in float32, "int8" with weights quantised.

    Raises:
        RunError: ONNX is not installed.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        raise RunError(NEEDED) from None
    paths: dict[Engine, Path] = {"onnx": folder / "float32.onnx", "int8": folder / "int8.onnx"}
    names, free = ["ids", "mask"], {0: "texts", 1: "tokens"}
    torch.onnx.export(
        model,
        inputs,
        str(paths["onnx"]),
        input_names=names,
        output_names=["logits"],
        dynamic_axes=dict.fromkeys(names, free),
        opset_version=OPSET,
        dynamo=False,  # the newer exporter needs a package more
    )
    quantize_dynamic(paths["onnx"], paths["int8"], weight_type=QuantType.QInt8)
    return paths


def rewritten(graph: Path, sizes: EncoderConfig) -> dict[Engine, Path]:
    """A graph as ONNX Runtime's optimiser for BERT rewrites it, in float32 and quantised."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    paths: dict[Engine, Path] = {e: graph.with_name(f"rewritten.{e}.onnx") for e in ("onnx", "int8")}
    found = optimize_model(
        str(graph), model_type="bert", num_heads=sizes.heads, hidden_size=sizes.hidden, opt_level=1
    )
    found.save_model_to_file(str(paths["onnx"]))
    unknown = {"DefaultTensorType": TensorProto.FLOAT}  # of what comes out of the optimiser's own operators
    quantize_dynamic(paths["onnx"], paths["int8"], weight_type=QuantType.QInt8, extra_options=unknown)
    return paths


def session(path: Path, inputs: tuple[Tensor, Tensor], threads: int) -> Run:
    """A call of a graph in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    found = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {"ids": inputs[0].numpy(), "mask": inputs[1].numpy()}
    return lambda: found.run(None, feed)


def outside_runs(
    model: TextClassifier, tokens: int, threads: int, folder: Path
) -> dict[str, dict[Engine, Run]]:
    """Row -> engine -> a call on a text of so many tokens."""
    network = outside_encoder(model.config.encoder)
    ids = torch.randint(len(model.tokens), (1, tokens), generator=torch.Generator().manual_seed(0))
    inputs = (ids, torch.ones_like(ids))
    graphs = exported(network, inputs, folder)
    again = rewritten(graphs["onnx"], model.config.encoder)
    return {
        OUTSIDE: {
            "torch": lambda: network(*inputs),
            **{e: session(p, inputs, threads) for e, p in graphs.items()},
        },
        REWRITTEN: {e: session(p, inputs, threads) for e, p in again.items()},
    }


def run(options: OutsideEncoder) -> None:
    """Measure, print and keep."""
    model = TextClassifier.from_pretrained(options.model)
    known: dict[str, Any] = read_metrics(model.folder) if model.folder else {}
    tokens = options.tokens or known.get("test", {}).get("tokens") or model.config.longest
    with TemporaryDirectory() as folder:
        every = outside_runs(model, tokens, options.threads, Path(folder))
        for row, name in OURS.items():
            every[row] = plan_runs(model, name, model.plan(name), tokens, ENGINES, threads=options.threads)
        calls = {f"{row}/{engine}": call for row, runs in every.items() for engine, call in runs.items()}
        times = compare(calls, rounds=options.rounds, repeats=3, threads=options.threads)
    rows: Rows = {row: {e: times[f"{row}/{e}"].cpu_median_ms for e in runs} for row, runs in every.items()}
    facts = {"model": Path(options.model).name, "tokens": tokens, "rounds": options.rounds}
    output = options.output or Path(f"benchmarks/results/outside_encoder_{facts['model']}.json")
    write(
        output, {**facts, "threads": options.threads, "machine": machine(), "commit": commit(), "rows": rows}
    )
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(OutsideEncoder, run)
