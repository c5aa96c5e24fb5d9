"""Texts from every source, and what is wrong with them said in one sentence or mended and counted."""

from __future__ import annotations

import csv
import gzip
import io
import re

import datasets
import huggingface_hub
import pandas
import pytest

import training.texts as ours
from training.texts import DataError, load_texts

ROWS = [(f"text number {i}, with a comma", "spam" if i % 3 else "ham") for i in range(60)]


def table(rows=ROWS, header=("text", "label")):
    file = io.StringIO()
    csv.writer(file).writerows([header, *rows])
    return file.getvalue()


def save(tmp_path, content, name="set.csv"):
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(data)
    return str(tmp_path / name)


def everything(data):
    return sorted(
        (text, data.classes[label])
        for split in (data.train, data.validation, data.test)
        for text, label in zip(split.texts, split.labels.tolist(), strict=True)
    )


def write_csv(tmp_path):
    return save(tmp_path, table())


def write_gz(tmp_path):
    return save(tmp_path, gzip.compress(table().encode(), mtime=0), "set.csv.gz")


def write_utf16(tmp_path):
    return save(tmp_path, table().encode("utf-16"))


def write_parquet(tmp_path):
    pandas.DataFrame(ROWS, columns=["text", "label"]).to_parquet(tmp_path / "set.parquet")
    return str(tmp_path / "set.parquet")


def write_folder(tmp_path):
    for i, (text, label) in enumerate(ROWS):
        (tmp_path / "set" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / label / f"{i:02}.txt").write_text(text)
    return str(tmp_path / "set")


@pytest.mark.parametrize("write", [write_csv, write_gz, write_utf16, write_parquet, write_folder])
def test_formats_give_the_same_texts(tmp_path, write):
    data = load_texts(write(tmp_path))
    assert everything(data) == sorted(ROWS)
    assert data.classes == ("ham", "spam")
    assert (len(data.train), len(data.validation), len(data.test)) == (48, 6, 6)
    assert (data.name, data.terms) == ("set", None)
    assert str(tmp_path) not in data.source


def test_split_column_is_kept(tmp_path):
    rows = [(t, c, "test" if i % 4 == 0 else "train") for i, (t, c) in enumerate(ROWS)]
    data = load_texts(save(tmp_path, table(rows, ("text", "label", "split"))))
    assert sorted(data.test.texts) == sorted(t for t, _, s in rows if s == "test")
    assert len(data.validation) == 4


def test_held_out_parts_are_stratified_and_seeded(tmp_path):
    path = save(tmp_path, table([(f"t{i}", "a" if i % 10 else "b") for i in range(400)]))
    first, again, other = (load_texts(path, seed=seed) for seed in (0, 0, 1))
    assert first.test.labels.bincount().tolist() == [36, 4]
    assert first.test.texts == again.test.texts != other.test.texts


def test_columns_are_found_named_and_joined(tmp_path):
    rows = [(label, f"title {i}", text) for i, (text, label) in enumerate(ROWS)]
    path = save(tmp_path, table(rows, ("kind", "title", "description")))
    with pytest.raises(DataError, match="no column 'label' .* its columns are kind, title, description"):
        load_texts(path)
    data = load_texts(path, text=("title", "description"), label="kind")
    assert everything(data)[0][0].startswith("title 0 text number 0")
    assert everything(load_texts(path, label="kind"))[0][0].startswith("text number")


def test_labels_keep_their_order_and_take_names(tmp_path):
    path = save(tmp_path, table([(f"t{i}", str(i % 11)) for i in range(220)]))
    assert load_texts(path).classes == tuple(map(str, range(11)))  # 10 comes after 9
    names = [f"topic {i}" for i in range(11)]
    named = load_texts(path, classes=names)
    assert named.classes == tuple(names)
    assert named.train.texts[0] == f"t{int(named.train.texts[0][1:])}"
    assert int(named.train.texts[0][1:]) % 11 == named.train.labels[0]


def test_words_that_look_missing_are_words(tmp_path):
    rows = [*ROWS, ("NA", "ham"), ("null", "spam"), ("nan", "ham")]
    assert everything(load_texts(save(tmp_path, table(rows)))) == sorted(rows)


def test_what_cannot_be_learned_is_left_out_and_counted(tmp_path):
    fixed = [(t, c, "train") for t, c in ROWS]
    more = [
        ("", "ham", "train"),
        ("  ", "ham", "train"),
        ("no label", "", "train"),
        (ROWS[0][0], ROWS[0][1], "train"),
        ("two minds", "ham", "train"),
        ("two minds", "spam", "train"),
        ("in both", "ham", "train"),
        ("in both", "ham", "test"),
        ("twice", "spam", "test"),
        ("twice", "spam", "test"),
        ("", "spam", "test"),
        ("x" * 100_001, "ham", "train"),
    ]
    data = load_texts(save(tmp_path, table([*fixed, *more], ("text", "label", "split"))))
    report = data.report
    assert (report.found, report.read) == (72, 65)
    assert {reason: list(names) for reason, names in report.left_out.items()} == {
        "no text": ["row 61", "row 62"],
        "no label": ["row 63"],
        "repetitions of a training text": ["row 64"],
        "training texts that occur with several labels": ["row 65", "row 66"],
        "training texts that are test or validation texts too": ["row 67"],
    }
    assert report.notes == (
        "1 text longer than 100,000 characters: cut there",
        "1 text repeated in the test rows: kept",
    )
    assert sum(map(len, (data.train, data.validation, data.test))) == 65
    assert max(map(len, data.train.texts + data.validation.texts)) == 100_000
    assert sorted(data.test.texts) == ["", "in both", "twice", "twice"]  # what is tested on is not touched
    assert "two minds" not in data.train.texts + data.validation.texts


def test_nothing_is_said_where_nothing_is_wrong(tmp_path):
    assert load_texts(write_csv(tmp_path)).report.sentences() == [
        "60 rows found, 60 read, as texts of the column 'text' with labels of the column 'label'",
        "train: 48 in 2 classes (ham 16, spam 32)",
        "validation: 6 in 2 classes (ham 2, spam 4)",
        "test: 6 in 2 classes (ham 2, spam 4)",
    ]


def test_imbalance_is_reported(tmp_path):
    rows = [(f"t{i}", "rare" if i % 20 == 0 else "often") for i in range(400)]
    report = load_texts(save(tmp_path, table(rows))).report
    assert re.fullmatch(
        "imbalanced: 30. of 'often' but 1. of 'rare'; --balance weighs the loss", report.notes[-1]
    )


def test_nul_characters_are_removed_and_counted(tmp_path):
    data = load_texts(save(tmp_path, table([*ROWS, ("a\0b", "ham")])))
    assert ("ab", "ham") in everything(data)
    assert data.report.notes == ("1 text with NUL characters: removed from the text",)


def test_other_encodings_are_read_and_said(tmp_path):
    rows = [*ROWS, ("déjà vu", "ham")]
    data = load_texts(save(tmp_path, table(rows).encode("cp1252")))
    assert everything(data) == sorted(rows)
    assert data.report.notes == ("read as Windows-1252: the file is not UTF-8",)
    assert load_texts(save(tmp_path, b"\xef\xbb\xbf" + table(rows).encode())).report.notes == ()


def test_a_large_table_is_read(tmp_path):
    path = save(tmp_path, table([(f"text {i}", i % 2) for i in range(100_000)]))
    assert load_texts(path).report.found == 100_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"text,label\n", "a.csv is empty"),
        ("a.csv", b"text,label\nhello,ham\n", "one class only"),
        ("a.csv", b"text,label\na,ham\nb,spam\n", "too few to hold some out"),
        ("a.csv", b"text,label\n,\n,\n", "no usable rows"),
        ("a.csv", b'text,label\na,ham\n"b,spam\nc,ham\n', "opens on line 3 is never closed"),
        ("a.csv", b"text,label\na,b,c,d\ne,f\ng,h,i,j,k\n", "line 2 has 4 fields where the header names 2"),
        ("a.csv", b"\0" * 50 + b"text", "NUL"),
        ("a.csv", b"hello there,1\nthe rest,0\n", "no header row"),
        ("a.csv", table([(f"t{i}", f"id{i}") for i in range(50)]).encode(), "is it the right column"),
        ("a.csv", table([("a", "x", "tset")], ("text", "label", "split")).encode(), "unknown split 'tset'"),
        ("a.csv", b"text,label,split\na,x,test\nb,y,test\n", "no training"),
        ("a.csv.gz", b"text,label\n", "a.csv.gz is not a readable .csv.gz file"),
        ("a.parquet", b"hello", "a.parquet is not a readable .parquet file"),
        ("a.doc", b"hello", "a.doc is no table that can be read here: save the table as .csv"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message) as caught:
        load_texts(save(tmp_path, content, name))
    assert "\n" not in str(caught.value)


def test_bad_folders(tmp_path):
    with pytest.raises(DataError, match="holds no texts"):
        load_texts(str(tmp_path))
    with pytest.raises(DataError, match="2 classes, but 3 names"):
        load_texts(write_csv(tmp_path), classes=("a", "b", "c"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("imbd", r"unknown data set 'imbd' \(did you mean imdb\?\): give one of imdb"),
        ("gone.csv", "no file or folder"),
        ("./x", "no file"),
    ],
)
def test_bad_names(data, message):
    with pytest.raises(DataError, match=message):
        load_texts(data)


# ---- the Hub, played by a double ----


class Card:
    license = "mit"
    card_data = property(lambda self: self)


@pytest.fixture
def hub(monkeypatch):
    """``hub(rows)``: what loading any data set gives."""

    def play(rows):
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, repo, **options: Card())
        monkeypatch.setattr(datasets, "load_dataset", lambda repo: rows)

    return play


def part(column, label, names, start, stop, hidden=False):
    count = stop - start
    labels = [-1 if hidden else i % len(names) for i in range(count)]
    rows = {column: [f"text {i}" for i in range(start, stop)], label: labels}
    features = {column: datasets.Value("string"), label: datasets.ClassLabel(names=list(names))}
    return datasets.Dataset.from_dict(rows, datasets.Features(features))


def test_hub_data_set(hub):
    names = ("no", "yes")
    splits = {"train": part("text", "label", names, 0, 40), "test": part("text", "label", names, 40, 60)}
    hub(datasets.DatasetDict({**splits, "unsupervised": part("text", "label", names, 60, 90, hidden=True)}))
    data = load_texts("someone/texts")
    assert (data.classes, data.terms, len(data.test)) == (names, "mit", 20)
    assert data.source == "https://huggingface.co/datasets/someone/texts"
    assert (data.report.found, data.report.left_out) == (60, {})  # a split that is none of ours is not read


@pytest.mark.parametrize("name", ours.KNOWN)
def test_known_names(hub, name):
    known = ours.KNOWN[name]
    names = tuple(known.classes.split(",")) if known.classes else ("a", "b", "c")
    if name == "20news":  # its labels are words already
        rows = {known.text: [f"text {i}" for i in range(90)], known.label: list("abc") * 30}
        train = datasets.Dataset.from_dict(rows)
        test = datasets.Dataset.from_dict({known.text: ["x", "y", "z"], known.label: list("abc")})
    else:
        train, test = (part(known.text, known.label, names, *ends) for ends in ((0, 90), (90, 120)))
    hidden = {"test": part(known.text, known.label, names, 120, 130, True)} if known.test != "test" else {}
    hub(datasets.DatasetDict({"train": train, known.test: test, **hidden}))
    data = load_texts(name)
    assert (data.name, data.classes, data.terms) == (name, names, known.terms)
    assert len(data.test) == len(test)
    assert len(data.train) + len(data.validation) == 90
