"""The life of a run: claimed by one process, compared with its data, started over aside, told to a log."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training import lock, progress
from training.command import Flag, command
from training.fingerprint import changes, fingerprint
from training.loop import LoopConfig, RunError, fit
from training.runs import FRESH, carry_out, claimed, finished

SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Split:
    """Pictures or texts, as loaded."""

    images: Any
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Texts:
    texts: list[str]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Data:
    train: Any
    validation: Any
    test: Any
    classes: tuple[str, ...] = ("a", "b")


def pictures(n: int = 6, shift: int = 0) -> Data:
    images = torch.arange(n * 4, dtype=torch.uint8).view(n, 1, 2, 2) + shift
    part = Split(images, torch.arange(n) % 2)
    return Data(part, part, part)


def texts(*words: str) -> Data:
    part = Texts(list(words), torch.arange(len(words)) % 2)
    return Data(part, part, part)


class Files(list[int]):
    """Stands for pictures that are read as they are needed."""

    def __init__(self, files: list[Path]) -> None:
        super().__init__(range(len(files)))
        self.files = files


def streamed(folder: Path) -> Data:
    files = sorted(folder.glob("*/*"))
    part = Split(Files(files), torch.zeros(len(files)))
    return Data(part, part, part)


# Fingerprints --------------------------------------------------------------------------------------------------------


def test_a_fingerprint_tells_the_same_data_and_says_what_changed() -> None:
    before = json.loads(json.dumps(fingerprint(pictures())))
    assert changes(before, fingerprint(pictures())) == []
    assert changes(before, fingerprint(pictures(shift=1))) == ["other contents"]
    assert changes(before, fingerprint(pictures(8)))[0] == "8 train examples instead of 6"
    assert changes(before, fingerprint(replace(pictures(), classes=("a", "c")))) == [
        "class c added",
        "class b gone",
    ]
    assert changes(before, fingerprint(replace(pictures(), classes=("b", "a")))) == [
        "its classes in another order"
    ]
    part = Split(pictures().train.images, torch.zeros(6, dtype=torch.long))
    assert changes(before, fingerprint(replace(pictures(), test=part))) == ["other labels"]


def test_texts_are_told_apart_where_they_end() -> None:
    assert changes(fingerprint(texts("ab", "c")), fingerprint(texts("ab", "c"))) == []
    assert changes(fingerprint(texts("ab", "c")), fingerprint(texts("a", "bc"))) == ["other contents"]
    fingerprint(texts("\ud800", ""))  # what a table may hold


def test_of_streamed_folders_names_and_sizes_count_and_times_do_not(tmp_path: Path) -> None:
    for place in ("one/a", "two/a"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "x.png").write_bytes(b"123")
    first = fingerprint(streamed(tmp_path / "one"))
    os.utime(tmp_path / "one" / "a" / "x.png", (1, 1))
    assert fingerprint(streamed(tmp_path / "one")) == first == fingerprint(streamed(tmp_path / "two"))
    (tmp_path / "one" / "a" / "x.png").write_bytes(b"1234")
    assert fingerprint(streamed(tmp_path / "one")) != first


# Runs ----------------------------------------------------------------------------------------------------------------


@dataclass
class Log:
    """A run that writes how often it was trained, and can be made to die."""

    data: Data = field(default_factory=pictures)
    trained: int = 0
    die: Callable[[Path], None] = lambda place: None

    def __call__(self, folder: Path, recipe: dict[str, Any], fresh: bool = False) -> None:
        def train(data: Data, place: Path, found: dict[str, Any]) -> None:
            self.trained += 1
            (place / "checkpoint").mkdir(exist_ok=True)
            self.die(place)
            (place / "model.safetensors").write_text(f"{recipe} {self.trained}")
            (place / "metrics.json").write_text(json.dumps({"training": {**recipe, "fingerprint": found}}))

        def measure(data: Data, place: Path) -> None:
            metrics = json.loads((place / "metrics.json").read_text())
            (place / "metrics.json").write_text(json.dumps({**metrics, "test": {"folder": place.name}}))

        carry_out(folder, recipe, load=lambda: self.data, train=train, measure=measure, fresh=fresh)


def test_a_finished_run_is_left_alone_until_its_data_change(tmp_path: Path) -> None:
    run, folder = Log(), tmp_path / "run"
    run(folder, {"lr": 1})
    run(folder, {"lr": 1})
    assert run.trained == 1
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "model.safetensors"]
    run.data = pictures(8)
    with pytest.raises(
        RunError, match="data have changed .*8 train examples instead of 6.* --fresh .* another --output"
    ):
        run(folder, {"lr": 1})
    old = json.loads((folder / "metrics.json").read_text())
    del old["training"]["fingerprint"]
    (folder / "metrics.json").write_text(json.dumps(old))
    run(folder, {"lr": 1})  # from before fingerprints
    assert run.trained == 1


def test_fresh_replaces_a_model_once_the_new_one_is_complete(tmp_path: Path) -> None:
    run, folder = Log(), tmp_path / "run"
    run(folder, {"lr": 1}, fresh=True)  # there is nothing to replace
    (folder / "model.onnx").write_text("of the old model")
    (folder / "notes.txt").write_text("somebody's own")

    def die(place: Path) -> None:
        assert place != folder
        assert (folder / "model.safetensors").read_text() == "{'lr': 1} 1"
        raise KeyboardInterrupt

    run.die, run.data = die, pictures(8)
    with pytest.raises(KeyboardInterrupt):
        run(folder, {"lr": 2}, fresh=True)
    assert (folder / "model.onnx").exists()
    (begun,) = (folder / FRESH).glob("*/run/checkpoint")
    with pytest.raises(RunError, match="trained with other options .lr 1, not 3"):
        run(folder, {"lr": 3})  # neither the old one nor the one that was begun
    run.die = lambda place: None
    run(folder, {"lr": 2}, fresh=True)
    assert not begun.exists()
    assert (folder / "model.safetensors").read_text() == "{'lr': 2} 3"
    assert json.loads((folder / "metrics.json").read_text())["test"] == {"folder": "run"}
    assert sorted(path.name for path in folder.iterdir()) == [
        "metrics.json",
        "model.safetensors",
        "notes.txt",
    ]
    assert finished(folder, {"lr": 2})
    run(folder, {"lr": 2})
    assert run.trained == 3
    run(folder, {"lr": 2}, fresh=True)  # as asked for
    assert run.trained == 4


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("lr", [1, 2])
def test_a_fresh_run_that_was_killed_goes_on_where_it_was(lr: int, fresh: bool, tmp_path: Path) -> None:
    run, folder = Log(), tmp_path / "run"
    run(folder, {"lr": 1})
    seen: list[bool] = []

    def die(place: Path) -> None:
        seen.append((place / "half").exists())
        (place / "half").touch()
        if len(seen) == 1:
            raise KeyboardInterrupt

    run.die, run.data = die, pictures(shift=1)
    with pytest.raises(KeyboardInterrupt):
        run(folder, {"lr": lr}, fresh=True)
    run(folder, {"lr": lr}, fresh)
    assert seen == [False, True]
    assert (folder / "model.safetensors").read_text() == f"{{'lr': {lr}}} 3"


def test_a_replacement_that_was_cut_short_is_finished_first(tmp_path: Path) -> None:
    run, folder = Log(), tmp_path / "run"
    run(folder, {"lr": 1})
    place = folder / FRESH / "0" / "run"
    place.mkdir(parents=True)
    (folder / "metrics.json").rename(place / "metrics.json")
    (place / "model.safetensors").write_text("new")
    (place / "complete").touch()
    run(folder, {"lr": 1})
    assert run.trained == 1
    assert (folder / "model.safetensors").read_text() == "new"
    assert not (folder / FRESH).exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"epochs": 5}, r"other settings \(epochs\)"),
        ({}, "data have changed since the run in .* was interrupted"),
    ],
)
def test_a_killed_run_is_continued_on_its_own_data_only(
    changed: dict[str, int], sentence: str, tmp_path: Path
) -> None:
    config = LoopConfig(epochs=1, batch=8, precision="no", checkpoint_every=0)

    def step(model: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
        return {"loss": model(torch.ones(len(index), 2)).square().mean()}

    fit(nn.Linear(2, 1), step, 16, config, tmp_path, fingerprint=fingerprint(pictures()))
    fit(nn.Linear(2, 1), step, 16, config, tmp_path, fingerprint=fingerprint(pictures()))
    other = fingerprint(pictures(shift=1))
    with pytest.raises(RunError, match=f"{sentence}.*--fresh"):
        fit(nn.Linear(2, 1), step, 16, replace(config, **changed), tmp_path, fingerprint=other)


# Locks ---------------------------------------------------------------------------------------------------------------


def hold(folder: Path, ready: Any) -> None:
    """Claim a folder until killed."""
    with claimed(folder):
        ready.set()
        signal.pause()


def test_a_second_process_is_told_who_writes_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    ready = SPAWN.Event()
    first = SPAWN.Process(target=hold, args=(tmp_path / "run", ready))
    first.start()
    try:
        assert ready.wait(60)
        with (
            pytest.raises(
                RunError, match=rf"process {first.pid} \(.*is writing .*run: wait .* another --output"
            ),
            claimed(tmp_path / "run"),
        ):
            pass
        with claimed(tmp_path / "other"):
            pass
    finally:
        first.kill()
        first.join()
    with claimed(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / lock.LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / "run" / lock.LOCK).exists()


def test_where_nothing_locks_files_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    with claimed(tmp_path):
        pass
    assert (
        capsys.readouterr().err
        == f"nothing locks files here, so let no other process write {tmp_path} meanwhile\n"
    )


def test_outputs_that_cannot_be_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def never() -> Data:
        raise AssertionError("data were read")

    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="file is a file, give a folder"):
            carry_out(output, {}, load=never, train=lambda *_: None, measure=None)
    with pytest.raises(RunError, match="cannot be made"):
        carry_out(Path("/proc/run"), {}, load=never, train=lambda *_: None, measure=None)

    def fail() -> Data:
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        carry_out(tmp_path / "run", {}, load=fail, train=lambda *_: None, measure=None)
    assert not (tmp_path / "run").exists()


# What is said --------------------------------------------------------------------------------------------------------


def test_an_untended_log_gets_a_line_an_epoch_with_the_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def step(model: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
        return {"loss": model(torch.ones(len(index), 2)).square().mean()}

    config = LoopConfig(epochs=3, batch=8, precision="no")
    fit(nn.Linear(2, 1), step, 16, config, tmp_path, validate=lambda _: {"accuracy": 0.5})
    out, err = capsys.readouterr()
    assert out == ""
    first, second, last = err.splitlines()
    assert re.fullmatch(r"epoch 1 of 3: loss \S+, validation accuracy 0.5, \d:\d\d:\d\d left", first)
    assert second.startswith("epoch 2 of 3: loss ")
    assert re.fullmatch(r"epoch 3 of 3: loss \S+, validation accuracy 0.5", last)


def test_a_long_epoch_is_not_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Steps(1000, 100) as steps:
        for _ in range(90):
            now[0] += 10
            steps.advance({"loss": 1.0})
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "step 102 of 1,000: loss 1, 2:29:40 left"
    assert len(said) == 3  # after twenty seconds, then every five minutes


@dataclass(frozen=True)
class Options:
    """A command.

    Args:
        fresh: start over.
        measure: or not.
    """

    fresh: Flag = False
    measure: bool = True


@pytest.mark.parametrize(
    ("words", "fresh"),
    [((), False), (("--fresh",), True), (("--fresh", "True"), True), (("--fresh", "False"), False)],
)
def test_a_flag_is_said_by_its_name_alone(
    words: tuple[str, ...], fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Options] = []
    monkeypatch.setattr(sys, "argv", ["command", *words, "--measure", "False"])
    command(Options, found.append)
    assert found == [Options(fresh, False)]
