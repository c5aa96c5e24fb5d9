"""What programs can ask of the page: over HTTP, with ``gradio_client``, and as tools of a language model (MCP).

A tab's endpoints stand in its ``endpoints``; the functions' names are the endpoints' names, their docstrings the
documentation. Here is what they share, and the list of all models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import gradio.events

from demo.models.kinds import ShapeKind
from demo.models.registry import Models
from weights import WeightsError


def refusing(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is wrong with a call reaches the caller as one sentence, and the log not at all."""
    try:
        return call()
    except (ValueError, WeightsError) as error:
        raise gr.Error(str(error), print_exception=False) from None


def build(models: Models) -> None:
    """The list of all models, inside an open ``gr.Blocks``."""

    def list_models() -> list[dict[str, Any]]:
        """List the models that can be asked, with what their codes are made of or which classes they know."""
        kinds: tuple[ShapeKind, ...] = ("image", "shape")
        asked = [(name, kind) for kind in kinds for name in models.names(kind)]
        described = [_describe(models, name, kind) for name, kind in asked]
        described += [_describe_classifier(models, name) for name in models.classifiers()]
        described += [_describe_reader(models, name) for name in models.readers()]
        return [entry for entry in described if entry]

    gradio.events.api(list_models, concurrency_id="list_models", concurrency_limit=2)


def _describe(models: Models, name: str, kind: ShapeKind) -> dict[str, Any] | None:
    """None for half a checkpoint: it cannot be asked."""
    try:
        model = models.get(name, kind).model
    except WeightsError:
        return None
    config, pose = model.config, list(model.group.names)
    described = {"size": list(config.size), "channels": config.channels, "latent_dim": config.latent_dim}
    return {"name": name, "kind": kind, **described, "pose": pose, "classes": list(config.classes)}


def _describe_classifier(models: Models, name: str) -> dict[str, Any] | None:
    try:
        net = models.classifier(name).compact
    except WeightsError:
        return None
    config = net.model.config
    counts = {"parameters": net.parameters, "macs": net.macs}
    described = {"network": config.network, "size": [config.size] * 2, "channels": config.channels}
    return {"name": name, "kind": "classifier", **described, **counts, "classes": list(config.classes)}


def _describe_reader(models: Models, name: str) -> dict[str, Any] | None:
    try:
        loaded = models.reader(name)
    except WeightsError:
        return None
    plans = {plan: list(stop.factors) for stop in loaded.stops for plan in stop.names}
    config = loaded.model.config
    return {
        "name": name,
        "kind": "text",
        "longest": config.longest,
        "plans": plans,
        "classes": list(config.classes),
    }
