"""What ``benchmarks.frozen_classifier`` measured: turned pictures before a classifier that was trained upright."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, describe, need, of_rows, unless
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "turned": ("turned", "{:.1%}"),
    "upright": ("upright", "{:.1%}"),
    "CPU ms a picture": ("cpu_ms", "{:.2f}"),
    "training, CPU s": ("cpu_seconds", "{:.0f}"),
}
OURS = "behind the pose search, nothing retrained"
ALONE = "the classifier alone, trained upright"
MEAN = "mean over turned copies"
SUREST = "surest of turned copies"
AUGMENTED = "trained as often on turned pictures"
SERIES = ("ours", "nothing retrained", "retrained")
TRAINED, EPOCHS, UPRIGHT, COPIES, TESTED = 20_000, 2, 500, 16, 2000  # unless the command says otherwise
MS = Axis("processor ms, one picture, one thread", "cpu_ms", "lower", log=True)
TURNED = Axis("accuracy on turned pictures", "turned", "higher", percent=True)


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one data set."""
    rows: Rows = results["rows"]
    ours, alone, augmented = rows[OURS], rows[ALONE], rows[AUGMENTED]
    help_name = max((MEAN, SUREST), key=lambda row: need(rows[row], "turned"))

    def series(row: str) -> str:
        return SERIES[0] if row == OURS else SERIES[2] if row == AUGMENTED else SERIES[1]

    def points(key: str, one: dict[str, Any], other: dict[str, Any]) -> float:
        return 100 * (need(one, key) - need(other, key))

    shipped = f"affinevae-{results['data']}"
    numbers = {
        "ours": ours,
        "alone": alone,
        "augmented": augmented,
        "helped": rows[help_name],
        "help": help_name,
        "over_help": points("turned", ours, rows[help_name]),
        "over_augmented": points("turned", augmented, ours),
        "upright_lost": points("upright", alone, ours),
        "slower": need(ours, "cpu_ms") / need(alone, "cpu_ms"),
        "other_model": unless(results["model"], shipped),
        "other_train": unless(results["train"], TRAINED),
        "other_epochs": unless(results["epochs"], EPOCHS),
        "other_upright": unless(results["upright"], UPRIGHT),
        "other_copies": unless(results["copies"], COPIES),
        "other_n": unless(results["n"], TESTED),
    }
    plots = (Plot("", MS, TURNED, of_rows(rows, COLUMNS, MS, TURNED, series)),)
    return [describe("frozen_classifier", name, results, numbers, (rows, COLUMNS), plots, SERIES)]
