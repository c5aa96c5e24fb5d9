"""Which way is up: what a model without labels cannot know, learned from a few pictures that stand upright.

    python -m affinevae.upright affinevae-mnist --data mnist --images 500 --output runs/upright

A model chooses its canonical orientation for itself, another one for each kind of picture. Upright pictures show it:
the angle at which it finds one of them is what its canonical view must be turned by to stand. Nothing is trained and no
label is needed: a new picture goes by the upright ones whose codes are nearest. With labels there is one angle a class,
to show shapes by.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch import Tensor, nn

from affinevae.data import load
from affinevae.explore import Upright
from affinevae.groups import get_group
from affinevae.metrics import circular_offset, wrap
from affinevae.model import AffineVAE, Effort
from affinevae.turned import turn_all
from training.command import command
from training.loop import require
from training.measure import commit, machine
from weights.checkpoint import write

BATCH = 500

# pictures (B, C, S, S) in [0, 1], in the frame of the affine VAE -> logits (B, K)
Classifier = Callable[[Tensor], Tensor]


def learn_upright(model: AffineVAE, images: Tensor, effort: Effort = "fast") -> Upright:
    """Which way is up, from pictures ``(N, C, S, S)`` in [0, 1] that stand upright in the model's frame.

    Raises:
        ValueError: a plain VAE, or a model of shapes.
    """
    if not model.group.dim or model.config.dims != 2:
        raise ValueError("only an affine VAE of pictures has an up to learn, no plain VAE and none of shapes")
    codes = [model.encode(part, effort) for part in images.split(BATCH)]
    return Upright(torch.cat([c.z for c in codes]), torch.cat([c.pose[:, 0] for c in codes]))


def class_angles(upright: Upright, labels: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """One angle a class, in radians, for those of which there are pictures; ``labels`` (N,) are the pictures'."""
    return {
        name: float(wrap(circular_offset(upright.angle[labels == k])))
        for k, name in enumerate(classes)
        if (labels == k).any()
    }


class Canonical(nn.Module):
    """A frozen classifier behind a pose search: pictures in any orientation stand up before it sees them.

    Nothing is trained. Each pose within 2 nats of the best gives a view, turned upright as its nearest upright pictures
    stand; the answer is the mixture of the classifier's answers by the poses' probabilities.

    Args:
        model: finds how a picture is turned.
        classifier: any module or function from pictures in the model's frame to logits (B, K).
        upright: from :func:`learn_upright`.
    """

    def __init__(
        self, model: AffineVAE, classifier: Classifier, upright: Upright, effort: Effort = "fast"
    ) -> None:
        super().__init__()
        self.model, self.classifier, self.upright, self.effort = model, classifier, upright, effort

    @torch.no_grad()
    def views(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Upright views ``(n, C, S, S)``, whose each is (n,), and the probabilities of their poses (n,)."""
        code = self.model.encode(images, self.effort)
        image, mode = (code.mode_probs > 0.01).nonzero(as_tuple=True)
        pose = code.modes[image, mode]
        z, _ = self.model.posterior(images[image], pose)
        turned = pose.clone()
        turned[:, 0] = wrap(pose[:, 0] - self.upright.up(z))
        return self.model.straighten(images[image], turned), image, code.mode_probs[image, mode]

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Log probabilities (B, K) of pictures ``(B, C, S, S)`` in [0, 1], turned anyhow."""
        views, image, probability = self.views(images)
        answers = self.classifier(views).softmax(1) * probability[:, None]
        mixed = answers.new_zeros(len(images), answers.shape[1]).index_add_(0, image, answers)
        return (mixed / mixed.sum(1, keepdim=True)).log()


# The command -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LearnUpright:
    """Learn which way is up from a few upright pictures, and write one angle a class.

    Args:
        model: an affine VAE of pictures: folder, name or Hub repository.
        data: data set of upright pictures: name, file or folder.
        images: at most so many of its training pictures.
        output: folder for ``upright.json``.
    """

    model: Annotated[str, tyro.conf.Positional]
    data: str
    images: int = 500
    output: Path = Path("upright")


def run(options: LearnUpright) -> dict[str, Any]:
    """Learn, and write the angles; returns what was written."""
    require("--images", options.images, options.images >= 1, "at least 1")
    model = AffineVAE.from_pretrained(options.model)
    config = model.config
    data = load(options.data, config.channels, config.size[0], config.learned)
    if data.train.images.ndim != 4:
        raise ValueError(f"{data.name} holds voxel shapes: only pictures have an up to learn")
    images = data.train.images[: options.images]
    standing = turn_all(images, torch.zeros(len(images), 0), get_group("none", 2), config.size[0])
    upright = learn_upright(model, standing)
    labels = data.train.labels
    result: dict[str, Any] = {
        "model": options.model,
        "data": data.name,
        "n": len(images),
        "radians": float(wrap(circular_offset(upright.angle))),
        "classes": {} if labels is None else class_angles(upright, labels[: len(images)], data.classes),
        "machine": machine(),
        "commit": commit(),
    }
    write(options.output, {"upright.json": json.dumps(result, indent=1).encode()})
    return result


if __name__ == "__main__":
    command(LearnUpright, run)
