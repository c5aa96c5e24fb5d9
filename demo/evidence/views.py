"""What the component of the tab "Evidence" is given: claims as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.claims import Claim
from benchmarks.tools.tables import cells
from demo.types import Values

# What the tab opens with, as questions that somebody asks who knows none of the words.
QUESTIONS = {
    "affine_vae_mnist": "Is it worth finding the turn first?",
    "robustness_mnist": "Can a network that saw only upright pictures cope with turned ones?",
    "voxel_orientation": "Does it work for objects in space?",
    "tied_networks_cifar10_airbench": "What does a network lose that shares its kernels?",
    "text-imdb": "What does a text lose that is shortened while it is read?",
    "text_alternatives_text-agnews": "Would something simpler do as well?",
    "load": "Does this page hold when many come at once?",
}


def first(claims: Sequence[Claim]) -> list[Values]:
    """The questions whose claim is here, in order, by the name of the claim that answers."""
    known = {claim.name for claim in claims}
    return [{"name": name, "question": asked} for name, asked in QUESTIONS.items() if name in known]


def view(claim: Claim) -> Values:
    """Sentence, table, plots, what is behind them, and the file's own numbers."""
    return {
        "name": claim.name,
        "title": claim.title,
        "system": claim.system,
        "sentence": claim.sentence,
        "limits": claim.limits,
        "notes": claim.notes,
        "columns": list(claim.columns),
        "rows": [{"name": name, "cells": cells(row, claim.columns)} for name, row in claim.rows.items()],
        "plots": [asdict(plot) for plot in claim.plots],
        "series": list(claim.series),
        "behind": behind(claim),
        "command": claim.command,
        "results": claim.results,
    }


def behind(claim: Claim) -> list[tuple[str, str]]:
    """What was tested, how often it was trained, and where it ran, as far as the file says."""
    facts = {
        "Tested on": claim.n,
        "Runs": claim.seeds,
        "Machine": claim.machine,
        "Code": f"commit {claim.commit}" if claim.commit else "",
    }
    return [(title, text) for title, text in facts.items() if text]
