"""The tab "Shapes in 3D": an object in any orientation, and its shape and its orientation taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import gradio as gr
from gradio.events import Dependency

from demo.models.registry import Loaded, Models
from demo.shapes.steering import Point
from demo.shapes.tab import ShapeTab
from demo.shapes3d import examples, views
from demo.shapes3d import scene as scenes
from demo.shapes3d.scene import Scene
from demo.tab import READING_MESHES, component, directly, field, keep_panel, kindly, listening, sentence, warn
from demo.types import Asked, Direct, Options, Outputs, Values
from demo.uploads.meshes import read_cells, read_shape_url
from demo.uploads.values import UploadError, read_choice, read_integer

LABELS = {"affinevae-modelnet10": "Furniture", "affinevae-modelnet10-cube": "Furniture, quarter turns"}
FIRST = "affinevae-modelnet10"
NO_MODEL = "There is no 3D model in weights/ yet: `python -m affinevae.train --data modelnet10` makes one."

WALK = (
    "### Walk\nFrom the pinned shape to the one now: shape changes along a row, orientation down a column. "
    "<small>interpolation</small>"
)


# A refusal changes no component: the stage must hear that the waiting is over all the same.
DONE = "() => document.querySelectorAll('.solids .wait').forEach((words) => words.replaceChildren())"


class Shapes3D(ShapeTab[Scene]):
    """The tab's handlers."""

    name, kind, labels, first, no_model = "shapes3d", "shape", LABELS, FIRST, NO_MODEL
    scenes = scenes
    answers = 2

    # ---- handlers ----

    def open(self, request: gr.Request) -> Outputs:
        """Also how it is looked at; the stage keeps that itself from then on."""
        picker, scene, stage = super().open(request)
        look = scenes.Look()
        if self._linked(request):
            try:
                look = scenes.look_from_query(dict(request.query_params))
            except UploadError as error:
                warn(sentence(error))
        if isinstance(scene, Scene) and isinstance(stage, dict):
            stage = {**stage, "look": asdict(look)}
        return [picker, scene, stage, look]

    def upload(self, scene: Scene, event: gr.EventData) -> Outputs:
        loaded = self._loaded(scene)
        grid = read_shape_url(field(event, "url"), field(event, "name"), loaded.model.config.size[0])
        return self.show(self._kept(scene, scenes.from_upload(loaded, grid)))

    def example(self, scene: Scene, event: gr.EventData) -> Outputs:
        index = read_integer(field(event, "index"), "The example", 0, len(examples.names()) - 1)
        return self.show(self._kept(scene, scenes.from_example(self._loaded(scene), index)))

    def look(self, event: gr.EventData) -> scenes.Look:
        """Drawn otherwise: the stage has done so already."""
        return scenes.read_look(field(event, "level"), field(event, "style"), field(event, "view"))

    # ---- what they show ----

    def show(self, scene: Scene, steered: bool = False) -> Outputs:
        """Scene and stage."""
        return [scene, views.stage(scene, self._loaded(scene))]

    def keep(self, scene: Scene | None, look: scenes.Look) -> object:
        """Links and files, and the snippet."""
        if scene is None:
            return gr.skip()
        loaded = self._loaded(scene)
        return [views.keep(scene, loaded, look), scenes.as_python(scene, loaded.model, look)]

    def walk(self, scene: Scene | None, look: scenes.Look) -> Values:
        """From the pinned code to the one now."""
        return views.walk(scene, self._loaded(scene), look.level) if scene else gr.skip()


def direct_calls(models: Models) -> list[Direct]:
    """What the page asks while the hand is still moving, or when something is taken away."""

    def asked_for(asked: Asked) -> tuple[Loaded, Point]:
        loaded = models.get(str(asked["model"]), "shape")
        return loaded, scenes.read_point(loaded.model, asked["z"], asked["pose"])

    def draw_code(asked: Asked) -> Values:
        loaded, point = asked_for(asked)
        return {"redrawn": views.cells(scenes.decoded(loaded.model, point))}

    def draw_strips(asked: Asked) -> Values:
        loaded, point = asked_for(asked)
        latents, count = asked["latents"], loaded.model.config.latent_dim
        if not isinstance(latents, list):
            raise UploadError("The latents must be a list of whole numbers.")
        chosen = [read_integer(i, "latent", 0, count - 1) for i in latents[:count]]
        return {"strips": views.strips(loaded, point, chosen)}

    def draw_still(asked: Asked) -> Values:
        side = read_integer(asked["side"], "side", 16, 320)
        return {"url": views.still(read_cells(asked["cells"]), _look(asked), side)}

    def save_shape(asked: Asked) -> Values:
        loaded, point = asked_for(asked)
        kind = read_choice(asked["kind"], list(views.FILES), "kind")
        return {"url": views.mesh_url(scenes.decoded(loaded.model, point), kind, _look(asked))}

    return [directly(call) for call in (draw_code, draw_strips, draw_still, save_shape)]


def _look(asked: Asked) -> scenes.Look:
    look = asked["look"]
    if not isinstance(look, Mapping):
        raise UploadError("The look must say level, style and view.")
    return scenes.read_look(look["level"], look["style"], look["view"])


def build(models: Models, page: gr.Blocks, opened: gr.Tab) -> None:
    """The tab, inside the open ``page``; its first scene is made when it is ``opened``."""
    tab = Shapes3D(models)
    draw_code, draw_strips, draw_still, save_shape = direct_calls(models)
    # Two states: looking around must not undo what is steered at the same time.
    scene, look = gr.State(None, time_to_live=6 * 3600), gr.State(scenes.Look())
    with gr.Row(elem_classes="intro"):
        gr.Markdown(
            "Furniture in any orientation. The model takes it apart into **what it is** and **how it is turned**, "
            "and stands it the same way every time.",
            elem_classes="lead",
        )
        picker = gr.Dropdown([], label="Model", scale=0, min_width=180, elem_id="shapes3d-model")
    with gr.Row(elem_classes="stage", equal_height=False):
        scripts = ("view3d", "file", "examples", "steer", "stage3d")
        stage = component(
            tab.name, "stage3d", *scripts, server_functions=[draw_code, draw_strips, draw_still]
        )
    with gr.Row(equal_height=False, elem_classes="pair"):
        with gr.Column(elem_id="shapes3d-panel-walk", min_width=300):
            gr.Markdown(WALK)
            walk = component(tab.name, "walk")
        keep, snippet = keep_panel(tab.name, side_by_side=False, server_functions=[save_shape])

    shown = [scene, stage]
    listen, after = listening(tab.name)

    def explain(event: Dependency, looked: bool = False) -> None:
        """What takes longer follows on its own, so that the answer itself is on screen at once."""
        if not looked:
            event.then(None, js=DONE)
        kept = {**after, "concurrency_id": f"{tab.name}-keep"}  # must not wait for a film
        event.then(kindly(tab.keep), [scene, look], [keep, snippet], **kept)
        if not looked:
            event.then(kindly(tab.walk), [scene, look], walk, **after)

    explain(page.load(tab.enter_by_link, None, [picker, *shown, look], **listen))
    explain(opened.select(tab.enter, scene, [picker, *shown, look], **listen))
    explain(picker.input(tab.pick, [scene, picker], [picker, *shown], **listen))
    newest: Options = {"trigger_mode": "always_last", **listen}
    explain(stage.upload(kindly(tab.upload), scene, shown, **newest | READING_MESHES))
    started = (stage.example, tab.example), (stage.random, tab.random)
    for event, handler in (
        *started,
        (stage.steer, tab.steer),
        (stage.act, tab.act),
        (stage.fresh, tab.fresh),
    ):
        explain(event(kindly(handler), scene, shown, **newest))
    explain(stage.look(kindly(tab.look), None, look, **newest), looked=True)
