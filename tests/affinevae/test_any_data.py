"""Whatever the data are, a training ends with a card and numbers; what they do not allow is left out, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from affinevae import AffineVAE
from affinevae.data import SCALED, load
from affinevae.explore import MAP, read_map
from affinevae.train import Train, train
from training.left_out import UNDEFINED, only_finite, sentences, too_few
from training.loop import LoopConfig, RunError

RNG = np.random.default_rng(0)


def data(folder: Path, n: int, classes: int = 2, dims: int = 2, **arrays: Any) -> str:
    """Noise of n pictures of 12 pixels, or n shapes of 8 voxels, a side."""
    noise = RNG.random((n, 12, 12) if dims == 2 else (n, 8, 8, 8))
    kept = (
        {"images": (noise * 255).astype(np.uint8)} if dims == 2 else {"grids": (noise > 0.6).astype(np.uint8)}
    )
    if classes:
        kept |= {"labels": np.arange(n) % classes, "classes": np.array([f"c{i}" for i in range(classes)])}
    np.savez(folder / "noise.npz", **(kept | arrays))
    return str(folder / "noise.npz")


def measured(data: str, output: Path, **options: Any) -> dict[str, Any]:
    """The numbers of a training of one epoch, from strict JSON; the card tells what is missing."""
    loop = LoopConfig(epochs=1, batch=16, lr=1e-3, warmup=1, precision="no")
    train(Train(data, output, width=8, features=2, blocks=1, loop=loop, **{"latent_dim": 3, **options}))

    def refuse(constant: str) -> None:
        raise AssertionError(f"metrics.json holds {constant}")

    text = (output / "metrics.json").read_text()
    found: dict[str, Any] = json.loads(text, parse_constant=refuse)["test"]
    card = (output / "README.md").read_text()
    assert all(sentence in card for sentence in sentences(found["left_out"]))
    assert not set(found["left_out"]) & set(found)
    assert (output / MAP).exists() == ("map" not in found["left_out"])
    if (output / MAP).exists():
        assert torch.isfinite(read_map(output, options.get("latent_dim", 3)).xy).all()
    assert {"nats", "squared_error", "parameters"} <= set(found)
    return found


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "left as they are": (
        {"n": 60},
        {"turns": "none"},
        {"angle_leakage": "left as they are", "zero_per_class": "left as they are"},
    ),
    "ten classes": ({"n": 60, "classes": 10}, {}, {"kmeans_accuracy": "6 test pictures are fewer than 10 classes"}),
    "one class": ({"n": 40, "classes": 1}, {}, {"kmeans_accuracy": "one class only", "probe_accuracy": "one class"}),
    "no labels": ({"n": 40, "classes": 0}, {"turns": "none"}, {"knn_accuracy": "no labels"}),
    "one test picture": (
        {"n": 40, "split": np.arange(40) // 39},
        {"group": "affine", "turns": "affine"},
        {"z_invariance": "it takes 2 test pictures, and there is 1", "map": "it takes 4"},
    ),
    "a class in test only": (
        {"n": 40, "classes": 3, "labels": np.arange(40) // 37 * 2 + np.arange(40) % 2 * (np.arange(40) < 37),
         "split": np.arange(40) // 37},
        {},
        {"map": "there are 3"},
    ),
    "all of training in one class": (
        {"n": 40, "labels": np.arange(40) // 30, "split": np.arange(40) // 30},
        {},
        {"probe_accuracy": "all of one class"},
    ),
    "colours": ({"n": 30, "images": RNG.integers(0, 255, (30, 12, 12, 3), np.uint8)}, {"turns": "none"}, {}),
    "all alike": ({"n": 60, "images": np.full((60, 12, 12), 99, np.uint8)}, {"turns": "none"}, {}),
    "one number": ({"n": 60}, {"latent_dim": 1, "turns": "none", "group": "none"}, {"self_consistency": "plain VAE"}),
    "five pictures": ({"n": 5}, {}, {"map": "there is 1"}),
    "sixteen shapes": ({"n": 16, "classes": 10, "dims": 3}, {}, {"kmeans_accuracy": "1 test shapes are fewer"}),
    "shapes left as they are": ({"n": 20, "dims": 3}, {"turns": "none"}, {"angle_leakage": "shapes were left"}),
    "a plain VAE of shapes": ({"n": 20, "dims": 3}, {"turns": "none", "group": "none"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_training_ends_with_numbers_and_reasons(case: str, tmp_path: Path) -> None:
    made, options, reasons = CASES[case]
    found = measured(data(tmp_path, **made), tmp_path / "model", **options)["left_out"]
    for name, reason in reasons.items():
        assert reason in found[name]


@pytest.mark.parametrize("size", [None, 16])
@pytest.mark.parametrize("turns", ["none", "rotation"])
def test_photos_of_several_sizes_are_scaled_alike_in_training_and_evaluation(
    size: int | None, turns: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(12):
        pixels = rng.integers(0, 255, (70 + 9 * i, 90, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.jpg")
    found = measured(str(tmp_path / "photos"), tmp_path / "model", turns=turns, size=size)
    assert AffineVAE.from_pretrained(tmp_path / "model").config.size == (size or SCALED,) * 2
    assert found["n"] == 1
    photos = str(tmp_path / "photos")
    assert torch.equal(load(photos, 3, size).train.images, load(photos, 3, size or SCALED).train.images)


def test_pictures_that_are_no_squares_and_those_that_do_not_fit_are_scaled(tmp_path: Path) -> None:
    wide = data(tmp_path, 30, images=RNG.integers(0, 255, (30, 12, 20), np.uint8))
    measured(wide, tmp_path / "wide", turns="rotation", size=24)
    square = data(tmp_path, 30)
    measured(square, tmp_path / "square", size=8)
    assert torch.equal(load(square, size=16).train.images, load(square).train.images)  # they fit as they are


@pytest.mark.parametrize("turns", ["none", "cube", "yaw+shift"])
def test_shapes_are_turned_again_even_where_they_came_as_they_are(turns: str, tmp_path: Path) -> None:
    """Not by nothing: a code does not drift and a pose follows perfectly when nothing moves."""
    found = measured(data(tmp_path, 60, dims=3), tmp_path / "model", turns=turns, group="yaw")
    assert found["z_invariance"] > 0
    assert "self_consistency" in found


def test_only_finite_numbers_are_kept_and_the_others_named() -> None:
    measured = {"a": 1.0, "b": float("nan"), "c": {"d": float("inf"), "e": [1, float("nan"), "x"]}, "f": None}
    found = only_finite(measured, {"g": too_few(1, 4, "test pictures")})
    assert found == {
        "a": 1.0,
        "c": {"e": [1, "x"]},
        "f": None,
        "left_out": {
            "g": "it takes 4 test pictures, and there is 1",
            "b": UNDEFINED,
            "c.d": UNDEFINED,
            "c.e": UNDEFINED,
        },
    }


def test_frames_that_do_not_fit_into_memory_are_refused_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("affinevae.train.available_memory", lambda: 20_000)
    train(Train(data(tmp_path, 30), tmp_path / "fits", width=8, features=2, blocks=1, measure=False, turns="none",
                loop=LoopConfig(epochs=1, batch=8, precision="no")))  # fmt: skip
    with pytest.raises(
        RunError, match="24 examples in frames of 128x128 take .* are free: use a smaller --size"
    ):
        train(Train(data(tmp_path, 30), tmp_path / "large", width=8, features=2, blocks=1, size=128))
    assert not (tmp_path / "large").exists()
