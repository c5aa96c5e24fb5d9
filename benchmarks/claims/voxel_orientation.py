"""What ``benchmarks.voxel_orientation`` measured: shapes in unknown orientation, affine and plain VAEs."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, argument, data_title, listed, need, of_rows, per_cent
from benchmarks.tables import Columns, Rows

COLUMNS: Columns = {
    "squared error": ("squared_error", "{:.0f}"),
    "IoU": ("iou", "{:.3f}"),
    "nats": ("nats", "{:.0f}"),
    "k-means": ("kmeans_accuracy", "{:.3f}"),
    "5-NN": ("knn_accuracy", "{:.3f}"),
    "leakage R^2": ("angle_leakage", "{:.2f}"),
    "IoU lost": ("iou_lost", "{:.3f}"),
    "CPU s": ("cpu_seconds", "{:.0f}"),
}
TURNS = ("rotation", "cube")
TURNED = {"rotation": "any rotation", "cube": "the 24 rotations of the cube"}
CONVERGED = ", converged"
UPRIGHT = "plain VAE, trained and tested upright"
SERIES = ("affine VAE", "plain VAE", UPRIGHT)
NOTES = (
    "cube: shapes turned by one of the 24 rotations of the cube; rotation: by any. IoU lost: on upright "
    "shapes minus on the same shapes turned anyhow. Squared error is summed over voxels; k-means, 5-NN: how "
    "well the code tells classes."
)

SECONDS = Axis("training, CPU seconds", "cpu_seconds", "lower", log=True)
IOU = Axis("IoU at one half", "iou", "higher")
SQUARED = Axis("squared error, summed over voxels", "squared_error", "lower")
CLUSTERS = Axis("k-means accuracy of z", "kmeans_accuracy", "higher")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one set of shapes."""
    rows: Rows = results["rows"]
    plots = (("Quality and time", SECONDS, IOU), ("Error and clusters", SQUARED, CLUSTERS))
    data, seeds = data_title(results["data"]), results["seeds"]
    return [
        Claim(
            name,
            f"Shapes in any orientation: {data}",
            "Shapes in 3D",
            _sentence(results),
            _limits(results),
            rows,
            COLUMNS,
            tuple(Plot(title, x, y, of_rows(rows, COLUMNS, x, y, _series, _short)) for title, x, y in plots),
            SERIES,
            f"{results['n']:,} test shapes of {data}, each turned once by an unknown rotation",
            f"{seeds['cube']} of each for the cube, {seeds['rotation']} for any rotation; converged: one",
            _command(results, rows),
            results,
            NOTES,
        )
    ]


def _series(row: str) -> str:
    return UPRIGHT if row == UPRIGHT else SERIES[": plain" in row]


def _short(row: str) -> str:
    """ "cube, converged" of "cube: affine VAE, converged": its mark tells the rest."""
    turns, _, model = row.partition(": ")
    return f"{turns}{CONVERGED if CONVERGED in model else ''}" if model else "upright"


def _pair(rows: Rows, turns: str, length: str | None = None) -> list[dict[str, Any]]:
    """Affine and plain VAE of one length of training, or of the one with most seeds, of equals the longest."""

    def seeds(length: str) -> int:
        row = rows.get(f"{turns}: {SERIES[0]}{length}")
        return row["squared_error"]["n"] if row else 0

    wanted = max((CONVERGED, ""), key=seeds) if length is None else length
    return [rows[f"{turns}: {kind}{wanted}"] for kind in SERIES[:2]]


def _ratio(pair: list[dict[str, Any]]) -> float:
    ours, plain = pair
    return need(ours, "squared_error") / need(plain, "squared_error")


def _sentence(results: dict[str, Any]) -> str:
    turns = next(t for t in TURNS if f"{t}: affine VAE" in results["rows"])
    ours, plain = _pair(results["rows"], turns)
    ratio = _ratio([ours, plain])
    clusters = [per_cent(need(row, "kmeans_accuracy")) for row in (ours, plain)]
    return (
        f"Under {TURNED[turns]} an affine VAE of voxel shapes has {ratio:.2f} times the squared error of a plain VAE "
        f"with as many numbers, an IoU of {need(ours, 'iou'):.2f} rather than {need(plain, 'iou'):.2f}, and "
        f"clusters of its code are right for {clusters[0]} of the shapes rather than {clusters[1]}."
    )


def _limits(results: dict[str, Any]) -> str:
    words, rows = [], results["rows"]
    if all(f"{t}: affine VAE" in rows for t in TURNS):
        ratios = {t: _ratio(_pair(rows, t)) for t in TURNS}
        weaker = max(ratios, key=lambda t: ratios[t])
        words.append(
            f"Under {TURNED[weaker]} the gain is smaller: {ratios[weaker]:.2f} times the squared error."
        )
    if results["seeds"]["rotation"] == 1:
        words.append("Any rotation is one run and not a spread.")
    long = [t for t in TURNS if f"{t}: affine VAE{CONVERGED}" in rows]
    if long:
        found = [f"{_ratio(_pair(rows, t, CONVERGED)):.2f} under {TURNED[t]}" for t in long]
        words.append(f"Trained to convergence, one run each, the ratio is {listed(found)}.")
    if UPRIGHT in rows:
        upright = need(rows[UPRIGHT], "squared_error")
        words.append(f"A plain VAE that only sees upright shapes has a squared error of {upright:.0f}.")
    return " ".join([*words, *_exploded(results)])


def _exploded(results: dict[str, Any]) -> list[str]:
    """Rows whose mean -ELBO a few shapes decide: several times the bound of 50 samples."""
    names = [n for n, r in results["rows"].items() if need(r, "nats") > 3 * need(r, "iwae50.nats")]
    if not names:
        return []
    return [
        f"The mean nats of {' and '.join(names)} are those of a few shapes that it cannot read: "
        "look at the other columns."
    ]


def _command(results: dict[str, Any], rows: Rows) -> str:
    command = f"python -m benchmarks.voxel_orientation --data {argument(results['data'])}"
    long = [turns for turns in ("cube", "rotation") if f"{turns}: affine VAE{CONVERGED}" in rows]
    return command + (f" --converged {' '.join(long)}" if long else "")
