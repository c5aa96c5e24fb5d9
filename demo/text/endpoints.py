"""What programs can ask of the page about texts; see :mod:`demo.api`."""

from __future__ import annotations

import gradio.events

from demo import timing
from demo.api import refusing
from demo.models.registry import Models
from demo.text import scene as scenes
from demo.types import Values
from demo.uploads.texts import read_text
from demo.uploads.values import UploadError

RUNS = 3  # when time is measured, which every answer pays for
ENOUGH = 0.1  # seconds of that, after which one run or two must do


def build(models: Models) -> None:
    """The endpoint of text classifiers, inside an open ``gr.Blocks``."""

    @refusing
    def classify_text(text: str, model: str = "text-imdb", plan: str = "balanced") -> Values:
        """Say what a text is about, or whether it praises, with a classifier that shortens it between its layers.

        Returns all classes, their probabilities in the same order, the plan that was used, the milliseconds of one
        answer on this machine (median of three at most, one thread), the tokens that were read, and the
        multiply-accumulates.

        Args:
            text: at most 1,000,000 characters; the model reads as many tokens as it was trained on.
            model: a name from list_models whose kind is text.
            plan: "full" (one vector a token), "accurate", "balanced" or "fastest".
        """
        loaded = models.reader(model)
        clean, stop = read_text(text), loaded.stop(plan)
        if not clean.strip():
            raise UploadError("There is no text: send some words as text.")
        piece = scenes.tokenized(loaded, clean)
        probabilities = list(scenes.answer(loaded, stop, piece))
        time = timing.milliseconds(scenes.as_call(loaded, stop, piece), RUNS, ENOUGH)
        return {
            "classes": list(loaded.model.classes),
            "probabilities": probabilities,
            "plan": stop.name,
            "milliseconds": round(time, 3),
            "tokens": len(piece.ids),
            "macs": loaded.macs(stop, len(piece.ids)),
        }

    gradio.events.api(classify_text, concurrency_id="text", concurrency_limit=8)
