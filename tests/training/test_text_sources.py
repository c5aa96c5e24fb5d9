"""Folders, archives and tables of texts as people keep them: read, counted and said, or refused in one sentence."""

from __future__ import annotations

import json
import zipfile

import datasets
import pytest

from training.errors import DataError
from training.texts import load_texts

PAIR = ("neg", "pos")


def texts(prefix="", m=20, ending=".txt", classes=PAIR):
    """Files of class folders: name -> content."""
    return {f"{prefix}{c}/{i:02}{ending}": f"{c} text {prefix} {i}" for c in classes for i in range(m)}


def rows(start, m=30, classes=PAIR, header="text,label"):
    return "\n".join([header, *(f"{start} {i},{classes[i % len(classes)]}" for i in range(m))])


def lay(tmp_path, files, name="set"):
    root = tmp_path / name
    root.mkdir()
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(root)


def sizes(data):
    return len(data.train), len(data.validation), len(data.test)


@pytest.mark.parametrize(
    ("files", "parts", "said"),
    [
        (texts(), (32, 4, 4), "40 files found, 40 read, as class folders"),
        (texts(ending=".TXT"), (32, 4, 4), "40 files found, 40 read"),
        (texts(ending=".md"), (32, 4, 4), "40 files found, 40 read"),
        (texts(ending=""), (32, 4, 4), "40 files found, 40 read"),
        (texts("imdb/data/"), (32, 4, 4), "all in the folder imdb/data"),
        ({**texts("training/"), **texts("Testing/", 5)}, (36, 4, 10), "inside folders of train, test or validation"),
        ({**texts("train/"), **texts("val/", 5), **texts("test/", 6)}, (40, 10, 12), "62 files found, 62 read"),
        ({f"{c}/{s}/{i}.txt": f"{c}{s}{i}" for c in PAIR for s in ("train", "test") for i in range(9)}, (17, 1, 18),
         "inside class folders"),
        ({**texts(), "neg/.ipynb_checkpoints/00.txt": "x", "neg/._0.txt": "x", "__MACOSX/neg/0.txt": "x"}, (32, 4, 4),
         "3 left out: hidden"),
        ({**texts(), "neg/a.pdf": "%PDF", "README.md": "about"}, (32, 4, 4), "1 left out: not plain text"),
        ({**texts("train/"), **texts("test/", 5), "README.txt": "x", "train/urls_pos.txt": "x"}, (36, 4, 10),
         "2 left out: about the data, by their names (README.txt, train/urls_pos.txt)"),
        ({**texts("train/"), **texts("test/", 5), "train/unsup/0.txt": "x"}, (36, 4, 10),
         "1 left out: without labels, by their folder's name (train/unsup/0.txt)"),
        ({**texts(), "neg/readme.txt": "a review that is called so"}, (33, 4, 4), "41 files found, 41 read"),
        ({**texts(), "neg/empty.txt": "", "neg/blank.txt": " \n"}, (32, 4, 4),
         "2 left out: no text (neg/blank.txt, neg/empty.txt)"),
        ({**texts(), "neg/again.txt": "neg text  0"}, (32, 4, 4),
         "1 left out: repetitions of a training text (neg/again.txt)"),
        ({**texts(), "neg/a.txt": "gr\u00f6\u00dfe".encode("latin-1")}, (33, 4, 4), "1 text not in UTF-8"),
        ({**texts(), "odd/1.txt": "alone"}, (33, 4, 4), "'odd' with one text: kept to train on, so it is not tested"),
        ({**texts(), "meta.csv": rows("t")}, (32, 4, 4), "1 left out: not texts by their suffix, .csv (meta.csv)"),
        ({"train.csv": rows("t"), "test.csv": rows("e", 10), "validation.csv": rows("v", 8)}, (30, 8, 10),
         "48 read, as texts of the column 'text' with labels of the column 'label' in train.csv, test.csv, valid"),
        ({"imdb/Train.tsv": rows("t").replace(",", "\t"), "imdb/dev.jsonl": '{"Text": "a", "Label": "pos"}'},
         (27, 1, 3), "in imdb/dev.jsonl"),
        ({"train.csv": rows("t"), "test.csv": "id,text\n1,a\n", "sample_submission.csv": "id,label\n1,a\n"}, (24, 3, 3),
         "1 left out: tables without a column of labels (test.csv)"),
        ({"data/train-00000-of-00002.csv": rows("t"), "data/train-00001-of-00002.csv": rows("u")}, (48, 6, 6),
         "60 rows found"),
        ({"reviews.csv": rows("t"), "LICENSE.txt": "free"}, (24, 3, 3), "30 rows found"),
        ({"train.csv": rows("t"), "test.csv": rows("t", 4)}, (24, 2, 4),
         "4 left out: training texts that are test or validation texts too (row 1 of train.csv"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_folders_and_archives_are_read_as_people_keep_them(tmp_path, files, parts, said, packed):
    place = lay(tmp_path, files)
    if packed:
        place += ".zip"
        with zipfile.ZipFile(place, "w") as archive:
            for file, content in files.items():
                archive.writestr(file, content)
    data = load_texts(place)
    assert sizes(data) == parts
    assert data.name == "set"
    assert said in "\n".join(data.report.sentences())
    assert str(tmp_path) not in "\n".join(data.report.sentences())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "set is empty: it holds no texts"),
        (texts(ending=".pdf"), "set holds no texts .*40 left out: not plain text, save these as .txt"),
        ({f"{i}.txt": "x" for i in range(9)}, "holds 9 texts .* put the texts of each class into a folder of its name"),
        (texts(classes=("car", "train", "plane")), "holds the folder train beside car, plane"),
        ({**texts(), "loose.txt": "x"}, "1 texts outside of class folders .loose.txt."),
        ({**texts(), "pos/a.txt": b"%PDF-1", "neg/b.txt": bytes(range(256)) * 9, "neg/c.txt": b"\0" * 99},
         "3 of 43 texts cannot be read: neg/b.txt .*neg/c.txt .NUL|not text.*pos/a.txt .not text but a PDF"),
        ({"a.csv": rows("t"), "b.csv": rows("u")}, "holds 2 tables .a.csv, b.csv., none of them named train"),
        ({"train.csv": rows("t"), "train.jsonl": "{}"}, "holds train.csv, train.jsonl for one part"),
        ({"test.csv": rows("t"), "val.csv": rows("u")}, "none of them named train"),
        (texts(classes=("pos",)), "set has one class only .'pos', 20 texts.: two are needed"),
        ({**texts("train/"), **texts("test/", classes=("other",))}, "classes that no training text has: other"),
    ],
)  # fmt: skip
def test_folders_that_are_no_data_are_refused_with_what_would_work(tmp_path, files, message):
    with pytest.raises(DataError, match=message) as caught:
        load_texts(lay(tmp_path, files))
    assert str(tmp_path) not in str(caught.value)


def test_a_link_to_nothing_and_one_to_elsewhere(tmp_path):
    place = lay(tmp_path, texts())
    other = lay(tmp_path, {"more.txt": "from elsewhere"}, "other")
    (tmp_path / "set" / "third").symlink_to(other)
    assert "third" in load_texts(place).classes
    (tmp_path / "set" / "neg" / "lost.txt").symlink_to("/nowhere")
    with pytest.raises(DataError, match=r"1 of 42 texts cannot be read: neg/lost.txt \(No such file"):
        load_texts(place)


def test_archives_that_are_none(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(DataError, match=r"a.zip is not a readable .zip archive"):
        load_texts(str(tmp_path / "a.zip"))


def test_what_datasets_has_saved_is_read_with_its_classes(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    parts = {
        split: datasets.Dataset.from_dict(
            {"text": [f"{split} {i}" for i in range(20)], "label": [i % 2 for i in range(20)]}, features
        )
        for split in ("train", "test")
    }
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "set"))
    data = load_texts(str(tmp_path / "set"))
    assert (data.classes, sizes(data)) == (("no", "yes"), (18, 2, 20))


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("Review,Sentiment", ("Review", "Sentiment")),
        ("\ufeff TEXT , Label ", ("TEXT", "Label")),
        ("review_text,Class_Index", ("review_text", "Class_Index")),
        ("comment_text,label", ("comment_text", "label")),
        ("sentence,topic", ("sentence", "topic")),
    ],
)
def test_usual_names_of_columns_are_known_in_any_case(tmp_path, header, columns):
    place = lay(tmp_path, {"a.csv": rows("t", header=header)})
    said = load_texts(f"{place}/a.csv").report.layout
    assert said == f"texts of the column {columns[0]!r} with labels of the column {columns[1]!r}"
    wanted = load_texts(f"{place}/a.csv", text=(columns[0].lower(),), label=columns[1].upper())
    assert wanted.report.layout == said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rows("t").partition("\n")[2], "no header row, it seems .delimiter comma, encoding UTF-8; it begins text|t 0"),
        (rows("t", header="tweetie,polarity"), "its columns are tweetie, polarity.: name it with --text-column"),
        (rows("t", header="text,"), "its columns are text, one without a name.: name it with --label-column"),
        ("text\na\nb\n", "its columns are text.: name it with --label-column"),
        (rows("t", header="text,polarity"), "its columns are text, polarity.: name it with --label-column"),
        (rows("t").replace(",", "::"), "only text::label .*divide columns by commas"),
        (rows("t", header="text,label,text").replace(" ", ","), "has several columns 'text'"),
        ("text,label\n" + "\n".join(f"t{i},{('a;b', 'a', 'b')[i % 3]}" for i in range(9)),
         "several labels, such as 'a;b'"),
        ("text,label\n" + "\n".join(f"t{i}," for i in range(9)), "no usable rows.*of 9, 9 with no label"),
        (rows("t", classes=("x",)), "one class only .'x', 30 texts.: two are needed"),
        ("text,label,split\na,x,train\nb,y,\n", "no split in row 2: write one of train"),
        ("text,label,split\na,x,train\nb,y,tset\n", "unknown split 'tset' in row 2"),
    ],
)  # fmt: skip
def test_tables_that_are_no_labelled_texts_are_refused_with_what_would_work(tmp_path, content, message):
    place = lay(tmp_path, {"a.csv": content})
    with pytest.raises(DataError, match=message) as caught:
        load_texts(f"{place}/a.csv")
    assert str(caught.value).startswith("a.csv")


def test_labels_of_a_model_are_found_whatever_their_case(tmp_path):
    place = lay(tmp_path, {"a.csv": rows("t", classes=("POS", "neg"))})
    assert load_texts(f"{place}/a.csv", among=("pos", "other", "neg")).classes == ("pos", "other", "neg")
    assert load_texts(f"{place}/a.csv", among=("good", "bad")).classes == ("POS", "neg")


def test_split_words_of_a_column_in_any_case(tmp_path):
    lines = [f"t{i},{i % 2},{('Training', 'TEST', 'dev ')[i % 3]}" for i in range(60)]
    place = lay(tmp_path, {"a.csv": "\n".join(["text,label,Split", *lines])})
    assert sizes(load_texts(f"{place}/a.csv")) == (20, 20, 20)


def test_facts_for_the_metrics_hold_numbers_and_no_names_of_files(tmp_path):
    report = load_texts(lay(tmp_path, {**texts(), "neg/secret.txt": ""})).report
    facts = json.loads(json.dumps(report.facts()))
    assert facts["left_out"] == {"no text": 1}
    assert facts["classes"]["train"] == {"neg": 16, "pos": 16}
    assert "secret" not in json.dumps(facts)


def test_a_class_without_texts_is_said(tmp_path):
    place = lay(tmp_path, {"a.csv": rows("t")})
    report = load_texts(f"{place}/a.csv", classes=("neg", "pos", "other")).report
    assert report.notes[-1].startswith("no training texts of 'other'")


def test_a_path_that_is_not_there_says_what_is(tmp_path):
    place = lay(tmp_path, {"reviews.csv": rows("t")})
    with pytest.raises(DataError, match=r"no file or folder .*/reviws.csv \(did you mean reviews.csv\?\)"):
        load_texts(f"{place}/reviws.csv")
