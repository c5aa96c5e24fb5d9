"""What ``benchmarks.affine_vae`` measured: an affine VAE beside a plain one of as many numbers and as much compute."""

from __future__ import annotations

from typing import Any

from affinevae.card import ROWS as MEASURES
from benchmarks.claims.claim import Axis, Claim, Plot, by, data_title, need, of_rows, per_cent
from benchmarks.tables import Columns, Rows, cell, plainly

COLUMNS: Columns = {
    **{title: (key, form) for title, key, form in MEASURES},
    "training, CPU seconds": ("cpu_seconds", "{:.0f}"),
}
TOLD = {
    title: COLUMNS[title]
    for title, (key, _) in COLUMNS.items()
    if key in ("nats", "squared_error", "kmeans_accuracy", "knn_accuracy", "angle_leakage", "cpu_seconds")
}  # what a point tells: as much as fits on a phone
SERIES = ("affine VAE", "plain VAE")
EPOCHS = (20, 40)  # affine and plain, unless the command says otherwise

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
    """The claim of one data set; its first two rows are the comparison."""
    rows: Rows = results["rows"]
    data = data_title(results["data"])
    return [
        Claim(
            name,
            f"Shape apart from angle: {data}",
            "Shapes in 2D",
            _sentence(data, *list(rows.values())[:2]),
            _limits(rows),
            as_table(rows),
            plainly(*rows),
            tuple(Plot(title, x, y, of_rows(rows, TOLD, x, y, _series)) for title, x, y in PLOTS),
            SERIES,
            f"{results['n']:,} test pictures, each turned once by an unknown angle" if "n" in results else "",
            f"{results['seeds']} of each{', converged: one' if _converged(rows) else ''}",
            _command(results, rows),
            results,
        )
    ]


def _series(row: str) -> str:
    return SERIES[not row.startswith("affine")]


def _converged(rows: Rows) -> bool:
    return any("converged" in row for row in rows)


def _sentence(data: str, ours: dict[str, Any], plain: dict[str, Any]) -> str:
    nats, clusters = ([need(row, key) for row in (ours, plain)] for key in ("nats", "kmeans_accuracy"))
    fewer = by(nats[1] - nats[0], "{:.1f}", "fewer", "more")
    return (
        f"On {data} in unknown orientation an affine VAE needs {fewer} nats an image than a plain VAE of as "
        "many numbers and as much training time. Without a label, clusters of its code are right for "
        f"{per_cent(clusters[0])} of the pictures, clusters of the plain code for {per_cent(clusters[1])}."
    )


def _limits(rows: Rows) -> str:
    ours, plain = list(rows.values())[:2]
    cost = [need(row, "search_cpu_ms") for row in (ours, plain)]
    words = (
        f"Finding the pose takes time: {cost[0]:.2f} ms a picture rather than {cost[1]:.2f}. What the model "
        "takes for upright is its own choice: even with one zero a class, it lies within 15 degrees of the "
        f"truth for {per_cent(need(ours, 'zero_per_class.within_15'))} of the pictures."
    )
    return words + (" The converged models are one run each." if _converged(rows) else "")


def _command(results: dict[str, Any], rows: Rows) -> str:
    command = f"python -m benchmarks.affine_vae --data {results['data']}"
    epochs = tuple(results.get("epochs", EPOCHS))
    if epochs != EPOCHS:
        command += f" --epochs {epochs[0]} --plain-epochs {epochs[1]}"
    return command + (" --converged True" if _converged(rows) else "")
