"""Nothing answers in the place of weights unless it answers as they do, and is what the catalogue lists."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

import weights
from classifiers import CompactCNN
from classifiers.export import to_onnx
from textclf import TextClassifier
from textclf.export import export
from weights import WeightsError
from weights.__main__ import main
from weights.graphs import asked_for, require_agreement
from weights.whole import require_whole


def cnn(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model = CompactCNN("resnet20@0.25", ["a", "b", "c"], size=8).eval()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "model.onnx").write_bytes(to_onnx(model))
    return folder


def text(precision: Any) -> Callable[[Path, int], Path]:
    def make(folder: Path, seed: int) -> Path:
        torch.manual_seed(seed)
        model = TextClassifier(
            ("a", "b", "c"),
            tokenizer=4,
            vocabulary=50,
            hidden=16,
            layers=2,
            heads=2,
            intermediate=32,
            longest=32,
        )
        with torch.no_grad():
            model.head.weight.normal_(0, 0.5)
        model.save_pretrained(folder, half=True)
        export(model, folder, ["full"], [precision])
        return folder

    return make


KINDS: dict[str, tuple[type[Any], str, Callable[[Path, int], Path]]] = {
    "cnn": (CompactCNN, "model.onnx", cnn),
    "text": (TextClassifier, "full.float32.onnx", text("float32")),
    "int8": (TextClassifier, "full.int8.onnx", text("int8")),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    return KINDS[kind][2](tmp_path / "m", 0)


def use(kind: str, source: Path | str) -> int:
    """Load the model and open its graph."""
    found: int = KINDS[kind][0].from_pretrained(source).compare_graphs()
    return found


def edited(path: Path, change: Callable[[Any], object]) -> None:
    graph = onnx.load(path, load_external_data=False)
    change(graph)
    path.write_bytes(graph.SerializeToString())


def negate(graph: Any) -> None:
    name = graph.graph.output[0].name
    for node in graph.graph.node:
        node.output[:] = ["before" if output == name else output for output in node.output]
    graph.graph.node.append(onnx.helper.make_node("Neg", ["before"], [name]))


def reads(place: str) -> Callable[[Any], None]:
    def change(graph: Any) -> None:
        tensor = graph.graph.initializer.add(name="stolen", data_type=1, dims=[4])
        tensor.data_location = 1
        for key, value in (("location", place), ("offset", "0"), ("length", "16")):
            tensor.external_data.add(key=key, value=value)

    return change


def plug_in(graph: Any) -> None:
    graph.opset_import.add(domain="elsewhere", version=1)
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Run", [], ["x"], domain="elsewhere")], "g", [], []
    )
    graph.graph.node.append(onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))


def test_an_honest_graph_is_used(kind: str, folder: Path) -> None:
    assert use(kind, folder) == 1
    assert require_whole(folder)[1] == 1
    assert main(["verify", str(folder)]) == 0


def damages(path: Path, other: Path) -> dict[str, tuple[Callable[[], object], str]]:
    return {
        "negated": (lambda: edited(path, negate), "does not answer as the weights"),
        "of another model": (lambda: shutil.copy(other / path.name, path), "does not answer as the weights"),
        "half": (lambda: path.write_bytes(path.read_bytes()[:-99]), "cannot be used"),
        "no graph": (lambda: path.write_bytes(b"\xff" * 99), "cannot be used"),
        "empty": (lambda: path.write_bytes(b""), "cannot be used|another model|earlier version"),
        "reads above": (
            lambda: edited(path, reads("../secret.bin")),
            r"reads '\.\./secret\.bin', and a graph here",
        ),
        "reads anywhere": (lambda: edited(path, reads("/etc/passwd")), "reads '/etc/passwd'"),
        "reads beside": (lambda: edited(path, reads("config.json")), "reads 'config.json'"),
        "a plug-in": (lambda: edited(path, plug_in), "needs operators of 'elsewhere'"),
    }


@pytest.mark.parametrize("damage", damages(Path(), Path()))
def test_any_other_is_refused_in_a_sentence(
    kind: str, folder: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / KINDS[kind][1]
    do, words = damages(path, KINDS[kind][2](tmp_path / "other", 1))[damage]
    do()
    with pytest.raises(WeightsError, match=words) as caught:
        use(kind, folder)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert main(["verify", str(folder)]) == 2
    assert capsys.readouterr().out.startswith(f"{folder}: WRONG: ")
    model = KINDS[kind][0].from_pretrained(folder, **({"engine": "torch"} if kind == "cnn" else {}))
    assert model.folder == folder  # without the graph it is the model that it was


def test_what_the_catalogue_lists_is_used_byte_for_byte(
    kind: str, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = KINDS[kind][2](shelf / "mine", 0)
    assert main(["add", "mine"]) == 0
    assert f"mine/{KINDS[kind][1]}: sha256 " in capsys.readouterr().out
    assert use(kind, "mine") == 1
    path = folder / KINDS[kind][1]
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x9a\x06\x01x")  # a field that nobody reads: it answers as before
    with pytest.raises(
        WeightsError, match="onnx is not what the catalogue's sha256 says: restore the folder, or"
    ):
        use(kind, "mine")
    assert main(["verify"]) == 2
    path.write_bytes(whole)
    assert main(["verify"]) == 0
    edited(path, negate)
    assert main(["verify", "mine"]) == 2
    assert main(["add", "mine"]) == 2  # not even accepted
    assert "does not answer as the weights" in capsys.readouterr().err


def test_verify_names_what_is_missing_and_what_is_too_much(
    shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cnn(shelf / "mine", 0)
    weights.register("mine")
    (folder / "model.onnx").rename(folder / "other.onnx")
    assert main(["verify"]) == 2
    assert "model.onnx is missing: restore the folder, or accept it" in capsys.readouterr().out
    shutil.copy(folder / "other.onnx", folder / "model.onnx")
    assert main(["verify"]) == 2
    assert "other.onnx is not in the catalogue" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["config.json", "front.json", "map.safetensors", "model.safetensors"])
def test_every_file_that_answers_come_from_is_compared(file: str, shelf: Path) -> None:
    folder = cnn(shelf / "mine", 0)
    (folder / "front.json").write_text("{}")
    shutil.copy(folder / "model.safetensors", folder / "map.safetensors")
    weights.register("mine")
    assert weights.locate("mine")[1] is not None
    path = folder / file
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(WeightsError, match=f"{file} is not what the catalogue's sha256 says"):
        CompactCNN.from_pretrained("mine")


def test_a_name_is_spelled_as_it_is(shelf: Path) -> None:
    cnn(shelf / "mine", 0)
    with pytest.raises(WeightsError, match=r"no weights named 'MINE' \(did you mean 'mine'\?\)"):
        CompactCNN.from_pretrained("MINE")


def test_links_are_followed_and_a_read_only_folder_is_read(kind: str, folder: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in folder.iterdir():
        (linked / path.name).symlink_to(path)
    assert use(kind, linked) == 1
    (tmp_path / "whole").symlink_to(folder)
    folder.chmod(0o555)
    assert use(kind, tmp_path / "whole") == 1
    folder.chmod(0o755)


def test_agreement_sees_a_swapped_sign_at_any_confidence() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    for scale in (0.1, 1, 30):
        for graph in (b"", b"QuantizeLinear"):
            require_agreement(Path("a.onnx"), graph, scale * logits, scale * logits + 5, "x")
            with pytest.raises(WeightsError, match="does not answer"):
                require_agreement(Path("a.onnx"), graph, scale * logits, -scale * logits, "x")
    with pytest.raises(WeightsError, match="does not answer"):
        require_agreement(Path("a.onnx"), b"", logits, logits.masked_fill(logits > 1, float("nan")), "x")


def test_what_a_graph_asks_for_is_found_in_its_branches() -> None:
    graph = onnx.ModelProto()
    graph.graph.node.append(onnx.helper.make_node("Add", ["a", "b"], ["c"]))
    plug_in(graph)
    reads("x.bin")(graph)
    assert asked_for(graph.SerializeToString()) == ({"x.bin"}, {"elsewhere"})


@pytest.mark.parametrize(
    "name", ["text-imdb", "text-agnews", "cnn-cifar10-dense", "cnn-fashion", "cnn-cifar10", "cnn-imagenet"]
)
def test_the_shipped_graphs_answer_as_their_weights(name: str) -> None:
    """Asked for as a folder, so that no sha256 stands in."""
    assert require_whole(weights.folder(name))[1] == (8 if name.startswith("text") else 1)
