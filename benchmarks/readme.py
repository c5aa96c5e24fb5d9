"""Fill the tables of the README and of ``docs/`` from ``benchmarks/results``; a test holds the two equal.

python -m benchmarks.readme
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    affine_vae,
    latent_size,
    network_costs,
    pose_search,
    robustness,
    tied_networks,
    voxel_orientation,
)
from benchmarks.tables import table

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "report.md")
BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def comparison(results: dict[str, Any]) -> str:
    """Affine against plain VAE."""
    rows = results["rows"]
    return table(affine_vae.as_table(rows), dict.fromkeys(rows, "{}"))


def curve(results: dict[str, Any]) -> str:
    """-ELBO over latent sizes, and the plain VAE's size for the same -ELBO."""
    rows = {
        f"{'affine' if row['affine'] else 'plain'}, {row['latents']} latents": row
        for row in results["rows"].values()
    }
    needed = results["plain_latents_needed"]
    for row in rows.values():
        row["plain latents for the same"] = needed.get(str(row["latents"])) if row["affine"] else None
    columns = {k: v for k, v in latent_size.COLUMNS.items() if k != "latents"}
    return table(rows, {**columns, "plain latents for the same": "{:.1f}"})


def searches(results: dict[str, Any]) -> str:
    """Pose searches on one model."""
    return table(results["rows"], pose_search.COLUMNS)


def turned(results: dict[str, Any]) -> str:
    """Train upright, test turned."""
    return table(results["rows"], robustness.COLUMNS)


def voxels(results: dict[str, Any]) -> str:
    """Shapes in unknown orientation, affine against plain."""
    return table(voxel_orientation.as_table(results["rows"]), dict.fromkeys(voxel_orientation.COLUMNS, "{}"))


def costs(results: dict[str, Any]) -> str:
    """Every listed network beside its dense twin."""
    return table(results["rows"], network_costs.COLUMNS)


def ties(results: dict[str, Any]) -> str:
    """Accuracy, size and latency of networks trained alike."""
    return table(results["rows"], tied_networks.COLUMNS)


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "affine_vae": comparison,
    "latent_size": curve,
    "network_costs": costs,
    "pose_search": searches,
    "robustness": turned,
    "tied_networks": ties,
    "voxel_orientation": voxels,
}


def render(text: str) -> str:
    """The text with every marked table drawn anew from ``results/NAME.json``; NAME begins with the table's kind."""

    def fill(match: re.Match[str]) -> str:
        name = match.group(2)
        kind = next(k for k in TABLES if name.startswith(k))
        return (
            match.group(1)
            + TABLES[kind](json.loads((RESULTS / f"{name}.json").read_text()))
            + "\n"
            + match.group(3)
        )

    return BLOCK.sub(fill, text)


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(render(document.read_text()))
