"""One table is read in one way: by every command and by the page, whatever kind of file it is in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas
import pytest
from tinytext import model

from demo.uploads.texts import read_table_file
from demo.uploads.values import UploadError
from textclf.evaluate import Evaluate
from textclf.model import checked_texts
from textclf.search import Search
from textclf.train import Train, load
from training.errors import DataError
from training.texts import TextData

ROWS = [(f't{i}; one, "two"\nthree \u00fc | {i}', bool(i % 2)) for i in range(40)]
FRAME = pandas.DataFrame(ROWS, columns=["Review", "Sentiment"])


def write(path: Path) -> Path:
    """The rows in the kind of file that the name says; booleans as each kind writes them."""
    kind = path.suffix
    if kind == ".xlsx":
        book = openpyxl.Workbook()
        for row in [list(FRAME.columns), *FRAME.to_numpy().tolist()]:
            book.active.append(row)
        book.save(path)
    elif kind == ".parquet":
        FRAME.to_parquet(path)
    elif kind == ".jsonl":
        FRAME.to_json(path, orient="records", lines=True)
    elif kind == ".json":
        FRAME.to_json(path, orient="columns")
    else:
        mark = {".csv": ";", ".tsv": "\t", ".txt": "|"}[kind]
        FRAME.assign(Sentiment=FRAME.Sentiment.map({True: "true", False: "FALSE"})).to_csv(
            path, index=False, sep=mark, encoding="utf-16" if kind == ".tsv" else "utf-8-sig"
        )
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model(classes=("False", "True")).save_pretrained(tmp_path_factory.mktemp("model") / "m"))


ENTRIES: dict[str, Callable[[str, str], TextData]] = {
    "train": lambda _, data: load(Train(data, Path("out"))),
    "train from a model": lambda folder, data: load(Train(data, Path("out"), start=folder)),
    "evaluate": lambda folder, data: Evaluate(folder, data).load()[2],
    "search": lambda folder, data: Search(folder, data).load()[2],
}


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".txt", ".jsonl", ".json", ".xlsx", ".parquet"])
def test_every_entry_reads_one_table_alike(tmp_path: Path, folder: str, kind: str) -> None:
    path = write(tmp_path / f"mine{kind}")
    wanted = sorted((text, str(label)) for text, label in ROWS)
    for entry, read in ENTRIES.items():
        data = read(folder, str(path))
        parts = (data.train, data.validation, data.test)
        pairs = [p for part in parts for p in zip(part.texts, part.labels.tolist(), strict=True)]
        assert sorted((text, data.classes[i]) for text, i in pairs) == wanted, entry
    page = read_table_file(path)
    assert [row[page.text] for row in page.rows] == [text for text, _ in ROWS]
    assert page.columns == ["Review", "Sentiment"]


BROKEN = {
    "short.csv": ("text,label\na,x\n\"b,y\nc,x\n", "the quote that opens on line 3 is never closed"),
    "long.csv": ("text;label\na;x;y\n", "line 2 has 3 fields where the header names 2 (delimiter semicolon, enc"),
    "a.jsonl": ('{"text": "a"}\n{"text"}\n', "is not JSON on line 2"),
    "a.xlsx": ("text", "is not a readable .xlsx workbook"),
    "a.parquet": ("text", "is not a readable .parquet file"),
    "a.xls": ("text", "save this old Excel workbook as .xlsx or CSV"),
    "empty.csv": ("text,label\n", "is empty: it has a header but no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_every_entry_refuses_one_table_alike(tmp_path: Path, folder: str, name: str) -> None:
    content, words = BROKEN[name]
    (tmp_path / name).write_text(content)
    for read in ENTRIES.values():
        with pytest.raises(DataError) as refused:
            read(folder, str(tmp_path / name))
        assert words in str(refused.value)
        assert str(refused.value).startswith(name)
    with pytest.raises(UploadError) as shown:
        read_table_file(tmp_path / name)
    assert words in str(shown.value)
    assert str(shown.value).startswith("The file")
    assert str(tmp_path) not in str(shown.value)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ("one text", "not one: write predict([text])"),
        (b"one text", "not one: write predict([text])"),
        (FRAME, "not a table of 'Review', 'Sentiment': give one of its columns"),
        ({"text": ["a"]}, "not a table of 'text': give one of its columns"),
        (7, "not int"),
        (None, "not NoneType"),
        (["a", None], "number 1 is of type NoneType"),
        (["a", float("nan")], "number 1 is of type float (nan)"),
        ([["a"]], "number 0 is of type list"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(texts: object, words: str) -> None:
    with pytest.raises(ValueError, match="^texts must be ") as refused:
        checked_texts(texts)  # type: ignore[arg-type]
    assert words in str(refused.value)


def test_lists_of_other_kinds_are_texts() -> None:
    column = FRAME["Review"]
    assert (
        checked_texts(column)
        == checked_texts(iter(column))
        == checked_texts(column.to_numpy())
        == list(column)
    )
    assert model().predict(column[:2]).equal(model().predict(list(column[:2])))
    assert json.dumps(checked_texts(()))
