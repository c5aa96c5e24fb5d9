"""What the tabs share: handlers that refuse kindly, components, and how a model is chosen."""

from __future__ import annotations

import functools
import html
import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Generic, ParamSpec, Protocol, TypeVar

import gradio as gr

from demo.models.outside import label
from demo.models.registry import Models
from demo.theme import read
from demo.types import Asked, Direct, Options, Outputs, Values
from demo.uploads.values import UploadError, read_choice
from weights import WeightsError

logger = logging.getLogger(__name__)
P = ParamSpec("P")

# Every listener of a tab: eight under way at once, of which demo.server.turns lets as many work as there are cores
# for; and the page's own answers are the sign that it works.
LISTEN: Options = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 8}

# A mesh is read in a process of its own, which may take seconds; its lane keeps nobody else waiting.
READING_MESHES: Options = {"concurrency_id": "meshes", "concurrency_limit": 3}


def listening(tab: str) -> tuple[Options, Options]:
    """Options of a tab's listeners, and of what follows them: one at a time, and again if there was news meanwhile."""
    after = {"concurrency_id": f"{tab}-after", "concurrency_limit": 1, "trigger_mode": "always_last"}
    return {**LISTEN, "concurrency_id": tab}, {**LISTEN, **after}


def sentence(error: Exception) -> str:
    """What a visitor is told."""
    return str(error).strip() or "That did not work."


def warn(words: str) -> None:
    """Tell the visitor, here and nowhere else: Gradio takes a warning for HTML, and a link's text may stand in it."""
    gr.Warning(html.escape(words, quote=False))


def kindly(act: Callable[P, object]) -> Callable[P, object]:
    """A handler whose refusals become a warning: the page keeps what it shows."""

    @functools.wraps(act)
    def handler(*args: P.args, **kwargs: P.kwargs) -> object:
        try:
            return act(*args, **kwargs)
        except (ValueError, WeightsError) as error:
            logger.info("refused: %s", error)
            warn(sentence(error))
            return gr.skip()

    return handler


def directly(answer: Direct) -> Direct:
    """What a component asks past the queue while the hand is still moving; a refusal is an answer with ``refused``."""

    @functools.wraps(answer)
    def handler(asked: Asked) -> Values:
        try:
            return answer(asked)
        except (ValueError, WeightsError, KeyError, TypeError) as error:
            return {"refused": sentence(error)}

    return handler


def field(event: gr.EventData, name: str) -> object:
    """A field of what the page sent, None if it sent no such thing."""
    return event._data.get(name) if isinstance(event._data, dict) else None


def component(
    tab: str,
    name: str,
    *scripts: str,
    scale: int | None = None,
    min_width: int | None = None,
    server_functions: list[Direct] | None = None,
) -> gr.HTML:
    """One of ``demo/components``: fixed HTML, and scripts that fill it from the value; default: of the same name."""
    return gr.HTML(
        value=None,
        html_template=read(f"{name}.html"),
        js_on_load="\n".join(read(f"{script}.js") for script in ("newest", *(scripts or (name,)))),
        apply_default_css=False,
        elem_id=f"{tab}-{name.removesuffix('3d')}",
        scale=scale,
        min_width=min_width,
        server_functions=server_functions,
    )


def asked_tab(query: Mapping[str, str]) -> str:
    """The tab of a link; a picture's link from before there were tabs leads to that of pictures."""
    return query.get("tab", "shapes2d" if {"model", "z", "start"} & query.keys() else "start")


class Scene(Protocol):
    """What a visitor looks at."""

    @property
    def model(self) -> str: ...


S = TypeVar("S", bound=Scene)
L = TypeVar("L")  # a loaded model
Given = TypeVar("Given", contravariant=True)  # the same, as the protocol takes it


class Scenes(Protocol[S, Given]):
    """Where the scenes of a tab come from: its module ``scene``."""

    def opening(self, loaded: Given) -> S:
        """What the tab opens with."""

    def from_query(self, query: Mapping[str, str], loaded: Given) -> S:
        """The scene of a link; ``UploadError`` for a value that no link of ours holds."""

    def with_model(self, scene: S, loaded: Given) -> S:
        """What is looked at, seen by another model."""


class ModelTab(Generic[S, L]):
    """A tab about one model at a time: how it opens, by itself or from a link, and how another model is picked.

    A tab says where its scenes come from (``scenes``) and how one is shown.

    Args:
        models: where the pictures are looked at.
    """

    name: str  # of the tab, in links
    labels: dict[str, str]  # of models, as visitors call them
    first: str  # the model to open with
    no_model: str
    scenes: Scenes[S, L]
    answers: int  # values of ``show`` and ``about`` together

    def __init__(self, models: Models) -> None:
        self.models = models

    def names(self) -> list[str]:
        """Models that the tab can show."""
        raise NotImplementedError

    def load(self, name: str) -> L:
        """One of them; ``WeightsError`` if it cannot be used."""
        raise NotImplementedError

    def show(self, scene: S, steered: bool = False) -> Outputs:
        """The scene and the values of the components; steering leaves what came in alone."""
        raise NotImplementedError

    def about(self, loaded: L) -> Outputs:
        """Values that change with the model only."""
        return []

    def nothing(self) -> Outputs:
        """The values of both where there is no usable model."""
        return [gr.skip()] * self.answers

    def opening(self, name: str) -> S:
        """What the tab opens with, seen by a model; raises as :meth:`load`."""
        return self.scenes.opening(self.load(name))

    # ---- handlers ----

    def open(self, request: gr.Request) -> Outputs:
        """The scene of the link, or the opening one; an unusable link says so and opens all the same."""
        names = self.names()
        scene = self._from_link(dict(request.query_params), names) or self._first_good(names)
        choices = [(self.labels.get(name, name), name) for name in names]
        if scene is None:
            warn(self.no_model)
            return [gr.Dropdown(choices=choices, value=None), *self.nothing()]
        if scene.model not in names:  # opened in the tab "Your own"
            choices.append((label(scene.model), scene.model))
        about = self.about(self._loaded(scene))
        return [gr.Dropdown(choices=choices, value=scene.model), *self.show(scene), *about]

    def enter(self, scene: S | None, request: gr.Request) -> object:
        """The tab is opened by hand, perhaps not for the first time."""
        return self.open(request) if scene is None and not self._linked(request) else gr.skip()

    def enter_by_link(self, request: gr.Request) -> object:
        """The page is opened: at this tab?"""
        return self.open(request) if self._linked(request) else gr.skip()

    def _linked(self, request: gr.Request) -> bool:
        return asked_tab(dict(request.query_params)) == self.name

    def _from_link(self, query: dict[str, str], names: list[str]) -> S | None:
        if asked_tab(query) != self.name or not {"model", "z", "start"} & query.keys():
            return None
        try:
            name = query.get("model", self.first)
            if not self.models.opened(name):
                read_choice(name, names, "The model in the link")
            return self.scenes.from_query(query, self.load(name))
        except (ValueError, WeightsError) as error:
            warn(sentence(error))
            return None

    def _first_good(self, names: list[str]) -> S | None:
        """Half a checkpoint must not keep the page from opening."""
        for name in sorted(names, key=lambda n: n != self.first):
            try:
                return self.opening(name)
            except WeightsError as error:
                warn(sentence(error))
        return None

    def pick(self, scene: S | None, name: str) -> Outputs:
        """Another model is picked."""
        try:
            loaded = self.load(name)
            seen = self.scenes.with_model(scene, loaded) if scene else self.scenes.opening(loaded)
            return [gr.skip(), *self.show(seen), *self.about(loaded)]
        except (ValueError, WeightsError) as error:
            warn(sentence(error))
            return [gr.Dropdown(value=scene.model if scene else None), *[gr.skip()] * self.answers]

    def _loaded(self, scene: S | None) -> L:
        if scene is None:
            forgotten = "The page was open for a long time and has been forgotten: reload it."
            raise UploadError(forgotten if self.names() else self.no_model)
        return self.load(scene.model)


def keep_panel(
    tab: str, side_by_side: bool = True, server_functions: list[Direct] | None = None
) -> tuple[gr.HTML, gr.Code]:
    """What is on screen, to take away: links and files, some of them made when asked for, and the program."""
    with gr.Column(elem_id=f"{tab}-panel-keep", min_width=300):
        gr.Markdown("### Keep\nEverything here can be taken away or repeated in Python.")
        with gr.Row(elem_classes="pair") if side_by_side else nullcontext():
            with gr.Column(min_width=300) if side_by_side else nullcontext():
                files = component(tab, "keep", "copy", "keep", server_functions=server_functions)
            with gr.Column(min_width=300) if side_by_side else nullcontext():
                snippet = gr.Code(
                    language="python",
                    label="Do this in Python",
                    interactive=False,
                    wrap_lines=True,
                    show_line_numbers=False,
                    elem_id=f"{tab}-python",
                )
    return files, snippet
