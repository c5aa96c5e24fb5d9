"""The tab "Shapes in 2D": draw something tilted and see its shape and its orientation come apart."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from affinevae.explore import code_at, turn_sweep
from demo import examples, views
from demo import scene as scenes
from demo.figures import turning
from demo.models import Loaded, Models
from demo.scene import MAX_SEED, Point, Scene
from demo.theme import read
from demo.uploads import LIMITS, UploadError, read_choice, read_data_url, read_integer, read_number
from weights import WeightsError

logger = logging.getLogger(__name__)

LABELS = {"affinevae-mnist": "Digits", "affinevae-fashion": "Clothes"}
FIRST = "affinevae-mnist"
NO_MODEL = "There is no usable model in weights/ yet: `python -m affinevae.train --data mnist` makes one."

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
KEEP = "### Keep\nEverything here can be taken away or repeated in Python."


def sentence(error: Exception) -> str:
    """What a visitor is told."""
    return str(error).strip() or "That did not work."


def kindly(act: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose refusals become a warning: the page keeps what it shows."""

    @functools.wraps(act)
    def handler(*args: Any) -> Any:
        try:
            return act(*args)
        except (ValueError, WeightsError) as error:
            logger.info("refused: %s", error)
            gr.Warning(sentence(error))
            return gr.skip()

    return handler


class Shapes2D:
    """The tab's handlers. Every one takes the visitor's scene and gives the values of all components.

    Args:
        models: where the pictures are looked at.
    """

    def __init__(self, models: Models) -> None:
        self.models = models

    # ---- handlers ----

    def open(self, request: gr.Request) -> list[Any]:
        """The scene of the link, or the opening one; an unusable link says so and opens all the same."""
        names = self.models.names()
        scene = self._from_link(dict(request.query_params), names) or self._first_good(names)
        choices = [(LABELS.get(name, name), name) for name in names]
        if scene is None:
            gr.Warning(NO_MODEL)
            return [gr.Dropdown(choices=choices, value=None), *[gr.skip()] * 6]
        loaded = self.models.get(scene.model)
        return [gr.Dropdown(choices=choices, value=scene.model), *self.show(scene), views.map_of(loaded)]

    def _from_link(self, query: dict[str, str], names: list[str]) -> Scene | None:
        if not {"model", "z", "start"} & query.keys():
            return None
        try:
            loaded = self.models.get(read_choice(query.get("model", FIRST), names, "The model in the link"))
            return scenes.from_query(query, loaded)
        except (ValueError, WeightsError) as error:
            gr.Warning(sentence(error))
            return None

    def _first_good(self, names: list[str]) -> Scene | None:
        """Half a checkpoint must not keep the page from opening."""
        for name in sorted(names, key=lambda n: n != FIRST):
            try:
                return scenes.opening(self.models.get(name))
            except WeightsError as error:
                gr.Warning(sentence(error))
        return None

    def pick(self, scene: Scene | None, name: str) -> list[Any]:
        try:
            loaded = self.models.get(name)
            seen = scenes.with_model(scene, loaded) if scene else scenes.opening(loaded)
            return [gr.skip(), *self.show(seen), views.map_of(loaded)]
        except (ValueError, WeightsError) as error:
            gr.Warning(sentence(error))
            return [gr.Dropdown(value=scene.model if scene else None), *[gr.skip()] * 6]

    def draw(self, scene: Scene, event: gr.EventData) -> list[Any]:
        strokes = scenes.read_strokes(_field(event, "strokes"))
        return self.show(
            scenes.from_strokes(self._loaded(scene), strokes, seed=scene.seed, pinned=scene.pinned)
        )

    def upload(self, scene: Scene, event: gr.EventData) -> list[Any]:
        url = _field(event, "url")
        if url is None:
            raise UploadError(f"The file is too large: a picture may have {LIMITS}.")
        picture = read_data_url(url)
        return self.show(
            scenes.from_upload(self._loaded(scene), picture, seed=scene.seed, pinned=scene.pinned)
        )

    def example(self, scene: Scene, event: gr.EventData) -> list[Any]:
        loaded = self._loaded(scene)
        count = len(examples.names(scenes.wears_clothes(loaded.model)))
        index = read_integer(_field(event, "index"), "The example", 0, count - 1)
        return self.show(scenes.from_example(loaded, index, seed=scene.seed, pinned=scene.pinned))

    def random(self, scene: Scene) -> list[Any]:
        return self.show(scenes.from_seed(self._loaded(scene), _next(scene.seed), pinned=scene.pinned))

    def steer(self, scene: Scene, event: gr.EventData) -> list[Any]:
        loaded = self._loaded(scene)
        return self.show(scenes.steer(scene, loaded, _field(event, "z"), _field(event, "pose")), steered=True)

    def act(self, scene: Scene, event: gr.EventData) -> list[Any]:
        loaded, seed = self._loaded(scene), _next(scene.seed)
        acts: dict[str, Callable[[], Scene]] = {
            "shape": lambda: scenes.random_shape(scene, loaded, seed),
            "orientation": lambda: scenes.random_orientation(scene, loaded, seed),
            "seed": lambda: scenes.random_shape(
                scene, loaded, read_integer(_field(event, "seed"), "The seed", 0, MAX_SEED)
            ),
            "straighten": lambda: scenes.straighten(scene),
            "reset": lambda: scenes.reset(scene),
            "pin": lambda: scenes.pin(scene),
        }
        return self.show(acts[read_choice(_field(event, "act"), list(acts), "The button")](), steered=True)

    def jump(self, scene: Scene, event: gr.EventData) -> list[Any]:
        z = place(self._loaded(scene), _field(event, "x"), _field(event, "y"))
        return self.show(replace(scene, now=Point(z, scene.now.pose)), steered=True)

    def walk(self, scene: Scene) -> Any:
        """From the pinned code to the one now."""
        return views.walk(scene, self._loaded(scene))

    def turn(self, scene: Scene) -> tuple[go.Figure, Any]:
        """The picture turned through the circle, beside the plain VAE."""
        loaded = self._loaded(scene)
        ours = turn_sweep(loaded.model, scene.image)
        plain = turn_sweep(loaded.plain, scene.image) if loaded.plain else None
        return turning(ours, plain), views.film(ours, plain)

    # ---- what they show ----

    def show(self, scene: Scene, steered: bool = False) -> list[Any]:
        """Scene, canvas, bench, keep and snippet; steering leaves the canvas alone."""
        loaded = self._loaded(scene)
        canvas = gr.skip() if steered else views.canvas(scene, loaded)
        return [
            scene,
            canvas,
            views.bench(scene, loaded),
            views.keep(scene, loaded),
            scenes.as_python(scene, loaded.model.group.names),
        ]

    def _loaded(self, scene: Scene | None) -> Loaded:
        if scene is None:
            raise UploadError("The page was open for a long time and has been forgotten: reload it.")
        return self.models.get(scene.model)


def place(loaded: Loaded, x: Any, y: Any) -> tuple[float, ...]:
    """The code at a place of the map, both coordinates in [0, 1]."""
    if loaded.map is None:
        raise UploadError(views.NO_MAP)
    point = views.from_field(loaded.map, read_number(x, "x", 0, 1), read_number(y, "y", 0, 1))
    return scenes.rounded(code_at(loaded.map, point)[0].tolist(), []).z


def _field(event: gr.EventData, name: str) -> Any:
    """A field of what the page sent, None if it sent no such thing."""
    return event._data.get(name) if isinstance(event._data, dict) else None


def _next(seed: int) -> int:
    return seed + 1 if seed < MAX_SEED else 0


def direct_calls(models: Models) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What the page asks while the hand is still moving, past the queue. Refusals are an answer without picture."""

    def draw_code(asked: Any) -> dict[str, str]:
        def draw() -> str:
            loaded = models.get(asked["model"])
            point = scenes.read_point(loaded.model, asked["z"], asked["pose"])
            return views.png(views.decoded(loaded, point))

        return _answer(draw)

    def peek_map(asked: Any) -> dict[str, str]:
        def draw() -> str:
            loaded = models.get(asked["model"])
            z = place(loaded, asked["x"], asked["y"])
            return views.png(views.decoded(loaded, Point(z, (0.0,) * loaded.model.group.dim)))

        return _answer(draw)

    return draw_code, peek_map


def _answer(draw: Callable[[], str]) -> dict[str, str]:
    try:
        return {"redrawn": draw()}
    except (ValueError, WeightsError, KeyError, TypeError) as error:
        return {"refused": sentence(error)}


def component(name: str, **options: Any) -> gr.HTML:
    """One of ``demo/components``: fixed HTML, and a script that fills it from the value."""
    return gr.HTML(
        value=None,
        html_template=read(f"{name}.html"),
        js_on_load=read(f"{name}.js"),
        apply_default_css=False,
        elem_id=f"shapes2d-{name}",
        **options,
    )


def build(models: Models, page: gr.Blocks) -> None:
    """The tab, inside the open ``page``."""
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
        canvas = component("canvas", scale=0, min_width=280)
        bench = component("bench", server_functions=[draw_code], scale=1, min_width=300)
    with gr.Column(elem_id="shapes2d-panel-turn"):
        gr.Markdown(TURNING)
        with gr.Row(elem_classes="pair"):
            with gr.Column(min_width=300):
                plot = gr.Plot(show_label=False, elem_id="shapes2d-turning")
            with gr.Column(min_width=300):
                film = component("strips")
    with gr.Row(equal_height=False, elem_classes="pair"):
        with gr.Column(elem_id="shapes2d-panel-map", min_width=300):
            gr.Markdown(MAP)
            field = component("map", server_functions=[peek_map])
        with gr.Column(elem_id="shapes2d-panel-walk", min_width=300):
            gr.Markdown(WALK)
            walk = component("walk")
    with gr.Column(elem_id="shapes2d-panel-keep"):
        gr.Markdown(KEEP)
        with gr.Row(elem_classes="pair"):
            with gr.Column(min_width=300):
                keep = component("keep")
            with gr.Column(min_width=300):
                snippet = gr.Code(
                    language="python",
                    label="Do this in Python",
                    interactive=False,
                    wrap_lines=True,
                    show_line_numbers=False,
                    elem_id="shapes2d-python",
                )

    shown = [scene, canvas, bench, keep, snippet]
    listen: dict[str, Any] = {
        "show_progress": "hidden",
        "api_visibility": "private",
        "concurrency_id": "shapes2d",
        "concurrency_limit": 2,
    }

    def explain(event: Any, picture_too: bool = True) -> None:
        """What takes longer follows on its own, so that the answer itself is on screen at once."""
        event.then(kindly(tab.walk), scene, walk, **listen)
        if picture_too:
            event.then(kindly(tab.turn), scene, [plot, film], **listen)

    explain(page.load(tab.open, None, [picker, *shown, field], **listen))
    explain(picker.input(tab.pick, [scene, picker], [picker, *shown, field], **listen))
    newest: dict[str, Any] = {"trigger_mode": "always_last", **listen}
    started = (canvas.draw, tab.draw), (canvas.upload, tab.upload), (canvas.example, tab.example)
    for event, handler in (*started, (canvas.random, tab.random)):
        explain(event(kindly(handler), scene, shown, **newest))
    for event, handler in ((bench.steer, tab.steer), (bench.act, tab.act), (field.pick, tab.jump)):
        explain(event(kindly(handler), scene, shown, **newest), picture_too=False)
