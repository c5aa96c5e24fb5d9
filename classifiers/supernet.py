"""Training all plans of a network at once, after the network itself was trained.

The sandwich rule (Yu & Huang 2019, arXiv:1903.05134): each step runs the full network, a random plan and the smallest.
The full one learns from the labels, the shortened ones from it and from the labels. What a norm hands on has the same
mean and deviation in all of them, see :mod:`classifiers.plans`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from classifiers import plans
from classifiers.augment import Pictures
from classifiers.images import resize
from classifiers.model import CompactCNN
from classifiers.plans import Moments, Plan
from training.loop import require
from training.pictures import to_floats

DROPOUT = 0.2  # of the features, in the full network
EVERY = 2  # one in so many pictures of a batch tells what a norm hands on
PACE = 0.1  # with which what is known of that follows
SORTED_BY = 256  # training pictures that say what channels are worth


@dataclass(frozen=True)
class Shortening:
    """How the plans of a network are trained.

    Args:
        plans: passes over the training pictures in which every plan of the network is trained, after the network
            itself; 0 for none. Left out, 6 from a backbone of inverted residuals, else none.
        full: share of their steps in which the full network learns; in the others, half of the work, it only teaches.
        distil: share of the full network's probabilities, the rest the labels', in what a plan learns from.
        heat: temperature that both are softened with.
    """

    plans: int | None = None
    full: float = 0.5
    distil: float = 0.7
    heat: float = 2.0

    def check(self) -> None:
        """``RunError`` for options that no run can have."""
        require("--plans", self.plans, self.plans is None or self.plans >= 0, "at least 0")
        for name in ("full", "distil"):
            require(f"--{name}", getattr(self, name), 0 <= getattr(self, name) <= 1, "in [0, 1]")
        require("--heat", self.heat, self.heat > 0, "above 0")


class Supernet(nn.Module):
    """Runs the full network of a model and plans of it on the same pictures.

    Args:
        model: whose channels :func:`plans.sort_channels` has put in order.
        x: scaled training pictures, which first tell what norms hand on.
    """

    moments: Tensor

    def __init__(self, model: CompactCNN, x: Tensor) -> None:
        super().__init__()
        self.model = model
        self.full = plans.full_plan(model.network, model.config.size)
        found = plans.full_moments(model.network, self.full, x)
        self.norms, self.channels = list(found), [len(mean) for mean, _ in found.values()]
        # Of what each norm hands on in the full network: mean and deviation (2, C), one norm after the other.
        self.register_buffer("moments", torch.cat([torch.stack(pair) for pair in found.values()], 1))

    def forward(self, image: Tensor, chosen: Sequence[Plan], learns: bool = True) -> list[Tensor]:
        """Logits (B, K) for pictures (B, C, H, W) in [0, 1]: of the full network, and of each plan.

        Args:
            learns: the full network does, and does not only teach.
        """
        found: Moments = {}
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            norm = plans.recording(found, EVERY) if learns else plans.own
            logits = [self._run(image, self.full, norm, DROPOUT if learns and self.training else 0.0)]
        if learns and self.training:
            now = torch.cat([torch.stack(found[norm]) for norm in self.norms], 1)
            self.moments.lerp_(now, PACE)
        parts = self.moments.split(self.channels, 1)
        known = {norm: (part[0], part[1]) for norm, part in zip(self.norms, parts, strict=True)}
        logits += [self._run(image, plan, plans.matching(known)) for plan in chosen]
        # What no plan of this step used still takes part, or processes would wait for its gradient.
        logits[-1] = logits[-1] + 0.0 * sum(p.sum() for p in self.model.parameters() if p.requires_grad)
        return logits

    def _run(self, image: Tensor, plan: Plan, norm: plans.Norm, dropout: float = 0.0) -> Tensor:
        model = self.model
        x = (resize(image, plan.size) - model.mean) / model.std
        x = x.contiguous(memory_format=torch.channels_last)
        return plans.run(model.network, x, plan, norm, dropout)


def supernet(model: CompactCNN, images: Tensor, labels: Tensor) -> Supernet:
    """Of a trained model, whose channels are put in the order of what they are worth on training pictures."""
    places = chosen_for(labels, SORTED_BY)
    x = (to_floats(images[places]) - model.mean) / model.std
    plans.sort_channels(model.network, x, labels[places])
    return Supernet(model, x[: plans.enough(model.config.size)])


def chosen_for(labels: Tensor, count: int) -> Tensor:
    """Places of ``count`` training pictures that stand for all of them, always the same."""
    return torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:count]


def make_step(
    pictures: Pictures,
    labels: Tensor,
    model: CompactCNN,
    how: Shortening,
    smoothing: float,
    average: AveragedModel | None = None,
    device: torch.device | str = "cpu",
) -> Callable[[nn.Module, Tensor, float], dict[str, Tensor]]:
    """The training step of ``training.loop.fit`` on a :class:`Supernet` of the model."""
    network, size = model.network, model.config.size
    full, smallest = plans.full_plan(network, size), plans.smallest_plan(network, size)

    def step(prepared: nn.Module, index: Tensor, progress: float) -> dict[str, Tensor]:
        if average is not None:
            average.update_parameters(model)
        image, target = pictures(index).to(device), labels[index].to(device)
        learns = float(torch.rand(())) < how.full
        logits = prepared(image, [plans.drawn(network, size, full), smallest], learns)
        return sandwich_loss(logits, target, how, smoothing)

    return step


def sandwich_loss(
    logits: Sequence[Tensor], label: Tensor, how: Shortening, smoothing: float
) -> dict[str, Tensor]:
    """Cross entropy of the full network, and what the plans owe to it and to the labels."""
    first, *short = (x.float() for x in logits)
    losses = {"full": F.cross_entropy(first, label, label_smoothing=smoothing)}
    teacher, parts = (first.detach() / how.heat).softmax(1), [first.new_zeros(())]
    for student in short:
        # heat^2 keeps the gradient's scale (Hinton et al. 2015, arXiv:1503.02531, section 2)
        soft = F.kl_div((student / how.heat).log_softmax(1), teacher, reduction="batchmean") * how.heat**2
        parts.append(torch.lerp(F.cross_entropy(student, label, label_smoothing=smoothing), soft, how.distil))
    losses["short"] = torch.stack(parts).sum()
    losses["loss"] = losses["full"] + losses["short"]
    return losses
