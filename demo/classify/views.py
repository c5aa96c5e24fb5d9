"""What the components of the tab "Classify an image" are given: plain values with pictures as data URLs."""

from __future__ import annotations

import functools
import io
import json
import math
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from classifiers.anatomy import Layer, class_activation, kernels, shared_kernels, tied_layers
from classifiers.images import resize
from classifiers.model import PlanFacts
from classifiers.plans import Plan
from demo.classify import examples
from demo.classify import scene as scenes
from demo.classify.scene import Verdict
from demo.classify.treemap import treemap
from demo.costs import plain_row, row, timed_row
from demo.models.registry import Classifier, Net
from demo.models.stops import FULL, Stop
from demo.pictures import data_url, png
from demo.timing import Rounds
from demo.types import Values
from demo.uploads.values import UploadError
from demo.words import percent
from training.pictures import Preparation, as_rgb, prepare

SHOWN = 608  # pixels of a picture on the page, at most
THUMBNAIL = 160  # and of an example
SIDE = 8  # filters and channels of a kernel that are drawn
SHARED, COLUMNS = 128, 16  # kernels drawn at most, and in a row
MAP = (100.0, 62.0)  # of a treemap
# Diverging, and told apart by the colour-blind: blue, white, orange.
NEGATIVE, ZERO, POSITIVE = (29, 94, 170), (246, 246, 244), (194, 87, 12)
LOOKED = 3  # classes that one may ask for where they were seen
CELL, GAP = 8, 5  # pixels of a weight, and between kernels

TIES = {
    "blueprint": "each filter stores one kernel and weighs it for every input channel",
    "decoupled": "each filter stores a few kernels and weighs each of them for every input channel",
    "channel_group": "the input channels of a group share a kernel",
    "block": "blocks of channels share one thin kernel, and between blocks there is nothing",
    "kronecker": "blocks of channels share one small kernel, weighed from block to block",
    "kernel_bank": "every kernel is mixed from a small bank",
    "filter_tile": "whole filters are used more than once",
}


# ---- the answer ----


def photo(seen: Verdict, loaded: Classifier) -> Values:
    """The picture as it came, where the networks cut it, and the examples."""
    kind, config = scenes.example_kind(loaded), loaded.compact.model.config
    width, height = seen.picture.size
    return {
        "picture": shown(seen.picture),
        "wide": width,
        "high": height,
        "at": seen.at if config.fit == "crop" and width != height else None,
        **asking(seen, loaded),
        "examples": [
            {"name": name, "url": _thumbnail(kind, i)} for i, name in enumerate(examples.names(kind))
        ],
    }


def asking(seen: Verdict, loaded: Classifier) -> Values:
    """What the page asks with about photos and the pictures of a camera."""
    return {"model": loaded.name, "plan": seen.plan, "side": loaded.compact.size}


def shown(picture: Image.Image) -> str:
    """A picture as a data URL, made smaller where it is large; a small one without loss: its pixels stay pixels."""
    if max(picture.size) > SHOWN:
        picture = picture.copy()
        picture.thumbnail((SHOWN, SHOWN))
    file, small = io.BytesIO(), max(picture.size) < examples.SIDE
    rgb = as_rgb(picture)
    rgb.save(file, "PNG") if small else rgb.save(file, "JPEG", quality=88)
    return data_url(file.getvalue(), "image/png" if small else "image/jpeg")


@functools.cache
def _thumbnail(kind: examples.Kind, index: int) -> str:
    """The middle of an example."""
    side = min((picture := examples.example(kind, index)).size)
    return shown(Image.fromarray(prepare(picture, Preparation(min(side, THUMBNAIL), 3))))


def answers(seen: Verdict, loaded: Classifier) -> Values:
    """What the networks see and say."""
    compared = loaded.nets(seen.plan)
    size = compared[0].size
    return {
        "words": scenes.words(seen),
        "in_scope": seen.in_scope,
        "sees": _seen(resize(seen.image, size)),
        "size": f"{size} x {size} pixels",
        "nets": [
            {
                "title": _title(net, compared),
                "network": net.model.config.network if net.plan == FULL else net.plan,
                "top": [{"name": n, "p": p, "words": percent(p)} for n, p in said.top()],
            }
            for net, said in zip(compared, seen.answers, strict=True)
        ],
    }


def _seen(image: Tensor) -> str:
    """What a network sees, (1, C, S, S)."""
    if image.shape[-1] < examples.SIDE:
        return png(image[0])
    pixels = (image[0] * 255).round().byte().permute(1, 2, 0)
    return shown(Image.fromarray(pixels.expand(-1, -1, 3).numpy()))


def _title(net: Net, compared: Sequence[Net]) -> str:
    if compared[0].plan != FULL:
        return "This plan" if net is compared[0] else "All of the network"
    if len(compared) == 1:
        return "The network"
    return "Compact" if net is compared[0] else "Dense twin"


def plans(seen: Verdict, loaded: Classifier) -> Values | None:
    """Where the slider can stand and what each stop means; nothing for a network without plans."""
    if len(loaded.stops) < 2:
        return None
    full = loaded.stops[0].facts.plan
    return {
        "stops": [
            {"name": stop.name, "title": " = ".join(stop.names), "words": _plan_words(stop, full)}
            for stop in loaded.stops
        ],
        "plan": seen.plan,
        "note": "",
    }


def _plan_words(stop: Stop[PlanFacts], full: Plan) -> str:
    """What a plan does, and how often it is right."""
    plan, facts = stop.facts.plan, stop.facts
    blocks, of = sum(plan.blocks), sum(full.blocks)
    width = sum(plan.widths) / sum(full.widths)
    said = [
        f"{plan.size} x {plan.size} pixels",
        f"{blocks} of {of} blocks" if blocks < of else f"all {of} blocks",
    ]
    said.append(f"{100 * width:.0f} % of their channels" if width < 0.995 else "all channels")
    right, form = facts.accuracy, facts.form
    if form == "int8" and facts.int8_accuracy is not None:
        right = facts.int8_accuracy
    known = f" Right in {100 * right:.1f} % of {facts.n:,.0f} validation photos." if right and facts.n else ""
    return f"{', '.join(said)}{', in int8' if form == 'int8' else ''}.{known}"


def looked(seen: Verdict, loaded: Classifier) -> Values:
    """Where each network looked for the classes that it finds likeliest; nothing where its kind does not tell."""
    nets, compared = list[Values](), loaded.nets(seen.plan)
    for net, said in zip(compared, seen.answers, strict=True):
        found = class_activation(net.model, seen.image, net.plan)
        if found is None:
            continue
        # Of a class against the mean of all, since a softmax does not see what all have in common.
        against = found[0] - found[0].mean(0)
        best = [(net.model.classes.index(name), name, p) for name, p in said.top(LOOKED)]
        nets.append(
            {
                "title": _title(net, compared),
                "classes": [
                    {"name": name, "words": percent(p), "heat": _heat(against[index])}
                    for index, name, p in best
                ],
            }
        )
    return {"sees": _seen(seen.image), "nets": nets}


def _heat(evidence: Tensor) -> list[list[float]]:
    """Evidence (h, w) for a class as shares of the strongest, nothing where it speaks against it."""
    shares = evidence.clamp_min(0) / evidence.max().clamp_min(1e-9)
    return [[round(share, 3) for share in row] for row in shares.tolist()]


def costs(seen: Verdict, loaded: Classifier, times: Sequence[Rounds] | None) -> Values:
    """What an answer takes: time, where it has been measured, work, memory; and how often the answer is right."""
    nets = loaded.nets(seen.plan)
    titles = [_title(net, nets) for net in nets]
    engines = list(dict.fromkeys(net.engine for net in nets))
    each = "; ".join(f"{title}: {net.engine}" for title, net in zip(titles, nets, strict=True))
    timed = "Time on this machine", f"median, one thread, {engines[0] if len(engines) == 1 else each}"
    rows = [
        timed_row(*timed, times) if times else plain_row(*timed, ["measuring …"] * len(nets)),
        row("Parameters", "", [net.parameters for net in nets], "{:,}".format),
        row("Multiply-accumulates", "one picture", [net.macs for net in nets], lambda n: f"{n / 1e6:.1f} M"),
    ]
    if seen.plan == FULL:
        sizes = [net.bytes for net in nets]
        rows.append(row("On disk", "weights", sizes, lambda n: f"{n / 1e3:,.0f} kB", "smaller", "larger"))
    right = [net.test.get("accuracy") for net in nets]
    if any(isinstance(share, float) for share in right):
        count = nets[-1].test.get("n")
        values = [f"{100 * share:.1f} %" if isinstance(share, float) else "?" for share in right]
        rows.append(
            plain_row("Accuracy", f"{count:,} test pictures" if isinstance(count, int) else "", values)
        )
    versus = "This plan is" if seen.plan != FULL else "The compact one is"
    return {"titles": titles, "rows": rows, "versus": versus, "note": nets[-1].note}


# ---- the networks ----


def kernel_layers(loaded: Classifier) -> Values:
    """The layers whose kernels can be looked at, the middle one drawn."""
    names = tied_layers(loaded.compact.model)
    if not names:
        return {"model": loaded.name, "layers": []}
    middle = names[len(names) // 2]
    layers = [
        {"name": layer.name, "words": f"{layer.name}: {layer.kind}, {layer.tie}"}
        for layer in loaded.compact.layers
        if layer.name in names
    ]
    return {"model": loaded.name, "layers": layers, "drawn": draw_layer(loaded, middle)}


def draw_layer(loaded: Classifier, name: str) -> Values:
    """The kernels that a tied layer stores, what they make in full, and the dense twin's in the same place.

    Raises:
        UploadError: there is no such layer.
    """
    model = loaded.compact.model
    if name not in tied_layers(model):
        raise UploadError("The compact network has no tied layer of that name.")
    layer, stored = _layer(loaded.compact, name), shared_kernels(model, name)
    twin = _layer(loaded.dense, name) if loaded.dense else None
    tie = layer.tie or "" if layer else ""
    versus = f" in place of {twin.parameters:,}" if twin else ""
    return {
        "layer": name,
        "shared": kernel_sheet(_each_its_own(stored[:SHARED]), min(COLUMNS, len(stored))),
        "count": f"{min(SHARED, len(stored))} of {len(stored)}" if len(stored) > SHARED else str(len(stored)),
        "tie": f"{tie}: {TIES.get(tie.partition('-')[0], 'kernels are shared')}",
        "numbers": f"{layer.parameters:,} numbers{versus}." if layer else "",
        "tied": _grid(kernels(model, name)),
        "dense": _grid(kernels(loaded.dense.model, name)) if loaded.dense and twin else None,
    }


def _layer(net: Net, name: str) -> Layer | None:
    """None where the network has none, or one of another kind in its place: twins need not be of one shape."""
    return next(
        (layer for layer in net.layers if layer.name == name and layer.kind not in ("linear", "norm")), None
    )


def _grid(weight: Tensor) -> str:
    """The first filters (rows) and channels (columns) of (O, I, k, k); of one channel each, filters only."""
    if weight.shape[1] == 1:
        return kernel_sheet(_each_its_own(weight[: SIDE**2, 0]), SIDE)
    corner = weight[:SIDE, :SIDE]
    scaled = corner / corner.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    return kernel_sheet(scaled.flatten(0, 1), corner.shape[1])


def _each_its_own(tiles: Tensor) -> Tensor:
    return tiles / tiles.abs().amax((1, 2), keepdim=True).clamp_min(1e-12)


def kernel_sheet(tiles: Tensor, columns: int) -> str:
    """Kernels (n, h, w) in [-1, 1], ``columns`` in a row, as a picture with a transparent ground."""
    (high, wide), rows = tiles.shape[1:], math.ceil(len(tiles) / columns)
    high, wide = high * CELL, wide * CELL
    sheet = torch.zeros(rows * (high + GAP) - GAP, columns * (wide + GAP) - GAP, 4)
    for i, tile in enumerate(colours(tiles).repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)):
        y, x = i // columns * (high + GAP), i % columns * (wide + GAP)
        sheet[y : y + high, x : x + wide, :3] = tile
        sheet[y : y + high, x : x + wide, 3] = 1
    file = io.BytesIO()
    Image.fromarray((sheet * 255).round().byte().numpy(), "RGBA").save(file, "PNG")
    return data_url(file.getvalue())


def colours(weights: Tensor) -> Tensor:
    """Weights in [-1, 1] as RGB in [0, 1], (..., 3): white at zero, and as far from it either way."""
    ends = torch.tensor([NEGATIVE, ZERO, POSITIVE]) / 255
    share = weights.abs().clamp(0, 1)[..., None]
    return ends[1] + share * (torch.where(weights[..., None] < 0, ends[0], ends[2]) - ends[1])


def parts(loaded: Classifier) -> list[Values]:
    """Where the parameters sit: a treemap of each network, the dense one with the compact one's size in it."""
    drawn, whole = list[Values](), loaded.compact.parameters
    for net in loaded.nets():
        places = treemap([layer.parameters for layer in net.layers], *MAP)
        larger = net is not loaded.compact and whole < net.parameters
        drawn.append(
            {
                "title": _title(net, loaded.nets()),
                "total": net.parameters,
                "size": MAP,
                "inside": whole / net.parameters if larger else None,
                "parts": [
                    {**layer._asdict(), "place": [round(v, 3) for v in place]}
                    for layer, place in zip(net.layers, places, strict=True)
                ],
            }
        )
    return drawn


FIELDS = ("parameters", "macs", "accuracy")
AXES = [
    {"field": "parameters", "label": "parameters", "unit": "parameters", "short": "parameters"},
    {
        "field": "macs",
        "label": "multiply-accumulates",
        "unit": "multiply-accumulates",
        "short": "multiply-accumulates",
    },
    {
        "field": "latency_ms",
        "label": "time",
        "unit": "milliseconds, one picture, one thread",
        "short": "ms",
    },
]
KEY = [
    {"kind": "main", "label": "tied"},
    {"kind": "other", "label": "dense"},
    {"kind": "published", "label": "published, lossless CIFAR-10"},
]


def front(loaded: Classifier) -> Values:
    """The networks that this one was chosen from; no points where nobody measured them."""
    file = loaded.front or {}
    points = file.get("points")
    usable = [point for point in points if _usable(point)] if isinstance(points, list) else []
    data = f" {file['data']}, test pictures." if file.get("data") else ""
    kinds = ("published" if p.get("published") else "main" if p.get("tied") else "other" for p in usable)
    here = {net.model.config.network for net in loaded.nets()}
    return {
        "lead": f"Every network that was tried: how often it is right, and what it takes.{data}",
        "points": [{**point, "kind": kind} for point, kind in zip(usable, kinds, strict=True)],
        "chosen": [p["network"] for p in usable if p.get("origin") == "shipped" or p["network"] in here],
        "axes": AXES,
        "key": KEY,
    }


def _usable(point: object) -> bool:
    if not isinstance(point, dict) or not isinstance(point.get("network"), str):
        return False
    return all(isinstance(point.get(f), (int, float)) and point[f] > 0 for f in FIELDS)


# ---- what one can take away ----


def keep(seen: Verdict) -> Values:
    """The answer, what the networks saw, and a link."""
    answer = json.dumps(scenes.as_json(seen.model, seen.plan, seen.answers[0]), indent=2)
    files = [
        {
            "name": "answer.json",
            "label": "Answer (JSON)",
            "url": data_url(answer.encode(), "application/json"),
        },
        {"name": "seen.png", "label": "What the networks see (PNG)", "url": png(seen.image[0])},
    ]
    return {"files": files, "query": scenes.as_query(seen)}
