"""What programs are promised of text classifiers."""

from __future__ import annotations

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from tiny_weights import PLANS, TINY_TEXT, UNSEARCHED


def test_an_answer(client: Client) -> None:
    answer = client.predict("good word1", TINY_TEXT, "fastest", api_name="/classify_text")
    assert set(answer) == {"classes", "probabilities", "plan", "milliseconds", "tokens", "macs"}
    assert answer["classes"] == ["World", "Sports", "Business"]
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert (answer["plan"], answer["tokens"]) == ("fastest", 4)
    assert answer["milliseconds"] > 0
    assert answer["macs"] > 0


def test_defaults_and_a_model_that_nobody_searched(client: Client) -> None:
    assert client.predict("good 🎬 <b>", api_name="/classify_text")["plan"] == "balanced"
    assert client.predict("good", UNSEARCHED, api_name="/classify_text")["plan"] == "full"


def test_text_classifiers_are_listed(client: Client) -> None:
    models = {m["name"]: m for m in client.predict(api_name="/list_models") if m["kind"] == "text"}
    assert set(models) == {TINY_TEXT, UNSEARCHED}
    assert models[TINY_TEXT]["plans"] == {name: list(plan) for name, plan in PLANS.items()}
    assert models[TINY_TEXT]["longest"] == 64


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", TINY_TEXT, "full"), "no text"),
        ((" \0\n", TINY_TEXT, "full"), "no text"),
        (("good", "../../etc", "full"), "no model called"),
        (("good", TINY_TEXT, "quick"), "plan must be one of full, accurate, balanced, fastest"),
        (("x" * 1_000_001, TINY_TEXT, "full"), "1,000,001 characters"),
    ],
)
def test_refusals_are_one_sentence(client: Client, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(AppError, match=words) as refused:
        client.predict(*arguments, api_name="/classify_text")
    assert "\n" not in str(refused.value)
