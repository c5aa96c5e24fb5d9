"""What ``benchmarks.training_time`` measured: accuracy of three networks after equal training time."""

from __future__ import annotations

import shlex
from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, data_title, describe, need, of_rows, unless
from benchmarks.claims.tied_networks import DENSE, NARROW, TIED
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "accuracy": ("accuracy", "{:.2%}"),
    "validation": ("validation", "{:.2%}"),
    "epochs": ("epochs", "{}"),
    "CPU s": ("cpu_seconds", "{:.0f}"),
    "parameters": ("parameters", "{:,}"),
}
NETWORKS = ("airbench@0.7:blueprint", "airbench@0.25", "airbench@0.5")  # unless the command says otherwise
EPOCHS = (3, 10, 30)
SECONDS = Axis("training, CPU seconds", "cpu_seconds", log=True)
ACCURACY = Axis("test accuracy", "accuracy", "higher", percent=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set; the first network is the tied one."""
    rows: Rows = results["rows"]
    tied, narrow, *dense = results["networks"]  # a dense twin, where there was time for one

    def series(row: str) -> str:
        return {tied: TIED, narrow: NARROW}.get(rows[row]["network"], DENSE)

    over = {network: _over(rows, tied, network) for network in (narrow, *dense)}
    last = list(over[narrow].values())[-1]
    numbers = {
        "tied": tied,
        "narrow": narrow,
        "dense": dense[0] if dense else None,
        "ahead": sum(points > 0 for points in over[narrow].values()),
        "budgets": len(over[narrow]),
        "last": last,
        "seconds": list(over[narrow])[-1],
        "over_narrow": over[narrow],
        "over_dense": over[dense[0]] if dense else None,
        "few": results["examples"],
        "few_test": results["test"],
        "one_seed": results["seeds"] == 1,
        "pictures": data_title(results["data"]),
        "other_networks": shlex.join(results["networks"]) if tuple(results["networks"]) != NETWORKS else None,
        "other_epochs": " ".join(map(str, results["epochs"])) if tuple(results["epochs"]) != EPOCHS else None,
        "other_seeds": unless(results["seeds"], 1),
    }
    plots = (Plot("", SECONDS, ACCURACY, of_rows(rows, COLUMNS, SECONDS, ACCURACY, series), lines=True),)
    return [describe("training_time", name, results, numbers, (rows, COLUMNS), plots, (TIED, DENSE, NARROW))]


def _over(rows: Rows, tied: str, other: str) -> dict[str, float]:
    """Points of the tied network over another one at each budget of processor seconds."""
    at = {
        network: {row["budget"]: need(row, "accuracy") for row in rows.values() if row["network"] == network}
        for network in (tied, other)
    }
    return {
        f"{budget:.0f} s": 100 * (right - at[other][budget])
        for budget, right in at[tied].items()
        if budget is not None and budget in at[other]
    }
