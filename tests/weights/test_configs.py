"""A config.json is written by anybody: each is a model, or one sentence, before anything large is built."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import weights
from affinevae import AffineVAE
from classifiers import CompactCNN
from textclf import TextClassifier
from weights import Pretrained, WeightsError
from weights.checkpoint import Size, held
from weights.whole import class_of

KINDS: dict[str, Any] = {
    "shapes": lambda: AffineVAE((8, 8), latent_dim=2, width=8, features=2, blocks=1, classes=("a", "b")),
    "voxels": lambda: AffineVAE((8, 8, 8), latent_dim=2, group="none", width=8, features=2, blocks=1),
    "classifier": lambda: CompactCNN("resnet20@0.25", ["a", "b"], size=8),
    "text": lambda: TextClassifier(
        ("a", "b"), tokenizer=4, vocabulary=10, hidden=8, layers=2, heads=2, intermediate=8, longest=8
    ),
}
HOSTILE: dict[str, Any] = {
    "huge": 10**30, "endless": 10**4000, "minus": -1, "half": 1.5, "float": 8.0, "true": True, "null": None,
    "text": "x", "long text": "x" * 1_000_000, "list": [], "deep list": [[[[8]]]], "numbers": [8] * 10_000,
    "mapping": {"x": {"y": 1}}, "texts": ["x"] * 10_000, "unhashable": [{}],
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("saved")
    return {kind: make().save_pretrained(root / kind) for kind, make in KINDS.items()}


def with_config(folder: Path, into: Path, text: str) -> Path:
    into.mkdir()
    (into / "model.safetensors").symlink_to(folder / "model.safetensors")
    (into / "config.json").write_text(text)
    return into


def refusal(kind: type[Pretrained], folder: Path) -> str:
    """One sentence, at once and without much memory; empty where it loads."""
    tracemalloc.start()
    began, said = time.process_time(), ""
    try:
        kind.from_pretrained(folder)
    except WeightsError as error:
        said = str(error)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (most < 50e6, time.process_time() - began < 3, "\n" in said, len(said) < 700) == (
        True,
        True,
        False,
        True,
    )
    return said


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_value_of_every_key_is_a_model_or_one_sentence(
    kind: str, saved: dict[str, Path], tmp_path: Path
) -> None:
    config = json.loads((saved[kind] / "config.json").read_text())
    loads = class_of(config["library"])
    assert loads is not None
    for key in config.keys() - {"library"}:
        for name, value in HOSTILE.items():
            text = json.dumps({**config, key: value})
            said = refusal(loads, with_config(saved[kind], tmp_path / f"{key} {name}", text))
            harmless = json.dumps(value) == json.dumps(config[key]) or (key, name) in LOOSE[kind]
            assert bool(said) != harmless, (key, name, said)


LOOSE: dict[str, set[tuple[str, str]]] = {
    # No tensor says how many classes there are, or which of two groups without a scorer was meant.
    "shapes": {("classes", "list"), ("classes", "texts")},
    "voxels": {("classes", "list"), ("classes", "texts"), ("scorer", "true")},
    "classifier": {("invert", "null")},
    "text": {("ends", "true"), ("plans", "null")},
}


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [("shapes", "blocks", 2_000_000), ("shapes", "blocks", 128), ("shapes", "width", 16_000),
     ("voxels", "size", [64, 64, 64]), ("voxels", "features", 4096), ("shapes", "latent_dim", 1024),
     ("text", "layers", 2_000_000), ("text", "layers", 100), ("text", "vocabulary", 2_000_000),
     ("text", "hidden", 16_384), ("text", "intermediate", 65_536), ("text", "tokenizer", 100_000_000)],
)  # fmt: skip
def test_what_costs_more_than_the_weights_hold_is_not_built(
    kind: str, key: str, value: Any, saved: dict[str, Path], tmp_path: Path
) -> None:
    config = json.loads((saved[kind] / "config.json").read_text())
    small = {"width": 1} if key == "blocks" else {}
    folder = with_config(saved[kind], tmp_path / "m", json.dumps({**config, **small, key: value}))
    loads = class_of(config["library"])
    assert loads is not None
    said = refusal(loads, folder)
    assert "describes a larger network than its weights" in said or f"{key} must be" in said


@pytest.mark.parametrize("name", [n for n in weights.available() if not n.startswith("cnn-")])
def test_what_a_model_needs_at_least_is_less_than_it_has_and_not_much(name: str) -> None:
    library, arguments = weights.checkpoint.read_config(weights.folder(name))
    kind = class_of(library)
    assert kind is not None
    least, there = kind.size_of(arguments), held(weights.folder(name))
    assert all(a <= b for a, b in zip(least, there, strict=True))
    assert least.numbers > 0.9 * there.numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "is not readable JSON"),
        ('{"library": "affinevae", "width": NaN}', "NaN is no number"),
        ('{"library": "affinevae", "width": -Infinity}', "-Infinity is no number"),
        ('{"library": ["affinevae"]}', "names no library"),
        ('{"library": "' + "x" * 1_000_000 + '"}', "names no library"),
        ('{"library": "affinevae", "' + "x" * 1_000_000 + '": 1}', "unexpected x"),
        (" " * 10_000_000 + "{}", "is larger than 2 MB"),
        ('{"library": "classifiers"}', "holds a model of classifiers, not of affinevae"),
    ],
)
def test_what_is_no_config(text: str, words: str, saved: dict[str, Path], tmp_path: Path) -> None:
    assert words in refusal(AffineVAE, with_config(saved["shapes"], tmp_path / "m", text))


def test_the_config_of_another_model_of_the_library(saved: dict[str, Path], tmp_path: Path) -> None:
    text = (saved["voxels"] / "config.json").read_text()
    assert refusal(AffineVAE, with_config(saved["shapes"], tmp_path / "m", text))


def test_a_plan_cannot_name_a_file_elsewhere(saved: dict[str, Path], tmp_path: Path) -> None:
    config = json.loads((saved["text"] / "config.json").read_text())
    for name in ("../x", "/x", "", "a/b", ".hidden"):
        text = json.dumps({**config, "plans": {name: {"factors": [1, 1]}}})
        assert "the name of a plan must be" in refusal(
            TextClassifier, with_config(saved["text"], tmp_path / f"m{len(name)}{name[:1] == '/'}", text)
        )


def test_a_header_of_many_tensors_pays_for_none(tmp_path: Path) -> None:
    folder = KINDS["shapes"]().save_pretrained(tmp_path / "m")
    many = {str(i): torch.zeros(1) for i in range(3000)}
    (folder / "model.safetensors").write_bytes(safetensors.torch.save(many))
    assert held(folder) == Size(3000, 3000)
    assert "does not fit its config.json" in refusal(AffineVAE, folder)
