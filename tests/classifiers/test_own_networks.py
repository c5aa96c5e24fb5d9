"""A network of one's own, tied: trained, saved, loaded, exported, pushed, opened, and imported by nobody else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from classifiers import CompactCNN, allow_network, create_network, tie, untie
from classifiers.anatomy import kernels, layers
from classifiers.augment import Augment
from classifiers.evaluate import Evaluate
from classifiers.evaluate import run as evaluate
from classifiers.export import Export
from classifiers.export import run as export
from classifiers.networks import ALLOWED, dense_name, native_size
from classifiers.tie import ties_of
from classifiers.train import Train, train
from demo.classify.views import draw_layer
from demo.models.outside import MAX_MACS, Policy
from demo.models.registry import Models
from training.loop import LoopConfig
from training.measure import parameters
from training.runs import read_metrics
from weights import WeightsError
from weights.__main__ import main as weights_command

MINE = '''
from pathlib import Path
import torch
from torch import nn

Path(__file__).with_name("imported").touch()


class Net(nn.Module):
    """One convolution used twice, an oblong one, another norm and a shortcut."""

    def __init__(self, classes, channels):
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, 2, 1)
        self.shared = nn.Conv2d(16, 16, 3, padding=1)
        self.wide = nn.Conv2d(16, 32, (1, 3), padding="same")
        self.norm = nn.GroupNorm(4, 32)
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        x = self.stem(x).relu()
        x = x + self.shared(self.shared(x).relu()).relu()
        return self.head(self.norm(self.wide(x)).relu().mean((2, 3)))


def build(classes, channels):
    return Net(classes, channels)


def short(classes, channels):
    return Net(classes + 1, channels)


def listed(classes, channels):
    return [Net(classes, channels)]


def strange(width):
    return Net(width, 3)


def broken(classes, channels):
    net = Net(classes, channels)
    net.head.bias.data[0] = float("nan")
    return net


value = 7
'''
NAME = "own_network_of_a_test:build"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path with a module of one's own; touched when it is imported, forgotten afterwards."""
    (tmp_path / "own_network_of_a_test.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(ALLOWED)
    yield tmp_path
    ALLOWED.clear()
    ALLOWED.update(before)
    sys.modules.pop("own_network_of_a_test", None)


@pytest.fixture
def data(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 90, (120, 16, 16, 3)) + 150 * labels[:, None, None, None]
    np.savez(
        tmp_path / "dark.npz",
        images=images.astype(np.uint8),
        labels=labels,
        classes=np.array(["dark", "light"]),
    )
    return str(tmp_path / "dark.npz")


def options(data: str, output: Path, network: str) -> Train:
    loop = LoopConfig(epochs=1, batch=16, lr=0.05, warmup=2, precision="no")
    return Train(data, output, network=network, augment=Augment(flip=False, shift=0), loop=loop)


def forget() -> None:
    """As a program that is started anew."""
    ALLOWED.clear()
    sys.modules.pop("own_network_of_a_test", None)


def test_a_tied_network_of_ones_own_lives_the_life_of_ours(
    mine: Path, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = mine / "run"
    train(options(data, output, f"{NAME}:blueprint+block-2"))
    config = json.loads((output / "config.json").read_text())
    assert config["ties"] == {"shared": "blueprint-1", "wide": "blueprint-1"}
    assert {p.suffix for p in output.iterdir() if p.is_file()} <= {".json", ".jsonl", ".safetensors", ".md"}
    test = read_metrics(output)["test"]
    assert test["parameters"] < test["dense_parameters"]
    assert f'allow_network("{NAME}")' in (output / "README.md").read_text()
    (mine / "imported").unlink()
    forget()
    commands = [lambda: evaluate(Evaluate(str(output), data)), lambda: export(Export(output))]
    for refused in (lambda: CompactCNN.from_pretrained(output), *commands):
        with pytest.raises(WeightsError, match=f"unknown network '{NAME}'.* must be allowed"):
            refused()
    assert weights_command(["verify", str(output)]) == 2
    assert not (mine / "imported").exists()
    assert weights_command(["verify", str(output), "--allow", NAME]) == 0
    forget()
    before = (output / "model.safetensors").read_bytes()
    evaluate(Evaluate(str(output), data, allow=(NAME,)))
    assert read_metrics(output)["test"]["accuracy"] == test["accuracy"]
    assert (output / "model.safetensors").read_bytes() == before
    forget()
    export(Export(output, allow=(NAME,)))
    model, graph = (CompactCNN.from_pretrained(output, engine=engine) for engine in ("torch", "onnx"))  # type: ignore[arg-type]
    x = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(model.logits(x), graph.logits(x), rtol=1e-3, atol=1e-4)
    assert weights_command(["verify", str(output)]) == 0
    found = layers(model)
    assert sum(layer.parameters for layer in found) == parameters(model) == test["parameters"]
    assert [(layer.name, layer.kind, layer.tie) for layer in found] == [
        ("stem", "3x3", None), ("shared", "3x3", "blueprint-1"), ("wide", "1x3", "blueprint-1"), ("norm", "norm", None),
        ("head", "linear", None),
    ]  # fmt: skip
    assert kernels(model, "wide").shape == (32, 8, 1, 3)
    assert model.features(x).shape == (3, 32)


def test_pushing_takes_the_same_word(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    allow_network(NAME)
    CompactCNN(NAME, ["a", "b"], 16).save_pretrained(mine / "run", card="---\nlicense: mit\n---\n# run\n")
    forget()
    sent: list[str] = []

    def push(what: str, repo: str, **_: object) -> object:
        from weights.whole import require_whole

        require_whole(Path(what))
        sent.append(repo)
        return type("Pushed", (), {"url": "u", "line": "l", "commit": "c"})

    monkeypatch.setattr("weights.__main__.push", push)
    command = ["push", str(mine / "run"), "--repo", "me/mine"]
    assert weights_command(command) == 2
    assert not sent
    assert weights_command([*command, "--allow", NAME]) == 0
    assert sent == ["me/mine"]


def test_a_page_opens_it_for_its_owner_alone(mine: Path) -> None:
    allow_network(NAME)
    folder = CompactCNN(f"{NAME}:kronecker-2", ["a", "b"], 16).save_pretrained(mine / "run")
    (mine / "imported").unlink()
    owner, others = Policy("all", at_home=True), Policy("all")
    models = Models(owner)
    found = models.open(str(folder), owner)
    loaded = models.classifier(found.name)
    assert {layer.tie for layer in loaded.compact.layers} == {None, "kronecker-2"}
    for name in ("shared", "wide"):  # an oblong kernel is drawn too
        assert draw_layer(loaded, name)["tied"].startswith("data:image/png")
    with pytest.raises(WeightsError, match=f"needs code of its own, {NAME}, which this page runs for nobody"):
        Models(others).open(str(folder), others)
    forget()
    with pytest.raises(WeightsError, match=f"start the page with --allow {NAME}"):
        Models(owner).open(str(folder), owner)
    assert not (mine / "imported").exists()


def test_nothing_that_is_loaded_imports(mine: Path) -> None:
    folder = CompactCNN("resnet20@0.25", ["a", "b"], 16).save_pretrained(mine / "run")
    config = json.loads((folder / "config.json").read_text())
    for network in (NAME, f"{NAME}:block", "os:system", "own_network_of_a_test:value"):
        (folder / "config.json").write_text(json.dumps(config | {"network": network}))
        for load in (
            CompactCNN.from_pretrained,
            lambda f: Models(Policy("all", True)).open(str(f), Policy("all", True)),
        ):
            with pytest.raises(WeightsError, match=r"allow"):
                load(folder)
    assert not (mine / "imported").exists()
    assert "own_network_of_a_test" not in sys.modules


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("there_is_none:build", "no module there_is_none"),
        ("own_network_of_a_test:none", "has no function none"),
        ("own_network_of_a_test:value", "has no function value"),
        ("own_network_of_a_test", "names no function"),
        ("os:../system", "names no function"),
        ("resnet9:blueprint", "names no function"),
    ],
)
def test_what_cannot_be_allowed_is_said(mine: Path, reference: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        allow_network(reference)


def test_a_module_that_fails_is_said_in_one_sentence(mine: Path) -> None:
    (mine / "own_network_of_a_test.py").write_text("raise RuntimeError('two\\nlines')")
    with pytest.raises(ValueError, match="own_network_of_a_test raises RuntimeError: two lines"):
        allow_network(NAME)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("short", r"gives \(2, 3\) .* where logits \(2, 2\)"),
        ("listed", "returns a list"),
        ("strange", "must take classes= and channels="),
        ("broken", "NaN or infinity in 'head.bias'"),
    ],
)
def test_a_function_that_builds_no_classifier_is_refused_before_training(
    mine: Path, data: str, function: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        train(options(data, mine / "run", f"own_network_of_a_test:{function}"))
    assert not (mine / "run" / "config.json").exists()


def small(classes: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3),
        nn.Conv2d(16, 16, 3),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def test_a_function_itself_can_be_allowed_if_it_can_be_found_again(mine: Path) -> None:
    name = allow_network(small)
    assert name == f"{__name__}:small"
    assert CompactCNN(f"{name}:block", ["a", "b"]).logits(torch.rand(2, 3, 32, 32)).shape == (2, 2)
    with pytest.raises(ValueError, match="define it at the top of a module"):
        allow_network(lambda classes, channels: small(classes, channels))


@pytest.mark.parametrize("network", ["resnet20@0.5", "resnet20@0.5:kronecker-2", "own"])
@pytest.mark.parametrize("change", ["tied", "untied", "tied otherwise"])
def test_ties_that_were_changed_afterwards_are_kept(network: str, change: str, mine: Path) -> None:
    name = f"{allow_network(small)}:block" if network == "own" else network
    model = CompactCNN(name, ["a", "b"]).eval()
    if change != "tied":
        untie(model.network)
    if change != "untied" and not ties_of(model.network):
        tie(model.network, "decoupled-2")
    x, ties = torch.rand(2, 3, 32, 32), ties_of(model.network)
    wanted = model.logits(x)
    again = CompactCNN.from_pretrained(model.save_pretrained(mine / "run"))
    assert ties_of(again.network) == ties
    assert torch.equal(again.logits(x), wanted)
    assert (again.config.ties is None) == (
        name == network and (change == "tied" and ":" in name or change == "untied" and ":" not in name)
    )
    assert (
        again.save_pretrained(mine / "again").joinpath("config.json").read_text()
        == (mine / "run" / "config.json").read_text()
    )


@pytest.mark.parametrize("change", ["tied", "trained"])
def test_a_graph_does_not_answer_for_a_network_that_was_changed_since(change: str, mine: Path) -> None:
    model = CompactCNN.from_pretrained("cnn-fashion-dense")
    x = torch.rand(2, 1, 28, 28)
    before, engine = model.logits(x), model.engine
    assert engine == "ONNX Runtime"
    assert torch.equal(model.logits(x), before)
    if change == "tied":
        tie(model.network, "blueprint")
    else:
        with torch.no_grad():
            next(model.network.parameters()).mul_(0.9)
    after = model.logits(x)
    assert not torch.allclose(after, before, atol=1e-2)
    assert model.engine == "PyTorch"
    again = CompactCNN.from_pretrained(model.save_pretrained(mine / "run"))
    torch.testing.assert_close(again.logits(x), after)


@pytest.mark.parametrize(
    ("ties", "sentence"),
    [
        (["0"], "ties must be names"),
        ({"0.0": 3}, "ties must be texts"),
        ({"nowhere": "block-2"}, "no convolution 'nowhere'"),
        ({"1.body.0.0": "glue"}, "unknown tie"),
        ({"1.body.0.0": "block-7"}, "block-7 needs"),
    ],
)
def test_ties_that_cannot_be_are_refused(ties: object, sentence: str, tmp_path: Path) -> None:
    folder = CompactCNN("resnet20@0.5", ["a", "b"]).save_pretrained(tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"ties": ties}))
    with pytest.raises(WeightsError, match=sentence):
        CompactCNN.from_pretrained(folder)


@pytest.mark.parametrize(
    ("network", "size", "sentence"),
    [
        ("imagenet-resnet50@16", 32, "larger network|before it is tied"),
        ("wrn28-3@15:kronecker-4", 32, "before it is tied"),
        ("resnet20:" + "+".join(["block"] * 40), 32, "at most 16 ties"),
    ],
)
def test_what_a_config_would_cost_is_known_before_it_is_built(
    network: str, size: int, sentence: str, tmp_path: Path
) -> None:
    folder = CompactCNN("resnet20", ["a", "b"]).save_pretrained(tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"network": network, "size": size}))
    with pytest.raises(WeightsError, match=sentence):
        CompactCNN.from_pretrained(folder)


def test_a_page_runs_no_picture_that_takes_minutes(tmp_path: Path) -> None:
    folder = CompactCNN("mobilenetv2", ["a", "b"], 1024).save_pretrained(tmp_path / "run")
    config = json.loads((folder / "config.json").read_text()) | {"network": "wrn28-3:channel_group-2"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=f"this page runs up to {MAX_MACS / 1e9:.0f}"):
        Models(Policy("all", True)).open(str(folder), Policy("all", True))


def test_names_are_taken_apart() -> None:
    assert dense_name("a.b_c:build:block-2") == "a.b_c:build"
    assert dense_name("a:build") == "a:build"
    assert dense_name("wrn16-4@0.5:block") == "wrn16-4@0.5"
    assert native_size("a:build:block") == 32
    for name in ("a:build@2", "a/b:build", "a..b:build", ":build", "a:"):
        with pytest.raises(ValueError, match="unknown network"):
            create_network(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["resnetv2_50x1_bit", "mobilenetv3_small_050", "test_resnet", "tf_efficientnet_b0"]
)
def test_a_network_of_timm_is_tied_trained_saved_and_exported(name: str, mine: Path, data: str) -> None:
    pytest.importorskip("timm")
    (mine / "own_network_of_a_test.py").write_text(
        f"import timm\ndef build(classes, channels):\n"
        f"    return timm.create_model({name!r}, num_classes=classes, in_chans=channels)\n"
    )
    allow_network(NAME)
    dense = create_network(NAME, 2).eval()
    tied = create_network(NAME, 2)
    tied.load_state_dict(dense.state_dict())
    if name.startswith("resnetv2"):  # standardises the weights of every convolution
        with pytest.raises(ValueError, match=r"StdConv2d has a forward of its own\) and 51 more"):
            tie(tied, "kronecker-2")
        return
    report = tie(tied, "kronecker-2+kernel_bank-2")
    assert all(
        " of its own" in k.reason or "channels" in k.reason or "needs" in k.reason for k in report.kept
    )
    wrapped = {
        n
        for n, m in dense.named_modules()
        if type(m).__name__ in ("StdConv2d", "StdConv2dSame", "Conv2dSame")
    }
    assert wrapped <= {k.name for k in report.kept}
    x = torch.rand(2, 3, 64, 64)
    before: Tensor = tied.eval()(x)
    torch.testing.assert_close(untie(tied)(x), before, rtol=1e-3, atol=1e-3)
    if name == "test_resnet":
        output = mine / "run"
        train(options(data, output, f"{NAME}:blueprint"))
        export(Export(output))
        assert CompactCNN.from_pretrained(output).features(torch.rand(2, 3, 16, 16)).ndim == 2
