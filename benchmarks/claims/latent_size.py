"""What ``benchmarks.latent_size`` measured: -ELBO over the size of the code, affine and plain."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, error, need, of_rows, span
from benchmarks.tools.tables import Columns, Rows

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
    points = of_rows(rows, {**COLUMNS, **NEEDED}, NUMBERS, NATS, _series, lambda _: "", "nats_std_error")
    plots = (Plot("", NUMBERS, NATS, points, lines=True, bars="standard error over pictures"),)
    numbers = _numbers(rows, results)
    return [describe("latent_size", name, results, numbers, (rows, {**COLUMNS, **NEEDED}), plots, SERIES)]


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


def _series(row: str) -> str:
    return SERIES[not row.startswith("affine")]


def _numbers(rows: Rows, results: dict[str, Any]) -> dict[str, Any]:
    ours = [r for r in rows.values() if r["affine"]]
    plain = [r for r in rows.values() if not r["affine"]]
    bounds = [need(r, "nats") for r in plain]
    best = min(ours, key=lambda r: need(r, "nats"))
    enough = min(r["latents"] for r in ours if need(r, "nats") <= need(best, "nats") + error(best["nats"]))
    below = [r for r in ours if need(r, "nats") < min(bounds)]
    once = [row for row, found in rows.items() if found["nats"]["n"] == 1]
    runs = sorted({found["nats"]["n"] for found in rows.values()})
    more = sorted({n for n in runs if n > 1})
    return {
        "smallest": min(below, key=lambda r: r["numbers"]) if below else None,
        "widest": max(r["numbers"] for r in plain),
        "best_plain": min(bounds),
        "enough": enough if enough < max(r["latents"] for r in ours) else None,
        "behind": " or ".join(str(r["latents"]) for r in ours if need(r, "nats") > max(bounds)) or None,
        "once": once if more else None,
        "more": span(more) if more else None,
        "runs": span(runs),
        "several": results["seeds"] if results["seeds"] > 1 else None,
    }
