"""What the components of the 3D tab are given: grids as base64 bytes that the browser draws, small pictures, files."""

from __future__ import annotations

import base64
import math
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from affinevae.affine3d import iou
from affinevae.explore import latent_strips, walk_frames, walk_grid
from affinevae.picture import to_gif
from affinevae.render import CAMERA, over, render
from demo.models.registry import Loaded
from demo.pictures import data_url, png, side_by_side
from demo.shapes.steering import NO_PIN, REACH, Point, is_steered
from demo.shapes.walking import laid_out, leads_nowhere
from demo.shapes3d import examples
from demo.shapes3d import scene as scenes
from demo.shapes3d.scene import Look, Scene
from demo.types import Values
from weights.kept import kept_with_first

STRIP, STRIP_SIDE = 5, 48  # pictures over a slider's range, and their pixels
THUMBNAIL = 72
NEAR = 2.0  # degrees: two objects turned alike
SAME = "The pinned shape is the one now: pick another, or steer, and a walk leads there."
ROWS, COLUMNS, CELL = 3, 6, 96  # of the walk
FRAMES, FILM_SIDE = 8, 128  # a quarter of the film, and its pixels
PAPER = (0.945, 0.953, 0.965)  # of films, which cannot be transparent
FILES = {"glb": "model/gltf-binary", "stl": "model/stl", "obj": "model/obj"}


def cells(grid: Tensor) -> str:
    """``(..., S, S, S)`` in [0, 1] as base64 of one byte a cell, x slowest; ``read_cells`` is the inverse."""
    return base64.b64encode((grid.clamp(0, 1) * 255).round().to(torch.uint8).numpy().tobytes()).decode()


def stage(scene: Scene, loaded: Loaded) -> Values:
    """Everything about the object and its code: grids, sliders, alternatives, price, and how it is looked at."""
    model, code = loaded.model, scene.code
    now = scenes.decoded(model, scene.now)
    reach = max(REACH, float(math.ceil(max(map(abs, scene.now.z)))))
    grids = {"came": scene.image, "straight": model.straighten(scene.image, code.pose), "redrawn": now}
    if scene.pinned:
        grids["pinned"] = scenes.decoded(model, scene.pinned)
    own = now
    if is_steered(scene):
        own = grids["own"] = scenes.decoded(model, scene.encoded)
    modes = zip(code.modes[0].tolist(), code.mode_probs[0].tolist(), strict=True)
    return {
        "model": scene.model,
        "names": list(scenes.pose_names(model)),
        "z": list(scene.now.z),
        "pose": list(scene.now.pose),
        "order": list(scene.order),
        "reach": reach,
        "values": torch.linspace(-reach, reach, STRIP).tolist(),
        "size": model.config.size[0],
        "grids": {name: cells(grid) for name, grid in grids.items()},
        "modes": [
            {"pose": scenes.from_code(model, [], pose).pose, "probability": p}
            for pose, p in modes
            if p > 0.02
        ],
        "nats": {"shape": float(code.nll[0]), "pose": float(code.pose_nats[0])},
        "overlap": float(iou(scene.image, own)),
        "seed": scene.seed,
        "steered": is_steered(scene),
        "pin": "Unpin" if scene.pinned == scene.now else "Pin",
        "examples": thumbnails(loaded),
    }


def strips(loaded: Loaded, point: Point, latents: list[int]) -> Values:
    """Canonical pictures over the range of some sliders, by latent."""
    z, _ = scenes.tensors(loaded.model, point)
    reach = max(REACH, float(math.ceil(z.abs().max())))
    grids = latent_strips(loaded.model, z, None, torch.linspace(-reach, reach, STRIP), latents)
    pictures = render(grids.flatten(0, 1), STRIP_SIDE).unflatten(0, grids.shape[:2])
    return {str(latent): side_by_side(row) for latent, row in zip(latents, pictures, strict=True)}


def still(grid: Tensor, look: Look, side: int) -> str:
    """A picture for browsers that draw no 3D."""
    camera = torch.tensor([look.view[:2]]).deg2rad()
    return png(render(grid, side, camera, look.level)[0])


@kept_with_first(8)
def thumbnails(loaded: Loaded) -> list[Values]:
    """The examples, as they are before they are turned."""
    size, upright = loaded.model.config.size[0], tuple(map(tuple, np.eye(3).tolist()))
    names = examples.names()
    if not names:
        return []
    grids = torch.cat([examples.example(i, size, upright) for i in range(len(names))])
    return [{"name": n, "url": png(p)} for n, p in zip(names, render(grids, THUMBNAIL), strict=True)]


def walk(scene: Scene, loaded: Loaded, level: float) -> Values:
    """From the pinned code to the one now, as pictures and as a film in which the camera goes round."""
    if scene.pinned is None:
        return {"note": NO_PIN.replace("picture", "shape")}
    if leads_nowhere(scene.pinned, scene.now, NEAR):
        return {"note": SAME}
    return _walk(loaded, scene.pinned, scene.now, level)


@kept_with_first(8)
def _walk(loaded: Loaded, pinned: Point, now: Point, level: float) -> Values:
    ends = scenes.tensors(loaded.model, pinned), scenes.tensors(loaded.model, now)
    grids, ways = laid_out(walk_grid(loaded.model, *ends, ROWS, COLUMNS), pinned, now, NEAR)
    rows = render(grids.flatten(0, 1), CELL, level=level).unflatten(0, grids.shape[:2])
    frames = walk_frames(loaded.model, *ends, FRAMES)
    around = CAMERA[0] + torch.arange(len(frames)) * (2 * math.pi / len(frames))
    cameras = torch.stack([around, torch.full_like(around, CAMERA[1])], 1)
    film = over(render(frames, FILM_SIDE, cameras, level), PAPER)
    return {
        **ways,
        "grid": png(torch.cat([torch.cat(list(row), -1) for row in rows], -2)),
        "gif": data_url(to_gif(film, milliseconds=80), "image/gif"),
    }


def mesh_url(grid: Tensor, kind: str, look: Look) -> str:
    """A grid as a file of that kind, as a data URL. GLB is y up, as glTF asks; the others stay z up."""
    from affinevae.voxels import to_mesh  # half a second to import, which the page's start does not wait for

    mesh = to_mesh(grid[0, 0], look.level, look.style)
    if kind == "glb":
        mesh.vertices = mesh.vertices[:, [0, 2, 1]] * (1, 1, -1)
    file = mesh.export(file_type=kind)
    return data_url(file if isinstance(file, bytes) else str(file).encode(), FILES[kind])


def keep(scene: Scene, loaded: Loaded, look: Look) -> Values:
    """What can be taken away: meshes, made when asked for, the code, a link."""
    ask: Values = {"model": scene.model, "z": scene.now.z, "pose": scene.now.pose, "look": asdict(look)}
    files: list[Values] = [
        {"name": f"shape.{kind}", "label": f"Redrawn ({kind.upper()})", "ask": {**ask, "kind": kind}}
        for kind in FILES
    ]
    code = data_url(scenes.as_json(scene, loaded.model).encode(), "application/json")
    files.append({"name": "code.json", "label": "Code (JSON)", "url": code})
    return {"files": files, "query": scenes.as_query(scene, loaded.model, look)}
