"""Each ablation differs from the training as it is in one thing, and the claim says what the numbers say."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.ablations import Ablations, recipes
from benchmarks.claims import read
from benchmarks.claims.ablations import AS_IT_IS


def flat(value: dict[str, Any], above: str = "") -> dict[str, Any]:
    return {
        key: found
        for name, each in value.items()
        for key, found in (
            flat(each, f"{above}{name}.") if isinstance(each, dict) else {above + name: each}
        ).items()
    }


def test_one_part_is_changed_at_a_time(tmp_path: Path) -> None:
    rows = recipes(Ablations("mnist", runs=tmp_path, seeds=2))
    folders = [plan.output for plans in rows.values() for plan in plans]
    assert len(set(folders)) == len(folders)
    usual = flat(asdict(rows[AS_IT_IS][1]))
    for row, (first, second) in rows.items():
        changed = {key for key, value in flat(asdict(second)).items() if value != usual[key]}
        assert {k for k, v in flat(asdict(second)).items() if v != flat(asdict(first))[k]} == {
            "output",
            "loop.seed",
        }
        if row == AS_IT_IS:
            assert not changed
        elif "plain" in row:
            assert changed == {"output", "group", "latent_dim", "turn_anew", "loop.epochs"}
        else:
            assert len(changed - {"output", "loop.epochs"}) == 1
            assert ("loop.epochs" in changed) == ("every visit" in row)


def results(tmp_path: Path, seeds: int = 1, mixed: str = "", **nats: float) -> Any:
    """Rows of these nats; the clusters of one are mixed up."""
    rows = {
        row: {
            key: {"mean": mean, "std": 0.1, "n": seeds}
            for key, mean in (
                ("nats", value),
                ("kmeans_accuracy", 0.7 - 0.1 * (row == mixed)),
                ("cpu_seconds", 200),
            )
        }
        for row, value in {AS_IT_IS: 115.0, **nats}.items()
    }
    file = {"rows": rows, "data": "mnist", "n": 10_000, "seeds": seeds, "epochs": [10, 4, 20]}
    path = tmp_path / "ablations_mnist.json"
    path.write_text(json.dumps(file))
    (claim,) = read(path)
    return claim


def test_what_costs_nats_is_named_by_how_much(tmp_path: Path) -> None:
    claim = results(tmp_path, cold=125.0, forgetful=117.0, modes=115.3, full=113.0)
    assert "cold (10.0 nats) and forgetful (2.0 nats)" in claim.sentence
    assert not {"modes", "full"} & set(re.findall(r"\w+", claim.sentence))
    assert re.search(r"0\.8 nats\W+modes\b", claim.limits)
    assert "full (2.0)" in claim.limits
    assert claim.command == "python -m benchmarks.ablations --data mnist"


def test_clusters_that_are_mixed_up_are_named_apart(tmp_path: Path) -> None:
    claim = results(tmp_path, mixed="modes", cold=125.0, modes=115.3)
    assert re.search(r"cold \(10\.0 nats\)\..*\b0\.70\b.*modes \(0\.60\)", claim.sentence)
    assert "0.60" not in results(tmp_path, mixed="cold", cold=125.0).sentence


def test_nothing_is_said_to_cost_what_chance_explains(tmp_path: Path) -> None:
    claim = results(tmp_path, seeds=3, cold=115.4)
    assert "cold" not in claim.sentence
    assert claim.sentence != results(tmp_path, seeds=3, cold=125.0).sentence
    assert claim.command.endswith("--seeds 3")
