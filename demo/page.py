"""The page: one tab a kind of model, all in one ``gr.Blocks``."""

from __future__ import annotations

from contextlib import suppress

import gradio as gr

from demo import api
from demo.classify import endpoints as endpoints_classify
from demo.classify import tab as classify
from demo.evidence import tab as evidence
from demo.models.kinds import KINDS, Kind
from demo.models.registry import Models
from demo.shapes2d import endpoints
from demo.shapes2d import tab as shapes2d
from demo.shapes3d import endpoints as endpoints3d
from demo.shapes3d import tab as shapes3d
from demo.start import tab as start
from demo.tab import asked_tab
from demo.text import endpoints as endpoints_text
from demo.text import tab as classify_text
from demo.theme import CSS, theme
from demo.types import Options
from demo.uploads.texts import MAX_TABLE_BYTES
from demo.yourown import tab as yourown
from weights import WeightsError

TABS = ("start", "shapes2d", "shapes3d", "classify", "text", "evidence", "yourown")
TITLE = "Try neural networks that store nothing twice"


def build(models: Models | None = None) -> gr.Blocks:
    """The page, ready to launch with ``LAUNCH``. Loads no model yet."""
    models = models or Models()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.HTML(f"<h1>{TITLE}</h1>", elem_id="title", apply_default_css=False)
        with gr.Tabs(overflow_behavior="wrap") as tabs:
            with gr.Tab("Start", id="start"):
                start.build(models, page)
            with _tab("image") as second:
                shapes2d.build(models, page, second)
            with _tab("shape") as third:
                shapes3d.build(models, page, third)
            with _tab("classifier") as images:
                classify.build(models, page, images)
            with _tab("text") as texts:
                classify_text.build(models, page, texts)
            with gr.Tab("Evidence", id="evidence") as claims:
                evidence.build(page, claims)
            with gr.Tab("Your own", id="yourown"):
                yourown.build(models, page)
        page.load(choose_tab, None, tabs, show_progress="hidden", api_visibility="private")
        endpoints.build(models)
        api.build(models)
        endpoints3d.build(models)
        endpoints_classify.build(models)
        endpoints_text.build(models)
    page.queue(api_open=False, default_concurrency_limit=4)  # served, demo.server.turns takes its place
    return page


def _tab(kind: Kind) -> gr.Tab:
    about = KINDS[kind]
    return gr.Tab(about.title, id=about.tab)


def warm(models: Models) -> None:
    """Look at the scenes that the tabs open with, so that the first visitor does not wait for it."""
    for shown in yourown.TABS.values():
        tab = shown(models)
        with suppress(WeightsError, ValueError):  # the visitor is told
            tab.opening(tab.first)


def choose_tab(request: gr.Request) -> object:
    """The tab of the link."""
    asked = asked_tab(dict(request.query_params))
    return gr.Tabs(selected=asked) if asked in TABS else gr.skip()


def launch_options() -> Options:
    """For ``Blocks.launch``: our looks, no outside request, nothing about the server for visitors to read."""
    return {
        "theme": theme(),
        "css_paths": [CSS],
        "show_error": False,
        "max_file_size": MAX_TABLE_BYTES,  # of an upload; demo.uploads holds the rest to less
        "enable_monitoring": False,
        "ssr_mode": False,
        "footer_links": ["api"],
        "run_history": False,
    }
