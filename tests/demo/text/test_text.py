"""What the tab "Classify text" computes of a text and of a table, and what it takes from visitors."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_weights import PLANS, TINY_TEXT, UNSEARCHED

from demo.costs import ratio
from demo.models.reader import Reader
from demo.models.registry import Models
from demo.tables import PREVIEW
from demo.text import examples as passages
from demo.text import scene as reading
from demo.text import tables
from demo.text import views as views_text
from demo.text.scene import Reading
from demo.uploads.texts import MAX_ROWS, MAX_TEXT, read_table_file, read_text
from demo.uploads.values import UploadError
from textclf import Trace
from weights import WeightsError

TEXT = "good word1 word2, bad word3 word4 awful 5 lovely word9"
LONG = " ".join(f"word{i % 40}" for i in range(500))


@pytest.fixture
def loaded(in_weights: Path) -> Reader:
    return Models().reader(TINY_TEXT)


@pytest.fixture
def plain(in_weights: Path) -> Reader:
    return Models().reader(UNSEARCHED)


# ---- plans ----


def test_the_slider_has_each_plan_once_from_slow_to_fast(loaded: Reader) -> None:
    assert [stop.names for stop in loaded.stops] == [("full", "accurate"), ("balanced",), ("fastest",)]
    assert [stop.facts.factors for stop in loaded.stops] == [PLANS[stop.name] for stop in loaded.stops]
    assert loaded.stop("accurate") is loaded.full


def test_without_a_search_there_is_one_plan(plain: Reader) -> None:
    assert [stop.name for stop in plain.stops] == ["full"]
    assert plain.stop("balanced") is plain.full
    seen = reading.opening(plain)
    assert "textclf.search" in views_text.plans(seen, plain)["note"]
    assert views_text.front(seen, plain)["points"] == []
    assert views_text.linear(plain) == ""
    with pytest.raises(UploadError, match=r"one of full\.$"):
        plain.stop("quick")


def test_the_front_shows_what_plans_were_named_by(loaded: Reader) -> None:
    search = dict(loaded.metrics["search"])
    counted = views_text.front(reading.opening(loaded), loaded)
    search["front"] = [{**p, "expected_error": 0.3 - 0.01 * i} for i, p in enumerate(search["front"])]
    expected = views_text.front(
        reading.opening(loaded), replace(loaded, metrics={**loaded.metrics, "search": search})
    )
    assert [p["accuracy"] for p in expected["points"]] == pytest.approx([0.7, 0.71, 0.72, 0.73])
    assert [p["accuracy"] for p in counted["points"]] == pytest.approx([0.9, 0.91, 0.92, 0.93])
    assert "mean probability of the right label" in expected["lead"]
    assert "how often each is right" in counted["lead"]


def test_what_a_plan_does_in_words(loaded: Reader) -> None:
    first, second, third = (
        stop["words"] for stop in views_text.plans(reading.opening(loaded), loaded)["stops"]
    )
    assert "every layer" in first
    assert "90.0 % of 100 validation" in first
    assert "layers 1 and 3" in second
    assert "88.0 % of 200 test" in second
    assert "layer 3 of 4" in third


# ---- answers ----


def test_answers_are_what_the_model_predicts(loaded: Reader) -> None:
    seen = reading.read(loaded, TEXT)
    for stop in loaded.stops:
        expected = loaded.model.predict([TEXT], stop.name)[0]
        assert torch.allclose(torch.tensor(seen.answers[stop.name]), expected, atol=1e-5)


def traced(seen: Reading, loaded: Reader) -> Trace:
    return reading.traced(reading.known(None, seen), loaded, seen.plan).traces[seen.plan]


def test_a_change_of_plan_keeps_what_was_found(loaded: Reader) -> None:
    seen = reading.read(loaded, TEXT, plan="full")
    known = reading.traced(reading.known(None, seen), loaded, "full")
    moved = reading.with_plan(seen, loaded, "fastest")
    assert moved.plan == "fastest"
    assert reading.known(known, moved) is known
    assert reading.traced(known, loaded, "full") is known
    known = reading.measured(known, seen, loaded)
    assert reading.measured(known, moved, loaded) is known
    assert known.costs["fastest"].macs < known.costs["full"].macs
    with pytest.raises(UploadError):
        reading.with_plan(seen, loaded, "../etc")


def test_what_was_found_about_a_text_is_not_said_of_another(loaded: Reader) -> None:
    seen = reading.read(loaded, TEXT)
    known = reading.measured(reading.traced(reading.known(None, seen), loaded, "full"), seen, loaded)
    other = reading.known(known, reading.read(loaded, TEXT + " again"))
    assert not other.traces
    assert not other.costs


def test_words_say_where_the_full_length_differs(loaded: Reader) -> None:
    seen = replace(reading.read(loaded, TEXT), answers={"balanced": (0.9, 0.1, 0), "full": (0.2, 0.8, 0)})
    said = reading.in_words(seen, loaded)
    assert said.index("World, 90 %") < said.index("full length") < said.index("Sports, 80 %")
    same = replace(seen, answers={"balanced": (0.9, 0.1, 0), "full": (0.6, 0.4, 0)})
    assert "full length" not in reading.in_words(same, loaded)


def test_costs_compare_with_the_full_length(loaded: Reader) -> None:
    seen = reading.read(loaded, TEXT, plan="fastest")
    waiting = views_text.costs(seen, loaded, {})
    assert waiting
    assert waiting["rows"][0]["values"] == ["measuring …"] * 2
    found = reading.measured(reading.known(None, seen), seen, loaded).costs
    shown = views_text.costs(seen, loaded, found)
    assert shown
    assert shown["rows"][0]["values"][0].endswith(" ms")
    assert shown["rows"][1]["ratio"].endswith("fewer")
    assert "80.0 % of 200 test texts" in shown["note"]
    full = reading.with_plan(seen, loaded, "full")
    assert views_text.costs(full, loaded, found)["titles"] == ["Full length"]  # type: ignore[index]


def test_no_text_is_a_hint_and_nothing_else(loaded: Reader) -> None:
    for text in ("", "  \n\t "):
        seen = reading.read(loaded, text)
        assert views_text.answers(seen, loaded) == {"note": views_text.HINT}
        assert views_text.costs(seen, loaded, {}) is views_text.flow(seen, loaded, None) is None
        assert views_text.keep(seen, loaded)["files"] == []
        assert "predict" in reading.as_python(seen, loaded)


# ---- words and slots ----


@pytest.mark.parametrize("plan", ["full", "balanced", "fastest"])
def test_slots_and_words_fit_the_trace(loaded: Reader, plan: str) -> None:
    seen = reading.read(loaded, TEXT, plan=plan)
    trace = traced(seen, loaded)
    before, after = views_text.flow_of(seen, loaded, None), views_text.flow_of(seen, loaded, trace)
    assert [layer["count"] for layer in before["layers"]] == [layer["count"] for layer in after["layers"]]
    for layer in after["layers"]:
        for slot in layer["slots"]:
            assert sum(weight for _, weight in slot) == pytest.approx(1, abs=0.01)
    shown = "".join(word["before"] + word["text"] for word in after["words"])
    assert shown == TEXT
    tokens = [token for word in after["words"] for token in word["tokens"]]
    assert tokens == list(range(1, seen.tokens - 1))
    assert max(word["share"] for word in after["words"]) == 1


def test_the_flow_travels_as_json(loaded: Reader) -> None:
    seen = reading.read(loaded, TEXT)
    assert json.loads(views_text.flow(seen, loaded, None) or "")["full"] == seen.tokens


def test_a_long_text_says_how_much_was_read(loaded: Reader, plain: Reader) -> None:
    seen = reading.read(loaded, LONG)
    assert seen.tokens == 64
    said = reading.how_much_was_read(seen, loaded)
    assert "64 tokens" in said
    assert f"of {len(LONG):,} characters" in said
    assert "its end" not in said
    flow = views_text.flow_of(seen, loaded, traced(seen, loaded))
    assert flow["rest"] == len(LONG) - reading.unread(seen, loaded)[0] > 0
    assert flow["together"] == 2
    both = reading.read(plain, LONG)
    assert "by its start and its end" in reading.how_much_was_read(both, plain)
    ends = views_text.flow_of(both, plain, None)
    start, end = reading.unread(both, plain)
    assert [word["skipped"] for word in ends["words"] if word["skipped"]] == [end - start]
    assert ends["rest"] == 0
    assert reading.how_much_was_read(reading.read(loaded, TEXT), loaded) == ""


@pytest.mark.parametrize(
    "text",
    [
        "🎬👏🏽",
        "映画は素晴らしかった",
        "<script>alert(1)</script>",
        "é" * 300,
        "a" * 100_000,
        "\ud83d",
        "x\0y",
        "?",
    ],
)
def test_odd_texts_are_read(loaded: Reader, text: str) -> None:
    seen = reading.read(loaded, read_text(text))
    assert sum(seen.probabilities) == pytest.approx(1, abs=1e-5)
    shown = views_text.flow_of(seen, loaded, traced(seen, loaded))
    assert all(len(word["text"]) <= views_text.LONG_WORD for word in shown["words"])


def test_a_text_of_a_million_characters(loaded: Reader) -> None:
    seen = reading.read(loaded, ("word1 good " * 100_000)[:MAX_TEXT])
    assert "of 1,000,000 characters" in reading.how_much_was_read(seen, loaded)
    assert views_text.passage(seen, loaded, typed=False)["text"] is None


# ---- links, examples and models ----


def test_a_link_opens_what_it_describes(loaded: Reader) -> None:
    from urllib.parse import parse_qsl

    for seen in (
        reading.from_example(loaded, 2, "fastest"),
        reading.read(loaded, "good & bad <b>\n?", plan="full"),
    ):
        again = reading.from_query(dict(parse_qsl(reading.as_query(seen))), loaded)
        assert (again.text, again.plan, again.start) == (seen.text, seen.plan, seen.start)
    assert "word" not in reading.as_query(reading.read(loaded, LONG))


@pytest.mark.parametrize("query", [{"start": "example-99"}, {"start": "paste"}, {"plan": "none"}])
def test_a_bad_link_is_refused(loaded: Reader, query: dict[str, str]) -> None:
    with pytest.raises(UploadError):
        reading.from_query({"tab": "text", "model": TINY_TEXT, **query}, loaded)


def test_another_model_reads_the_same_text_but_has_its_own_examples(loaded: Reader, plain: Reader) -> None:
    pasted = reading.with_model(reading.read(loaded, TEXT), plain)
    assert (pasted.model, pasted.text) == (UNSEARCHED, TEXT)
    assert reading.with_model(reading.opening(loaded), plain).text == passages.REVIEWS[0][1]
    assert passages.of(("World", "Sports")) is passages.NEWS


def test_the_snippet_runs(loaded: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = reading.read(loaded, TEXT)
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT)
    names: dict[str, object] = {}
    exec(reading.as_python(seen, loaded), names)
    assert names["best"] == loaded.model.classes[reading.best(seen.probabilities)]


def test_no_model_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHTS_DIR", str(tmp_path))
    assert Models().readers() == []
    with pytest.raises(WeightsError, match="no model called"):
        Models().reader(TINY_TEXT)


def test_ratio_is_shared() -> None:
    assert ratio((2, 5), "faster", "slower") == "2.5x faster"


# ---- texts and tables of visitors ----


def test_texts_are_cleaned() -> None:
    assert read_text("a\0b\x07\r\nc\rd\te\x9f") == "ab\nc\nd\te"
    assert read_text("\ud83d\ude00 \ud83d!") == "😀 \ufffd!"
    assert read_text("🎬 é") == "🎬 é"
    for bad, words in ((None, "string"), (7, "string"), ("x" * (MAX_TEXT + 1), "1,000,001 characters")):
        with pytest.raises(UploadError, match=words):
            read_text(bad)


def table(tmp_path: Path, content: bytes | str) -> Path:
    path = tmp_path / "mine.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_table_is_read(tmp_path: Path) -> None:
    found = read_table_file(table(tmp_path, 'id,review\n1,"good, very"\n2,\n3,"two\nlines"\n'))
    assert found.columns == ["id", "review"]
    assert found.rows == [["1", "good, very"], ["2", ""], ["3", "two\nlines"]]
    assert found.text == 1
    assert found.notes == []


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("text\ngörög\n".encode("utf-16"), "UTF-16"),
        ("text\ncafé\n".encode("cp1252"), "Windows-1252"),
        ("text\n" + "good\n" * 20 + "ba\0d\n", "NUL"),
    ],
)
def test_other_encodings_and_single_nuls_are_mended(tmp_path: Path, content: bytes | str, note: str) -> None:
    found = read_table_file(table(tmp_path, content))
    assert note in " ".join(found.notes)
    assert "\0" not in "".join(map("".join, found.rows))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("text\n", "no rows"),
        ("The film was good.\nIt was bad.\n", "first row must name the columns"),
        ("title,stars\nx,1\n", "one of them 'text'"),
        ("text:label\nx:1\n", "it holds 'text:label'"),
        ('text,label\n"never closed,1\nb,2\n', "line 2"),
        ("text\na,b\nc,d\n", "line 2"),
        ("text,label\na,b\na,b,c\n", "line 3"),
        (b"\0\0\0\0text\n\0\0\0", "NUL"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "."),
        ("text" + "," * 20_000 + "\n", "columns"),
        ("text\n" + "a\n" * (MAX_ROWS + 1), "more than 100,000 rows"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(tmp_path: Path, content: bytes | str, words: str) -> None:
    with pytest.raises(UploadError) as refused:
        read_table_file(table(tmp_path, content))
    said = str(refused.value)
    assert words in said
    assert "\n" not in said
    assert "--" not in said
    assert str(tmp_path) not in said
    assert said.endswith(".")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.uploads.texts.MAX_TABLE_BYTES", 10)
    with pytest.raises(UploadError, match="a table may have"):
        read_table_file(table(tmp_path, "text\n" + "a\n" * 10))


# ---- a whole table ----


def test_a_table_is_classified_row_by_row(loaded: Reader, tmp_path: Path) -> None:
    texts = ["good word1", "", "<b>awful</b>", "word2 " * 30, "  "] * 60
    content = "text,label\n" + "".join(f'"{text}",mine\n' for text in texts)
    steps = list(tables.classify(loaded, "balanced", read_table_file(table(tmp_path, content))))
    assert [step["done"] for step in steps[:-1]] == [128, 256, 300]
    end = steps[-1]
    rows = list(csv.DictReader(io.StringIO(end["csv"])))
    assert list(rows[0]) == ["text", "label", "predicted_label", "probability"]
    assert [row["text"] for row in rows] == texts
    expected = loaded.model.predict(["good word1"], "balanced")[0]
    assert rows[0]["predicted_label"] == loaded.model.classes[int(expected.argmax())]
    assert float(rows[0]["probability"]) == pytest.approx(float(expected.max()), abs=1e-3)
    assert rows[1]["predicted_label"] == rows[1]["probability"] == ""
    assert sum(count["count"] for count in end["counts"]) == 180
    assert any("120 rows" in note for note in end["notes"])
    assert len(end["preview"]) == PREVIEW


def test_a_table_without_any_text(loaded: Reader, tmp_path: Path) -> None:
    *_, end = tables.classify(loaded, "full", read_table_file(table(tmp_path, 'id,text\n1,\n2," "\n')))
    assert end["counts"] == end["preview"] == []
    assert end["csv"] == "id,text,label,probability\n1,,,\n2, ,,\n"


def test_a_download_holds_no_formula(loaded: Reader, tmp_path: Path) -> None:
    cells = ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\tx", " =1", "-5", "+1.5e3", "a=b", ""]
    content = json.dumps([{"text": "good", "=head": cell} for cell in cells])
    path = tmp_path / "mine.json"
    path.write_text(content)
    *_, end = tables.classify(loaded, "full", read_table_file(path))
    rows = list(csv.DictReader(io.StringIO(end["csv"])))
    marked = [f"'{cell}" for cell in cells[:6]] + cells[6:]
    assert [row["'=head"] for row in rows] == marked


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text-imdb", "text-agnews"])
def test_an_example_that_any_plan_gets_wrong_is_called_so(name: str) -> None:
    loaded = Models().reader(name)
    shown = dict(zip(passages.of(loaded.model.classes), reading.example_names(loaded), strict=True))
    right = []
    for passage, called in shown.items():
        said = {
            loaded.model.classes[
                int(loaded.model.predict([passage.text], plan=stop.name)[0].argmax())
            ].lower()
            for stop in loaded.stops
        }
        fails = bool(passage.label) and said != {passage.label.lower()}
        assert called.startswith("Where it fails: ") == fails
        right += [passage.name] if passage.label and not fails else []
    assert len(right) >= 3  # examples that teach something else than mistakes
    assert shown[passages.ODD] == passages.ODD.name


def test_strange_words_are_said_where_the_model_knows_those_of_its_training(loaded: Reader) -> None:
    shopping = reading.read(loaded, "word1 word2 " * 40)
    assert views_text.answers(shopping, loaded)["in_scope"]  # it does not know
    tokens = loaded.model.tokens
    usual = tokens.ids(["good word1 word2 lovely word9"] * 60, 64, False)
    known = replace(loaded, model=loaded.model.with_scope(usual, ["good word1 word2 lovely word9"] * 60))
    strange = reading.read(known, "awful awful bad bad word4 word4 word3 word3")
    assert not views_text.answers(strange, known)["in_scope"]
    assert views_text.answers(reading.read(known, "good word1 word2 lovely word9"), known)["in_scope"]
