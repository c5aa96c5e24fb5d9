"""ONNX graphs compute what the model does, in float32 and, roughly, in int8, at any batch and length."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path

import onnx
import pytest
import torch
from tinytext import model, reviews

from textclf import PlanFacts, TextClassifier
from textclf.bottleneck import OPERATORS
from textclf.engine import Precision
from textclf.export import Export, export, tensor_places
from textclf.export import run as export_command
from weights import WeightsError
from weights.checkpoint import WEIGHTS

PLAN = (2, 1, 4)


def saved(folder: Path, pooling: str = "learned") -> TextClassifier:
    planned = model(pooling).with_plans({"balanced": PlanFacts(PLAN, ())})
    planned.save_pretrained(folder, half=True)
    return TextClassifier.from_pretrained(folder)


@pytest.mark.parametrize("pooling", OPERATORS)
def test_float32_parity(pooling: str, tmp_path: Path) -> None:
    loaded = saved(tmp_path / "m", pooling)
    export(loaded, tmp_path / "m", ["full", "balanced"], ["float32"])
    texts = reviews(11, words=40)[0] + ["", "good"]
    for plan in ("full", "balanced"):
        theirs = loaded.predict(texts, plan, "onnx", batch_size=4)
        assert torch.allclose(theirs, loaded.predict(texts, plan, "torch"), atol=1e-4), plan


def test_int8_is_close_and_agrees(tmp_path: Path) -> None:
    loaded = saved(tmp_path / "m")
    export(loaded, tmp_path / "m", ["balanced"])
    texts = reviews(64, words=40)[0]
    exact, rough = loaded.predict(texts, "balanced", "torch"), loaded.predict(texts, "balanced", "int8")
    assert (exact - rough).abs().mean() < 0.03
    assert not torch.equal(exact, rough)
    sure = exact.max(-1).values > 0.6
    assert (exact.argmax(-1) == rough.argmax(-1))[sure].all()
    graph = onnx.load(tmp_path / "m" / "balanced.int8.onnx", load_external_data=False)
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count("MatMulInteger") == 6 * len(PLAN)  # every weight of every layer that runs


def test_graphs_hold_no_weights(tmp_path: Path) -> None:
    """They are read from the folder's weights file, so plans and precisions cost nearly nothing."""
    loaded = saved(tmp_path / "m")
    (path,) = export(loaded, tmp_path / "m", ["balanced"], ["float32"])
    graph = onnx.load(path, load_external_data=False)
    outside = [tensor for tensor in graph.graph.initializer if tensor.external_data]
    assert {
        entry.value for tensor in outside for entry in tensor.external_data if entry.key == "location"
    } == {WEIGHTS}
    assert len(outside) > 6 * len(PLAN)
    shutil.copytree(tmp_path / "m", tmp_path / "elsewhere")
    moved = TextClassifier.from_pretrained(tmp_path / "elsewhere")
    assert torch.equal(moved.predict(["good"], "balanced"), loaded.predict(["good"], "balanced"))


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_word_embeddings_are_widened_row_by_row(precision: Precision, tmp_path: Path) -> None:
    """Of a table that was cast whole, each session would keep a copy."""
    loaded = saved(tmp_path / "m")
    (path,) = export(loaded, tmp_path / "m", ["balanced"], [precision])
    table = loaded.encoder.words.weight
    graph = onnx.load(path)
    (stored,) = [tensor for tensor in graph.graph.initializer if "words" in tensor.name]
    assert tuple(stored.dims) == table.shape
    assert stored.data_type == onnx.TensorProto.FLOAT16
    assert {node.op_type for node in graph.graph.node if stored.name in node.input} == {"Gather"}


@pytest.mark.parametrize("length", [2, 3, 8, 30])
def test_a_graph_takes_any_length(length: int, tmp_path: Path) -> None:
    loaded = saved(tmp_path / "m")
    export(loaded, tmp_path / "m", ["balanced"], ["float32"])
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(len(loaded.tokens), (3, length), generator=generator)
    found = loaded.runner("balanced", "onnx")(ids, torch.ones(3, length))
    assert torch.allclose(found, loaded.runner(PLAN, "torch")(ids, torch.ones(3, length)), atol=1e-4)


def test_a_graph_of_before_is_refused_in_a_sentence(tmp_path: Path) -> None:
    loaded = saved(tmp_path / "m")
    (path,) = export(loaded, tmp_path / "m", ["balanced"], ["float32"])
    graph = onnx.load(path, load_external_data=False)
    del graph.metadata_props[:]
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(WeightsError, match=r"earlier version: run python -m textclf\.export"):
        loaded.predict(["good"], "balanced", "onnx")


def test_auto_takes_the_graph_where_there_is_one(tmp_path: Path) -> None:
    loaded = saved(tmp_path / "m")
    before = loaded.predict(["good bad"], "balanced")
    assert torch.equal(before, loaded.predict(["good bad"], "balanced", "torch"))
    export(loaded, tmp_path / "m", ["balanced"], ["float32"])
    assert torch.allclose(loaded.predict(["good bad"], "balanced"), before, atol=1e-4)
    torch.nn.init.zeros_(loaded.head.weight)  # the graph still has the weights of the file
    assert torch.allclose(loaded.predict(["good bad"], "balanced"), before, atol=1e-4)
    assert loaded.predict(["good bad"], "balanced", "torch")[0, 0] == 0.5


def test_sessions_go_with_their_model(tmp_path: Path) -> None:
    loaded = saved(tmp_path / "m")
    export(loaded, tmp_path / "m", ["balanced"], ["float32"])
    loaded.predict(["good bad"], "balanced", "onnx")
    first = weakref.ref(loaded.runner("balanced", "onnx"))
    assert first() is loaded.runner("balanced", "onnx")
    let_go = weakref.ref(loaded)
    del loaded
    gc.collect()
    assert (let_go(), first()) == (None, None)


def test_graphs_of_other_weights_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "m")
    other = model(classes=("a", "b", "c"))
    other.head = torch.nn.Linear(64, 900)
    with pytest.raises(ValueError, match="another model's head"):
        export(other, tmp_path / "m", ["full"], ["float32"])


def test_places_are_where_the_numbers_are(tmp_path: Path) -> None:
    loaded = saved(tmp_path / "m")
    kind, shape, offset, length = tensor_places(tmp_path / "m" / WEIGHTS)["head.weight"]
    content = (tmp_path / "m" / WEIGHTS).read_bytes()[offset : offset + length]
    assert kind == "F16"
    assert torch.equal(
        torch.frombuffer(bytearray(content), dtype=torch.half).view(shape).float(), loaded.head.weight
    )


def test_the_command(tmp_path: Path) -> None:
    saved(tmp_path / "m")
    written = export_command(Export(str(tmp_path / "m")))
    assert {path.name for path in written} == {
        f"{plan}.{precision}.onnx" for plan in ("full", "balanced") for precision in ("float32", "int8")
    }
    with pytest.raises(ValueError, match="unknown plan 'quick'"):
        export_command(Export(str(tmp_path / "m"), ("quick",)))
