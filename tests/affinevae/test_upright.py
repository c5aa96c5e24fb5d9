"""Which way is up is learned from upright pictures, and a frozen classifier then sees turned ones standing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from affinevae import AffineVAE
from affinevae.explore import Upright
from affinevae.groups import get_group
from affinevae.metrics import wrap
from affinevae.turned import turn_all
from affinevae.upright import Canonical, LearnUpright, class_angles, learn_upright, run

SIDE = 24


def arrows(n: int) -> Tensor:
    """Bytes ``(n, 1, S, S)``: a bar with a head at its right end, no two alike."""
    images = torch.zeros(n, 1, SIDE, SIDE, dtype=torch.uint8)
    for k, image in enumerate(images):
        image[0, 11:13, 5:19] = 200 + k % 50
        image[0, 7:17, 15:19] = 255
    return images


def model_of_arrows(offset: float) -> AffineVAE:
    """A model that finds every arrow, and holds that they stand ``offset`` away from how we do."""
    torch.manual_seed(0)
    model = AffineVAE((SIDE, SIDE), latent_dim=2, width=16, features=4, blocks=1, finder="moments").eval()
    template = turn_all(arrows(1), torch.tensor([[-offset]]), get_group("rotation", 2), SIDE)

    def losses(image: Tensor, pose: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        view = model.straighten(image, pose)
        return 100 * (view - template).square().flatten(1).sum(1), torch.zeros(len(image))

    model.losses = losses  # type: ignore[method-assign]
    return model


def turned(images: Tensor, angle: Tensor) -> Tensor:
    return turn_all(images, angle[:, None], get_group("rotation", 2), SIDE)


def test_views_stand_as_the_upright_pictures_do() -> None:
    images, zero = arrows(6), torch.zeros(6)
    angle = torch.tensor([0.3, 1.5, 2.9, -2.0, -0.7, 0.0])
    model = model_of_arrows(offset=0.0)
    canonical = Canonical(model, lambda x: x.flatten(1), learn_upright(model, turned(images, zero)))
    views, image, probability = canonical.views(turned(images, angle))
    best = torch.stack([views[image == k][probability[image == k].argmax()] for k in range(6)])
    apart = (best - turned(images, zero)).square().flatten(1).sum(1)
    lying = (turned(images, angle) - turned(images, zero)).square().flatten(1).sum(1)
    assert float(apart.max()) < 0.25 * float(lying[1:4].min())


def test_up_is_one_of_two_opposite_angles_and_never_between() -> None:
    upright = Upright(torch.zeros(5, 2), torch.tensor([0.1, math.pi + 0.1, 0.12, 0.08, math.pi]))
    assert float(upright.up(torch.zeros(1, 2))) == pytest.approx(0.1, abs=0.03)


def test_each_class_has_its_own_angle() -> None:
    angle = torch.tensor([3.1, -3.1, 3.12, 0.5, 0.52, 0.48])
    found = class_angles(Upright(torch.zeros(6, 1), angle), torch.tensor([0, 0, 0, 2, 2, 2]), ("a", "b", "c"))
    assert set(found) == {"a", "c"}
    assert abs(float(wrap(torch.tensor(found["a"] - math.pi)))) < 0.06
    assert found["c"] == pytest.approx(0.5, abs=0.02)


def test_answers_are_mixed_by_the_probability_of_poses() -> None:
    model = model_of_arrows(offset=0.0)
    images = turned(arrows(3), torch.zeros(3))
    canonical = Canonical(model, lambda x: torch.zeros(len(x), 4), learn_upright(model, images))
    assert canonical(images).exp().sum(1) == pytest.approx(torch.ones(3))
    assert canonical(images).exp() == pytest.approx(torch.full((3, 4), 0.25))


def test_the_command_writes_one_angle_a_class(tmp_path: Path) -> None:
    model_of_arrows(0.0).save_pretrained(tmp_path / "model")
    labels = np.arange(40) % 2
    np.savez(tmp_path / "arrows.npz", images=arrows(40)[:, 0].numpy(), labels=labels.astype(np.uint8))
    run(LearnUpright(str(tmp_path / "model"), str(tmp_path / "arrows.npz"), 20, tmp_path / "out"))
    found = json.loads((tmp_path / "out" / "upright.json").read_text())
    assert set(found["classes"]) == {"0", "1"}
    assert all(abs(angle) <= math.pi for angle in (found["radians"], *found["classes"].values()))


def test_a_plain_vae_has_no_up() -> None:
    with pytest.raises(ValueError, match="only an affine VAE of pictures"):
        learn_upright(AffineVAE(group="none"), torch.rand(1, 1, 32, 32))
