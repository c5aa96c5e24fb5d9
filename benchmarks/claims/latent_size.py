"""What ``benchmarks.latent_size`` measured: -ELBO over the size of the code, affine and plain."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, argument, data_title, need, of_rows
from benchmarks.tables import Columns, Rows

COLUMNS: Columns = {
    "numbers in the code": ("numbers", "{}"),
    "nats": ("nats", "{:.2f}"),
    "of which the pose": ("pose_nats", "{:.2f}"),
    "CPU seconds": ("cpu_seconds", "{:.0f}"),
}
NEEDED: Columns = {"plain latents for the same": ("needed", "{:.1f}")}
SERIES = ("affine VAE", "plain VAE")

NUMBERS = Axis("numbers in the code, latents and pose", "numbers", "lower", log=True, own=True)
NATS = Axis("-ELBO, nats an image, price of the pose included", "nats", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set."""
    rows = titled(results)
    data = data_title(results["data"])
    points = of_rows(rows, {**COLUMNS, **NEEDED}, NUMBERS, NATS, _series, lambda _: "", "nats_std_error")
    return [
        Claim(
            name,
            f"A smaller code: {data}",
            "Shapes in 2D",
            _sentence(rows),
            _limits(rows),
            rows,
            {**COLUMNS, **NEEDED},
            (Plot("", NUMBERS, NATS, points, lines=True, bars="standard error over pictures"),),
            SERIES,
            f"{results['n']:,} test pictures of {data}, each turned once by an unknown angle",
            f"{results['seeds']} of each",
            f"python -m benchmarks.latent_size --data {argument(results['data'])}",
            results,
            "The last column is how many latents a plain VAE needs for the same; a dash: outside the sizes measured.",
        )
    ]


def titled(results: dict[str, Any]) -> Rows:
    """The rows under names that people read, with the plain VAE's size for the same -ELBO."""
    rows: Rows = {}
    for row in results["rows"].values():
        needed = results["plain_latents_needed"].get(str(row["latents"])) if row["affine"] else None
        rows[f"{'affine' if row['affine'] else 'plain'}, {row['latents']} latents"] = {
            **row,
            "needed": needed,
        }
    return rows


def _series(row: str) -> str:
    return SERIES[not row.startswith("affine")]


def _split(rows: Rows) -> tuple[Rows, Rows]:
    both = ({n: r for n, r in rows.items() if r["affine"] == affine} for affine in (True, False))
    ours, plain = both
    return ours, plain


def _sentence(rows: Rows) -> str:
    ours, plain = _split(rows)
    best, widest = min(need(r, "nats") for r in plain.values()), max(r["numbers"] for r in plain.values())
    below = [r for r in ours.values() if need(r, "nats") < best]
    if not below:
        return "No affine VAE measured here is below the best plain one."
    first = min(below, key=lambda r: r["numbers"])
    return (
        f"With the angle apart the code can be smaller: {first['numbers']} numbers ({first['latents']} "
        f"latents and the angle) need {need(first, 'nats'):.1f} nats an image, fewer than a plain VAE of any "
        f"size up to {widest} ({best:.1f} at best)."
    )


def _limits(rows: Rows) -> str:
    ours, plain = _split(rows)
    best = min(ours.values(), key=lambda r: need(r, "nats"))
    worst = min(need(r, "nats") for r in plain.values())
    behind = [
        str(r["latents"])
        for r in ours.values()
        if need(r, "nats") > max(need(p, "nats") for p in plain.values())
    ]
    small = (
        f" With {' or '.join(behind)} latents the affine VAE is behind every plain one measured."
        if behind
        else ""
    )
    return (
        f"One seed, and as long in training for all. More than {best['latents']} affine latents gain nothing "
        f"here; the plain VAE's best is {worst:.1f} nats.{small}"
    )
