"""What a visitor of the 2D tab looks at: a picture, its code, and where they have steered to.

A scene can be written as a link and read back exactly: shape numbers are kept to three decimals and angles to a
tenth of a degree, so what the link says is what the page shows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import torch
from PIL import Image
from torch import Tensor

from affinevae import AffineVAE
from affinevae.explore import latent_importance
from affinevae.picture import GRID, Stroke, draw_strokes
from demo.models.outside import as_arguments
from demo.models.registry import Loaded
from demo.pictures import smaller
from demo.shapes import steering
from demo.shapes.steering import CODE_RANGE, MAX_SEED, POSE_RANGE, read_pose, rounded_shape, write_point
from demo.shapes2d import examples
from demo.uploads.values import UploadError, read_integer, read_numbers

MAX_STROKES, MAX_POINTS = 64, 4000
MAX_NUMBERS = 60_000  # of all strokes: eight minutes of drawing


@dataclass(frozen=True)
class Point(steering.Point):
    """``pose`` as the model takes it: the angle first, in radians."""

    def tensors(self) -> tuple[Tensor, Tensor]:
        return torch.tensor([self.z]), torch.tensor([self.pose])


@dataclass(frozen=True)
class Scene(steering.Scene):
    """A picture as strokes, as an upload to look at with another model, or as neither."""

    encoded: Point
    now: Point
    pinned: Point | None = None
    strokes: tuple[Stroke, ...] = ()
    picture: Image.Image | None = None


def rounded(z: Sequence[float], pose: Sequence[float]) -> Point:
    """The nearest point that a link can carry."""
    angle = [math.radians(_degrees(a)) for a in pose[:1]]
    return Point(rounded_shape(z), (*angle, *(round(p, 3) + 0.0 for p in pose[1:])))


def _degrees(radians: float) -> float:
    return round(math.degrees(radians), 1) + 0.0


# ---- where a scene comes from ----


def look_at(
    loaded: Loaded,
    start: str,
    image: Tensor,
    strokes: tuple[Stroke, ...] = (),
    picture: Image.Image | None = None,
) -> Scene:
    """The scene of an image: encoded, nothing steered, nothing pinned."""
    code = loaded.model.encode(image)
    order = latent_importance(loaded.model, code.z).argsort(descending=True).tolist()
    point = rounded(code.z[0].tolist(), code.pose[0].tolist())
    return Scene(
        loaded.name, start, image, code, tuple(order), point, point, strokes=strokes, picture=picture
    )


def from_strokes(loaded: Loaded, strokes: tuple[Stroke, ...], start: str = "drawing") -> Scene:
    """A drawing."""
    config = loaded.model.config
    image = draw_strokes(strokes, config.size[0], config.channels, loaded.fill)
    return look_at(loaded, start, image, strokes)


def from_example(loaded: Loaded, index: int) -> Scene:
    """One of our drawings that suits the model."""
    return from_strokes(loaded, examples.example(wears_clothes(loaded.model), index), f"example-{index + 1}")


def from_upload(loaded: Loaded, picture: Image.Image) -> Scene:
    """A visitor's picture."""
    image = loaded.model.prepare([picture], loaded.fill)
    return look_at(loaded, "upload", image, picture=smaller(picture))


def from_seed(loaded: Loaded, seed: int) -> Scene:
    """A random shape in a random orientation."""
    image = loaded.model.decode(*random_point(loaded, seed).tensors())
    return replace(look_at(loaded, "sample", image), seed=seed)


def opening(loaded: Loaded) -> Scene:
    """What the page opens with: one example to look at, another one pinned."""
    return replace(from_example(loaded, 0), pinned=from_example(loaded, 1).now)


def with_model(scene: Scene, loaded: Loaded) -> Scene:
    """The same picture seen by another model; one of its own examples where it knows other things."""
    if scene.picture is not None:
        seen = from_upload(loaded, scene.picture)
    elif scene.start == "sample":
        seen = from_seed(loaded, scene.seed)
    elif scene.start == "drawing" and any(s.filled for s in scene.strokes) == wears_clothes(loaded.model):
        seen = from_strokes(loaded, scene.strokes)
    else:
        return opening(loaded)
    return replace(seen, seed=scene.seed, pinned=from_example(loaded, 1).now)


def standing(loaded: Loaded, z: Tensor) -> Tensor:
    """The poses ``(B, P)`` at which the shapes of codes ``(B, L)`` stand as people hold them; canonical if unknown."""
    pose = z.new_zeros(len(z), loaded.model.group.dim)
    if loaded.up is not None:
        pose[:, 0] = loaded.up.up(z)
    return pose


def wears_clothes(model: AffineVAE) -> bool:
    """Whether the model was trained on clothes, so that outlines are filled."""
    return "Bag" in model.config.classes


def random_point(loaded: Loaded, seed: int) -> Point:
    """A random shape and pose."""
    return rounded(*steering.random_code(loaded, seed))


# ---- steering ----


def steer(scene: Scene, loaded: Loaded, z: object, pose: object) -> Scene:
    """Where the visitor moved to; ``UploadError`` for anything but the right number of finite numbers."""
    return replace(scene, now=read_point(loaded.model, z, pose))


def random_shape(scene: Scene, loaded: Loaded, seed: int) -> Scene:
    """Another shape, turned as this one: a picture of its own."""
    point = Point(random_point(loaded, seed).z, scene.now.pose)
    drawn = look_at(loaded, "code", loaded.model.decode(*point.tensors()))
    return replace(drawn, now=point, encoded=point, seed=seed, pinned=scene.pinned)


def random_orientation(scene: Scene, loaded: Loaded, seed: int) -> Scene:
    return steering.with_orientation(scene, random_point(loaded, seed), seed)


def straighten(scene: Scene, loaded: Loaded) -> Scene:
    """The shape as people hold it."""
    pose = standing(loaded, torch.tensor([scene.now.z]))[0].tolist()
    return replace(scene, now=rounded(scene.now.z, pose))


def read_point(model: AffineVAE, z: object, pose: object) -> Point:
    """A code from outside."""
    numbers = read_numbers(z, model.config.latent_dim, "z", -CODE_RANGE, CODE_RANGE)
    turned = read_numbers(pose, model.group.dim, "pose", -POSE_RANGE, POSE_RANGE)
    return rounded(numbers, model.group.wrap(torch.tensor([turned]))[0].tolist())


def read_strokes(value: object) -> tuple[Stroke, ...]:
    """Strokes from the canvas: a list of ``{"points": [x, y, x, y, ...], "filled": bool, "grey": float}``.

    Raises:
        UploadError: it is not a drawing, or a very long one.
    """
    if (
        not isinstance(value, list)
        or len(value) > MAX_STROKES
        or not all(isinstance(s, Mapping) for s in value)
    ):
        raise UploadError(f"A drawing is a list of at most {MAX_STROKES} strokes.")
    if sum(len(s["points"]) for s in value if isinstance(s.get("points"), list)) > MAX_NUMBERS:
        raise UploadError(f"A drawing may have {MAX_NUMBERS // 2:,} points.")
    return tuple(_read_stroke(s.get("points"), s.get("filled") is True, s.get("grey", 1.0)) for s in value)


def _read_stroke(points: object, filled: bool, grey: object) -> Stroke:
    count = len(points) if isinstance(points, list) else 0
    if count % 2 or not 2 <= count <= MAX_POINTS:
        raise UploadError(f"A stroke is a list of x, y, x, y, ... with at most {MAX_POINTS} numbers.")
    xy = [round(v) for v in read_numbers(points, count, "stroke", 0, GRID - 1)]
    return Stroke(
        tuple(zip(xy[::2], xy[1::2], strict=True)), filled, read_numbers([grey], 1, "grey", 0, 1)[0]
    )


# ---- what one can take away ----


def as_query(scene: Scene, names: Sequence[str]) -> str:
    """The scene as a readable URL query."""
    start = "code" if scene.start == "upload" else scene.start
    query = {"tab": "shapes2d", "model": scene.model, "start": start}
    if scene.start == "drawing":
        query["draw"] = _write_strokes(scene.strokes)
    query |= {"seed": str(scene.seed), **_write_point(scene.now, names)}
    if scene.start == "code" and steering.is_steered(scene):  # what it was steered away from
        query |= {f"of_{key}": value for key, value in _write_point(scene.encoded, names).items()}
    if scene.pinned:
        query |= {f"pin_{key}": value for key, value in _write_point(scene.pinned, names).items()}
    return urlencode(query, safe=",~")


def from_query(query: Mapping[str, str], loaded: Loaded) -> Scene:
    """The scene that a link describes.

    Raises:
        UploadError: a value that no link of ours holds.
    """
    model = loaded.model
    seed = read_integer(query.get("seed", 0), "seed", 0, MAX_SEED)
    now, pinned = _read_point(query, model, ""), _read_point(query, model, "pin_")
    start = query.get("start", "example-1")
    count = len(examples.names(wears_clothes(model)))
    if start == "drawing":
        scene = from_strokes(loaded, _parse_strokes(query.get("draw", "")))
    elif start == "sample":
        scene = from_seed(loaded, seed)
    elif start == "code" and now:
        own = _read_point(query, model, "of_") or now
        scene = replace(look_at(loaded, "code", model.decode(*own.tensors())), encoded=own)
    elif start.startswith("example-"):
        index = read_integer(start.removeprefix("example-"), "the example in the link", 1, count)
        scene = from_example(loaded, index - 1)
    else:
        raise UploadError(
            "The link does not say what to start from: start is drawing, sample, code or example-1."
        )
    return replace(scene, seed=seed, pinned=pinned, now=now or scene.now)


def _write_point(point: Point, names: Sequence[str]) -> dict[str, str]:
    pose = {n: _degrees(p) if n == "angle" else p for n, p in zip(names, point.pose, strict=True)}
    return write_point(point.z, pose)


def _read_point(query: Mapping[str, str], model: AffineVAE, prefix: str) -> Point | None:
    if f"{prefix}z" not in query:
        return None
    limits = {name: 360 if name == "angle" else POSE_RANGE for name in model.group.names}
    degrees, *others = read_pose(query, prefix, limits)
    return read_point(model, query[f"{prefix}z"], [math.radians(degrees), *others])


def _write_strokes(strokes: Sequence[Stroke]) -> str:
    """``x.y-x.y_x.y-...``: points joined by -, strokes by _, a filled one marked with its grey: ``f75~``."""
    mark = (f"f{round(100 * s.grey)}~" if s.filled else "" for s in strokes)
    return "_".join(m + "-".join(f"{x}.{y}" for x, y in s.points) for m, s in zip(mark, strokes, strict=True))


def _parse_strokes(text: str) -> tuple[Stroke, ...]:
    try:
        strokes = []
        for part in text.split("_"):
            head, _, points = part.rpartition("~")
            xy = [int(v) for point in points.split("-") for v in point.split(".")]
            strokes.append({"points": xy, "filled": bool(head), "grey": int(head[1:]) / 100 if head else 1.0})
        return read_strokes(strokes)
    except ValueError as error:
        raise UploadError("The drawing in the link is not one of ours.") from error


def as_json(scene: Scene, names: Sequence[str]) -> str:
    """The code as a JSON document."""
    code = {
        "model": scene.model,
        "seed": scene.seed,
        "z": scene.now.z,
        "pose": dict(zip(names, scene.now.pose, strict=True)),
        "angle_degrees": _degrees(scene.now.pose[0]),
        "picture": {
            "start": scene.start,
            "z": scene.code.z[0].tolist(),
            "pose": scene.code.pose[0].tolist(),
            "nll_nats": float(scene.code.nll[0]),
            "pose_nats": float(scene.code.pose_nats[0]),
        },
    }
    return json.dumps(code, indent=2)


def as_python(scene: Scene, names: Sequence[str]) -> str:
    """A program that makes the shown picture, and encodes it again."""
    z, pose = ", ".join(f"{v:g}" for v in scene.now.z), ", ".join(f"{p:.4f}" for p in scene.now.pose)
    return f"""import torch
from affinevae import AffineVAE

model = AffineVAE.from_pretrained({as_arguments(scene.model)})
z = torch.tensor([[{z}]])
pose = torch.tensor([[{pose}]])  # {", ".join(names).replace("angle", "angle in radians")}

# This shape, turned like this, and upright: (1, C, S, S) in [0, 1]
image = model.decode(z, pose)
upright = model.decode(z)

# And back: code.z is the shape, code.pose how it is turned
code = model.encode(image)
"""
