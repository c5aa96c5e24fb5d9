"""How unlike the training texts a text is, by its words alone: a hint that an answer may mean nothing.

The surprisal of a text is the mean over its tokens of -log p, p being how often each occurred in the training texts.
It is compared with what texts of its length have: a short text's mean varies more.

    z = (surprisal - mean) / sqrt(within^2 / tokens + between^2)

No network is asked, so the hint is the same for every plan and engine, and costs nothing. It knows other languages,
letters in no order, and long texts on another subject; a few common words on another subject look like any others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

QUANTILE = 0.99  # of held-out texts that lie within
FEWEST = 50  # held-out texts, below which the training texts say what is usual


class Scope(NamedTuple):
    """What is usual: mean surprisal in nats, its deviation within and between texts, and the highest usual ``z``."""

    mean: float
    within: float
    between: float
    limit: float


def log_frequencies(pieces: Sequence[Tensor], vocabulary: int) -> Tensor:
    """Logarithm of how often each token occurs in texts, ``(V,)``; those that never do count half."""
    counts = torch.full((vocabulary,), 0.5)
    if pieces:
        counts += torch.cat(list(pieces)).long().bincount(minlength=vocabulary)
    return (counts / counts.sum()).log()


def surprisal(pieces: Sequence[Tensor], usual: Tensor) -> tuple[Tensor, Tensor]:
    """Mean surprisal of texts in nats a token, and how many tokens each has, ``(N,)``; [CLS] and [SEP] left out."""
    inner = [piece[1:-1].long() for piece in pieces]
    sizes = torch.tensor([float(len(piece)) for piece in inner])
    sums = torch.stack([-usual[piece].sum() for piece in inner]) if inner else torch.zeros(0)
    return sums / sizes.clamp(min=1), sizes


def strangeness(pieces: Sequence[Tensor], usual: Tensor, scope: Scope) -> Tensor:
    """``z`` of each text, ``(N,)``; 0 for one without a token."""
    found, sizes = surprisal(pieces, usual)
    deviation = (scope.within**2 / sizes.clamp(min=1) + scope.between**2).sqrt()
    return torch.where(sizes > 0, (found - scope.mean) / deviation, torch.zeros(()))


def learned(pieces: Sequence[Tensor], held: Sequence[Tensor], vocabulary: int) -> tuple[Tensor, Scope]:
    """Log frequencies ``(V,)`` of the training texts, and what is usual for the held-out ones."""
    usual = log_frequencies(pieces, vocabulary)
    shown = held if len(held) >= FEWEST else [*pieces, *held]
    tokens = torch.cat([piece[1:-1] for piece in shown]).long()
    within = float((-usual[tokens]).std()) if len(tokens) > 1 else 1.0
    found, sizes = surprisal(shown, usual)
    known = found[sizes > 0]
    mean = float(known.mean()) if len(known) else 0.0
    noise = within**2 / sizes[sizes > 0]
    between = float(((known - mean) ** 2 - noise).mean().clamp(min=0).sqrt()) if len(known) else 0.0
    scope = Scope(mean, max(within, 1e-3), between, 0.0)
    z = strangeness(shown, usual, scope)
    return usual, scope._replace(limit=max(0.0, float(z.quantile(QUANTILE))))
