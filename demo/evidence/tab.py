"""The tab "Evidence": every claim as a plot and a table, read from the files that benchmarks and evaluations wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from benchmarks.claims import RESULTS, gather
from demo.evidence import views
from demo.models.registry import available_here
from demo.tab import LISTEN, asked_tab, component, sentence, warn
from demo.types import Values
from demo.uploads.values import UploadError, read_choice
from weights import WeightsError, locate
from weights.checkpoint import METRICS

NAME = "evidence"
NOTHING = "There are no results here yet: python -m benchmarks.affine_vae --data mnist measures the first."


def claims(results: Path = RESULTS, asked: str | None = None) -> Values:
    """All claims, a sentence for every file that holds none, and which is chosen; an unknown one is said."""
    known, refused = gather(results, measured())
    if not known and not refused:
        refused = [NOTHING]
    chosen = None
    if asked:
        try:
            chosen = read_choice(asked, [claim.name for claim in known], "The claim in the link")
        except UploadError as error:
            warn(sentence(error))
    return {
        "first": views.first(known),
        "claims": [views.view(claim) for claim in known],
        "refused": refused,
        "chosen": chosen,
    }


def measured() -> Iterator[Path]:
    """``metrics.json`` of the text classifiers that are here and were measured."""
    for name in available_here("textclf"):
        try:
            path = locate(name, local_files_only=True)[0] / METRICS
        except WeightsError:  # in the catalogue only
            continue
        if path.is_file():
            yield path


def build(page: gr.Blocks, opened: gr.Tab) -> None:
    """The tab, inside the open ``page``; files are read anew each time that it is ``opened``."""
    shown = component(NAME, NAME, "points", "plot", "copy", NAME)

    def by_link(request: gr.Request) -> Values:
        """The claims with the link's own chosen."""
        query = dict(request.query_params)
        return claims(asked=query.get("claim")) if asked_tab(query) == NAME else gr.skip()

    page.load(by_link, None, shown, **LISTEN)
    opened.select(claims, None, shown, **LISTEN)
