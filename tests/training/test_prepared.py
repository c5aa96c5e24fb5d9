"""A picture is prepared once and alike: what evaluation reads is, number by number, what prediction sees."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from picture_kinds import FORMS, KINDS, MORE, encoded, files, grey_on_white, oriented, scene
from PIL import Image

from classifiers import CompactCNN
from classifiers.data import load
from classifiers.model import CompactCNNConfig
from demo.uploads.pictures import read_image
from training.pictures import (
    SUFFIXES,
    PictureError,
    Preparation,
    as_rgb,
    check_picture,
    open_picture,
    prepare,
    prepare_all,
    to_floats,
    upright,
)

CHOICES = [Preparation(24, c, fit, invert=None) for c in (None, 1, 3) for fit in ("crop", "letterbox")]


def seen_by_evaluation(path: Path, how: Preparation) -> tuple[torch.Tensor, Preparation]:
    data = load(str(path), how)
    assert data.test.labels is not None
    images = torch.cat(list(data.test.images.split(2)))
    return to_floats(images)[data.test.labels.argsort()], data.prepared


MIXED = ("rgba.png", "exif-6.jpg", "wide.png", "deep.png", "grey-on-white.png")
READ = [("folder", k) for k in (*KINDS, *MORE)] + [(f, k) for f in FORMS if f != "folder" for k in MIXED]


@pytest.mark.parametrize(("form", "kind"), READ)
def test_evaluation_and_prediction_see_the_same_numbers(tmp_path: Path, kind: str, form: str) -> None:
    path, given = FORMS[form](tmp_path, kind), files(kind)["test"]
    pictures = [Image.open(io.BytesIO(content)) for content in given]
    uploads = [read_image(content) for content in given] if kind in KINDS else pictures
    for how in CHOICES if form == "folder" else CHOICES[:1]:
        evaluated, decided = seen_by_evaluation(path, how)
        config = CompactCNNConfig("any", ("c0", "c1"), 24, decided.channels or 0, fit=decided.fit)
        config = replace(config, ground=decided.ground, invert=bool(decided.invert))
        assert config.prepared == decided  # nothing is left open, and the config keeps all of it
        assert torch.equal(prepare_all(pictures, config.prepared), evaluated)
        assert torch.equal(prepare_all(uploads, config.prepared), evaluated)


@pytest.mark.parametrize("fit", ["crop", "letterbox"])
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_are_prepared_as_pictures_are(tmp_path: Path, fit: str, channels: int) -> None:
    images = np.stack([np.asarray(scene("L" if channels == 1 else "RGB", (50, 30), s)) for s in range(9)])
    labels, split = [f"c{i % 3}" for i in range(9)], np.repeat([0, 1, 2], 3)
    np.savez(tmp_path / "set.npz", images=images, labels=labels, split=split)
    evaluated, decided = seen_by_evaluation(tmp_path / "set.npz", Preparation(24, None, fit, invert=None))
    assert decided.channels == channels
    assert torch.equal(prepare_all([Image.fromarray(i) for i in images[split == 1]], decided), evaluated)


def test_grey_pictures_on_white_stay_so_and_on_black_make_later_ones_black(tmp_path: Path) -> None:
    how = Preparation(24, invert=None)
    for kind, inverts in (("grey-on-white.png", False), ("grey-on-black.png", True), ("plain.png", False)):
        (tmp_path / kind).mkdir()
        evaluated, decided = seen_by_evaluation(FORMS["folder"](tmp_path / kind, kind), how)
        assert decided.invert == inverts
        assert kind == "plain.png" or (evaluated[0, 0, 0, 0] > 0.5) == (not inverts)
    dark = prepare(grey_on_white(0), Preparation(24, 1, invert=True))
    assert dark[0, 0] < 10
    assert np.array_equal(dark, 255 - prepare(grey_on_white(0), Preparation(24, 1)))


def test_orientation_is_undone() -> None:
    straight = np.asarray(scene(size=(48, 30))).astype(int)
    for orientation in range(1, 9):
        turned = Image.open(io.BytesIO(oriented(orientation, 0, "PNG")))
        assert np.array_equal(as_rgb(upright(turned)), as_rgb(turned))  # once, however often it is asked for
        back = np.asarray(as_rgb(turned)).astype(int)
        assert back.shape == ((48, 30, 3) if orientation >= 5 else (30, 48, 3))
        ours = {1: straight, 3: straight[::-1, ::-1], 6: np.rot90(straight, -1), 8: np.rot90(straight)}
        if orientation in ours:
            assert np.array_equal(back, ours[orientation])


def test_the_middle_of_an_oblong_picture_is_kept_or_all_of_it() -> None:
    image = Image.new("RGB", (300, 100), (40, 50, 60))
    image.paste((255, 255, 255), (100, 0, 200, 100))
    for picture in (image, image.rotate(90, expand=True)):
        assert prepare(picture, Preparation(32, 3)).mean() > 0.95 * 255
        whole = prepare(picture, Preparation(32, 3, "letterbox"))
        assert whole[0, 0].tolist() == [40, 50, 60]  # beside it lies its border's colour
        assert whole[16, 16].tolist() == [255, 255, 255]
        assert (whole == 255).all(2).sum() < 150


def test_what_transparent_parts_lie_on() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    clear.paste((255, 255, 0, 255), (2, 2, 6, 6))
    corners = {
        g: prepare(clear, Preparation(8, 3, ground=g))[0, 0].tolist() for g in ("white", "black", "contrast")
    }
    assert corners == {"white": [255] * 3, "black": [0] * 3, "contrast": [0] * 3}
    clear.paste((60, 0, 0, 255), (2, 2, 6, 6))
    assert prepare(clear, Preparation(8, 3, ground="contrast"))[0, 0].tolist() == [255] * 3


def test_deep_grey_is_scaled_and_what_has_no_white_is_refused() -> None:
    for mode in ("I;16", "I;16B", "I"):
        assert abs(int(prepare(Image.new(mode, (8, 8), 128 * 256), Preparation(8))[0, 0, 0]) - 128) <= 1
    for picture in (Image.new("F", (8, 8), 0.5), Image.new("I", (8, 8), 70_000)):
        with pytest.raises(ValueError, match="no known white"):
            prepare(picture, Preparation(8))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 2), (1, 400_000)])
@pytest.mark.parametrize("fit", ["crop", "letterbox"])
def test_the_smallest_and_the_thinnest_still_fill_the_frame(size: tuple[int, int], fit: str) -> None:
    assert (prepare(Image.new("RGB", size, (9, 9, 9)), Preparation(224, 3, fit)) == 9).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit": "squash"}, "crop or letterbox"),
        ({"ground": "grey"}, "white, black"),
        ({"invert": 2}, "true or false"),
    ],
)
def test_a_config_that_says_nonsense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompactCNN("resnet20@0.25", ["a", "b"], **changes)  # type: ignore[arg-type]


BROKEN = {
    "empty.jpg": (b"", "it is empty"),
    "text.png": (b"hello, I am a text of some length", "not a readable image"),
    "page.jpg": (b"<!DOCTYPE html><html>not found</html>", "a web page"),
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
    "photo.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "a HEIC photo, save it as JPEG"),
    "cut.jpg": (encoded(scene(size=(200, 200)), "JPEG")[:-400], "damaged or cut off"),
    "cut.png": (encoded(scene(size=(200, 200)))[:-400], "damaged or cut off"),
    "cut.gif": (encoded(scene(size=(200, 200)), "GIF")[:-2000], "damaged or cut off"),
    "cut.bmp": (encoded(scene(), "BMP")[:-99], "damaged or cut off"),
    "cut.webp": (encoded(scene(size=(200, 200)), "WEBP")[:-99], "damaged or cut off"),
    "floats.tif": (encoded(Image.new("F", (8, 8)), "TIFF"), "floating-point"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, name: str, whole: bool) -> None:
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PictureError, match=message):
        check_picture(tmp_path / name, whole)
    if name != "floats.tif":  # which can be opened, but not prepared
        with pytest.raises(PictureError, match=message):
            open_picture(tmp_path / name)


def test_the_size_of_a_file_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    for orientation in (1, 6):
        (tmp_path / "a.jpg").write_bytes(oriented(orientation, 0))
        size, grey = check_picture(tmp_path / "a.jpg")
        assert (size, grey) == ((48, 30) if orientation == 1 else (30, 48), False)


def test_avif_is_read() -> None:
    assert ".avif" in SUFFIXES  # the oldest Pillow of the tests reads it
    content = encoded(scene(), "AVIF")
    assert abs(np.asarray(open_picture(content)).astype(int) - np.asarray(scene()).astype(int)).mean() < 12


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_make_a_picture_unreadable() -> None:
    content = encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert prepare(open_picture(content), Preparation(16)).shape == (16, 16, 3)
