"""The loop: same batches for the same seed, complete checkpoints only, clear refusals."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training.loop import LoopConfig, RunError, batches, fit, learning_rate

CONFIG = LoopConfig(epochs=3, batch=8, lr=0.05, checkpoint_every=0, precision="no")
TARGET = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))


def step(model: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
    # Noise makes the result depend on the generator's state, as dropout would.
    noisy = TARGET[index] + 0.1 * torch.randn(len(index), 3)
    return {"loss": (model(noisy) - TARGET[index]).square().mean()}


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 3)


def train(output: Path, config: LoopConfig = CONFIG, **kwargs: Any) -> nn.Linear:
    model = linear()
    fit(model, step, 64, config, output, **kwargs)
    return model


def test_training_reduces_the_loss_and_logs_each_epoch(tmp_path: Path) -> None:
    train(tmp_path, validate=lambda m: {"answer": 42.0})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert lines[-1]["validation_answer"] == 42


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")

    class Killed(Exception):
        pass

    def die(model: nn.Module) -> dict[str, float]:
        if (tmp_path / "cut" / "checkpoint").exists():
            raise Killed
        return {}

    with pytest.raises(Killed):
        train(tmp_path / "cut", validate=die)
    resumed = train(tmp_path / "cut")
    assert torch.equal(whole.weight, resumed.weight)


def test_every_example_is_seen_once_an_epoch() -> None:
    seen = torch.cat(list(batches(Accelerator(), 64, 0, CONFIG)))
    assert sorted(seen.tolist()) == list(range(64))
    again = torch.cat(list(batches(Accelerator(), 64, 0, CONFIG)))
    other = torch.cat(list(batches(Accelerator(), 64, 1, CONFIG)))
    assert torch.equal(seen, again)
    assert not torch.equal(seen, other)


def test_schedule_warms_up_and_falls_to_zero() -> None:
    config = LoopConfig(lr=1.0, warmup=10)
    rates = [learning_rate(s, 1000, config) for s in range(1000)]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == pytest.approx(1, rel=0.01)
    assert rates[-1] < 1e-4
    assert learning_rate(0, 1, config) > 0


def test_another_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(RunError, match="other settings"):
        train(tmp_path, LoopConfig(epochs=5, batch=8, precision="no"))


def test_a_full_disk_says_so_and_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path)
    kept = sorted(p.name for p in (tmp_path / "checkpoint").iterdir())

    def full(self: Accelerator, output: str, **kwargs: object) -> None:
        (Path(output) / "half").write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Accelerator, "save_state", full)
    (tmp_path / "log.jsonl").unlink()
    model = linear()
    longer = tmp_path / "longer"
    with pytest.raises(RunError, match="free some disk space"):
        fit(model, step, 64, CONFIG, longer)
    assert not (longer / "checkpoint").exists()
    assert not (longer / "checkpoint.new").exists()
    assert sorted(p.name for p in (tmp_path / "checkpoint").iterdir()) == kept


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    whole = train(tmp_path / "a")
    train(tmp_path / "b", LoopConfig(**{**vars(CONFIG), "epochs": 3}))
    # As a kill between the two renames leaves it: the new one complete under its temporary name, the old one moved.
    (tmp_path / "b" / "checkpoint").rename(tmp_path / "b" / "checkpoint.new")
    (tmp_path / "b" / "checkpoint.old").mkdir()
    resumed = train(tmp_path / "b")
    assert torch.equal(whole.weight, resumed.weight)


def test_a_loss_that_explodes_is_reported(tmp_path: Path) -> None:
    def nan(model: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
        return {"loss": model.weight.sum() * torch.nan}

    with pytest.raises(RunError, match="lower --lr"):
        fit(linear(), nan, 64, CONFIG, tmp_path)
