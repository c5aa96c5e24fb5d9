"""The tab "Start": one picture a system, made by the shipped models, each leading to its tab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import gradio as gr

from demo.models.registry import Models
from demo.start import views
from demo.tab import LISTEN, component
from demo.types import Values
from weights import WeightsError


def fill(models: Models) -> Iterator[Values]:
    """The cards by tab, one more each time; a model that is missing leaves its card without a picture."""
    cards: Values = {}
    for tab, draw in views.CARDS.items():
        with suppress(WeightsError, ValueError):
            cards[tab] = draw(models)
            yield dict(cards)


def build(models: Models, page: gr.Blocks) -> None:
    """The tab, inside the open ``page``."""

    def opened() -> Iterator[Values]:
        yield from fill(models)

    page.load(opened, None, component("start", "start"), **LISTEN)
