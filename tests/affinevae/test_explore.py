"""The mathematics of what the page shows."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import safetensors.torch
import torch

from affinevae import AffineVAE
from affinevae import explore as ex


@pytest.fixture(params=["rotation", "affine"])
def model(request: pytest.FixtureRequest) -> AffineVAE:
    torch.manual_seed(0)
    return AffineVAE(size=(16, 16), latent_dim=3, width=16, features=4, group=request.param).eval()


def test_a_latent_that_does_nothing_comes_last(model: AffineVAE) -> None:
    with torch.no_grad():
        model.decoder.trunk[0].weight[:, 1] = 0  # type: ignore[index,union-attr]
    importance = ex.latent_importance(model, torch.randn(1, 3))
    assert importance.shape == (3,)
    assert importance.argmin() == 1
    assert importance[1] == pytest.approx(0, abs=1e-6)


def test_strips_move_one_latent_each(model: AffineVAE) -> None:
    z, pose, values = torch.randn(1, 3), model.group.sample(1), torch.tensor([-1.0, 0.0, 2.0])
    strips = ex.latent_strips(model, z, pose, values)
    assert strips.shape == (3, 3, 1, 16, 16)
    for latent in range(3):
        for k, value in enumerate(values):
            moved = z.clone()
            moved[0, latent] = value
            assert torch.allclose(strips[latent, k], model.decode(moved, pose)[0], atol=1e-5)
    assert torch.equal(ex.latent_strips(model, z, pose, values, [2, 0]), strips[[2, 0]])


def test_turning_by_nothing_and_by_a_full_turn_agree() -> None:
    image = torch.rand(1, 1, 16, 16)
    turned = ex.turn_images(image, torch.tensor([0.0, 2 * math.pi, math.pi]))
    assert torch.allclose(turned[0], turned[1], atol=1e-4)
    assert torch.allclose(turned[2], turned[0].flip(-1, -2), atol=1e-4)


def test_sweep(model: AffineVAE) -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[..., 4:12, 7:9] = 1
    sweep = ex.turn_sweep(model, image, 8)
    assert sweep.drift[0] == 0
    assert sweep.pose[0] == 0
    assert sweep.drift.shape == sweep.pose.shape == sweep.turned.shape == (9,)
    assert sweep.inputs.shape == sweep.canonical.shape == sweep.reconstruction.shape == (9, 1, 16, 16)
    assert ((sweep.pose - sweep.turned).abs() <= math.pi + 1e-5).all()
    over = ex.turn_sweep(model, image, 8, up=math.pi).canonical
    assert torch.allclose(over, sweep.canonical.flip(-1, -2), atol=0.05)
    plain = AffineVAE(size=(16, 16), latent_dim=3, width=16, features=4, group="none").eval()
    assert (ex.turn_sweep(plain, image, 4).pose == 0).all()


def test_a_walk_begins_and_ends_where_it_should_and_turns_the_short_way(model: AffineVAE) -> None:
    start = torch.randn(1, 3), model.group.identity(1)
    end = torch.randn(1, 3), model.group.identity(1)
    start[1][0, 0], end[1][0, 0] = math.radians(170), math.radians(-170)
    t = torch.tensor([0.0, 0.5, 1.0])
    z, pose = ex.walk_codes(model, start, end, t, t)
    assert torch.allclose(z[0], start[0][0])
    assert torch.allclose(z[2], end[0][0])
    assert pose[1, 0] == pytest.approx(math.pi, abs=1e-4)
    grid = ex.walk_grid(model, start, end, 3, 4)
    assert grid.shape == (3, 4, 1, 16, 16)
    assert torch.allclose(grid[0, 0], model.decode(*start)[0], atol=1e-4)
    assert torch.allclose(grid[-1, -1], model.decode(*end)[0], atol=1e-4)
    assert torch.allclose(grid[0, -1], model.decode(end[0], start[1])[0], atol=1e-4)
    frames = ex.walk_frames(model, start, end, 4)
    assert torch.allclose(frames[0], frames[-1], atol=1e-4)


def test_a_place_on_the_map_is_between_its_neighbours() -> None:
    codes = ex.Map(
        torch.tensor([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]]),
        torch.tensor([[0.0], [1.0], [50.0]]),
        torch.zeros(3),
    )
    assert ex.code_at(codes, torch.tensor([0.0, 0.0]), 2).item() == pytest.approx(0, abs=0.01)
    assert ex.code_at(codes, torch.tensor([0.5, 0.0]), 2).item() == pytest.approx(0.5)
    assert ex.code_at(codes, torch.tensor([0.5, 0.0]), 100).shape == (1, 1)


def test_maps_are_read_strictly(tmp_path: Path) -> None:
    assert ex.read_map(tmp_path, 2) is None
    tensors = {"xy": torch.rand(5, 2), "z": torch.rand(5, 2), "label": torch.zeros(5, dtype=torch.long)}
    safetensors.torch.save_file(tensors, tmp_path / ex.MAP)
    found = ex.read_map(tmp_path, 2)
    assert found is not None
    assert found.xy.shape == (5, 2)
    with pytest.raises(ValueError, match="another model"):
        ex.read_map(tmp_path, 3)
    (tmp_path / ex.MAP).write_bytes(b"half")
    with pytest.raises(ValueError, match="not a map"):
        ex.read_map(tmp_path, 2)


def test_residual_tells_missed_from_invented() -> None:
    image, redrawn = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    image[0, 0, 0] = redrawn[0, 1, 1] = 1
    residual = ex.residual_picture(image, redrawn)
    assert residual[:, 0, 0].argmax() == 0  # orange
    assert residual[:, 1, 1].argmax() == 2  # blue
    assert residual[:, 0, 1].sum() == 0


def test_fill_is_measured_or_a_default(model: AffineVAE) -> None:
    assert 0.5 <= ex.typical_fill(model) <= 0.95
    with torch.no_grad():
        for p in model.decoder.draw.parameters():
            p.zero_()
    assert ex.typical_fill(model, torch.zeros(3, 3)) == ex.DEFAULT_FILL


def test_yaw_pitch_and_roll_turn_about_z_then_y_then_x() -> None:
    quarter = math.pi / 2
    yaw = ex.rotation_vector(torch.tensor([[quarter, 0, 0]]))
    assert yaw[0].tolist() == pytest.approx([0, 0, quarter])
    for angles in ([0.3, 0.4, -2.0], [3.0, -1.5, 0.1]):
        there = ex.rotation_vector(torch.tensor([angles]))
        assert ex.yaw_pitch_roll(there)[0].tolist() == pytest.approx(angles, abs=1e-6)


def test_random_codes_lie_between_near_codes() -> None:
    z = torch.cat([torch.randn(40, 3) * 0.1 + 5, torch.randn(40, 3) * 0.1 - 5])
    codes = ex.Map(torch.zeros(80, 2), z, torch.zeros(80, dtype=torch.long))
    drawn = torch.cat([ex.typical_code(codes, torch.Generator().manual_seed(seed)) for seed in range(50)])
    assert ((drawn.abs() - 5).abs() < 1).all()  # never between the two clusters
    assert (drawn[:, 0] > 0).any()
    assert (drawn[:, 0] < 0).any()
    again = ex.typical_code(codes, torch.Generator().manual_seed(3))
    assert torch.equal(again, drawn[3:4])
