"""A checkpoint comes back bit for bit, or is refused in one sentence."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny import Other, Tiny
from torch import Tensor

from weights import WeightsError

Damage = Callable[[Path], object]


def tensors(change: Callable[[dict[str, Tensor]], object]) -> Damage:
    """Damage that changes the tensors on disk."""

    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        state = safetensors.torch.load_file(path)
        change(state)
        path.write_bytes(safetensors.torch.save(state))

    return damage


def config(**changes: object) -> Damage:
    """Damage that changes keys of config.json; None removes one."""

    def damage(folder: Path) -> None:
        path = folder / "config.json"
        merged = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({key: value for key, value in merged.items() if value is not None}))

    return damage


def cut(at: int) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:at])

    return damage


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


REFUSALS: dict[str, tuple[Damage, str]] = {
    "missing tensor": (tensors(lambda s: s.pop("norm.bias")), "missing norm.bias"),
    "unexpected tensor": (tensors(lambda s: s.update(extra=torch.zeros(1))), "unexpected extra"),
    "both names of a tied tensor": (
        tensors(lambda s: s.update({"head.weight": s["embedding.weight"].clone()})),
        "unexpected head.weight",
    ),
    "re-shaped tensor": (
        tensors(lambda s: s.update({"norm.bias": torch.zeros(2, 2)})),
        r"'norm.bias' of shape \[2, 2\] where .* \[4\]",
    ),
    "float for int": (tensors(lambda s: s.update(counter=torch.tensor(2.0))), "float32 where torch.int64"),
    "int for float": (tensors(lambda s: s.update({"norm.bias": torch.zeros(4).int()})), "int32 where"),
    "NaN": (tensors(lambda s: s["norm.bias"].fill_(float("nan"))), "NaN or infinity in 'norm.bias'"),
    "infinity": (tensors(lambda s: s["norm.bias"].fill_(float("inf"))), "NaN or infinity in 'norm.bias'"),
    "half a file": (cut(-20), "damaged or incomplete"),
    "half a header": (cut(40), "damaged or incomplete"),
    "empty file": (cut(0), "damaged or incomplete"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.safetensors"),
    "pickle": (only_a_pickle, "pickle .*can run code"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
    "bad JSON": (lambda folder: (folder / "config.json").write_text('{"width":'), "not readable JSON"),
    "binary JSON": (lambda folder: (folder / "config.json").write_bytes(b"\xff\x00"), "not readable JSON"),
    "JSON list": (lambda folder: (folder / "config.json").write_text("[1]"), "list where a JSON object"),
    "unknown key": (config(depth=3), "unexpected depth"),
    "missing key": (config(width=None), "missing width"),
    "missing key with a default": (config(activation=None), "missing activation"),
    "bad value": (config(width=-1), "describes no Tiny .*width must be positive"),
    "bad type": (config(width="four"), "describes no Tiny"),
    "other library": (config(library="otherlib"), "holds a model of otherlib, not of tinylib"),
    "no library": (config(library=None), "names no library"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_refusal_is_one_sentence(kind: str, model: Tiny, tmp_path: Path) -> None:
    damage, message = REFUSALS[kind]
    damage(model.save_pretrained(tmp_path / "saved"))
    with pytest.raises(WeightsError, match=message) as caught:
        Tiny.from_pretrained(tmp_path / "saved")
    assert "\n" not in str(caught.value)


def test_round_trip_is_exact(model: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.train()
    loaded = Tiny.from_pretrained(model.save_pretrained(tmp_path / "deep" / "saved"))
    assert not loaded.training
    assert loaded.head.weight is loaded.embedding.weight
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    assert (loaded.save_pretrained(tmp_path / "again") / "model.safetensors").read_bytes() == (
        tmp_path / "deep" / "saved" / "model.safetensors"
    ).read_bytes()
    assert capsys.readouterr().out == ""


def test_half_is_float16_on_disk_and_float32_in_memory(model: Tiny, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "saved", half=True)
    stored = safetensors.torch.load_file(folder / "model.safetensors")
    assert {name: t.dtype for name, t in stored.items()} == {
        "counter": torch.int64,
        "embedding.weight": torch.float16,
        "norm.bias": torch.float16,
        "norm.weight": torch.float16,
    }
    loaded = Tiny.from_pretrained(str(folder))
    assert loaded.head.weight.dtype == torch.float32
    assert torch.equal(loaded.head.weight, model.head.weight.half().float())


def test_config_holds_arguments_and_library(tmp_path: Path) -> None:
    folder = Tiny(2, scales=[1.0]).save_pretrained(tmp_path / "saved", metrics={"nll": 1.5}, card="# Tiny\n")
    expected = {"library": "tinylib", "width": 2, "scales": [1.0], "activation": "relu"}
    assert json.loads((folder / "config.json").read_text()) == expected
    assert json.loads((folder / "metrics.json").read_text()) == {"nll": 1.5}
    assert (folder / "README.md").read_text() == "# Tiny\n"


@pytest.mark.parametrize(("value", "half"), [(float("nan"), False), (1e5, True)])
def test_save_refuses_what_could_not_be_loaded(model: Tiny, tmp_path: Path, value: float, half: bool) -> None:
    torch.nn.init.constant_(model.norm.bias, value)
    with pytest.raises(WeightsError, match="NaN or infinity in 'norm.bias'"):
        model.save_pretrained(tmp_path / "saved", half=half)
    assert not (tmp_path / "saved").exists()


def test_save_refuses_arguments_that_are_not_json(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing scales"):
        Tiny(2, scales={1.0, 2.0}).save_pretrained(tmp_path / "saved")  # type: ignore[arg-type]


def test_save_over_a_folder_keeps_other_files(model: Tiny, tmp_path: Path) -> None:
    folder = Tiny(2, scales=[]).save_pretrained(tmp_path / "saved")
    (folder / "notes.txt").write_text("mine")
    model.save_pretrained(folder)
    assert Tiny.from_pretrained(folder).head.weight.shape == (3, 4)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors", "notes.txt"]


@pytest.mark.parametrize("failing", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("exists", [True, False])
def test_full_disk_leaves_what_was_there(
    model: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, exists: bool
) -> None:
    if exists:
        model.save_pretrained(tmp_path / "saved")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == failing:
            write_bytes(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WeightsError, match="the disk is full"):
        Tiny(8, scales=[]).save_pretrained(tmp_path / "saved")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (tmp_path / "saved").exists() == exists


def test_save_where_a_file_is_says_so(model: Tiny, tmp_path: Path) -> None:
    (tmp_path / "saved").write_text("a file")
    with pytest.raises(WeightsError, match=re.escape(f"cannot write {tmp_path / 'saved'}")):
        model.save_pretrained(tmp_path / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_model_of_another_class_is_refused(model: Tiny, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds a model of tinylib, not of otherlib"):
        Other.from_pretrained(model.save_pretrained(tmp_path / "saved"))


def test_graphs_of_other_weights_do_not_answer_for_the_new_ones(tmp_path: Path) -> None:
    folder = Tiny(2, scales=[]).save_pretrained(tmp_path / "mine")
    model = Tiny.from_pretrained(folder)
    (folder / "model.onnx").write_bytes(b"graph")
    model.save_pretrained(folder, metrics={"accuracy": 0.5})
    assert (folder / "model.onnx").is_file()  # the same weights
    with torch.no_grad():
        next(model.parameters()).add_(1)
    model.save_pretrained(folder)
    assert not (folder / "model.onnx").exists()
