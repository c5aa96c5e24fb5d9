"""The tab "Classify an image": a compact network and its dense twin look at one picture."""

from __future__ import annotations

import gradio as gr
from gradio.events import Dependency

from demo.classify import examples, photos, views
from demo.classify import scene as scenes
from demo.classify.scene import Verdict
from demo.models.registry import Classifier, Models
from demo.tab import ModelTab, component, directly, field, keep_panel, kindly, listening
from demo.types import Asked, Options, Outputs, Values
from demo.uploads.pictures import LIMITS, read_data_url
from demo.uploads.values import UploadError, read_integer

LABELS = {
    "cnn-imagenet": "Anything (1,000 things)",
    "cnn-clothing": "Clothes in photos",
    "cnn-cifar10": "Animals and vehicles",
    "cnn-fashion": "Clothes, grey",
}
FIRST = "cnn-imagenet"
COMPARED = "cnn-cifar10"  # with a dense twin
NO_MODEL = (
    "There is no usable classifier in weights/ yet: `python -m classifiers.train --data cifar10` makes one."
)

LEAD = (
    "Show it a picture, and it says what is in it and where it looked. Models with a **dense twin** show two networks "
    "side by side: one whose kernels **share their weights** across channels, and one whose kernels do not."
)
MANY = (
    f"### Many photos at once\nUp to {photos.MOST:,} of them, one after the other. They come back as a table (CSV) "
    "with a label and a probability for each; none is kept here."
)


class Classify(ModelTab[Verdict, Classifier]):
    """The tab's handlers."""

    name, labels, first, no_model = "classify", LABELS, FIRST, NO_MODEL
    scenes = scenes
    answers = 12  # nine shown, three about the model

    def names(self) -> list[str]:
        return self.models.classifiers()

    def load(self, name: str) -> Classifier:
        return self.models.classifier(name)

    # ---- handlers ----

    def upload(self, seen: Verdict, event: gr.EventData) -> Outputs:
        url = field(event, "url")
        if url is None:
            raise UploadError(f"The file is too large: a picture may have {LIMITS}.")
        return self.show(scenes.look_at(self._loaded(seen), read_data_url(url), plan=seen.plan))

    def example(self, seen: Verdict, event: gr.EventData) -> Outputs:
        loaded = self._loaded(seen)
        count = len(examples.names(scenes.example_kind(loaded)))
        return self.show(
            scenes.from_example(
                loaded, read_integer(field(event, "index"), "The example", 0, count - 1), plan=seen.plan
            )
        )

    def cut(self, seen: Verdict, event: gr.EventData) -> Outputs:
        """The square that the network sees was moved."""
        return self.show(scenes.moved(seen, self._loaded(seen), scenes.read_place(field(event, "at"))))

    def replan(self, seen: Verdict, event: gr.EventData) -> Outputs:
        """The slider moved."""
        return self.show(scenes.with_plan(seen, self._loaded(seen), field(event, "plan")))

    def look(self, seen: Verdict | None) -> Values:
        """Where the networks looked, after the answer is on screen."""
        return gr.skip() if seen is None else views.looked(seen, self._loaded(seen))

    def measure(self, seen: Verdict | None) -> Values:
        """How long both take, after the answer is on screen."""
        if seen is None:
            return gr.skip()
        loaded = self._loaded(seen)
        return views.costs(seen, loaded, scenes.rounds(loaded.nets(seen.plan), seen.image))

    # ---- what they show ----

    def show(self, scene: Verdict, steered: bool = False) -> Outputs:
        """Verdict, photo, answers, plans, where they looked, costs, many photos, keep and snippet."""
        loaded = self._loaded(scene)
        return [
            scene,
            views.photo(scene, loaded),
            views.answers(scene, loaded),
            views.plans(scene, loaded),
            gr.skip(),  # follows
            views.costs(scene, loaded, None),
            views.asking(scene, loaded),
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

    def classify_photo(asked: Asked) -> Values:
        loaded = models.classifier(str(asked["model"]))
        return photos.classify(loaded, asked["plan"], read_data_url(asked["url"]))

    def sum_up(asked: Asked) -> Values:
        return photos.sum_up(asked["rows"], asked["seconds"])

    one = directly(classify_photo)

    seen = gr.State(None, time_to_live=6 * 3600)
    with gr.Row(elem_classes="intro"):
        gr.Markdown(LEAD, elem_classes="lead")
        picker = gr.Dropdown([], label="Model", scale=0, min_width=180, elem_id="classify-model")
    with gr.Row(elem_classes="stage", equal_height=False):
        scripts = ("file", "picture", "examples", "photo")
        photo = component(tab.name, "photo", *scripts, scale=0, min_width=280, server_functions=[one])
        with gr.Column(elem_classes="findings", min_width=300):
            plans = component(tab.name, "plans")
            answers = component(tab.name, "answers")
            costs = component(tab.name, "costs")
            looked = component(tab.name, "looked")
    with gr.Column(elem_id="classify-panel-many"):
        gr.Markdown(MANY)
        scripts = ("rows", "file", "picture", "photos")
        many = component(tab.name, "photos", *scripts, server_functions=[one, directly(sum_up)])
    kernels = component(tab.name, "kernels", server_functions=[directly(draw_kernels)])
    parts = component(tab.name, "parts", "points", "parts")
    front = component(tab.name, "front", "points", "plot", "front")
    keep, snippet = keep_panel(tab.name)

    shown = [seen, photo, answers, plans, looked, costs, many, keep, snippet]
    all_of_it = [picker, *shown, kernels, parts, front]
    listen, after = listening(tab.name)

    def explain(event: Dependency) -> None:
        """Where they looked and the times follow on their own, so that the answer itself is on screen at once."""
        event.then(kindly(tab.look), seen, looked, **after).then(kindly(tab.measure), seen, costs, **after)

    explain(page.load(tab.enter_by_link, None, all_of_it, **listen))
    explain(opened.select(tab.enter, seen, all_of_it, **listen))
    explain(picker.input(tab.pick, [seen, picker], all_of_it, **listen))
    newest: Options = {"trigger_mode": "always_last", **listen}
    events = (
        (photo.upload, tab.upload),
        (photo.example, tab.example),
        (photo.cut, tab.cut),
        (plans.input, tab.replan),
    )
    for event, handler in events:
        explain(event(kindly(handler), seen, shown, **newest))
