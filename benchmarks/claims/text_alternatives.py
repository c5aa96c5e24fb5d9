"""What ``benchmarks.text_alternatives`` measured: a model's plans beside what a practitioner would use instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from benchmarks.claims.claim import Axis, Claim, ClaimError, Plot, Point, describe, facts, need
from benchmarks.tools.tables import Columns, Rows

COLUMNS: Columns = {
    "accuracy": ("accuracy", "{:.2%}"),
    "ahead of balanced, points": ("interval", "{}"),
    "ms a text": ("ms", "{:.2f}"),
    "MB": ("megabytes", "{:.1f}"),
}
MS = Axis("milliseconds a text", "ms", "lower", log=True)
ACCURACY = Axis("accuracy", "accuracy", "higher", percent=True)
PLANS, INT8, CUT, OTHERS = (
    "plans, float32",
    "plans, int8",
    "full length, cut texts, int8",
    "without a bottleneck",
)
SURE = 1.96  # standard errors
# Every table has these beside the plans, or its claim would leave out what is cheaper than ours.
STRONGEST = (
    "TF-IDF",
    "words and characters",
    "NB-SVM",
    "frozen embeddings",
    "static embeddings",
    "full, left early",
)


class Way(NamedTuple):
    """One to classify, as the fields of a row say.

    Args:
        kind: a plan of ours, or a model without a bottleneck.
        name: of the plan or the model.
        engine: that it ran in, where there is a choice.
        tokens: that a text was cut to; none where it was not.
        ends: whether what was cut is the middle, not the end.
    """

    kind: Literal["plan", "other"]
    name: str
    engine: str | None = None
    tokens: int | None = None
    ends: bool = False

    @property
    def title(self) -> str:
        """ "full, first 64 tokens, int8", "balanced", or the name alone."""
        which = "first and last" if self.ends else "first"
        how = f", {which} {self.tokens} tokens" if self.tokens else ""
        return self.name + how + ", int8" * (self.engine == "int8")

    @property
    def series(self) -> str:
        """Whose it is."""
        if self.kind == "other":
            return OTHERS
        return CUT if self.tokens else INT8 if self.engine == "int8" else PLANS


REFERENCE = (Way("plan", "balanced", "onnx"), Way("plan", "balanced", "int8"))  # of float32, of int8


def way(row: Mapping[str, Any]) -> Way:
    """Of a row of results."""
    return Way(row["kind"], row["name"], row["engine"], row["tokens"], row["ends"])


def titled(rows: Rows) -> Rows:
    """With the interval of how far each is ahead; none of what the others are compared with."""
    return {
        n: {**row, "interval": None if way(row) in REFERENCE else interval(row)} for n, row in rows.items()
    }


def interval(row: Mapping[str, Any]) -> str:
    """ "-0.30 (-0.82 to +0.22)": how far a row is ahead, with the 95 % interval."""
    ahead, error = need(row, "ahead"), SURE * need(row, "ahead_std_error")
    return f"{ahead:+.2f} ({ahead - error:+.2f} to {ahead + error:+.2f})"


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model.

    Raises:
        ClaimError: one of the alternatives is missing.
    """
    rows = titled(results["rows"])
    if missing := [n for n in STRONGEST if n not in rows]:
        raise ClaimError(f"{missing[0]} is not among the alternatives")
    points = tuple(
        Point(way(r).series, n, need(r, "ms"), need(r, "accuracy"), facts=facts(r, COLUMNS), label=n)
        for n, r in rows.items()
    )
    plots = (Plot("Accuracy over time", MS, ACCURACY, points),)
    numbers = {
        **_numbers(rows),
        "seen": results["skipped"] or None,
        "cut_to": " ".join(map(str, results["cuts"])),
    }
    series = (PLANS, INT8, CUT, OTHERS)
    return [describe("text_alternatives", name, results, numbers, (rows, COLUMNS), plots, series)]


def _numbers(rows: Rows) -> dict[str, Any]:
    """How the plan "balanced" stands to each alternative, in the same precision: by intervals on the same texts."""
    floats, ints = (rows[reference.title] for reference in REFERENCE)
    others = {n: row for n, row in rows.items() if way(row).series == OTHERS}
    ahead = {n: need(r, "ahead") / max(need(r, "ahead_std_error"), 1e-9) for n, r in others.items()}
    cheaper = [n for n in others if ahead[n] >= -SURE and need(others[n], "ms") < need(floats, "ms")]
    cuts = [row for row in rows.values() if way(row).series == CUT]
    as_fast = [row for row in cuts if need(row, "ms") <= need(ints, "ms")]
    cut = max(as_fast, key=lambda row: need(row, "accuracy")) if as_fast else None
    level = [row for row in cuts if need(row, "ahead") >= -SURE * need(row, "ahead_std_error")]
    return {
        "balanced": floats,
        "int8": ints,
        "full_int8": rows.get("full, int8"),
        "enough": min(level, key=lambda row: need(row, "ms")) if level else None,
        "faster": need(rows["full"], "ms") / need(floats, "ms"),
        "lost": need(rows["full"], "ahead"),
        "lost_error": SURE * need(rows["full"], "ahead_std_error"),
        "cheaper": {n: need(others[n], "ms") for n in cheaper},
        "apart": max(SURE * need(row, "ahead_std_error") for row in others.values()),
        "behind": {n: -need(others[n], "ahead") for n in others if ahead[n] < -SURE},
        "level": [n for n in others if abs(ahead[n]) <= SURE],
        "ahead": {n: need(others[n], "ahead") for n in others if ahead[n] > SURE},
        "cut": way(cut).title if cut else None,
        "over_cut": -need(cut, "ahead") if cut else None,
        "quicker": [n for n, row in others.items() if need(row, "ms") < need(floats, "ms")],
    }
