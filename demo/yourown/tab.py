"""The tab "Your own": the commands that train a model on what a visitor has, and a door for models from elsewhere."""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.classify.tab import Classify
from demo.models.kinds import Kind
from demo.models.outside import Guest
from demo.models.registry import Models
from demo.shapes2d.tab import Shapes2D
from demo.shapes3d.tab import Shapes3D
from demo.tab import LISTEN, ModelTab, component, directly, field, sentence
from demo.text.tab import ClassifyText
from demo.types import Asked, Json, Options, Outputs, Values
from demo.uploads.values import UploadError, read_choice
from demo.yourown import commands, views
from weights import WeightsError
from weights.checkpoint import one_line
from weights.hub import within

TABS: dict[Kind, type[ModelTab[Any, Any]]] = {
    "image": Shapes2D, "shape": Shapes3D, "classifier": Classify, "text": ClassifyText,
}  # fmt: skip
PATIENCE = 120.0  # seconds for a model to arrive and load
NOT_HERE = "Only the owner of this page can open other models on it. At home you can: `python app.py`."
TRAIN = "### Train one\nSay what you have, and copy the commands. They run on your own machine."
OPEN = "### Open one\nThe models that are here, shipped or put into `weights/`, and what is known of them."
logger = logging.getLogger(__name__)


class YourOwn:
    """The tab's handlers."""

    def __init__(self, models: Models) -> None:
        self.models = models

    def write(self, asked: Asked) -> Values:
        """The steps for what was answered, and how long training takes where that is known."""
        kind, answers = read_choice(asked["kind"], list(commands.KINDS), "What you have"), asked["answers"]
        steps: list[Values] = [step._asdict() for step in commands.write(kind, answers)]
        return {"steps": steps, "time": commands.duration(kind, answers, views.paces())}

    def describe(self, asked: Asked) -> Values:
        """The card of a model."""
        return {"card": views.card(self.models, asked["name"])}

    def fill(self, request: gr.Request) -> Outputs:
        """The questions, and the models that there are."""
        return [{"kinds": views.form()}, self._door(request)]

    def _door(self, request: gr.Request, **news: Json) -> Values:
        allowed = self.models.policy.allows(request.headers)
        at_home = allowed != "none" and self.models.policy.at_home
        return {"allowed": allowed, "entries": views.entries(self.models, at_home), **news}

    def open(self, event: gr.EventData, request: gr.Request) -> Iterator[Values]:
        """A model from elsewhere, with how it goes; its card at the end."""
        if self.models.policy.allows(request.headers) == "none":
            yield self._door(request, refused=NOT_HERE.replace("`", ""))
            return
        yield self._door(request, doing="Looking for it. From the Hub it can take a minute …")
        try:
            guest = within(PATIENCE, lambda: self._open(field(event, "asked")))
            yield self._door(request, card=views.card(self.models, guest.name))
        except (UploadError, WeightsError, ValueError) as error:
            logger.info("refused: %s", error)
            yield self._door(request, refused=sentence(error))
        except concurrent.futures.TimeoutError:
            late = f"It has not come in {PATIENCE:.0f} seconds: try again, what has arrived is kept."
            yield self._door(request, refused=late)

    def _open(self, asked: object) -> Guest:
        """Load a model and show it once to nobody, so that a tab never opens with one that cannot be shown."""
        guest = self.models.open(asked, self.models.policy)
        try:
            TABS[guest.kind](self.models).opening(guest.name)
        except (WeightsError, UploadError):
            raise
        except Exception as error:
            logger.warning("%s cannot be used", guest.name, exc_info=error)
            raise WeightsError(f"It loads, but it cannot be used ({one_line(error)}).") from error
        return guest


def build(models: Models, page: gr.Blocks) -> None:
    """The tab, inside the open ``page``."""
    tab = YourOwn(models)
    with gr.Column(elem_id="yourown-panel-train"):
        gr.Markdown(TRAIN)
        form = component("yourown", "train", "copy", "train", server_functions=[directly(tab.write)])
    with gr.Column(elem_id="yourown-panel-open"):
        gr.Markdown(OPEN)
        door = component("yourown", "open", "copy", "open", server_functions=[directly(tab.describe)])
    page.load(tab.fill, None, [form, door], **LISTEN)
    # One at a time: a model may take all the memory that there is for it.
    one: Options = {**LISTEN, "concurrency_id": "yourown-open", "concurrency_limit": 1}
    door.open(tab.open, None, door, **one)
