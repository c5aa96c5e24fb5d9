"""What a template says of numbers, and what it leaves unsaid."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.claims.claim import SYSTEMS
from benchmarks.claims.words import FOLDER, fill, template

SEEDS = {"mean": 1.25, "std": 0.5, "n": 3}


@pytest.mark.parametrize(
    ("sentence", "numbers", "said"),
    [
        ("{rows[ours][nats]:.1f} nats", {"rows": {"ours": {"nats": SEEDS}}}, "1.2 nats"),
        ("{right:.0%}", {"right": 0.741}, "74 %"),
        ("{runs:.1f}", {"runs": [1.0, 2.0]}, "1.5"),
        ("{gain:.1f nats more|nats fewer}", {"gain": -2.04}, "2.0 nats fewer"),
        ("{gain:.1f nats more|nats fewer}", {"gain": 2.04}, "2.0 nats more"),
        ("{ratio:times faster|slower}", {"ratio": 2.5}, "2.5 times faster"),
        ("{ratio:times faster|slower}", {"ratio": 0.4}, "2.5 times slower"),
        ("{names}", {"names": ["a", "b", "c"]}, "a, b and c"),
        ("{costs:.1f nats}", {"costs": {"a": 1.0, "mean": 2.0}}, "a (1.0 nats) and mean (2.0 nats)"),
        ("{long}Long.", {"long": True}, "Long."),
    ],
)
def test_a_sentence_is_said_of_its_numbers(sentence: str, numbers: dict[str, Any], said: str) -> None:
    assert fill([sentence], numbers) == [said]


@pytest.mark.parametrize("missing", [None, False, [], {}, {"mean": None, "n": 1}])
def test_a_sentence_without_its_number_is_left_out(missing: Any) -> None:
    assert fill(["It is {a:.1f}.", "Otherwise: There is none.", "Last."], {"a": missing}) == [
        "There is none.",
        "Last.",
    ]


def test_only_the_first_of_several_ways_is_said() -> None:
    ways = ["One {a}.", "Otherwise: Two {b}.", "Otherwise: Three."]
    assert fill(ways, {"a": 1, "b": 2}) == ["One 1."]
    assert fill(ways, {"a": None, "b": 2}) == ["Two 2."]
    assert fill(ways, {"a": None, "b": None}) == ["Three."]


def test_a_sentence_is_said_of_each() -> None:
    lines = ["For each rows: {name} has {size:.0f} {unit}.", "Otherwise: There is none."]
    rows = [{"name": "a", "size": 1.0}, {"name": "b", "size": None}, {"name": "c", "size": 3.0}]
    assert fill(lines, {"rows": rows, "unit": "MB"}) == ["a has 1 MB.", "c has 3 MB."]
    assert fill(lines, {"rows": [], "unit": "MB"}) == ["There is none."]


def test_a_number_that_nobody_named_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill(["It is {nobody}."], {})


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=lambda path: path.stem)
def test_every_template_has_all_parts(path: Any) -> None:
    parts = template(path.stem)
    needed = ["Title", "System", "Claim", "Limits", "Tested on", "Runs", "Command"]
    assert list(parts) in (needed, [*needed, "Notes"])
    assert all(any(sentence.endswith(system) for system in SYSTEMS) for sentence in parts["System"])
    assert all(parts.values())
    assert max(map(len, path.read_text().splitlines())) <= 120
