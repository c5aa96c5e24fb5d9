"""The page: one tab a kind of model, all in one ``gr.Blocks``."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import gradio as gr

from demo import endpoints, endpoints3d, scene, scene3d, shapes2d, shapes3d
from demo.models import Models
from demo.theme import CSS, theme
from weights import WeightsError

TABS = ("shapes2d", "shapes3d")
TITLE = "What it is, and how it is turned"


def build(models: Models | None = None) -> gr.Blocks:
    """The page, ready to launch with ``LAUNCH``. Loads no model yet."""
    models = models or Models()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.HTML(f"<h1>{TITLE}</h1>", elem_id="title", apply_default_css=False)
        with gr.Tabs() as tabs:
            with gr.Tab("Shapes in 2D", id="shapes2d"):
                shapes2d.build(models, page)
            with gr.Tab("Shapes in 3D", id="shapes3d") as third:
                shapes3d.build(models, page, third)
        page.load(choose_tab, None, tabs, show_progress="hidden", api_visibility="private")
        endpoints.build(models)
        endpoints3d.build(models)
    page.queue(max_size=64, default_concurrency_limit=4)
    return page


def warm(models: Models) -> None:
    """Look at the scenes that the tabs open with, so that the first visitor does not wait for it."""
    for first, kind, opening in (
        (shapes2d.FIRST, shapes2d.Shapes2D.kind, scene.opening),
        (shapes3d.FIRST, shapes3d.Shapes3D.kind, scene3d.opening),
    ):
        with suppress(WeightsError, ValueError):  # the visitor is told
            opening(models.get(first, kind))


def choose_tab(request: gr.Request) -> Any:
    """The tab of the link."""
    asked = dict(request.query_params).get("tab")
    return gr.Tabs(selected=asked) if asked in TABS else gr.skip()


def launch_options() -> dict[str, Any]:
    """For ``Blocks.launch``: our looks, no outside request, nothing about the server for visitors to read."""
    return {
        "theme": theme(),
        "css_paths": [CSS],
        "show_error": False,
        "max_file_size": "8mb",
        "enable_monitoring": False,
        "ssr_mode": False,
        "footer_links": ["api"],
        "run_history": False,
    }
