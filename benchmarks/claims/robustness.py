"""What ``benchmarks.robustness`` measured: a VAE trained upright, tested on turned pictures."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, argument, data_title, need, told
from benchmarks.tables import Columns, Rows

COLUMNS: Columns = {
    "upright": ("upright", "{:.1f}"),
    "mean over angles": ("mean over angles", "{:.1f}"),
    "worst angle": ("worst angle", "{:.1f}"),
}
PLAIN = "plain VAE, trained upright"
SEARCHED = "the same weights with the pose search around them"
AFFINE = "affine VAE, trained in unknown orientation"

ANGLE = Axis("turned by, degrees", "degrees", step=90)
NATS = Axis("-ELBO, nats an image, price of the pose included", "nats", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set."""
    rows: Rows = results["rows"]
    curves = results["curves"]
    points = tuple(_point(row, at) for row in curves for at in curves[row] if at["nats"] is not None)
    data = data_title(results["data"])
    return [
        Claim(
            name,
            f"A frozen VAE learns to turn: {data}",
            "Shapes in 2D",
            _sentence(rows),
            _limits(rows),
            rows,
            COLUMNS,
            (Plot("", ANGLE, NATS, points, lines=True),),
            (SEARCHED, PLAIN, AFFINE),
            f"{results['n']:,} test pictures of {data} at each of {len(points) // len(rows)} angles",
            "1 of each",
            f"python -m benchmarks.robustness --data {argument(results['data'])}",
            results,
            "-ELBO in nats an image, price of the pose included.",
        )
    ]


def _point(row: str, at: dict[str, float]) -> Point:
    told_of = (told(at["degrees"], ANGLE), told(at["nats"], NATS, "{:.1f}"))
    return Point(row, row, at["degrees"], at["nats"], facts=told_of)


def _lost(row: dict[str, Any]) -> float:
    return need(row, "mean over angles") - need(row, "upright")


def _sentence(rows: Rows) -> str:
    return (
        f"A VAE that was trained upright loses {_lost(rows[PLAIN]):.0f} nats on average when its pictures "
        f"are turned. The same frozen weights lose {_lost(rows[SEARCHED]):.0f} once they may search for the "
        "pose: nothing is retrained."
    )


def _limits(rows: Rows) -> str:
    price = need(rows[SEARCHED], "upright") - need(rows[PLAIN], "upright")
    gap = need(rows[SEARCHED], "mean over angles") - need(rows[AFFINE], "mean over angles")
    return (
        f"Who only ever sees upright pictures pays {price:.1f} nats for a search that is not needed. A model "
        f"trained in unknown orientation is {abs(gap):.1f} nats {'ahead' if gap >= 0 else 'behind'} on "
        "average. One run of each; multiples of 90 degrees fall on the pixel grid and look easier than the "
        "angles between."
    )
