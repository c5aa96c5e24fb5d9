"""Pictures of any kind come out framed like the training data."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from affinevae.affine import center_of_mass
from affinevae.picture import (
    GRID,
    EmptyPicture,
    Stroke,
    draw_strokes,
    extent,
    fit_picture,
    to_gif,
    to_picture,
    to_png,
    turned,
)


def written(
    size: tuple[int, int], box: tuple[int, int, int, int], ink: str = "black", paper: str = "white"
) -> Image.Image:
    picture = Image.new("RGB", size, paper)
    ImageDraw.Draw(picture).rectangle(box, fill=ink)
    return picture


def content(image: torch.Tensor) -> float:
    return extent(np.argwhere(image[0].amax(0).numpy() > 0.5) * 1.0) + 1


@pytest.mark.parametrize("size", [(4, 4), (50, 40), (900, 300), (28, 28), (1500, 1500)])
@pytest.mark.parametrize("paper", ["white", "black"])
def test_any_size_and_either_paper_is_framed_alike(size: tuple[int, int], paper: str) -> None:
    w, h = size
    box = (w // 2, h // 4, w // 2 + w // 8, h - 1 - h // 4)
    image = fit_picture(written(size, box, "black" if paper == "white" else "white", paper), 32, 1)
    assert image.shape == (1, 1, 32, 32)
    assert 0 <= image.min() < 0.05
    assert image.max() > 0.9
    assert center_of_mass(image).abs().max() < 0.1
    assert content(image) == pytest.approx(0.7 * 32, abs=3.5)


def test_turning_the_paper_does_not_change_the_size() -> None:
    picture = written((300, 300), (130, 60, 160, 240))
    sizes = [content(fit_picture(picture.rotate(a, fillcolor="white"), 32, 1)) for a in (0, 30, 45, 90)]
    assert max(sizes) - min(sizes) < 2.5


def test_transparent_paper() -> None:
    for ink in ((0, 0, 0, 255), (255, 255, 255, 255)):
        picture = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
        picture.paste(ink, (25, 10, 35, 50))
        assert fit_picture(picture, 32, 1)[0, 0, 16, 16] > 0.9


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    image = torch.zeros(1, 1, 32, 32)
    image[..., 3:9, 4:30] = 1
    assert torch.equal(fit_picture(to_picture(image[0]), 32, 1), image)


def test_rgb_is_padded_to_a_square_and_not_inverted() -> None:
    image = fit_picture(written((60, 30), (0, 0, 59, 29), "red"), 24, 3)
    assert image.shape == (1, 3, 24, 24)
    assert image[0, :, 12, 12].tolist() == [1, 0, 0]
    assert image[0, :, 0, 12].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [(4, 4), (32, 32), (100, 100)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_colour_is_empty(size: tuple[int, int], value: int) -> None:
    with pytest.raises(EmptyPicture):
        fit_picture(Image.new("L", size, value), 32, 1)


def test_far_corner_content_stays_in_the_frame() -> None:
    image = fit_picture(written((200, 200), (190, 190, 199, 199), "white", "black"), 32, 1)
    assert image.shape == (1, 1, 32, 32)
    assert center_of_mass(image).abs().max() < 0.15


def test_strokes_are_framed_wherever_and_however_small_they_are() -> None:
    line = Stroke(((20, 20), (20, 120)))
    images = [
        draw_strokes([s], 32) for s in (line, Stroke(((200, 100), (200, 160))), Stroke(((5, 5), (5, 250))))
    ]
    for image in images:
        assert content(image) == pytest.approx(0.7 * 32, abs=2)
        assert center_of_mass(image).abs().max() < 0.03
        assert (image > 0.5).sum() < 32 * 32 * 0.12  # the pen does not grow


def test_a_dot_stays_a_dot_and_nothing_is_refused() -> None:
    assert content(draw_strokes([Stroke(((9, 9),))], 32)) < 6
    for nothing in ([], [Stroke(())]):
        with pytest.raises(EmptyPicture):
            draw_strokes(nothing, 32)


def test_filled_outlines_and_channels() -> None:
    image = draw_strokes([Stroke(((0, 0), (100, 0), (100, 100), (0, 100)), True, 0.5)], 40, channels=3)
    assert image.shape == (1, 3, 40, 40)
    assert image[0, :, 20, 20].tolist() == pytest.approx([0.5] * 3, abs=0.01)


def test_turned_strokes() -> None:
    half = GRID // 2
    (quarter,) = turned([Stroke(((half + 50, half),))], 90)
    assert quarter.points == ((half, half - 50),)  # counter-clockwise, y down
    (kept,) = turned([Stroke(((0, 0),))], 45)
    assert all(0 <= v < GRID for v in kept.points[0])


def test_files() -> None:
    frames = torch.rand(3, 1, 8, 8)
    assert Image.open(io.BytesIO(to_png(frames[0], 64))).size == (64, 64)
    gif = Image.open(io.BytesIO(to_gif(frames, 32)))
    assert gif.n_frames == 3  # type: ignore[attr-defined]
    assert to_picture(torch.rand(3, 8, 8)).mode == "RGB"
