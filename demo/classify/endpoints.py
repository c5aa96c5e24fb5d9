"""What programs can ask of the page about pictures to classify; see :mod:`demo.api`."""

from __future__ import annotations

from functools import partial

import gradio as gr

from demo import timing
from demo.api import refusing
from demo.classify import scene as scenes
from demo.models.registry import Models
from demo.types import Values
from demo.uploads.pictures import read_image_file

ENOUGH = 0.1  # seconds of measuring, after which fewer runs must do


def build(models: Models) -> None:
    """The endpoint of classifiers, inside an open ``gr.Blocks``."""

    @refusing
    def classify_image(image: str, model: str, plan: str = "balanced") -> Values:
        """Say what is in a picture, with a compact network.

        Returns the five likeliest classes with their probabilities, all classes, whether the picture is like the
        training ones (in_scope), the plan that was used, the milliseconds of one answer on this machine (median, one
        thread), and the parameters and multiply-accumulates of what ran.

        Args:
            image: a PNG, JPEG, WebP, GIF or BMP file; it is prepared as the training pictures were.
            model: a name from list_models whose kind is classifier.
            plan: how much of the network runs: "full", or another of those that list_models names.
        """
        loaded = models.classifier(model)
        if not image:
            raise ValueError("There is no picture: send a file as image.")
        net = loaded.planned(loaded.plan(plan))
        prepared = net.model.prepare([read_image_file(image)])
        answer = scenes.answer(net, prepared)
        time = timing.milliseconds(partial(net.logits, prepared), timing.ROUNDS, ENOUGH)
        return scenes.as_json(loaded.name, net.plan, answer) | {
            "milliseconds": round(time, 3),
            "parameters": net.parameters,
            "macs": net.macs,
        }

    with gr.Column(visible=False):
        asked = [
            gr.File(type="filepath", label="image"),
            gr.Textbox("cnn-cifar10", label="model"),
            gr.Textbox("balanced", label="plan"),
        ]
        gr.Button().click(
            classify_image, asked, gr.JSON(label="answer"), api_name="classify_image",
            concurrency_id="classify", concurrency_limit=8,
        )  # fmt: skip
