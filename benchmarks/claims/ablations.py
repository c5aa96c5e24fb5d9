"""What ``benchmarks.ablations`` measured: the training of the affine VAE with one part changed at a time."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, argument, data_title, error, listed, need, of_rows
from benchmarks.tables import Columns, Rows

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
    data = data_title(results["data"])
    plots = (("Nats and clusters", NATS, CLUSTERS), ("Nats and time", SECONDS, NATS))
    return [
        Claim(
            name,
            f"What each part of the training is worth: {data}",
            "Shapes in 2D",
            _sentence(rows),
            _limits(rows, results),
            rows,
            COLUMNS,
            tuple(Plot(title, x, y, of_rows(rows, COLUMNS, x, y, _series, _short)) for title, x, y in plots),
            SERIES,
            f"{results['n']:,} test pictures of {data}, each turned once by an unknown angle",
            f"{results['seeds']} of each",
            _command(results),
            results,
            "Nats: -ELBO, price of the pose included. Pose follows: turned again, within 15 degrees. Poses an image: "
            "of the fast search when tested.",
        )
    ]


def _series(row: str) -> str:
    return SERIES[row != AS_IT_IS]


def _short(row: str) -> str:
    return row.split(":")[0]


def _worse(rows: Rows) -> dict[str, float]:
    """Nats by which each change is worse than the training as it is."""
    return {
        row: need(found, "nats") - need(rows[AS_IT_IS], "nats")
        for row, found in rows.items()
        if row != AS_IT_IS
    }


def _spread(rows: Rows) -> float:
    return max(EVEN, *(2 * error(row["nats"]) for row in rows.values()))


def _sentence(rows: Rows) -> str:
    worse, spread = _worse(rows), _spread(rows)
    costs = sorted((row for row in worse if worse[row] > spread), key=lambda row: -worse[row])
    told = [f"{_short(row)} ({worse[row]:.1f} nats)" for row in costs]
    words = (
        f"With one part of the training changed at a time, these cost: {listed(told)}."
        if costs
        else "No change to the training costs more nats than runs differ anyway."
    )
    usual = need(rows[AS_IT_IS], "kmeans_accuracy")
    mixed = {row: need(found, "kmeans_accuracy") for row, found in rows.items() if row not in costs}
    told = [f"{_short(row)} ({share:.2f})" for row, share in mixed.items() if share < usual - EVEN_CLUSTERS]
    return words + (
        f" Others only mix up what belongs together, k-means being right in {usual:.2f} of the pictures as it is: "
        f"{listed(told)}."
        if told
        else ""
    )


def _limits(rows: Rows, results: dict[str, Any]) -> str:
    worse, spread = _worse(rows), _spread(rows)
    even = [_short(row) for row in worse if abs(worse[row]) <= spread]
    better = [f"{_short(row)} ({-worse[row]:.1f})" for row in worse if worse[row] < -spread]
    words = f"Short training: {results['epochs'][0]} epochs."
    if even:
        words += (
            f" Makes no difference that these runs could tell (within {spread:.1f} nats): {listed(even)}."
        )
    if better:
        words += f" Takes fewer nats than the training as it is: {listed(better)}."
    return words + (" One seed of each." if results["seeds"] == 1 else "")


def _command(results: dict[str, Any]) -> str:
    command = f"python -m benchmarks.ablations --data {argument(results['data'])}"
    if results["seeds"] != 1:
        command += f" --seeds {results['seeds']}"
    names = ("epochs", "grid-epochs", "plain-epochs")
    changed = zip(names, results["epochs"], EPOCHS, strict=True)
    return command + "".join(f" --{name} {found}" for name, found, usual in changed if found != usual)
