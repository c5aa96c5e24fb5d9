"""Training learns, resumes, starts from a dense twin, is taught by one, and refuses what cannot be learned."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from classifiers import CompactCNN, create_network
from classifiers.augment import Augment
from classifiers.evaluate import Evaluate, accuracy, logits_of, out_of_scope
from classifiers.evaluate import run as evaluate
from classifiers.model import energy
from classifiers.train import Train, build, describe, distillation, start_from, taught_by, train
from training.datasets import load_images
from training.loop import LoopConfig, RunError
from training.runs import read_metrics
from weights import WeightsError

FAMILIES = (
    "blueprint",
    "blueprint-2",
    "decoupled-2",
    "channel_group-2",
    "block-2",
    "kronecker-2",
    "kernel_bank-2",
    "filter_tile-2",
)


def stripes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy stripes along x, along y, and along the diagonal: (n, 16, 16, 3) uint8, kind (n,)."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n)
    y, x = np.mgrid[:16, :16]
    ramps = np.stack([x, y, x + y])[kind]
    phase = rng.integers(4, size=(n, 1, 1))
    images = 90.0 * ((ramps + phase) // 2 % 2)[..., None] + 60 + rng.normal(0, 25, (n, 16, 16, 3))
    return images.clip(0, 255).astype(np.uint8), kind


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    images, labels = stripes(800)
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    np.savez(path, images=images, labels=labels, classes=np.array(["across", "down", "slanted"]))
    return str(path)


def options(data: str, output: Path, **changes: object) -> Train:
    loop = LoopConfig(epochs=4, batch=32, lr=0.05, warmup=10, precision="no")
    base: dict[str, object] = {
        "network": "resnet20@0.5:blueprint", "augment": Augment(flip=False, shift=2), "loop": loop
    }  # fmt: skip
    return Train(data, output, **(base | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "cnn"
    train(options(data, output))
    return output


def test_a_tied_network_learns_and_its_folder_says_how_well(trained: Path, data: str) -> None:
    model = CompactCNN.from_pretrained(trained)
    metrics = read_metrics(trained)
    assert metrics["test"]["accuracy"] > 0.9
    assert metrics["test"]["accuracy"] == accuracy(model, load_images(data).test)
    assert metrics["test"]["parameters"] < metrics["test"]["dense_parameters"]
    assert metrics["training"]["validation_accuracy"] > 0.9
    assert sum(metrics["test"]["per_class"].values()) / 3 == pytest.approx(
        metrics["test"]["accuracy"], abs=0.05
    )
    card = (trained / "README.md").read_text()
    assert "CompactCNN.from_pretrained" in card
    assert "across, down, slanted" in card


def test_the_scope_is_where_95_of_100_held_out_pictures_lie(trained: Path, data: str) -> None:
    model = CompactCNN.from_pretrained(trained)
    held = load_images(data).validation.images.float() / 255
    inside = (energy(model.logits(held)) <= model.scope).float().mean()
    assert 0.9 <= inside <= 0.99


def test_the_hint_ranks_foreign_pictures_by_energy_and_counts_those_above_the_scope(
    trained: Path, data: str
) -> None:
    model, own = CompactCNN.from_pretrained(trained), load_images(data).test.images
    energies = energy(logits_of(model, own))
    high, low = own[energies.argsort()[-20:]], own[energies.argsort()[:20]]
    assert out_of_scope(model, low, high)["auroc"] == pytest.approx(1)
    assert out_of_scope(model, high, low)["auroc"] == pytest.approx(0, abs=1e-6)
    model.scope.copy_((energies.sort().values[-5] + energies.sort().values[-4]) / 2)
    found = out_of_scope(model, low, high)
    assert found == {"n": 20, "flagged": pytest.approx(4 / 20), "own_flagged": 0, "auroc": found["auroc"]}


def test_foreign_pictures_are_measured_by_name(trained: Path, data: str, tmp_path: Path) -> None:
    other = tmp_path / "noise.npz"
    np.savez(other, images=np.random.default_rng(0).integers(0, 256, (90, 20, 20), np.uint8))
    metrics = evaluate(Evaluate(str(trained), data, output=tmp_path / "out", foreign=(str(other),)))
    assert set(metrics["out_of_scope"]) == {"noise"}
    assert "noise pictures get it" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tied_network_overfits_a_small_batch(family: str) -> None:
    torch.manual_seed(0)
    network = create_network(f"resnet20@0.5:{family}", 3).train()
    images, labels = stripes(16)
    x, y = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(labels)
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(60):
        loss = F.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_a_run_that_was_cut_short_ends_with_the_same_weights(
    data: str, tmp_path: Path, cut_short: Callable[[int, Callable[[], object]], None]
) -> None:
    loop = LoopConfig(epochs=2, batch=32, lr=0.05, precision="no", checkpoint_every=0)
    whole, cut = (options(data, tmp_path / name, loop=loop, measure=False) for name in ("whole", "cut"))
    train(whole)
    cut_short(2, lambda: train(cut))
    train(cut)
    first, second = (CompactCNN.from_pretrained(o.output).state_dict() for o in (whole, cut))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-4, atol=1e-5)


def test_a_finished_run_is_left_alone_and_another_recipe_refused(trained: Path, data: str) -> None:
    before = (trained / "model.safetensors").stat().st_mtime_ns
    train(options(data, trained))
    assert (trained / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(RunError, match="smoothing"):
        train(options(data, trained, smoothing=0.0))


def test_a_run_from_before_the_choice_of_optimizer_was_trained_by_sgd(data: str, tmp_path: Path) -> None:
    loop = LoopConfig(epochs=1, batch=32, lr=0.05, precision="no")
    plan = options(data, tmp_path / "cnn", loop=loop, optimizer="sgd", measure=False)
    train(plan)
    metrics = read_metrics(plan.output)
    del metrics["training"]["optimizer"]
    (plan.output / "metrics.json").write_text(json.dumps(metrics))
    train(plan)
    with pytest.raises(RunError, match="other options .optimizer"):
        train(replace(plan, optimizer="muon"))


def test_a_dense_twin_is_projected_to_start_from(data: str, tmp_path: Path) -> None:
    dense = tmp_path / "dense"
    train(options(data, dense, network="resnet20@0.5", measure=False))
    held = load_images(data).validation
    fresh, projected = (
        build(
            options(data, tmp_path / "x", network="resnet20@0.5:kernel_bank-8", start=start),
            load_images(data),
        )
        for start in (None, str(dense))
    )
    assert accuracy(projected, held) > 0.8 > accuracy(fresh, held)
    with pytest.raises(ValueError, match="--start must be a trained resnet20@0.5"):
        start_from(CompactCNN("resnet20", ["a", "b"]), CompactCNN("resnet20@0.5:block", ["a", "b"]))


def test_a_network_goes_on_from_its_own_weights(data: str, trained: Path, tmp_path: Path) -> None:
    first = CompactCNN.from_pretrained(trained)
    plan = options(data, tmp_path / "more", network=first.config.network, start=str(trained))
    assert str(tmp_path) not in json.dumps(describe(plan))
    again, picture = build(plan, load_images(data)).eval(), torch.rand(4, 3, 16, 16)
    assert torch.allclose(again(picture), first(picture), atol=1e-5)


def test_a_teacher_answers_a_picture_and_its_mirror_image_alike_where_training_mirrors(trained: Path) -> None:
    teacher = CompactCNN.from_pretrained(trained, engine="torch")
    images = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(taught_by(teacher, images, True), taught_by(teacher, images.flip(-1), True))
    plain = taught_by(teacher, images, False)
    torch.testing.assert_close(plain, teacher(images).detach())
    assert not torch.allclose(plain, taught_by(teacher, images.flip(-1), False))


def test_a_teacher_is_listened_to(data: str, trained: Path, tmp_path: Path) -> None:
    heat = options(data, tmp_path)
    logits, taught = torch.randn(5, 3), torch.randn(5, 3)
    assert float(distillation(taught + 2, taught, heat)) == pytest.approx(
        0, abs=1e-5
    )  # only differences count
    assert distillation(logits, taught, heat) > 0
    pupil = tmp_path / "pupil"
    train(options(data, pupil, teacher=str(trained), teacher_share=1.0, network="resnet20@0.5:block-2"))
    assert read_metrics(pupil)["test"]["accuracy"] > 0.9  # with no label in its loss at all


def test_data_without_labels_or_of_other_classes_are_refused(trained: Path, tmp_path: Path) -> None:
    images, labels = stripes(120)
    np.savez(tmp_path / "bare.npz", images=images)
    with pytest.raises(ValueError, match="no labels"):
        train(options(str(tmp_path / "bare.npz"), tmp_path / "out"))
    np.savez(tmp_path / "other.npz", images=images, labels=labels)
    with pytest.raises(ValueError, match="other classes"):
        evaluate(Evaluate(str(trained), str(tmp_path / "other.npz")))


def test_configurations_that_describe_no_model_are_refused(trained: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    for key, bad in (
        ("network", "resnet99"),
        ("channels", 2),
        ("classes", ["one"]),
        ("std", [0]),
        ("size", 3),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | {key: bad}))
        with pytest.raises(WeightsError, match="describes no CompactCNN"):
            CompactCNN.from_pretrained(tmp_path)


def test_an_image_folder_trains_the_imagenet_form(tmp_path: Path) -> None:
    from PIL import Image

    images, labels = stripes(60)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "pictures" / ("train" if i < 45 else "validation") / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((40 + i, 50)).save(folder / f"{i}.png")
    network, loop = (
        "imagenet-resnet18@0.25:blueprint-4",
        LoopConfig(epochs=1, batch=8, lr=0.01, precision="no"),
    )
    train(
        options(
            str(tmp_path / "pictures"), tmp_path / "out", network=network, size=64, loop=loop, measure=False
        )
    )
    model = CompactCNN.from_pretrained(tmp_path / "out")
    assert model.config.size == 64
    assert model.predict([Image.new("RGB", (300, 200))]).shape == (1, 3)
