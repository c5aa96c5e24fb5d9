"""Every listed network: it answers, its size is the published one, and a tied one is smaller than its dense twin."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from classifiers import create_network, list_networks
from classifiers.networks import Whiten, dense_name, native_size, penultimate
from training.measure import macs, parameters

PUBLISHED = {  # parameters; ImageNet forms as in torchvision, CIFAR forms with 10 classes
    "resnet20": (10, 269_722),
    "airbench": (
        10,
        1_972_802,
    ),  # with weights of the norms, and a bias of the linear layer, that the paper has not
    "resnet56": (10, 853_018),
    "wrn16-4": (10, 2_748_890),
    "mobilenetv2": (10, 2_236_682),
    "imagenet-resnet18": (1000, 11_689_512),
    "imagenet-resnet50": (1000, 25_557_032),
    "imagenet-mobilenetv2": (1000, 3_504_872),
    "imagenet-efficientnet-b0": (1000, 5_288_548),
    "efficientnet-lite0": (1000, 4_652_008),
}


@cache
def costs(dense: str, size: int) -> tuple[int, int]:
    """Parameters and multiply-accumulates of a network that several tied ones are compared with."""
    network = create_network(dense, classes=7).eval()
    return parameters(network), macs(network, torch.zeros(1, 3, size, size))


@pytest.mark.parametrize("name", list_networks())
def test_every_network_answers_and_ties_save(name: str) -> None:
    size = 32 if native_size(name) == 32 else 64  # small, for time; means do not mind
    network = create_network(name, classes=7).eval()
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        features = penultimate(network, x)
        assert network(x).shape == (2, 7)
    assert features.shape[0] == 2
    if dense_name(name) != name:
        most = costs(dense_name(name), size)
        assert parameters(network) < most[0]
        assert macs(network, x[:1]) <= most[1]


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_sizes_are_the_published_ones(name: str, published: tuple[int, int]) -> None:
    classes, count = published
    assert parameters(create_network(name, classes)) == count


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_patches_are_uncorrelated_and_of_unit_variance(channels: int) -> None:
    pixels = torch.randn(200, channels, 9, 9).cumsum(-1)  # neighbours are alike
    whiten = Whiten(channels)
    whiten.fit(pixels, least=0.0)
    assert whiten.bias is not None
    maps = (whiten(pixels) - whiten.bias[:, None, None]).transpose(0, 1)
    half, negative = maps.flatten(1).chunk(2)
    torch.testing.assert_close(half @ half.T / half.shape[1], torch.eye(4 * channels), rtol=0, atol=1e-3)
    torch.testing.assert_close(negative, -half)
    assert not whiten.weight.requires_grad


def test_patterns_widths_and_grey_pictures() -> None:
    assert list_networks("wrn16-4:b*") == ["wrn16-4:blueprint", "wrn16-4:blueprint-4", "wrn16-4:block-2"]
    assert list_networks("none such") == []
    half, full = (parameters(create_network(n)) for n in ("resnet20@0.5", "resnet20"))
    assert 3.7 < full / half < 4.1
    assert create_network("resnet20@0.5:blueprint", 3, channels=1).eval()(
        torch.randn(1, 1, 28, 28)
    ).shape == (1, 3)


@pytest.mark.parametrize(
    "name", ["resnet21", "wrn16-4:glue", "resnet20@0", "resnet20@99", "", "wrn16-4:", "a:b:c"]
)
def test_unknown_names_are_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(ValueError, match="unknown|width"):
        create_network(name)


def test_a_network_is_the_same_for_the_same_seed() -> None:
    torch.manual_seed(3)
    first = create_network("resnet20:kronecker-4")
    torch.manual_seed(3)
    second = create_network("resnet20:kronecker-4")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
