"""What ``benchmarks.latent_size`` measured: -ELBO over the size of the code, affine and plain."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, argument, data_title, listed, need, of_rows
from benchmarks.tables import Columns, Rows

COLUMNS: Columns = {
    "numbers in the code": ("numbers", "{}"),
    "nats": ("nats", "{:.2f}"),
    "of which the pose": ("pose_nats", "{:.2f}"),
    "CPU seconds": ("cpu_seconds", "{:.0f}"),
}
NEEDED: Columns = {
    "plain latents for the same": ("needed", "{:.1f}"),
    "fewer nats than the best plain": ("gained", "{}"),
}
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
            _seeds(rows),
            f"python -m benchmarks.latent_size --data {argument(results['data'])}"
            + (f" --seeds {results['seeds']}" if results["seeds"] > 1 else ""),
            results,
            "Latents that a plain VAE needs for the same: a dash is outside the sizes measured. In brackets: 95 % "
            "interval, paired bootstrap over pictures.",
        )
    ]


def titled(results: dict[str, Any]) -> Rows:
    """The rows under names that people read, with the plain VAE's size for the same -ELBO."""
    rows: Rows = {}
    for row in results["rows"].values():
        needed = results["plain_latents_needed"].get(str(row["latents"])) if row["affine"] else None
        title = f"{'affine' if row['affine'] else 'plain'}, {row['latents']} latents"
        rows[title] = {**row, "needed": needed, "gained": _gained(row)}
    return rows


def _gained(row: dict[str, Any]) -> str | None:
    """ "3.3 (3.1 to 3.5)"; None of the plain ones, which are the measure."""
    return "{:.1f} ({:.1f} to {:.1f})".format(row["gain"], *row["gain_interval"]) if row["affine"] else None


def _seeds(rows: Rows) -> str:
    counts = sorted({row["nats"]["n"] for row in rows.values()})
    return f"{counts[0]} of each" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} of each"


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
    enough = min(
        (r for r in ours.values() if need(r, "nats") <= need(best, "nats") + r["nats"]["std"]),
        key=lambda r: r["latents"],
    )
    plenty = (
        f" More than {enough['latents']} affine latents gain no more than seeds differ."
        if enough["latents"] < max(r["latents"] for r in ours.values())
        else ""
    )
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
    once = {row: found for row, found in rows.items() if found["nats"]["n"] == 1}
    others = {row: found for row, found in rows.items() if row not in once}
    seeds = f"Few seeds, {_seeds(rows)}" if others else "One seed"
    if once and others:
        seeds = f"Few seeds, one of {listed(list(once))}, {_seeds(others)} other"
    return (
        f"{seeds}, and as many epochs for all affine and for all plain ones.{plenty} The plain VAE's best is "
        f"{worst:.1f} nats.{small}"
    )
