"""The audit of embeddings: one that knows nothing of orientation, one that knows nothing else, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from affinevae.audit import Audit, audit, frame, run

SIDE = 20


def pictures(n: int = 160) -> tuple[Tensor, Tensor]:
    """Bars of three lengths and many greys, upright, as bytes ``(n, 1, SIDE, SIDE)``, and which length each has."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (n,), generator=generator)
    grey = torch.randint(120, 255, (n,), generator=generator)
    images = torch.zeros(n, 1, SIDE, SIDE, dtype=torch.uint8)
    for image, label, tone in zip(images, labels.tolist(), grey.tolist(), strict=True):
        image[0, SIDE // 2 - 1 : SIDE // 2 + 2, 10 - 3 * (label + 1) : 10] = tone
    return images, labels


def mass(x: Tensor) -> Tensor:
    """What no turn changes: how bright the image is, and how bright at its brightest."""
    return torch.stack([x.sum((1, 2, 3)), x.amax((1, 2, 3))], 1)


def direction(x: Tensor) -> Tensor:
    """Nothing but the orientation: where the bar points to."""
    axis = torch.linspace(-1, 1, x.shape[-1])
    place = torch.stack([x.sum((1, 2)) @ axis, x.sum((1, 3)) @ axis], 1)
    return place / place.norm(dim=1, keepdim=True)


def pixels(x: Tensor) -> Tensor:
    return x


def test_an_invariant_embedding_is_clean_at_every_angle() -> None:
    found = audit(mass, *pictures())
    assert found["leakage"] < 0.1
    assert found["drift"] < 0.1
    assert found["accuracy_upright"] > 0.95
    assert found["accuracy_turned"] > 0.9
    assert found["left_out"] == {}


def test_an_embedding_of_nothing_but_the_angle_leaks_all_of_it() -> None:
    found = audit(direction, *pictures())
    assert found["leakage"] > 0.9
    assert found["leakage_in_class"] > 0.7
    assert found["drift"] > 0.8
    assert found["accuracy_turned"] < 0.6


def test_pixels_know_the_class_upright_alone() -> None:
    images, labels = pictures()
    found = audit(pixels, images, labels)
    assert found["dim"] == frame(SIDE) ** 2
    assert found["accuracy_upright"] > 0.95
    assert found["accuracy_turned"] < found["accuracy_upright"] - 0.2
    assert [point["degrees"] for point in found["accuracy"]] == list(range(0, 360, 30))


def test_the_frame_holds_a_turned_image() -> None:
    for side in (8, 20, 28, 33):
        assert frame(side) >= side * 2**0.5
        assert frame(side) - side * 2**0.5 < 4
        assert frame(side) % 4 == 0


def test_without_labels_the_rest_is_measured_and_the_reason_said() -> None:
    found = audit(mass, pictures()[0])
    assert "leakage" in found
    assert found["left_out"] == dict.fromkeys(("leakage_in_class", "accuracy"), "the images have no labels")


@pytest.mark.parametrize(
    ("embed", "said"),
    [
        (lambda x: x.mean(), "a vector an image"),
        (lambda x: x.flatten(1) / 0, "NaN or infinity"),
        (lambda x: x.numpy(), "not a ndarray"),
    ],
)
def test_what_is_no_embedding_is_refused(embed: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        audit(embed, *pictures())  # type: ignore[arg-type]


def test_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="takes 40 images, and there are 7"):
        audit(mass, pictures(7)[0])


def test_the_command_audits_a_function_and_writes_card_and_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = pictures(200)
    split = np.arange(200) < 100
    np.savez(
        tmp_path / "bars.npz", images=images[:, 0].numpy(), labels=labels.numpy(), split=split.astype(int)
    )
    (tmp_path / "my_embedding.py").write_text("def brightness(x):\n    return x.mean((2, 3))\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    run(Audit("my_embedding:brightness", str(tmp_path / "bars.npz"), output=tmp_path / "out"))
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert written["n"] == 100
    card = (tmp_path / "out" / "audit.md").read_text()
    assert f"| linear probe, upright as it learned | {written['accuracy_upright']:.1%} |" in card
    assert f"--size {written['size']} --images 2000 --seed 0`" in card
    assert (tmp_path / "out" / "audit.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("name", "said"),
    [("no_such_module:f", "cannot be imported"), ("json:nothing", "has no function nothing")],
)
def test_a_function_that_is_not_there_is_said(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        run(Audit(name, str(tmp_path)))
