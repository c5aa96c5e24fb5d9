"""Claims say what the files say: every row, every plotted number, a command that runs; and broken files are refused."""

from __future__ import annotations

import json
import math
import runpy
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro

import training.command
from benchmarks.claims import KINDS, RESULTS, Claim, ClaimError, gather, read, read_model
from benchmarks.tools.tables import cell, cells, table

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(RESULTS.glob("*.json"))
MODELS = sorted((ROOT / "weights").glob("text-*/metrics.json"))
SOURCES = [*FILES, *MODELS]
named = pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem if p in FILES else p.parent.name)


def claims(path: Path) -> list[Claim]:
    return read(path) if path in FILES else read_model(path)


def numbers(value: Any) -> Iterator[float]:
    """Every number of a JSON value, keys that are numbers, and the means of lists of numbers."""
    if isinstance(value, list) and value and all(isinstance(each, float) for each in value):
        yield statistics.fmean(value)
    if isinstance(value, dict):
        yield from (float(key) for key in value if key.isdigit())
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from numbers(each)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def changed(tmp_path: Path, name: str, change: Any) -> Path:
    """A copy of a result file after ``change(results)``."""
    results = json.loads((RESULTS / name).read_text())
    change(results)
    path = tmp_path / name
    path.write_text(json.dumps(results))
    return path


# ---- what the repository holds ----


def test_every_result_in_the_repository_is_shown() -> None:
    found, refused = gather(models=MODELS)
    assert refused == []
    assert len(FILES) >= 10
    assert {path.stem for path in FILES} | {path.parent.name for path in MODELS} <= {
        claim.name for claim in found
    }
    assert len({claim.name for claim in found}) == len(found)


@named
def test_a_claim_says_everything_that_the_page_shows(path: Path) -> None:
    for claim in claims(path):
        for text in (
            claim.title,
            claim.sentence,
            claim.limits,
            claim.n,
            claim.seeds,
            claim.machine,
            claim.commit,
        ):
            assert text
        for sentences in (claim.sentence, claim.limits):
            assert sentences[0].isupper()
            assert sentences.endswith(".")
            assert not {"nan", "None", "inf"} & set(sentences.replace(".", " ").split())
        assert json.loads(json.dumps(claim.results, allow_nan=False)) == json.loads(path.read_text())


@named
def test_the_table_has_every_row_of_the_file(path: Path) -> None:
    first, results = claims(path)[0], json.loads(path.read_text())
    if path in MODELS:
        assert set(results["test"]["plans"]) < set(first.rows)
    elif first.name.startswith("affine_vae"):  # one column a model
        assert list(first.columns) == list(results["rows"])
    elif first.name == "load":
        assert len(first.rows) == sum(len(found["actions"]) for found in results["visitors"].values())
    elif first.name.startswith("text_latency"):  # linear models were timed once
        linear = len(results["linear"].get("kinds", [1]))
        assert len(first.rows) == sum(map(len, results["milliseconds"].values())) + linear
    else:
        assert len(first.rows) == len(results["rows"])


ALTERNATIVES = (
    "TF-IDF", "words and characters", "NB-SVM", "frozen embeddings", "static embeddings", "left early",
    "first and last", "2 layers", "3 layers", "transformers", "plans by hand",
)  # fmt: skip


@named
def test_an_alternative_to_a_text_model_that_is_named_is_in_the_table(path: Path) -> None:
    for claim in claims(path):
        if claim.system == "Text":
            drawn = table(claim.rows, claim.columns).lower()
            said = f"{claim.sentence} {claim.limits}".lower()
            assert not [name for name in ALTERNATIVES if name.lower() in said and name.lower() not in drawn]


@named
def test_every_plotted_number_is_one_of_the_file(path: Path) -> None:
    """As it is, or as a share of one, in millions, or an error as accuracy."""
    there = set()
    for value in numbers(json.loads(path.read_text())):
        there |= {f"{v:.6g}" for v in (value, value / 100, value / 1e6, 1 - value)}
    for claim in claims(path):
        for plot in claim.plots:
            assert plot.points
            for point in plot.points:
                assert f"{point.x:.6g}" in there
                assert f"{point.y:.6g}" in there
                assert point.series in claim.series
                assert point.facts
                assert not plot.x.log or point.x > 0


EXPECTED = [
    ("affine_vae_mnist", 0, "plain VAE, 9 latents", ("nats", "mean"), ("kmeans_accuracy", "mean")),
    ("voxel_orientation", 0, "rotation: affine VAE", ("cpu_seconds", "mean"), ("iou", "mean")),
    ("pose_search_mnist", 0, "ours, fast", ("cpu_ms",), ("nats",)),
    ("network_costs_wrn16-2", 0, "wrn16-2:blueprint", ("parameters",), ("ms",)),
]


@pytest.mark.parametrize(("file", "plot", "row", "x", "y"), EXPECTED)
def test_a_mark_stands_at_its_rows_numbers(
    file: str, plot: int, row: str, x: tuple[str, ...], y: tuple[str, ...]
) -> None:
    (point,) = [p for p in read(RESULTS / f"{file}.json")[0].plots[plot].points if p.name == row]
    for keys, value in ((x, point.x), (y, point.y)):
        expected = json.loads((RESULTS / f"{file}.json").read_text())["rows"][row]
        for key in keys:
            expected = expected[key]
        assert value == expected


def test_error_bars_are_deviations_over_seeds(tmp_path: Path) -> None:
    def three(results: dict[str, Any]) -> None:
        for key in ("nats", "kmeans_accuracy"):
            results["rows"]["affine VAE, 8 latents + angle"][key] |= {"std": 0.25, "n": 3}
            results["rows"]["plain VAE, 9 latents"][key] |= {"std": 0.0, "n": 1}

    claim = read(changed(tmp_path, "affine_vae_mnist.json", three))[0]
    errors = {p.name: (p.x_error, p.y_error) for p in claim.plots[0].points}
    assert errors["affine VAE, 8 latents + angle"] == (0.25, 0.25)
    assert errors["plain VAE, 9 latents"] == (0, 0)  # a single run has no spread


def test_seeds_of_tied_networks_become_bars_and_leave_the_command(tmp_path: Path) -> None:
    def three(results: dict[str, Any]) -> None:
        results["rows"]["wrn16-2:blueprint"]["accuracies"] = [85.0, 85.5, 86.0]

    (claim,) = read(changed(tmp_path, "tied_networks_cifar10_wrn16-2.json", three))
    (point,) = [p for p in claim.plots[0].points if p.name == "wrn16-2:blueprint"]
    assert (point.y, point.y_error) == pytest.approx((0.855, 0.005))
    assert claim.seeds == "1 to 3"
    assert "--seeds" not in claim.command


@pytest.mark.parametrize("claim", gather(models=MODELS)[0], ids=lambda claim: claim.name)
def test_the_command_is_one_that_its_module_understands(
    claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, flag, module, *arguments = shlex.split(claim.command)
    assert (python, flag) == ("python", "-m")
    understood = []

    def parse(options: Any, run: Any, flags: bool = False) -> None:
        how = tyro.conf.FlagCreatePairsOff if flags else tyro.conf.FlagConversionOff
        config = (tyro.conf.OmitArgPrefixes, how)
        understood.append(tyro.cli(options, args=arguments, config=config))

    monkeypatch.setattr(training.command, "command", parse)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert understood


@pytest.mark.slow
def test_reading_needs_none_of_the_extras() -> None:
    extras = "{'accelerate', 'optuna', 'tyro', 'sklearn', 'datasets', 'psutil', 'matplotlib'}"
    script = f"import sys, benchmarks.claims; found = {extras} & set(sys.modules); assert not found, found"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


# ---- what may come ----


def test_words_stay_true_when_we_lose(tmp_path: Path) -> None:
    def swap(results: dict[str, Any]) -> None:
        ours, plain, *_ = results["rows"]
        for key in ("nats", "kmeans_accuracy"):
            pair = results["rows"][ours][key], results["rows"][plain][key]
            results["rows"][plain][key], results["rows"][ours][key] = pair

    ours, plain, *_ = json.loads((RESULTS / "affine_vae_mnist.json").read_text())["rows"].values()
    gap = plain["nats"]["mean"] - ours["nats"]["mean"]
    (claim,) = read(changed(tmp_path, "affine_vae_mnist.json", swap))
    assert f"{gap:.1f} more" in claim.sentence


def swapped(ours: str, theirs: str) -> Any:
    """What changes two rows' places."""

    def change(results: dict[str, Any]) -> None:
        rows = results["rows"]
        rows[ours], rows[theirs] = rows[theirs], rows[ours]

    return change


def slower(results: dict[str, Any]) -> None:
    for row in results["rows"].values():
        row["faster, batch 1"] = 0.5


def no_pose_search(results: dict[str, Any]) -> None:
    starts = next(iter(results["rows"].values()))
    results["rows"]["ours, fast"] |= {"cpu_ms": 2 * starts["cpu_ms"], "nats": starts["nats"] + 2.7}


def behind_everywhere(results: dict[str, Any]) -> None:
    for row in results["rows"].values():
        row["balanced"] = {"mean": 0.5, "std": 0.0, "n": 1}


ADVERSE = [
    ("outside_vae_mnist", swapped("ours, plain", "pythae"), "15.7 more nats", "fewer"),
    (
        "outside_encoder_text-imdb",
        swapped("ours, full length", "transformers, BERT"),
        "times slower than an",
        "",
    ),
    ("network_costs_wrn16-2", slower, "2.0 times slower than its dense twin", "faster"),
    ("pose_search_mnist", no_pose_search, "2.0 times slower than random starts", "fewer nats"),
    ("text_fronts", behind_everywhere, "linear model on words on none of them", "higher"),
]


@pytest.mark.parametrize(("file", "change", "said", "unsaid"), ADVERSE, ids=[case[0] for case in ADVERSE])
def test_a_claim_says_so_when_we_lose(file: str, change: Any, said: str, unsaid: str, tmp_path: Path) -> None:
    (claim,) = read(changed(tmp_path, f"{file}.json", change))
    assert said in claim.sentence
    assert not unsaid or unsaid not in claim.sentence


def test_a_tied_network_ahead_of_its_twin_is_not_called_behind(tmp_path: Path) -> None:
    def better(results: dict[str, Any]) -> None:
        results["rows"]["wrn16-2:blueprint"]["accuracies"] = [90.31]

    (claim,) = read(changed(tmp_path, "tied_networks_cifar10_wrn16-2.json", better))
    assert "3.0 points ahead of its dense twin" in claim.limits


def test_failed_answers_are_told(tmp_path: Path) -> None:
    def fail(results: dict[str, Any]) -> None:
        results["visitors"]["64"]["actions"]["all"]["errors"] = 7
        results["visitors"]["32"]["actions"]["all"]["errors"] = 1
        results["growth"] = {"requests": 10_000, "warm_up": 3000, "before_mb": 1000.0, "growth_mb": -12.4}

    (claim,) = read(changed(tmp_path, "load.json", fail))
    assert "serves 8 visitors" in claim.sentence
    assert "7 failed" in claim.limits
    assert (
        "10,000 requests, after 3,000 others, the server's memory changed by -12 MB (1.2 %)." in claim.limits
    )


def test_classes_that_lose_are_named(tmp_path: Path) -> None:
    def lose(results: dict[str, Any]) -> None:
        for row in results["rows"].values():
            row["iou_rotation_plain"] = row["iou_rotation_affine"] - 0.01
        results["rows"]["chair"] |= {"iou_rotation_plain": 0.9, "iou_rotation_affine": 0.5}

    (claim,) = read(changed(tmp_path, "shape_classes.json", lose))
    assert "9 of 10 classes better" in claim.sentence
    assert "chair by -0.40" in claim.sentence
    assert claim.limits.endswith("These do not gain: chair.")
    lose_none = changed(tmp_path, "shape_classes.json", lambda r: [lose(r), r["rows"].pop("chair")])
    assert "do not gain" not in read(lose_none)[0].limits


def test_files_of_a_known_kind_appear_by_themselves(tmp_path: Path) -> None:
    for source, new in (
        ("tied_networks_fashion", "tied_networks_own"),
        ("affine_vae_mnist", "affine_vae_own"),
    ):
        (tmp_path / f"{new}.json").write_text((RESULTS / f"{source}.json").read_text())
    folder = tmp_path / "text-imdb"
    folder.mkdir()
    (folder / "metrics.json").write_text(MODELS[0].read_text())
    found, refused = gather(tmp_path, [folder / "metrics.json"])
    assert [claim.name for claim in found] == ["affine_vae_own", "tied_networks_own", "text-imdb"]
    assert refused == []


def text_latency() -> dict[str, Any]:
    """As ``benchmarks.text_latency`` writes it, with all of its parts."""
    times = {
        "full": {"torch": 20.0, "onnx": 12.0, "int8": 6.0},
        "fastest": {"torch": 8.0, "onnx": 3.0, "int8": 1.5},
    }
    return {
        "data": "imdb",
        "n": 5000,
        "machine": {"cpu": "a processor", "cores": 2, "threads": 1},
        "commit": "abc",
        "tokens": 128,
        "milliseconds": {
            "batch 1, 1 thread": times,
            "batch 32, 2 threads": {k: dict(v) for k, v in times.items()},
        },
        "accuracy": {"full": {"onnx": 0.9, "int8": 0.89}, "fastest": {"onnx": 0.88, "int8": 0.87}},
        "linear": {"accuracy": 0.885, "latency_ms": 0.5},
        "operators": {
            "plan": [2, 1],
            "n": 2000,
            "rows": {
                "learned": {"accuracy": 0.9, "std": 0.01, "n": 3, "latency_ms": 4.0},
                "mean": {"accuracy": 0.87, "std": 0.02, "n": 3, "latency_ms": 4.1},
            },
        },
    }


def test_text_latency_is_two_claims(tmp_path: Path) -> None:
    path = tmp_path / "text_latency_imdb.json"
    path.write_text(json.dumps(text_latency()))
    plans, poolings = read(path)
    assert "4.0 times faster" in plans.sentence
    assert "its accuracy 0.5 points higher" in plans.limits
    assert plans.rows["batch 1, 1 thread: fastest"]["int8 over full torch"] == pytest.approx(20 / 1.5)
    assert [len(plot.points) for plot in plans.plots] == [7, 6]  # the linear model was timed once
    assert table(poolings.rows, poolings.columns).endswith("| mean | 87.00% ± 2.00% | 3 | 4.10 |")
    assert "learned (90.0 %) and mean (87.0 %)" in poolings.sentence
    assert [claim.n[:5] for claim in (plans, poolings)] == ["5,000", "2,000"]
    assert len({claim.name for claim in (plans, poolings)}) == 2


def test_a_classifier_that_was_never_measured_claims_nothing(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"training": {"epochs": 2}}')
    assert read_model(tmp_path / "metrics.json") == []


# ---- what cannot be read ----


FOREIGN = (
    "{}",
    '{"rows": {}}',
    '{"rows": 3, "data": "x"}',
    '{"rows": {"a": {"nats": "b"}}, "data": [], "visitors": 1}',
    "[1]",
    "{",
    "",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", FOREIGN)
def test_what_is_not_what_its_name_says_is_refused_in_a_sentence(
    kind: str, content: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{kind}_x.json"
    path.write_text(content)
    with pytest.raises(ClaimError, match=f"^{path.name} .*\\.$"):
        read(path)


def test_missing_and_unknown_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClaimError, match="load.json is missing"):
        read(tmp_path / "load.json")
    with pytest.raises(ClaimError, match="holiday.json is of no known kind"):
        read(tmp_path / "holiday.json")
    (tmp_path / "metrics.json").write_text('{"test": {"plans": {"full": {"accuracy": 0.5}}}}')
    with pytest.raises(ClaimError, match="metrics.json cannot be shown"):
        read_model(tmp_path / "metrics.json")


def test_a_broken_file_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "load.json").write_text('{"visitors": ')
    (tmp_path / "pose_search_mnist.json").write_text((RESULTS / "pose_search_mnist.json").read_text())
    found, refused = gather(tmp_path)
    assert [claim.name for claim in found] == ["pose_search_mnist"]
    assert refused == ["load.json is not readable JSON."]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_a_number_is_left_out(value: float, tmp_path: Path) -> None:
    def lose(results: dict[str, Any]) -> None:
        plain = results["rows"]["plain VAE, 9 latents"]
        results["rows"]["one"] = plain | {"nats": {**plain["nats"], "mean": value}}
        results["rows"]["other"] = plain | {"nats": None}

    (claim,) = read(changed(tmp_path, "affine_vae_mnist.json", lose))
    first, second = claim.plots[:2]
    assert {point.name for point in second.points} - {point.name for point in first.points} == {
        "one",
        "other",
    }
    row = next(iter(claim.rows.values()))
    assert cells(row, claim.columns)[-2:] == ["-", "-"]
    json.dumps(claim.results, allow_nan=False)


def test_a_headline_without_its_number_is_refused(tmp_path: Path) -> None:
    def lose(results: dict[str, Any]) -> None:
        results["rows"]["plain VAE, 9 latents"]["nats"]["mean"] = math.nan

    with pytest.raises(ClaimError, match="affine_vae_mnist.json cannot be shown: nats is not a number"):
        read(changed(tmp_path, "affine_vae_mnist.json", lose))


# ---- tables ----


def test_a_cell_shows_a_spread_only_where_there_is_one() -> None:
    assert cell({"mean": 1.0, "std": 0.25, "n": 3}, "{:.2f}") == "1.00 ± 0.25"
    assert cell({"mean": 1.0, "std": 0.0, "n": 1}, "{:.2f}") == "1.00"
    assert cell(None, "{:.2f}") == "-"
    assert cell(0, "{}") == "0"
