"""Folders of names: which files are data, of which class, of which part; what is ambiguous is refused."""

import os

import pytest

from training.errors import DataError
from training.folders import HIDDEN, TEST, TRAIN, VALIDATION, list_files, read_layout, split_of
from training.report import DataReport, refuse_unreadable

JPG = {".jpg", ".png"}


def layout(*names, suffixes=JPG, **options):
    return read_layout(names, suffixes, "images", where="pics", **options)


def placed(found):
    return {file.name: (file.label, file.split) for file in found.files}


@pytest.mark.parametrize(
    ("word", "code"),
    [
        *(
            (w, TRAIN)
            for w in ("train", "Train", "TRAINING", "training_set", "train-data", "trainset", "train2017")
        ),
        *((w, TEST) for w in ("test", "Testing", "test_set", "seg_test", "Test Images", "testdata")),
        *((w, VALIDATION) for w in ("validation", "valid", "val", "dev", "eval", "Val", "val2017")),
        *(
            (w, None)
            for w in ("car", "trains", "contest", "invalid", "test1", "train test", "set", "", "2017")
        ),
    ],
)
def test_names_of_parts(word, code):
    assert split_of(word) == code


LAYOUTS = {
    "classes": (
        ["cat/1.jpg", "dog/2.PNG"],
        {"cat/1.jpg": ("cat", TRAIN), "dog/2.PNG": ("dog", TRAIN)},
        "class folders",
    ),
    "flat": (["1.jpg", "2.jpg"], {"1.jpg": (None, TRAIN), "2.jpg": (None, TRAIN)}, "one flat folder"),
    "parts": (
        ["training/cat/1.jpg", "Testing/cat/2.jpg", "Valid/dog/3.jpg"],
        {
            "training/cat/1.jpg": ("cat", TRAIN),
            "Testing/cat/2.jpg": ("cat", TEST),
            "Valid/dog/3.jpg": ("dog", VALIDATION),
        },
        "class folders inside folders of train, test or validation",
    ),
    "parts without classes": (
        ["train/1.jpg", "test/2.jpg"],
        {"train/1.jpg": (None, TRAIN), "test/2.jpg": (None, TEST)},
        "folders of train, test or validation, without classes",
    ),
    "parts inside classes": (
        ["cat/train/1.jpg", "cat/test/2.jpg", "dog/train/3.jpg"],
        {
            "cat/train/1.jpg": ("cat", TRAIN),
            "cat/test/2.jpg": ("cat", TEST),
            "dog/train/3.jpg": ("dog", TRAIN),
        },
        "folders of train, test or validation inside class folders",
    ),
    "a class called train, parts inside": (
        ["train/train/1.jpg", "train/test/2.jpg", "car/train/3.jpg", "car/test/4.jpg"],
        {
            "train/train/1.jpg": ("train", TRAIN),
            "train/test/2.jpg": ("train", TEST),
            "car/train/3.jpg": ("car", TRAIN),
            "car/test/4.jpg": ("car", TEST),
        },
        "inside class folders",
    ),
    "a class called train, inside parts": (
        ["train/train/1.jpg", "train/car/2.jpg", "test/train/3.jpg", "test/car/4.jpg"],
        {
            "train/train/1.jpg": ("train", TRAIN),
            "train/car/2.jpg": ("car", TRAIN),
            "test/train/3.jpg": ("train", TEST),
            "test/car/4.jpg": ("car", TEST),
        },
        "class folders inside",
    ),
    "wrappers": (
        ["my/pics/cat/1.jpg", "my/pics/cat/2.jpg", "my/pics/dog/3.jpg"],
        {
            "my/pics/cat/1.jpg": ("cat", TRAIN),
            "my/pics/cat/2.jpg": ("cat", TRAIN),
            "my/pics/dog/3.jpg": ("dog", TRAIN),
        },
        "class folders, all in the folder my/pics",
    ),
    "a wrapper around parts": (
        ["pics/train/cat/1.jpg", "pics/train/dog/2.jpg", "pics/test/dog/3.jpg"],
        {
            "pics/train/cat/1.jpg": ("cat", TRAIN),
            "pics/train/dog/2.jpg": ("dog", TRAIN),
            "pics/test/dog/3.jpg": ("dog", TEST),
        },
        "all in the folder pics",
    ),
    "wrappers inside parts": (
        [
            "train/images/cat/1.jpg",
            "train/images/cat/2.jpg",
            "train/images/dog/3.jpg",
            "test/images/dog/4.jpg",
        ]
        + ["test/images/dog/5.jpg"],
        {
            "train/images/cat/1.jpg": ("cat", TRAIN),
            "train/images/cat/2.jpg": ("cat", TRAIN),
            "train/images/dog/3.jpg": ("dog", TRAIN),
            "test/images/dog/4.jpg": ("dog", TEST),
            "test/images/dog/5.jpg": ("dog", TEST),
        },
        "class folders inside",
    ),
    "parts twice": (
        ["seg_train/seg_train/sea/1.jpg", "seg_train/seg_train/ice/2.jpg", "seg_test/seg_test/sea/3.jpg"],
        {
            "seg_train/seg_train/sea/1.jpg": ("sea", TRAIN),
            "seg_train/seg_train/ice/2.jpg": ("ice", TRAIN),
            "seg_test/seg_test/sea/3.jpg": ("sea", TEST),
        },
        "class folders inside",
    ),
    "deeper folders": (
        ["cat/2020/1.jpg", "cat/2021/2.jpg", "dog/2020/3.jpg", "dog/4.jpg"],
        {
            "cat/2020/1.jpg": ("cat", TRAIN),
            "cat/2021/2.jpg": ("cat", TRAIN),
            "dog/2020/3.jpg": ("dog", TRAIN),
            "dog/4.jpg": ("dog", TRAIN),
        },
        "class folders",
    ),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_layouts(case):
    names, expected, words = LAYOUTS[case]
    found = layout(*reversed(names))
    assert placed(found) == expected
    assert words in found.layout
    assert (found.left_out, found.notes) == ({}, ())
    assert found.parted == ("train" in found.layout)


def test_the_class_is_never_a_constant_deeper_folder():
    """ShapeNet's layout, with one class or several."""
    names = [f"{c}/{i}/models/model.obj" for c in ("02691156", "03001627") for i in ("1a", "2b", "3c")]
    for given in (names, names[:3]):
        found = layout(*given, suffixes={".obj"})
        assert [file.label for file in found.files] == [name.split("/")[0] for name in given]


@pytest.mark.parametrize(
    "litter",
    ["cat/.ipynb_checkpoints/1-checkpoint.jpg", "cat/._1.jpg", "__MACOSX/cat/._1.jpg", "cat/Thumbs.db"]
    + ["Desktop.ini", ".DS_Store", ".git/x.jpg", "cat/@eaDir/1.jpg"],
)
def test_litter_is_left_out_and_counted(litter):
    found = layout("cat/1.jpg", "dog/2.jpg", litter)
    assert placed(found) == {"cat/1.jpg": ("cat", TRAIN), "dog/2.jpg": ("dog", TRAIN)}
    assert found.left_out == {HIDDEN: (litter,)}


def test_other_suffixes_are_left_out_by_reason():
    heic = {".heic": "HEIC is not read: save them as JPEG"}
    found = layout("cat/1.jpg", "cat/2.HEIC", "dog/3.jpg", "dog/notes.txt", "dog/README", others=heic)
    assert found.left_out == {
        "HEIC is not read: save them as JPEG": ("cat/2.HEIC",),
        "not images by their suffix, .txt, no suffix": ("dog/README", "dog/notes.txt"),
    }
    assert len(found.files) == 2


def test_folders_without_data_are_said():
    found = layout("cat/1.jpg", "dog/2.jpg", "bird/", "plans/x.xml", "test/")
    assert {file.label for file in found.files} == {"cat", "dog"}
    assert found.notes == tuple(
        f"folder {f} holds no images: it is left out" for f in ("bird", "plans", "test")
    )
    inside = layout("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "train/bird/")
    assert inside.notes == ("folder bird holds no images: it is left out",)


def test_names_that_unicode_writes_in_two_ways_are_one_class():
    found = layout("train/caf\u00e9/1.jpg", "test/cafe\u0301/2.jpg")
    assert {file.label for file in found.files} == {"caf\u00e9"}
    assert [file.name for file in found.files] == ["test/cafe\u0301/2.jpg", "train/caf\u00e9/1.jpg"]


def test_classes_of_nearly_the_same_name_are_said():
    assert layout("Hot Dog/1.jpg", "hot_dog/2.jpg", "a/1.jpg").notes == (
        "classes 'Hot Dog' and 'hot_dog' are kept apart though their names are nearly the same",
    )


AMBIGUOUS = {
    "a class called train": (["car/1.jpg", "train/2.jpg", "plane/3.jpg"], "train beside car, plane"),
    "train beside classes": (["train/car/1.jpg", "plane/3.jpg"], "train beside plane"),
    "valid and invalid": (["valid/1.jpg", "invalid/2.jpg"], "valid beside invalid"),
    "wrapped": (["w/car/1.jpg", "w/train/2.jpg", "w/car/2.jpg"], "train beside car"),
    "loose files": (["1.jpg", "car/2.jpg", "plane/3.jpg"], r"outside of class folders \(1.jpg\)"),
    "loose files in a part": (["train/car/2.jpg", "test/3.jpg"], r"outside of class folders \(test/3.jpg\)"),
    "loose files beside parts": (["3.jpg", "train/1.jpg", "test/2.jpg"], r"\(3.jpg\)"),
    "only test": (["test/car/1.jpg"], "no folder train"),
    "test and validation": (["test/car/1.jpg", "val/car/2.jpg"], "test, val but no folder train"),
    "only test inside classes": (["car/test/1.jpg", "cat/test/1.jpg"], "no folder train"),
    "half divided": (["car/train/1.jpg", "car/test/1.jpg", "cat/1.jpg"], "car is divided .* cat is not"),
    "no images": (["notes.txt", "a/b.xml"], r"holds no images \(.jpg, .png\); 2 left out: not images"),
    "nothing": ([], "is empty"),
    "bytes": (["caf\udce9/1.jpg", "b/1.jpg"], "rename it"),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_refusals_name_the_folder_and_what_would_work(case):
    names, words = AMBIGUOUS[case]
    with pytest.raises(DataError, match=words) as refused:
        layout(*names)
    assert str(refused.value).startswith("pics")
    assert "\n" not in str(refused.value)


def test_files_are_listed_through_links(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "1.jpg").touch()
    root = tmp_path / "root"
    (root / "empty").mkdir(parents=True)
    (root / "cat").symlink_to(elsewhere)
    (root / "2.jpg").symlink_to(elsewhere / "deep" / "1.jpg")
    (root / "gone.jpg").symlink_to(tmp_path / "nothing")
    os.mkfifo(root / "pipe.jpg")  # would hang whoever opens it
    assert list_files(root) == ["2.jpg", "cat/deep/1.jpg", "empty/", "gone.jpg"]
    assert list_files(root / "cat") == ["deep/1.jpg"]


def test_a_loop_of_links_is_said(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "again").symlink_to(tmp_path)
    with pytest.raises(DataError, match="folder cat/again is a link to a folder that it lies in"):
        list_files(tmp_path)


def test_a_report_in_sentences():
    report = DataReport(
        found=12,
        read=9,
        left_out={"hidden": ["a", "b", "c", "d"], "no label": ["e"]},
        layout="class folders",
        classes={
            "train": {"cat": 5, "dog": 1},
            "test": {"cat": 1},
            "validation": {f"{i}": i for i in range(1, 15)},
        },
        notes=("something else",),
    )
    assert report.sentences() == [
        "12 files found, 9 read, as class folders",
        "4 left out: hidden (a, b, c and 1 more)",
        "1 left out: no label (e)",
        "train: 6 in 2 classes (cat 5, dog 1)",
        "test: 1 in 1 class (cat 1)",
        "validation: 105 in 14 classes, from 1 (1) to 14 (14) each",
        "something else",
    ]


def test_all_that_cannot_be_read_is_named_at_once():
    refuse_unreadable({}, 3, "images", "pics")
    with pytest.raises(
        DataError, match=r"pics: 2 of 3 images cannot be read: a.jpg \(empty\), b/c.jpg \(cut\); "
    ):
        refuse_unreadable({"a.jpg": "empty", "b/c.jpg": "cut"}, 3, "images", "pics")


def test_space_around_a_folders_name_is_no_other_class():
    names = [f"{folder}/{i}.png" for folder in ("cat", "cat ", "sea  lion", "sea lion") for i in range(2)]
    found = read_layout(names, {".png"}, "images", where="pics")
    assert {file.label for file in found.files} == {"cat", "sea lion"}
    assert not found.notes
