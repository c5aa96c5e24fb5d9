"""Pose groups are groups, warps invert, priors are probabilities."""

from __future__ import annotations

import math

import pytest
import torch

from affinevae.affine import GROUPS, center_of_mass, enlarge, sampling_grid, turn, warp
from affinevae.groups import get_group
from affinevae.pose import ANGLES, compose, symmetric_exp

NAMES = list(GROUPS)
MOVING = [n for n in NAMES if n != "none"]


def poses(name: str, n: int = 16) -> torch.Tensor:
    return GROUPS[name].sample(n, torch.Generator().manual_seed(3))


def soft_image(n: int = 1, size: int = 32) -> torch.Tensor:
    """An off-centre, asymmetric smooth blob: interpolation hardly changes it."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    blob = torch.exp(-((x - 0.2) ** 2 / 0.15 + (y + 0.1) ** 2 / 0.07))
    blob = blob + 0.5 * torch.exp(-((x + 0.2) ** 2 + (y - 0.2) ** 2) / 0.08)
    return blob.clamp(0, 1).expand(n, 1, size, size)


@pytest.mark.parametrize("name", NAMES)
def test_inverse_undoes_matrix_exactly(name: str) -> None:
    group, pose = GROUPS[name], poses(name).double()
    identity = torch.eye(2, 3, dtype=torch.float64).expand(len(pose), 2, 3)
    for first, second in ((group.matrix, group.inverse), (group.inverse, group.matrix)):
        both = compose(second(pose).double(), first(pose).double())
        torch.testing.assert_close(both, identity, atol=1e-12 if name != "none" else 0, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_the_zero_pose_changes_nothing(name: str) -> None:
    group, image = GROUPS[name], soft_image()
    torch.testing.assert_close(warp(image, group.matrix(group.identity(1))), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MOVING)
def test_turning_there_and_back_gives_the_image(name: str) -> None:
    group, image = GROUPS[name], soft_image(16)
    pose = poses(name) * torch.tensor([1.0, 0.5, 0.5, 0.5, 0.5, 0.5])[: group.dim]
    back = warp(warp(image, group.inverse(pose)), group.matrix(pose))
    middle = slice(8, 24)  # what a shift or a zoom pushed over the border is lost
    assert (back - image)[..., middle, middle].abs().max() < 0.08


def test_rotations_compose_by_adding_angles() -> None:
    group = GROUPS["rotation"]
    a, b = torch.rand(2, 8, 1) * 6
    torch.testing.assert_close(
        compose(group.matrix(a), group.matrix(b)), group.matrix(a + b), atol=1e-5, rtol=0
    )


def test_angles_are_counter_clockwise() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 8] = 1  # a dot at the right
    up = warp(image, GROUPS["rotation"].inverse(torch.tensor([[math.pi / 2]])))
    assert up[0, 0, 0, 4] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_quarter_turns_are_exact(quarter: int) -> None:
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    pose = torch.full((2, 1), quarter * math.pi / 2)
    turned = warp(image, GROUPS["rotation"].inverse(pose))
    torch.testing.assert_close(turned, torch.rot90(image, quarter, (2, 3)), atol=1e-4, rtol=0)


def test_sampling_grid_is_affine_grid_with_y_up() -> None:
    matrix = GROUPS["affine"].matrix(poses("affine"))
    flip = torch.tensor([1.0, -1.0])
    theta = matrix * flip[:, None] * torch.tensor([1.0, -1.0, 1.0])
    expected = torch.nn.functional.affine_grid(theta, (len(matrix), 1, 12, 12), align_corners=False)
    torch.testing.assert_close(sampling_grid(matrix, 12), expected, atol=1e-5, rtol=0)


def test_symmetric_exp_matches_torch() -> None:
    s = torch.randn(32, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    s = s + s.transpose(1, 2)
    torch.testing.assert_close(symmetric_exp(s), torch.linalg.matrix_exp(s))
    zero = torch.zeros(1, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(symmetric_exp(zero), torch.eye(2, dtype=torch.float64)[None])


def test_nothing_can_shrink_away() -> None:
    """The affine group cannot reach a singular matrix: its determinant is exp(2 log_scale)."""
    pose = poses("affine", 64)
    determinant = torch.linalg.det(GROUPS["affine"].matrix(pose)[:, :, :2])
    torch.testing.assert_close(determinant, (2 * pose[:, 3]).exp())


@pytest.mark.parametrize("name", MOVING)
def test_prior_is_a_distribution_over_the_lattice(name: str) -> None:
    group = GROUPS[name]
    assert group.rotations is not None
    assert group.rotations.log_prior(torch.arange(ANGLES)[:, None]).exp().sum() == pytest.approx(1, abs=1e-5)
    for parameter in group.gaussians:
        assert parameter.log_prior(torch.arange(-40, 41)).exp().sum() == pytest.approx(1, abs=1e-5)
    assert GROUPS["rotation"].max_nats == pytest.approx(math.log(ANGLES))


@pytest.mark.parametrize("name", NAMES)
def test_cells_round_trip_and_wrap(name: str) -> None:
    group = GROUPS[name]
    cells = group.to_cells(poses(name, 100))
    assert torch.equal(group.to_cells(group.from_cells(cells)), cells)
    if group.dim:
        around = poses(name, 100)
        around[:, 0] += 4 * math.pi
        assert torch.equal(group.to_cells(around), cells)
        assert (group.from_cells(cells)[:, 0].abs() <= math.pi + 1e-5).all()


def test_prior_beyond_its_reach_is_impossible() -> None:
    shift = GROUPS["rigid"].gaussians[0]
    assert shift.log_prior(torch.tensor([1000])).item() == -math.inf


def test_background_fills_what_the_frame_did_not_hold() -> None:
    matrix = GROUPS["rigid"].matrix(torch.tensor([[0.0, 1.0, 0.0]]))
    out = warp(torch.ones(1, 2, 8, 8), matrix, torch.tensor([-3.0, 5.0])[:, None, None])
    torch.testing.assert_close(out[0, :, 4, 7], torch.tensor([-3.0, 5.0]))


def test_every_image_is_blurred_alike() -> None:
    """Sharpness must not tell the angle: an upright image is resampled like any other."""
    image = (torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    angle = torch.arange(0, 2 * math.pi, 0.2)[:, None]
    turned = turn(enlarge(image, 32).expand(len(angle), -1, -1, -1), GROUPS["rotation"].inverse(angle))
    energy = turned.square().sum((1, 2, 3))
    # One bilinear resampling without supersampling spreads this by 40 %.
    assert (energy.max() - energy.min()) / energy.mean() < 0.2


def test_enlarge_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="cannot lay"):
        enlarge(torch.zeros(1, 1, 40, 40), 32)


def test_center_of_mass_is_in_pose_coordinates() -> None:
    image = torch.zeros(2, 1, 16, 16)
    image[0, 0, 0, 15] = 1  # top right
    torch.testing.assert_close(center_of_mass(image), torch.tensor([[0.9375, 0.9375], [0.0, 0.0]]))


def test_unknown_group_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="rotation, rigid, similarity, affine"):
        get_group("projective")
