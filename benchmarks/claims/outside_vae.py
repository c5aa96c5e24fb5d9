"""What ``benchmarks.outside_vae`` measured: an independent library's VAE beside our plain one."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, argument, by, data_title, need, of_rows
from benchmarks.tables import Columns, Rows

COLUMNS: Columns = {
    "-ELBO, nats an image": ("nats", "{:.2f}"),
    "parameters": ("parameters", "{:,}"),
    "training, CPU seconds": ("cpu_seconds", "{:.0f}"),
}
OURS, OUTSIDE = "ours, plain", "pythae"

SIZE = Axis("parameters", "parameters", "lower", log=True)
NATS = Axis("-ELBO, nats an image", "nats", "lower")


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set."""
    rows: Rows = results["rows"]
    data, latents = data_title(results["data"]), results["latents"]
    points = of_rows(rows, COLUMNS, SIZE, NATS, series=str)
    ours, outside = (need(rows[row], "nats") for row in (OURS, OUTSIDE))
    return [
        Claim(
            name,
            f"The plain VAE is no straw man: {data}",
            "Shapes in 2D",
            f"Trained on the same turned pictures of {data} for as long, our plain VAE needs "
            f"{by(outside - ours, '{:.1f}', 'fewer', 'more')} nats a picture than the VAE of an independent library.",
            "The library's network as it comes, and one setting: it was not tuned for these pictures. Its loss is "
            "its own, the loop around it ours.",
            rows,
            COLUMNS,
            (Plot("", SIZE, NATS, points),),
            (OURS, OUTSIDE),
            f"{results['n']:,} test pictures of {data}, {latents} latents each",
            " and ".join(f"{rows[row]['nats']['n']} of {row}" for row in rows),
            f"python -m benchmarks.outside_vae --data {argument(results['data'])}",
            results,
        )
    ]
