"""What the component of the tab "Evidence" is given: claims as plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmarks.claims import Claim
from benchmarks.tools.tables import cells


def claim(found: Claim) -> dict[str, Any]:
    """Sentence, table, plots, what is behind them, and the file's own numbers."""
    return {
        "name": found.name,
        "title": found.title,
        "system": found.system,
        "sentence": found.sentence,
        "limits": found.limits,
        "notes": found.notes,
        "columns": list(found.columns),
        "rows": [{"name": name, "cells": cells(row, found.columns)} for name, row in found.rows.items()],
        "plots": [asdict(plot) for plot in found.plots],
        "series": list(found.series),
        "behind": behind(found),
        "command": found.command,
        "results": found.results,
    }


def behind(found: Claim) -> list[tuple[str, str]]:
    """What was tested, how often it was trained, and where it ran, as far as the file says."""
    facts = {
        "Tested on": found.n,
        "Runs": found.seeds,
        "Machine": found.machine,
        "Code": f"commit {found.commit}" if found.commit else "",
    }
    return [(title, text) for title, text in facts.items() if text]
