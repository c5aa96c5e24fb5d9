"""All claims in one command: what would run, on which data, and that a number which is not as recorded is told."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.claims import RESULTS, gather
from benchmarks.tools.all import All, Check, arguments, run, some, source, training_hours
from classifiers import CompactCNN
from training.loop import RunError


def test_data_sets_are_read_from_the_folder_where_it_has_them(tmp_path: Path) -> None:
    for name in ("mnist.npz", "agnews.csv.gz", "fashion.npz"):
        (tmp_path / name).touch()
    assert source("agnews", tmp_path) == str(tmp_path / "agnews.csv.gz")
    assert source("fashion_mnist", tmp_path) == str(tmp_path / "fashion.npz")
    assert source("imdb", tmp_path) == "imdb"
    assert source("mnist", None) == "mnist"
    claim = next(c for c in gather(RESULTS)[0] if c.name == "robustness_mnist")
    words = arguments(claim, tmp_path)
    assert words[1:3] == ["-m", "benchmarks.robustness"]
    assert words[words.index("--data") + 1] == str(tmp_path / "mnist.npz")
    several = replace(claim, command="python -m benchmarks.text_fronts --data trec mnist --seeds 2")
    assert arguments(several, tmp_path)[3:] == ["--data", "trec", str(tmp_path / "mnist.npz"), "--seeds", "2"]


def test_a_number_agrees_if_chance_explains_the_difference() -> None:
    assert Check("nats", 100.0, 103.9, 1.0).agrees
    assert not Check("nats", 100.0, 104.1, 1.0).agrees
    index = some(1000, 50)
    assert len(index.unique()) == 50
    assert index.float().mean() > 300  # not the first ones


def test_hours_are_summed_over_runs() -> None:
    spent = {"a": {"cpu_seconds": {"mean": 1800.0, "std": 1.0, "n": 3}}, "b": {"cpu_seconds": 1800}, "c": 7}
    assert training_hours({"rows": spent}) == pytest.approx(2.0)


def test_full_runs_every_command_once_and_names_those_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def fake(words: list[str], cwd: Path) -> SimpleNamespace:
        ran.append(" ".join(words[1:]))
        return SimpleNamespace(returncode=int("robustness" in ran[-1]))

    monkeypatch.setattr(subprocess, "run", fake)
    with pytest.raises(RunError, match="these failed: -m benchmarks.robustness --data mnist"):
        run(All(full=True, only="*_mnist"))
    assert ran == list(dict.fromkeys(ran))
    assert ran[-2:] == ["-m benchmarks.tools.readme", "-m benchmarks.tools.screenshots"]
    assert any(words.startswith("-m benchmarks.pose_search --data mnist") for words in ran)


@pytest.mark.parametrize("options", [All(), All(quick=True, full=True)])
def test_one_of_the_two_must_be_said(options: All) -> None:
    with pytest.raises(ValueError, match="--quick"):
        run(options)


def test_a_shipped_model_that_does_worse_than_recorded_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise, labels = np.random.default_rng(0).integers(0, 256, (400, 32, 32, 3), np.uint8), np.arange(400) % 10
    classes = np.array(CompactCNN.from_pretrained("cnn-cifar10").classes)
    np.savez(tmp_path / "cifar10.npz", images=noise, labels=labels, classes=classes)
    with pytest.raises(RunError, match="not as recorded: cnn-cifar10, accuracy"):
        run(All(quick=True, data=tmp_path, only="cnn-cifar10", test=40))
    assert "| cnn-cifar10, accuracy |" in capsys.readouterr().out
