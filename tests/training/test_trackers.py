"""Trackers: they get what the log gets, are no part of a run, and their files stay with it."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.tracking import GeneralTracker
from torch import Tensor, nn

from training import trackers
from training.loop import LoopConfig, fit
from training.runs import claimed, renewed
from training.trackers import LOGS

CONFIG = LoopConfig(epochs=3, batch=8, checkpoint_every=0, precision="no")
COMMANDS = {
    "affinevae.train": "Train",
    "classifiers.train": "Train",
    "textclf.train": "Train",
    "textclf.fit": "Fit",
}


class Kept(GeneralTracker):
    """A tracker that keeps what it is given."""

    name = "kept"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.recipe: dict[str, Any] = {}
        self.lines: list[dict[str, Any]] = []
        self.state = "made"

    @property
    def tracker(self) -> None:
        return None

    def start(self) -> None:
        self.state = "started"

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.recipe = values

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.lines.append({**values, "step": step})

    def finish(self) -> None:
        self.state = "finished"


def train(output: Path, *log_with: Any, die_after: int = 3, **kwargs: Any) -> list[dict[str, Any]]:
    """Fit a linear layer, killed after some epochs; the lines of its log."""
    model, epochs = nn.Linear(3, 3), iter(range(1, 4))

    def step(prepared: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
        return {"loss": prepared(torch.ones(len(index), 3)).square().mean()}

    def validate(_: nn.Module) -> dict[str, float]:
        if next(epochs) > die_after:
            raise KeyboardInterrupt
        return {"answer": 42.0}

    fit(model, step, 32, CONFIG, output, validate=validate, log_with=log_with, **kwargs)
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def test_a_tracker_gets_the_recipe_in_one_level_and_every_line_of_the_log(tmp_path: Path) -> None:
    kept = Kept()
    lines = train(tmp_path, kept, description={"data": "mnist", "poses": {"modes": 1}, "plans": [1, 2]})
    assert kept.lines == lines
    assert (len(lines), lines[-1]["validation_answer"], kept.state) == (3, 42, "finished")
    assert kept.recipe["loop/epochs"] == 3
    assert (kept.recipe["data"], kept.recipe["poses/modes"], kept.recipe["plans"]) == ("mnist", 1, "[1, 2]")


def test_a_run_that_was_killed_goes_on_with_another_tracker(tmp_path: Path) -> None:
    first, second = Kept(), Kept()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, first, die_after=1)
    assert first.state == "finished"
    train(tmp_path, second)
    assert [line["epoch"] for line in first.lines + second.lines] == [1, 2, 3]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_tracker_is_no_part_of_a_run_and_one_that_is_not_installed_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = importlib.import_module(name)
    options = getattr(command, COMMANDS[name])("mnist", tmp_path)
    if name == "classifiers.train":
        options = replace(options, network="resnet20", backbone="none")
    tracked = replace(options, log_with=("wandb",))
    assert command.describe(tracked) == command.describe(options)
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: ["tensorboard"])
    with pytest.raises(ValueError, match="--log-with wandb needs the package wandb: pip install wandb"):
        command.check(tracked)


def test_a_tracker_that_does_not_start_is_one_sentence(tmp_path: Path) -> None:
    class Broken(Kept):
        def start(self) -> None:
            raise OSError("no key\nlog in first")

    with pytest.raises(ValueError, match=r"--log-with kept does not start \(no key\)"):
        train(tmp_path, Broken())


def test_files_of_tensorboard_stay_with_a_run_that_replaces_another(tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    folder = tmp_path / "digits"
    for seed in (0, 1):
        recipe = {"data": "mnist", "seed": seed}
        with claimed(folder), renewed(folder, recipe, fresh=bool(seed)) as place:
            train(place, "tensorboard", description=recipe)
            (place / "metrics.json").write_text("{}")
    runs = sorted((folder / LOGS).iterdir())
    assert len({run.name for run in runs}) == 2
    for run in runs:
        assert run.name.startswith("digits-")
        events = [e for file in run.glob("events*") for e in loader.EventFileLoader(str(file)).Load()]
        steps = [e.step for e in events for v in e.summary.value if v.tag == "validation_answer"]
        assert steps == [4, 8, 12]
    train(folder, "tensorboard", description=recipe)  # no checkpoint is left: the same run from its beginning
    assert len(list(runs[0].glob("events*"))) == len(list(runs[1].glob("events*"))) == 1
