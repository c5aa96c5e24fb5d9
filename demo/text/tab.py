"""The tab "Classify text": a plan decides how many vectors a text may cost, and the page shows what that changes."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
from gradio.events import Dependency

from demo.models.reader import Reader
from demo.models.registry import Models
from demo.models.stops import USUAL
from demo.tab import ModelTab, component, field, keep_panel, kindly, listening, sentence
from demo.text import examples, tables, views
from demo.text import scene as scenes
from demo.text.scene import SHORT, Findings, Reading
from demo.types import Options, Outputs, Values
from demo.uploads.texts import MAX_ROWS, MAX_TEXT, read_table_file, read_text
from demo.uploads.values import UploadError, read_integer
from training.tables import READERS
from weights import WeightsError

LABELS = {"text-imdb": "Film reviews", "text-agnews": "News topics"}
FIRST = "text-imdb"  # long texts have the most to save
NO_MODEL = (
    "There is no usable text classifier in weights/ yet: `python -m textclf.train --data imdb` makes one."
)

LEAD = (
    "Nobody keeps every word of a text in mind to judge it. Here a text is made **shorter while it is read**: the "
    "slider says how much. Less work, and most often the same answer. "
    "<small>A transformer keeps a vector a token; a plan lets the sequence shrink between its layers.</small>"
)
TABLE = (
    f"### A whole table\nA table of up to {MAX_ROWS:,} rows (CSV, TSV, JSON, Excel or Parquet) whose header names a "
    "column `text` (or `review`, `sentence`, ...). It comes back as CSV with a label and a probability in each row."
)


class ClassifyText(ModelTab[Reading, Reader]):
    """The tab's handlers."""

    name, labels, first, no_model = "text", LABELS, FIRST, NO_MODEL
    scenes = scenes
    answers = 9

    def __init__(self, models: Models) -> None:
        super().__init__(models)
        self.wanted: dict[str, bool] = {}  # visitor whose table is being classified -> go on?

    def names(self) -> list[str]:
        return self.models.readers()

    def load(self, name: str) -> Reader:
        return self.models.reader(name)

    def opening(self, name: str) -> Reading:
        """Also what the examples are called, so that the first visitor does not wait for it."""
        scenes.example_names(self.load(name))
        return super().opening(name)

    # ---- handlers ----

    def type(self, scene: Reading, event: gr.EventData) -> Outputs:
        loaded, text = self._loaded(scene), field(event, "text")
        if text is None:
            raise UploadError(f"The text is too long: it may have {MAX_TEXT:,} characters.")
        return self.show(scenes.read(loaded, read_text(text), plan=scene.plan), steered=True)

    def example(self, scene: Reading, event: gr.EventData) -> Outputs:
        loaded = self._loaded(scene)
        last = len(examples.of(loaded.model.classes)) - 1
        index = read_integer(field(event, "index"), "The example", 0, last)
        return self.show(scenes.from_example(loaded, index, scene.plan))

    def replan(self, scene: Reading, findings: Findings | None, event: gr.EventData) -> Outputs:
        """The slider moved; the text and the slider itself know already."""
        moved = scenes.with_plan(scene, self._loaded(scene), read_text(field(event, "plan")))
        seen, _, _, *rest = self.show(moved, steered=True, findings=findings)
        return [seen, gr.skip(), gr.skip(), *rest]

    # What follows an answer gives what it found as well, for the next handler and for the slider.

    def trace(self, scene: Reading | None, findings: Findings | None) -> object:
        """Where the words went, after the answer is on screen."""
        if scene is None or scene.piece is None:
            return gr.skip()
        loaded = self._loaded(scene)
        known = scenes.traced(scenes.known(findings, scene), loaded, scene.plan)
        return known, views.flow(scene, loaded, known.traces[scene.plan])

    def measure(self, scene: Reading | None, findings: Findings | None) -> object:
        """How long every plan takes."""
        if scene is None or scene.piece is None:
            return gr.skip()
        loaded = self._loaded(scene)
        known = scenes.measured(scenes.known(findings, scene), scene, loaded)
        return known, views.costs(scene, loaded, known.costs)

    def look_ahead(self, scene: Reading | None, findings: Findings | None) -> object:
        """Trace the other plans of a short text, so that the slider waits for nothing."""
        if scene is None or not 0 < scene.tokens <= SHORT:
            return gr.skip()
        loaded, known = self._loaded(scene), scenes.known(findings, scene)
        for stop in loaded.stops:
            known = scenes.traced(known, loaded, stop.name)
        return known

    def table(self, scene: Reading | None, path: str | None, request: gr.Request) -> Iterator[Values]:
        """A table, with how far it is, until it is done or its visitor stops it."""
        visitor = str(request.session_hash)
        self.wanted[visitor] = True
        try:
            if path is None:
                raise UploadError("There is no file: choose a table.")
            loaded = self._loaded(scene)
            yield {"state": "running", "done": 0, "rows": 0, "left": None}
            for news in tables.classify(loaded, scene.plan if scene else USUAL, read_table_file(path)):
                if not self.wanted[visitor]:
                    yield {"state": "cancelled"}  # again: news from before may have arrived after the first
                    return
                yield news
        except (ValueError, WeightsError) as error:
            yield {"state": "refused", "words": sentence(error)}
        finally:
            self.wanted.pop(visitor, None)

    def stop_table(self, request: gr.Request) -> object:
        """Gradio's own ``cancels`` let the work go on to its end, and the page show it."""
        visitor = str(request.session_hash)
        if visitor not in self.wanted:  # done in the meantime, which the page is told
            return gr.skip()
        self.wanted[visitor] = False
        return {"state": "cancelled"}

    # ---- what they show ----

    def show(self, scene: Reading, steered: bool = False, findings: Findings | None = None) -> Outputs:
        """Reading, text, plans, answers, costs, flow, front, keep and snippet."""
        loaded, known = self._loaded(scene), scenes.known(findings, scene)
        return [
            scene,
            views.passage(scene, loaded, steered),
            views.plans(scene, loaded),
            views.answers(scene, loaded),
            views.costs(scene, loaded, known.costs),
            views.flow(scene, loaded, known.traces.get(scene.plan)),
            views.front(scene, loaded),
            views.keep(scene, loaded),
            scenes.as_python(scene, loaded),
        ]

    def nothing(self) -> Outputs:
        skipped = super().nothing()
        return [*skipped[:3], {"note": self.no_model.replace("`", "")}, *skipped[4:]]


def build(models: Models, page: gr.Blocks, opened: gr.Tab) -> None:
    """The tab, inside the open ``page``; its first text is read when it is ``opened``."""
    tab = ClassifyText(models)
    seen, known = gr.State(None, time_to_live=6 * 3600), gr.State(None, time_to_live=6 * 3600)
    with gr.Row(elem_classes="intro"):
        gr.Markdown(LEAD, elem_classes="lead")
        picker = gr.Dropdown([], label="Model", scale=0, min_width=180, elem_id="text-model")
    with gr.Row(elem_classes="stage", equal_height=False):
        passage = component(tab.name, "passage", scale=0, min_width=280)
        with gr.Column(elem_classes="findings", min_width=300):
            plans = component(tab.name, "plans")
            answers = component(tab.name, "answers")
            costs = component(tab.name, "costs")
    flow = component(tab.name, "flow", "points", "flow")
    front = component(tab.name, "front", "points", "plot", "front")
    with gr.Column(elem_id="text-panel-table"):
        gr.Markdown(TABLE)
        upload = gr.UploadButton(
            "Upload a table", file_types=[*READERS, ".gz"], size="md", scale=0, elem_id="text-upload"
        )
        table = component(tab.name, "table", "rows", "table")
    keep, snippet = keep_panel(tab.name)

    shown = [seen, passage, plans, answers, costs, flow, front, keep, snippet]
    all_of_it = [picker, *shown]
    listen, after = listening(tab.name)

    def explain(event: Dependency) -> None:
        """Where the words went and the times follow on their own, so that the answer is on screen at once."""
        traced = event.then(kindly(tab.trace), [seen, known], [known, flow], **after)
        measured = traced.then(kindly(tab.measure), [seen, known], [known, costs], **after)
        measured.then(kindly(tab.look_ahead), [seen, known], known, **after)

    explain(page.load(tab.enter_by_link, None, all_of_it, **listen))
    explain(opened.select(tab.enter, seen, all_of_it, **listen))
    explain(picker.input(tab.pick, [seen, picker], all_of_it, **listen))
    newest: Options = {"trigger_mode": "always_last", **listen}
    for event, handler in ((passage.input, tab.type), (passage.example, tab.example)):
        explain(event(kindly(handler), seen, shown, **newest))
    explain(plans.input(kindly(tab.replan), [seen, known], shown, **newest))
    # In a lane of its own: whoever only reads is not to wait for it, nor another address's table.
    job: Options = {**listen, "concurrency_id": "text-table", "concurrency_limit": 2}
    upload.upload(tab.table, [seen, upload], table, **job)
    table.stop(tab.stop_table, None, table, **listen)
