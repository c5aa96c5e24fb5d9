"""Claim: what a text model's plans are worth beside what a practitioner would use instead.

    python -m benchmarks.text_alternatives --model text-imdb --data imdb --skip 5000 --test 8000

In one process, on the same test texts: each named plan, the full length on texts cut to their first and last tokens
(not retrained), linear models on words, and a logistic regression on two kinds of embeddings of the same backbone, its
own mean-pooled ones and static ones that model2vec distils from it (Tulkens & van Dongen 2024). Whatever has a strength
has it chosen on validation. Milliseconds are a text's, tokens and features included, one thread, all in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.claims.text_alternatives import COLUMNS, Way
from benchmarks.text_latency import short_name
from benchmarks.tools.tables import Rows, markdown, write
from textclf.encoder import backbone_folder, from_backbone
from textclf.engine import Run
from textclf.linear import linear_models
from textclf.model import Engine, TextClassifier
from textclf.tokens import Tokens, batch
from training.command import command
from training.measure import commit, compare, machine
from training.texts import TextData, TextSplit, load_texts, subset

CLOCK = 32  # test texts, of all lengths, that every way is timed on
BATCH = 32
STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # of the logistic regressions

Predict = Callable[[Sequence[str]], Tensor]  # texts -> class indices (N,)
Embed = Callable[[Sequence[str]], Any]  # texts -> (N, H)


@dataclass(frozen=True)
class TextAlternatives:
    """Measure a model's plans and the alternatives on the same test texts.

    Args:
        model: a model with named plans and their ONNX graphs.
        data: labelled texts: name or file.
        skip: test texts that earlier evaluations looked at (the sample of that size), left out here.
        test: test texts, at most.
        cuts: tokens that the full length is given, from both ends of a text.
        backbone: of the embeddings.
        output: results; named after the model if left out.
    """

    model: str
    data: str
    skip: int = 0
    test: int = 8000
    cuts: tuple[int, ...] = (160, 128, 96, 64)
    backbone: str = "minilm"
    output: Path | None = None


def unseen(split: TextSplit, skip: int, count: int) -> TextSplit:
    """``count`` texts, from each class its share, of those that ``subset(split, skip)`` leaves."""
    seen = set(subset(split, skip).texts) if skip else set()
    rows = [i for i, text in enumerate(split.texts) if text not in seen]
    return subset(TextSplit([split.texts[i] for i in rows], split.labels[rows]), count)


def plan_predictor(model: TextClassifier, run: Run, tokens: int) -> Predict:
    """A plan on texts cut to ``tokens`` tokens, the middle left out, as the model leaves it out of longer ones."""

    def predict(texts: Sequence[str]) -> Tensor:
        pieces = model.tokens.ids(texts, tokens, model.config.ends)
        found = torch.zeros(len(texts), dtype=torch.long)
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))  # little padding
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            found[rows] = run(*batch([pieces[i] for i in rows])).argmax(-1)
        return found

    return predict


def mean_pooled(backbone: str, longest: int) -> Embed:
    """The frozen backbone's last layer, averaged over the tokens of texts cut at ``longest``."""
    folder = backbone_folder(backbone)
    encoder, tokens = from_backbone(folder), Tokens.from_folder(folder)

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> Any:
        pieces = tokens.ids(texts, longest, False)
        found = np.zeros((len(texts), encoder.config.hidden), np.float32)
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            ids, mask = batch([pieces[i] for i in rows])
            states = encoder(ids, mask)  # (B, N, H)
            found[rows] = ((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).numpy()
        return found

    return embed


def static(backbone: str) -> Embed:
    """A vector a token, distilled from the backbone by model2vec; a text is their mean.

    Raises:
        ValueError: the package is missing.
    """
    if find_spec("model2vec") is None:
        raise ValueError("static embeddings come with a package: pip install 'model2vec[distill]'")
    from model2vec.distill import distill

    return distill(str(backbone_folder(backbone))).encode


def probe(data: TextData, embed: Embed) -> Predict:
    """Logistic regression on standardised embeddings, its strength chosen on validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, held = embed(data.train.texts), embed(data.validation.texts)
    heads = [
        make_pipeline(StandardScaler(), LogisticRegression(C=1 / c, max_iter=1000)).fit(
            train, data.train.labels
        )
        for c in STRENGTHS
    ]
    best = max(heads, key=lambda head: head.score(held, data.validation.labels))
    return lambda texts: torch.as_tensor(best.predict(embed(texts)))


def ways(model: TextClassifier, data: TextData, options: TextAlternatives) -> dict[Way, Predict]:
    """Every way to classify, ours first."""
    longest = model.config.longest
    engines: tuple[Engine, ...] = ("onnx", "int8")
    found = {
        Way("plan", plan, engine): plan_predictor(model, model.runner(plan, engine, 1), longest)
        for engine in engines
        for plan in model.plans
    }
    full = model.runner("full", "onnx", 1)
    for cut in options.cuts:
        if cut < longest:
            found[Way("plan", "full", "onnx", cut)] = plan_predictor(model, full, cut)
    for name, linear in linear_models(data).items():
        found[Way("other", name)] = lambda texts, linear=linear: torch.as_tensor(linear.predict(texts))  # type: ignore[misc]
    found[Way("other", "frozen embeddings")] = probe(data, mean_pooled(options.backbone, longest))
    found[Way("other", "static embeddings")] = probe(data, static(options.backbone))
    return found


def rows_of(found: dict[Way, Predict], test: TextSplit) -> Rows:
    """Accuracy, how much it is ahead of the plan "balanced" with the standard error of that, and milliseconds."""
    right = {way: (predict(test.texts) == test.labels).float() for way, predict in found.items()}
    clock = sorted(test.texts, key=len)[:: max(1, len(test) // CLOCK)][:CLOCK]
    calls = {w.title: lambda p=p: [p([text]) for text in clock] for w, p in found.items()}  # type: ignore[misc]
    times = compare(calls, rounds=4, repeats=1, warmup=1)
    rows: Rows = {}
    for way, hits in right.items():
        ahead = 100 * (hits - right[Way("plan", "balanced", "onnx")])
        rows[way.title] = {
            **way._asdict(),
            "accuracy": float(hits.mean()),
            "ahead": float(ahead.mean()),
            "ahead_std_error": float(ahead.std() / len(ahead) ** 0.5),
            "ms": times[way.title].median_ms / len(clock),
        }
    return rows


def run(options: TextAlternatives) -> None:
    """Measure, print and keep."""
    torch.set_num_threads(1)
    model = TextClassifier.from_pretrained(options.model)
    data = load_texts(options.data, classes=model.classes)
    test = unseen(data.test, options.skip, options.test)
    facts = {"model": Path(options.model).name, "data": short_name(options.data), "n": len(test)}
    facts |= {"skipped": options.skip, "timed_on": CLOCK}
    rows = rows_of(ways(model, data, options), test)
    output = options.output or Path(f"benchmarks/results/text_alternatives_{facts['model']}.json")
    write(output, {**facts, "machine": machine(), "commit": commit(), "rows": rows})
    markdown(rows, COLUMNS)


if __name__ == "__main__":
    command(TextAlternatives, run)
