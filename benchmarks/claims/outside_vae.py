"""What ``benchmarks.outside_vae`` measured: an independent library's VAE beside our plain one."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, need, of_rows
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "-ELBO, nats an image": ("nats", "{:.2f}"),
    "parameters": ("parameters", "{:,}"),
    "training, CPU seconds": ("cpu_seconds", "{:.0f}"),
}
OURS, OUTSIDE = "ours, plain", "pythae"

SIZE = Axis("parameters", "parameters", "lower", log=True)
NATS = Axis("-ELBO, nats an image", "nats", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set."""
    rows: Rows = results["rows"]
    ours, outside = (need(rows[row], "nats") for row in (OURS, OUTSIDE))
    numbers = {
        "fewer": outside - ours,
        "runs": [f"{row['nats']['n']} of {name}" for name, row in rows.items()],
    }
    plots = (Plot("", SIZE, NATS, of_rows(rows, COLUMNS, SIZE, NATS, series=str)),)
    return [describe("outside_vae", name, results, numbers, (rows, COLUMNS), plots, (OURS, OUTSIDE))]
