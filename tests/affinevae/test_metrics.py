"""Each metric at its ends: a perfect code, a random code, a known error."""

from __future__ import annotations

import math

import pytest
import torch

from affinevae import metrics

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
