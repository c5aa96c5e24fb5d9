"""Variants of training shapes are mirrored, stretched, solid, and always the same."""

from __future__ import annotations

import pytest
import torch

from affinevae.variants import STRETCH, vary, with_variants
from tests.affinevae.furniture import furniture


def test_variants_follow_the_shapes_and_stay_solid() -> None:
    shapes, _ = furniture(6)
    varied = with_variants(shapes, 2, seed=0)
    assert varied.shape == (18, *shapes.shape[1:])
    assert varied.dtype == torch.uint8
    assert torch.equal(varied[:6], shapes)
    assert set(varied.unique().tolist()) == {0, 255}
    assert torch.equal(varied, with_variants(shapes, 2, seed=0))
    assert not torch.equal(varied, with_variants(shapes, 2, seed=1))


def test_a_variant_is_the_shape_or_its_mirror_image_stretched_by_a_fifth_at_most() -> None:
    box = torch.zeros(40, 1, 32, 32, 32, dtype=torch.uint8)
    box[:, :, 6:20, 8:24, 10:22] = 255  # nearer to the low end of x: the mirror image is at the high end
    varied = vary(box, torch.Generator().manual_seed(0))[:, 0] > 0
    middle = 15.5
    mirrored = 0
    for grid in varied:
        x, y, z = (grid.any(dims).nonzero().flatten() for dims in ((1, 2), (0, 2), (0, 1)))
        low, high = int(x[0]), int(x[-1])
        mirrored += middle - low < high - middle
        for axis, side in ((x, 14), (y, 16), (z, 12)):
            assert side * 2.718**-STRETCH - 1.5 <= len(axis) <= side * 2.718**STRETCH + 1.5
    assert 8 < mirrored < 32


def test_pictures_have_no_variants() -> None:
    with pytest.raises(ValueError, match="for shapes"):
        with_variants(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), 1, seed=0)
    assert len(with_variants(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), 0, seed=0)) == 2
