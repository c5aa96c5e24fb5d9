"""The model card: what the folder holds, what was measured, what the data's terms are."""

from __future__ import annotations

from typing import Any

from textclf.model import TextConfig
from training.card import Score, front_matter
from training.left_out import on_card

CARD = """{front}

# {name}

A text classifier ({classes}) that shortens the sequence between its layers: {layers} layers of width {hidden},
{pooling} bottlenecks, {vocabulary:,} tokens of vocabulary, texts of up to {longest} tokens, {parameters:,} parameters.
Trained on {data}.{terms}

```python
from textclf import TextClassifier

model = TextClassifier.from_pretrained("{name}")
model.predict(["..."], plan="{plan}")  # (1, {count}) probabilities of model.classes
```

## Measured

{n:,} test texts; a text of {tokens} tokens, batch 1, one thread. `python -m textclf.evaluate` writes every number to
`metrics.json`.

{table}{left_out}

{beside}{training}

## Limits

English, and texts like those it was trained on; what is beyond {longest} tokens is not read. Probabilities are those of
a network that was never told what it does not know.{hint}
"""
HINT = """
`model.strangeness(texts)` above `model.scope.limit` is a hint that the words of a text are not those of the training
texts."""

TASK = "text-classification"
FROZEN = "frozen embeddings"  # the name of a row of a fitting's table
TAGS = (TASK, "efficient-inference")
ENGINES = {"torch": "PyTorch, ms", "onnx": "ONNX Runtime, ms", "int8": "int8, ms"}


def measured_table(test: dict[str, Any]) -> str:
    """One row a plan and one a linear baseline, as Markdown."""
    engines = [e for e in ENGINES if any(e in facts["latency_ms"] for facts in test["plans"].values())]
    head = ["plan", "slots a layer", "accuracy", "nats", "MACs", *(ENGINES[e] for e in engines)]
    rows = [head, ["---"] * len(head)]
    for name, facts in test["plans"].items():
        slots = " ".join(map(str, facts["lengths"]))
        times = [f"{facts['latency_ms'][e]:.2f}" if e in facts["latency_ms"] else "-" for e in engines]
        rows.append(
            [name, slots, f"{facts['accuracy']:.4f}", f"{facts['nll']:.3f}", f"{facts['macs']:,}", *times]
        )
    blank = ["-"] * (len(engines) - 1)
    for name, linear in linear_kinds(test).items():
        right, time = f"{linear['accuracy']:.4f}", f"{linear['latency_ms']:.2f}"
        rows.append([f"{name}, linear", "-", right, "-", "-", time, *blank])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def linear_kinds(test: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> measurements of each linear baseline; models measured before NB-SVM joined have TF-IDF alone."""
    linear = test.get("linear")
    return linear.get("kinds", {"TF-IDF": linear}) if linear else {}


def _training_time(training: dict[str, Any]) -> str:
    """In a sentence; of a model that was trained on from another, all of its trainings."""
    runs = [*training.get("earlier", ()), training]
    seconds = sum(run["cpu_seconds"] for run in runs)
    each = ", ".join(
        f"{run['epochs']} epoch{'s' * (run['epochs'] > 1)} of {run['texts']:,} texts" for run in runs
    )
    several = f" in {len(runs)} runs, each from the last" if len(runs) > 1 else ""
    return f"Training took {seconds:,.0f} CPU seconds{several}: {each}."


def _beside(fit: dict[str, Any] | None) -> str:
    """Who was ahead when it was fitted; empty for a model that was trained step by step."""
    if not fit or not fit["verdict"]:
        return ""
    frozen = [row for row in fit["rows"] if row["name"] == FROZEN]
    head = "".join(f"A linear head on {FROZEN} is right in {row['accuracy']:.4f}. " for row in frozen)
    said = " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in fit["verdict"])
    return f"{head}{said}\n\n"


def model_card(name: str, config: TextConfig, result: dict[str, Any]) -> str:
    """README.md of a model folder."""
    test, training = result["test"], result.get("training") or {}
    listed = ", ".join(config.classes[:8]) + (", ..." if len(config.classes) > 8 else "")
    scores = [Score("accuracy", f"accuracy, plan {plan}", f["accuracy"]) for plan, f in test["plans"].items()]
    return CARD.format(
        front=front_matter(
            name, "textclf", TASK, TAGS, result["data"], scores, f", {test['n']:,} test texts"
        ),
        name=name,
        classes=listed,
        layers=config.layers,
        hidden=config.hidden,
        pooling=config.pooling,
        vocabulary=config.vocabulary,
        longest=config.longest,
        parameters=test["parameters"],
        data=result["data"],
        terms=f" Terms of the data: {result['terms']}." if result.get("terms") else "",
        plan="balanced" if "balanced" in test["plans"] else "full",
        count=len(config.classes),
        n=test["n"],
        tokens=test["tokens"],
        table=measured_table(test),
        hint=HINT if config.scope else "",
        beside=_beside(result.get("fit")),
        left_out=on_card(test.get("left_out", {})),
        training=_training_time(training) if "cpu_seconds" in training else "",
    )
