"""What the shipped classifiers say of the examples that the page shows, as visitors see it."""

from __future__ import annotations

import pytest

from demo.classify import examples
from demo.classify import scene as scenes
from demo.models.registry import Models

SAID = {
    "cnn-imagenet": {
        "t shirt": "The network says T-shirt",
        "jeans": "The network says jeans",
        "hoodie": "The network says sweatshirt",
        "shoes": "The network says slip-on shoe",
        "boots": "The network says cowboy boot",
        "denim skirt": "The network says jeans",  # of skirts it knows hoop skirts and miniskirts
        "cap": "It is not sure",  # nor does it know caps
        "page of text": "It is not sure",
    },
    "cnn-cifar10": {
        "ship": "Both say ship",
        "airplane": "Both say airplane",
        "car": "Both say automobile",
        "bird": "Both say bird",
        "cat": "It is not sure",
        "horse": "Both say horse",
        "frog": "Both say frog",
    },
}


@pytest.mark.parametrize("name", SAID)
def test_examples_are_answered_as_they_were_chosen_for(name: str) -> None:
    loaded = Models().classifier(name)
    shown = examples.names(scenes.example_kind(loaded))
    for index, example in enumerate(shown):
        if example in SAID[name]:
            assert scenes.words(scenes.from_example(loaded, index)).startswith(SAID[name][example])
