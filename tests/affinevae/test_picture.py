"""Pictures of any kind come out framed like the training data."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from picture_kinds import KINDS, MORE, files
from PIL import Image, ImageDraw

from affinevae import AffineVAE
from affinevae.affine import center_of_mass
from affinevae.data import load
from affinevae.evaluate import turned
from affinevae.groups import get_group
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
)
from affinevae.picture import turned as turned_strokes
from affinevae.train import Train, build
from affinevae.turned import turn_all
from demo.uploads.pictures import read_image
from training.datasets import ImageData


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


@pytest.mark.parametrize(
    "light", ["from one side", "from a corner", "of a lamp", "a table beside it", "warm ink"]
)
def test_uneven_light_on_the_paper_is_no_ink(light: str) -> None:
    y, x = np.mgrid[0:400, 0:300] / 350.0
    page = Image.new("L", (300, 400), 255)
    ImageDraw.Draw(page).line([(110, 150), (130, 110), (180, 140), (120, 260), (195, 260)], fill=0, width=14)
    falling = {
        "from one side": 0.9 - 0.5 * x,
        "from a corner": 0.95 - 0.35 * (x + y),
        "of a lamp": 0.95 - 0.55 * ((x - 0.4) ** 2 + (y - 0.55) ** 2),
        "a table beside it": np.where(x > 0.75, 0.2, 0.85),
        "warm ink": np.full_like(x, 0.6),
    }[light]
    inked = 1 - 0.8 * (1 - np.asarray(page) / 255)
    even, lit = (
        fit_picture(Image.fromarray((255 * inked * bright).astype(np.uint8)), 28, 1)
        for bright in (np.full_like(x, 0.85), falling)
    )
    assert float((even - lit).abs().mean()) < 0.3 * float(even.mean())


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
    (quarter,) = turned_strokes([Stroke(((half + 50, half),))], 90)
    assert quarter.points == ((half, half - 50),)  # counter-clockwise, y down
    (kept,) = turned_strokes([Stroke(((0, 0),))], 45)
    assert all(0 <= v < GRID for v in kept.points[0])


def test_files() -> None:
    frames = torch.rand(3, 1, 8, 8)
    assert Image.open(io.BytesIO(to_png(frames[0], 64))).size == (64, 64)
    gif = Image.open(io.BytesIO(to_gif(frames, 32)))
    assert gif.n_frames == 3  # type: ignore[attr-defined]
    assert to_picture(torch.rand(3, 8, 8)).mode == "RGB"


# ---- what training saw is what a model is asked about ----


def model_of(data: ImageData, size: int) -> AffineVAE:
    options = Train("x", Path("x"), width=8, features=2, blocks=1, latent_dim=2, turns="none", size=size)
    return build(options, data)


def pictures_on(folder: Path, kind: str) -> Path:
    for part, found in files(kind).items():
        (folder / part).mkdir()
        for i, content in enumerate(found):
            (folder / part / f"{i}-{kind}").write_bytes(content)
    return folder


@pytest.mark.parametrize("kind", [*KINDS, *MORE])
def test_training_and_later_pictures_are_prepared_alike(tmp_path: Path, kind: str) -> None:
    """The frames that evaluation encodes are those that ``prepare`` and an upload give, of any kind of picture."""
    path = pictures_on(tmp_path, kind)
    data = load(str(path), None, 48)
    model = model_of(data, 48)
    again = load(str(path), model.config.channels, 48, model.config.learned)
    evaluated, _, _ = turned(again.test, 48, "none", 0, 9)
    assert torch.equal(evaluated, turn_all(data.test.images, torch.zeros(3, 0), get_group("none", 2), 48))
    given = files(kind)["test"]
    assert torch.equal(model.prepare([Image.open(io.BytesIO(content)) for content in given]), evaluated)
    if kind in KINDS:
        assert torch.equal(model.prepare([read_image(content) for content in given]), evaluated)


def test_pictures_of_any_shape_are_scaled_and_small_squares_stay(tmp_path: Path) -> None:
    for i in range(9):
        Image.new("RGB", (70 + i, 40), (9 * i, 80, 200)).save(tmp_path / f"{i}.png")
    data = load(str(tmp_path))
    assert data.train.images.shape[1:] == (3, 60, 60)
    assert "prepared: the whole is scaled into 60 x 60 pixels" in " ".join(data.report.sentences())
    np.savez(tmp_path / "digits.npz", images=np.zeros((20, 28, 28), np.uint8))
    for size, side in ((None, 28), (36, 28), (20, 20)):
        assert load(str(tmp_path / "digits.npz"), None, size).train.images.shape[-1] == side


def test_a_model_of_drawings_still_centres_those_of_visitors(tmp_path: Path) -> None:
    digits = np.zeros((20, 28, 28), np.uint8)
    digits[:, 8:20, 12:16] = 255
    np.savez(tmp_path / "digits.npz", images=digits)
    model = model_of(load(str(tmp_path / "digits.npz")), 36)
    assert (model.config.picture, model.config.invert, model.config.drawn) == (28, True, True)
    paper = written((200, 100), (20, 20, 30, 80))
    assert torch.equal(model.prepare([paper], 0.7), fit_picture(paper, 36, 1, 0.7))
    like_training = Image.fromarray(digits[0])
    assert model.prepare([like_training])[0, 0, 13:23, 17:19].min() > 0.9


def test_grey_on_paper_is_inverted_and_said_but_a_mixed_set_stays(tmp_path: Path) -> None:
    white = np.full((40, 16, 16), 255, np.uint8)
    white[:, 4:9, 4:9] = 0
    np.savez(tmp_path / "paper.npz", images=white)
    data = load(str(tmp_path / "paper.npz"))
    assert data.train.images[0, 0, 0, 0] == 0
    assert "grey on a bright ground is inverted" in " ".join(data.report.sentences())
    np.savez(tmp_path / "mixed.npz", images=np.concatenate([white[:20], 255 - white[:20]]))
    mixed = load(str(tmp_path / "mixed.npz"))
    assert not mixed.prepared.invert
    assert mixed.train.images[:, 0, 0, 0].unique().tolist() == [0, 255]
