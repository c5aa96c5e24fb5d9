"""The encoder that ours is checked against has the same work to do, and what is missing is said."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from tinytext import model

from benchmarks.claims import read
from benchmarks.outside_encoder import exported, outside_encoder, rewritten, session
from training.loop import RunError


def test_it_is_of_the_same_sizes_as_ours() -> None:
    pytest.importorskip("transformers")
    classifier = model()
    outside = outside_encoder(classifier.config.encoder)
    ours = {tuple(p.shape) for n, p in classifier.encoder.named_parameters() if p.ndim > 1}
    assert ours <= {tuple(p.shape) for p in outside.parameters()}


def test_its_graph_computes_what_it_computes(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    classifier = model()
    torch.manual_seed(0)
    outside = outside_encoder(classifier.config.encoder)
    ids = torch.arange(20)[None]
    inputs = (ids, torch.ones_like(ids))
    graphs = exported(outside, inputs, tmp_path)
    assert set(graphs) == {"onnx", "int8"}
    with torch.inference_mode():
        expected = outside(*inputs)
    again = rewritten(graphs["onnx"], classifier.config.encoder)
    for graph in (graphs["onnx"], again["onnx"]):
        (found,) = session(graph, inputs, 1)()  # type: ignore[misc]
        assert torch.allclose(torch.from_numpy(found), expected, atol=1e-4)
    assert again["int8"].is_file()
    assert graphs["int8"].stat().st_size < graphs["onnx"].stat().st_size


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RunError, match="pip install transformers"):
        outside_encoder(model().config.encoder)


def test_what_is_said_follows_the_numbers(tmp_path: Path) -> None:
    times = {"torch": 70.0, "onnx": 60.0}
    rows = {
        "transformers, BERT": {**times, "int8": 30.0},
        "transformers, BERT, rewritten": {"onnx": 60.0, "int8": 32.0},
        "ours, full length": {**times, "int8": 20.0},
        "ours, balanced": {**times, "int8": 10.0},
    }
    path = tmp_path / "outside_encoder_text-imdb.json"
    path.write_text(json.dumps({"model": "text-imdb", "tokens": 9, "threads": 1, "rounds": 2, "rows": rows}))
    (claim,) = read(path)
    assert "is 1.5 times faster than an encoder" in claim.sentence
    assert "is 3.0 times faster than that" in claim.sentence
