"""What ``benchmarks.shape_classes`` measured: reconstructions of shapes in any orientation, class by class."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, facts, need, unless
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "shapes": ("n", "{}"),
    "affine": ("iou_rotation_affine", "{:.3f}"),
    "plain": ("iou_rotation_plain", "{:.3f}"),
}
MODELS = ("affinevae-modelnet10", "vae-modelnet10")  # unless the command says otherwise
SERIES = ("any rotation",)
PLAIN = Axis("IoU of the plain VAE", "plain", "higher")
AFFINE = Axis("IoU of the affine VAE", "affine", "higher")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one set of shapes."""
    rows: Rows = results["rows"]
    gains = {
        row: need(found, "iou_rotation_affine") - need(found, "iou_rotation_plain")
        for row, found in rows.items()
    }
    most, least = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    numbers = {
        "classes": len(rows),
        "ahead": sum(gain > 0 for gain in gains.values()),
        "most": most,
        "least": least,
        "most_gain": gains[most],
        "least_gain": gains[least],
        "behind": [row for row, gain in gains.items() if gain < 0],
        "other_affine": unless(results.get("affine", MODELS[0]), MODELS[0]),
        "other_plain": unless(results.get("plain", MODELS[1]), MODELS[1]),
    }
    points = tuple(_point(row, found) for row, found in rows.items())
    plots = (Plot("", PLAIN, AFFINE, points, bars="standard error over shapes", equal=True),)
    return [describe("shape_classes", name, results, numbers, (rows, COLUMNS), plots, SERIES)]


def _point(row: str, found: dict[str, Any]) -> Point:
    plain, affine = (f"iou_rotation_{kind}" for kind in ("plain", "affine"))
    errors = need(found, f"{plain}_std_error"), need(found, f"{affine}_std_error")
    return Point(SERIES[0], row, need(found, plain), need(found, affine), *errors, facts(found, COLUMNS), row)
