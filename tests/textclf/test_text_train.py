"""Training: every plan learns, a killed run ends as an unbroken one, and one command does it all."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tinytext import LAYERS, model, reviews, tokens, write_backbone, write_csv

from textclf import TextClassifier
from textclf.augment import thinned
from textclf.evaluate import accuracy, classify
from textclf.train import (
    Supernet,
    Train,
    Visits,
    chosen_plans,
    class_weights,
    drawn_plans,
    freeze,
    make_step,
    optimizer,
    random_plan,
    sandwich_loss,
    smallest_plan,
    train,
)
from training.command import command as run_command
from training.loop import LoopConfig, RunError, fit
from training.texts import TextSplit, subset

SMALL = Supernet(shrink=8, skip=1)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("data") / "reviews.csv", 160)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "textclf.train", *map(str, arguments)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_every_plan_learns_from_one_training(tmp_path: Path) -> None:
    texts, words = reviews(600, words=8)
    labels = torch.tensor([word == "good" for word in words]).long()
    classifier = model()
    for parameter in classifier.bottlenecks.parameters():
        torch.nn.init.zeros_(parameter)  # as a training starts
    ids = classifier.tokens.ids(texts, 64)
    step = make_step(classifier, ids, labels, SMALL)
    config = LoopConfig(epochs=8, batch=32, lr=3e-3, clip=1.0, precision="no", warmup=10)
    fit(classifier, step, len(texts), config, tmp_path)
    test, words = reviews(200, seed=1, words=8)
    label = torch.tensor([word == "good" for word in words]).long()
    for plan in ((1,) * LAYERS, (2, 1, 2, 1), (1, 1, 4, 2), smallest_plan(LAYERS, SMALL)):
        assert accuracy(classify(classifier, test, plan), label) > 0.9, plan


def test_bottlenecks_move_at_a_rate_of_their_own(tmp_path: Path) -> None:
    texts, words = reviews(64, words=8)
    labels = torch.tensor([word == "good" for word in words]).long()
    config = LoopConfig(epochs=1, batch=64, lr=1e-3, weight_decay=0.0, precision="no", warmup=1)
    gone = {}
    for rate in (1.0, 40.0):
        classifier = model()
        before = copy.deepcopy(classifier)
        options = Train("", Path(), pooling_lr=rate, loop=config)
        step = make_step(classifier, classifier.tokens.ids(texts, 64), labels, SMALL)
        fit(classifier, step, 64, config, tmp_path / str(rate), optimizer=optimizer(classifier, options))
        far = [(a - b).abs().max() for a, b in zip(classifier.parameters(), before.parameters(), strict=True)]
        own = {id(p) for p in classifier.bottlenecks.parameters()}
        moved = list(zip(classifier.parameters(), far, strict=True))
        gone[rate] = [max(float(f) for p, f in moved if (id(p) in own) == theirs) for theirs in (True, False)]
    # A first step of Adam goes as far as its rate.
    assert gone[1.0] == pytest.approx([1e-3, 1e-3], rel=0.02)
    assert gone[40.0] == pytest.approx([40e-3, 1e-3], rel=0.02)


def test_a_thinned_text_keeps_its_ends_and_its_order() -> None:
    torch.manual_seed(0)
    ids = torch.arange(2002)
    kept = thinned(ids, 0.25)
    assert (kept[0], kept[-1]) == (0, 2001)
    assert kept.diff().min() >= 1
    assert 2002 - len(kept) == pytest.approx(500, abs=80)  # four standard deviations
    assert not torch.equal(thinned(ids, 0.25), kept)
    assert torch.equal(thinned(ids, 0.0), ids)
    assert thinned(ids[:2], 0.99).tolist() == [0, 1]


def test_training_reads_thinned_texts() -> None:
    texts, words = reviews(32, words=20)
    classifier = model()
    ids = classifier.tokens.ids(texts, 64)
    read = []
    step = make_step(classifier, ids, torch.arange(32) % 2, SMALL, visits=Visits(thin=0.5))

    def prepared(ids: torch.Tensor, mask: torch.Tensor, plans: list[tuple[int, ...]]) -> list[torch.Tensor]:
        read.append(int(mask.sum()))
        return classifier(ids, mask, plans)

    step(prepared, torch.arange(32), 0.0)  # type: ignore[arg-type]
    whole = sum(map(len, ids))
    assert 0.4 * whole < sum(read) < 0.75 * whole


def test_random_plans_stay_within_the_space() -> None:
    torch.manual_seed(0)
    plans = {random_plan(6, Supernet(shrink=16, skip=2)) for _ in range(500)}
    assert {len(plan) for plan in plans} == {4, 5, 6}
    assert {math.prod(plan) for plan in plans} == {1, 2, 4, 8, 16}
    assert {factor for plan in plans for factor in plan} == {1, 2, 4}
    assert smallest_plan(6, Supernet(shrink=16, skip=2)) == (4, 4, 1, 1)
    assert smallest_plan(6, Supernet(shrink=8, skip=0)) == (4, 2, 1, 1, 1, 1)
    assert smallest_plan(6, Supernet(shrink=1, skip=0)) == (1,) * 6


def test_the_longest_plan_of_a_step_teaches() -> None:
    assert drawn_plans(4, Supernet(full=1.0), [(2, 2, 1, 1)]) == [(1,) * 4, (2, 2, 1, 1)]
    assert drawn_plans(4, Supernet(full=0.0), [(2, 2, 1, 1)]) == [(2, 2, 1, 1)]
    chosen = [(1, 1, 2), (4, 2, 1, 1), (4, 1)]  # most work first
    for _ in range(20):
        drawn = drawn_plans(4, Supernet(full=0.0), chosen)
        assert len(drawn) == 2
        assert chosen.index(drawn[0]) < chosen.index(drawn[1])
    teacher = torch.tensor([[2.0, -1.0]], requires_grad=True)
    student = torch.tensor([[-1.0, 2.0]], requires_grad=True)
    losses = sandwich_loss([teacher, student], torch.tensor([0]), Supernet(distil=1.0))
    losses["short"].backward()
    assert teacher.grad is None  # it is not pulled towards its students
    assert student.grad is not None
    assert student.grad[0, 0] < 0 < student.grad[0, 1]
    same = sandwich_loss([teacher, teacher.detach()], torch.tensor([0]), Supernet(distil=1.0))
    assert float(same["short"]) == pytest.approx(0, abs=1e-6)


def test_rare_classes_weigh_more() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    weight = class_weights(labels, 2)
    assert float(weight[1] / weight[0]) == pytest.approx(3)
    assert float(weight[labels].mean()) == pytest.approx(1)


def test_subset_keeps_the_classes_shares() -> None:
    split = TextSplit([str(i) for i in range(100)], torch.tensor([0] * 80 + [1] * 20))
    part = subset(split, 10)
    assert part.labels.bincount().tolist() == [8, 2]
    assert all(split.labels[int(text)] == label for text, label in zip(part.texts, part.labels, strict=True))
    assert subset(split, 1000) is split


def test_the_plans_of_a_fine_tuning_are_those_named_or_searched(tmp_path: Path) -> None:
    def chosen(*plans: str, metrics: object = None) -> list[tuple[int, ...]]:
        model().save_pretrained(tmp_path, metrics={"search": metrics} if metrics else {"training": {}})
        loaded = TextClassifier.from_pretrained(tmp_path)
        return chosen_plans(Train("", Path(), start="model", supernet=Supernet(plans=plans)), loaded)

    full = (1,) * LAYERS
    front = {"front": [{"factors": list(full)}, {"factors": [4, 2, 1]}, {"factors": [1, 1, 2]}]}
    assert chosen() == []
    assert chosen("2,1,2", "1,2,1", "2,1,2") == [(1, 2, 1), (2, 1, 2)]
    assert chosen("front", "4,4", metrics=front) == [(1, 1, 2), (4, 2, 1), (4, 4)]
    for wrong, error in (
        ("2,3,1", "factors of"),
        ("2;1", "factors such as"),
        ("1,1,1,1,1", "a plan is 1 to"),
    ):
        with pytest.raises(ValueError, match=error):
            chosen(wrong)
    with pytest.raises(ValueError, match="needs a model that was searched"):
        chosen("front")


def test_frozen_layers_stay(tmp_path: Path) -> None:
    classifier = freeze(model(), 2, True)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    ids = classifier.tokens.ids(reviews(64)[0], 64)
    step = make_step(classifier, ids, torch.arange(64) % 2, SMALL)
    fit(classifier, step, 64, LoopConfig(epochs=1, batch=32, precision="no"), tmp_path)
    moved = {name for name, value in classifier.state_dict().items() if not torch.equal(value, before[name])}
    frozen = ("encoder.words", "encoder.positions", "encoder.layers.0", "encoder.layers.1", "tokenizer")
    assert not [name for name in moved if name.startswith(frozen)]
    assert any(name.startswith("encoder.layers.2") for name in moved)
    assert any(name.startswith("bottlenecks") for name in moved)


def tiny(data_file: Path, backbone: Path, *more: str) -> tuple[str | Path, ...]:
    fixed = ("--max-length", "32", "--batch", "16", "--validation", "20", "--shrink", "4", "--skip", "1")
    return ("--data", data_file, "--backbone", backbone, *fixed, *more)


def recipe(data_file: Path, backbone: Path, output: Path) -> Train:
    """The options of :func:`tiny` with one epoch."""
    loop = replace(Train("", Path()).loop, epochs=1, batch=16)
    return Train(
        str(data_file),
        output,
        backbone=str(backbone),
        max_length=32,
        validation=20,
        supernet=Supernet(shrink=4, skip=1),
        loop=loop,
    )


def test_the_command_writes_a_complete_folder(data_file: Path, backbone: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    options = tiny(data_file, backbone, "--epochs", "1")
    done = run(*options, "--output", output)
    assert done.returncode == 0, done.stderr
    assert "160 rows" in done.stderr
    assert done.stdout == ""
    assert {path.name for path in output.iterdir()} == {
        "config.json", "model.safetensors", "metrics.json", "README.md", "log.jsonl"
    }  # fmt: skip
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["test"]["n"] == 16
    assert metrics["test"]["linear"]["n"] == 16
    assert metrics["training"]["report"]["found"] == 160
    assert str(data_file.parent) not in (output / "metrics.json").read_text()
    assert "TF-IDF" in (output / "README.md").read_text()
    assert TextClassifier.from_pretrained(output).classes == ("bad", "good")
    before = (output / "model.safetensors").stat().st_mtime_ns
    same = recipe(data_file, backbone, output)
    train(same)  # finished already: nothing happens
    assert (output / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(RunError, match="other options .epochs"):
        train(replace(same, loop=replace(same.loop, epochs=2)))
    train(replace(same, start=str(output), output=tmp_path / "warm"))
    warm = json.loads((tmp_path / "warm" / "metrics.json").read_text())["training"]
    assert warm["start"] == "model"
    first = {key: metrics["training"][key] for key in ("epochs", "texts", "cpu_seconds")}
    assert (metrics["training"]["earlier"], warm["earlier"]) == ([], [first])
    spent = warm["cpu_seconds"] + first["cpu_seconds"]
    told = (
        f"{spent:,.0f} CPU seconds in 2 runs, each from the last: 1 epoch of 128 texts, 1 epoch of 128 texts."
    )
    assert told in (tmp_path / "warm" / "README.md").read_text()


def test_a_run_that_was_cut_short_ends_with_the_same_weights(
    data_file: Path,
    backbone: Path,
    tmp_path: Path,
    cut_short: Callable[[int, Callable[[], object]], None],
) -> None:
    usual = recipe(data_file, backbone, tmp_path / "whole")
    whole = replace(usual, measure=False, loop=replace(usual.loop, epochs=3, checkpoint_every=0))
    train(whole)
    cut = replace(whole, output=tmp_path / "cut")
    cut_short(2, lambda: train(cut))
    assert not (cut.output / "model.safetensors").exists()
    train(cut)
    first, second = (TextClassifier.from_pretrained(o.output).state_dict() for o in (whole, cut))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "nothing-here.csv"), "nothing-here"),
        (("--text-column", "body"), "no column 'body'"),
        (("--max-length", "4"), "longest must be"),
        (("--max-length", "1000"), "is too long"),
        (("--freeze", "9"), "--freeze must be"),
        (("--shrink", "3"), "--shrink must be"),
        (("--batch", "0"), "--batch must be"),
        (("--pooling", "learned", "--full", "2"), "--full must be"),
        (("--class-names", "a", "b", "c"), "has 2 classes, but 3 names"),
        (("--backbone", "./no-such-folder"), "no-such-folder"),
    ],
)
def test_bad_options_end_with_one_sentence(
    arguments: tuple[str, ...],
    sentence: str,
    data_file: Path,
    backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixed = {"--data": str(data_file), "--backbone": str(backbone), "--max-length": "64"}
    filled = [part for option, value in fixed.items() if option not in arguments for part in (option, value)]
    monkeypatch.setattr(sys, "argv", ["train", *filled, *arguments, "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        run_command(Train, train)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_tokens_of_the_backbone_are_cut_to_the_data(backbone: Path) -> None:
    assert len(tokens().trimmed(reviews(300)[0], 90)[0]) == 90
