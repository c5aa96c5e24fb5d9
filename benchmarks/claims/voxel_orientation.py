"""What ``benchmarks.voxel_orientation`` measured: shapes in unknown orientation, affine and plain VAEs."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, need, of_rows
from benchmarks.tools.tables import Columns, Rows

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
    return [
        describe(
            name,
            "voxel_orientation",
            results,
            _numbers(rows, results["seeds"]),
            system="Shapes in 3D",
            rows=rows,
            columns=COLUMNS,
            plots=tuple(
                Plot(title, x, y, of_rows(rows, COLUMNS, x, y, _series, _short)) for title, x, y in plots
            ),
            series=SERIES,
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


def _numbers(rows: Rows, seeds: dict[str, int]) -> dict[str, Any]:
    measured = [turns for turns in TURNS if f"{turns}: {SERIES[0]}" in rows]
    long = [turns for turns in TURNS if f"{turns}: {SERIES[0]}{CONVERGED}" in rows]
    ratios = {turns: _ratio(_pair(rows, turns)) for turns in measured}
    weaker = max(ratios, key=ratios.__getitem__) if len(measured) == len(TURNS) else None
    ours, plain = _pair(rows, measured[0])
    return {
        "ours": ours,
        "plain": plain,
        "turned": TURNED[measured[0]],
        "ratio": ratios[measured[0]],
        "weaker": TURNED[weaker] if weaker else None,
        "weaker_ratio": ratios[weaker] if weaker else None,
        "one_run": seeds["rotation"] == 1,
        "converged": {f"under {TURNED[turns]}": _ratio(_pair(rows, turns, CONVERGED)) for turns in long},
        "upright": rows.get(UPRIGHT),
        "exploded": [n for n, r in rows.items() if need(r, "nats") > 3 * need(r, "iwae50.nats")],
        "cube_seeds": seeds["cube"],
        "rotation_seeds": seeds["rotation"],
        "long": " ".join(turns for turns in reversed(TURNS) if turns in long) or None,
    }
