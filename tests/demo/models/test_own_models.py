"""What a user trained, with the commands' own functions: 2 classes, an odd size of everything, shown in every tab."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path += [str(ROOT / "tests" / "affinevae"), str(ROOT / "tests" / "textclf")]
from furniture import furniture  # noqa: E402
from shapes import shapes  # noqa: E402
from tinytext import write_backbone, write_csv  # noqa: E402

from classifiers.augment import Augment  # noqa: E402
from demo.classify import scene as verdict  # noqa: E402
from demo.classify.tab import Classify  # noqa: E402
from demo.models.outside import Policy  # noqa: E402
from demo.models.registry import Models  # noqa: E402
from demo.shapes2d import scene  # noqa: E402
from demo.shapes2d.tab import Shapes2D  # noqa: E402
from demo.shapes3d import scene as scene3d  # noqa: E402
from demo.shapes3d.tab import Shapes3D  # noqa: E402
from demo.text.tab import ClassifyText  # noqa: E402
from demo.yourown.tab import YourOwn  # noqa: E402
from demo.yourown.views import card  # noqa: E402
from training.loop import LoopConfig  # noqa: E402

LOOP = LoopConfig(epochs=1, batch=16, lr=1e-3, warmup=1, precision="no")
AT_HOME = Policy("all", at_home=True)


def two(images: Any, kind: Any) -> tuple[np.ndarray, np.ndarray]:
    """The first two classes of three."""
    return images[kind < 2].numpy(), kind[kind < 2].numpy()


def pictures(folder: Path) -> Path:
    from affinevae.train import Train, train

    images, labels = two(*shapes(150))
    np.savez(folder / "pictures.npz", images=images[:, 0], labels=labels, classes=np.array(["F", "L"]))
    train(Train(str(folder / "pictures.npz"), folder / "vae", latent_dim=5, group="affine", size=20, width=16,
                features=3, blocks=1, measure=False, loop=LOOP))  # fmt: skip
    return folder / "vae"


def solids(folder: Path) -> Path:
    from affinevae.train import Train, train

    grids, labels = two(*furniture(90))
    np.savez(
        folder / "solids.npz", grids=grids[:, 0] // 255, labels=labels, classes=np.array(["chair", "sofa"])
    )
    train(Train(str(folder / "solids.npz"), folder / "vae3d", latent_dim=3, group="yaw+shift", turns="yaw", width=16,
                features=3, blocks=1, measure=False, loop=LOOP))  # fmt: skip
    return folder / "vae3d"


def labelled(folder: Path) -> Path:
    from classifiers.train import Train, train

    images, labels = two(*shapes(150, side=19))
    np.savez(folder / "labelled.npz", images=images[:, 0], labels=labels, classes=np.array(["F", "L"]))
    train(Train(str(folder / "labelled.npz"), folder / "cnn", network="resnet20@0.25:block-2",
                augment=Augment(shift=1), measure=False, loop=LOOP))  # fmt: skip
    return folder / "cnn"


def texts(folder: Path) -> Path:
    from textclf.train import Supernet, Train, train

    data, backbone = write_csv(folder / "reviews.csv", 120), write_backbone(folder / "backbone")
    train(Train(str(data), folder / "reader", backbone=str(backbone), max_length=23, vocabulary=60, pooling="merge",
                supernet=Supernet(shrink=4, skip=1), measure=False, loop=LOOP))  # fmt: skip
    return folder / "reader"


@pytest.fixture
def models(in_weights: Path) -> Models:
    return Models(AT_HOME)


def query_of(text: str) -> dict[str, str]:
    return dict(parse_qsl(text))


def opened(models: Models, folder: Path, tab: Any) -> tuple[Any, Any]:
    """The model of a folder in its tab, by the link of its card: the scene, and the tab."""
    for left in ("metrics.json", "README.md"):
        (folder / left).unlink(missing_ok=True)
    name = YourOwn(models)._open(str(folder)).name
    known = card(models, name)
    assert dict(known["facts"])["Measured"].startswith("not yet")
    query = {"tab": known["tab"], "model": name}
    shown = tab(models)
    picker, found, *values = shown.open(SimpleNamespace(query_params=query))
    assert found.model == name == picker.value
    assert len(values) + 1 >= shown.answers
    return found, shown


def test_an_affine_vae_of_another_group_and_size(models: Models, tmp_path: Path) -> None:
    found, tab = opened(models, pictures(tmp_path), Shapes2D)
    loaded = models.get(found.model)
    names = loaded.model.group.names
    assert len(found.now.z) == 5
    assert len(found.now.pose) == len(names) > 1
    assert tab.turn(found)
    assert tab.walk(found)
    assert tab.random(found)[0].model == found.model
    assert scene.from_query(query_of(scene.as_query(found, names)), loaded).now == found.now
    compile(scene.as_python(found, names), "snippet", "exec")


def test_a_voxel_vae_of_another_group_and_size(models: Models, tmp_path: Path) -> None:
    found, tab = opened(models, solids(tmp_path), Shapes3D)
    loaded, look = models.get(found.model, "shape"), scene3d.Look()
    assert len(found.now.z) == 3
    assert tab.walk(found, look)
    assert tab.keep(found, look)
    assert scene3d.from_query(query_of(scene3d.as_query(found, loaded.model, look)), loaded).now == found.now


def test_a_classifier_without_a_twin(models: Models, tmp_path: Path) -> None:
    found, tab = opened(models, labelled(tmp_path), Classify)
    loaded = models.classifier(found.model)
    assert loaded.dense is None
    assert loaded.front is None
    assert [net.model.config.size for net in loaded.nets()] == [19]
    assert set(dict(found.answers[0].top())) == {"F", "L"}
    assert verdict.from_query(query_of(verdict.as_query(found)), loaded).model == found.model
    assert "ms" in str(tab.measure(found))


def test_a_reader_with_a_vocabulary_of_its_own_and_no_plans(models: Models, tmp_path: Path) -> None:
    found, tab = opened(models, texts(tmp_path), ClassifyText)
    loaded = models.reader(found.model)
    assert loaded.engine == "torch"
    assert [stop.name for stop in loaded.stops] == ["full"]
    assert len(found.probabilities) == 2
    assert tab.trace(found, None)
    assert tab.measure(found, None)


def test_a_model_whose_data_allowed_few_numbers_opens_all_the_same(models: Models, tmp_path: Path) -> None:
    """Four test pictures would make a map; of one there is none, and no number that compares pictures."""
    from affinevae.train import Train, train

    images, _ = shapes(8)
    np.savez(tmp_path / "few.npz", images=images[:, 0].numpy())
    train(Train(str(tmp_path / "few.npz"), tmp_path / "vae", latent_dim=1, turns="none", width=16, features=3, blocks=1,
                loop=LOOP))  # fmt: skip
    test = json.loads((tmp_path / "vae" / "metrics.json").read_text())["test"]
    assert {"map", "z_invariance"} <= set(test["left_out"])
    name = YourOwn(models)._open(str(tmp_path / "vae")).name
    known = card(models, name)
    assert "of 1 test pictures" in dict(known["facts"])["Measured"]
    picker, found, *_ = Shapes2D(models).open(
        SimpleNamespace(query_params={"tab": known["tab"], "model": name})
    )
    assert found.model == name == picker.value
