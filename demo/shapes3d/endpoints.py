"""What programs can ask of the page about shapes in 3D; see :mod:`demo.api`.

A grid travels as ``{"size": S, "bits": text}``: base64 of ``numpy.packbits(occupancy >= 0.5)`` of an (S, S, S) array
indexed x, y, z with z up, 4 KB for 32 cells a side. To read it::

    bits = np.unpackbits(np.frombuffer(base64.b64decode(grid["bits"]), np.uint8))
    occupied = bits[: grid["size"] ** 3].reshape([grid["size"]] * 3)
"""

from __future__ import annotations

import base64

import gradio as gr
import gradio.events
import numpy as np
import torch
from torch import Tensor

from affinevae.affine3d import iou
from affinevae.model import EFFORTS, Effort
from demo.api import refusing
from demo.models.registry import Loaded, Models
from demo.shapes import lent
from demo.shapes.code import code_of
from demo.shapes.steering import CODE_RANGE, MAX_SEED, POSE_RANGE, random_code
from demo.shapes3d import scene as scenes
from demo.shapes3d.views import FILES, mesh_url
from demo.tab import READING_MESHES
from demo.types import Options, Values
from demo.uploads.meshes import read_shape_file
from demo.uploads.values import read_choice, read_integer, read_numbers

FORMATS = ("grid", *FILES)


def build(models: Models) -> None:
    """The endpoints of shapes, inside an open ``gr.Blocks``."""

    @refusing
    def encode_shape(shape: str, model: str, effort: str) -> Values:
        """Take a 3D object apart into its shape (z) and its orientation (pose).

        Args:
            shape: a GLB, OBJ, STL, OFF or PLY file; it is centred, scaled and made solid as the model expects.
            model: a name from list_models whose kind is shape.
            effort: "fast", "best" (tries more rotations) or "none" (takes the object as canonical).
        """
        return _encode(models.get(model, "shape"), shape, read_choice(effort, EFFORTS, "effort"))

    @refusing
    def decode_shape(
        model: str, z: list[float], pose: list[float] | None = None, format: str = "grid"
    ) -> Values:
        """Make the object of a shape, turned by a pose.

        Args:
            model: a name from list_models whose kind is shape.
            z: the shape, as many numbers as the model's latent_dim.
            pose: one number for each name in the model's pose; rot_x, rot_y, rot_z are the axis of the turn times its
                angle in radians; none: canonical.
            format: "grid" (size, and the cells as base64 of packed bits, x slowest, z up), or "glb", "stl" or "obj"
                (a file as a data URL).
        """
        return _decode(models.get(model, "shape"), z, pose, format)

    @refusing
    def sample_shape(model: str, seed: int = 0, format: str = "grid") -> Values:
        """Make a random shape in a random orientation.

        Args:
            model: a name from list_models whose kind is shape.
            seed: the same seed gives the same object.
            format: as for decode_shape.
        """
        loaded, seed = models.get(model, "shape"), read_integer(seed, "seed", 0, MAX_SEED)
        return {"seed": seed, **_decode(loaded, *random_code(loaded, seed), format)}

    listening: Options = {"concurrency_id": "shapes3d", "concurrency_limit": 8}
    with gr.Column(visible=False):
        asked = [
            gr.File(type="filepath", label="shape"),
            gr.Textbox("affinevae-modelnet10", label="model"),
            gr.Textbox("fast", label="effort"),
        ]
        gr.Button().click(
            encode_shape, asked, gr.JSON(label="code"), api_name="encode_shape", **READING_MESHES
        )
    for function in (decode_shape, sample_shape):
        gradio.events.api(function, **listening)


def packed(grid: Tensor) -> Values:
    """``(1, 1, S, S, S)`` as its size and its full cells."""
    bits = np.packbits((grid[0, 0] >= 0.5).numpy())
    return {"size": grid.shape[-1], "bits": base64.b64encode(bits.tobytes()).decode()}


def _encode(loaded: Loaded, path: str | None, effort: Effort) -> Values:
    if not path:
        raise ValueError("There is no object: send a file as shape.")
    model = loaded.model
    grid = read_shape_file(path, model.config.size[0])
    code = lent.encode(model, grid, effort)
    redrawn = model.decode(code.z, code.pose)
    return {
        **code_of(loaded, code),
        "overlap": float(iou(grid, redrawn)),
        "input": packed(grid),
        "canonical": packed(model.straighten(grid, code.pose)),
        "reconstruction": packed(redrawn),
    }


def _decode(loaded: Loaded, z: object, pose: object, form: object) -> Values:
    model, form = loaded.model, read_choice(form, FORMATS, "format")
    point = read_numbers(z, model.config.latent_dim, "z", -CODE_RANGE, CODE_RANGE)
    turned = read_numbers(pose, model.group.dim, "pose", -POSE_RANGE, POSE_RANGE) if pose else None
    grid = model.decode(torch.tensor([point]), torch.tensor([turned]) if turned else None)
    made = {"grid": packed(grid)} if form == "grid" else {"file": mesh_url(grid, form, scenes.Look())}
    return {"model": loaded.name, "z": point, "pose": turned or None, **made}
