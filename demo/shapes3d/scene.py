"""What a visitor of the 3D tab looks at: an object, its code, and where they have steered to; and how they look at it.

A pose is shown as yaw, pitch and roll in degrees, to a tenth, and the model's rotation vector is computed from
them: what the link says is what the page shows. They are a view of the rotation only; nothing is inferred in them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import torch
import torch.nn.functional as F
from torch import Tensor

from affinevae import AffineVAE
from affinevae.explore import ROTATION, latent_importance, rotation_vector, yaw_pitch_roll
from affinevae.render import CAMERA
from demo.models.outside import as_arguments
from demo.models.registry import Loaded
from demo.shapes import steering
from demo.shapes.steering import (
    CODE_RANGE,
    MAX_SEED,
    POSE_RANGE,
    Point,
    read_pose,
    rounded_shape,
    write_point,
)
from demo.shapes3d import examples
from demo.uploads.values import UploadError, read_choice, read_integer, read_number, read_numbers
from weights.kept import kept_with_first

if TYPE_CHECKING:
    from affinevae.voxels import Style  # whose import takes half a second

TURNS = ("yaw", "pitch", "roll")
STYLES: tuple[Style, ...] = ("surface", "blocks")
LEVELS = 0.05, 0.95
VIEW = (*(round(math.degrees(a), 1) for a in CAMERA), 1.0)


@dataclass(frozen=True)
class Look:
    """How the object is drawn: where the surface lies, smooth or not, and from where it is seen.

    ``view`` is azimuth and elevation in degrees, and magnification.
    """

    level: float = 0.5
    style: Style = "surface"
    view: steering.Numbers = VIEW


Scene = steering.Scene  # its ``image`` is the occupancy grid (1, 1, S, S, S) as it came


# ---- poses as the page shows them ----


def pose_names(model: AffineVAE) -> tuple[str, ...]:
    """Names of the shown numbers: turns in degrees, then shifts and scale as the model takes them."""
    names: tuple[str, ...] = model.group.names
    if names[:3] == ROTATION:
        return (*TURNS, *names[3:])
    return tuple("yaw" if name == "angle" else name for name in names)


def point(model: AffineVAE, z: Sequence[float], pose: Sequence[float]) -> Point:
    """The nearest point that a link can carry, from the numbers that the page shows."""
    shown = [round(p, 1 if n in TURNS else 3) + 0.0 for n, p in zip(pose_names(model), pose, strict=True)]
    asked = Point(rounded_shape(z), tuple(shown))
    taken = from_code(model, *(t[0].tolist() for t in tensors(model, asked)))
    # A group that has not every rotation takes the nearest: show that one. The others keep the visitor's numbers.
    return taken if model.group.name.startswith("cube") else asked


def from_code(model: AffineVAE, z: Sequence[float], pose: Sequence[float]) -> Point:
    """The nearest point that a link can carry, from a pose as the model has it."""
    turned = torch.tensor([list(pose)], dtype=torch.float64)
    count = _turns(model)
    angles = yaw_pitch_roll(turned[:, :3]) if count == 3 else turned[:, :count]
    turns = [round(a, 1) + 0.0 for a in angles.rad2deg()[0].tolist()]
    return Point(rounded_shape(z), (*turns, *(round(p, 3) + 0.0 for p in turned[0, count:].tolist())))


def tensors(model: AffineVAE, shown: Point) -> tuple[Tensor, Tensor]:
    """Code (1, L) and pose (1, P) as the model takes them."""
    count = _turns(model)
    angles = torch.tensor([shown.pose[:count]], dtype=torch.float64).deg2rad()
    turned = rotation_vector(angles) if count == 3 else angles
    pose = torch.cat([turned, torch.tensor([shown.pose[count:]], dtype=torch.float64)], 1).float()
    return torch.tensor([shown.z]), model.group.wrap(pose) if model.group.dim else pose


def _turns(model: AffineVAE) -> int:
    """How many numbers of the pose are angles."""
    return 3 if model.group.names[:3] == ROTATION else int("angle" in model.group.names)


# ---- where a scene comes from ----


@kept_with_first(8)
def order(loaded: Loaded) -> tuple[int, ...]:
    """Latents, those that matter most first: the same for every object, so that no slider changes its place."""
    middle = torch.zeros(1, loaded.model.config.latent_dim)
    return tuple(latent_importance(loaded.model, middle).argsort(descending=True).tolist())


def look_at(loaded: Loaded, start: str, grid: Tensor) -> Scene:
    """The scene of a grid: encoded, nothing steered, nothing pinned."""
    code = loaded.model.encode(grid)
    shown = from_code(loaded.model, code.z[0].tolist(), code.pose[0].tolist())
    return Scene(loaded.name, start, grid, code, order(loaded), shown, shown)


def from_example(loaded: Loaded, index: int) -> Scene:
    """One of our objects, turned by a rotation that the model knows."""
    model = loaded.model
    pose = (*examples.tilt(index)[: _turns(model)], *(0.0 for _ in model.group.names[_turns(model) :]))
    turned = point(model, [0.0] * model.config.latent_dim, pose)
    matrix = model.pose_matrix(tensors(model, turned)[1])[0].tolist()
    grid = examples.example(index, model.config.size[0], tuple(map(tuple, matrix)))
    return look_at(loaded, f"example-{index + 1}", grid)


def from_upload(loaded: Loaded, grid: Tensor) -> Scene:
    """A visitor's object, at the size of the model."""
    if grid.shape[2:] != loaded.model.config.size:
        grid = F.interpolate(grid, loaded.model.config.size, mode="trilinear", align_corners=False)
    return look_at(loaded, "upload", grid)


def from_seed(loaded: Loaded, seed: int) -> Scene:
    """A random shape in a random orientation."""
    grid = decoded(loaded.model, random_point(loaded, seed))
    return replace(look_at(loaded, "sample", grid), seed=seed)


@kept_with_first(8)
def opening(loaded: Loaded) -> Scene:
    """What the tab opens with: one example to look at, another one pinned; without examples two samples."""
    if len(examples.names()) > 1:
        return replace(from_example(loaded, 0), pinned=from_example(loaded, 1).now)
    return replace(from_seed(loaded, 0), pinned=random_point(loaded, 1))


def with_model(scene: Scene, loaded: Loaded) -> Scene:
    """The same object seen by another model."""
    first = opening(loaded)
    if scene.start == "upload":
        seen = from_upload(loaded, scene.image)
    elif scene.start == "sample":
        seen = from_seed(loaded, scene.seed)
    elif scene.start.startswith("example-"):
        seen = from_example(loaded, int(scene.start.removeprefix("example-")) - 1)
    else:
        return first
    return replace(seen, seed=scene.seed, pinned=first.now)


def random_point(loaded: Loaded, seed: int) -> Point:
    """A random shape and pose."""
    return from_code(loaded.model, *steering.random_code(loaded, seed))


def decoded(model: AffineVAE, shown: Point) -> Tensor:
    """The grid of a code, ``(1, 1, S, S, S)``."""
    return model.decode(*tensors(model, shown))


# ---- steering ----


def steer(scene: Scene, loaded: Loaded, z: object, pose: object) -> Scene:
    """Where the visitor moved to; ``UploadError`` for anything but the right number of finite numbers."""
    return replace(scene, now=read_point(loaded.model, z, pose))


def random_shape(scene: Scene, loaded: Loaded, seed: int) -> Scene:
    """Another shape, turned as this one: an object of its own."""
    made = Point(random_point(loaded, seed).z, scene.now.pose)
    drawn = look_at(loaded, "code", decoded(loaded.model, made))
    return replace(drawn, now=made, encoded=made, seed=seed, pinned=scene.pinned)


def random_orientation(scene: Scene, loaded: Loaded, seed: int) -> Scene:
    return steering.with_orientation(scene, random_point(loaded, seed), seed)


def straighten(scene: Scene, loaded: Loaded) -> Scene:
    """The shape as the model stands it."""
    return replace(scene, now=replace(scene.now, pose=(0.0,) * len(scene.now.pose)))


def read_look(level: object, style: object, view: object) -> Look:
    """How to draw, from outside."""
    azimuth, elevation, zoom = read_numbers(view, 3, "view", -360, 360)
    return Look(
        round(read_number(level, "level", *LEVELS), 2),
        read_choice(style, STYLES, "style"),
        (round(azimuth, 1), round(elevation, 1), round(read_number(zoom, "zoom", 0.2, 5), 2)),
    )


def read_point(model: AffineVAE, z: object, pose: object) -> Point:
    """A code from outside, its pose in the numbers that the page shows."""
    numbers = read_numbers(z, model.config.latent_dim, "z", -CODE_RANGE, CODE_RANGE)
    shown = read_numbers(pose, model.group.dim, "pose", -360, 360)
    others = read_numbers(
        shown[_turns(model) :], model.group.dim - _turns(model), "pose", -POSE_RANGE, POSE_RANGE
    )
    return point(model, numbers, [*shown[: _turns(model)], *others])


# ---- what one can take away ----


def as_query(scene: Scene, model: AffineVAE, look: Look) -> str:
    """The scene as a readable URL query."""
    names = pose_names(model)
    start = "code" if scene.start == "upload" else scene.start
    query = {"tab": "shapes3d", "model": scene.model, "start": start, "seed": str(scene.seed)}
    query |= _write_point(scene.now, names)
    if scene.start == "code" and steering.is_steered(scene):  # what it was steered away from
        query |= {f"of_{key}": value for key, value in _write_point(scene.encoded, names).items()}
    if scene.pinned:
        query |= {f"pin_{key}": value for key, value in _write_point(scene.pinned, names).items()}
    query |= {"level": f"{look.level:g}", "style": look.style, "view": ",".join(f"{v:g}" for v in look.view)}
    return urlencode(query, safe=",")


def from_query(query: Mapping[str, str], loaded: Loaded) -> Scene:
    """The scene that a link describes.

    Raises:
        UploadError: a value that no link of ours holds.
    """
    model = loaded.model
    now = _read_point(query, model, "")
    seed = read_integer(query.get("seed", 0), "seed", 0, MAX_SEED)
    pinned = _read_point(query, model, "pin_")
    start = query.get("start", "example-1")
    if start == "sample":
        scene = from_seed(loaded, seed)
    elif start == "code" and now:
        own = _read_point(query, model, "of_") or now
        scene = replace(look_at(loaded, "code", decoded(model, own)), encoded=own)
    elif start.startswith("example-") and examples.names():
        index = start.removeprefix("example-")
        count = len(examples.names())
        scene = from_example(loaded, read_integer(index, "The example in the link", 1, count) - 1)
    else:
        raise UploadError("The link does not say what to start from: start is sample, code or example-1.")
    return replace(scene, seed=seed, pinned=pinned, now=now or scene.now)


def look_from_query(query: Mapping[str, str]) -> Look:
    """How the link looks at its scene; ``UploadError`` for a value that no link of ours holds."""
    return read_look(query.get("level", 0.5), query.get("style", "surface"), query.get("view", VIEW))


def _write_point(shown: Point, names: Sequence[str]) -> dict[str, str]:
    return write_point(shown.z, dict(zip(names, shown.pose, strict=True)))


def _read_point(query: Mapping[str, str], model: AffineVAE, prefix: str) -> Point | None:
    if f"{prefix}z" not in query:
        return None
    limits = {name: 360 if name in TURNS else POSE_RANGE for name in pose_names(model)}
    return read_point(model, query[f"{prefix}z"], read_pose(query, prefix, limits))


def as_json(scene: Scene, model: AffineVAE) -> str:
    """The code as a JSON document."""
    pose = tensors(model, scene.now)[1][0].tolist()
    code = {
        "model": scene.model,
        "seed": scene.seed,
        "z": scene.now.z,
        "pose": dict(zip(model.group.names, pose, strict=True)),
        "turned_degrees": dict(zip(pose_names(model), scene.now.pose[: _turns(model)], strict=False)),
        "object": {
            "start": scene.start,
            "z": scene.code.z[0].tolist(),
            "pose": scene.code.pose[0].tolist(),
            "nll_nats": float(scene.code.nll[0]),
            "pose_nats": float(scene.code.pose_nats[0]),
        },
    }
    return json.dumps(code, indent=2)


def as_python(scene: Scene, model: AffineVAE, look: Look) -> str:
    """A program that makes the shown object, and encodes it again."""
    z = ", ".join(f"{v:g}" for v in scene.now.z)
    pose = ", ".join(f"{p:.4f}" for p in tensors(model, scene.now)[1][0].tolist())
    return f"""import torch
from affinevae import AffineVAE
from affinevae.voxels import to_mesh

model = AffineVAE.from_pretrained({as_arguments(scene.model)})
z = torch.tensor([[{z}]])
pose = torch.tensor([[{pose}]])  # {", ".join(model.group.names)}; angles in radians

# This shape, turned like this, and canonical: occupancy (1, 1, S, S, S) in [0, 1], z up
grid = model.decode(z, pose)
canonical = model.decode(z)
to_mesh(grid, level={look.level:g}, style="{look.style}").export("shape.stl")

# And back: code.z is the shape, code.pose how it is turned
code = model.encode(grid)
"""
