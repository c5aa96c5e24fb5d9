"""What programs are promised of classifiers."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from tiny_weights import CLOTHES, PICTURED, TINY_CNN

from demo.classify import examples as photos


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "ship.png"
    photos.example("drawn", 0).save(path)
    return path


def test_an_answer(client: Client, ship: Path) -> None:
    answer = client.predict(handle_file(ship), TINY_CNN, api_name="/classify_image")
    likely = list(answer["probabilities"].values())
    assert answer["classes"] == list(PICTURED)
    assert likely == sorted(likely, reverse=True)
    assert len(likely) == 5
    assert 0 < sum(likely) <= 1.0001
    assert isinstance(answer["in_scope"], bool)
    assert answer["milliseconds"] > 0
    assert 0 < answer["parameters"] < answer["macs"]


def test_the_default_model_and_another(client: Client, ship: Path) -> None:
    assert client.predict(image=handle_file(ship), api_name="/classify_image")["model"] == TINY_CNN
    two = client.predict(handle_file(ship), CLOTHES, api_name="/classify_image")
    assert sum(two["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_classifiers_are_listed(client: Client) -> None:
    models = {m["name"]: m for m in client.predict(api_name="/list_models") if m["kind"] == "classifier"}
    assert set(models) == {TINY_CNN, CLOTHES}
    assert models[TINY_CNN]["network"] == "resnet20@0.25:blueprint"
    assert models[TINY_CNN]["size"] == [32, 32]
    assert models[CLOTHES]["classes"] == ["T-shirt", "bag"]


def test_refusals_are_one_sentence(client: Client, ship: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("hello")
    for picture, model, words in (
        (handle_file(text), TINY_CNN, "not a picture"),
        (handle_file(ship), "../../etc", "no model called"),
        (None, TINY_CNN, "no picture"),
    ):
        with pytest.raises(AppError, match=words) as refused:
            client.predict(picture, model, api_name="/classify_image")
        assert "\n" not in str(refused.value)
