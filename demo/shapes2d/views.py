"""What the components of the tab are given: plain values with pictures as data URLs."""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from affinevae.explore import Map, Sweep, latent_strips, residual_picture, walk_frames, walk_grid
from affinevae.picture import draw_strokes, to_gif
from demo.models.registry import Loaded
from demo.pictures import data_url, png, side_by_side
from demo.shapes.steering import NO_PIN, REACH, is_steered
from demo.shapes.walking import laid_out, leads_nowhere
from demo.shapes2d import examples
from demo.shapes2d.scene import Point, Scene, as_json, as_query, standing, wears_clothes
from demo.theme import CLASS_COLOURS
from demo.types import Values
from training.pictures import as_rgb

NEAR = 0.035  # 2 degrees: two pictures turned alike
SAME = "The pinned picture is the one now: pick another, or steer, and a walk leads there."
STRIP = 7  # pictures over a slider's range
MAP_POINTS = 3000  # drawn at most
FILM = 12  # pictures a row
DOWNLOAD_SIDE, THUMBNAIL, CAME = 512, 48, 200

NO_MAP = "There is no map for this model yet: `python -m affinevae.evaluate` makes one."


def decoded(loaded: Loaded, point: Point) -> Tensor:
    """The picture of a code, ``(C, S, S)``."""
    return loaded.model.decode(*point.tensors())[0]


class Drawn(NamedTuple):
    """What the model makes of a scene, each ``(C, S, S)``: drawn once a gesture, shown and taken away."""

    straight: Tensor  # as people hold it, where it is known which way is up
    canonical: Tensor  # as the model stands it
    redrawn: Tensor
    left: Tensor  # what came in, less what its own code redraws, wherever the visitor steered to


def draw(scene: Scene, loaded: Loaded) -> Drawn:
    """The pictures of a scene."""
    redrawn = decoded(loaded, scene.now)
    canonical = loaded.model.straighten(scene.image, scene.code.pose)[0]
    turned = scene.code.pose.clone()
    turned[:, 0] -= standing(loaded, scene.code.z)[:, 0]
    straight = canonical if loaded.up is None else loaded.model.straighten(scene.image, turned)[0]
    own = decoded(loaded, scene.encoded) if is_steered(scene) else redrawn
    return Drawn(straight, canonical, redrawn, residual_picture(scene.image[0], own))


def canvas(scene: Scene, loaded: Loaded) -> Values:
    """The visitor's picture: strokes they can go on drawing, or what the model was given."""
    clothes = wears_clothes(loaded.model)
    drawings = [
        draw_strokes(examples.example(clothes, i), THUMBNAIL, fill=max(loaded.fill, 0.75))
        for i in range(len(examples.names(clothes)))
    ]
    strokes: list[Values] = [
        {"points": [v for p in s.points for v in p], "filled": s.filled, "grey": s.grey}
        for s in scene.strokes
    ]
    return {
        "came": as_it_came(scene.picture) if scene.picture else None,
        "strokes": strokes,
        "picture": None if strokes else png(scene.image[0]),
        "fills": clothes,
        "examples": [
            {"name": name, "url": png(drawing[0])}
            for name, drawing in zip(examples.names(clothes), drawings, strict=True)
        ],
    }


def as_it_came(picture: Image.Image) -> str:
    """A small JPEG of the visitor's own file, beside what the network sees."""
    file, small = io.BytesIO(), as_rgb(picture, "white")
    small.thumbnail((CAME, CAME))
    small.save(file, "JPEG", quality=85)
    return data_url(file.getvalue(), "image/jpeg")


def bench(scene: Scene, loaded: Loaded, drawn: Drawn) -> Values:
    """Everything about the code: pictures, sliders with their strips, dial, alternatives, price."""
    model, code = loaded.model, scene.code
    z, pose = scene.now.tensors()
    reach = max(REACH, float(math.ceil(z.abs().max())))
    values = torch.linspace(-reach, reach, STRIP)
    modes = zip(code.modes[0].tolist(), code.mode_probs[0].tolist(), strict=True)
    return {
        "model": scene.model,
        "names": list(model.group.names),
        "z": list(scene.now.z),
        "pose": list(scene.now.pose),
        "up": float(standing(loaded, code.z)[0, 0]),
        "order": list(scene.order),
        "reach": reach,
        "values": values.tolist(),
        "strips": [side_by_side(row) for row in latent_strips(model, z, pose, values)],
        "images": {
            "straight": png(drawn.straight),
            "canonical": png(drawn.canonical) if loaded.up else None,
            "redrawn": png(drawn.redrawn),
            "left": png(drawn.left),
            "pinned": png(decoded(loaded, scene.pinned)) if scene.pinned else None,
        },
        "modes": [{"pose": pose, "probability": p} for pose, p in modes if p > 0.02],
        "nats": {"shape": float(code.nll[0]), "pose": float(code.pose_nats[0])},
        "seed": scene.seed,
        "steered": is_steered(scene),
        "pin": "Unpin" if scene.pinned == scene.now else "Pin",
    }


def walk(scene: Scene, loaded: Loaded) -> Values:
    """From the pinned code to the one now."""
    if scene.pinned is None:
        return {"note": NO_PIN}
    if leads_nowhere(scene.pinned, scene.now, NEAR):
        return {"note": SAME}
    ends = scene.pinned.tensors(), scene.now.tensors()
    rows, ways = laid_out(walk_grid(loaded.model, *ends), scene.pinned, scene.now, NEAR)
    return {
        **ways,
        "grid": png(torch.cat([torch.cat(list(row), -1) for row in rows], -2)),
        "gif": data_url(to_gif(walk_frames(loaded.model, *ends)), "image/gif"),
    }


def keep(scene: Scene, loaded: Loaded, drawn: Drawn) -> Values:
    """What can be taken away: pictures, the code, a link."""
    names = loaded.model.group.names
    pictures = {
        "picture": scene.image[0],
        "canonical": drawn.canonical,
        "redrawn": drawn.redrawn,
        "left-over": drawn.left,
    }
    files = [
        {
            "name": f"{name}.png",
            "label": f"{name.replace('-', ' ').capitalize()} (PNG)",
            "url": png(image, DOWNLOAD_SIDE),
        }
        for name, image in pictures.items()
    ]
    code = data_url(as_json(scene, names).encode(), "application/json")
    files.append({"name": "code.json", "label": "Code (JSON)", "url": code})
    return {"files": files, "query": as_query(scene, names)}


def map_of(loaded: Loaded) -> Values:
    """The map's points in thousandths of its field, and the names of the classes where most of each lie."""
    if loaded.map is None:
        return {"model": loaded.name, "note": NO_MAP}
    xy = 1000 * to_field(loaded.map, loaded.map.xy)
    label = loaded.map.label
    classes = loaded.model.config.classes or tuple(str(i) for i in range(int(label.max()) + 1))
    every = max(1, math.ceil(len(xy) / MAP_POINTS))
    points = [[round(x), round(y), int(c)] for (x, y), c in zip(xy.tolist(), label.tolist(), strict=True)]
    middles = [
        (i, xy[label == i].median(0).values.tolist()) for i in range(len(classes)) if (label == i).any()
    ]
    return {
        "model": loaded.name,
        "points": points[::every],
        "classes": list(classes),
        "colours": list(CLASS_COLOURS),
        "names": [{"name": classes[i], "x": x, "y": y} for i, (x, y) in middles],
    }


def to_field(codes: Map, xy: Tensor) -> Tensor:
    """Layout coordinates to the field's [0, 1], y down, with a margin."""
    low, high = codes.xy.min(0).values, codes.xy.max(0).values
    unit = 0.03 + 0.94 * (xy - low) / (high - low).clamp_min(1e-6)
    return torch.stack([unit[:, 0], 1 - unit[:, 1]], 1)


def from_field(codes: Map, x: float, y: float) -> Tensor:
    """The inverse, for one point: ``(2,)``."""
    low, high = codes.xy.min(0).values, codes.xy.max(0).values
    unit = (torch.tensor([x, 1 - y]) - 0.03) / 0.94
    return low + unit * (high - low)


def film(ours: Sweep, plain: Sweep | None, stands: bool) -> list[Values]:
    """Some of the turned pictures, what is left of the turn, and what a plain VAE makes of them."""
    every = (len(ours.turned) - 1) // FILM
    rows = [
        ("Turned", "what goes in", ours.inputs, "The picture turned through the circle"),
        (
            "Straightened",
            "as people hold it" if stands else "what the encoder sees",
            ours.canonical,
            "Every turned picture straightened: all alike",
        ),
        ("Redrawn", "affine VAE", ours.reconstruction, "What the affine VAE redraws"),
    ]
    if plain is not None:
        rows.append(("Redrawn", "plain VAE", plain.reconstruction, "What the plain VAE redraws"))
    return [{"title": t, "small": s, "url": side_by_side(i[:-1:every]), "alt": a} for t, s, i, a in rows]
