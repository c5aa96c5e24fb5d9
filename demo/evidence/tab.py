"""The tab "Evidence": every claim as a plot and a table, read from the files that benchmarks and evaluations wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from benchmarks.claims import RESULTS, gather
from demo.evidence import views
from demo.models.registry import available_here
from demo.tab import LISTEN, asked_tab, component, sentence, warn
from demo.uploads.values import UploadError, read_choice
from weights import WeightsError, locate
from weights.checkpoint import METRICS

NAME = "evidence"
NOTHING = "There are no results here yet: python -m benchmarks.affine_vae --data mnist measures the first."


def claims(results: Path = RESULTS) -> dict[str, Any]:
    """All claims, a sentence for every file that holds none, and no claim chosen."""
    found, refused = gather(results, measured())
    if not found and not refused:
        refused = [NOTHING]
    return {"claims": [views.claim(each) for each in found], "refused": refused, "chosen": None}


def measured() -> Iterator[Path]:
    """``metrics.json`` of the text classifiers that are here and were measured."""
    for name in available_here("textclf"):
        try:
            path = locate(name, local_files_only=True)[0] / METRICS
        except WeightsError:  # in the catalogue only
            continue
        if path.is_file():
            yield path


def open_link(query: dict[str, str]) -> Any:
    """The claims with the link's own chosen; an unknown one says so and opens all the same."""
    if asked_tab(query) != NAME:
        return gr.skip()
    value = claims()
    if asked := query.get("claim"):
        try:
            value["chosen"] = read_choice(
                asked, [each["name"] for each in value["claims"]], "The claim in the link"
            )
        except UploadError as error:
            warn(sentence(error))
    return value


def build(page: gr.Blocks, opened: gr.Tab) -> None:
    """The tab, inside the open ``page``; files are read anew each time that it is ``opened``."""
    shown = component(NAME, NAME, "points", "plot", "copy", NAME)

    def by_link(request: gr.Request) -> Any:
        return open_link(dict(request.query_params))

    page.load(by_link, None, shown, **LISTEN)
    opened.select(claims, None, shown, **LISTEN)
