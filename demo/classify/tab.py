"""The tab "Classify an image": a compact network and its dense twin look at one picture."""

from __future__ import annotations

import gradio as gr
from gradio.events import Dependency

from demo.classify import examples, views
from demo.classify import scene as scenes
from demo.classify.scene import Verdict
from demo.models.registry import Classifier, Models
from demo.tab import ModelTab, component, directly, field, keep_panel, kindly, listening
from demo.types import Asked, Options, Outputs, Values
from demo.uploads.pictures import LIMITS, read_data_url
from demo.uploads.values import UploadError, read_integer

LABELS = {"cnn-cifar10": "Animals and vehicles", "cnn-fashion": "Clothes"}
FIRST = "cnn-cifar10"
NO_MODEL = (
    "There is no usable classifier in weights/ yet: `python -m classifiers.train --data cifar10` makes one."
)

LEAD = (
    "Show it a picture. Two networks look: one whose kernels **share their weights** across channels, and its "
    "**dense twin**, whose kernels do not."
)


class Classify(ModelTab[Verdict, Classifier]):
    """The tab's handlers."""

    name, labels, first, no_model = "classify", LABELS, FIRST, NO_MODEL
    scenes = scenes
    answers = 9  # six shown, three about the model

    def names(self) -> list[str]:
        return self.models.classifiers()

    def load(self, name: str) -> Classifier:
        return self.models.classifier(name)

    # ---- handlers ----

    def upload(self, seen: Verdict, event: gr.EventData) -> Outputs:
        url = field(event, "url")
        if url is None:
            raise UploadError(f"The file is too large: a picture may have {LIMITS}.")
        return self.show(scenes.look_at(self._loaded(seen), read_data_url(url)))

    def example(self, seen: Verdict, event: gr.EventData) -> Outputs:
        loaded = self._loaded(seen)
        count = len(examples.names(scenes.wears_clothes(loaded)))
        return self.show(
            scenes.from_example(loaded, read_integer(field(event, "index"), "The example", 0, count - 1))
        )

    def measure(self, seen: Verdict | None) -> Values:
        """How long both take, after the answer is on screen."""
        if seen is None:
            return gr.skip()
        loaded = self._loaded(seen)
        return views.costs(loaded, scenes.milliseconds(loaded.nets, seen.image))

    # ---- what they show ----

    def show(self, scene: Verdict, steered: bool = False) -> Outputs:
        """Verdict, photo, answers, costs, keep and snippet."""
        loaded = self._loaded(scene)
        return [
            scene,
            views.photo(scene, loaded),
            views.answers(scene, loaded),
            views.costs(loaded, None),
            views.keep(scene),
            scenes.as_python(scene),
        ]

    def about(self, loaded: Classifier) -> Outputs:
        return [views.kernel_layers(loaded), views.parts(loaded), views.front(loaded)]

    def nothing(self) -> Outputs:
        skipped = super().nothing()
        return [*skipped[:2], {"note": self.no_model.replace("`", "")}, *skipped[3:]]


def build(models: Models, page: gr.Blocks, opened: gr.Tab) -> None:
    """The tab, inside the open ``page``; its first picture is looked at when it is ``opened``."""
    tab = Classify(models)

    def draw_kernels(asked: Asked) -> Values:
        return views.draw_layer(models.classifier(str(asked["model"])), str(asked["layer"]))

    seen = gr.State(None, time_to_live=6 * 3600)
    with gr.Row(elem_classes="intro"):
        gr.Markdown(LEAD, elem_classes="lead")
        picker = gr.Dropdown([], label="Model", scale=0, min_width=180, elem_id="classify-model")
    with gr.Row(elem_classes="stage", equal_height=False):
        photo = component(tab.name, "photo", "file", "picture", "examples", "photo", scale=0, min_width=280)
        with gr.Column(elem_classes="findings", min_width=300):
            answers = component(tab.name, "answers")
            costs = component(tab.name, "costs")
    kernels = component(tab.name, "kernels", server_functions=[directly(draw_kernels)])
    parts = component(tab.name, "parts", "points", "parts")
    front = component(tab.name, "front", "points", "plot", "front")
    keep, snippet = keep_panel(tab.name)

    shown = [seen, photo, answers, costs, keep, snippet]
    all_of_it = [picker, *shown, kernels, parts, front]
    listen, after = listening(tab.name)

    def explain(event: Dependency) -> None:
        """Times follow on their own, so that the answer itself is on screen at once."""
        event.then(kindly(tab.measure), seen, costs, **after)

    explain(page.load(tab.enter_by_link, None, all_of_it, **listen))
    explain(opened.select(tab.enter, seen, all_of_it, **listen))
    explain(picker.input(tab.pick, [seen, picker], all_of_it, **listen))
    newest: Options = {"trigger_mode": "always_last", **listen}
    for event, handler in ((photo.upload, tab.upload), (photo.example, tab.example)):
        explain(event(kindly(handler), seen, shown, **newest))
