"""Measure a text classifier's plans on test texts, beside linear models on words.

    python -m textclf.evaluate runs/reviews --data reviews.csv

Writes ``metrics.json`` (every number with its n) and the model card into the model's folder.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from textclf.bottleneck import Plan, lengths
from textclf.card import model_card
from textclf.engine import PRECISIONS, graph_path
from textclf.linear import least, linear_models
from textclf.model import Engine, TextClassifier
from textclf.tokens import batch
from training.command import command
from training.left_out import only_finite
from training.loop import require
from training.measure import commit, compare, machine, parameters
from training.progress import say
from training.report import listed
from training.runs import claimed, read_metrics
from training.texts import TextData, TextSplit, load_texts, subset

BATCH = 64


@dataclass(frozen=True)
class ModelAndTexts:
    """A trained model and texts of its classes.

    Args:
        model: folder, shipped name or Hub repository.
        data: data set: name, file or folder, as for training.
        text_column: columns of the text, joined by a space.
        label_column: column of the label.
        class_names: names for the labels, in their order.
        seed: of the data's split, as in training.
    """

    model: Annotated[str, tyro.conf.Positional]
    data: str
    text_column: tuple[str, ...] = ()
    label_column: str | None = None
    class_names: tuple[str, ...] = ()
    seed: int = 0

    def check(self) -> None:
        """``RunError`` for options that no data can make right."""

    def load(self, data: TextData | None = None) -> tuple[TextClassifier, Path, TextData]:
        """Model, its folder and the data, loaded already or not; ``ValueError`` if their classes differ."""
        self.check()
        model = TextClassifier.from_pretrained(self.model)
        data = data or load_texts(
            self.data,
            text=self.text_column,
            label=self.label_column,
            classes=self.class_names,
            among=model.classes,
            seed=self.seed,
        )
        refuse_other_classes(self.model, model, data)
        return model, model.folder or Path(self.model), data


def refuse_other_classes(name: str, model: TextClassifier, data: TextData) -> None:
    """``ValueError`` if the data's classes are not the model's, in their order."""
    if data.classes != model.classes:
        raise ValueError(
            f"{name} knows the classes {listed(model.classes, 5)}, but {data.name} has {listed(data.classes, 5)}: give "
            "data of the same classes, or the model's names for them with --class-names"
        )


@dataclass(frozen=True)
class Evaluate(ModelAndTexts):
    """Measure a model folder on a data set's test split.

    Args:
        test: how many test texts, at most.
        linear: also train the linear baselines: TF-IDF, words and characters, NB-SVM.
        rounds: of timing, in which every plan has its turn.
        terms: terms of use of the data, for the card; known for data sets by name.
        output: folder for the results; the model's own if left out.
    """

    test: int = 25_000
    linear: bool = True
    rounds: int = 10
    terms: str | None = None
    output: Path | None = None

    def check(self) -> None:
        require("--test", self.test, self.test >= 1, "at least 1")
        require("--rounds", self.rounds, self.rounds >= 1, "at least 1")


def classify(
    model: TextClassifier, texts: Sequence[str], plan: str | Iterable[int], engine: Engine = "torch"
) -> Tensor:
    """Log probabilities ``(N, K)``."""
    return model.predict(texts, plan, engine, BATCH).clamp(min=1e-9).log()


def classify_every(
    model: TextClassifier,
    texts: Sequence[str],
    plans: Sequence[Plan],
    size: int = 16,
    progress: Callable[[int], object] | None = None,
) -> dict[Plan, Tensor]:
    """Log probabilities ``(N, K)`` of each plan, in PyTorch; what plans have in common is computed once.

    Args:
        size: texts at once.
        progress: called with how many more texts are done.
    """
    order, device = sorted(set(plans)), model.head.weight.device
    found = {plan: torch.zeros(len(texts), len(model.classes)) for plan in order}
    pieces = model.tokens.ids(texts, model.config.longest, model.config.ends)
    by_length = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(pieces), size):
            rows = by_length[start : start + size]
            ids, mask = batch([pieces[i] for i in rows])
            for plan, logits in zip(order, model(ids.to(device), mask.to(device), order), strict=True):
                found[plan][rows] = logits.float().softmax(-1).clamp(min=1e-9).log().cpu()
            if progress is not None:
                progress(len(rows))
    return found


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Share of texts whose highest score is their label's."""
    return float((scores.argmax(-1) == labels).float().mean())


def calibration_error(log_p: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv:1706.04599): |confidence - accuracy| over equal bins."""
    confidence, predicted = log_p.exp().max(-1)
    right = (predicted == labels).float()
    place = (confidence * bins).long().clamp(max=bins - 1)
    gap = torch.zeros(bins).index_add(0, place, confidence - right)
    return float(gap.abs().sum() / len(labels))


def scores(log_p: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy with its standard error, negative log likelihood in nats, and calibration error."""
    right = accuracy(log_p, labels)
    return {
        "accuracy": right,
        "accuracy_std_error": math.sqrt(right * (1 - right) / len(labels)),
        "nll": float(F.nll_loss(log_p, labels)),
        "calibration_error": calibration_error(log_p, labels),
    }


def typical_length(model: TextClassifier, texts: Sequence[str]) -> int:
    """Median number of tokens that the model reads of a text."""
    pieces = model.tokens.ids(texts, model.config.longest, model.config.ends)
    return int(torch.tensor([float(len(p)) for p in pieces]).median())


def example(model: TextClassifier, tokens: int, size: int = 1) -> tuple[Tensor, Tensor]:
    """Random ids and mask of ``size`` texts, to time a plan with."""
    generator = torch.Generator().manual_seed(0)
    return batch([torch.randint(len(model.tokens), (tokens,), generator=generator) for _ in range(size)])


def plan_runs(
    model: TextClassifier,
    name: str,
    plan: Plan,
    tokens: int,
    engines: Iterable[Engine],
    size: int = 1,
    threads: int = 1,
) -> dict[Engine, Callable[[], object]]:
    """Engine -> a call of a plan, by its name where the model has one, on ``size`` texts of so many tokens."""
    inputs, named = example(model, tokens, size), name if name in model.plans else plan
    runners = {engine: model.runner(named, engine, threads) for engine in engines}
    return {e: lambda runner=runner: runner(*inputs) for e, runner in runners.items()}  # type: ignore[misc]


def timing(
    model: TextClassifier, plans: dict[str, Plan], tokens: int, rounds: int, size: int = 1, threads: int = 1
) -> dict[str, dict[str, float]]:
    """Median milliseconds of each named plan in every engine there is, in turns: plan -> engine -> ms."""
    runs: dict[str, Callable[[], object]] = {}
    for name, plan in plans.items():
        calls = plan_runs(model, name, plan, tokens, _engines(model, name), size, threads)
        runs |= {f"{name}/{engine}": call for engine, call in calls.items()}
    found: dict[str, dict[str, float]] = {}
    for key, latency in compare(runs, rounds=rounds, repeats=3, threads=threads).items():
        name, _, used = key.rpartition("/")
        found.setdefault(name, {})[used] = latency.median_ms
    return found


def _engines(model: TextClassifier, plan: str) -> list[Engine]:
    there = [p for p in PRECISIONS if model.folder and graph_path(model.folder, plan, p).is_file()]
    exported: list[Engine] = ["int8" if p == "int8" else "onnx" for p in there]
    return ["torch", *exported]


# The linear baselines ----------------------------------------------------------------------------------------------


WORD = re.compile(r"\b\w\w+\b")  # what TF-IDF counts


def left_out(data: TextData, options: Evaluate) -> dict[str, str]:
    """What these data do not let us measure, and why: known before a training begins."""
    if not options.linear:
        return {}
    shown, needed = int(data.train.labels.unique().numel()), least(data)
    if shown < len(data.classes):
        return {"linear": f"the training texts show {shown} of {len(data.classes)} classes"}
    seen: Counter[str] = Counter()
    for text in data.train.texts:
        found = set(WORD.findall(text.lower()))
        seen.update(found)
        if any(seen[word] >= needed for word in found):
            return {}
    many = "two training texts" if needed > 1 else "any training text"
    return {"linear": f"no word of two letters or more occurs in {many}, which TF-IDF would count"}


Hits = dict[str, Tensor]  # name of a plan or of an alternative -> which test texts it is right about (N,)


def linear_baselines(
    data: TextData,
    test: TextSplit,
    rounds: int = 10,
    strengths: Mapping[str, float] | None = None,
    hits: Hits | None = None,
) -> dict[str, Any]:
    """Each of :func:`textclf.linear.linear_models` on test texts, and the best on validation first.

    Milliseconds a text include its features. ``strengths`` as there; ``hits`` takes up what each is right about.
    """
    models = linear_models(data, strengths)
    right = {n: torch.as_tensor(model.predict(test.texts)) == test.labels for n, model in models.items()}
    if hits is not None:
        hits |= right
    text = sorted(test.texts, key=len)[len(test) // 2]
    times = compare({n: lambda m=m: m.predict([text]) for n, m in models.items()}, rounds=rounds)  # type: ignore[misc]
    found = {
        name: {
            "C": model.strength,
            "megabytes": model.megabytes,
            "validation_accuracy": model.validation_accuracy,
            "features": model.features,
            "accuracy": float(right[name].float().mean()),
            "latency_ms": times[name].median_ms,
        }
        for name, model in models.items()
    }
    best = max(found, key=lambda name: found[name]["validation_accuracy"])
    return {"name": best, "n": len(test), **found[best], "kinds": found}


# The command -------------------------------------------------------------------------------------------------------


def evaluate(
    model: TextClassifier,
    data: TextData,
    options: Evaluate,
    strengths: Mapping[str, float] | None = None,
    hits: Hits | None = None,
) -> dict[str, Any]:
    """Every number on the model card, as ``metrics.json`` holds them; ``strengths``, ``hits``: see linear_baselines."""
    test, missing = subset(data.test, options.test), left_out(data, options)
    tokens = typical_length(model, test.texts)
    plans = {name: facts.factors for name, facts in model.plans.items()}
    say(f"timing {len(plans)} plans")
    times = timing(model, plans, tokens, options.rounds)
    found: dict[str, Any] = {}

    @functools.cache
    def scored(plan: Plan, engine: Engine) -> dict[str, float]:
        """A plan that has two names is run once."""
        same = [name for name, named in plans.items() if named == plan]
        found = classify(model, test.texts, same[0], engine)
        if hits is not None and engine == "auto":
            hits.update(dict.fromkeys(same, found.argmax(-1) == test.labels))
        return scores(found, test.labels)

    for name, plan in plans.items():
        say(f"plan {name}: classifying {len(test):,} test texts")
        found[name] = {
            "factors": plan,
            "lengths": lengths(tokens, plan),
            "macs": model.macs(plan, tokens),
            "latency_ms": times[name],
            **scored(plan, "auto"),
        }
        if "int8" in times[name]:
            found[name]["int8"] = scored(plan, "int8")
    result: dict[str, Any] = {
        "n": len(test),
        "tokens": tokens,
        "plans": found,
        "parameters": parameters(model),
    }
    if options.linear and "linear" not in missing:
        say(f"training linear baselines on {len(data.train):,} texts")
        result["linear"] = linear_baselines(data, test, options.rounds, strengths, hits)
    return only_finite(result, missing)


def run(options: Evaluate) -> dict[str, Any]:
    """Evaluate a folder and write the results beside its weights; returns the metrics."""
    model, place, data = options.load()
    folder = options.output or place
    with claimed(folder):
        return measure(model, folder, data, options)


def measure(
    model: TextClassifier,
    folder: Path,
    data: TextData,
    options: Evaluate,
    strengths: Mapping[str, float] | None = None,
    more: Callable[[dict[str, Any], Hits], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """:func:`run` of a model and data that are loaded, in a folder that is claimed.

    Args:
        strengths: of linear baselines, where validation has chosen them.
        more: what to keep beside the test's results, of them and of what each was right about.
    """
    known, hits = read_metrics(folder), Hits()
    result: dict[str, Any] = {
        **{key: known[key] for key in ("training", "search", "fit") if key in known},
        "data": data.name,
        "terms": options.terms or data.terms,
        "test": evaluate(model, data, options, strengths, hits),
        "machine": machine(),
        "commit": commit(),
    }
    if more is not None:
        result |= more(result["test"], hits)
    model.save_pretrained(
        folder, half=True, metrics=result, card=model_card(folder.name, model.config, result)
    )
    return result


if __name__ == "__main__":
    command(Evaluate, run)
