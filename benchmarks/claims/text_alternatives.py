"""What ``benchmarks.text_alternatives`` measured: a model's plans beside what a practitioner would use instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from benchmarks.claims.claim import Axis, Claim, Plot, Point, describe, facts, need
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "accuracy": ("accuracy", "{:.2%}"),
    "ahead of balanced, points": ("ahead", "{:+.2f}"),
    "its standard error": ("ahead_std_error", "{:.2f}"),
    "ms a text": ("ms", "{:.2f}"),
}
MS = Axis("milliseconds a text", "ms", "lower", log=True)
ACCURACY = Axis("accuracy", "accuracy", "higher", percent=True)
PLANS, INT8, CUT, OTHERS = "plans, float32", "plans, int8", "full length, texts cut", "without a bottleneck"
SURE = 2.0  # standard errors


class Way(NamedTuple):
    """One to classify, as the fields of a row say.

    Args:
        kind: a plan of ours, or a model without a bottleneck.
        name: of the plan or the model.
        engine: that a plan ran in.
        tokens: that a text was cut to; none where it was not.
    """

    kind: Literal["plan", "other"]
    name: str
    engine: str | None = None
    tokens: int | None = None

    @property
    def title(self) -> str:
        """ "full, 64 tokens", "balanced, int8", or the name alone."""
        how = f", {self.tokens} tokens" if self.tokens else ", int8" if self.engine == "int8" else ""
        return self.name + how

    @property
    def series(self) -> str:
        """Whose it is."""
        if self.kind == "other":
            return OTHERS
        return CUT if self.tokens else INT8 if self.engine == "int8" else PLANS


def way(row: Mapping[str, Any]) -> Way:
    """Of a row of results."""
    return Way(row["kind"], row["name"], row["engine"], row["tokens"])


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model."""
    rows: Rows = results["rows"]
    points = tuple(
        Point(way(r).series, n, need(r, "ms"), need(r, "accuracy"), facts=facts(r, COLUMNS), label=n)
        for n, r in rows.items()
    )
    plots = (Plot("Accuracy over time", MS, ACCURACY, points),)
    numbers = {**_numbers(rows), "seen": results["skipped"] or None}
    return [
        describe(
            "text_alternatives",
            name,
            results,
            numbers,
            (rows, COLUMNS),
            plots,
            (PLANS, INT8, CUT, OTHERS),
        )
    ]


def _numbers(rows: Rows) -> dict[str, Any]:
    """How the plan "balanced" stands to each alternative: by standard errors on the same texts."""
    balanced = rows["balanced"]
    others = {n: row for n, row in rows.items() if way(row).series in (CUT, OTHERS)}
    ahead = {n: need(r, "ahead") / max(need(r, "ahead_std_error"), 1e-9) for n, r in others.items()}
    return {
        "balanced": balanced,
        "faster": need(rows["full"], "ms") / need(balanced, "ms"),
        "behind": [n for n in others if ahead[n] < -SURE],
        "level": [n for n in others if abs(ahead[n]) <= SURE],
        "ahead": [n for n in others if ahead[n] > SURE],
        "quicker": [
            n
            for n, row in others.items()
            if row["kind"] == "other" and need(row, "ms") < need(balanced, "ms")
        ],
    }
