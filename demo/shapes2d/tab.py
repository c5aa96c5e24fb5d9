"""The tab "Shapes in 2D": draw something tilted and see its shape and its orientation come apart."""

from __future__ import annotations

import logging
from dataclasses import replace

import gradio as gr
import plotly.graph_objects as go
from gradio.events import Dependency

from affinevae.explore import code_at, turn_sweep
from demo.models.registry import Loaded, Models
from demo.pictures import png
from demo.shapes.tab import ShapeTab
from demo.shapes2d import examples, views
from demo.shapes2d import scene as scenes
from demo.shapes2d.scene import Point, Scene
from demo.shapes2d.turning import turning
from demo.tab import component, directly, field, keep_panel, kindly, listening
from demo.types import Asked, Direct, Options, Outputs, Values
from demo.uploads.pictures import LIMITS, read_data_url
from demo.uploads.values import UploadError, read_integer, read_number

logger = logging.getLogger(__name__)

LABELS = {"affinevae-mnist": "Digits", "affinevae-fashion": "Clothes"}
FIRST = "affinevae-mnist"
NO_MODEL = "There is no usable model in weights/ yet: `python -m affinevae.train --data mnist` makes one."

CLEARED = "Nothing to look at yet: draw something, upload a picture or take an example."
TURNING = (
    "### Turn it\nThe same picture, turned through the circle: the shape stands still and the angle follows."
)
MAP = (
    "### Map\nEvery dot is a test picture, placed by its shape alone. Point to look, click to go there. "
    "<small>latent space</small>"
)
WALK = (
    "### Walk\nFrom the pinned picture to the one now: shape changes along a row, orientation down a column. "
    "<small>interpolation</small>"
)


class Shapes2D(ShapeTab[Scene]):
    """The tab's handlers."""

    name, kind, labels, first, no_model = "shapes2d", "image", LABELS, FIRST, NO_MODEL
    scenes = scenes
    answers = 6

    # ---- handlers ----

    def draw(self, scene: Scene, event: gr.EventData) -> Outputs:
        strokes = scenes.read_strokes(field(event, "strokes"))
        return self.show(self._kept(scene, scenes.from_strokes(self._loaded(scene), strokes)))

    def upload(self, scene: Scene, event: gr.EventData) -> Outputs:
        url = field(event, "url")
        if url is None:
            raise UploadError(f"The file is too large: a picture may have {LIMITS}.")
        picture = read_data_url(url)
        return self.show(self._kept(scene, scenes.from_upload(self._loaded(scene), picture)))

    def example(self, scene: Scene, event: gr.EventData) -> Outputs:
        loaded = self._loaded(scene)
        count = len(examples.names(scenes.wears_clothes(loaded.model)))
        index = read_integer(field(event, "index"), "The example", 0, count - 1)
        return self.show(self._kept(scene, scenes.from_example(loaded, index)))

    def clear(self, scene: Scene | None) -> Outputs:
        """The canvas is empty, and so is all that told of a picture: bench, plot, film, walk, keep and snippet."""
        if scene is None:
            return [gr.skip()] * 6
        return [{"note": CLEARED}, None, [], {"note": CLEARED}, {"files": [], "query": "tab=shapes2d"}, ""]

    def jump(self, scene: Scene, event: gr.EventData) -> Outputs:
        z = place(self._loaded(scene), field(event, "x"), field(event, "y"))
        return self.show(replace(scene, now=Point(z, scene.now.pose)), steered=True)

    def walk(self, scene: Scene | None) -> Values:
        """From the pinned code to the one now."""
        if scene is None:
            return gr.skip()
        return views.walk(scene, self._loaded(scene))

    def turn(self, scene: Scene | None) -> tuple[go.Figure, list[Values]] | Values:
        """The picture turned through the circle, beside the plain VAE."""
        if scene is None:
            return gr.skip()
        loaded = self._loaded(scene)
        ours = turn_sweep(loaded.model, scene.image, up=float(scenes.standing(loaded, scene.code.z)[0, 0]))
        plain = turn_sweep(loaded.plain, scene.image) if loaded.plain else None
        return turning(ours, plain), views.film(ours, plain, loaded.up is not None)

    # ---- what they show ----

    def show(self, scene: Scene, steered: bool = False) -> Outputs:
        """Scene, canvas, bench, keep and snippet; steering leaves the canvas alone."""
        loaded = self._loaded(scene)
        drawn = views.draw(scene, loaded)
        canvas = gr.skip() if steered else views.canvas(scene, loaded)
        return [
            scene,
            canvas,
            views.bench(scene, loaded, drawn),
            views.keep(scene, loaded, drawn),
            scenes.as_python(scene, loaded.model.group.names),
        ]

    def about(self, loaded: Loaded) -> Outputs:
        return [views.map_of(loaded)]


def place(loaded: Loaded, x: object, y: object) -> tuple[float, ...]:
    """The code at a place of the map, both coordinates in [0, 1]."""
    if loaded.map is None:
        raise UploadError(views.NO_MAP)
    point = views.from_field(loaded.map, read_number(x, "x", 0, 1), read_number(y, "y", 0, 1))
    return scenes.rounded(code_at(loaded.map, point)[0].tolist(), []).z


def direct_calls(models: Models) -> tuple[Direct, Direct]:
    """What the page asks while the hand is still moving."""

    def draw_code(asked: Asked) -> Values:
        loaded = models.get(str(asked["model"]))
        point = scenes.read_point(loaded.model, asked["z"], asked["pose"])
        return {"redrawn": png(views.decoded(loaded, point))}

    def peek_map(asked: Asked) -> Values:
        loaded = models.get(str(asked["model"]))
        z = place(loaded, asked["x"], asked["y"])
        return {"redrawn": png(views.decoded(loaded, Point(z, (0.0,) * loaded.model.group.dim)))}

    return directly(draw_code), directly(peek_map)


def build(models: Models, page: gr.Blocks, opened: gr.Tab) -> None:
    """The tab, inside the open ``page``; its first scene is made when it is ``opened``."""
    tab = Shapes2D(models)
    draw_code, peek_map = direct_calls(models)
    scene = gr.State(None, time_to_live=6 * 3600)
    with gr.Row(elem_classes="intro"):
        gr.Markdown(
            "Draw something tilted. The model takes it apart into **what it is** and **how it is turned**. "
            "Nobody told it which way is up.",
            elem_classes="lead",
        )
        picker = gr.Dropdown([], label="Model", scale=0, min_width=180, elem_id="shapes2d-model")
    with gr.Row(elem_classes="stage", equal_height=False):
        canvas = component(
            "shapes2d", "canvas", "file", "picture", "examples", "canvas", scale=0, min_width=280
        )
        bench = component(
            "shapes2d", "bench", "steer", "bench", server_functions=[draw_code], scale=1, min_width=300
        )
    with gr.Column(elem_id="shapes2d-panel-turn"):
        gr.Markdown(TURNING)
        with gr.Row(elem_classes="pair"):
            with gr.Column(min_width=300):
                plot = gr.Plot(show_label=False, elem_id="shapes2d-turning")
            with gr.Column(min_width=300):
                film = component("shapes2d", "strips")
    with gr.Row(equal_height=False, elem_classes="pair"):
        with gr.Column(elem_id="shapes2d-panel-map", min_width=300):
            gr.Markdown(MAP)
            plane = component("shapes2d", "map", server_functions=[peek_map])
        with gr.Column(elem_id="shapes2d-panel-walk", min_width=300):
            gr.Markdown(WALK)
            walk = component("shapes2d", "walk")
    keep, snippet = keep_panel(tab.name)

    shown = [scene, canvas, bench, keep, snippet]
    listen, after = listening(tab.name)

    def explain(event: Dependency, picture_too: bool = True) -> None:
        """What takes longer follows on its own, so that the answer itself is on screen at once."""
        event.then(kindly(tab.walk), scene, walk, **after)
        if picture_too:
            event.then(kindly(tab.turn), scene, [plot, film], **after)

    explain(page.load(tab.enter_by_link, None, [picker, *shown, plane], **listen))
    explain(opened.select(tab.enter, scene, [picker, *shown, plane], **listen))
    explain(picker.input(tab.pick, [scene, picker], [picker, *shown, plane], **listen))
    newest: Options = {"trigger_mode": "always_last", **listen}
    started = (canvas.draw, tab.draw), (canvas.upload, tab.upload), (canvas.example, tab.example)
    for event, handler in (*started, (canvas.random, tab.random)):
        explain(event(kindly(handler), scene, shown, **newest))
    explain(bench.fresh(kindly(tab.fresh), scene, shown, **newest))
    canvas.clear(tab.clear, scene, [bench, plot, film, walk, keep, snippet], **newest)
    for event, handler in ((bench.steer, tab.steer), (bench.act, tab.act), (plane.pick, tab.jump)):
        explain(event(kindly(handler), scene, shown, **newest), picture_too=False)
