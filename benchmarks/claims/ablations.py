"""What ``benchmarks.ablations`` measured: the training of the affine VAE with one part changed at a time."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, error, need, of_rows, unless
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "nats": ("nats", "{:.2f}"),
    "squared error": ("squared_error", "{:.2f}"),
    "k-means": ("kmeans_accuracy", "{:.3f}"),
    "5-NN": ("knn_accuracy", "{:.3f}"),
    "pose follows": ("self_consistency.within_15", "{:.1%}"),
    "poses an image": ("search_poses", "{:.1f}"),
    "CPU s": ("cpu_seconds", "{:.0f}"),
}
AS_IT_IS = "as it is"
SERIES = (AS_IT_IS, "one part changed")
EPOCHS = (10, 4, 20)  # of most rows, of the whole circle, of the plain VAE; unless the command says otherwise
# Closer rows are not told apart where there is no spread over seeds: two deviations of three runs of 20 epochs.
EVEN = 0.8  # nats
EVEN_CLUSTERS = 0.04  # k-means accuracy

NATS = Axis("-ELBO, nats an image, price of the pose included", "nats", "lower")
CLUSTERS = Axis("k-means accuracy of z", "kmeans_accuracy", "higher")
SECONDS = Axis("training, CPU seconds", "cpu_seconds", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set."""
    rows: Rows = results["rows"]
    axes = (("Nats and clusters", NATS, CLUSTERS), ("Nats and time", SECONDS, NATS))
    plots = tuple(Plot(title, x, y, of_rows(rows, COLUMNS, x, y, _series, _short)) for title, x, y in axes)
    numbers = _numbers(rows, results)
    return [describe("ablations", name, results, numbers, (rows, COLUMNS), plots, SERIES)]


def _series(row: str) -> str:
    return SERIES[row != AS_IT_IS]


def _short(row: str) -> str:
    return row.split(":")[0]


def _numbers(rows: Rows, results: dict[str, Any]) -> dict[str, Any]:
    usual = rows[AS_IT_IS]
    clusters = need(usual, "kmeans_accuracy")
    changed = {_short(row): found for row, found in rows.items() if row != AS_IT_IS}
    worse = {row: need(found, "nats") - need(usual, "nats") for row, found in changed.items()}
    spread = max(EVEN, *(2 * error(row["nats"]) for row in rows.values()))
    mixed = {row: need(found, "kmeans_accuracy") for row, found in changed.items() if worse[row] <= spread}
    options = zip(("epochs", "grid-epochs", "plain-epochs"), results["epochs"], EPOCHS, strict=True)
    return {
        "clusters": clusters,
        "costs": {
            row: worse[row] for row in sorted(worse, key=lambda row: -worse[row]) if worse[row] > spread
        },
        "mixed": {row: share for row, share in mixed.items() if share < clusters - EVEN_CLUSTERS},
        "even": [row for row in worse if abs(worse[row]) <= spread],
        "better": {row: -nats for row, nats in worse.items() if nats < -spread},
        "spread": spread,
        "one_seed": results["seeds"] == 1,
        "several": unless(results["seeds"], 1),
        "epochs": results["epochs"][0],
        "changed": [{"option": o, "value": found} for o, found, usual in options if found != usual],
    }
