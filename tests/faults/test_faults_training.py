"""Training that is killed, starved or lied to about the time ends with the weights of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from disks import Disk
from dying import in_child, killed_at, with_limit
from torch import Tensor, nn

import classifiers.train
from classifiers import CompactCNN
from classifiers.augment import Augment
from training import runs
from training.loop import CHECKSUMS, LoopConfig, RunError, checksums, fit
from training.runs import carry_out, conclude, finished, read_metrics
from weights import WeightsError

CONFIG = LoopConfig(epochs=4, batch=8, lr=0.05, checkpoint_every=0, precision="no")
TARGET = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
LARGE = 60_000  # numbers beside the model that a checkpoint holds


def step(model: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
    noisy = TARGET[index] + 0.1 * torch.randn(len(index), 3)
    return {"loss": (model(noisy) - TARGET[index]).square().mean()}


def train(output: Path, config: LoopConfig = CONFIG) -> Tensor:
    """Weights after a run of a linear layer."""
    torch.manual_seed(0)
    model = nn.Linear(3, 3)
    model.register_buffer("large", torch.zeros(LARGE))
    fit(model, step, 64, config, output)
    return model.weight.detach()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[list[float]]:
    """Weights of the run that nothing disturbs."""
    return train(tmp_path_factory.mktemp("whole")).tolist()


def as_list(output: Path) -> list[list[float]]:
    return train(output).tolist()


# Killed ---------------------------------------------------------------------------------------------------------------


def test_killed_again_and_again(whole: list[list[float]], tmp_path: Path) -> None:
    """The first process is killed before its first change of a file, each one later, until one gets to the end."""
    for change in range(1, 200, 7):
        ended = in_child(killed_at, change, tmp_path, as_list, tmp_path)
        assert ended.killed or ended.raised is None, ended
        if not ended.killed:
            break
    assert change > 10
    assert ended.value == whole
    assert not [path.name for path in tmp_path.iterdir() if path.name not in ("checkpoint", "log.jsonl")]


def half_saved(output: Path, parts: int) -> None:
    """A run that is killed inside its second checkpoint, when some of its files are there and the last is cut."""
    save_state = Accelerator.save_state
    calls = []

    def dying(self: Accelerator, folder: str, **options: object) -> object:
        saved = save_state(self, folder, **options)  # type: ignore[arg-type]
        calls.append(folder)
        if len(calls) == 2:
            first, *others = sorted(Path(folder).iterdir())[: parts + 1][::-1]
            first.write_bytes(first.read_bytes()[:99])
            for path in set(Path(folder).iterdir()) - {first, *others}:
                path.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return saved

    Accelerator.save_state = dying  # type: ignore[method-assign]
    train(output)


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_killed_inside_a_checkpoint(parts: int, whole: list[list[float]], tmp_path: Path) -> None:
    assert in_child(half_saved, tmp_path, parts).killed
    assert (tmp_path / "checkpoint.new").is_dir()
    assert as_list(tmp_path) == whole
    assert not (tmp_path / "checkpoint.new").exists()


def test_an_unfinished_swap_is_finished_first(tmp_path: Path) -> None:
    """Else the next checkpoint would begin by deleting the only one there is."""
    train(tmp_path, replace(CONFIG, epochs=2))
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.new")
    train(tmp_path, replace(CONFIG, epochs=2))  # nothing is left to train, and so no checkpoint to write
    assert (tmp_path / "checkpoint" / "complete").exists()
    assert not (tmp_path / "checkpoint.new").exists()


@pytest.mark.parametrize(
    "name", ["recipe.json", "model.safetensors", "optimizer.bin", "custom_checkpoint_0.pkl", CHECKSUMS]
)
def test_a_damaged_checkpoint_is_named(name: str, tmp_path: Path) -> None:
    train(tmp_path)
    (tmp_path / "checkpoint" / name).write_bytes(b'{"half')
    with pytest.raises(RunError, match=r"checkpoint is damaged .*: delete it") as caught:
        train(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.bin", "custom_checkpoint_0.pkl", "random_states_0.pkl"]
)
def test_zeroed_bytes_do_not_go_on_with_other_weights(name: str, tmp_path: Path) -> None:
    train(tmp_path)
    path = tmp_path / "checkpoint" / name
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(x ^ 1 for x in content[middle : middle + 64])
    path.write_bytes(bytes(content))
    with pytest.raises(RunError, match=f"damaged .{name} is not as written.: delete it"):
        train(tmp_path)


def test_a_checkpoint_without_checksums_is_not_trusted(tmp_path: Path) -> None:
    train(tmp_path)
    (tmp_path / "checkpoint" / CHECKSUMS).unlink()
    with pytest.raises(RunError, match=f"holds no {CHECKSUMS}"):
        train(tmp_path)


class Texts(NamedTuple):
    """Of a data set that is one text."""

    texts: list[str]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.texts)


def renewing(folder: Path, fresh: bool) -> str:
    """A run of one file, started over or not; what the folder holds in the end."""
    one = Texts(["a"], torch.zeros(1, dtype=torch.long))
    recipe = {"lr": 2 if fresh else 1}

    def write(data: object, place: Path, found: dict[str, object]) -> None:
        (place / "model.safetensors").write_text("new" if fresh else "old")
        (place / "metrics.json").write_text(json.dumps({"training": {**recipe, "fingerprint": found}}))

    data = SimpleNamespace(train=one, validation=one, test=one, classes=("a", "b"))
    carry_out(folder, recipe, load=lambda: data, train=write, measure=None, fresh=fresh)
    return (folder / "model.safetensors").read_text()


def test_a_run_that_is_started_over_and_killed_anywhere_ends_with_the_new_model(tmp_path: Path) -> None:
    for change in range(1, 60, 5):
        folder = tmp_path / str(change)
        assert renewing(folder, False) == "old"
        (folder / "model.onnx").write_text("old")
        ended = in_child(killed_at, change, folder, renewing, folder, True)
        assert ended.killed or ended.raised is None, ended
        assert renewing(folder, True) == "new"
        left = {
            path.name for path in folder.iterdir() if not path.name.startswith(f".{change}.")
        }  # of weights.write
        assert left == {"metrics.json", "model.safetensors"}
        if not ended.killed:
            break
    assert 10 < change < 56


# Starved --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "needed"),
    [(100_000, "takes 0.2 MB, and .* has 0.1 MB left: free some disk space"),
     (243_000, "could not save a checkpoint .*: free some disk space")],
)  # fmt: skip
def test_a_full_disk_is_said_and_the_same_run_goes_on(left: int, needed: str, disk: Disk) -> None:
    output = disk.folder / "run"
    train(output, replace(CONFIG, epochs=1))
    before = (output / "checkpoint" / "recipe.json").read_text()
    ballast = disk.fill(left=left)
    (output / "checkpoint" / "recipe.json").write_text(before.replace('"epochs": 1', '"epochs": 4'))
    (output / "checkpoint" / CHECKSUMS).write_text(json.dumps(checksums(output / "checkpoint")))
    with pytest.raises(RunError, match=needed) as caught:
        train(output)
    assert "\n" not in str(caught.value)
    assert not (output / "checkpoint.new").exists()
    assert (output / "checkpoint" / "complete").exists()
    ballast.unlink()
    train(output)
    assert json.loads((output / "log.jsonl").read_text().splitlines()[-1])["epoch"] == 4


@pytest.mark.parametrize("room", [10_000, 100_000, 239_000, 240_500])
def test_files_that_cannot_grow(room: int, whole: list[list[float]], tmp_path: Path) -> None:
    """As a quota does it; wherever in the checkpoint it strikes."""
    ended = in_child(with_limit, "FSIZE", room, as_list, tmp_path)
    assert ended.raised in ("RunError", None)
    assert ended.raised is None or "free some disk space" in ended.words
    assert not (tmp_path / "checkpoint.new").exists()
    assert as_list(tmp_path) == whole


def test_a_folder_that_is_read_only(disk: Disk) -> None:
    disk.protect()
    with pytest.raises(OSError, match="Read-only"):  # what training.command says in one line
        train(disk.folder / "run")


# Lied to --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_clock_that_jumps(
    jump: float, whole: list[list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, epochs = time.time, iter(range(1000))
    monkeypatch.setattr(time, "time", lambda: real() + jump * next(epochs))
    train(tmp_path / "seldom", replace(CONFIG, checkpoint_every=3600))
    assert as_list(tmp_path / "often") == whole
    records = [json.loads(line) for line in (tmp_path / "seldom" / "log.jsonl").read_text().splitlines()]
    assert all(0 <= record["wall_seconds"] < 600 for record in records)


# The command's end ----------------------------------------------------------------------------------------------------


def stripes(folder: Path) -> Path:
    """Pictures striped across or down."""
    rng, side = np.random.default_rng(0), np.arange(16)
    labels = rng.integers(0, 2, 200)
    waves = 128 + 90 * np.sin(side[None] * 1.5 + rng.random((200, 1)) * 6)
    images = np.where(labels[:, None, None] == 0, waves[:, :, None], waves[:, None, :]).repeat(16, 1)[:, :16]
    images = np.broadcast_to(images if images.shape[2] == 16 else images.repeat(16, 2), (200, 16, 16))
    np.savez(folder / "stripes.npz", images=images.astype(np.uint8), labels=labels)
    return folder / "stripes.npz"


def options(data: Path, output: Path, measure: bool = False) -> classifiers.train.Train:
    loop = LoopConfig(epochs=3, batch=32, lr=0.05, precision="no", checkpoint_every=0)
    still = Augment(flip=False, shift=0, cutout=0)
    return classifiers.train.Train(
        str(data),
        output,
        network="resnet20@0.25:blueprint",
        size=16,
        measure=measure,
        loop=loop,
        augment=still,
    )


def test_a_classifier_killed_while_it_saves_ends_with_the_same_weights(tmp_path: Path) -> None:
    data = stripes(tmp_path)
    classifiers.train.train(options(data, tmp_path / "whole"))
    output = tmp_path / "killed"
    assert in_child(killed_at, 12, output, classifiers.train.train, options(data, output)).killed
    assert not (output / "model.safetensors").exists()
    classifiers.train.train(options(data, output))
    first, second = (CompactCNN.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "killed"))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-4, atol=1e-5)
    assert not [path.name for path in output.iterdir() if "checkpoint" in path.name]


def die_before_the_evaluation(data: Path, output: Path) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    classifiers.train.measure = die  # type: ignore[assignment]
    classifiers.train.train(options(data, output, measure=True))


def test_a_run_killed_between_training_and_measuring_is_measured_by_the_next(tmp_path: Path) -> None:
    data, output = stripes(tmp_path), tmp_path / "run"
    assert in_child(die_before_the_evaluation, data, output).killed
    assert "test" not in read_metrics(output)
    saved = (output / "model.safetensors").read_bytes()
    classifiers.train.train(options(data, output, measure=True))
    assert read_metrics(output)["test"]["n"] == 20
    assert (output / "README.md").is_file()
    assert (output / "model.safetensors").read_bytes() == saved
    assert not (output / "checkpoint").exists()


def test_what_is_concluded_is_left_alone(tmp_path: Path) -> None:
    def forbidden() -> None:
        raise AssertionError("measured again")

    (tmp_path / "metrics.json").write_text('{"training": {"a": 1}, "test": {}}')
    (tmp_path / "checkpoint.old").mkdir()
    conclude(tmp_path, forbidden)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
    conclude(tmp_path, None)


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (b'{"training": {"lr": 1', "metrics.json is not readable JSON"),
        (b"\xff\xfe\x00", "metrics.json is not readable JSON"),
        (b"[]", "a list where a JSON object is needed"),
        (b'{"training": [1]}', "other options .lr unknown, not 1"),
        (b'{"training": null}', "other options .lr unknown, not 1"),
    ],
)
def test_metrics_that_are_garbled(content: bytes, outcome: str, tmp_path: Path) -> None:
    (tmp_path / runs.METRICS).write_bytes(content)
    with pytest.raises((WeightsError, RunError), match=outcome) as caught:
        finished(tmp_path, {"lr": 1})
    assert "\n" not in str(caught.value)


def test_a_run_from_before_an_option_is_the_run_that_did_without_it(tmp_path: Path) -> None:
    old = {"training": {"lr": 1, "poses": {"modes": 1}}}
    (tmp_path / runs.METRICS).write_text(json.dumps(old))
    unset = {"copies": 0, "poses": {"remember": True}}

    def recipe(**poses: object) -> dict[str, object]:
        return {"lr": 1, "copies": 0, "poses": {"modes": 1, **poses}}

    assert finished(tmp_path, recipe(remember=True), unset)
    with pytest.raises(RunError, match="other options .poses"):
        finished(tmp_path, recipe(remember=False), unset)
