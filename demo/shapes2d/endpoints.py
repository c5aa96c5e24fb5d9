"""What programs can ask of the page: over HTTP, with ``gradio_client``, and as tools of a language model (MCP).

The functions' names are the endpoints' names, their docstrings the documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import gradio.events
import torch

from affinevae.model import EFFORTS, Code
from affinevae.picture import fit_picture
from demo.models.registry import Kind, Loaded, Models
from demo.shapes import lent
from demo.shapes.steering import CODE_RANGE, MAX_SEED, POSE_RANGE
from demo.shapes2d import scene as scenes
from demo.shapes2d.views import png
from demo.uploads.pictures import read_image_file
from demo.uploads.values import read_choice, read_integer, read_numbers
from weights import WeightsError


def refusing(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is wrong with a call reaches the caller as one sentence, and the log not at all."""
    try:
        return call()
    except (ValueError, WeightsError) as error:
        raise gr.Error(str(error), print_exception=False) from None


def build(models: Models) -> None:
    """The endpoints of 2D images and the list of all models, inside an open ``gr.Blocks``."""

    def encode_image(image: str, model: str, effort: str) -> dict[str, Any]:
        """Take a picture apart into its shape (z) and its orientation (pose).

        Args:
            image: a PNG, JPEG, WebP, GIF or BMP file; it is centred and scaled as the model expects.
            model: a name from list_models.
            effort: "fast", "best" (tries every angle) or "none" (takes the picture as upright).
        """
        return refusing(lambda: _encode(models.get(model), image, read_choice(effort, EFFORTS, "effort")))

    def decode_image(model: str, z: list[float], pose: list[float] | None = None) -> dict[str, Any]:
        """Draw the picture of a shape, turned by a pose.

        Args:
            model: a name from list_models.
            z: the shape, as many numbers as the model's latent_dim.
            pose: one number for each name in the model's pose, angles in radians counter-clockwise; none: upright.
        """
        return refusing(lambda: _decode(models.get(model), z, pose))

    def sample_image(model: str, seed: int = 0) -> dict[str, Any]:
        """Draw a random shape in a random orientation.

        Args:
            model: a name from list_models.
            seed: the same seed gives the same picture.
        """
        return refusing(lambda: _sample(models.get(model), read_integer(seed, "seed", 0, MAX_SEED)))

    def list_models() -> list[dict[str, Any]]:
        """List the models that can be asked, with what their codes are made of or which classes they know."""
        kinds: tuple[Kind, ...] = ("image", "shape")
        asked = [(name, kind) for kind in kinds for name in models.names(kind)]
        described = [_describe(models, name, kind) for name, kind in asked]
        described += [_describe_classifier(models, name) for name in models.classifiers()]
        described += [_describe_reader(models, name) for name in models.readers()]
        return [entry for entry in described if entry]

    listening: dict[str, Any] = {"concurrency_id": "shapes2d", "concurrency_limit": 2}
    with gr.Column(visible=False):
        asked = [
            gr.File(type="filepath", label="image"),
            gr.Textbox("affinevae-mnist", label="model"),
            gr.Textbox("fast", label="effort"),
        ]
        gr.Button().click(encode_image, asked, gr.JSON(label="code"), api_name="encode_image", **listening)
    for function in (decode_image, sample_image, list_models):
        gradio.events.api(function, **listening)


def _encode(loaded: Loaded, path: str | None, effort: Any) -> dict[str, Any]:
    if not path:
        raise ValueError("There is no picture: send a file as image.")
    model = loaded.model
    image = fit_picture(read_image_file(path), model.config.size[0], model.config.channels, loaded.fill)
    code = lent.encode(model, image, effort)
    return {
        **code_of(loaded, code),
        "input": png(image[0]),
        "canonical": png(model.straighten(image, code.pose)[0]),
        "reconstruction": png(model.decode(code.z, code.pose)[0]),
    }


def code_of(loaded: Loaded, code: Code) -> dict[str, Any]:
    """A code of one image or shape, in plain numbers."""
    modes = zip(code.modes[0], code.mode_probs[0].tolist(), strict=True)
    return {
        "model": loaded.name,
        "z": code.z[0].tolist(),
        "pose": code.pose[0].tolist(),
        "pose_names": list(loaded.model.group.names),
        "nll": float(code.nll[0]),
        "pose_nats": float(code.pose_nats[0]),
        "alternatives": [{"pose": pose.tolist(), "probability": p} for pose, p in modes if p > 0],
    }


def _decode(loaded: Loaded, z: Any, pose: Any) -> dict[str, Any]:
    model = loaded.model
    point = read_numbers(z, model.config.latent_dim, "z", -CODE_RANGE, CODE_RANGE)
    turned = pose and read_numbers(pose, model.group.dim, "pose", -POSE_RANGE, POSE_RANGE)
    image = model.decode(torch.tensor([point]), torch.tensor([turned]) if turned else None)
    return {"model": loaded.name, "z": point, "pose": turned or None, "image": png(image[0])}


def _sample(loaded: Loaded, seed: int) -> dict[str, Any]:
    point = scenes.random_point(loaded, seed)
    return {"seed": seed} | _decode(loaded, list(point.z), list(point.pose))


def _describe(models: Models, name: str, kind: Kind) -> dict[str, Any] | None:
    """None for half a checkpoint: it cannot be asked."""
    try:
        model = models.get(name, kind).model
    except WeightsError:
        return None
    config, pose = model.config, list(model.group.names)
    described = {"size": list(config.size), "channels": config.channels, "latent_dim": config.latent_dim}
    return {"name": name, "kind": kind, **described, "pose": pose, "classes": list(config.classes)}


def _describe_classifier(models: Models, name: str) -> dict[str, Any] | None:
    try:
        net = models.classifier(name).compact
    except WeightsError:
        return None
    config = net.model.config
    counts = {"parameters": net.parameters, "macs": net.macs}
    described = {"network": config.network, "size": [config.size] * 2, "channels": config.channels}
    return {"name": name, "kind": "classifier", **described, **counts, "classes": list(config.classes)}


def _describe_reader(models: Models, name: str) -> dict[str, Any] | None:
    try:
        loaded = models.reader(name)
    except WeightsError:
        return None
    plans = {plan: list(stop.factors) for stop in loaded.stops for plan in stop.names}
    config = loaded.model.config
    return {
        "name": name,
        "kind": "text",
        "longest": config.longest,
        "plans": plans,
        "classes": list(config.classes),
    }
