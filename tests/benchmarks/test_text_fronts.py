"""Several data sets in one table: a gain is over full length in the same engine and run, and words follow numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import text_fronts
from benchmarks.claims import read
from benchmarks.text_fronts import TextFronts, recipe, row


def plan(accuracy: float, onnx: float, int8: float) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "int8": {"accuracy": accuracy - 0.01},
        "latency_ms": {"onnx": onnx, "int8": int8},
    }


def run(full_ms: float, earlier: bool = False, cpu: str = "AMD EPYC") -> dict[str, Any]:
    plans = {"full": plan(0.9, full_ms, 6), "balanced": plan(0.89, 4, 2), "fastest": plan(0.8, 2, 1)}
    before = {"earlier": [{"cpu_seconds": 540.0}]} if earlier else {}
    return {
        "training": {"cpu_seconds": 60.0, **before},
        "search": {"cpu_seconds": 120.0},
        "test": {"n": 500, "tokens": 10, "plans": plans, "linear": {"accuracy": 0.85}},
        "machine": {"cpu": cpu},
    }


def test_a_gain_is_the_mean_of_each_runs_own_gain() -> None:
    found = row([run(8), run(16)])
    assert found["balanced, faster, onnx"]["mean"] == pytest.approx(3)  # of 2 and 4, not of 12 and 4 ms
    assert found["balanced, faster, int8"] == {"mean": 3, "std": 0, "n": 2}
    assert found["fastest"]["mean"] == pytest.approx(0.8)
    assert found["cpu_seconds"]["mean"] == pytest.approx(180)


def test_what_all_trainings_took_is_counted() -> None:
    assert row([run(8, earlier=True)])["cpu_seconds"]["mean"] == pytest.approx(720)


def test_runs_differ_by_data_and_seed_alone(tmp_path: Path) -> None:
    options = TextFronts(("some/trec.csv.gz", "reviews.csv"), runs=tmp_path)
    first, other = (recipe(options, options.data[0], seed) for seed in (0, 1))
    assert (first.output.name, other.output.name) == ("text-trec-s0", "text-trec-s1")
    assert first.max_length == 64
    assert recipe(options, options.data[1], 0).max_length == 128


def test_the_sentence_says_where_tf_idf_wins(tmp_path: Path) -> None:
    lost = row([run(8)])
    lost["linear"] = 0.95
    results = {"shipped": ["text-imdb"], "rows": {"text-imdb": row([run(8)]), "trec": lost}}
    (tmp_path / "text_fronts.json").write_text(json.dumps(results))
    (claim,) = read(tmp_path / "text_fronts.json")
    assert "2.0 to 2.0 times as fast" in claim.sentence
    assert "from 1.0 points lower to 1.0 points lower" in claim.sentence
    assert claim.sentence.endswith("linear model on words on IMDB.")
    assert claim.command == "python -m benchmarks.text_fronts --data trec"


def test_the_best_linear_model_is_the_one_to_beat(tmp_path: Path) -> None:
    several = run(8)
    kinds = {"TF-IDF": {"accuracy": 0.8}, "NB-SVM": {"accuracy": 0.9}}
    several["test"]["linear"] = {"name": "TF-IDF", "accuracy": 0.8, "kinds": kinds}
    rows = {"trec": row([several]), "sst2": row([run(8)])}
    (tmp_path / "text_fronts.json").write_text(json.dumps({"shipped": [], "rows": rows}))
    (claim,) = read(tmp_path / "text_fronts.json")
    assert claim.sentence.endswith("linear model on words on SST-2.")
    assert "Behind the best linear model: trec (1.0 points)." in claim.limits
    assert claim.limits.endswith("TF-IDF is the only linear model that was measured beside sst2.")


def test_rows_get_the_linear_models_that_they_lack(tmp_path: Path) -> None:
    texts = "".join(f"{'good' if i % 2 else 'bad'} word{i},{i % 2}\n" for i in range(60))
    (tmp_path / "trec.csv").write_text(f"text,label\n{texts}")
    rows = {"trec": {**row([run(8)]), "texts": 4}, "sst2": row([run(8)])}
    found = text_fronts.with_linear(rows, str(tmp_path / "trec.csv"), ())
    assert found["sst2"] == rows["sst2"]
    assert {key: number["mean"] for key, number in found["trec"].items() if key.startswith("linear, ")} == {
        "linear, TF-IDF": 1, "linear, words and characters": 1, "linear, NB-SVM": 1
    }  # fmt: skip


def test_a_data_set_counts_once_and_is_ahead_only_if_all_its_rows_are(tmp_path: Path) -> None:
    lost = {**row([run(8)]), "linear": 0.95}
    rows = {"text-imdb": row([run(8)]), "trec": row([run(8)]), "imdb": lost}
    (tmp_path / "text_fronts.json").write_text(json.dumps({"shipped": ["text-imdb"], "rows": rows}))
    (claim,) = read(tmp_path / "text_fronts.json")
    assert claim.sentence.startswith("On 2 data sets")
    assert claim.sentence.endswith("linear model on words on TREC and IMDB as shipped.")
    assert claim.command == "python -m benchmarks.text_fronts --data trec imdb"


def test_rows_of_several_machines_say_which_was_whose(tmp_path: Path) -> None:
    both = row([run(8), run(8, cpu="Xeon")])
    rows = {"trec": row([run(8)]), "sst2": both, "imdb": row([run(8)])}
    (tmp_path / "text_fronts.json").write_text(json.dumps({"shipped": [], "rows": rows}))
    (claim,) = read(tmp_path / "text_fronts.json")
    assert claim.notes.endswith("Measured on: AMD EPYC (trec and imdb); AMD EPYC and Xeon (sst2).")


def test_rows_that_are_not_asked_for_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_fronts, "measured", lambda options, data, seed: run(8 * (1 + seed)))
    output = tmp_path / "text_fronts.json"
    for data, seeds in (("trec", 1), ("sst2", 2)):
        text_fronts.run(TextFronts((data,), seeds, shipped=(), output=output))
    rows = json.loads(output.read_text())["rows"]
    assert {name: found["full"]["n"] for name, found in rows.items()} == {"trec": 1, "sst2": 2}
    assert read(output)[0].seeds == "1 to 2 of each, and the shipped models"
