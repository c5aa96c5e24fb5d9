"""What programs can ask of the page: over HTTP, with ``gradio_client``, and as tools of a language model (MCP).

A tab's endpoints stand in its ``endpoints``; the functions' names are the endpoints' names, their docstrings the
documentation. Here is what they share, and the list of all models.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec

import gradio as gr
import gradio.events

from demo.models.kinds import KINDS
from demo.models.reader import Reader
from demo.models.registry import Classifier, Loaded, Models
from demo.types import Values
from weights import WeightsError

P = ParamSpec("P")


def refusing(answer: Callable[P, Values]) -> Callable[P, Values]:
    """An endpoint: what is wrong with a call reaches the caller as one sentence, and the log not at all."""

    @functools.wraps(answer)
    def endpoint(*args: P.args, **kwargs: P.kwargs) -> Values:
        try:
            return answer(*args, **kwargs)
        except (ValueError, WeightsError) as error:
            raise gr.Error(str(error), print_exception=False) from None

    return endpoint


def build(models: Models) -> None:
    """The list of all models, inside an open ``gr.Blocks``."""

    def list_models() -> list[Values]:
        """List the models that can be asked, with what their codes are made of or which classes they know."""
        described: list[Values] = []
        for kind in KINDS:
            for name in models.listed(kind):
                with suppress(WeightsError):  # half a checkpoint cannot be asked
                    described.append({"name": name, "kind": kind, **_described(models.load(name, kind))})
        return described

    gradio.events.api(list_models, concurrency_id="list_models", concurrency_limit=8)


def _described(loaded: Loaded | Classifier | Reader) -> Values:
    if isinstance(loaded, Reader):
        plans = {plan: stop.facts.factors for stop in loaded.stops for plan in stop.names}
        return {
            "longest": loaded.model.config.longest,
            "plans": plans,
            "classes": loaded.model.config.classes,
        }
    if isinstance(loaded, Classifier):
        net, config = loaded.compact, loaded.compact.model.config
        return {
            "network": config.network,
            "size": [config.size] * 2,
            "channels": config.channels,
            "parameters": net.parameters,
            "macs": net.macs,
            "plans": {plan: stop.facts.plan._asdict() for stop in loaded.stops for plan in stop.names},
            "classes": config.classes,
        }
    vae = loaded.model.config
    return {
        "size": vae.size,
        "channels": vae.channels,
        "latent_dim": vae.latent_dim,
        "pose": loaded.model.group.names,
        "classes": vae.classes,
    }
