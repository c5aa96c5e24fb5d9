"""ONNX says what PyTorch says, for every family; int8 nearly so; a wrong or broken file is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifiers import CompactCNN, list_networks
from classifiers.anatomy import kernels, layers, shared_kernels, tied_layers
from classifiers.evaluate import Evaluate, accuracy
from classifiers.evaluate import run as evaluate
from classifiers.export import Export, run, run_session, to_int8, to_onnx
from classifiers.model import ONNX
from training.datasets import load_images
from training.measure import macs, parameters
from training.runs import read_metrics
from weights import WeightsError

DEPTHWISE = ["mobilenetv2@0.5:block-2", "mobilenetv2@0.5:kronecker-2+kernel_bank-2"]
NETWORKS = ["wrn16-2", *list_networks("resnet20*"), *DEPTHWISE]


def lively(network: str, classes: int = 4, channels: int = 3, size: int = 32) -> CompactCNN:
    """A model whose norms have seen something, so that nothing cancels by chance."""
    torch.manual_seed(0)
    model = CompactCNN(network, [f"c{i}" for i in range(classes)], size, channels).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return model


@pytest.mark.parametrize("network", NETWORKS)
def test_onnx_computes_the_same_for_any_batch(network: str) -> None:
    model = lively(network)
    onnx = to_onnx(model)
    for count in (1, 5):
        x = torch.rand(count, 3, 32, 32)
        with torch.no_grad():
            wanted = model(x)
        torch.testing.assert_close(
            run_session(onnx, x), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())
        )


def test_int8_stays_close() -> None:
    model = lively("resnet20:blueprint")
    x = torch.rand(64, 3, 32, 32)
    onnx = to_onnx(model)
    exact, rounded = run_session(onnx, x), run_session(to_int8(onnx, x), x)
    assert torch.corrcoef(torch.stack([exact.flatten(), rounded.flatten()]))[0, 1] > 0.98


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return lively("resnet20:blueprint").save_pretrained(tmp_path / "model")


def test_predict_runs_on_the_exported_file_and_says_so(folder: Path) -> None:
    plain = CompactCNN.from_pretrained(folder)
    assert plain.engine == "PyTorch"
    run(Export(folder))
    fast = CompactCNN.from_pretrained(folder)
    assert fast.engine == "ONNX Runtime"
    assert CompactCNN.from_pretrained(folder, engine="torch").engine == "PyTorch"
    pictures = [Image.effect_noise((50, 40), 80).convert("RGB"), Image.new("L", (9, 9), 30)]
    torch.testing.assert_close(fast.predict(pictures), plain.predict(pictures), rtol=1e-3, atol=1e-5)
    assert fast.predict([]).shape == (0, 4)
    torch.testing.assert_close(fast.predict(pictures).sum(1), torch.ones(2))


def test_a_broken_or_foreign_onnx_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / ONNX).write_bytes(b"not an onnx file")
    with pytest.raises(WeightsError, match="export it again"):
        CompactCNN.from_pretrained(folder)
    (folder / ONNX).write_bytes(to_onnx(lively("resnet20", classes=3)))
    with pytest.raises(WeightsError, match="another model"):
        CompactCNN.from_pretrained(folder)
    (folder / ONNX).unlink()
    with pytest.raises(WeightsError, match="model.onnx is missing: make it with"):
        CompactCNN.from_pretrained(folder, engine="onnx")
    shutil.rmtree(folder)


def test_int8_needs_pictures_and_must_keep_the_accuracy(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--data"):
        run(Export(folder, "int8"))
    rng = np.random.default_rng(0)
    data = tmp_path / "noise.npz"
    labels = np.arange(200) % 4
    names = np.array([f"c{i}" for i in range(4)])
    np.savez(data, images=rng.integers(0, 255, (200, 32, 32, 3), np.uint8), labels=labels, classes=names)
    found = run(Export(folder, "fastest", str(data), tolerance=1.0))
    assert set(found) == {"float32", "int8"}
    assert CompactCNN.from_pretrained(folder).engine == "ONNX Runtime"
    assert read_metrics(folder) == {}  # the weights are not measured


def test_the_graph_is_measured_beside_the_weights_that_it_rounds(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = tmp_path / "noise.npz"
    images = rng.integers(0, 255, (400, 32, 32, 3), np.uint8)
    answers = CompactCNN.from_pretrained(folder).predict(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    names = np.array([f"c{i}" for i in range(4)])
    np.savez(data, images=images, labels=answers.argmax(1).numpy(), classes=names)
    evaluate(Evaluate(str(folder), str(data)))
    assert "graph" not in read_metrics(folder)
    run(Export(folder, "int8", str(data), tolerance=1.0))
    once = read_metrics(folder)
    assert once["test"]["accuracy"] == 1
    assert once["graph"]["precision"] == "int8"
    assert (
        once["graph"]["accuracy"]
        == accuracy(CompactCNN.from_pretrained(folder), load_images(str(data)).test)
        < 1
    )
    assert (
        f"| accuracy of `model.onnx` (int8) | {once['graph']['accuracy']:.2%} |"
        in (folder / "README.md").read_text()
    )
    again = evaluate(Evaluate(str(folder), str(data)))
    assert (again["test"], again["graph"]) == (once["test"], once["graph"])
    run(Export(folder, "float32", str(data)))
    assert read_metrics(folder)["graph"] == {"precision": "float32", "n": once["test"]["n"], "accuracy": 1}


@pytest.mark.parametrize(
    "network", ["wrn16-2:blueprint-4", "mobilenetv2@0.5:kronecker-2+kernel_bank-2", "resnet20:block"]
)
def test_anatomy_accounts_for_every_parameter_and_every_multiplication(network: str) -> None:
    model = lively(network)
    found = layers(model)
    assert sum(layer.parameters for layer in found) == parameters(model)
    assert sum(layer.macs for layer in found) == macs(model, torch.zeros(1, 3, 32, 32))
    tied = tied_layers(model)
    assert tied == [layer.name for layer in found if layer.tie]
    shared = shared_kernels(model, tied[0])
    dense = kernels(model, tied[0], filters=10_000, inputs=10_000)
    assert shared.shape[1:] == dense.shape[2:]
    if "blueprint" in network:  # every dense kernel is a multiple of the one its filter stores
        cosine = torch.cosine_similarity(dense.flatten(2), shared.flatten(1)[:, None], dim=2)
        torch.testing.assert_close(cosine.abs(), torch.ones_like(cosine), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="no tied convolution"):
        shared_kernels(model, "nowhere")
    with pytest.raises(ValueError, match="no convolution"):
        kernels(model, "nowhere")
