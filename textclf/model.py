"""A text classifier that spends fewer vectors on a text the further it reads.

    text --tokens--> ids --embed--> (B, N, H) --[bottleneck, layer] ...--> slots --mean and [CLS]--> logits (B, K)

One set of weights runs every plan (:mod:`textclf.bottleneck`); :mod:`textclf.search` names the good ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from typing_extensions import Self  # torch brings it

from textclf import engine as onnx_engine
from textclf.bottleneck import LIMIT, OPERATORS, Bottleneck, Operator, Plan, check_plan, lengths
from textclf.encoder import Encoder, EncoderConfig
from textclf.scope import Scope, learned, strangeness
from textclf.tokens import Piece, Tokens, batch
from training.measure import macs
from weights import Pretrained, WeightsError
from weights.arguments import file_stem, flag, items, number, texts, whole
from weights.checkpoint import Size

Engine = Literal["auto", "torch", "onnx", "int8"]
ENGINES: tuple[Engine, ...] = ("auto", "torch", "onnx", "int8")
DROPOUT = 0.1
BATCH = 32
SHOWN = 1e-3  # a trace leaves smaller weights out
MOST_PLANS = 256  # of a config
RANGES = {
    "tokenizer": (0, 100_000_000), "vocabulary": (1, 2_000_000), "hidden": (1, 16384), "layers": (1, 128),
    "heads": (1, 16384), "intermediate": (1, 65536), "longest": (8, 8192),
}  # fmt: skip
PARTS = 32  # that a text is cut into to find what each contributes


@dataclass(frozen=True)
class TextConfig:
    """What a model is; ``config.json`` holds the same keys.

    Args:
        classes: names of the classes (K).
        tokenizer: bytes of the tokenizer that the weights hold.
        vocabulary, hidden, layers, heads, intermediate, eps: of the encoder.
        longest: tokens of the longest text, [CLS] and [SEP] included; the rest is cut.
        ends: whether a longer text loses its middle instead of its end.
        pooling: the bottleneck's operator.
        plans: name -> what is known about it, see :class:`PlanFacts`.
        scope: the numbers of :class:`textclf.scope.Scope`; None: the model does not know its training texts' words.
    """

    classes: tuple[str, ...]
    tokenizer: int
    vocabulary: int
    hidden: int = 384
    layers: int = 6
    heads: int = 12
    intermediate: int = 1536
    eps: float = 1e-12
    longest: int = 256
    ends: bool = False
    pooling: Operator = "learned"
    plans: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scope: tuple[float, ...] | None = None

    @property
    def encoder(self) -> EncoderConfig:
        """The encoder's own sizes; it has positions for [CLS] and a multiple of 64 tokens, as every saved model has."""
        positions = 1 + math.ceil((self.longest - 1) / LIMIT) * LIMIT
        sizes = (self.vocabulary, self.hidden, self.layers, self.heads, self.intermediate)
        return EncoderConfig(*sizes, positions, self.eps)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", items("classes", self.classes))  # JSON gives a list

    def check(self) -> TextConfig:
        """Itself, or ``ValueError`` with what is wrong."""
        texts("classes", self.classes, 2)
        for name, (low, high) in RANGES.items():
            whole(name, getattr(self, name), low, high)
        number("eps", self.eps, 1e-20, 1)
        flag("ends", self.ends)
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} must be a multiple of heads {self.heads}")
        if self.pooling not in OPERATORS:
            raise ValueError(f"pooling must be one of {', '.join(OPERATORS)}, not {self.pooling!r:.40}")
        if not isinstance(self.plans, Mapping) or len(self.plans) > MOST_PLANS:
            raise ValueError(f"plans must be at most {MOST_PLANS} by their names, not {self.plans!r:.40}")
        if self.scope is not None:
            if len(items("scope", self.scope)) != len(Scope._fields):
                raise ValueError(f"scope must be {len(Scope._fields)} numbers, not {self.scope!r:.60}")
            for one, value in zip(Scope._fields, self.scope, strict=True):
                number(f"{one} of scope", value, 0, 1e6)
        for name, facts in self.plans.items():
            self._check_facts(file_stem("the name of a plan", name), facts)
        return self

    def _check_facts(self, name: str, facts: Any) -> None:
        if not isinstance(facts, Mapping) or not {"factors"} <= facts.keys() <= set(PlanFacts._fields):
            raise ValueError(f"what is known about plan {name!r} is not in the format of a search")
        check_plan([whole("a factor", f, 1, LIMIT) for f in items("factors", facts["factors"])], self.layers)
        for key in ("accuracy", "n", "macs", "latency_ms", "tokens"):
            if facts.get(key) is not None:
                number(f"{key} of plan {name!r}", facts[key], 0, 1e18)
        if not isinstance(facts.get("engine") or "", str):
            raise ValueError(f"engine of plan {name!r} must be a name, not {facts['engine']!r:.40}")

    def least(self) -> Size:
        """Tensors and numbers of the encoder, the head and the tokenizer, biases and norms left out."""
        layer = 4 * self.hidden**2 + 2 * self.hidden * self.intermediate
        embedded = (self.vocabulary + self.encoder.positions) * self.hidden
        head = 2 * self.hidden * len(self.classes)
        usual = 0 if self.scope is None else self.vocabulary
        return Size(self.layers * 16, embedded + self.layers * layer + head + self.tokenizer + usual)


class PlanFacts(NamedTuple):
    """A named plan. ``lengths`` are slots a layer for the longest text; what was not measured is None.

    ``accuracy`` and ``n`` are of the validation slice that the search used, ``macs`` and ``latency_ms`` of one text of
    ``tokens`` tokens (batch 1, one thread, the engine named by ``engine``).
    """

    factors: Plan
    lengths: tuple[int, ...]
    accuracy: float | None = None
    n: int | None = None
    macs: int | None = None
    latency_ms: float | None = None
    tokens: int | None = None
    engine: str | None = None


class Slot(NamedTuple):
    """Where a slot comes from: tokens of the text and their weights, which sum to 1."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


class Trace(NamedTuple):
    """How one text went through a plan.

    ``layers[l]`` are the slots that layer l reads, padding left out; ``spans[t]`` are the characters of token t, None
    for [CLS] and [SEP]. ``contributions`` are (start, end, change): by how much the log odds of the predicted class
    fall when those characters are hidden from the network.
    """

    probabilities: Tensor  # (K,)
    tokens: tuple[str, ...]
    spans: tuple[tuple[int, int] | None, ...]
    layers: tuple[tuple[Slot, ...], ...]
    contributions: tuple[tuple[int, int, float], ...]


class TextClassifier(
    nn.Module,
    Pretrained,
    library_name="textclf",
    tags=["text-classification", "efficient-inference"],
    license="apache-2.0",
):
    """Text classifier with one bottleneck before each layer. Arguments: see :class:`TextConfig`."""

    dropout: float = DROPOUT
    later = ("scope",)

    def __init__(
        self,
        classes: tuple[str, ...],
        tokenizer: int,
        vocabulary: int,
        hidden: int = 384,
        layers: int = 6,
        heads: int = 12,
        intermediate: int = 1536,
        eps: float = 1e-12,
        longest: int = 256,
        ends: bool = False,
        pooling: Operator = "learned",
        plans: Mapping[str, Mapping[str, Any]] | None = None,
        scope: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        sizes = (tokenizer, vocabulary, hidden, layers, heads, intermediate, eps, longest, ends, pooling)
        known = None if scope is None else tuple(items("scope", scope))
        self.config = TextConfig(classes, *sizes, {} if plans is None else plans, known).check()
        self.encoder = Encoder(self.config.encoder)
        self.bottlenecks = nn.ModuleList(Bottleneck(hidden, pooling) for _ in range(layers))
        self.head = nn.Linear(2 * hidden, len(classes))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.tokenizer: Tensor
        self.register_buffer("tokenizer", torch.zeros(tokenizer, dtype=torch.uint8))
        self.usual: Tensor | None
        self.register_buffer("usual", None if known is None else torch.zeros(vocabulary))

    @classmethod
    def size_of(cls, arguments: Mapping[str, Any]) -> Size:
        """See :meth:`weights.Pretrained.size_of`."""
        plans = arguments.get("plans")
        return TextConfig(**{**arguments, "plans": {} if plans is None else plans}).check().least()

    @classmethod
    def build(
        cls,
        encoder: Encoder,
        tokens: Tokens,
        classes: Sequence[str],
        *,
        kept: Tensor | None = None,
        longest: int = 256,
        ends: bool = False,
        pooling: Operator = "learned",
    ) -> Self:
        """An untrained head on a pretrained encoder; ``kept`` are the rows of its word embeddings that stay."""
        old, stored = encoder.config, tokens.to_bytes()
        rows = torch.arange(old.vocabulary) if kept is None else kept
        if longest > old.positions:
            raise ValueError(f"the backbone reads {old.positions} tokens: --max-length {longest} is too long")
        sizes = (old.hidden, old.layers, old.heads, old.intermediate, old.eps, longest, ends, pooling)
        model = cls(tuple(classes), len(stored), len(rows), *sizes)
        state = encoder.state_dict()
        state["words.weight"] = state["words.weight"][rows]
        places = model.encoder.positions.weight.detach().clone()
        shared = min(len(places), old.positions)
        places[:shared] = state["positions.weight"][:shared]
        model.encoder.load_state_dict({**state, "positions.weight": places})
        model.tokenizer.copy_(stored)
        return model

    def trimmed(self, texts: Iterable[str], size: int) -> Self:
        """The same model with the ``size`` tokens that are most frequent in ``texts``; shares the other weights."""
        tokens, kept = self.tokens.trimmed(texts, size)
        if len(kept) == len(self.tokens):
            return self
        made = self.config
        model = self.build(
            self.encoder,
            tokens,
            self.classes,
            kept=kept,
            longest=made.longest,
            ends=made.ends,
            pooling=made.pooling,
        )
        model.bottlenecks, model.head, model.folder = self.bottlenecks, self.head, self.folder
        return model

    def with_plans(self, plans: Mapping[str, PlanFacts]) -> Self:
        """The same model with these named plans; shares the weights."""
        stored = {
            name: {k: v for k, v in facts._asdict().items() if k != "lengths"}
            for name, facts in plans.items()
        }
        return self._changed(plans=stored, usual=self.usual)

    def with_scope(self, pieces: Sequence[Tensor], held: Sequence[str]) -> Self:
        """The same model that knows the words of training texts, given as ids, and what is usual in held-out ones.

        It shares the weights.
        """
        shown = self.tokens.ids(held, self.config.longest, self.config.ends)
        usual, scope = learned(pieces, shown, len(self.tokens))
        return self._changed(scope=tuple(scope), usual=usual)

    def _changed(self, *, usual: Tensor | None, **arguments: Any) -> Self:
        model = type(self)(**{**asdict(self.config), **arguments})
        for name in ("encoder", "bottlenecks", "head", "tokenizer"):
            setattr(model, name, getattr(self, name))
        model.usual = usual
        return model.train(self.training)

    # The network ---------------------------------------------------------------------------------------------------

    def forward(self, ids: Tensor, mask: Tensor, plans: Sequence[Plan]) -> list[Tensor]:
        """Logits (B, K) of every plan; what plans have in common is computed once.

        What a plan leaves behind is held until the last one that starts alike: plans in order take the least memory.

        Args:
            ids: ``(B, N)``.
            mask: ``(B, N)``, 1 for a token and 0 for padding.
        """
        starts = [[plan[:depth] for depth in range(1, len(plan) + 1)] for plan in plans]
        last = {start: i for i, own in enumerate(starts) for start in own}
        done: dict[Plan, tuple[Tensor, Tensor]] = {(): (self.encoder.embed(ids, self._dropout), mask)}
        found = []
        for i, own in enumerate(starts):
            for start in own:
                if start not in done:
                    done[start] = self._layer(len(start) - 1, *done[start[:-1]], start[-1])
            found.append(self._classify(*done[own[-1]]))
            for start in own:
                if last[start] == i:
                    del done[start]
        return found

    def logits(self, ids: Tensor, mask: Tensor, plan: Plan) -> Tensor:
        """Logits ``(B, K)`` of one plan; arguments as for :meth:`forward`."""
        return self.forward(ids, mask, [plan])[0]

    @property
    def _dropout(self) -> float:
        return self.dropout if self.training else 0.0

    def _layer(self, index: int, x: Tensor, size: Tensor, factor: int) -> tuple[Tensor, Tensor]:
        x, size = self.bottlenecks[index](x, size, factor)
        return self.encoder.layers[index](x, size, self._dropout), size

    def _classify(self, x: Tensor, size: Tensor) -> Tensor:
        """From [CLS] and the mean over the text's tokens, whichever slots they are in by now."""
        share = (size / size.sum(1, keepdim=True)).to(x.dtype)
        features = torch.cat([x[:, 0], (share[..., None] * x).sum(1)], -1)
        logits: Tensor = self.head(nn.functional.dropout(features, self._dropout))
        return logits

    # The public life -----------------------------------------------------------------------------------------------

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.config.classes

    @property
    def plans(self) -> dict[str, PlanFacts]:
        """Every named plan; "full", the encoder as it came, is always among them."""
        stored = {"full": {"factors": [1] * self.config.layers}, **self.config.plans}
        found = {}
        for name, facts in stored.items():
            plan = check_plan(facts["factors"], self.config.layers)
            found[name] = PlanFacts(
                **{**facts, "factors": plan, "lengths": lengths(self.config.longest, plan)}
            )
        return found

    def plan(self, plan: str | Iterable[int]) -> Plan:
        """Factors of a plan by its name or as they are; ``ValueError`` if there is none."""
        if not isinstance(plan, str):
            return check_plan(plan, self.config.layers)
        if plan not in self.plans:
            raise ValueError(f"unknown plan {plan!r}: choose one of {', '.join(self.plans)}")
        return self.plans[plan].factors

    @cached_property
    def tokens(self) -> Tokens:
        """The tokenizer that is in the weights."""
        return Tokens.from_bytes(self.tokenizer.cpu())

    def predict(
        self,
        texts: Sequence[str],
        plan: str | Iterable[int] = "balanced",
        engine: Engine = "auto",
        batch_size: int = BATCH,
        progress: Callable[[int], object] | None = None,
    ) -> Tensor:
        """Probabilities ``(B, K)`` of texts, in their order.

        Args:
            texts: strings; an empty one is classified by what the network makes of nothing.
            plan: a name in :attr:`plans` ("balanced" is "full" for a model without a search) or factors.
            engine: "torch"; "onnx" (ONNX Runtime, float32) or "int8", which need an exported folder; "auto" takes
                "onnx" where there is one.
            batch_size: texts at once; the result does not depend on it.
            progress: called with how many texts are done.

        Raises:
            ValueError: one string or a whole table instead of texts, unknown plan or engine, a graph that is not there.
        """
        texts = checked_texts(texts)
        if plan == "balanced" and "balanced" not in self.plans:
            plan = "full"
        factors = self.plan(plan)
        run = self.runner(plan if isinstance(plan, str) else factors, engine)
        pieces = self.tokens.ids(texts, self.config.longest, self.config.ends)
        found = torch.zeros(len(texts), len(self.classes))
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            found[rows] = run(*batch([pieces[i] for i in rows])).softmax(-1)
            if progress is not None:
                progress(start + len(rows))
        return found

    def strangeness(self, texts: Sequence[str]) -> Tensor:
        """How unlike the training texts each is by its words, ``(B,)``, see :mod:`textclf.scope`.

        Above ``scope.limit``, as a hundredth of held-out texts are, an answer may mean nothing.

        Raises:
            ValueError: as for :meth:`predict`, or the model is older than this.
        """
        if self.scope is None or self.usual is None:
            raise ValueError("this model does not know the words of its training texts: train it again")
        pieces = self.tokens.ids(checked_texts(texts), self.config.longest, self.config.ends)
        return strangeness(pieces, self.usual.float().cpu(), self.scope)

    @property
    def scope(self) -> Scope | None:
        """What is usual among the training texts; None for a model that does not know."""
        return None if self.config.scope is None else Scope(*self.config.scope)

    def macs(self, plan: str | Iterable[int], tokens: int) -> int:
        """Multiply-accumulates of one text of ``tokens`` tokens, what fills up windows included."""
        inputs = torch.zeros(1, tokens, dtype=torch.long), torch.ones(1, tokens)
        return macs(OnePlan(self, self.plan(plan)), *inputs)

    def runner(
        self, plan: str | Iterable[int], engine: Engine = "auto", threads: int | None = None
    ) -> onnx_engine.Run:
        """A plan as a function of ids and mask, see ``engine.Run``; arguments and errors as for :meth:`predict`."""
        if engine not in ENGINES:
            raise ValueError(f"unknown engine {engine!r}: choose one of {', '.join(ENGINES)}")
        precision: onnx_engine.Precision = "int8" if engine == "int8" else "float32"
        exported = (
            isinstance(plan, str)
            and self.folder is not None
            and onnx_engine.graph_path(self.folder, plan, precision).is_file()
        )
        if engine == "torch" or (engine == "auto" and not exported):
            return self._torch_runner(self.plan(plan))
        if not exported or self.folder is None:
            raise ValueError(f"plan {plan!r} has no {precision} graph: run python -m textclf.export first")
        return onnx_engine.load(self, str(plan), precision, threads)

    def compare_graphs(self) -> int:
        """See :meth:`weights.Pretrained.compare_graphs`; a graph that is no plan's is refused too."""
        if self.folder is None:
            return 0
        graphs = {path.name for path in self.folder.glob("*.onnx")}
        places = [(plan, precision) for plan in self.plans for precision in onnx_engine.PRECISIONS]
        named = {onnx_engine.graph_path(Path(), *place).name: place for place in places}
        if unknown := sorted(graphs - named.keys()):
            raise WeightsError(f"{self.folder / unknown[0]} is the graph of no plan: delete it")
        for name in sorted(graphs):
            onnx_engine.load(self, *named[name], threads=1)
        return len(graphs)

    def reference(self, plan: str) -> onnx_engine.Run:
        """A named plan in PyTorch, whatever was exported, without a trace of it left on the model."""

        def run(ids: Tensor, mask: Tensor) -> Tensor:
            training = self.training
            try:
                return self._torch_runner(self.plan(plan))(ids, mask)
            finally:
                self.train(training)

        return run

    def _torch_runner(self, plan: Plan) -> onnx_engine.Run:
        def run(ids: Tensor, mask: Tensor) -> Tensor:
            with torch.inference_mode():
                device = self.head.weight.device
                return self.eval().logits(ids.to(device), mask.to(device), plan).float().cpu()

        return run

    @torch.no_grad()
    def trace(self, text: str, plan: str | Iterable[int] = "balanced") -> Trace:
        """How a text goes through a plan: which tokens end in which slot, and what each word contributed."""
        if not isinstance(text, str):
            raise ValueError(f"trace takes one text, a string, not {type(text).__name__}")
        factors = self.plan("full" if plan == "balanced" and "balanced" not in self.plans else plan)
        (piece,) = self.tokens.encode([text], self.config.longest, self.config.ends)
        ids, mask = batch([torch.tensor(piece.ids)])
        x, size = self.eval().encoder.embed(ids), mask
        flow, layers = torch.eye(ids.shape[1])[None], []
        for depth, factor in enumerate(factors):
            flow = cast(Bottleneck, self.bottlenecks[depth]).flow(x, size, factor) @ flow
            x, size = self._layer(depth, x, size, factor)
            layers.append(_slots(flow[0], size[0]))
        logits = self._classify(x, size)[0]
        vocabulary = self.tokens.tokenizer
        return Trace(
            logits.softmax(-1),
            tuple(str(vocabulary.id_to_token(i)) for i in piece.ids),
            tuple(piece.spans),
            tuple(layers),
            self._contributions(piece, ids, mask, factors, logits),
        )

    def _contributions(
        self, piece: Piece, ids: Tensor, mask: Tensor, plan: Plan, logits: Tensor
    ) -> tuple[tuple[int, int, float], ...]:
        """Leave one out: each word, or each run of words of a long text, hidden as padding is (size 0)."""
        groups = _word_groups(piece)
        hidden = mask.repeat(len(groups), 1)
        for row, group in enumerate(groups):
            hidden[row, group] = 0
        label = int(logits.argmax())
        whole, found = _log_odds(logits[None], label), []
        for part in hidden.split(BATCH) if groups else ():
            found.append(whole - _log_odds(self.logits(ids.expand(len(part), -1), part, plan), label))
        changes = torch.cat(found).tolist() if found else []
        edges = [(_span(piece, g[0])[0], _span(piece, g[-1])[1]) for g in groups]
        return tuple((start, end, change) for (start, end), change in zip(edges, changes, strict=True))


def checked_texts(texts: Iterable[str]) -> list[str]:
    """The texts as a list; ``ValueError`` says what was given instead of several strings."""
    if isinstance(texts, (str, bytes)):
        raise ValueError("texts must be a list of strings, not one: write predict([text])")
    if isinstance(texts, Mapping) or hasattr(
        texts, "columns"
    ):  # iterating over it gives the names of its columns
        names = ", ".join(map(repr, list(texts)[:5]))
        raise ValueError(f"texts must be a list of strings, not a table of {names}: give one of its columns")
    if not isinstance(texts, Iterable):
        raise ValueError(f"texts must be a list of strings, not {type(texts).__name__}")
    listed = list(texts)
    for i, text in enumerate(listed):
        if not isinstance(text, str):
            raise ValueError(
                f"texts must be strings, but number {i} is of type {type(text).__name__} ({text!r:.40})"
            )
    return listed


class OnePlan(nn.Module):
    """One plan of a model as a module of its own, for the counter of operations and for export."""

    def __init__(self, model: TextClassifier, plan: Plan) -> None:
        super().__init__()
        self.model, self.plan = model, plan

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        return self.model.logits(ids, mask, self.plan)


def _slots(flow: Tensor, size: Tensor) -> tuple[Slot, ...]:
    """Rows of a flow (S, N) whose slots hold tokens."""
    found = []
    for row in flow[size > 0]:
        tokens = (row > SHOWN).nonzero()[:, 0]
        found.append(Slot(tuple(tokens.tolist()), tuple(row[tokens].tolist())))
    return tuple(found)


def _span(piece: Piece, token: int) -> tuple[int, int]:
    span = piece.spans[token]
    assert span is not None  # only [CLS] and [SEP] have none, and they are in no word
    return span


def _word_groups(piece: Piece) -> list[list[int]]:
    """Tokens of at most ``PARTS`` runs of neighbouring words; a word's pieces stay together."""
    words: list[list[int]] = []
    for token, span in enumerate(piece.spans):
        if span is None:
            continue
        last = _span(piece, words[-1][-1])[1] if words else -1
        if words and span[0] <= last:
            words[-1].append(token)
        else:
            words.append([token])
    run = math.ceil(len(words) / PARTS) or 1
    return [sum(words[i : i + run], []) for i in range(0, len(words), run)]


def _log_odds(logits: Tensor, label: int) -> Tensor:
    """Log odds of a class against all others, ``(B,)``."""
    others = torch.cat([logits[:, :label], logits[:, label + 1 :]], 1)
    return logits[:, label] - others.logsumexp(1)
