"""The model card: what the folder holds, what was measured, what the data's terms are."""

from __future__ import annotations

from typing import Any

from classifiers.backbone import published
from classifiers.model import CompactCNNConfig
from classifiers.networks import dense_name, is_own
from training.card import Score, front_matter
from training.left_out import on_card
from training.pictures import in_words

CARD = """{front}

# {name}

{network} for {classes} classes of {size} x {size} {colour} pictures: {parameters:,} parameters, {macs:.1f} million
multiply-accumulates{twin}. {origin} {terms}

```python
from classifiers import CompactCNN{allow}

model = CompactCNN.from_pretrained("{name}")
model.predict([picture])  # PIL pictures of any size and mode, or (B, {channels}, H, W) in [0, 1] -> (B, {classes})
model.classes
```

Pictures are prepared as in training: EXIF's orientation is applied, {prepared}.

## Measured

{n:,} test pictures{tested}; `python -m classifiers.evaluate` writes every number to `metrics.json`.

| | |
|---|---|
| accuracy | {accuracy:.2%}{interval} |{graph}
| negative log-likelihood, nats | {nll:.3f} |
| calibration error, 15 bins | {calibration_error:.3f} |{left_out}
{plans}
{training}

## Limits

It answers with one of its {classes} classes whatever it is shown: {names}. Pictures unlike the training ones get an
answer too; `energy(logits)` above `model.scope` is a hint that this is one.{foreign}
"""

ALLOW = """, allow_network

allow_network("{reference}")  # the author's code, which is not in this folder: get it first, and read it"""
RELEASED = """The weights are the released ones of {network}, from
{source}: others trained them on ImageNet, and nothing was trained here. Terms of the weights: {terms}. The names of the
classes are those of `classifiers/imagenet.csv`."""
TASK = "image-classification"
TAGS = (TASK, "weight-sharing", "efficient-networks")
SCORES = (
    ("accuracy", "accuracy"),
    ("top5", "accuracy of the best five"),
    ("nll", "negative log-likelihood, nats"),
    ("calibration_error", "calibration error, 15 bins"),
)


PLANS = """
One checkpoint, several networks: `model.predict([picture], plan="fastest")`. Accuracies are of the same test pictures,
times of one of them in ONNX Runtime on one thread; `python -m classifiers.search` found the plans on validation.

| plan | pixels | blocks | eighths of the channels | parameters | MACs | float32 | ms | int8 | ms | served as |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


def plans_table(plans: dict[str, Any]) -> str:
    """One row a plan, as Markdown; empty for a model that has none."""

    def form(found: dict[str, float] | None) -> str:
        return f"{found['accuracy']:.2%} | {found['latency_ms']:.2f}" if found else "- | -"

    rows = [
        f"| {name} | {p['size']} | {' '.join(map(str, p['blocks']))} | {' '.join(map(str, p['widths']))} "
        f"| {p['parameters']:,} | {p['macs'] / 1e6:.1f} million | {form(p.get('float32'))} | {form(p.get('int8'))} "
        f"| {p['form']} |"
        for name, p in plans.items()
    ]
    return PLANS.format(rows="\n".join(rows)) if rows else ""


def model_card(name: str, config: CompactCNNConfig, result: dict[str, Any]) -> str:
    """README.md of a model folder."""
    test, training = result["test"], result.get("training") or {}
    tied = test["parameters"] < test["dense_parameters"]
    dense = f" (untied: {test['dense_parameters']:,} and {test['dense_macs'] / 1e6:.1f} million)"
    graph = result.get("graph")
    time = "Training took {cpu_seconds:.0f} CPU seconds ({epochs} epochs)."
    more = (training.get("shorten") or {}).get("plans")
    if more:
        time = time.replace("epochs)", f"epochs, and {more} in which all plans were trained)")
    if training.get("start"):
        time += " It went on from a trained model, {start}."
    if training.get("backbone"):
        time += " It started from the released weights of {backbone}."
    released = training.get("released")
    origin = RELEASED.format(**released) if released else f"Trained on {result['data']}."
    low, high = test.get("accuracy_interval", (0, 0))
    scores = [Score(key, title, test.get(key)) for key, title in SCORES]
    return CARD.format(
        front=front_matter(
            name, "classifiers", TASK, TAGS, result["data"], scores, f", {test['n']:,} test pictures"
        ),
        name=name,
        network=config.network,
        allow=ALLOW.format(reference=dense_name(config.network)) if is_own(config.network) else "",
        classes=len(config.classes),
        names=", ".join(config.classes[:20]),
        size=config.size,
        channels=config.channels,
        colour="grey" if config.channels == 1 else "RGB",
        prepared=in_words(config.prepared),
        parameters=test["parameters"],
        macs=test["macs"] / 1e6,
        twin=dense if tied else "",
        origin=origin,
        tested=f" of {result['data']} ({published(result)})" if released else "",
        interval=f" (95 % interval {low:.2%} to {high:.2%})" if high else "",
        terms=f"Terms of the data: {result['terms']}." if result.get("terms") else "",
        n=test["n"],
        accuracy=test["accuracy"],
        graph=f"\n| accuracy of `model.onnx` ({graph['precision']}) | {graph['accuracy']:.2%} |"
        if graph
        else "",
        nll=test["nll"],
        calibration_error=test["calibration_error"],
        left_out=on_card(test.get("left_out", {})),
        training=time.format(**training) if "epochs" in training else "",
        plans=plans_table(test.get("plans", {})),
        foreign="".join(
            f"\n{found['flagged']:.0%} of {found['n']:,} {name} pictures get it, {found['own_flagged']:.0%} of its own."
            for name, found in result.get("out_of_scope", {}).items()
        ),
    )
