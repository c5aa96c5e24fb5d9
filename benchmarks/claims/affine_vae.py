"""What ``benchmarks.affine_vae`` measured: an affine VAE beside a plain one of as many numbers and as much compute."""

from __future__ import annotations

from typing import Any

from affinevae.card import ROWS as MEASURES
from benchmarks.claims.claim import Axis, Claim, Plot, describe, need, of_rows, unless
from benchmarks.tools.tables import Columns, Rows, cell, plainly

COLUMNS: Columns = {
    **{title: (key, form) for title, key, form in MEASURES},
    "training, CPU seconds": ("cpu_seconds", "{:.0f}"),
}
TOLD = {
    title: COLUMNS[title]
    for title, (key, _) in COLUMNS.items()
    if key in ("nats", "squared_error", "kmeans_accuracy", "knn_accuracy", "angle_leakage", "cpu_seconds")
}  # what a point tells: as much as fits on a phone
AFFINE, PLAIN, MOMENTS = SERIES = ("affine VAE", "plain VAE", "pose from moments")
EPOCHS = (20, 22, 40)  # affine, with moments and plain, unless the command says otherwise
TESTED, SEEDS = 10_000, 3

NATS = Axis("-ELBO, nats an image, price of the pose included", "nats", "lower")
CLUSTERS = Axis("k-means accuracy of z", "kmeans_accuracy", "higher")
NEIGHBOURS = Axis("5-NN accuracy of z", "knn_accuracy", "higher")
LEAKAGE = Axis("angle leaking into z, R² (0: none)", "angle_leakage", "lower")
SQUARED = Axis("squared error, summed over pixels", "squared_error", "lower")
SECONDS = Axis("training, CPU seconds", "cpu_seconds", "lower")
PLOTS = (
    ("Nats and clusters", NATS, CLUSTERS),
    ("Angle and shape", LEAKAGE, NEIGHBOURS),
    ("Error and time", SECONDS, SQUARED),
)


def as_table(summaries: Rows) -> Rows:
    """One row a measure, one column a model."""
    found = {
        title: {model: cell(s[key], form) for model, s in summaries.items() if key in s}
        for title, (key, form) in COLUMNS.items()
    }
    return {title: row for title, row in found.items() if row}


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set; its first row of each model is the comparison."""
    rows: Rows = results["rows"]
    ours, plain, moments = (next((r for r in rows.values() if r["model"] == kind), None) for kind in SERIES)
    if ours is None or plain is None:
        raise KeyError("affine VAE" if ours is None else "plain VAE")
    epochs = tuple(results.get("epochs", EPOCHS))

    def series(row: str) -> str:
        return rows[row]["model"]

    numbers = {
        "ours": ours,
        "plain": plain,
        "moments": moments,
        "fewer": need(plain, "nats") - need(ours, "nats"),
        "over_moments": need(moments, "nats") - need(ours, "nats") if moments else None,
        "share": _share(ours, plain, moments) if moments else None,
        "shares": _shares(ours, moments, plain) if moments else None,
        "one_seed": results["seeds"] == 1,
        "shipped": results.get("shipped"),
        "converged": any(row["converged"] for row in rows.values()),
        "epochs": epochs[0] if epochs != EPOCHS else None,
        "moments_epochs": epochs[1],
        "plain_epochs": epochs[-1],
        "few_test": unless(results["n"], TESTED),
        "other_seeds": unless(results["seeds"], SEEDS),
    }
    plots = tuple(Plot(title, x, y, of_rows(rows, TOLD, x, y, series)) for title, x, y in PLOTS)
    return [describe("affine_vae", name, results, numbers, (as_table(rows), plainly(*rows)), plots, SERIES)]


def _shares(ours: dict[str, Any], *others: dict[str, Any]) -> str:
    """ "0.9 and 1.0": how long the others were trained, over ours."""
    return " and ".join(f"{need(other, 'cpu_seconds') / need(ours, 'cpu_seconds'):.1f}" for other in others)


def _share(ours: dict[str, Any], plain: dict[str, Any], moments: dict[str, Any]) -> float | None:
    """What the pose from moments gains over the plain VAE, as a share of what the search gains; None of no gain."""
    gain = need(plain, "nats") - need(ours, "nats")
    return (need(plain, "nats") - need(moments, "nats")) / gain if gain > 0 else None
