"""What ``benchmarks.text_alternatives`` measured: a model's plans beside what a practitioner would use instead."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.claim import Axis, Claim, Plot, Point, data_title, facts, listed, need, per_cent, times
from benchmarks.tables import Columns, Rows

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


def series(name: str) -> str:
    """Whose a row is."""
    if name.endswith(", int8"):
        return INT8
    if name.endswith(" tokens"):
        return CUT
    return PLANS if name in ("full", "accurate", "balanced", "fastest") else OTHERS


def claims(name: str, results: dict[str, Any]) -> list[Claim]:
    """The claim of one model."""
    rows: Rows = results["rows"]
    points = tuple(
        Point(series(n), n, need(r, "ms"), need(r, "accuracy"), facts=facts(r, COLUMNS), label=n)
        for n, r in rows.items()
    )
    skipped = f", none of the {results['skipped']:,} that were looked at before" if results["skipped"] else ""
    return [
        Claim(
            name,
            f"Beside what else there is: {results['model']}",
            "Text",
            _sentence(rows),
            _limits(rows),
            rows,
            COLUMNS,
            (Plot("Accuracy over time", MS, ACCURACY, points),),
            (PLANS, INT8, CUT, OTHERS),
            f"{results['n']:,} test texts of {data_title(results['data'])}{skipped}; timed on "
            f"{results['timed_on']} of them, in turns, one thread",
            "one trained model",
            f"python -m benchmarks.text_alternatives --model {results['model']} --data {results['data']}"
            f" --skip {results['skipped']} --test {results['n']}",
            results,
            "Texts of the rows “full, N tokens” keep their first and last tokens; nothing was trained on for them. "
            "Embeddings have a logistic regression on top.",
        )
    ]


def _sentence(rows: Rows) -> str:
    """How the plan "balanced" stands to each alternative that is surely behind or ahead."""
    others = {n: row for n, row in rows.items() if series(n) in (CUT, OTHERS)}
    behind = [n for n, row in others.items() if _sure(row) < -SURE]
    ahead = [n for n, row in others.items() if _sure(row) > SURE]
    level = [n for n in others if n not in behind + ahead]
    own, full = rows["balanced"], rows["full"]
    words = [f"more often right than {listed(behind)}"] if behind else []
    words += [f"level with {listed(level)}"] if level else []
    words += [f"less often right than {listed(ahead)}"] if ahead else []
    return (
        f"The plan “balanced” is right in {per_cent(need(own, 'accuracy'), '{:.1f} %')} and "
        f"{times(need(full, 'ms') / need(own, 'ms'), 'faster', 'slower')} than the full length: {'; '.join(words)}."
    )


def _sure(row: dict[str, Any]) -> float:
    """Standard errors by which a row is ahead of the plan "balanced", on the same texts."""
    return need(row, "ahead") / max(need(row, "ahead_std_error"), 1e-9)


def _limits(rows: Rows) -> str:
    """Which alternatives are quicker, and what was not trained."""
    own = need(rows["balanced"], "ms")
    quick = [n for n, row in rows.items() if series(n) == OTHERS and need(row, "ms") < own]
    said = f"{listed(quick)} answer sooner than “balanced”. " if quick else ""
    return (
        said
        + "The cut texts and the frozen embeddings were not trained on; networks of fewer layers are missing."
    )
