"""Pictures: prepared whatever their mode, augmented as asked, and refused where they are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifiers import CompactCNN
from classifiers.augment import Augment, Pictures
from classifiers.images import check, resize
from classifiers.train import Train, train
from training.loop import LoopConfig
from training.pictures import Preparation, prepare_all


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "YCbCr"])
def test_colour_survives_every_mode(mode: str) -> None:
    """Red above, blue below."""
    image = Image.new("RGB", (40, 60), (255, 0, 0))
    image.paste((0, 0, 255), (0, 30, 40, 60))
    top, bottom = prepare_all([image.convert(mode)], Preparation(32, 3))[0][:, (2, -3), 16].T
    assert top.argmax() == 0
    assert bottom.argmax() == 2


def test_models_that_do_not_say_how_lay_grey_things_on_black() -> None:
    paper = Image.new("L", (28, 28), 250)
    paper.paste(10, (8, 8, 20, 20))
    night = Image.new("L", (28, 28), 5)
    night.paste(245, (8, 8, 20, 20))
    model = CompactCNN("resnet20@0.25", ["a", "b"], 28, 1)
    torch.testing.assert_close(*model.prepare([paper, night]))
    as_it_is = CompactCNN("resnet20@0.25", ["a", "b"], 28, 1, invert=False).prepare([paper, night])
    assert as_it_is[0].mean() > 0.5 > as_it_is[1].mean()


def test_tensors_are_checked_and_resized() -> None:
    good = torch.rand(2, 3, 40, 30)
    assert resize(check(good, 3), 32).shape == (2, 3, 32, 32)
    flat = torch.full((1, 1, 5, 5), 0.25)
    torch.testing.assert_close(resize(flat, 32), torch.full((1, 1, 32, 32), 0.25))
    for bad in (
        good[0],
        good * 2,
        good - 1,
        good.clone().fill_(float("nan")),
        (good * 255).byte(),
        good[:, :1],
    ):
        with pytest.raises(ValueError, match="images must"):
            check(bad, 3)


def test_predict_takes_what_people_hold(tmp_path: Path) -> None:
    """Pictures, names of files, arrays and batches of arrays are the same picture; no pictures are no answers."""
    model = CompactCNN("resnet9@0.125", ["a", "b", "c"], 32, 3)
    image = Image.effect_mandelbrot((40, 30), (-3, -2.5, 2, 2.5), 9).convert("RGB")
    image.save(tmp_path / "a.png")
    array = np.asarray(image)
    expected = model.predict([image])
    for same in (
        [tmp_path / "a.png"],
        [str(tmp_path / "a.png")],
        [array],
        array[None],
        (image,),
        iter([image]),
    ):
        assert torch.equal(model.predict(same), expected)  # type: ignore[arg-type]
    grey = [array[..., 0], array[..., :1], Image.fromarray(array[..., 0])]
    assert len(set(map(tuple, model.predict(grey).tolist()))) == 1
    assert model.predict([]).shape == model.predict(torch.rand(0, 3, 20, 20)).shape == (0, 3)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (Image.new("RGB", (5, 5)), "put one picture in brackets"),
        ("a.png", "put one picture in brackets"),
        (None, "must be a list of PIL pictures, .* not NoneType"),
        (np.zeros((5, 5, 3), np.uint8), r"must be bytes \(B, H, W, 1 or 3\), not uint8 \(5, 5, 3\)"),
        ([np.zeros((5, 5, 3))], r"image 0 must be bytes .*, not float64 \(5, 5, 3\)"),
        ([Image.new("RGB", (5, 5)), torch.zeros(3, 5, 5)], "image 1 is a Tensor"),
        (["gone.png"], "image 0, gone.png, cannot be read: there is no image file of that name"),
        ([Image.new("RGB", (0, 5))], "it has no pixels"),
        (torch.rand(1, 3, 0, 0), "must have pixels"),
        (torch.zeros(1, 3, 5, 5, dtype=torch.uint8), "divide bytes by 255"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(images: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CompactCNN("resnet9@0.125", ["a", "b"], 32, 3).predict(images)  # type: ignore[arg-type]


def numbered(count: int = 200, side: int = 16) -> torch.Tensor:
    """Each pixel holds its column; rows in the second channel, picture number in the third."""
    column = torch.arange(side).expand(count, side, side)
    number = torch.arange(count)[:, None, None].expand(count, side, side)
    return torch.stack([column, column.transpose(1, 2), number], 1).to(torch.uint8)


def test_pictures_are_shifted_and_flipped_whole_and_not_mixed_up() -> None:
    torch.manual_seed(0)
    batch = (Pictures(numbered(), Augment(shift=3))(torch.arange(200)) * 255).round()
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch[:, 2, 0, 0], torch.arange(200.0))
    inner = batch[:, 0, 5, 4:12]
    step = inner.diff(dim=1)
    assert ((step == 1).all(1) | (step == -1).all(1)).all()
    assert 60 < int((step[:, 0] == -1).sum()) < 140  # mirrored half of the time
    rows = batch[:, 1, 4:12, 5] - torch.arange(4, 12)
    assert set(rows.flatten().int().tolist()) == set(range(-3, 4))  # up and down by up to three
    assert (batch[:, 1].diff(dim=1).abs() <= 1).all()  # the border is mirrored in


def test_nothing_changes_where_nothing_is_asked() -> None:
    images = numbered()
    batch = Pictures(images, Augment(flip=False, shift=0))(torch.tensor([7, 3]))
    torch.testing.assert_close(batch, images[[7, 3]].float() / 255)


def test_cutout_hides_one_square() -> None:
    torch.manual_seed(0)
    images = torch.zeros(50, 1, 16, 16, dtype=torch.uint8)
    images[:, :, ::2] = 255
    batch = Pictures(images, Augment(flip=False, shift=0, cutout=5))(torch.arange(50))
    hidden = (batch != images.float() / 255)[:, 0]
    rows, columns = hidden.any(2).sum(1), hidden.any(1).sum(1)
    assert rows.max() <= 5
    assert columns.max() <= 5
    assert (hidden.sum((1, 2)) == rows * columns).all()
    assert (rows > 0).all()


def test_a_shift_beyond_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="shift"):
        Pictures(numbered(2, 8), Augment(shift=8))


def test_recorded_accuracy_is_what_predict_reaches_on_the_same_files(tmp_path: Path) -> None:
    """One small training on transparent, turned and oblong pictures: each class is a place of ink."""
    for part, count in (("train", 24), ("test", 12)):
        for i in range(count):
            place = tmp_path / "set" / part / f"c{i % 3}"
            place.mkdir(parents=True, exist_ok=True)
            image = Image.new("RGBA", (24, 16), (0, 0, 0, 0))
            image.paste((200, 40 * (i % 5), 30, 255), (4 + 5 * (i % 3), 2, 9 + 5 * (i % 3), 14))
            exif = Image.Exif()
            exif[0x0112] = 6
            image.save(place / f"{i}.png", exif=exif if i % 2 else Image.Exif())
    loop = LoopConfig(epochs=2, batch=8, lr=0.02, warmup=1, precision="no")
    train(Train(str(tmp_path / "set"), tmp_path / "cnn", network="resnet20@0.25", size=16, loop=loop))
    model = CompactCNN.from_pretrained(tmp_path / "cnn")
    files = sorted((tmp_path / "set" / "test").rglob("*.png"))
    answers = model.predict([Image.open(file) for file in files]).argmax(1).tolist()
    right = [model.classes[k] == file.parent.name for k, file in zip(answers, files, strict=True)]
    recorded = json.loads((tmp_path / "cnn" / "metrics.json").read_text())["test"]
    assert recorded["n"] == len(files)
    assert recorded["accuracy"] == pytest.approx(sum(right) / len(right))
