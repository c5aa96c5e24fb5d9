"""A folder of tiny random models that behave like the shipped ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import safetensors.torch
import tinytext
import torch

from affinevae import AffineVAE
from classifiers import CompactCNN
from textclf import PlanFacts, TextClassifier

MODEL, PLAIN = "affinevae-mnist", "vae-mnist"
BROKEN = "half"
COLOURS = "colours"
# In 3D: any turn; quarter turns, shift and scale.
SOLID, QUARTERS = "affinevae-modelnet10", "quarters"
# Classifiers: with a dense twin and a front; in grey and alone.
TINY_CNN, DENSE_CNN, CLOTHES = "cnn-cifar10", "cnn-cifar10-dense", "cnn-fashion"
# Text classifiers: with plans and a front; never searched.
TINY_TEXT, UNSEARCHED = "text-imdb", "plain-text"
PLANS = {"full": (1, 1, 1, 1), "accurate": (1, 1, 1, 1), "balanced": (2, 1, 2, 1), "fastest": (4, 2, 1)}
PICTURED = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def tiny(**config: object) -> AffineVAE:
    """A random model whose pictures depend visibly on z."""
    torch.manual_seed(0)
    defaults = {"size": (32, 32), "latent_dim": 4, "width": 32, "features": 4}
    model = AffineVAE(**{**defaults, **config}).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for layer in model.decoder.trunk:
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(4)
    return model


def tiny_solid(**config: object) -> AffineVAE:
    """A model that has seen blocks of all proportions for a second."""
    torch.manual_seed(0)
    defaults = {"size": (16, 16, 16), "latent_dim": 4, "width": 64, "features": 8}
    model = AffineVAE(**{**defaults, **config})  # type: ignore[arg-type]
    axis = (torch.arange(16) + 0.5) / 8 - 1
    half = 0.2 + 0.6 * torch.rand(64, 3, 1)
    x, y, z = (axis.abs() < half).float().unbind(1)
    blocks = torch.einsum("bx,by,bz->bxyz", x, y, z)[:, None]
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(60):
        loss, rate = model.losses(blocks, model.group.identity(64), torch.randn(64, 4))
        optimizer.zero_grad()
        (loss + rate).mean().backward()
        optimizer.step()
    return model.eval()


def tiny_cnn(network: str, **config: object) -> CompactCNN:
    """A random network that is sure of itself; half of all pictures are in its scope."""
    torch.manual_seed(0)
    model = CompactCNN(network, **{"classes": PICTURED, **config}).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        model.network[-1][-1].weight.mul_(100)
    return model


def tiny_text(**config: object) -> TextClassifier:
    """A random classifier of texts; its every parameter is random, the bottlenecks' too."""
    known = tinytext.tokens()
    options = {"classes": ("World", "Sports", "Business"), "longest": 64, **config}
    model = TextClassifier.build(tinytext.encoder(len(known)), known, **options)  # type: ignore[arg-type]
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in (*model.bottlenecks.parameters(), model.head.weight):
            parameter.normal_(0, 0.5)
    return model.eval()


def write_texts(root: Path) -> None:
    """One as a search and an evaluation leave it, one as training does."""
    times = {"full": 9.0, "accurate": 9.0, "balanced": 4.0, "fastest": 2.0}
    facts = {
        name: PlanFacts(plan, (), 0.9, 100, 1000, times[name], 40, "torch") for name, plan in PLANS.items()
    }
    tried = [{"factors": p, "error": 0.1 - 0.01 * i, "latency_ms": 2.0 + i} for i, p in
             enumerate([(4, 2, 1), (2, 2, 1, 1), (2, 1, 2, 1), (1, 1, 1, 1)])]  # fmt: skip
    test = {
        "n": 200,
        "linear": {"accuracy": 0.8, "latency_ms": 0.2},
        "plans": {"balanced": {"accuracy": 0.88}},
    }
    metrics = {"search": {"n": 100, "tokens": 40, "engine": "torch", "front": tried}, "test": test}
    tiny_text().with_plans(facts).save_pretrained(root / TINY_TEXT, metrics=metrics)
    tiny_text(classes=("bad", "good"), longest=32, ends=True).save_pretrained(root / UNSEARCHED)


def front() -> dict[str, object]:
    """Points as a benchmark writes them: one tied, one dense, one published."""
    shared = {"std": 0.002, "n": 3, "published": False, "latency_ms": 1.5}
    points = [
        {"network": "resnet20@0.25:blueprint", "parameters": 4e3, "macs": 6e5, "accuracy": 0.8, "tied": True, **shared},
        {"network": "resnet20@0.25", "parameters": 2e4, "macs": 3e6, "accuracy": 0.81, "tied": False, **shared},
        {"network": "ResNet-20", "parameters": 2.7e5, "macs": 4e7, "accuracy": 0.9, "tied": False,
         "std": 0.0, "n": 1, "published": True, "latency_ms": None},
    ]  # fmt: skip
    return {"data": "CIFAR-10 (JPEG q75)", "points": points}


def write_weights(root: Path) -> Path:
    """A model, its twin and map; a user's RGB model of another size and group; half a one; shapes, classifiers."""
    tiny(classes=tuple("0123456789")).save_pretrained(root / MODEL)
    tiny(latent_dim=5, group="none").save_pretrained(root / PLAIN)
    tiny(size=(24, 24), channels=3, group="affine").save_pretrained(root / COLOURS)
    tiny_solid(classes=("chair", "table")).save_pretrained(root / SOLID)
    tiny_solid(group="cube+shift+scale").save_pretrained(root / QUARTERS)
    shutil.copytree(root / MODEL, root / BROKEN)
    whole = (root / BROKEN / "model.safetensors").read_bytes()
    (root / BROKEN / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    layout = {"xy": torch.rand(200, 2), "z": torch.randn(200, 4), "label": torch.randint(10, (200,))}
    safetensors.torch.save_file(layout, root / MODEL / "map.safetensors")
    tied = tiny_cnn("resnet20@0.25:blueprint")
    tied.save_pretrained(root / TINY_CNN, metrics={"test": {"n": 100, "accuracy": 0.5}})
    (root / TINY_CNN / "front.json").write_text(json.dumps(front()))
    dense = tiny_cnn("resnet20@0.25")
    dense.save_pretrained(root / DENSE_CNN, metrics={"test": {"n": 100, "accuracy": 0.6}})
    tiny_cnn("resnet20@0.25:kronecker-2", classes=("T-shirt", "bag"), size=28, channels=1).save_pretrained(
        root / CLOTHES
    )
    write_texts(root)
    return root
