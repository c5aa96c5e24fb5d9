"""The classifier: any plan, any batch, any text, and back from disk the same."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from tinytext import LAYERS, model, reviews, tokens

from textclf import PlanFacts, TextClassifier
from textclf.bottleneck import OPERATORS
from textclf.tokens import MAX_BYTES, Tokens, batch
from weights import WeightsError

PLANS = [(1, 1, 1, 1), (2, 1, 2, 1), (4, 4), (1, 4, 2, 2), (2, 2, 1)]
STRANGE = [
    "",
    " ",
    "\0\x07\x1b",
    "<b>good</b>",
    "好的 очень جيد",
    "🙂🙂🙂",
    "a" * 5000,
    "bad " * 5000,
    "\ud800",
]


@pytest.mark.parametrize("pooling", OPERATORS)
@pytest.mark.parametrize("plan", PLANS)
def test_a_batch_equals_its_rows(pooling: str, plan: tuple[int, ...]) -> None:
    """Also: padding never changes a result, because every row is padded to the longest."""
    classifier, (texts, _) = model(pooling), reviews(9, words=30)
    together = classifier.predict(texts, plan, batch_size=9)
    alone = torch.cat([classifier.predict([text], plan) for text in texts])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.std(0).min() > 1e-4  # or they would agree on nothing


@pytest.mark.parametrize("pooling", OPERATORS)
def test_full_plan_is_the_plain_encoder(pooling: str) -> None:
    classifier = model(pooling)
    ids, mask = batch(classifier.tokens.ids(reviews(4)[0], 64), 30)
    with torch.no_grad():
        x = classifier.encoder(ids, mask)
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        expected = classifier.head(torch.cat([x[:, 0], mean], 1))
        found = classifier.logits(ids, mask, (1,) * LAYERS)
    assert torch.allclose(found, expected, atol=1e-6)


def test_plans_together_equal_plans_alone() -> None:
    classifier = model()
    ids, mask = batch(classifier.tokens.ids(reviews(4)[0], 64), 30)
    with torch.no_grad():
        together = classifier(ids, mask, PLANS)
        for plan, logits in zip(PLANS, together, strict=True):
            assert torch.equal(logits, classifier.logits(ids, mask, plan))


def test_what_plans_share_is_computed_once() -> None:
    classifier, calls = model(), []
    for layer in classifier.encoder.layers:
        layer.register_forward_hook(lambda *_: calls.append(1))
    ids, mask = batch(classifier.tokens.ids(["good"], 64), 17)
    classifier(ids, mask, [(1, 1, 1, 1), (1, 1, 2, 1), (1, 1)])
    assert len(calls) == 6


@pytest.mark.parametrize("plan", [(1, 1, 1, 1), (4, 2)])
def test_strange_texts_get_probabilities(plan: tuple[int, ...]) -> None:
    found = model().predict(STRANGE, plan)
    assert found.shape == (len(STRANGE), 2)
    assert torch.allclose(found.sum(1), torch.ones(len(STRANGE)))
    assert model().predict([], plan).shape == (0, 2)


def test_long_texts_lose_their_end_or_their_middle() -> None:
    known = tokens()
    text = " ".join(["good"] * 100 + ["bad"] * 100)
    (start,) = known.ids([text], 42)
    (both,) = known.ids([text], 42, ends=True)
    good, bad = (known.tokenizer.token_to_id(w) for w in ("good", "bad"))
    assert len(start) == len(both) == 42
    assert (start == good).sum() == 40
    assert ((both == good).sum(), (both == bad).sum()) == (10, 30)


def test_round_trip(tmp_path: Path) -> None:
    saved = model().with_plans({"balanced": PlanFacts((2, 1, 2), (), accuracy=0.9, n=10)})
    saved.save_pretrained(tmp_path / "m")
    loaded = TextClassifier.from_pretrained(tmp_path / "m")
    texts = reviews(5)[0]
    assert torch.equal(saved.predict(texts), loaded.predict(texts))
    assert loaded.plans["balanced"] == PlanFacts((2, 1, 2), (33, 33, 17), accuracy=0.9, n=10)
    assert loaded.plans["full"].lengths == (64,) * LAYERS
    assert loaded.classes == ("bad", "good")
    assert not torch.equal(loaded.predict(texts), loaded.predict(texts, "full"))


def test_without_a_search_balanced_is_full() -> None:
    classifier, texts = model(), reviews(3)[0]
    assert torch.equal(classifier.predict(texts), classifier.predict(texts, "full"))


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ("one text", {}, "list of strings"),
        ([3], {}, "number 0 is of type int"),
        (["a"], {"plan": "quick"}, "unknown plan 'quick'"),
        (["a"], {"plan": (3, 1)}, "a plan is"),
        (["a"], {"engine": "tpu"}, "unknown engine"),
        (["a"], {"plan": "full", "engine": "int8"}, "textclf.export"),
    ],
)
def test_bad_requests(texts: list[str], options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model().predict(texts, **options)  # type: ignore[arg-type]


def test_trimmed_vocabulary_gives_the_same_answers_on_its_texts() -> None:
    texts = [text.replace("word3", "word1") for text in reviews(30)[0]]
    whole = model()
    trimmed = whole.trimmed(texts, 120)
    smaller = trimmed.tokens
    assert len(smaller) == len(trimmed.encoder.words.weight) < len(whole.tokens)
    assert whole.trimmed(texts, 10_000) is whole
    assert torch.allclose(
        trimmed.eval().predict(texts, (2, 1, 1)), whole.predict(texts, (2, 1, 1)), atol=1e-6
    )
    (rare,) = smaller.encode(["word33"], 16)
    assert len(rare.ids) > 3  # in pieces,
    assert smaller.tokenizer.token_to_id("[UNK]") not in rare.ids  # not unknown


def test_tokenizer_survives_as_bytes() -> None:
    known = tokens()
    again = Tokens.from_bytes(known.to_bytes())
    assert again.description == known.description
    with pytest.raises(WeightsError, match="damaged"):
        Tokens.from_bytes(known.to_bytes()[:50])
    bomb = zlib.compress(b" " * (MAX_BYTES + 1000))
    with pytest.raises(WeightsError, match="unpacks to more than 64 MB"):
        Tokens.from_bytes(torch.frombuffer(bytearray(bomb), dtype=torch.uint8))


@pytest.mark.parametrize("pooling", OPERATORS)
def test_trace_accounts_for_every_slot(pooling: str) -> None:
    classifier, text = model(pooling), "word1 word2 good word3, word4 awful xyz"
    trace = classifier.trace(text, (2, 1, 2))
    assert torch.allclose(trace.probabilities, classifier.predict([text], (2, 1, 2))[0], atol=1e-6)
    assert (trace.tokens[0], trace.tokens[-1], trace.spans[0]) == ("[CLS]", "[SEP]", None)
    assert len(trace.layers) == 3
    for slots in trace.layers:
        assert slots[0].tokens == (0,)
        for slot in slots:
            assert sum(slot.weights) == pytest.approx(1, abs=0.01)
    words = [text[start:end] for start, end, _ in trace.contributions]
    assert words[:3] == ["word1", "word2", "good"]
    assert words[-1] == "xyz"  # its three pieces are one word


def test_contribution_is_what_hiding_a_word_changes() -> None:
    """A head that looks at the mean embedding alone: hiding the only word that it knows changes its mind."""
    classifier = model()
    trace = classifier.trace("word1 good", "full")
    label = int(trace.probabilities.argmax())
    ids, mask = batch(classifier.tokens.ids(["word1 good"], 64), 4)
    mask[0, 2] = 0
    with torch.no_grad():
        hidden = classifier.logits(ids, mask, (1,) * LAYERS)[0]
    whole = trace.probabilities.log()
    expected = (whole[label] - whole[1 - label]) - (hidden[label] - hidden[1 - label])
    assert trace.contributions[1][2] == pytest.approx(float(expected), abs=1e-4)


def test_long_texts_are_explained_in_parts() -> None:
    trace = model().trace("good bad " * 200, (2, 2))
    assert len(trace.contributions) <= 32
    assert trace.contributions[-1][1] <= len("good bad " * 200)
    assert model().trace("", (2, 2)).contributions == ()


@pytest.mark.slow
def test_import_is_light() -> None:
    code = "import sys, textclf; print([m for m in ('transformers', 'optuna', 'onnx', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
