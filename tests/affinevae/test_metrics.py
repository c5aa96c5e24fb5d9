"""Each metric at its ends: a perfect code, a random code, a known error."""

from __future__ import annotations

import math

import pytest
import torch

from affinevae import metrics
from affinevae.affine3d import GROUPS, cube_rotations, turn_exactly

GENERATOR = torch.Generator().manual_seed(0)
LABEL = torch.arange(10).repeat(60)
PERFECT = torch.nn.functional.one_hot(LABEL, 10).float() * 5 + 0.1 * torch.randn(600, 10, generator=GENERATOR)
RANDOM = torch.randn(600, 10, generator=GENERATOR)
ANGLE = torch.rand(600, generator=GENERATOR) * 2 * math.pi


def test_perfect_codes_score_one() -> None:
    assert metrics.kmeans_accuracy(PERFECT, LABEL) == 1
    assert metrics.knn_accuracy(PERFECT[:300], LABEL[:300], PERFECT[300:], LABEL[300:]) == 1
    assert metrics.linear_probe_accuracy(PERFECT[:300], LABEL[:300], PERFECT[300:], LABEL[300:]) == 1


def test_random_codes_score_chance() -> None:
    assert metrics.kmeans_accuracy(RANDOM, LABEL) < 0.25
    assert metrics.knn_accuracy(RANDOM[:300], LABEL[:300], RANDOM[300:], LABEL[300:]) < 0.2
    assert metrics.linear_probe_accuracy(RANDOM[:300], LABEL[:300], RANDOM[300:], LABEL[300:]) < 0.2


def test_cluster_names_do_not_matter() -> None:
    renamed = (LABEL + 3) % 10
    assert metrics.kmeans_accuracy(PERFECT, renamed) == 1


def test_leakage_is_one_for_the_angle_itself_and_nothing_for_noise() -> None:
    assert metrics.angle_leakage(torch.stack([ANGLE.cos(), ANGLE.sin()], 1), ANGLE) > 0.98
    assert metrics.angle_leakage(RANDOM, ANGLE) < 0.02
    half = torch.stack([(2 * ANGLE).cos(), (2 * ANGLE).sin()], 1)  # knows the angle modulo 180 degrees only
    assert 0.3 < metrics.angle_leakage(half, ANGLE) < 0.6


def test_leakage_inside_classes_is_seen_where_the_global_probe_is_blind() -> None:
    """Each class hides the angle under its own rotation of the code."""
    angle, label = torch.rand(3000, generator=GENERATOR) * 2 * math.pi, torch.arange(10).repeat(300)
    shifted = angle + label * 2 * math.pi / 10
    z = torch.stack([shifted.cos(), shifted.sin()], 1)
    assert metrics.angle_leakage(z, angle) < 0.1
    assert metrics.class_angle_leakage(z, angle, label) > 0.9


def test_invariance_ratio() -> None:
    assert metrics.invariance_ratio(RANDOM, RANDOM) == 0
    assert metrics.invariance_ratio(RANDOM, torch.randn(600, 10, generator=GENERATOR)) == pytest.approx(
        1, abs=0.1
    )


def test_pose_errors_ignore_one_zero_and_see_the_rest() -> None:
    offset = metrics.wrap(ANGLE + 2.0)
    perfect = metrics.pose_errors(offset, ANGLE)
    assert perfect["median_degrees"] < 0.5
    assert perfect["within_15"] == 1
    flipped = offset + math.pi * (torch.rand(600, generator=GENERATOR) < 0.3)
    errors = metrics.pose_errors(flipped, ANGLE)
    assert errors["within_15"] == pytest.approx(0.7, abs=0.06)
    assert errors["within_15_mod_180"] == 1
    assert metrics.pose_errors(torch.rand(600, generator=GENERATOR) * 6.28, ANGLE)["within_15"] < 0.16


def test_each_class_may_have_its_own_zero() -> None:
    found = ANGLE + LABEL
    assert metrics.pose_errors(found, ANGLE)["within_15"] < 0.4
    assert metrics.pose_errors(found, ANGLE, LABEL)["within_15"] == 1


def test_angles_wrap() -> None:
    assert metrics.angle_summary(torch.tensor([2 * math.pi - 0.1]))["median_degrees"] == pytest.approx(
        5.73, abs=0.01
    )


# ---- rotations of space ----


def rotations(n: int, seed: int) -> torch.Tensor:
    return GROUPS["rotation"].matrix(GROUPS["rotation"].sample(n, torch.Generator().manual_seed(seed)))[
        ..., :3
    ]


def own_symmetry(n: int, *others: int) -> torch.Tensor:
    same = torch.zeros(n, 24, dtype=torch.bool)
    same[:, [0, *others]] = True
    return same


def test_poses_that_follow_have_no_error() -> None:
    true, extra, zero = rotations(50, 0), rotations(50, 1), rotations(1, 2)
    first, second = true @ zero, extra @ true @ zero
    assert metrics.follow_errors(second, first, extra, true, own_symmetry(50)).max() < 2e-3
    assert metrics.zero_errors(first, true, own_symmetry(50)).max() < 2e-3


def test_a_symmetric_shape_may_be_found_turned_by_its_symmetry() -> None:
    true, extra, zero, half = rotations(50, 0), rotations(50, 1), rotations(1, 2), 5
    symmetry = torch.eye(3).repeat(50, 1, 1)
    symmetry[::2] = cube_rotations()[half]
    back = int((cube_rotations() == cube_rotations()[half].T).all(2).all(1).nonzero())
    first, second = true @ symmetry @ zero, extra @ true @ zero
    strict, allowed = own_symmetry(50), own_symmetry(50, half, back)
    assert metrics.follow_errors(second, first, extra, true, allowed).max() < 2e-3
    assert metrics.zero_errors(first, true, allowed).max() < 2e-3
    assert (metrics.zero_errors(first, true, strict) > 1).float().mean() == pytest.approx(0.5, abs=0.02)


def test_random_poses_have_the_error_of_chance() -> None:
    true, extra = rotations(2000, 0), rotations(2000, 1)
    error = metrics.follow_errors(rotations(2000, 3), rotations(2000, 4), extra, true, own_symmetry(2000))
    assert error.mean().rad2deg() == pytest.approx(126.5, abs=3)


def test_rotations_leak_only_when_they_are_in_the_code() -> None:
    turned = rotations(600, 0)
    assert metrics.rotation_leakage(turned.flatten(1), turned) > 0.8
    assert metrics.rotation_leakage(RANDOM, turned) < 0.05


def test_symmetries_of_a_table() -> None:
    table = torch.zeros(1, 1, 12, 12, 12)
    table[..., 2:10, 2:10, 7:9] = 1
    table[..., 5:7, 5:7, 2:7] = 1
    copies = torch.stack([turn_exactly(table, torch.tensor([k])) for k in range(24)], 1)
    same = metrics.symmetries(table, copies)[0]
    assert same.sum() == 4
    assert (cube_rotations()[same][:, 2, 2] == 1).all()  # the four turns about the vertical
