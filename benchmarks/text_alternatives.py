"""Claim: what a text model's plans are worth beside what a practitioner would use instead.

    python -m benchmarks.text_alternatives text-imdb --data imdb --skip 5000 --test 2500

In one process, on the same test texts: each named plan; the full length on cut texts, their start alone or start and
end (not retrained); the full length left early, at the first layer that is sure (DeeBERT, Xin et al. 2020); linear
models on words; and a logistic regression on two kinds of embeddings of the same backbone, its own mean-pooled ones and
static ones that model2vec distils from it (Tulkens & van Dongen 2024). Whatever has a strength has it chosen on
validation. Milliseconds are a text's, tokens and features included, one thread, all in turns. What was computed lies in
``--runs``, and a killed run goes on with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.claims.text_alternatives import COLUMNS, REFERENCE, Way, titled
from benchmarks.text_latency import short_name
from benchmarks.tools.tables import Rows, markdown, write
from textclf.encoder import Encoder, backbone_folder, from_backbone
from textclf.engine import PRECISIONS, Run, graph_path
from textclf.evaluate import ModelAndTexts
from textclf.export import in_session, plan_graph, traced
from textclf.linear import linear_models
from textclf.model import Engine, TextClassifier
from textclf.tokens import Tokens, batch
from training.command import command
from training.measure import commit, compare, machine
from training.progress import say
from training.texts import TextData, TextSplit, subset
from weights.checkpoint import WEIGHTS

CLOCK = 32  # test texts, of all lengths, that every way is timed on
BATCH = 8
STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # of the logistic regressions
LOSS = 0.005  # of validation accuracy, that leaving early may cost: what "balanced" may
ENGINES: tuple[Engine, ...] = ("onnx", "int8")

Predict = Callable[[Sequence[str]], Tensor]  # texts -> class indices (N,)
Embed = Callable[[Sequence[str]], Any]  # texts -> (N, H)
Pieces = Callable[[Sequence[str]], list[Tensor]]  # texts -> token ids of each


@dataclass(frozen=True)
class TextAlternatives(ModelAndTexts):
    """Measure a model's plans and the alternatives on the same test texts.

    Args:
        model: with named plans and their ONNX graphs: folder or shipped name.
        skip: test texts that earlier evaluations looked at (the sample of that size), left out here.
        test: test texts, at most.
        cuts: tokens that the full length is given of a text.
        taught: training texts, and validation texts, that frozen embeddings and early exits learn from, at most.
        backbone: of the embeddings.
        runs: folder of what was computed already.
        output: results; named after the model if left out.
    """

    skip: int = 0
    test: int = 8000
    cuts: tuple[int, ...] = (160, 128, 96, 64)
    taught: int = 6000
    backbone: str = "minilm"
    runs: Path = Path("runs")
    output: Path | None = None


class Made(NamedTuple):
    """One way to classify.

    Args:
        predict: texts -> class indices.
        megabytes: of the files that it needs.
        answer: one text, for the clock, where that is not ``predict``.
    """

    predict: Predict
    megabytes: float
    answer: Callable[[str], object] | None = None


class Kept:
    """Arrays in a folder, computed where they are not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, make: Callable[[], Any]) -> Any:
        """The array of this name."""
        path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.npy"
        if not path.exists():
            say(name)
            self.folder.mkdir(parents=True, exist_ok=True)
            found = np.asarray(make())
            part = path.with_suffix(".part.npy")
            np.save(part, found)
            part.replace(path)
        return np.load(path)


def unseen(split: TextSplit, skip: int, count: int) -> TextSplit:
    """``count`` texts, from each class its share, of those that ``subset(split, skip)`` leaves."""
    seen = set(subset(split, skip).texts) if skip else set()
    rows = [i for i, text in enumerate(split.texts) if text not in seen]
    return subset(TextSplit([split.texts[i] for i in rows], split.labels[rows]), count)


def batches(pieces: Sequence[Tensor]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Rows, ids and mask of a few texts at a time, short ones first: little padding."""
    order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        yield rows, *batch([pieces[i] for i in rows])


# Plans -------------------------------------------------------------------------------------------------------------


def plan_predictor(run: Run, pieces: Pieces) -> Predict:
    """A plan on the tokens that ``pieces`` takes of each text."""

    def predict(texts: Sequence[str]) -> Tensor:
        found = torch.zeros(len(texts), dtype=torch.long)
        for rows, ids, mask in batches(pieces(texts)):
            found[rows] = run(ids, mask).argmax(-1)
        return found

    return predict


def reading(model: TextClassifier, longest: int, ends: bool) -> Pieces:
    """The model's tokens of texts, longer ones cut: their start, or start and end."""
    return lambda texts: model.tokens.ids(texts, longest, ends)


def plans(model: TextClassifier) -> dict[Way, Made]:
    """Each named plan in each precision."""
    pieces = reading(model, model.config.longest, model.config.ends)
    return {
        Way("plan", plan, engine): Made(
            plan_predictor(model.runner(plan, engine, 1), pieces), plan_size(model, plan, engine)
        )
        for engine in ENGINES
        for plan in model.plans
    }


def plan_size(model: TextClassifier, plan: str, engine: Engine) -> float:
    """Megabytes of the weights and the graph."""
    assert model.folder is not None
    graph = graph_path(model.folder, plan, PRECISIONS[engine == "int8"])
    return sum(path.stat().st_size for path in (model.folder / WEIGHTS, graph)) / 1e6


def cut(model: TextClassifier, cuts: Sequence[int]) -> dict[Way, Made]:
    """The full length in int8, its fastest form, on texts cut to their start, or to start and end."""
    run, size = model.runner("full", "int8", 1), plan_size(model, "full", "int8")
    return {
        Way("plan", "full", "int8", tokens, ends): Made(
            plan_predictor(run, reading(model, tokens, ends)), size
        )
        for tokens in cuts
        if tokens < model.config.longest
        for ends in (False, True)
    }


# Leaving early -----------------------------------------------------------------------------------------------------


class EarlyExit:
    """The full length with a logistic regression on each layer, left at the first that is sure enough.

    What exits cost is taken for nothing: a text takes as long as the encoder up to its layer.
    """

    def __init__(self, model: TextClassifier, data: TextData, taught: int, kept: Kept) -> None:
        self.model, self.kept = model, kept
        learned, held = (subset(split, taught) for split in (data.train, data.validation))
        x, labels = self.features(learned.texts), learned.labels.numpy()
        self.heads = [logistic(x[:, depth], labels, 1.0) for depth in range(model.config.layers)]
        probabilities = self.probabilities(held.texts)
        self.sure = threshold(probabilities, held.labels.numpy())
        self.runs = [
            in_session(plan_graph(model, (1,) * (depth + 1)).SerializeToString())
            for depth in range(model.config.layers)
        ]
        self.known: dict[str, int] = {}  # text -> layer at which it is left, from 0

    def features(self, texts: Sequence[str]) -> Any:
        """``(N, layers, 2 H)``: [CLS] and the mean over tokens after each layer."""
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
        return self.kept(f"each layer's states, {len(texts):,} texts ({digest})", lambda: self._states(texts))

    @torch.inference_mode()
    def _states(self, texts: Sequence[str]) -> Any:
        model = self.model
        found = np.zeros((len(texts), model.config.layers, 2 * model.config.hidden), np.float16)
        pieces = reading(model, model.config.longest, model.config.ends)(texts)
        for rows, ids, mask in batches(pieces):
            x = model.encoder.embed(ids)
            for depth, layer in enumerate(model.encoder.layers):
                x = layer(x, mask)
                found[rows, depth] = torch.cat([x[:, 0], mean(x, mask)], -1).numpy()
        return found

    def probabilities(self, texts: Sequence[str]) -> Any:
        """``(N, layers, K)``; the last layer's are the model's own."""
        x = self.features(texts).astype(np.float32)
        early = [head.predict_proba(x[:, depth]) for depth, head in enumerate(self.heads[:-1])]
        with torch.inference_mode():
            last = self.model.eval().head(torch.from_numpy(x[:, -1])).softmax(-1).numpy()
        return np.stack([*early, last], 1)

    def predict(self, texts: Sequence[str]) -> Tensor:
        """Class indices (N,)."""
        found = self.probabilities(texts)
        depths = exits(found, self.sure)
        self.known |= dict(zip(texts, depths.tolist(), strict=True))
        return torch.as_tensor(found[np.arange(len(texts)), depths].argmax(-1))

    def answer(self, text: str) -> object:
        """As much work as one text takes, which ``predict`` has seen."""
        model = self.model
        return self.runs[self.known[text]](
            *batch(model.tokens.ids([text], model.config.longest, model.config.ends))
        )


def exits(probabilities: Any, sure: float) -> Any:
    """The first layer, from 0, whose largest probability is ``sure`` or more, else the last: (N, L, K) -> (N,)."""
    enough = probabilities.max(-1) >= sure
    enough[:, -1] = True
    return enough.argmax(1)


def threshold(probabilities: Any, labels: Any) -> float:
    """The least sureness to leave at that costs at most ``LOSS`` of accuracy; above 1: never leave."""

    def right(sure: float) -> float:
        chosen = probabilities[np.arange(len(labels)), exits(probabilities, sure)]
        return float((chosen.argmax(-1) == labels).mean())

    least = right(2.0) - LOSS
    steps = [float(s) for s in np.arange(0.5, 1.0, 0.005)]
    return next((sure for sure in steps if right(sure) >= least), 2.0)


def mean(x: Tensor, mask: Tensor) -> Tensor:
    """``x`` (B, N, H) over the tokens that ``mask`` (B, N) shows -> (B, H)."""
    return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


# Embeddings --------------------------------------------------------------------------------------------------------


class MeanPooled(nn.Module):
    """An encoder's last layer, averaged over tokens."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, N) both -> (B, H)."""
        return mean(self.encoder(ids, mask), mask)


def frozen(backbone: str, longest: int) -> tuple[Embed, float]:
    """The frozen backbone in ONNX Runtime on texts cut at ``longest`` tokens, and its megabytes."""
    folder = backbone_folder(backbone)
    tokens, encoder = Tokens.from_folder(folder), from_backbone(folder)
    graph = traced(
        MeanPooled(encoder), (torch.zeros(2, 9, dtype=torch.long), torch.ones(2, 9)), ("ids", "mask")
    )
    run = in_session(graph.SerializeToString())

    def embed(texts: Sequence[str]) -> Any:
        found = np.zeros((len(texts), encoder.config.hidden), np.float32)
        for rows, ids, mask in batches(tokens.ids(texts, longest, False)):
            found[rows] = run(ids, mask)[0]
        return found

    return embed, (folder / "model.safetensors").stat().st_size / 1e6


def static(backbone: str, folder: Path) -> tuple[Embed, float]:
    """A vector a token, distilled from the backbone by model2vec into ``folder``; a text is their mean.

    Raises:
        ValueError: the package is missing.
    """
    if find_spec("model2vec") is None:
        raise ValueError("static embeddings come with a package: pip install 'model2vec[distill]'")
    from model2vec import StaticModel
    from model2vec.distill import distill

    if not folder.exists():
        distill(str(backbone_folder(backbone))).save_pretrained(folder)
    found = StaticModel.from_pretrained(folder)
    return found.encode, found.embedding.nbytes / 1e6


def probe(data: TextData, embed: Embed, name: str, kept: Kept) -> Predict:
    """Logistic regression on standardised embeddings, its strength chosen on validation."""
    train, held = (
        kept(f"{name} of {len(s):,} texts", partial(embed, s.texts)) for s in (data.train, data.validation)
    )
    heads = [logistic(train, data.train.labels.numpy(), c) for c in STRENGTHS]
    best = max(heads, key=lambda head: head.score(held, data.validation.labels))
    return lambda texts: torch.as_tensor(best.predict(embed(texts)))


def logistic(x: Any, labels: Any, strength: float) -> Any:
    """Logistic regression on standardised numbers; the more ``strength``, the smaller its weights."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = make_pipeline(StandardScaler(), LogisticRegression(C=1 / strength, max_iter=1000))
    return head.fit(x.astype(np.float32), labels)


# The command -------------------------------------------------------------------------------------------------------


def ways(model: TextClassifier, data: TextData, options: TextAlternatives, kept: Kept) -> dict[Way, Made]:
    """Every way to classify, ours first."""
    longest = model.config.longest
    found = {**plans(model), **cut(model, options.cuts)}
    early = EarlyExit(model, data, options.taught, kept)
    weights = plan_size(model, "full", "onnx")
    found[Way("other", "full, left early", "onnx")] = Made(early.predict, weights, early.answer)
    say(f"training linear models on {len(data.train):,} texts")
    for name, linear in linear_models(data).items():
        found[Way("other", name)] = Made(_predictor(linear.predict), linear.megabytes)
    train, held = (subset(split, options.taught) for split in (data.train, data.validation))
    few = replace(data, train=train, validation=held)
    for name, (embed, size), texts in (
        ("frozen embeddings", frozen(options.backbone, longest), few),
        (
            "static embeddings",
            static(options.backbone, options.runs / f"static-{Path(options.backbone).name}"),
            data,
        ),
    ):
        found[Way("other", name)] = Made(probe(texts, embed, name, kept), size)
    return found


def _predictor(predict: Callable[[Sequence[str]], Any]) -> Predict:
    return lambda texts: torch.as_tensor(predict(texts))


def rows_of(found: Mapping[Way, Made], test: TextSplit, kept: Kept) -> Rows:
    """Accuracy, how much it is ahead of "balanced" in the same precision with the standard error, and milliseconds."""
    right = {}
    for way, made in found.items():
        answers = kept(f"{way.title}: {len(test):,} test texts", partial(made.predict, test.texts))
        right[way] = (torch.from_numpy(answers) == test.labels).float()
    clock = sorted(test.texts, key=len)[:: max(1, len(test) // CLOCK)][:CLOCK]
    answer = {way: made.answer or _one(made.predict) for way, made in found.items()}
    calls = {w.title: lambda a=a: [a(text) for text in clock] for w, a in answer.items()}
    times = compare(calls, rounds=4, repeats=1, warmup=1)
    rows: Rows = {}
    for way, hits in right.items():
        ahead = 100 * (hits - right[REFERENCE[way.engine == "int8"]])
        rows[way.title] = {
            **way._asdict(),
            "accuracy": float(hits.mean()),
            "ahead": float(ahead.mean()),
            "ahead_std_error": float(ahead.std() / len(ahead) ** 0.5),
            "ms": times[way.title].median_ms / len(clock),
            "megabytes": found[way].megabytes,
        }
    return rows


def _one(predict: Predict) -> Callable[[str], object]:
    return lambda text: predict([text])


def run(options: TextAlternatives) -> None:
    """Measure, print and keep."""
    torch.set_num_threads(1)
    model, folder, data = options.load()
    test = unseen(data.test, options.skip, options.test)
    facts = {"model": folder.name, "data": short_name(options.data), "n": len(test)}
    facts |= {"skipped": options.skip, "timed_on": CLOCK, "cuts": options.cuts}
    facts |= {"taught": min(options.taught, len(data.train)), "trained": len(data.train)}
    kept = Kept(options.runs / f"text-alternatives-{folder.name}-{options.skip}-{len(test)}-{commit()}")
    rows = rows_of(ways(model, data, options, kept), test, kept)
    output = options.output or Path(f"benchmarks/results/text_alternatives_{folder.name}.json")
    write(output, {**facts, "machine": machine(), "commit": commit(), "rows": rows})
    markdown(titled(rows), COLUMNS)


if __name__ == "__main__":
    command(TextAlternatives, run)
