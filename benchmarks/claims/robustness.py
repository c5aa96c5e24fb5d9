"""What ``benchmarks.robustness`` measured: a VAE trained upright, tested on turned pictures."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, need, told, unless
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "upright": ("upright", "{:.1f}"),
    "mean over angles": ("mean over angles", "{:.1f}"),
    "worst angle": ("worst angle", "{:.1f}"),
}
PLAIN = "plain VAE, trained upright"
SEARCHED = "the same weights with the pose search around them"
AFFINE = "affine VAE, trained in unknown orientation"

EPOCHS, TESTED = 12, 1000  # of the upright VAE, and pictures at each angle, unless the command says otherwise

ANGLE = Axis("turned by, degrees", "degrees", step=90)
NATS = Axis("-ELBO, nats an image, price of the pose included", "nats", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set."""
    rows: Rows = results["rows"]
    plain, searched, affine = (rows[row] for row in (PLAIN, SEARCHED, AFFINE))
    curves = results["curves"]
    points = tuple(_point(row, at) for row in curves for at in curves[row] if at["nats"] is not None)
    numbers = {
        "plain_lost": need(plain, "mean over angles") - need(plain, "upright"),
        "searched_lost": need(searched, "mean over angles") - need(searched, "upright"),
        "price": need(searched, "upright") - need(plain, "upright"),
        "gap": need(searched, "mean over angles") - need(affine, "mean over angles"),
        "angles": len(points) // len(rows),
        "other_epochs": unless(results.get("epochs", EPOCHS), EPOCHS),
        "other_n": unless(results["n"], TESTED),
    }
    plots = (Plot("", ANGLE, NATS, points, lines=True),)
    return [describe("robustness", name, results, numbers, (rows, COLUMNS), plots, (SEARCHED, PLAIN, AFFINE))]


def _point(row: str, at: dict[str, float]) -> Point:
    told_of = (told(at["degrees"], ANGLE), told(at["nats"], NATS, "{:.1f}"))
    return Point(row, row, at["degrees"], at["nats"], facts=told_of)
