"""What ``benchmarks.voxel_orientation`` measured: shapes in unknown orientation, affine and plain VAEs."""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.claims.claim import Axis, Claim, Plot, describe, need, of_rows
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "squared error": ("squared_error", "{:.0f}"),
    "IoU": ("iou", "{:.3f}"),
    "nats": ("nats", "{:.0f}"),
    "k-means": ("kmeans_accuracy", "{:.3f}"),
    "5-NN": ("knn_accuracy", "{:.3f}"),
    "drift when turned": ("z_invariance", "{:.2f}"),
    "IoU lost": ("iou_lost", "{:.3f}"),
    "CPU s": ("cpu_seconds", "{:.0f}"),
}
TURNS = ("rotation", "cube")
TURNED = {"rotation": "any rotation", "cube": "the 24 rotations of the cube"}
KINDS = ("affine VAE", "plain VAE")
UPRIGHT = "plain VAE, trained and tested upright"
SERIES = (*KINDS, UPRIGHT)

SECONDS = Axis("training, CPU seconds", "cpu_seconds", "lower", log=True)
IOU = Axis("IoU at one half", "iou", "higher")
SQUARED = Axis("squared error, summed over voxels", "squared_error", "lower")
CLUSTERS = Axis("k-means accuracy of z", "kmeans_accuracy", "higher")


class Entry(NamedTuple):
    """Which row it is, as its fields say.

    Args:
        model: affine or plain VAE.
        turned: how training and test shapes were turned; None of upright ones.
        converged: trained until validation improved no longer.
    """

    model: str
    turned: str | None
    converged: bool = False

    @property
    def title(self) -> str:
        """ "cube: affine VAE, converged"."""
        if self.turned is None:
            return UPRIGHT
        return f"{self.turned}: {self.model}{', converged' * self.converged}"


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one set of shapes."""
    rows: Rows = results["rows"]

    def series(row: str) -> str:
        return UPRIGHT if rows[row]["turned"] is None else rows[row]["model"]

    def short(row: str) -> str:
        """ "cube, converged" of "cube: affine VAE, converged": its mark tells the rest."""
        return (rows[row]["turned"] or "upright") + ", converged" * rows[row]["converged"]

    axes = (("Quality and time", SECONDS, IOU), ("Error and clusters", SQUARED, CLUSTERS))
    plots = tuple(Plot(title, x, y, of_rows(rows, COLUMNS, x, y, series, short)) for title, x, y in axes)
    numbers = _numbers(rows, results["seeds"])
    return [describe("voxel_orientation", name, results, numbers, (rows, COLUMNS), plots, SERIES)]


def _pair(rows: Rows, turned: str, converged: bool | None = None) -> list[dict[str, Any]]:
    """Affine and plain VAE of one length of training, or of the one with most seeds, of equals the longest."""

    def seeds(converged: bool) -> int:
        row = rows.get(Entry(KINDS[0], turned, converged).title)
        return row["squared_error"]["n"] if row else 0

    longest = max((True, False), key=seeds) if converged is None else converged
    return [rows[Entry(model, turned, longest).title] for model in KINDS]


def _ratio(pair: list[dict[str, Any]]) -> float:
    ours, plain = pair
    return need(ours, "squared_error") / need(plain, "squared_error")


def _numbers(rows: Rows, seeds: dict[str, int]) -> dict[str, Any]:
    measured = [turns for turns in TURNS if Entry(KINDS[0], turns).title in rows]
    long = [turns for turns in TURNS if Entry(KINDS[0], turns, True).title in rows]
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
        "converged": {f"under {TURNED[turns]}": _ratio(_pair(rows, turns, True)) for turns in long},
        "upright": rows.get(UPRIGHT),
        "exploded": [n for n, r in rows.items() if need(r, "nats") > 3 * need(r, "iwae50.nats")],
        "cube_seeds": seeds["cube"],
        "rotation_seeds": seeds["rotation"],
        "long": " ".join(turns for turns in reversed(TURNS) if turns in long) or None,
    }
