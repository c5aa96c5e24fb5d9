"""What programs can ask of the page about pictures in 2D; see :mod:`demo.api`."""

from __future__ import annotations

import gradio as gr
import gradio.events
import torch

from affinevae.model import EFFORTS, Effort
from demo.api import refusing
from demo.models.registry import Loaded, Models
from demo.pictures import png
from demo.shapes import lent
from demo.shapes.code import code_of
from demo.shapes.steering import CODE_RANGE, MAX_SEED, POSE_RANGE
from demo.shapes2d import scene as scenes
from demo.types import Options, Values
from demo.uploads.pictures import read_image_file
from demo.uploads.values import read_choice, read_integer, read_numbers


def build(models: Models) -> None:
    """The endpoints of 2D images, inside an open ``gr.Blocks``."""

    @refusing
    def encode_image(image: str, model: str, effort: str) -> Values:
        """Take a picture apart into its shape (z) and its orientation (pose).

        Args:
            image: a PNG, JPEG, WebP, GIF or BMP file; it is centred and scaled as the model expects.
            model: a name from list_models.
            effort: "fast", "best" (tries every angle) or "none" (takes the picture as upright).
        """
        return _encode(models.get(model), image, read_choice(effort, EFFORTS, "effort"))

    @refusing
    def decode_image(model: str, z: list[float], pose: list[float] | None = None) -> Values:
        """Draw the picture of a shape, turned by a pose.

        Args:
            model: a name from list_models.
            z: the shape, as many numbers as the model's latent_dim.
            pose: one number for each name in the model's pose, angles in radians counter-clockwise; none: upright.
        """
        return _decode(models.get(model), z, pose)

    @refusing
    def sample_image(model: str, seed: int = 0) -> Values:
        """Draw a random shape in a random orientation.

        Args:
            model: a name from list_models.
            seed: the same seed gives the same picture.
        """
        loaded, seed = models.get(model), read_integer(seed, "seed", 0, MAX_SEED)
        point = scenes.random_point(loaded, seed)
        return {"seed": seed, **_decode(loaded, point.z, point.pose)}

    listening: Options = {"concurrency_id": "shapes2d", "concurrency_limit": 8}
    with gr.Column(visible=False):
        asked = [
            gr.File(type="filepath", label="image"),
            gr.Textbox("affinevae-mnist", label="model"),
            gr.Textbox("fast", label="effort"),
        ]
        gr.Button().click(encode_image, asked, gr.JSON(label="code"), api_name="encode_image", **listening)
    for function in (decode_image, sample_image):
        gradio.events.api(function, **listening)


def _encode(loaded: Loaded, path: str | None, effort: Effort) -> Values:
    if not path:
        raise ValueError("There is no picture: send a file as image.")
    model = loaded.model
    image = model.prepare([read_image_file(path)], loaded.fill)
    code = lent.encode(model, image, effort)
    return {
        **code_of(loaded, code),
        "input": png(image[0]),
        "canonical": png(model.straighten(image, code.pose)[0]),
        "reconstruction": png(model.decode(code.z, code.pose)[0]),
    }


def _decode(loaded: Loaded, z: object, pose: object) -> Values:
    model = loaded.model
    point = read_numbers(z, model.config.latent_dim, "z", -CODE_RANGE, CODE_RANGE)
    turned = read_numbers(pose, model.group.dim, "pose", -POSE_RANGE, POSE_RANGE) if pose else None
    image = model.decode(torch.tensor([point]), torch.tensor([turned]) if turned else None)
    return {"model": loaded.name, "z": point, "pose": turned or None, "image": png(image[0])}
