"""Every format gives the same pixels, held-out parts are fair, each refusal names its reason. No network."""

import errno
import gzip
import io
import shutil
import zipfile
from pathlib import Path

import datasets
import huggingface_hub
import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from training import datasets as ours
from training import pictures
from training.datasets import DataError, load_images
from training.pictures import Preparation

N, SIDE = 40, 6
GREY = np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)
LABELS = np.arange(N) % 4
SPLIT = np.repeat([0, 2, 1], [24, 6, 10])
WORDS = np.array(["train", "test", "validation"])[SPLIT]


def png(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def write_npz(folder, images):
    np.savez_compressed(folder / "set.npz", images=images, labels=LABELS, split=SPLIT)
    return folder / "set.npz"


def write_float_npz(folder, images):
    np.savez_compressed(folder / "set.npz", images=(images / 255).astype("f4"), labels=LABELS, split=SPLIT)
    return folder / "set.npz"


def write_stream_npz(folder, images):
    """JPEG is lossy, so the stream holds PNG files: the reader looks at the bytes, not at the name."""
    files = [png(image) for image in images]
    offset = np.cumsum([0, *map(len, files)])
    stream = np.frombuffer(b"".join(files), np.uint8)
    np.savez(folder / "set.npz", jpeg=stream, offset=offset, labels=LABELS, split=SPLIT)
    return folder / "set.npz"


def write_path_csv(folder, images):
    (folder / "files").mkdir()
    for i, image in enumerate(images):
        (folder / "files" / f"{i}.png").write_bytes(png(image))
    paths = [f"files/{i}.png" for i in range(N)]
    pandas.DataFrame({"path": paths, "label": LABELS, "split": WORDS}).to_csv(folder / "set.csv", index=False)
    return folder / "set.csv"


def write_hub_parquet(folder, images):
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "kind": datasets.ClassLabel(names=list("0123")),
            "split": datasets.Value("string"),
        }
    )
    cells = [{"bytes": png(image), "path": None} for image in images]
    rows = {"picture": cells, "kind": LABELS.tolist(), "split": WORDS.tolist()}
    datasets.Dataset.from_dict(rows, features).to_parquet(folder / "set.parquet")
    return folder / "set.parquet"


def write_bytes_parquet(folder, images):
    frame = pandas.DataFrame({"label": LABELS, "image": [png(image) for image in images], "split": WORDS})
    frame.to_parquet(folder / "set.parquet")
    return folder / "set.parquet"


def write_dict_parquet(folder, images):
    frame = pandas.DataFrame(
        {"image": [{"bytes": png(image)} for image in images], "label": LABELS, "split": WORDS}
    )
    frame.to_parquet(folder / "set.parquet")
    return folder / "set.parquet"


def write_folder(folder, images):
    for i, image in enumerate(images):
        file = folder / "set" / WORDS[i].replace("validation", "val") / str(LABELS[i]) / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(image))
    (folder / "set" / "train" / "notes.txt").write_text("not an image")
    return folder / "set"


WRITERS = [write_npz, write_float_npz, write_stream_npz, write_path_csv]
WRITERS += [write_hub_parquet, write_bytes_parquet, write_dict_parquet, write_folder]


def pixel_set(split):
    """Images with their labels, whatever their order."""
    return sorted(
        zip((image.numpy().tobytes() for image in split.images), split.labels.tolist(), strict=True)
    )


def expected_set(images, code):
    images = images[..., None] if images.ndim == 3 else images
    chosen = np.moveaxis(images, -1, 1)[code == SPLIT]
    return sorted(zip((image.tobytes() for image in chosen), LABELS[code == SPLIT].tolist(), strict=True))


def check_round_trip(data, images):
    for split, code in ((data.train, 0), (data.test, 1), (data.validation, 2)):
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
        assert split.images.shape[1:] == (1 if images.ndim == 3 else 3, SIDE, SIDE)
        assert pixel_set(split) == expected_set(images, code)
    assert data.classes == ("0", "1", "2", "3")


@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("write", WRITERS, ids=lambda f: f.__name__[6:])
def test_formats_give_the_same_pixels(tmp_path, write, images):
    path = write(tmp_path, images)
    data = load_images(str(path))
    check_round_trip(data, images)
    assert (data.name, data.source, data.terms) == ("set", path.name, None)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_pixel_csv(tmp_path, ending, first):
    columns = {f"pixel{i + first}": GREY.reshape(N, -1)[:, i] for i in range(SIDE**2)}
    frame = pandas.DataFrame({"label": LABELS, **columns, "split": WORDS})
    frame[frame.columns[::-1]].to_csv(tmp_path / f"set{ending}", index=False)
    check_round_trip(load_images(str(tmp_path / f"set{ending}")), GREY)


def save(tmp_path, **arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    return str(tmp_path / "set.npz")


# ---- pixels ----


def folder_of(tmp_path, *files):
    for i, content in enumerate(files):
        (tmp_path / f"{i}.png").write_bytes(content)
    return str(tmp_path)


def all_images(data):
    return torch.cat([data.train.images, data.validation.images, data.test.images])


def test_flat_folder_is_unlabelled(tmp_path):
    data = load_images(folder_of(tmp_path, *map(png, GREY)))
    assert data.train.labels is None
    assert data.classes == ()
    assert len(data.train) + len(data.validation) + len(data.test) == N


def test_one_colour_file_makes_all_colour(tmp_path):
    folder = folder_of(tmp_path, png(COLOUR[0]), *map(png, GREY))
    assert load_images(folder).train.images.shape[1] == 3


def test_channels_convert_as_pillow_does(tmp_path):
    data = load_images(save(tmp_path, images=COLOUR, split=SPLIT), Preparation(channels=1))
    expected = [np.asarray(Image.fromarray(image).convert("L")) for image in COLOUR[SPLIT == 0]]
    assert np.array_equal(data.train.images[:, 0].numpy(), expected)
    data = load_images(save(tmp_path, images=GREY, split=SPLIT), Preparation(channels=3))
    assert np.array_equal(data.train.images[:, 2].numpy(), GREY[SPLIT == 0])


def test_size_crops_or_pads(tmp_path):
    wide = np.full((4, 8), 200, np.uint8)
    wide[:, 4:] = 100
    wide[0] = wide[-1] = 50
    folder = folder_of(tmp_path, png(wide), png(wide), png(wide))
    whole = all_images(load_images(folder, Preparation(16, fit="letterbox")))
    assert whole.shape == (3, 1, 16, 16)
    assert (whole[:, :, :3] == 50).all()  # beside it is its border's colour
    cut = all_images(load_images(folder, Preparation(16)))
    assert cut.shape == (3, 1, 16, 16)
    assert cut[:, :, 8, 0].min() > 190


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn by 90 degrees clockwise
    images = all_images(load_images(folder_of(tmp_path, *[png(GREY[0], exif=exif)] * 3)))
    assert np.array_equal(images[0, 0].numpy(), np.rot90(GREY[0], -1))


def test_transparency_lies_on_white(tmp_path):
    clear = np.full((4, 4, 4), 255, np.uint8)
    clear[..., :3] = 90
    clear[:2, :, 3] = 0
    images = all_images(load_images(folder_of(tmp_path, *[png(clear)] * 3)))
    assert (images[:, :, :2] == 255).all()
    assert (images[:, :, 2:] == 90).all()


def test_sixteen_bit_grey_is_scaled(tmp_path):
    deep = np.array([[0, 256], [32768, 65535]], np.uint16)
    images = all_images(load_images(folder_of(tmp_path, *[png(deep)] * 3)))
    assert images[0, 0].tolist() == [[0, 1], [128, 255]]


# ---- splits ----


def numbered(tmp_path, n=1000):
    """Images that are their own row number; classes of 70, 20 and 10 percent."""
    images = np.arange(n, dtype="<u2").view(np.uint8).reshape(n, 1, 2)
    return save(tmp_path, images=images, labels=np.repeat([0, 1, 2], [n * 7 // 10, n // 5, n // 10]))


def rows(split):
    return split.images[:, 0, 0, 0].int() + 256 * split.images[:, 0, 0, 1].int()


def test_split_is_disjoint_complete_and_stratified(tmp_path):
    data = load_images(numbered(tmp_path))
    everything = torch.cat([rows(s) for s in (data.train, data.validation, data.test)])
    assert sorted(everything.tolist()) == list(range(1000))
    assert data.test.labels.bincount().tolist() == [70, 20, 10]
    assert data.validation.labels.bincount().tolist() == [70, 20, 10]


def test_split_depends_on_the_seed_alone(tmp_path):
    path = numbered(tmp_path)
    first, again, other = (load_images(path, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(rows(first.test), rows(again.test))
    assert torch.equal(rows(first.validation), rows(again.validation))
    assert not torch.equal(rows(first.test), rows(other.test))


@pytest.mark.parametrize(("validation", "expected"), [(None, 100), (37, 37), (0.5, 450)])
def test_validation_as_number_or_part(tmp_path, validation, expected):
    assert len(load_images(numbered(tmp_path), validation=validation).validation) == expected


@pytest.mark.parametrize("validation", [0, -1, 0.0, 1.0, 5000, float("nan")])
def test_impossible_validation_is_refused(tmp_path, validation):
    with pytest.raises(DataError, match="cannot hold out"):
        load_images(numbered(tmp_path), validation=validation)


def test_labels_become_indices(tmp_path):
    data = load_images(save(tmp_path, images=GREY, labels=np.array(["cat", "ant"] * (N // 2)), split=SPLIT))
    assert data.classes == ("ant", "cat")
    assert data.train.labels[:4].tolist() == [1, 0, 1, 0]
    data = load_images(save(tmp_path, images=GREY, labels=LABELS, split=SPLIT, classes=list("wxyz")))
    assert data.classes == ("w", "x", "y", "z")
    assert torch.equal(data.train.labels, torch.from_numpy(LABELS[SPLIT == 0]))


# ---- tables and labels ----


def write_words(folder, kind, labels, images=GREY):
    """A table of files with labels as they are; ``kind`` is its suffix."""
    for i, image in enumerate(images):
        (folder / f"{i}.png").write_bytes(png(image))
    rows = [
        {"File Name": f"{i}.png", "Class": label, "Split": WORDS[i].upper()} for i, label in enumerate(labels)
    ]
    frame, path = pandas.DataFrame(rows), folder / f"set{kind}"
    separators = {".csv": ",", ".tsv": "\t", ".csv.gz": ";"}
    if kind in separators:
        frame.to_csv(path, sep=separators[kind], index=False)
    elif kind == ".xlsx":
        frame.to_excel(path, index=False)
    elif kind == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=kind == ".jsonl")
    return path


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".csv.gz", ".json", ".jsonl", ".xlsx", ".parquet"])
def test_tables_of_files_of_every_kind(tmp_path, kind):
    data = load_images(str(write_words(tmp_path, kind, [f"kind {i}" for i in LABELS])))
    assert pixel_set(data.train) == expected_set(GREY, 0)
    assert data.classes == ("kind 0", "kind 1", "kind 2", "kind 3")
    sentences = data.report.sentences()
    assert sentences[0] == "40 images found, 40 read, as a table of files in the column File Name"
    assert "labels are in the column Class" in sentences


SPELLINGS = [
    (["True", "true", "False", "FALSE"] * 10, ("False", "True")),
    (["1", "1.0", "2", "10"] * 10, ("1", "2", "10")),
    (["01", "1", "NA", "None"] * 10, ("01", "1", "NA", "None")),
    (["Cat", "cat ", "cat", "dog"] * 10, ("cat", "dog")),
]


@pytest.mark.parametrize(("labels", "classes"), SPELLINGS)
@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet", ".npz", "folder"])
def test_labels_are_spelled_alike_wherever_they_are_read(tmp_path, kind, labels, classes):
    if kind == ".npz":
        path = save(tmp_path, images=GREY, labels=np.array(labels), split=SPLIT)
    elif kind == "folder":
        for i, image in enumerate(GREY):
            file = tmp_path / "set" / WORDS[i] / labels[i] / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(image))
        path = tmp_path / "set"
    else:
        path = write_words(tmp_path, kind, labels)
    assert set(load_images(str(path)).classes) == set(classes)


@pytest.mark.parametrize("labels", [[True, False] * 20, [1, 0] * 20, [1.0, 0.0] * 20])
def test_numbers_and_truths_in_arrays_are_spelled_as_in_tables(tmp_path, labels):
    data = load_images(save(tmp_path, images=GREY, labels=np.array(labels), split=SPLIT))
    assert data.classes == (("False", "True") if labels[0] is True else ("0", "1"))


def test_rows_without_a_label_are_left_out_and_counted(tmp_path):
    path = write_words(tmp_path, ".csv", ["" if i in (3, 39) else "ab"[i % 2] for i in range(N)])
    data = load_images(str(path))
    assert len(data.train) + len(data.validation) + len(data.test) == N - 2
    assert "2 left out: without a label (image 3, image 39)" in data.report.sentences()
    bare = load_images(save(tmp_path, images=GREY, labels=np.full(N, -1), classes=["a", "b"], split=SPLIT))
    assert bare.train.labels is None
    assert "no image has a label" in bare.report.sentences()


def test_black_and_white_as_whole_numbers(tmp_path):
    data = load_images(save(tmp_path, images=(GREY > 127).astype(np.uint8), split=SPLIT))
    assert set(data.train.images.unique().tolist()) == {0, 255}


def test_pixels_named_by_row_and_column(tmp_path):
    columns = {f"{r + 1}x{c + 1}": GREY[:, r, c] for r in range(SIDE) for c in range(SIDE)}
    frame = pandas.DataFrame({"label": LABELS, **columns, "split": WORDS})
    frame[frame.columns[::-1]].to_csv(tmp_path / "set.csv", index=False, sep=";")
    check_round_trip(load_images(str(tmp_path / "set.csv")), GREY)


def test_a_class_of_one_picture_is_trained_on(tmp_path):
    for seed in range(5):
        data = load_images(
            save(tmp_path, images=GREY, labels=["rare" if i == 7 else "abc"[i % 3] for i in range(N)]),
            seed=seed,
        )
        rare = data.classes.index("rare")
        assert rare in data.train.labels
        assert "trained on but not tested, for want of images: rare" in data.report.sentences()
    with pytest.raises(DataError, match="no class has two"):
        load_images(save(tmp_path, images=GREY[:9], labels=np.arange(9)))


# ---- refusals ----


def with_nan():
    images = GREY / 255
    images[3, 2, 1] = np.nan
    return images


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"grey": GREY}, "no array called images, only grey: save"),
        ({"images": np.array([GREY, None], object)}, "holds Python objects: save numbers"),
        ({"images": with_nan()}, "NaN"),
        ({"images": GREY + 0.5}, "floats in"),
        ({"images": GREY / 127.5 - 1}, r"scale them as \(x \+ 1\) / 2"),
        ({"images": GREY.astype(int) - 1}, r"0\.\.255"),
        ({"images": GREY.astype(str)}, "not numbers"),
        ({"images": np.stack([GREY] * 4, -1)}, r"\(40, 6, 6, 4\), not \(N, H, W\).*: lay transparent parts"),
        ({"x_train": GREY, "y_train": LABELS, "x_test": GREY}, "has labels for some parts only"),
        ({"x_train": GREY, "x_test": COLOUR}, r"do not fit together: they are \(40, 6, 6\), \(40, 6, 6, 3\)"),
        ({"images": GREY, "split": ["train"] * 39 + ["tset"]}, "unknown split 'tset' in row 40"),
        ({"images": GREY[:0]}, "empty"),
        ({"images": GREY[:1]}, "cannot hold out 1 of 1"),
        ({"images": GREY, "labels": LABELS[:-1]}, "40 images but labels of shape"),
        ({"images": GREY, "labels": np.stack([LABELS, LABELS], 1)}, "cells with several labels"),
        ({"images": GREY, "labels": LABELS, "classes": list("abc")}, "label '3' is not one of its 3 classes"),
        ({"images": GREY, "split": SPLIT + 1}, "split must be"),
        ({"images": GREY, "split": SPLIT[:5]}, "split must be"),
        ({"images": GREY, "split": np.ones(N, int)}, "cannot hold out 1 of 0"),
        ({"jpeg": np.zeros(10, np.uint8), "offset": np.array([0, 20])}, "offset does not cut"),
        (
            {"jpeg": np.zeros(10, np.uint8), "offset": np.array([0, 5, 10])},
            r"2 of 2 images cannot be read: image 0 \(.*\), image 1",
        ),
        ({"jpeg": np.zeros(0, np.uint8), "offset": np.array([0])}, "empty"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        load_images(save(tmp_path, **arrays))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", b"hello", "a.npz is not a .npz archive"),
        ("a.parquet", b"hello", "a.parquet is not a .parquet file"),
        ("a.csv", png(GREY[0]), "a.csv is not text but a picture"),
        ("a.csv.gz", b"label,pixel0\n1,2\n", "a.csv.gz is not a readable .csv.gz file"),
        (
            "a.csv.gz",
            gzip.compress(b"label,pixel0\n1,2\n" * 99, mtime=0)[:-9],
            "a.csv.gz is not a readable .csv.gz file",
        ),
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"label,pixel0\n", "empty"),
        ("a.csv", b"label,text\n1,hello\n", "neither a column path"),
        ("a.csv", b"pixel0,pixel1\n1,2\n", "square"),
        ("a.csv", b"pixel0\n1\nx\n", "row 2 has no number in column pixel0"),
        ("a.csv", b"label,pixel0\n1,1\n1,\n1,3\n", "row 2 has no number in column pixel0"),
        ("a.csv", b"label,pixel0\ncat;dog,1\ncat,2\ndog,3\n", "cells with several labels, such as 'cat;dog'"),
        ("a.csv", b"5,0,0,0,0\n3,0,0,0,0\n", "the first line names 5, 0, .*; add a header"),
        ("a.csv", b"label,pixel0,split\n1,1,train\n1,2,tset\n", "unknown split 'tset'"),
        ("a.csv", b"path\nnone.png\n", r"none.png \(there is no image file of that name\)"),
        ("a.csv", b"path\na.csv\n", r"1 of 1 images cannot be read: a.csv \(not a readable image\)"),
        (
            "a.txt",
            b"hello",
            r"a.txt is no set of pictures that can be read: give a folder of images or a file \(.npz",
        ),
        ("a.tar.gz", b"hello", "unpack this archive"),
        ("a.npy", b"hello", "save it with its labels as .npz"),
        ("a.zip", b"hello", "a.zip is damaged, or no .zip"),
        ("a.csv", b"1.png,cat\n2.png,dog\n", "no header: its first line names 1.png, cat; add a line"),
        (
            "a.csv",
            b"path\nhttps://a.org/1.png\n",
            "addresses, such as https://a.org/1.png, which are not fetched",
        ),
        ("a.csv", b"path\n" + b"C:\\pics\\1.png\n" * 9, "none of the 9 files in the column path is there"),
        ("a.csv", b"label,pixel0,split\n1,1,train\n1,2,\n", "no split in row 2"),
        ("a.png", png(GREY[0]), "a.png .*: it is one picture, so name the folder"),
    ],
)
def test_bad_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_images(str(tmp_path / name))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "empty"),
        ([png(GREY[0])], "cannot hold out 1 of 1"),
        (
            [png(GREY[0]), b"hello"],
            r"1 of 2 images cannot be read: 1.png \(not a readable image\); replace them",
        ),
        ([png(GREY[0]), png(GREY[0])[:-30], b""], r"1.png \(damaged or cut off\), 2.png \(it is empty\)"),
        ([png(GREY[0]), b"<html>"], r"1.png \(a web page"),
        ([png(GREY[0]), png(GREY[0, :3])], "from 6x3 to 6x6 pixels, pass --size"),
        ([png(np.zeros((40, 60), np.uint8))], "60x40 pixels"),
    ],
)
def test_bad_folder(tmp_path, monkeypatch, files, message):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 2000)
    with pytest.raises(DataError, match=message):
        load_images(folder_of(tmp_path, *files))


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_zip_of_pictures_is_its_folder(tmp_path, wrapped):
    folder = Path(write_folder(tmp_path, COLOUR))
    archive = shutil.make_archive(
        str(tmp_path / "pics"), "zip", folder.parent if wrapped else folder, folder.name if wrapped else None
    )
    expected, found = (load_images(str(path), Preparation(6)) for path in (folder, archive))
    assert torch.equal(found.train.images, expected.train.images)
    assert torch.equal(found.test.labels, expected.test.labels)
    assert found.classes == expected.classes


def test_pictures_in_a_zip_that_is_damaged_are_a_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "pics.zip", "w") as archive:
        for i in range(4):
            archive.writestr(f"{i % 2}/{i}.png", png(GREY[i]))
    content = (tmp_path / "pics.zip").read_bytes()
    (tmp_path / "pics.zip").write_bytes(content.replace(png(GREY[1])[20:40], bytes(20)))
    with pytest.raises(DataError, match=r"pics.zip cannot be unpacked \(.*\): unpack it yourself"):
        load_images(str(tmp_path / "pics.zip"))


def test_a_table_without_labels_says_which_columns_it_has(tmp_path):
    for i in range(9):
        (tmp_path / f"{i}.png").write_bytes(png(GREY[i]))
    (tmp_path / "a.csv").write_text("file,breed\n" + "".join(f"{i}.png,{i % 3}\n" for i in range(9)))
    notes = load_images(str(tmp_path / "a.csv")).report.notes
    assert "none of the columns (file, breed) is called label, class or alike: no labels" in notes


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"X": GREY, "y": LABELS}, None),
        ({"image": GREY.astype(np.float32), "label": LABELS}, None),
        ({"arr_0": GREY.reshape(N, -1), "arr_1": LABELS}, None),
        ({"images": GREY[:, None], "labels": np.eye(5)[LABELS]}, None),
        ({"images": GREY, "labels": LABELS[:, None], "split": np.array(["train", "test", "val"])[SPLIT]}, SPLIT),
        ({"images": GREY, "labels": LABELS, "split": np.array([b"training", b"test", b"dev"])[SPLIT]}, SPLIT),
        (
            {f"{x}_{p}": a[i == SPLIT] for i, p in enumerate(("train", "test", "val"))
             for x, a in (("x", GREY), ("y", LABELS))},
            SPLIT,
        ),
        (
            {f"{p}_{x}": a[i == SPLIT] for i, p in enumerate(("train", "test", "val"))
             for x, a in (("images", GREY), ("labels", LABELS[:, None]))},
            SPLIT,
        ),
    ],
)  # fmt: skip
def test_arrays_under_the_names_that_people_give(tmp_path, arrays, parts):
    """Each way is the same pictures with the same labels, in the same parts, as the plain names."""
    plain = {"images": GREY, "labels": LABELS} | ({} if parts is None else {"split": parts})
    expected, found = (load_images(save(tmp_path, **kinds)) for kinds in (plain, arrays))
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(found, part).images, getattr(expected, part).images)
        assert torch.equal(getattr(found, part).labels, getattr(expected, part).labels)


def test_partly_labelled_folder(tmp_path):
    folder_of(write_folder(tmp_path, GREY) / "test", png(GREY[0]))
    with pytest.raises(DataError, match=r"outside of class folders \(test/0.png\)"):
        load_images(str(tmp_path / "set"))


def test_parquet_without_images(tmp_path):
    pandas.DataFrame({"text": ["a", "b"], "label": [0, 1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no column of images: its columns are text, label"):
        load_images(str(tmp_path / "a.parquet"))


def test_decompression_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "MAX_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "set.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(1_000_000))
    with pytest.raises(DataError, match="1,000,000 bytes"):
        load_images(str(tmp_path / "set.npz"))


def test_images_beyond_memory_are_refused(tmp_path, monkeypatch):
    path = save(tmp_path, images=GREY)
    monkeypatch.setattr(ours, "MAX_BYTES", 10_000)
    with pytest.raises(DataError, match="more than the limit"):
        load_images(path, Preparation(64))


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (
            "mnits",
            {},
            r"unknown data set 'mnits' \(did you mean mnist\?\): give one of mnist, fashion, cifar10",
        ),
        ("missing.npz", {}, "no file or folder missing.npz"),
        ("MNIST", {}, "did you mean mnist"),
        (" ", {}, "the data have no name"),
        ("a" * 5000, {}, "unknown data set 'a{59}…'"),
        ("/dev/null", {}, "/dev/null is neither a file nor a folder"),
        ("https://huggingface.co/datasets/ylecun/mnist", {}, "give the data set's name, ylecun/mnist$"),
        ("https://a.org/pics.zip", {}, "an address, which is not fetched: download it"),
        ("runs/missing.csv", {}, "no file or folder"),
        ("./missing", {}, "no file or folder"),
        ("mnist", {"how": Preparation(channels=2)}, "channels must be 1 or 3"),
        ("mnist", {"how": Preparation(0)}, "size must be"),
        ("mnist", {"how": Preparation(10**6)}, "size must be"),
    ],
)
def test_bad_request(data, options, message):
    with pytest.raises(DataError, match=message):
        load_images(data, **options)


# ---- the Hub, played by a double ----


class Card:
    license = "mit"
    card_data = property(lambda self: self)


@pytest.fixture
def hub(monkeypatch):
    """``hub(answer, rows)``: what the Hub says about the data set and what loading it gives, or raises."""

    def play(answer, rows):
        def give(value):
            if isinstance(value, Exception):
                raise value
            return value

        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, repo, **options: give(answer))
        monkeypatch.setattr(datasets, "load_dataset", lambda repo: give(rows))

    return play


def hub_rows(
    image="image", label="label", splits=("train", "validation", "test"), names=("a", "b", "c", "d")
):
    names = {label: datasets.ClassLabel(names=list(names))}
    features = datasets.Features({image: datasets.Image(), **names})
    cells = [{"bytes": png(pixels), "path": None} for pixels in GREY]
    whole = datasets.Dataset.from_dict({image: cells, label: LABELS.tolist()}, features)
    codes = {"train": 0, "test": 1, "validation": 2}
    chosen = {word: np.flatnonzero(codes[word] == SPLIT) for word in splits}
    return datasets.DatasetDict({word: whole.select(rows) for word, rows in chosen.items()})


def test_hub_data_set(hub):
    hub(Card(), hub_rows(image="picture", label="kind"))
    data = load_images("someone/digits")
    assert pixel_set(data.validation) == expected_set(GREY, 2)
    assert data.classes == ("a", "b", "c", "d")
    assert (data.name, data.terms) == ("someone/digits", "mit")
    assert data.source == "https://huggingface.co/datasets/someone/digits"


@pytest.mark.parametrize("name", ours.KNOWN)
def test_known_names(hub, name):
    known = ours.KNOWN[name]
    hub(Card(), hub_rows(known.image, known.label, ("train", "test"), known.classes))
    data = load_images(name)
    assert (data.name, data.classes, data.terms) == (name, known.classes, known.terms)
    assert len(data.classes) == (100 if name == "cifar100" else 10)
    assert len(data.train) + len(data.validation) == 24


def test_cached_data_set_is_used_without_network(hub):
    hub(ConnectionError(), hub_rows())
    assert pixel_set(load_images("someone/digits").train) == expected_set(GREY, 0)
    assert datasets.config.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("answer", "rows", "message"),
    [
        (ConnectionError(), ConnectionError(), "cannot be reached .* local .npz works"),
        (Card(), OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (ConnectionError(), OSError("Not enough disk space. Needed: 9 GB"), "disk is full"),
        (
            Card(),
            ValueError("Config name is missing.\nPick one"),
            "cannot be loaded: Config name is missing. Pick",
        ),
        (Card(), hub_rows(splits=("test",)), "no train split, only test"),
    ],
)
def test_hub_failures(hub, answer, rows, message):
    hub(answer, rows)
    with pytest.raises(DataError, match=message):
        load_images("someone/digits")


@pytest.mark.parametrize(
    ("kind", "message"),
    [("RepositoryNotFoundError", "neither a file or folder here nor"), ("GatedRepoError", "gated")],
)
def test_hub_refusals(hub, kind, message):
    error = getattr(huggingface_hub.errors, kind)
    hub(error.__new__(error), None)
    with pytest.raises(DataError, match=message):
        load_images("someone/digits")
