"""A released network as a model that knows ImageNet's 1,000 classes: nothing is trained.

    python -m classifiers.released efficientnet-lite0 --output runs/imagenet --data imagenet/

The data are folders that are called by WordNet ids, as ImageNet's and Tiny ImageNet's are, or by the names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch import Tensor

from classifiers import imagenet
from classifiers.backbone import PACKAGES, Backbone, load_backbone
from classifiers.card import model_card
from classifiers.data import in_order, load
from classifiers.evaluate import evaluate
from classifiers.export import run_session, to_onnx
from classifiers.model import ONNX, CompactCNN, energy
from classifiers.networks import native_size
from training.command import command
from training.datasets import ImageData, ImageSplit
from training.measure import commit, machine
from training.pictures import to_floats
from training.progress import say
from training.runs import claimed
from weights.checkpoint import CARD, METRICS, to_json, write

MOST, AT_ONCE = 1000, 50  # held-out pictures that the scope is measured on, and of them at once


@dataclass(frozen=True)
class Released:
    """Write a released network's folder: weights in float16, their graph, classes, and how pictures are prepared.

    Args:
        backbone: efficientnet-lite0, or a folder or Hub repository as for --backbone in training.
        output: folder of the model.
        data: pictures of some of the classes: what is held out sets the scope, and the test pictures measure the model.
        terms: terms of use of the data, for the card; known for data sets by name.
        size: pixels a side; what the network was designed for if left out.
    """

    backbone: Annotated[str, tyro.conf.Positional]
    output: Path
    data: str | None = None
    terms: str | None = None
    size: int | None = None


def as_model(backbone: Backbone, size: int | None = None) -> CompactCNN:
    """A classifier with all of a backbone's weights, rounded to float16, which takes pictures in colour as they are.

    Raises:
        ValueError: its classes are not ImageNet's 1,000.
    """
    names = tuple(imagenet.classes().values())
    if backbone.classes != len(names):
        raise ValueError(f"it knows {backbone.classes:,} classes, and the names here are of ImageNet's 1,000")
    model = CompactCNN(
        backbone.network,
        names,
        size or native_size(backbone.network),
        mean=backbone.mean,
        std=backbone.std,
        invert=False,
    )
    model.network.load_state_dict(dict(backbone.state))
    return model.half().float().eval()


def run(options: Released) -> dict[str, Any]:
    """Write the folder, and measure it if there are data; returns its metrics."""
    model = as_model(load_backbone(options.backbone), options.size)
    package = PACKAGES.get(options.backbone)
    released = {
        "network": model.config.network,
        "source": f"the package {package.install.split()[-1]}" if package else options.backbone,
        "terms": package.terms if package else "those of the repository",
    }
    metrics: dict[str, Any] = {"training": {"released": released}}
    with claimed(options.output):
        graph = to_onnx(model)
        data = in_order(load(options.data, model.config.prepared), model.classes) if options.data else None
        if data:
            model.scope.copy_(scope(graph, data.validation))
        model.save_pretrained(options.output, half=True, metrics=metrics)
        write(options.output, {ONNX: graph})
        if data:
            metrics |= measured(options.output, data, options.terms)
            card = model_card(options.output.name, model.config, metrics)
            write(options.output, {METRICS: to_json(metrics), CARD: card.encode()})
    say(f"{options.output} names pictures among {len(model.classes):,} classes")
    return metrics


def scope(graph: bytes, held_out: ImageSplit) -> Tensor:
    """The energy below which 95 % of pictures lie, of ``MOST`` at most."""
    chosen = torch.arange(0, len(held_out), -(-len(held_out) // MOST))
    parts = [run_session(graph, to_floats(held_out.images[part])) for part in chosen.split(AT_ONCE)]
    return energy(torch.cat(parts)).quantile(0.95)


def measured(folder: Path, data: ImageData, terms: str | None) -> dict[str, Any]:
    """What the folder's graph, which is of the very weights, says of test pictures."""
    say(f"classifying {len(data.test):,} test pictures")
    test = evaluate(CompactCNN.from_pretrained(folder, engine="onnx"), data.test)
    graph = {"precision": "float32", "n": test["n"], "accuracy": test["accuracy"]}
    return {
        "data": data.name,
        "terms": terms or data.terms,
        "test": test,
        "machine": machine(),
        "commit": commit(),
        "graph": graph,
    }


if __name__ == "__main__":
    command(Released, run)
