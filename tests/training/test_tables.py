"""Tables in every kind of file come out as the words that were written, or as one sentence that says what is wrong."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import re
import zipfile

import datasets
import numpy as np
import openpyxl
import pandas
import pytest

from training.errors import DataError
from training.tables import KINDS, Limits, is_table, read_table

HEADER = ["text", "label"]
ROWS = [
    ["good; really, good", "1"],
    ["so | so\nand so", "01"],
    ["b\u00e4d \U0001f600", "NA"],
    ['a "word"', "True"],
]


def save(tmp_path, content, name="a.csv"):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / name


def cells(table):
    return table.frame.to_numpy().tolist()


def separated(mark, end="\n", encoding="utf-8"):
    def write(tmp_path, name):
        frame = pandas.DataFrame(ROWS, columns=HEADER)
        text = frame.to_csv(index=False, sep=mark, lineterminator=end)
        return save(tmp_path, text.encode(encoding), name)

    return write


def zipped(write):
    def packed(tmp_path, name):
        plain = write(tmp_path, name.removesuffix(".gz"))
        return save(tmp_path, gzip.compress(plain.read_bytes(), mtime=0), name)

    return packed


def records(lines):
    def write(tmp_path, name):
        found = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
        return save(
            tmp_path, "\n".join(map(json.dumps, found)) if lines else json.dumps(found, indent=1), name
        )

    return write


def columns(orient):
    def write(tmp_path, name):
        return save(tmp_path, pandas.DataFrame(ROWS, columns=HEADER).to_json(orient=orient), name)

    return write


def workbook(tmp_path, name, rows=None, **sheets):
    book = openpyxl.Workbook()
    for row in [HEADER, *ROWS] if rows is None else rows:
        book.active.append(row)
    for title, row in sheets.items():
        book.create_sheet(title).append(row)
    book.save(tmp_path / name)
    return tmp_path / name


def parquet(tmp_path, name):
    pandas.DataFrame(ROWS, columns=HEADER).to_parquet(tmp_path / name)
    return tmp_path / name


WRITERS = {
    "comma.csv": separated(","),
    "semicolon.csv": separated(";"),
    "pipe.csv": separated("|"),
    "tab.csv": separated("\t"),
    "small.TSV": separated("\t"),
    "table.txt": separated("\t"),
    "crlf.csv": separated(",", "\r\n"),
    "mark.csv": separated(";", "\r\n", "utf-8-sig"),
    "utf16.csv": separated(";", "\r\n", "utf-16"),
    "utf16le.csv": separated(",", "\n", "utf-16-le"),
    "utf16be.csv": separated("\t", "\n", "utf-16-be"),
    "utf32.csv": separated(",", "\n", "utf-32"),
    "packed.csv.gz": zipped(separated(",")),
    "packed.tsv.gz": zipped(separated("\t")),
    "lines.jsonl": records(True),
    "lines.ndjson": records(True),
    "lines.json": records(True),
    "list.json": records(False),
    "list.jsonl": records(False),
    "packed.jsonl.gz": zipped(records(True)),
    "columns.json": columns("columns"),
    "split.json": columns("split"),
    "table.json": columns("table"),
    "records.json": columns("records"),
    "book.xlsx": workbook,
    "set.parquet": parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_gives_the_words_that_were_written(tmp_path, name):
    table = read_table(WRITERS[name](tmp_path, name))
    wanted = (
        [["0", *ROWS[0]], ["1", *ROWS[1]], ["2", *ROWS[2]], ["3", *ROWS[3]]] if name == "table.json" else ROWS
    )
    assert list(table.frame.columns) == [*["index"] * (name == "table.json"), *HEADER]
    assert cells(table) == wanted
    assert is_table(name)


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe")])
def test_another_delimiter_is_found_and_said(tmp_path, mark, word):
    table = read_table(separated(mark)(tmp_path, "a.csv"))
    assert table.delimiter == mark
    assert f"columns are separated by {word}s" in table.notes


@pytest.mark.parametrize(
    ("content", "rows", "said"),
    [
        ("text,label\na,x,\nb,y\n", [["a", "x"], ["b", "y"]], "1 row with empty fields beyond"),
        ("text,label\na,x,\nb,y,,\n", [["a", "x"], ["b", "y"]], "2 rows with empty fields beyond"),
        ("text,label,\na,x,\nb,y,\n", [["a", "x"], ["b", "y"]], None),
        ("text,label,\na,x\nb,y\n", [["a", "x"], ["b", "y"]], None),
        (" text , label \na, x\nb, y\n", [["a", "x"], ["b", "y"]], None),
        ("sep=;\r\ntext;label\r\na;x\r\nb,c;y\r\n", [["a", "x"], ["b,c", "y"]], "semicolons"),
        ('"sep=|"\ntext|label\na|x\nb,c|y\n', [["a", "x"], ["b,c", "y"]], "pipes"),
        ("# made by a tool, 2020\n#\n\ntext,label\na,x\nb,y\n", [["a", "x"], ["b", "y"]], "start with #"),
        ("\n\ntext,label\n\na,x\n\nb,y\n\n\n", [["a", "x"], ["b", "y"]], None),
        ("text,label\ra,x\rb,y\r", [["a", "x"], ["b", "y"]], None),
        ("text,label\na,x\ntext,label\nb,y\n", [["a", "x"], ["b", "y"]], "1 row like the header"),
        ('"text","label"\n"7","a","x"\n"8","b","y"\n', [["a", "x"], ["b", "y"]], "start with a number"),
        ("text,label\na,x\nb,y\nc\n", [["a", "x"], ["b", "y"], ["c", ""]], "1 row with fewer fields than .* line 4"),
        ('text,label\n"say \\"a, b\\"",x\nb,y\n', [['say "a, b"', "x"], ["b", "y"]], None),
        ('text\tlabel\n"a" he said\tx\n5" or 6"\ty\n', [['"a" he said', "x"], ['5" or 6"', "y"]], "quotes are letters"),
        ("text,label\na\0b,x\nc,y\n", [["ab", "x"], ["c", "y"]], None),
        ("text,label\n" + "\u00fc" * 50 + ",x\n", [["\u00fc" * 50, "x"]], None),
        ("text,label\nd\u00e9j\u00e0,x\n".encode("latin-1"), [["d\u00e9j\u00e0", "x"]], "Windows-1252"),
        (
            b"text,label\n" + ("\u00fc" * 50).encode() + b",x\nb\xff,y\n",
            [["\u00fc" * 50, "x"], ["b\ufffd", "y"]],
            "1 byte not in UTF-8, the first on line 3",
        ),
        ("text,label\n" + "a" * 200_000 + ",x\n", [["a" * 200_000, "x"]], None),
        ("text;label\n1,5;x\n2,5;y\n", [["1,5", "x"], ["2,5", "y"]], "semicolons"),
        ("text\na\nb\n", [["a"], ["b"]], None),
        ("text,label\n=1+1,x\n@SUM(A1),y\n", [["=1+1", "x"], ["@SUM(A1)", "y"]], None),
    ],
)  # fmt: skip
def test_what_has_one_meaning_is_read_and_said(tmp_path, content, rows, said):
    table = read_table(save(tmp_path, content))
    assert cells(table) == rows
    if said is None:
        assert table.notes == ()
    else:
        assert pandas.Series(table.notes).str.contains(said).any(), table.notes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", " \n\n", "a.csv is empty"),
        ("a.csv", "sep=;\n", "a.csv is empty: it has no header"),
        ("a.csv", "sep=;\n\n;;\n", "a.csv is empty"),
        ("a.csv", "# nothing\n", "a.csv is empty"),
        ("a.csv", "text,label\n", "a.csv is empty: it has a header but no rows"),
        ("a.csv", "text,label\na,b,x\nc,y\nd,e,f,y\n", "line 2 has 3 fields where the header names 2 "
         r"\(delimiter comma, encoding UTF-8\), and 1 more line like it: put texts that hold a comma in double quotes"),
        ("a.csv", "text;label\na;b;x\nc;y\nd;y\n", r"line 2 .*delimiter semicolon.*hold a semicolon"),
        ("a.csv", "sep=;\ntext;label\nc;y\nd;y\na;b;x\n", "line 5 has 3 fields"),
        ("a.csv", "text,label\n'a, b','x'\n'c','y'\n", "line 2 has 3 fields .* not single ones"),
        ("a.csv", "text,label\n'a','x'\n'c','y'\n", "single quotes, as on line 2"),
        ("a.csv", 'text,label\na,x\n"b,y\nc,x\n', r"the quote that opens on line 3 is never closed \(delimiter comma"),
        ("a.csv", 'text,label\na,x\n"b,y\n"c",x\n', "the quote that opens on line 3 closes within a field on line 4"),
        ("a.csv", 'text,label\na,x\n"say "b" here",y\n', "a quote on line 3 stands within a field"),
        ("a.csv", "text,label\none\nline\nmore,x\n", "2 of 3 rows have fewer fields .* the first on line 2"),
        ("a.csv", "sep=x\ntextxlabel\naxb\n", "says sep=x on line 1"),
        ("a.csv", "<!DOCTYPE html><table>", "a page of HTML"),
        ("a.csv", '{"text": "a"}', "is JSON by its first line"),
        ("a.csv", b"\0" * 50 + b"text", "NUL"),
        ("a.csv", b"text,label\n\x81\x8d,x\n", "not text in UTF-8, UTF-16 or Windows-1252 .line 2."),
        ("a.csv", ("text\n" + "\u041f\u0440\u0438\u0432\u0435\u0442" * 9).encode("cp1251"), "not those of Windows"),
        ("a.csv", ("text,label\n" + "\u65e5\u672c\u8a9e\u306e" * 9 + ",x\n").encode("shift-jis"), "not .*UTF-8"),
        ("a.csv", b"PK\x03\x04....", "is not text but an Excel workbook or a zip"),
        ("a.csv", b"PAR1....", "is not text but a parquet file"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "LFS pointer: run `git lfs"),
        ("a.tsv", b"%PDF-1.4", "is not text but a PDF"),
        ("a.csv", gzip.compress(b"text\n", mtime=0), "packed with gzip: give its name the ending .gz"),
        ("a.csv.gz", "text,label\na,b\n", "a.csv.gz is not a readable .csv.gz file"),
        ("a.csv.gz", gzip.compress(b"text,label\na,b\n" * 99, mtime=0)[:-9], "not a readable .csv.gz file"),
        ("a.jsonl", '{"text": "a"}\n{"text" "b"}\n', "a.jsonl is not JSON on line 2: expecting ':'"),
        ("a.jsonl", '{"text": "a"}\n\n# done\n', "not JSON on line 3"),
        ("a.jsonl", '{"text": "a"}\n"b"\n', "value 2 .line 2. is .* not an object"),
        ("a.json", '{"text": ["a", "b"], "label": ["x"]}', "its column 'label' has 1 value, 'text' 2"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", "[1, 2]", "value 1 .line 1. is '1', not an object"),
        ("a.json", '{"text": ' + "9" * 5000 + "}", "not JSON on line 1"),
        ("a.json", "", "a.json is empty"),
        ("a.json", "[]", "a.json is empty"),
        ("a.xlsx", "text,label\na,b\n", "a.xlsx is not a readable .xlsx workbook"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook or one with a password"),
        ("a.parquet", "hello", "a.parquet is not a readable .parquet file"),
        ("a.xls", "hello", "save this old Excel workbook as .xlsx or CSV"),
        ("a.pkl", "hello", "a pickle can run programs"),
        ("a.docx", "hello", "save the table as .csv, .tsv"),
        ("noending", "hello", "save the table as .csv, .tsv"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_in_a_sentence_that_says_where(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read_table(save(tmp_path, content, name))
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_types_of_json_become_words(tmp_path):
    lines = [
        {"text": 1.0, "label": True, "more": {"a": None, "b": [1, "x"]}},
        {"label": None, "text": "half \ud83d", "late": float("nan")},
    ]
    table = read_table(save(tmp_path, "\n".join(map(json.dumps, lines)), "a.jsonl"))
    assert list(table.frame.columns) == ["text", "label", "more.a", "more.b", "late"]
    assert cells(table) == [["1", "True", "", '[1, "x"]', ""], ["half \ufffd", "", "", "", ""]]


def test_types_of_parquet_become_words_and_bytes_are_left_out(tmp_path):
    frame = pandas.DataFrame(
        {"text": ["a", None], "label": [True, False], "n": [1.0, None], "k": pandas.Categorical(["x", "y"]),
         "jpeg": [b"1", b"2"], "several": [["a", "b"], ["c"]]}, index=[5, 7],
    )  # fmt: skip
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert list(table.frame.columns) == ["text", "label", "n", "k", "several"]
    assert cells(table) == [["a", "True", "1", "x", '["a", "b"]'], ["", "False", "", "y", "c"]]


def test_parquet_of_the_hub_knows_the_names_of_its_classes(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features)
    rows.to_parquet(tmp_path / "a.parquet")
    assert cells(read_table(tmp_path / "a.parquet")) == [["a", "yes"], ["b", "no"], ["c", ""]]


def test_a_workbook_is_read_as_it_looks(tmp_path):
    rows = [
        ["", "Reviews of 2020"],
        [],
        ["", "Review", "Sentiment", None],
        ["", "=1+1", True],
        ["", "a\nb", 1.0, "", " "],
        ["", datetime.date(2020, 1, 2), "#N/A"],
        [],
    ]
    table = read_table(workbook(tmp_path, "a.xlsx", rows, Other=["x", "y"], Empty=[]))
    assert list(table.frame.columns)[:2] == ["Review", "Sentiment"]
    assert [row[:2] for row in cells(table)] == [["", "True"], ["a\nb", "1"], ["2020-01-02 00:00:00", ""]]
    assert table.notes == (
        "sheet 'Sheet' is read; 1 more are not ('Other')",
        "1 row of one cell before the header: left out",
        "1 cell with an error of Excel, such as #N/A: read as empty",
    )


def test_a_workbook_that_defines_entities_is_refused(tmp_path):
    source = workbook(tmp_path, "a.xlsx")
    with zipfile.ZipFile(source) as book, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as evil:
        for entry in book.infolist():
            content = book.read(entry)
            if entry.filename == "xl/workbook.xml":
                content = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>' + content
            evil.writestr(entry, content)
    with pytest.raises(DataError, match="defines entities"):
        read_table(tmp_path / "b.xlsx")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.json", "a.xlsx", "a.parquet"])
@pytest.mark.parametrize("limit", [{"bytes": 1000}, {"rows": 9}, {"columns": 1}, {"cells": 11}])
def test_limits_hold_for_every_kind(tmp_path, name, limit):
    frame = pandas.DataFrame({"text": ["word " * 40] * 10, "label": ["x"] * 10})
    path = tmp_path / name
    if name.endswith(".xlsx"):
        workbook(tmp_path, name, [["text", "label"], *frame.to_numpy().tolist()])
    elif name.endswith(".parquet"):
        pandas.DataFrame(
            {c: np.char.add(frame[c].to_numpy(str), [str(i) for i in range(10)]) for c in frame}
        ).to_parquet(path)
    elif "json" in name:
        frame.to_json(path, orient="records", lines=name.endswith("l"))
    else:
        frame.to_csv(path, index=False)
    read_table(path)
    with pytest.raises(DataError, match=r"^a\.[\w.]+ (has|unpacks to) "):
        read_table(path, limits=Limits(**limit))


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(tmp_path):
    save(tmp_path, gzip.compress(b"text,label\n" + b"a,b\n" * 1_000_000, mtime=0), "a.csv.gz")
    with pytest.raises(DataError, match="unpacks to more than the limit"):
        read_table(tmp_path / "a.csv.gz", limits=Limits(bytes=10_000))


def test_numbers_keep_their_type_and_words_stay_words(tmp_path):
    table = read_table(save(tmp_path, "label,pixel0,pixel1\n01,0,255\n02,3,4\n"), numbers=r"pixel\d+")
    assert table.frame["label"].tolist() == ["01", "02"]
    assert table.frame[["pixel0", "pixel1"]].to_numpy().dtype.kind == "i"


def test_a_table_of_many_columns_is_read(tmp_path):
    head = ",".join(["text", "label", *(f"c{i}" for i in range(10_000))])
    table = read_table(save(tmp_path, head + "\n" + ("a,b" + "," * 10_000 + "\n") * 3))
    assert table.frame.shape == (3, 10_002)


def test_columns_of_one_name_are_told_apart_and_said(tmp_path):
    table = read_table(save(tmp_path, "text,label,text\na,x,b\n"))
    assert list(table.frame.columns) == ["text", "label", "text (2)"]
    assert table.notes == ("the column 'text' is there 2 times",)


def test_the_kinds_that_are_promised_are_read():
    assert all(is_table(f"a{kind}") for kind in re.findall(r"\.(?!gz)\w+", KINDS))
    assert not is_table("a.npz")


def test_reading_does_not_need_a_file_system_encoding(tmp_path):
    table = read_table(save(tmp_path, io.StringIO("text,label\n\u65e5\u672c,\u00df\n").read(), "\u00fc.csv"))
    assert cells(table) == [["\u65e5\u672c", "\u00df"]]
