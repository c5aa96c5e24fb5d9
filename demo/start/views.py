"""What the cards of the tab "Start" show, and the numbers beside it, as the models' own metrics have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from affinevae.explore import turn_images
from demo.classify import tab as classify
from demo.models.reader import Reader, Stop
from demo.models.registry import Classifier, Loaded, Models, Net, measured
from demo.models.stops import USUAL
from demo.pictures import side_by_side
from demo.shapes2d import scene
from demo.shapes2d import tab as shapes2d
from demo.shapes3d import examples as examples3d
from demo.shapes3d import scene as scene3d
from demo.shapes3d import tab as shapes3d
from demo.shapes3d.views import still
from demo.text import tab as classify_text
from demo.types import Values
from weights.kept import kept_with_first

ANGLES = torch.tensor([0.0, 0.9, 2.0, 3.3, 4.7])  # radians; uneven, as orientations come
OBJECTS = (0, 1, 2)  # examples in 3D
SIDE = 120  # pixels of an object


@kept_with_first(1)
def digit(loaded: Loaded) -> Values:
    """One drawing turned five times, and the shape that the model finds in each."""
    turned = turn_images(scene.from_example(loaded, 0).image, ANGLES)
    code = loaded.model.encode(turned)
    rows = [
        {"label": "goes in", "url": side_by_side(turned)},
        {
            "label": "shape found",
            "url": side_by_side(loaded.model.decode(code.z, scene.standing(loaded, code.z))),
        },
    ]
    return {"rows": rows, "fact": said(lambda: _less_error(loaded, "pictures"))}


@kept_with_first(1)
def furniture(loaded: Loaded) -> Values:
    """Tilted objects, and how the model stands them up."""
    seen = [scene3d.from_example(loaded, i) for i in OBJECTS if i < len(examples3d.names())]
    if not seen:
        raise ValueError("there are no example meshes")
    look = scene3d.Look()
    stood = loaded.model.decode(torch.cat([s.code.z for s in seen]))
    rows: list[Values] = [
        {"label": "goes in", "urls": [still(s.image, look, SIDE) for s in seen]},
        {"label": "stood up", "urls": [still(grid[None], look, SIDE) for grid in stood]},
    ]
    return {"rows": rows, "fact": said(lambda: _less_error(loaded, "shapes"))}


def _less_error(loaded: Loaded, things: str) -> str:
    """How much smaller the squared error is than that of the plain VAE it is compared with."""
    key = "squared_error"
    ours, plain = measured(loaded.name), measured(loaded.name.removeprefix("affine"))
    less = 1 - ours[key] / plain[key]
    tested = f"{ours['n']:,} test {things}"
    return f"{100 * less:.0f} % less error than a network without it, from as many numbers; {tested}."


@kept_with_first(1)
def kernels(loaded: Classifier) -> Values:
    """Two squares, as large as the networks have weights."""
    compact, dense = loaded.compact, loaded.dense
    if dense is None:
        raise ValueError("there is nothing to compare with")
    nets: list[Values] = [
        {"label": "dense", "weights": dense.parameters},
        {"label": "shared", "weights": compact.parameters},
    ]
    return {"nets": nets, "fact": said(lambda: _fewer_weights(compact, dense))}


def _fewer_weights(compact: Net, dense: Net) -> str:
    right = [f"{100 * net.test['accuracy']:.1f} %" for net in (compact, dense)]
    fewer = f"{dense.parameters / compact.parameters:.1f} times fewer weights: right in {right[0]}"
    return f"{fewer} of {compact.test['n']:,} test pictures rather than {right[1]}."


@kept_with_first(1)
def text(loaded: Reader) -> Values:
    """How many vectors every layer reads, at full length and under the plan that visitors see first."""
    stops = [loaded.full, loaded.stop(USUAL)]
    layers = loaded.model.config.layers
    columns = [list(stop.facts.lengths) + [0] * (layers - len(stop.facts.lengths)) for stop in stops]
    return {"columns": columns, "fact": said(lambda: _faster(loaded, stops)) if stops[0] != stops[1] else ""}


def _faster(loaded: Reader, stops: Sequence[Stop]) -> str:
    tested = [loaded.section("test", "plans", stop.name) for stop in stops]
    times = [plan["latency_ms"][loaded.engine] for plan in tested]
    n, right = loaded.section("test")["n"], [f"{100 * plan['accuracy']:.1f} %" for plan in tested]
    faster = f"{times[0] / times[1]:.1f} times faster than at full length: right in {right[1]}"
    return f"{faster} of {n:,} test texts rather than {right[0]}."


def said(fact: Callable[[], str]) -> str:
    """A sentence about a model's metrics; empty where nobody measured them, or where they hold something else."""
    try:
        return fact()
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return ""


CARDS: dict[str, Callable[[Models], Values]] = {
    "shapes2d": lambda models: digit(models.get(shapes2d.FIRST, "image")),
    "shapes3d": lambda models: furniture(models.get(shapes3d.FIRST, "shape")),
    "classify": lambda models: kernels(models.classifier(classify.COMPARED)),
    "text": lambda models: text(models.reader(classify_text.FIRST)),
}
