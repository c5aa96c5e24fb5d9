"""What ``benchmarks.shape_classes`` measured: reconstructions of shapes in any orientation, class by class."""

from __future__ import annotations

from typing import Any, Literal

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, facts, need
from benchmarks.tools.tables import Columns, Rows

GROUPS: tuple[Literal["cube", "rotation"], ...] = ("cube", "rotation")
TITLES = {"cube": "rotations of the cube", "rotation": "any rotation"}


def key(group: str, kind: str) -> str:
    """Of a number in a row: the pose group of the shapes, and affine or plain."""
    return f"iou_{group}_{kind}"


COLUMNS: Columns = {
    "shapes": ("n", "{}"),
    "cube: affine": (key("cube", "affine"), "{:.3f}"),
    "cube: plain": (key("cube", "plain"), "{:.3f}"),
    "any rotation: affine": (key("rotation", "affine"), "{:.3f}"),
    "any rotation: plain": (key("rotation", "plain"), "{:.3f}"),
}
PLAIN = Axis("IoU of the plain VAE", "plain", "higher")
AFFINE = Axis("IoU of the affine VAE", "affine", "higher")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one set of shapes."""
    rows: Rows = results["rows"]
    points = tuple(_point(row, found, group) for group in GROUPS for row, found in rows.items())
    gains = {row: _gain(found, "rotation") for row, found in rows.items()}
    most, least = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    numbers = {
        "classes": len(rows),
        "ahead": sum(gain > 0 for gain in gains.values()),
        "most": most,
        "least": least,
        "most_gain": gains[most],
        "least_gain": gains[least],
        "behind": [row for row, found in rows.items() if _gain(found, "cube") < 0],
    }
    plots = (Plot("", PLAIN, AFFINE, points, bars="standard error over shapes", equal=True),)
    return [
        describe(
            "shape_classes",
            name,
            results,
            numbers,
            (rows, COLUMNS),
            plots,
            tuple(TITLES[group] for group in reversed(GROUPS)),
        )
    ]


def _point(row: str, found: dict[str, Any], group: str) -> Point:
    plain, affine = (key(group, kind) for kind in ("plain", "affine"))
    return Point(
        TITLES[group],
        row,
        need(found, plain),
        need(found, affine),
        need(found, f"{plain}_std_error"),
        need(found, f"{affine}_std_error"),
        facts(found, COLUMNS),
        row,
    )


def _gain(found: dict[str, Any], group: str) -> float:
    return need(found, key(group, "affine")) - need(found, key(group, "plain"))
