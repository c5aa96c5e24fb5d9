"""How much orientation is left in an embedding: of any network, not only of ours.

    python -m affinevae.audit affinevae-mnist --data mnist
    python -m affinevae.audit my_module:embed --data pictures/ --size 64 --output audits/mine

Every image is laid in a padded frame and turned once by an angle that the embedding never sees. Three things follow.
*Leakage*: how well the angle can be read from the embedding. *Drift*: how far the embedding moves when the same image
is turned again, as a share of the distance between images. And how a linear probe that learned from upright images
fares at every angle. An embedding that knows nothing of orientation has no leakage, no drift, and a flat curve.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch import Tensor

from affinevae import metrics
from affinevae.affine import GROUPS
from affinevae.data import load
from affinevae.model import AffineVAE
from affinevae.turned import turn_all
from training.command import command
from training.functions import function_of
from training.left_out import on_card, only_finite, too_few
from training.measure import commit, machine
from weights.checkpoint import write

Embed = Callable[[Tensor], Tensor]  # images (B, C, S, S) in [0, 1] -> (B, L), or anything that flattens to it
BATCH = 256
STEP = 30  # degrees between the angles of the curve
FEWEST = 40  # images: half of them teach a regression of ten neighbours
REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

CARD = """# Orientation in {name}

{n:,} images of {data} in frames of {size} pixels, each turned once by an angle of its own; {dim:,} numbers an image.

| | |
|---|---|
{rows}{left_out}

Leakage is the R^2 with which ten nearest neighbours read the angle (cosines and sines of the angle and of twice the
angle) on images that they did not learn from; 0 or less: nothing. Drift is how far the embedding moves when an image is
turned again, over the distance between images; 0: not at all. The probe is linear and learned from upright images.

![Accuracy of a linear probe over the angle, and the mean of all angles](audit.png)

`{command}` measures it again.
"""


@dataclass(frozen=True)
class Audit:
    """Measure how much orientation leaks into an embedding.

    Args:
        embedding: an affine VAE (folder, name or Hub repository), whose z is audited, or a function of your own,
            ``my_module:embed``, from images (B, C, S, S) in [0, 1] to (B, L).
        data: data set: a name, a Hub data set, a table or a folder of images that stand upright.
        size: pixels a side of the frame; that of the VAE, or one that holds the turned images if left out.
        channels: 1 grey, 3 RGB; as the model or the data if left out.
        images: at most so many of the test split.
        seed: of the angles.
        output: folder for ``audit.json``, the card ``audit.md`` and its plot.
    """

    embedding: Annotated[str, tyro.conf.Positional]
    data: str
    size: int | None = None
    channels: int | None = None
    images: int = 2000
    seed: int = 0
    output: Path = Path("audit")


def audit(
    embed: Embed, images: Tensor, labels: Tensor | None = None, size: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Leakage, drift, and accuracy over angle of an embedding, with what could not be measured under ``left_out``.

    Args:
        embed: images ``(B, C, size, size)`` in [0, 1] to ``(B, L)``.
        images: upright, bytes ``(N, C, h, h)``.
        labels: ``(N,)`` class indices; without them there is no accuracy.
        size: pixels a side of the frame; twice the images' half diagonal if left out, so that nothing is cut off.

    Raises:
        ValueError: too few images, or an embedding that is not a finite vector an image.
    """
    if len(images) < FEWEST:
        raise ValueError(f"an audit takes {FEWEST} images, and there are {len(images)}")
    size = size or frame(images.shape[-1])
    group = GROUPS["rotation"]
    angle, again = (group.sample(len(images), torch.Generator().manual_seed(seed + i)) for i in range(2))
    z, moved = (_embedded(embed, turn_all(images, a, group, size)) for a in (angle, again))
    found: dict[str, Any] = {
        "n": len(images),
        "dim": z.shape[1],
        "size": size,
        "leakage": metrics.angle_leakage(z, angle[:, 0]),
        "drift": metrics.invariance_ratio(z, moved),
    }
    missing: dict[str, str] = {}
    classes = 0 if labels is None else len(labels[: len(labels) // 2].unique())
    if labels is None or classes < 2:
        reason = "the images have no labels" if labels is None else too_few(classes, 2, "classes")
        missing |= dict.fromkeys(("leakage_in_class", "accuracy"), reason)
        return only_finite(found, missing)
    crowd = torch.isin(labels, labels.unique()[labels.bincount()[labels.unique()] >= FEWEST])
    if crowd.any():
        found["leakage_in_class"] = metrics.class_angle_leakage(z[crowd], angle[crowd, 0], labels[crowd])
    else:
        missing["leakage_in_class"] = f"no class has {FEWEST} images"
    found["accuracy"] = curve(embed, images, labels, size)
    found["accuracy_upright"] = found["accuracy"][0]["accuracy"]
    found["accuracy_turned"] = sum(p["accuracy"] for p in found["accuracy"]) / len(found["accuracy"])
    return only_finite(found, missing)


def curve(embed: Embed, images: Tensor, labels: Tensor, size: int) -> list[dict[str, float]]:
    """Accuracy at 0, 30, ... degrees, of a linear probe that one half of the images taught upright, on the other."""
    group, half = GROUPS["rotation"], len(images) // 2

    def at(part: slice, degrees: float) -> Tensor:
        pose = torch.full((len(images[part]), 1), degrees).deg2rad()
        return _embedded(embed, turn_all(images[part], pose, group, size))

    taught, rest = slice(half), slice(half, None)
    probe = metrics.linear_probe(at(taught, 0), labels[taught])
    return [
        {"degrees": degrees, "accuracy": probe(at(rest, degrees), labels[rest])}
        for degrees in range(0, 360, STEP)
    ]


def frame(side: int) -> int:
    """Side of the smallest square, a multiple of 4, that holds a turned one."""
    return -int(-(2**0.5) * side // 4) * 4


def _embedded(embed: Embed, images: Tensor) -> Tensor:
    """``(N, L)`` floats of an embedding, checked."""
    with torch.no_grad():
        parts = [embed(part) for part in images.split(BATCH)]
    wrong = next((p for p in parts if not isinstance(p, Tensor)), None)
    if wrong is not None:
        raise ValueError(f"an embedding must give a tensor (B, L), not a {type(wrong).__name__}")
    if any(p.shape[:1] != x.shape[:1] for p, x in zip(parts, images.split(BATCH), strict=True)):
        raise ValueError(f"an embedding must give a vector an image, not {tuple(parts[0].shape)} of {BATCH}")
    z = torch.cat([p.detach().flatten(1).float().cpu() for p in parts])
    if not z.isfinite().all():
        raise ValueError("the embedding holds NaN or infinity: there is nothing to measure")
    return z


# The command -------------------------------------------------------------------------------------------------------


def embedding(options: Audit) -> tuple[Embed, int | None, int | None]:
    """What to audit, and the size and channels that it asks for.

    Raises:
        ValueError: there is no such function.
        WeightsError: there is no such model.
    """
    if not REFERENCE.fullmatch(options.embedding):
        model = AffineVAE.from_pretrained(options.embedding)
        return lambda x: model.encode(x).z, model.config.size[0], model.config.channels
    module, _, name = options.embedding.partition(":")
    return function_of(module, name), options.size, options.channels


def run(options: Audit) -> dict[str, Any]:
    """Audit, and write numbers, card and plot; returns the numbers."""
    embed, size, channels = embedding(options)
    size = options.size or size
    data = load(options.data, options.channels or channels, size)
    images = data.test.images[: options.images]
    if images.ndim != 4:
        raise ValueError(f"{data.name} holds voxel shapes: only images can be audited")
    labels = None if data.test.labels is None else data.test.labels[: options.images]
    found = audit(embed, images, labels, size, options.seed)
    result = {
        "embedding": options.embedding,
        "data": data.name,
        **found,
        "machine": machine(),
        "commit": commit(),
    }
    files = {"audit.json": json.dumps(result, indent=1).encode(), "audit.md": card(options, result).encode()}
    if "accuracy" in found:
        files["audit.png"] = plot(found["accuracy"])
    write(options.output, files)
    return result


ROWS = {
    "leakage": ("leakage of the angle, R^2", "{:.3f}"),
    "leakage_in_class": ("leakage inside a class, mean", "{:.3f}"),
    "drift": ("drift when turned, over the distance between images", "{:.3f}"),
    "accuracy_upright": ("linear probe, upright as it learned", "{:.1%}"),
    "accuracy_turned": ("linear probe, mean over all angles", "{:.1%}"),
}


def card(options: Audit, result: dict[str, Any]) -> str:
    """The numbers as a page of Markdown."""
    rows = "\n".join(
        f"| {title} | {form.format(result[key])} |" for key, (title, form) in ROWS.items() if key in result
    )
    words = (
        f"python -m affinevae.audit {options.embedding} --data {options.data} --size {result['size']} "
        f"--images {options.images} --seed {options.seed}"
    )
    filled = CARD.format(
        name=options.embedding,
        rows=rows,
        left_out=on_card(result["left_out"]),
        command=words,
        **{key: result[key] for key in ("n", "data", "size", "dim")},
    )
    picture = re.compile(r"!\[.*?\]\(audit.png\)\n\n")
    return filled if "accuracy" in result else picture.sub("", filled)


def plot(points: list[dict[str, float]]) -> bytes:
    """Accuracy over angle, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(4.8, 3.2), layout="constrained")
    axes = figure.add_subplot()
    degrees, right = [p["degrees"] for p in points], [100 * p["accuracy"] for p in points]
    axes.plot([*degrees, 360], [*right, right[0]], color="#0072B2", marker="o", markersize=3)
    axes.axhline(sum(right) / len(right), color="#999999", linewidth=0.8, linestyle="--")
    axes.set_xlabel("degrees turned")
    axes.set_ylabel("accuracy of a linear probe, %")
    axes.set_xticks(range(0, 361, 90))
    axes.set_ylim(0, 100)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    pyplot.close(figure)
    return file.getvalue()


if __name__ == "__main__":
    command(Audit, run)
