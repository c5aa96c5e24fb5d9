"""What the components of the tab "Classify text" are given: plain values; texts stay texts, never markup."""

from __future__ import annotations

import json
from collections.abc import Mapping

from demo.costs import plain_row, row, timed_row
from demo.models.reader import ENGINES, Reader, Stop
from demo.pictures import data_url
from demo.text import scene as scenes
from demo.text.scene import Cost, Reading
from demo.types import Values
from demo.words import listed, percent
from textclf import Trace

TOP = 5
SENT_BACK = 20_000  # characters of a text that the page is given again
LONG_WORD, LONG_GAP = 60, 40  # characters shown of a run without a gap, and of a gap
FAINT = 0.06  # of the strongest contribution: not worth a colour

HINT = "Paste or type a text, or pick an example: the answer follows by itself."
STRANGE = (
    "Its words are unlike those of the texts that the network was trained on: its answer may be meaningless."
)
UNSEARCHED = "This model has one plan only: `python -m textclf.search` looks for shorter ones."


# ---- the text and the plans ----


def passage(scene: Reading, loaded: Reader, typed: bool) -> Values:
    """The text, but not to somebody who is typing it, and the examples."""
    keep = typed or len(scene.text) > SENT_BACK
    return {
        "text": None if keep else scene.text,
        "note": scenes.how_much_was_read(scene, loaded),
        "examples": list(scenes.example_names(loaded)),
    }


def plans(scene: Reading, loaded: Reader) -> Values:
    """Where the slider can stand and what each stop means."""
    stops = [
        {"name": stop.name, "title": " = ".join(stop.names), "words": _plan_words(stop, loaded)}
        for stop in loaded.stops
    ]
    return {"stops": stops, "plan": scene.plan, "note": UNSEARCHED if len(stops) == 1 else ""}


def _plan_words(stop: Stop, loaded: Reader) -> str:
    """What a plan does, and how often it is right."""
    layers = loaded.model.config.layers
    does = []
    for factor, verb in ((2, "halves"), (4, "quarters")):
        depths = [str(depth) for depth, f in enumerate(stop.facts.factors, 1) if f == factor]
        if depths:
            does.append(f"{verb} the text before layer{'s' * (len(depths) > 1)} {listed(depths)}")
    if len(stop.facts.factors) < layers:
        does.append(f"stops after layer {len(stop.facts.factors)} of {layers}")
    said = ", ".join(does) if does else "reads every piece of every word through every layer"
    right = _right(stop, loaded)
    return f"{said[0].upper()}{said[1:]}.{f' Right in {right}.' if right else ''}"


def _right(stop: Stop, loaded: Reader) -> str:
    """How often a plan is right, and on how many texts of which kind; empty where nobody measured it."""
    tested = loaded.section("test", "plans", stop.name).get("accuracy")
    count = loaded.section("test").get("n")
    if isinstance(tested, float) and isinstance(count, int):
        return f"{100 * tested:.1f} % of {count:,} test texts"
    if stop.facts.accuracy is None or stop.facts.n is None:
        return ""
    return f"{100 * stop.facts.accuracy:.1f} % of {stop.facts.n:,} validation texts"


# ---- the answer ----


def answers(scene: Reading, loaded: Reader) -> Values:
    """What this plan says, and beside it the full one."""
    if scene.piece is None:
        return {"note": HINT}
    return {
        "words": scenes.in_words(scene, loaded),
        "in_scope": not scenes.is_strange(scene, loaded),
        "outside": STRANGE,
        "nets": [
            {
                "title": title,
                "network": f"{scene.tokens} tokens" if stop is loaded.full else stop.name,
                "top": _top(scene.answers[stop.name], loaded.model.classes),
            }
            for title, stop in zip(_titles(scene, loaded), _compared(scene, loaded), strict=True)
        ],
    }


def _compared(scene: Reading, loaded: Reader) -> list[Stop]:
    chosen = loaded.stop(scene.plan)
    return [chosen] if chosen is loaded.full else [chosen, loaded.full]


def _titles(scene: Reading, loaded: Reader) -> list[str]:
    return ["This plan", "Full length"] if len(_compared(scene, loaded)) == 2 else ["Full length"]


def _top(probabilities: tuple[float, ...], classes: tuple[str, ...]) -> list[Values]:
    pairs = sorted(zip(classes, probabilities, strict=True), key=lambda pair: -pair[1])[:TOP]
    return [{"name": name, "p": p, "words": percent(p)} for name, p in pairs]


def costs(scene: Reading, loaded: Reader, known: Mapping[str, Cost]) -> Values | None:
    """What this text takes at this plan and at full length; nothing known yet: it is being measured."""
    if scene.piece is None:
        return None
    stops = _compared(scene, loaded)
    timed = "Time on this machine", f"this text, median, one thread, {ENGINES[loaded.engine]}"
    works = "Multiply-accumulates", "this text"
    if known:
        costs = [known[stop.name] for stop in stops]
        rows = [
            timed_row(*timed, [cost.rounds for cost in costs]),
            row(*works, [cost.macs for cost in costs], lambda n: f"{n / 1e6:,.0f} M"),
        ]
    else:
        rows = [plain_row(*timed, ["measuring …"] * len(stops)), plain_row(*works, ["…"] * len(stops))]
    vectors = [sum(scenes.slots(scene.tokens, stop.facts.factors)) for stop in stops]
    rows.append(row("Vectors", f"{scene.tokens} tokens, all layers", vectors, "{:,.0f}".format))
    titles = _titles(scene, loaded)
    return {"titles": titles, "rows": rows, "versus": "This plan is", "note": linear(loaded)}


def linear(loaded: Reader) -> str:
    """The classical alternative in a sentence; it is not on the page, only its numbers are."""
    words, count = loaded.section("test", "linear"), loaded.section("test").get("n")
    right, time, name = words.get("accuracy"), words.get("latency_ms"), words.get("name", "TF-IDF")
    if not isinstance(right, float) or not isinstance(time, float):
        return ""
    of = f" of {count:,} test texts" if isinstance(count, int) else ""
    return (
        f"For comparison, {name} (a linear model on words), measured when this model was evaluated and not here: "
        f"right in {100 * right:.1f} %{of}, {time:.2g} ms a text."
    )


# ---- how it shrinks ----


def flow(scene: Reading, loaded: Reader, traced: Trace | None) -> str | None:
    """:func:`flow_of` as JSON: of an object with thousands of parts Gradio would watch every one, for seconds."""
    return None if scene.piece is None else json.dumps(flow_of(scene, loaded, traced))


def flow_of(scene: Reading, loaded: Reader, traced: Trace | None) -> Values:
    """The slots of each layer and the words of the text; without a trace how many slots there are."""
    factors = loaded.stop(scene.plan).facts.factors
    counts = scenes.slots(scene.tokens, factors)
    layers: list[Values] = [{"factor": f, "count": n} for f, n in zip(factors, counts, strict=True)]
    words, together = _words(scene, loaded, traced), 1
    if traced is not None:
        for layer, slots in zip(layers, traced.layers, strict=True):
            pairs = [zip(tokens, weights, strict=True) for tokens, weights in slots]
            layer |= {"count": len(slots), "slots": [[[t, round(w, 3)] for t, w in slot] for slot in pairs]}
    if traced and traced.contributions:
        together = -(-sum(word["change"] is not None for word in words) // len(traced.contributions))
    start, end = scenes.unread(scene, loaded)
    return {
        "layers": layers,
        "depth": loaded.model.config.layers,
        "full": scene.tokens,
        "label": loaded.model.classes[scenes.best(scene.probabilities)],
        "words": words,
        # Characters after the last word that the network reads.
        "rest": end - start if end == len(scene.text.rstrip()) else 0,
        "together": together,
    }


def _words(scene: Reading, loaded: Reader, traced: Trace | None) -> list[Values]:
    """Every word with what stands before it, its tokens, and how far it moves the answer."""
    assert scene.piece is not None
    (start, end), at, shown = scenes.unread(scene, loaded), 0, list[Values]()
    contributions = traced.contributions if traced else ()
    strongest = max((abs(c) for _, _, c in contributions), default=0.0)
    for word in scenes.words(scene.piece):
        change = next((c for low, high, c in contributions if low <= word.start < high), None)
        share = abs(change or 0) / max(strongest, 1e-9)
        skipped = end - start if start < end <= word.start and start >= at else 0
        text = scene.text[word.start : word.end]
        shown.append(
            {
                "before": " " if skipped else scene.text[at : word.start][:LONG_GAP],
                "skipped": skipped,
                "text": text if len(text) <= LONG_WORD else f"{text[: LONG_WORD - 1]}…",
                "tokens": word.tokens,
                "change": None if change is None else round(change, 2),
                "share": round(share, 3) if share >= FAINT else 0,
            }
        )
        at = word.end
    return shown


# ---- the front ----


def front(scene: Reading, loaded: Reader) -> Values:
    """The plans that the search kept, those with names marked; no points where nobody searched."""
    search = loaded.section("search")
    tried = search.get("front")
    names = {stop.facts.factors: stop.name for stop in loaded.stops}
    usable = [p for p in tried if _usable(p)] if isinstance(tried, list) else []
    # What plans are named by, where the search wrote it down; earlier ones counted errors.
    expected = all(isinstance(p.get("expected_error"), float) for p in usable)
    error = "expected_error" if expected else "error"
    named = [names.get(tuple(p["factors"])) for p in usable]
    points = [
        {
            "network": name or "plan " + " ".join(map(str, p["factors"])),
            "kind": "main" if name else "other",
            "accuracy": 1 - p[error],
            "latency_ms": p["latency_ms"],
        }
        for p, name in zip(usable, named, strict=True)
    ]
    count = search.get("n")
    texts = f"{count:,} validation texts" if isinstance(count, int) else "validation texts"
    height = "the mean probability of the right label" if expected else "how often each is right"
    unit = f"milliseconds, one text of {search.get('tokens', '?')} tokens, one thread"
    return {
        "lead": "For those who choose a plan. Every dot is one that the search kept, all from the same weights: "
        f"{height} on {texts}, and how long it takes.",
        "points": points,
        "chosen": [loaded.stop(scene.plan).name],
        "axes": [{"field": "latency_ms", "label": "time", "unit": unit, "short": "ms"}],
        "key": [{"kind": "main", "label": "named"}, {"kind": "other", "label": "tried"}],
    }


def _usable(point: object) -> bool:
    fields = ("error", "latency_ms")
    if not isinstance(point, dict) or not all(isinstance(point.get(f), (int, float)) for f in fields):
        return False
    factors = point.get("factors")
    return isinstance(factors, list) and all(isinstance(f, int) for f in factors) and point["latency_ms"] > 0


# ---- what one can take away ----


def keep(scene: Reading, loaded: Reader) -> Values:
    """The answer and a link."""
    files = []
    if scene.piece is not None:
        answer = json.dumps(scenes.as_json(scene, loaded), indent=2)
        url = data_url(answer.encode(), "application/json")
        files.append({"name": "answer.json", "label": "Answer (JSON)", "url": url})
    return {"files": files, "query": scenes.as_query(scene)}
