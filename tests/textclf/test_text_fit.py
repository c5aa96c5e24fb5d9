"""One command from data to plans: killed at any border it ends the same, decides with reasons, says who is ahead."""

from __future__ import annotations

import ast
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tinytext import GOOD, model, reviews, tokens, write_backbone, write_csv

from textclf import TextClassifier, choose
from textclf.augment import sentence_ends, sentences, varied
from textclf.choose import Speed
from textclf.comparison import Row, level, verdict
from textclf.fit import Fit, fit
from textclf.frozen import fit_head, pooled
from textclf.latency import LatencyTable
from textclf.train import visited
from training import stages
from training.errors import DataError
from training.loop import RunError
from training.measure import Latency
from training.runs import read_metrics
from training.texts import TextSplit

CURVE = ((5, 1.0), (65, 13.0))
CLOCK = LatencyTable("torch", CURVE, CURVE, {2: ((5, 0.1), (65, 0.1)), 4: ((5, 0.1), (65, 0.1))})


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose every plan takes what its slots say, so that two searches find the same."""

    def compare(runs: Mapping[str, Any], **_: Any) -> dict[str, Latency]:
        times = {key: CLOCK.predict(ast.literal_eval(key), [12]) for key in runs}
        return {key: Latency(ms, ms, ms, ms, 1, 1) for key, ms in times.items()}

    monkeypatch.setattr("textclf.search.measure_table", lambda *_: CLOCK)
    monkeypatch.setattr("textclf.search.compare", compare)


def options(data: Path, output: Path, backbone: Path, **more: Any) -> Fit:
    small: dict[str, Any] = {"epochs": 2, "trials": 4, "shrink": 4, "skip": 1, "lr": 2e-3, **more}
    how: dict[str, Any] = {"engine": "torch", "export": False, "precision": "no"}
    return Fit(str(data), output, backbone=str(backbone), **how, **small)


class Killed(Exception):
    """In place of a signal."""


@pytest.mark.slow
@pytest.mark.training
def test_a_run_that_is_killed_at_every_border_ends_as_an_unbroken_one(
    tmp_path: Path,
    backbone: Path,
    steady: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_csv(tmp_path / "reviews.csv", 120)
    fit(options(data, tmp_path / "whole", backbone))
    said = capsys.readouterr().err
    assert "first answer" in said
    assert "of 45 minutes left" in said
    write, seen = stages.write, set[str]()

    def killing(folder: Path, files: Mapping[str, bytes]) -> None:
        """Stages are killed in turn before what they made is noted, and right after."""
        (name,) = files
        if name in seen:
            return write(folder, files)
        seen.add(name)
        if len(seen) % 2:
            write(folder, files)
        raise Killed

    monkeypatch.setattr(stages, "write", killing)
    kills = 0
    while True:
        try:
            fit(options(data, tmp_path / "broken", backbone))
            break
        except Killed:
            kills += 1
            if (tmp_path / "broken" / stages.STAGES / "frozen.json").exists():  # the first answer can be used
                assert TextClassifier.from_pretrained(tmp_path / "broken").predict(["good"]).shape == (1, 2)
    assert kills == len(seen) > 10
    whole, broken = (TextClassifier.from_pretrained(tmp_path / name) for name in ("whole", "broken"))
    for (name, a), b in zip(whole.state_dict().items(), broken.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert {n: p.factors for n, p in whole.plans.items()} == {n: p.factors for n, p in broken.plans.items()}
    mine, other = (read_metrics(tmp_path / name) for name in ("whole", "broken"))
    for one, two in zip(mine["fit"]["rows"], other["fit"]["rows"], strict=True):
        for key in ("name", "accuracy", "low", "high", "validation"):
            assert one[key] == two[key], (one["name"], key)
    names = {entry["name"] for entry in mine["fit"]["rows"]}
    assert {"full", "TF-IDF", "NB-SVM", "words and characters"} <= names
    assert all(choice["why"] for choice in mine["fit"]["choices"])
    assert not (tmp_path / "broken" / stages.STAGES).exists()
    fit(options(data, tmp_path / "broken", backbone))
    assert "trained already" in capsys.readouterr().err
    with pytest.raises(RunError, match="other options"):
        fit(options(data, tmp_path / "broken", backbone, epochs=3))


def test_an_interrupted_run_of_other_options_or_data_is_refused(tmp_path: Path) -> None:
    found = {"classes": ["a"], "examples": {"train": 3}, "labels": "1", "contents": "1"}
    stages.Stages(tmp_path / "stages", {"minutes": 1}, found).once("one", lambda: {"made": 1})
    with pytest.raises(RunError, match=r"other settings \(minutes\)"):
        stages.Stages(tmp_path / "stages", {"minutes": 2}, found)
    with pytest.raises(RunError, match="the data have changed"):
        stages.Stages(tmp_path / "stages", {"minutes": 1}, {**found, "labels": "2"})
    again = stages.Stages(tmp_path / "stages", {"minutes": 1}, found)
    assert again.once("one", lambda: {"made": 2})["made"] == 1
    fresh = stages.Stages(tmp_path / "stages", {"minutes": 2}, found, fresh=True)
    assert fresh.once("one", lambda: {"made": 2})["made"] == 2


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("text", "label"), *((f"word{i}", f"c{i}") for i in range(500))], "500 different labels"),
        ([("text", "label"), *((f"word{i}", f"c{i}") for i in range(2))], "too few to hold some out"),
        ([("text", "label"), ("a", "x"), ("b", "x")], "one class only"),
    ],
)
def test_data_that_no_model_can_learn_are_refused_in_a_sentence(
    tmp_path: Path, backbone: Path, rows: list[tuple[str, str]], sentence: str
) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(DataError, match=sentence):
        fit(options(tmp_path / "a.csv", tmp_path / "out", backbone))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("minutes", 0.0), ("epochs", 0), ("vary", 1.0), ("precision", "fp8")]
)
def test_options_that_no_run_can_have_are_refused_before_the_data(
    tmp_path: Path, name: str, value: Any
) -> None:
    with pytest.raises(RunError, match=name):
        fit(Fit("nowhere.csv", tmp_path / "out", **{name: value}))


# What it decides -----------------------------------------------------------------------------------------------------


def test_short_texts_are_read_whole_and_long_ones_at_both_ends() -> None:
    (short, whole), (long, both) = (choose.reading(torch.full((100,), tokens), 512) for tokens in (13, 700))
    assert (short.value, whole.value) == (32, False)
    assert (long.value, both.value) == (256, True)
    assert choose.reading(torch.full((100,), 60), 512, asked=32)[1].value is True
    assert choose.reading(torch.full((100,), 700), 128)[0].value == 128  # what the encoder has places for


def test_less_is_read_of_a_text_where_few_could_be_seen() -> None:
    lengths, speed = torch.full((100,), 300), Speed(0.1, 0.5, 256)
    assert choose.affordable(lengths, 256, speed, texts=1000, seconds=500.0) is None
    fewer = choose.affordable(lengths, 256, speed, texts=10_000, seconds=500.0)
    assert fewer is not None
    assert 64 <= fewer.value < 256


@pytest.mark.parametrize("texts", [50, 900, 9000, 200_000])
@pytest.mark.parametrize("seconds", [-5.0, 20.0, 1500.0, 1e6])
def test_a_schedule_fits_the_time_and_has_an_epoch_at_least(texts: int, seconds: float) -> None:
    speed = Speed(0.005, 0.02, 64)
    most = choose.most_passes(texts)
    made, _ = choose.schedule(texts, texts // 10, 32, speed, seconds, most)
    seen = made.epochs * (made.part or texts)
    assert made.epochs >= 1
    assert seen <= most * texts
    assert seen * speed.step <= max(seconds, 4 * 32 * speed.step) * 1.01
    assert made.part is None or made.part <= texts
    if seconds > 1000:
        assert seen > 0.8 * min(most * texts, seconds / speed.step)


def test_every_text_is_met_as_often_whatever_an_epoch_is() -> None:
    met = torch.cat([visited(torch.arange(30), epoch, 30, 100, seed=3) for epoch in range(10)])
    assert met.bincount(minlength=100).tolist() == [3] * 100
    assert met[:100].sort().values.tolist() == list(range(100))
    assert not torch.equal(met[:100], met[100:200])


# What the first answer is --------------------------------------------------------------------------------------------


def test_the_first_answer_is_a_linear_head_on_mean_embeddings(tmp_path: Path) -> None:
    classifier, (texts, words) = model(), reviews(120, words=6)
    labels = torch.tensor([word == "good" for word in words]).long()
    known, held = (TextSplit(texts[part], labels[part]) for part in (slice(80), slice(80, None)))
    _, reached = fit_head(classifier, known, held, tmp_path)
    pieces = classifier.tokens.ids(held.texts, classifier.config.longest)
    hidden = classifier.config.hidden
    logits = pooled(classifier.encoder, pieces) @ classifier.head.weight[:, hidden:].T + classifier.head.bias
    torch.testing.assert_close(logits.softmax(-1), classifier.predict(held.texts, "full"), atol=1e-5, rtol=0)
    assert reached == float((logits.argmax(-1) == held.labels).float().mean())
    assert reached > 0.7
    assert len(list(tmp_path.glob("*.features"))) == 2
    assert fit_head(classifier, known, held, tmp_path)[1] == reached  # of the features that it kept


# How texts are met, and what is strange ------------------------------------------------------------------------------


def test_a_text_in_another_form_keeps_its_sentences() -> None:
    known = tokens()
    text = "good word1 word2 . word3 word4 . . bad word5 . word6 ."
    (ids,) = known.ids([text], 64)
    ends = sentence_ends(known)
    parts = [tuple(part.tolist()) for part in sentences(ids[1:-1], ends)]
    assert [len(part) for part in parts] == [4, 4, 3, 2]
    torch.manual_seed(0)
    forms = {tuple(varied(ids, ends, 40).tolist()) for _ in range(200)}
    assert len(forms) > 20
    for form in forms:
        assert (form[0], form[-1]) == (known.first, known.last)
        assert len(form) <= 40
        inside = sentences(torch.tensor(form[1:-1]), ends)
        assert {tuple(part.tolist()) for part in inside} <= set(parts)


def test_a_short_text_is_met_several_times_over() -> None:
    known = tokens()
    (ids,) = known.ids(["bad word1"], 64)
    ends = sentence_ends(known)
    torch.manual_seed(0)
    for form in (varied(ids, ends, 20) for _ in range(30)):
        inner = form[1:-1].tolist()
        assert inner == ids[1:-1].tolist() * (len(inner) // 2)
        assert 4 <= len(inner) <= 18
    (empty,) = known.ids([""], 64)
    assert torch.equal(varied(empty, ends, 20), empty)


def test_a_text_of_other_words_is_strange_whatever_plan_answers(tmp_path: Path) -> None:
    texts, _ = reviews(300)
    classifier = model()
    pieces = classifier.tokens.ids(texts, 64)
    knowing = classifier.with_scope(pieces, reviews(100, seed=1)[0])
    assert knowing.scope is not None
    assert knowing.strangeness(["zebra quokka xylophone", "12345 67890 13579"]).min() > knowing.scope.limit
    usual = knowing.strangeness(reviews(200, seed=2)[0])
    assert (usual > knowing.scope.limit).float().mean() < 0.06
    assert (
        knowing.strangeness([" ".join(GOOD[:1] * 40)])[0] > knowing.scope.limit
    )  # words in no usual proportion
    assert knowing.strangeness([""]).tolist() == [0.0]
    knowing.save_pretrained(tmp_path / "a", half=True)
    loaded = TextClassifier.from_pretrained(tmp_path / "a")
    assert loaded.scope == knowing.scope
    torch.testing.assert_close(loaded.strangeness(texts), knowing.strangeness(texts), atol=0.05, rtol=0)
    assert loaded.with_plans(loaded.plans).scope == knowing.scope
    with pytest.raises(ValueError, match="train it again"):
        classifier.strangeness(["good"])
    with pytest.raises(ValueError, match="list of strings"):
        knowing.strangeness("good")


# Who is ahead --------------------------------------------------------------------------------------------------------


def entry(name: str, ms: float) -> Row:
    return Row(name, name == "balanced", 0.9, 0.88, 0.92, 0.9, ms, 40.0)


@pytest.mark.parametrize(
    ("ours", "rival", "times", "said"),
    [
        (95, 85, (1.0, 10.0), "balanced is ahead of the best alternative, NB-SVM, by 10.0 points"),
        (85, 95, (1.0, 10.0), "NB-SVM is ahead of balanced by 10.0 points (standard error 2.1): take that"),
        (95, 85, (10.0, 1.0), "NB-SVM, which is 10 times as fast, by 10.0 points"),
        (
            90,
            89,
            (10.0, 1.0),
            "200 test texts are too few to tell balanced from the best alternative, NB-SVM",
        ),
    ],
)
def test_the_verdict_says_what_to_take(ours: int, rival: int, times: tuple[float, float], said: str) -> None:
    places = torch.arange(200)
    hits = {"balanced": places < 2 * ours, "NB-SVM": places < 2 * rival}
    if abs(ours - rival) == 1:
        hits["NB-SVM"] = places.flip(0) < 2 * rival  # about other texts
    assert said in verdict(entry("balanced", times[0]), entry("NB-SVM", times[1]), hits)


@pytest.mark.parametrize(
    ("times", "said"),
    [((10.0, 1.0), "and 10 times as fast: take that"), ((1.0, 2.0), "and balanced is 2.0 times as fast")],
)
def test_what_is_level_on_many_texts_is_chosen_by_speed(times: tuple[float, float], said: str) -> None:
    places = torch.arange(4000)
    hits = {"balanced": places < 3600, "NB-SVM": (places < 3500) | (places > 3905)}
    assert level(hits["balanced"], hits["NB-SVM"])
    assert not level(hits["balanced"], places < 3000)
    assert not level(hits["balanced"][::100], hits["NB-SVM"].flip(0)[::100])  # 40 texts do not tell
    assert said in verdict(entry("balanced", times[0]), entry("NB-SVM", times[1]), hits)
