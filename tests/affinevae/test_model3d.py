"""The affine VAE of voxel shapes: same promises as for images, and it learns orientation without labels."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from furniture import furniture
from torch import Tensor

from affinevae import AffineVAE
from affinevae.affine3d import GROUPS, cube_rotations, turn_exactly
from affinevae.evaluate import encode_all, turned
from affinevae.metrics import rotation_angle
from affinevae.train import PoseCache, PoseTraining, Train, make_step, train
from affinevae.turned import TurnedImages
from training.datasets import ImageSplit
from training.loop import LoopConfig, fit
from training.runs import read_metrics

TINY = {"latent_dim": 3, "width": 24, "features": 4, "blocks": 1}


def tiny(group: str = "rotation", size: int = 16) -> AffineVAE:
    torch.manual_seed(0)
    return AffineVAE((size,) * 3, group=group, **TINY).eval()


def view(group: str = "rotation", n: int = 4) -> Tensor:
    shapes, kind = furniture(n)
    return turned(ImageSplit(shapes, kind), 16, group, 3, n)[0]


@pytest.mark.parametrize("group", list(GROUPS))
@pytest.mark.parametrize("effort", ["none", "fast", "best"])
def test_encode_and_decode_every_group(group: str, effort: str) -> None:
    if effort == "best" and GROUPS[group].cell_dim > 4:
        pytest.skip("thousands of poses")
    model, x = tiny(group), view(n=1)
    code = model.encode(x, effort)  # type: ignore[arg-type]
    assert code.z.shape == (1, 3)
    assert code.pose.shape == (1, model.group.dim)
    assert (code.pose_nats >= -1e-4).all()
    assert (code.pose_nats <= model.group.max_nats + 1e-4).all()
    again = model.decode(code.z, code.pose)
    assert again.shape == x.shape
    assert again.min() >= 0
    assert again.max() <= 1
    assert model.pose_matrix(code.pose).shape == (1, 3, 4)
    assert model.straighten(x, code.pose).shape == x.shape


def test_every_pair_is_evaluated_once_and_refinement_never_loses() -> None:
    model, x = tiny(), view(n=3)
    pairs: Counter[tuple[int, ...]] = Counter()
    original = model.pair_loss

    def counted(image: Tensor, index: Tensor, cells: Tensor, seed: int | None = None) -> Tensor:
        pairs.update((int(i), *map(int, c)) for i, c in zip(index, cells, strict=True))
        return original(image, index, cells, seed)

    model.pair_loss = counted  # type: ignore[method-assign]
    table = model.search(x, "fast")
    assert set(pairs.values()) == {1}
    assert len(pairs) == int(table.cost.isfinite().sum())
    proposed = table.lookup(model.proposals(x, "fast")).amin(1)
    assert (table.cost.amin(1) <= proposed).all()


def test_cube_poses_lose_nothing() -> None:
    """Turning a shape by a rotation of the cube leaves the best loss as it was, to the last digits."""
    model, x = tiny("cube"), view("cube", 2)
    first = model.encode(x, "best")
    for k in (3, 11, 20):
        pose = GROUPS["cube"].from_cells(torch.full((2, 1), k))
        second = model.encode(model.straighten(x, pose), "best")
        torch.testing.assert_close(first.nll, second.nll, rtol=1e-4, atol=1e-2)
        torch.testing.assert_close(first.z, second.z, rtol=1e-3, atol=1e-4)


def test_a_symmetric_solid_gives_all_its_poses() -> None:
    """A cube looks the same in all 24: the posterior is flat, its price nothing, and alternatives are offered."""
    model = tiny("cube")
    x = torch.zeros(1, 1, 16, 16, 16)
    x[..., 4:12, 4:12, 4:12] = 1
    table = model.search(x, "best")
    torch.testing.assert_close(table.log_posterior().exp(), torch.full((1, 24), 1 / 24), atol=1e-3, rtol=0)
    code = model.encode(x, "best")
    assert (code.mode_probs > 0).sum() == 3
    # Four of the 24 carry the reported bound: log 24 - log 4 is what cutting the rest away costs.
    assert code.pose_nats.item() == pytest.approx(math.log(6), abs=0.02)


@pytest.mark.parametrize("group", ["cube", "rotation", "yaw+shift"])
def test_the_canonical_frame_can_be_turned(group: str) -> None:
    """Same code, same price, same picture; only the canonical view is another."""
    torch.manual_seed(0)
    model, x = AffineVAE((16, 16, 16), group=group, **TINY).eval(), view("cube", 3)
    for p in model.parameters():
        p.data += 0.05 * torch.randn_like(p)  # the decoder's residuals begin as zeros
    before, z = model.encode(x), torch.randn(2, 3)
    image = model.decode(z)
    # A yaw group keeps its rotations only if the frame is turned about the vertical.
    cube = int((cube_rotations()[:, 2, 2] == 1).nonzero()[1]) if group == "yaw+shift" else 4
    model.turn_frame(cube)
    torch.testing.assert_close(model.decode(z), turn_exactly(image, torch.tensor([cube, cube])))
    after = model.encode(x)
    torch.testing.assert_close(after.z, before.z, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(after.nll, before.nll, rtol=1e-3, atol=1e-2)
    found, expected = model.pose_matrix(after.pose), model.pose_matrix(before.pose)
    torch.testing.assert_close(
        found[..., :3] @ cube_rotations()[cube].T, expected[..., :3], atol=2e-2, rtol=0
    )


def test_only_voxel_frames_turn() -> None:
    with pytest.raises(ValueError, match="voxel"):
        AffineVAE((16, 16)).turn_frame(1)


def test_bad_shapes_are_refused() -> None:
    model = tiny()
    for wrong in (torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 8, 8, 8), torch.full((1, 1, 16, 16, 16), 2.0)):
        with pytest.raises(ValueError, match="images must"):
            model.encode(wrong)
    with pytest.raises(ValueError, match="unknown pose group"):
        AffineVAE((16, 16, 16), group="affine")
    with pytest.raises(ValueError, match="multiple of 4"):
        AffineVAE((16, 16, 18))


def test_a_model_comes_back_from_its_folder(tmp_path: Path) -> None:
    model, x = tiny(), view(n=1)
    model.save_pretrained(tmp_path / "model")
    again = AffineVAE.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(again.encode(x).pose, model.encode(x).pose)
    assert again.config == model.config


def test_search_around_a_frozen_plain_vae() -> None:
    """Without a scorer all 24 are tried; nothing of the plain VAE changes."""
    plain, x = tiny("none"), view("cube", 2)
    before = [p.clone() for p in plain.parameters()]
    around = AffineVAE.from_vae(plain, "cube")
    assert (around.encode(x).nll <= plain.encode(x).nll + 1).all()
    assert around.search(x, "fast").cost.shape[1] == 24
    assert all(torch.equal(a, b) for a, b in zip(before, plain.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.training
def test_learns_orientation_of_generated_furniture(tmp_path: Path) -> None:
    """Unknown orientations in, shape and pose out, no label used."""
    shapes, _ = furniture(600)
    torch.manual_seed(0)
    model = AffineVAE((16, 16, 16), latent_dim=4, group="cube", width=64, features=8)
    source = TurnedImages(shapes, 16, "cube", seed=0)
    cache = PoseCache(len(shapes), model.group.cell_dim)
    step = make_step(model, source, cache, PoseTraining(grid_fraction=0.3))
    fit(model, step, len(shapes), LoopConfig(epochs=7, batch=32), tmp_path)
    split = ImageSplit(*furniture(120, seed=1))
    (x, pose, _), (y, other, _) = (turned(split, 16, "cube", seed, 120) for seed in (5, 6))
    first, second = encode_all(model, x), encode_all(model, y)
    r1, r2, a1, a2 = (model.pose_matrix(p)[..., :3] for p in (pose, other, first.pose, second.pose))
    follow = rotation_angle((r2 @ r1.transpose(1, 2)).transpose(1, 2) @ a2 @ a1.transpose(1, 2))
    assert (follow.rad2deg() < 15).float().mean() > 0.85
    searched = (first.nll + first.pose_nats).mean()
    assert searched < 0.7 * encode_all(model, x, "none").nll.mean()


@pytest.mark.slow
@pytest.mark.training
def test_one_command_from_grids_to_a_measured_folder(tmp_path: Path) -> None:
    shapes, kind = furniture(120)
    data, output = tmp_path / "furniture.npz", tmp_path / "model"
    np.savez(
        data,
        grids=shapes[:, 0].numpy() // 255,
        labels=kind.numpy(),
        classes=np.array(["chair", "sofa", "desk"]),
    )
    options = Train(
        str(data),
        output,
        latent_dim=2,
        group="rotation",
        turns="rotation",
        width=16,
        features=2,
        blocks=1,
        poses=PoseTraining(grid_fraction=0.5),
        loop=LoopConfig(epochs=1, batch=32),
    )
    train(options)
    test = read_metrics(output)["test"]
    assert test["n"] == 12
    assert set(test["robustness"]) == {"n", "upright", "cube", "rotation"}
    for key in ("iou", "squared_error", "kmeans_accuracy", "knn_accuracy", "angle_leakage", "search_poses"):
        assert np.isfinite(test[key]), key
    assert 0 <= test["self_consistency"]["within_15"] <= 1
    assert "voxel shapes" in (output / "README.md").read_text()
    model = AffineVAE.from_pretrained(output)
    assert model.config.classes == ("chair", "sofa", "desk")
    assert model.config.size == (16, 16, 16)
