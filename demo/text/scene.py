"""A text and what a classifier says of it at every plan: answers, words, costs, and how it is written into a link."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

import torch

from demo import timing
from demo.models.outside import as_arguments
from demo.models.reader import Reader, Stop
from demo.models.stops import USUAL
from demo.text import examples
from demo.types import Values
from demo.uploads.texts import read_text
from demo.uploads.values import UploadError, read_integer
from demo.words import percent
from textclf import Trace
from textclf.bottleneck import Plan
from textclf.tokens import Piece, batch
from weights.kept import kept_with_first

IN_LINK = 600  # characters of a text that a link may hold
SHORT = 128  # tokens up to which every plan is traced ahead of the visitor's choice


class Cost(NamedTuple):
    """Of this text at one plan: milliseconds on this machine, round by round, and multiply-accumulates."""

    rounds: timing.Rounds
    macs: int


@dataclass(frozen=True)
class Findings:
    """What is found out about a text after its answer is shown, by plan."""

    model: str
    text: str
    traces: Mapping[str, Trace] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What a visitor looks at.

    Args:
        start: where the text came from: paste or example-NUMBER.
        plan: the name of a stop.
        piece: the text as the network sees it; None without a text.
        answers: stop -> probabilities of the classes.
    """

    model: str
    start: str
    text: str
    plan: str
    piece: Piece | None = None
    answers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def probabilities(self) -> tuple[float, ...]:
        """At the plan that is chosen."""
        return self.answers[self.plan]

    @property
    def tokens(self) -> int:
        return len(self.piece.ids) if self.piece else 0


class Word(NamedTuple):
    """Characters of the text without a gap between them, and their tokens."""

    start: int
    end: int
    tokens: tuple[int, ...]


# ---- where a reading comes from ----


def read(loaded: Reader, text: str, start: str = "paste", plan: str = USUAL) -> Reading:
    """Classify a text at every plan, so that a change of plan waits for nothing."""
    chosen = loaded.stop(plan).name
    if not text.strip():
        return Reading(loaded.name, start, "", chosen)
    piece = tokenized(loaded, text)
    answers = {stop.name: answer(loaded, stop, piece) for stop in loaded.stops}
    return Reading(loaded.name, start, text, chosen, piece, answers)


def tokenized(loaded: Reader, text: str) -> Piece:
    """What the network sees of a text."""
    config = loaded.model.config
    (piece,) = loaded.model.tokens.encode([text], config.longest, config.ends)
    return piece


def answer(loaded: Reader, stop: Stop, piece: Piece) -> tuple[float, ...]:
    """Probabilities of the classes at one plan."""
    return tuple(as_call(loaded, stop, piece)().softmax(-1)[0].tolist())


def as_call(loaded: Reader, stop: Stop, piece: Piece) -> Callable[[], torch.Tensor]:
    """Logits of a text at one plan, as something to time."""
    ids, mask = batch([torch.tensor(piece.ids)])
    return partial(loaded.run(stop), ids, mask)


def from_example(loaded: Reader, index: int, plan: str = USUAL) -> Reading:
    """One of our texts that suits the model."""
    text = examples.of(loaded.model.classes)[index].text
    return read(loaded, text, f"example-{index + 1}", plan)


@kept_with_first(4)
def example_names(loaded: Reader) -> tuple[str, ...]:
    """What the examples are called: one that a plan gets wrong is shown as such."""
    names = []
    for name, text, label in examples.of(loaded.model.classes):
        said = {loaded.model.classes[best(p)].lower() for p in read(loaded, text).answers.values()}
        known = label.lower() in (c.lower() for c in loaded.model.classes)
        fails = known and said != {label.lower()}
        names.append(f"Where it fails: {name[0].lower()}{name[1:]}" if fails else name)
    return tuple(names)


def opening(loaded: Reader) -> Reading:
    """What the tab opens with."""
    return from_example(loaded, 0)


def with_model(scene: Reading, loaded: Reader) -> Reading:
    """A visitor's text read by another model; one of its own examples otherwise."""
    return read(loaded, scene.text) if scene.start == "paste" else opening(loaded)


def with_plan(scene: Reading, loaded: Reader, plan: str) -> Reading:
    """The same text at another plan."""
    return replace(scene, plan=loaded.stop(plan).name)


# ---- what follows the answer ----


def known(findings: Findings | None, scene: Reading) -> Findings:
    """What was found out about this text; nothing yet where it was another."""
    if findings and (findings.model, findings.text) == (scene.model, scene.text):
        return findings
    return Findings(scene.model, scene.text)


def traced(findings: Findings, loaded: Reader, plan: str) -> Findings:
    """Also which words ended in which slot at a plan, and what each contributed; computed once."""
    stop = loaded.stop(plan)
    if stop.name in findings.traces:
        return findings
    trace = loaded.model.trace(findings.text, stop.facts.factors)
    return replace(findings, traces={**findings.traces, stop.name: trace})


def measured(findings: Findings, scene: Reading, loaded: Reader) -> Findings:
    """Also what the text takes at every plan, all taking turns; measured once."""
    if scene.piece is None or findings.costs:
        return findings
    calls = {stop.name: as_call(loaded, stop, scene.piece) for stop in loaded.stops}
    times = timing.rounds(calls)
    macs = {stop.name: loaded.macs(stop, scene.tokens) for stop in loaded.stops}
    return replace(findings, costs={name: Cost(times[name], macs[name]) for name in calls})


# ---- the text ----


def words(piece: Piece) -> list[Word]:
    """Runs of tokens without a gap between their characters, in order."""
    runs: list[Word] = []
    for token, span in enumerate(piece.spans):
        if span is None:
            continue
        if runs and span[0] <= runs[-1].end:
            runs[-1] = Word(runs[-1].start, max(runs[-1].end, span[1]), (*runs[-1].tokens, token))
        else:
            runs.append(Word(*span, (token,)))
    return runs


def unread(scene: Reading, loaded: Reader) -> tuple[int, int]:
    """Characters (start, end) that the network does not see; empty where it sees all."""
    config, piece = loaded.model.config, scene.piece
    if piece is None or len(piece.ids) < config.longest:
        return 0, 0
    spans = [span for span in piece.spans if span is not None]
    start, end = spans[-1][1], len(scene.text.rstrip())
    if config.ends:
        head = (config.longest - 2) // 4
        start, end = spans[head - 1][1] if head else 0, spans[head][0]
    return (start, end) if scene.text[start:end].strip() else (0, 0)


def slots(tokens: int, plan: Plan) -> list[int]:
    """Slots that hold tokens of a text in each layer that runs, [CLS] included."""
    rest, counts = tokens - 1, []
    for factor in plan:
        rest = -(-rest // factor)
        counts.append(1 + rest)
    return counts


def is_strange(scene: Reading, loaded: Reader) -> bool:
    """Whether the text is unlike the training texts by its words; never of a model that does not know theirs."""
    scope = loaded.model.scope
    if scope is None or scene.piece is None:
        return False
    return float(loaded.model.strangeness([scene.text])[0]) > scope.limit


# ---- in words ----


def best(probabilities: Sequence[float]) -> int:
    """Index of the likeliest class."""
    return max(range(len(probabilities)), key=probabilities.__getitem__)


def in_words(scene: Reading, loaded: Reader) -> str:
    """The answer, and whether the full length would say otherwise."""
    classes, full = loaded.model.classes, scene.answers[loaded.full.name]
    label, other = best(scene.probabilities), best(full)
    said = f"{classes[label]}, {percent(scene.probabilities[label])}."
    if label == other:
        return said
    return f"{said} At full length: {classes[other]}, {percent(full[other])}."


def how_much_was_read(scene: Reading, loaded: Reader) -> str:
    """A sentence for a text that is longer than the network reads; empty for others."""
    start, end = unread(scene, loaded)
    if start == end:
        return ""
    total, limit = len(scene.text), loaded.model.config.longest
    where = "its start and its end" if end < len(scene.text.rstrip()) else "its start"
    return (
        f"This text is longer than the {limit} tokens that the model reads. It was classified by {where}: "
        f"{total - (end - start):,} of {total:,} characters."
    )


# ---- what one can take away ----


def as_query(scene: Reading) -> str:
    """The URL query; it holds the text where that is short."""
    query = {"tab": "text", "model": scene.model, "plan": scene.plan}
    if scene.start != "paste":
        return urlencode(query | {"start": scene.start})
    return urlencode(query | {"text": scene.text} if 0 < len(scene.text) <= IN_LINK else query)


def from_query(query: Mapping[str, str], loaded: Reader) -> Reading:
    """The reading that a link describes; ``UploadError`` for a value that no link of ours holds."""
    plan, start = query.get("plan", USUAL), query.get("start", "example-1")
    if "text" in query:
        return read(loaded, read_text(query["text"]), plan=plan)
    if not start.startswith("example-"):
        raise UploadError("The link does not say what to start from: start is example-1, example-2, ...")
    count = len(examples.of(loaded.model.classes))
    index = read_integer(start.removeprefix("example-"), "The example in the link", 1, count)
    return from_example(loaded, index - 1, plan)


def as_json(scene: Reading, loaded: Reader) -> Values:
    """The answer in plain numbers."""
    return {
        "model": scene.model,
        "classes": list(loaded.model.classes),
        "probabilities": dict(zip(loaded.model.classes, scene.probabilities, strict=True)),
        "plan": scene.plan,
        "tokens": scene.tokens,
    }


def as_python(scene: Reading, loaded: Reader) -> str:
    """A program that asks the same."""
    classes, expected = loaded.model.classes, ""
    if scene.piece is not None:
        label = best(scene.probabilities)
        expected = f"  # for the text shown: {classes[label]} {scene.probabilities[label]:.2f}"
    return f"""from textclf import TextClassifier

model = TextClassifier.from_pretrained({as_arguments(scene.model)})
text = open("text.txt", encoding="utf-8").read()

# (1, {len(classes)}) probabilities; plans: {", ".join(stop.name for stop in loaded.stops)}
probabilities = model.predict([text], plan="{scene.plan}")[0]
best = model.classes[probabilities.argmax()]{expected}

# Which words ended in which slot, and what each contributed
trace = model.trace(text, plan="{scene.plan}")
"""
