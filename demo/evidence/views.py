"""What the component of the tab "Evidence" is given: claims as plain values."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks.claims import Claim
from benchmarks.tools.tables import cells
from demo.types import Values


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
