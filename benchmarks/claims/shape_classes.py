"""What ``benchmarks.shape_classes`` measured: reconstructions of shapes in any orientation, class by class."""

from __future__ import annotations

from typing import Any, Literal

from benchmarks.claims.claim import Axis, Claim, Plot, Point, data_title, facts, listed, need
from benchmarks.tables import Columns, Rows

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
    data = data_title(results["data"])
    return [
        Claim(
            name,
            f"Which shapes gain: {data} by class",
            "Shapes in 3D",
            _sentence(rows),
            _limits(rows),
            rows,
            COLUMNS,
            (Plot("", PLAIN, AFFINE, points, bars="standard error over shapes", equal=True),),
            tuple(TITLES[group] for group in reversed(GROUPS)),
            f"{results['n']:,} test shapes of {data}, each turned once by an unknown rotation",
            "1 of each",
            f"python -m benchmarks.shape_classes --data {results['data']}.npz",
            results,
            "IoU of a shape and its reconstruction, at occupancy one half.",
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


def _sentence(rows: Rows) -> str:
    gains = {row: _gain(found, "rotation") for row, found in rows.items()}
    most, least = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    ahead = sum(gain > 0 for gain in gains.values())
    return (
        f"Under any rotation the affine VAE reconstructs {ahead} of {len(rows)} classes better than a plain VAE of as "
        f"many numbers: {most} by {gains[most]:.2f} IoU, {least} by {gains[least]:.2f}."
    )


def _limits(rows: Rows) -> str:
    behind = [row for row, found in rows.items() if _gain(found, "cube") < 0]
    words = "One model of each, converged; classes differ in how many training shapes they have."
    if not behind:
        return f"{words} Under rotations of the cube all classes gain, too."
    return f"{words} Under rotations of the cube these do not gain: {listed(behind)}."
