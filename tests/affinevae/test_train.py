"""Training goes on where it was cut short, and leaks nothing from search to weights.

That it takes shape and orientation apart is tested on the tutorial's model (``tests/test_tutorial.py``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shapes import shapes

from affinevae import AffineVAE
from affinevae.affine import GROUPS
from affinevae.train import (
    PoseCache,
    PoseTraining,
    Train,
    e_step,
    frame_size,
    make_step,
    searched_first,
    train,
)
from affinevae.turned import TurnedImages
from training.command import command as run_command
from training.loop import LoopConfig, RunError, fit

TINY = (
    "--width",
    "32",
    "--features",
    "4",
    "--latent-dim",
    "2",
    "--batch",
    "64",
    "--size",
    "24",
    "--turns",
    "rotation",
)


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images, kind = shapes(700)
    path = tmp_path_factory.mktemp("data") / "shapes.npz"
    np.savez(path, images=images[:, 0].numpy(), labels=kind.numpy(), classes=np.array(["F", "L", "flag"]))
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "affinevae.train", *map(str, arguments)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)


def test_search_sends_nothing_into_the_weights() -> None:
    images, _ = shapes(64)
    model = AffineVAE((24, 24), latent_dim=2, width=16, features=4)
    source = TurnedImages(images, 24, "rotation", seed=0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for progress in (0.0, 0.9):
        remembered = torch.zeros(64, 1, dtype=torch.long)
        cells, table = e_step(model, source(torch.arange(64)), remembered, progress, PoseTraining())
        assert not table.cost.requires_grad
        assert cells.shape == (64, 1)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("remember", [True, False])
def test_poses_are_remembered_unless_told_otherwise(remember: bool) -> None:
    model = AffineVAE((24, 24), latent_dim=2, width=32, features=4)
    source, cache = TurnedImages(shapes(64)[0], 24, "rotation", seed=0), PoseCache(64, 1)
    unknown = cache.cells.clone()
    step = make_step(model, source, cache, PoseTraining(remember=remember))
    step(model, torch.arange(32), 0.5)
    assert (cache.cells[:32] != unknown[:32]).all() == remember
    assert (cache.cells[32:] == unknown[32:]).all()


def test_a_share_of_the_poses_is_searched_and_the_others_stay() -> None:
    model = AffineVAE((24, 24), latent_dim=2, width=32, features=4)
    source, cache = TurnedImages(shapes(64)[0], 24, "rotation", seed=0), PoseCache(64, 1)
    step = make_step(model, source, cache, PoseTraining(searched=0.25))
    evaluated: list[int] = []
    model.encoder.register_forward_hook(lambda _, given, __: evaluated.append(len(given[0])))
    step(model, torch.arange(32), 0.5)  # nothing is known yet: all are searched
    assert (cache.cells[:32] >= 0).all()
    before, first = cache.cells.clone(), sum(evaluated)
    evaluated.clear()
    step(model, torch.arange(32), 0.5)
    assert torch.equal(cache.cells[8:], before[8:])
    assert sum(evaluated) - 32 <= (first - 32) / 2
    index, count = searched_first(torch.arange(24, 40), cache, 0.5, PoseTraining(searched=0.25))
    assert count == 8 + 4
    assert set(index[:count].tolist()) == {24, 25, 26, 27, *range(32, 40)}


@pytest.mark.parametrize("group", ["none", "rigid", "affine"])
def test_every_group_trains(group: str, tmp_path: Path) -> None:
    images, _ = shapes(128)
    model = AffineVAE((24, 24), latent_dim=2, width=16, features=4, group=group)
    turns = "rotation" if group == "none" else group
    source = TurnedImages(images, 24, turns, seed=0, anew=group == "none")
    cache = PoseCache(128, model.group.dim)
    fit(
        model, make_step(model, source, cache, PoseTraining()), 128, LoopConfig(epochs=15, batch=32), tmp_path
    )
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]
    if model.group.dim:  # the remembered poses are lattice points of the group
        assert torch.equal(model.group.to_cells(model.group.from_cells(cache.cells)), cache.cells)


def test_a_run_that_was_cut_short_ends_with_the_same_weights(
    data_file: Path, tmp_path: Path, cut_short: Callable[[int, Callable[[], object]], None]
) -> None:
    loop = LoopConfig(epochs=4, batch=64, checkpoint_every=0)
    whole = Train(
        str(data_file), tmp_path / "whole", 2, size=24, width=32, features=4, measure=False, loop=loop
    )
    train(whole)
    cut = replace(whole, output=tmp_path / "cut")
    cut_short(3, lambda: train(cut))
    assert not (cut.output / "model.safetensors").exists()
    train(cut)
    first, second = (AffineVAE.from_pretrained(o.output).state_dict() for o in (whole, cut))
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_the_command_writes_a_complete_folder(data_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    done = run("--data", data_file, *TINY, "--epochs", "2", "--output", output)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in output.iterdir()} == {
        "config.json", "model.safetensors", "metrics.json", "README.md", "map.safetensors", "log.jsonl"
    }  # fmt: skip
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["test"]["n"] == 70
    assert metrics["training"]["seed"] == 0
    assert AffineVAE.from_pretrained(output).config.classes == ("F", "L", "flag")
    assert "shapes" in (output / "README.md").read_text()
    before = (output / "model.safetensors").stat().st_mtime_ns
    loop = LoopConfig(epochs=2, batch=64)
    same = Train(str(data_file), output, 2, size=24, width=32, features=4, loop=loop)
    train(same)  # finished already: nothing happens
    assert (output / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(RunError, match=r"other options .epochs 2, not 3."):
        train(replace(same, loop=replace(loop, epochs=3)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "nothing-here.npz"), "nothing-here"),
        (("--data", "DATA", "--group", "twist"), "unknown pose group"),
        (("--data", "DATA", "--turns", "twist"), "unknown --turns"),
        (("--data", "DATA", "--size", "30"), "multiple of 4"),
        (("--data", "DATA", "--batch", "0"), "--batch must be at least 1, not 0"),
        (("--data", "DATA", "--precision", "fp8"), "precision"),
    ],
)
def test_bad_options_end_with_one_sentence(
    arguments: tuple[str, ...],
    sentence: str,
    data_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [str(data_file) if a == "DATA" else a for a in arguments]
    monkeypatch.setattr(sys, "argv", ["train", *filled, "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        run_command(Train, train)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_two_processes_agree(data_file: Path, tmp_path: Path) -> None:
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--num_processes",
        "2",
        "--cpu",
        "-m",
        "affinevae.train",
    ]
    options = [
        "--data",
        str(data_file),
        *TINY,
        "--epochs",
        "2",
        "--output",
        str(tmp_path / "two"),
        "--measure",
        "False",
    ]
    done = subprocess.run(launch + options, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    facts = json.loads((tmp_path / "two" / "metrics.json").read_text())["training"]
    lines = (tmp_path / "two" / "log.jsonl").read_text().splitlines()
    assert len(lines) == 2  # only the main process writes
    assert facts["validation_nats"] == pytest.approx(json.loads(lines[-1])["validation_nats"], rel=1e-3)


def test_a_frame_holds_what_is_turned_in_it() -> None:
    images, _ = shapes(50)
    side = frame_size(images, "rotation")
    assert side % 4 == 0
    large = TurnedImages(images, side, "rotation", seed=0)
    upright = TurnedImages(images, side, "none", seed=0)
    every = torch.arange(50)
    kept = large(every).sum((1, 2, 3)) / upright(every).sum((1, 2, 3))
    assert kept.min() > 0.97
    assert frame_size(images, "none") == 20


def test_turned_images_stay_or_change() -> None:
    images, _ = shapes(10)
    every = torch.arange(10)
    once = TurnedImages(images, 24, "rotation", seed=0)
    fresh = TurnedImages(images, 24, "rotation", seed=0, anew=True)
    assert torch.equal(once(every), once(every))
    assert not torch.equal(fresh(every), fresh(every))
    assert GROUPS["rotation"].dim == once.poses.shape[1]
