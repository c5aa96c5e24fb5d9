"""The sentences about tables and texts that docs/data.md promises are the ones that come."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from training.errors import DataError
from training.texts import load_texts

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "data.md"
MANY = "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(30))
REFUSED = {
    "more fields than the header": {"a.csv": "text,label\ngood, really,pos\nbad,neg\n"},
    "fewer fields than the header": {"a.csv": "text,label\nfirst line\nsecond line,pos\nthird\nfourth\n"},
    "single quotes": {"a.csv": "text,label\n'good','pos'\n'bad','neg'\n"},
    "a quote that stays open": {"a.csv": 'text,label\ngood,pos\n"bad,neg\n'},
    "a quote within a field": {"a.csv": 'text,label\n"a "good" one",pos\n'},
    "no header row": {"a.csv": MANY},
    "other names of columns": {"a.csv": "title,stars\n" + MANY},
    "another delimiter": {"a.csv": ("text,label\n" + MANY).replace(",", "::")},
    "a column twice": {"a.csv": "text,label,text\ngood,pos,x\nbad,neg,y\n"},
    "several labels in a cell": {"a.csv": "text,label\ngood,news;sport\nfine,news\nbad,sport\n"},
    "one class": {"a.csv": "text,label\n" + MANY.replace(",b", ",a")},
    "a number a row": {"a.csv": "text,label\n" + "".join(f"text {i},0.{i:02}\n" for i in range(40))},
    "no label anywhere": {"a.csv": "text,label\n" + MANY.replace(",a", ",").replace(",b", ",")},
    "an unknown part": {"a.csv": "text,label,split\ngood,pos,train\nbad,neg,tset\n"},
    "JSON that breaks off": {"a.jsonl": '{"text": "good", "label": "pos"}\n{"text": "bad", "label"\n'},
    "JSON of other things": {"a.json": '["good", "bad"]'},
    "columns of two lengths": {"a.json": '{"text": ["good", "bad"], "label": ["pos"]}'},
    "an old workbook": {"a.xls": b"\xd0\xcf\x11\xe0"},
    "a workbook with a password": {"a.xlsx": b"\xd0\xcf\x11\xe0"},
    "a wrong name": {"a.csv": gzip.compress(b"text,label\n")},
    "a web page": {"a.csv": "<!DOCTYPE html><html>"},
    "a pickle": {"a.pkl": b"\x80"},
    "a flat folder": {"set/1.txt": "good", "set/2.txt": "bad"},
    "files that are no text": {"set/pos/1.txt": "good", "set/neg/2.txt": "%PDF-1.4"},
    "a class called train": {"set/train/1.txt": "a", "set/car/1.txt": "b", "set/plane/1.txt": "c"},
    "tables of no part": {"set/a.csv": "text,label\n" + MANY, "set/b.csv": "text,label\n" + MANY},
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_every_refusal_stands_in_the_document(tmp_path: Path, what: str) -> None:
    for name, content in REFUSED[what].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    top = next(iter(REFUSED[what])).split("/")[0]
    with pytest.raises(DataError) as refused:
        load_texts(str(tmp_path / top))
    assert f"| {what} | {refused.value} |" in DOCUMENT.read_text().splitlines()
