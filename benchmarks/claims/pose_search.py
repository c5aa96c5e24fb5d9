"""What ``benchmarks.pose_search`` measured: ways to find the pose, on the same pictures with the same model."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import (
    PER_CENT,
    Axis,
    Claim,
    Plot,
    argument,
    by,
    data_title,
    need,
    of_rows,
    per_cent,
    times,
)
from benchmarks.tables import Columns, Rows

COLUMNS: Columns = {
    "nats": ("nats", "{:.2f}"),
    "within 15 degrees": ("within_15", "{:.1%}"),
    "median error, degrees": ("median_degrees", "{:.2f}"),
    "poses evaluated": ("poses", "{:.0f}"),
    "CPU ms": ("cpu_ms", "{:.2f}"),
    "times faster": ("times_faster", "{:.1f}x"),
}
SERIES = ("ours", "random starts and gradients", "grids")
MODEL = "affinevae-mnist"
TESTED, ROUNDS = 512, 3  # images, and turns of timing; unless the command says otherwise

TIME = Axis("processor ms, one picture or shape, one thread", "cpu_ms", "lower", log=True)
NATS = Axis("-ELBO before the pose's price, nats", "nats", "lower")
DEGREES = Axis("median error of the found turn, degrees", "median_degrees", "lower", log=True)
FOUND = Axis("turns found within 15 degrees", "within_15", "higher", percent=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model; the first row is what the others are compared with."""
    rows: Rows = results["rows"]
    solid = not any(
        row.startswith("grid") for row in rows
    )  # there is no small grid of the rotations of space
    plots = (("Loss", NATS, "nats_std_error"), ("Turns found", FOUND, ""), ("Median error", DEGREES, ""))
    things = "shapes" if solid else "pictures"
    return [
        Claim(
            name,
            f"A cheap search: {data_title(results['data'])}",
            "Shapes in 3D" if solid else "Shapes in 2D",
            _sentence(rows, things),
            _limits(rows, results, things),
            rows,
            COLUMNS,
            tuple(
                Plot(
                    title,
                    TIME,
                    y,
                    of_rows(rows, COLUMNS, TIME, y, _series, _short, key),
                    bars=f"standard error over {things}",
                )
                for title, y, key in plots
            ),
            SERIES,
            f"{results['n']:,} test {things} of {data_title(results['data'])}, each turned twice",
            f"one trained model ({results['model']}), {results['rounds']} rounds of timing",
            _command(results),
            results,
            f"Loss is before the pose's price; times are of batches of {results['batch']}, on one thread.",
        )
    ]


def _series(row: str) -> str:
    return SERIES[0] if row.startswith("ours") else SERIES[2] if row.startswith("grid") else SERIES[1]


def _short(row: str) -> str:
    return row.split(",")[0] if "starts" in row else row


def _ours(rows: Rows) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fast search, and what it is compared with."""
    return rows["ours, fast"], next(iter(rows.values()))


def _sentence(rows: Rows, things: str) -> str:
    fast, slow = _ours(rows)
    faster = times(need(slow, "cpu_ms") / need(fast, "cpu_ms"), "faster", "slower")
    nats = by(need(slow, "nats") - need(fast, "nats"), "{:.1f}", "fewer", "more")
    found = [per_cent(need(row, "within_15")) for row in (fast, slow)]
    worse = "" if need(fast, "nats") <= need(slow, "nats") else ", at a price in loss"
    return (
        f"The pose search is {faster} than random starts refined by gradients{worse}: {nats} nats, and "
        f"{found[0]} of the {things} followed a known turn to within 15 degrees, rather than {found[1]}."
    )


def _limits(rows: Rows, results: dict[str, Any], things: str) -> str:
    fast, slow = _ours(rows)
    missed = per_cent(1 - need(fast, "within_15"), PER_CENT)
    better = [
        n
        for n, r in rows.items()
        if not n.startswith("ours") and need(r, "within_15") > need(fast, "within_15")
    ]
    best = f" It is not the surest: {', '.join(better)} found more, in more time." if better else ""
    words = f"One model, {results['n']:,} {things}; {missed} of the turns are missed by more than 15 degrees.{best}"
    if need(fast, "within_15_mod_180") - need(fast, "within_15") > 0.05:
        half = per_cent(need(fast, "within_15_mod_180"))
        words += f" Counting half turns as right, for what looks the same, {half} are found."
    return words


def _command(results: dict[str, Any]) -> str:
    command = f"python -m benchmarks.pose_search --data {argument(results['data'])}"
    if results["model"] != MODEL:
        command += f" --model {results['model']}"
    if results["n"] != TESTED:
        command += f" --images {results['n']}"
    return command + (f" --rounds {results['rounds']}" if results["rounds"] != ROUNDS else "")
