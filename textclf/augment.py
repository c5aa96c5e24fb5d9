"""Other forms of a training text that keep its label: pieces of it, its sentences in another order, repetitions.

A classifier of long reviews that has never met a short or a repetitive one is sure of itself about them all the same:
"I hated it." ten times was a positive review. Everything here works on token ids, [CLS] first and [SEP] last.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textclf.tokens import Tokens

ENDS = (".", "!", "?", "。", "।", "؟")  # tokens that end a sentence
MOST = 12  # times that a piece is met at once, at most
LONG = 3  # sentences from which on a text is one that has parts


def thinned(ids: Tensor, share: float) -> Tensor:
    """A text's ids ``(N,)`` without a random ``share`` of its tokens; [CLS] and [SEP] stay.

    No text is read twice alike then, and the windows of a bottleneck fall elsewhere at each visit.
    """
    kept = torch.rand(len(ids)) >= share
    kept[0] = kept[-1] = True
    return ids[kept]


def sentence_ends(tokens: Tokens) -> Tensor:
    """Ids of the tokens that end a sentence ``(E,)``, as this vocabulary has them."""
    found = (tokens.tokenizer.token_to_id(mark) for mark in ENDS)
    return torch.tensor([i for i in found if i is not None], dtype=torch.long)


def sentences(inner: Tensor, ends: Tensor) -> list[Tensor]:
    """Ids ``(N,)`` of a text, [CLS] and [SEP] left out, cut behind each run of tokens that end a sentence."""
    stops = torch.isin(inner.long(), ends)
    last = stops & ~torch.cat([stops[1:], stops.new_zeros(1)])  # "..." and "?!" end one
    sizes = (last.nonzero()[:, 0] + 1).diff(prepend=torch.zeros(1, dtype=torch.long)).tolist()
    rest = len(inner) - sum(sizes)
    return [part for part in inner.split([*sizes, rest]) if len(part)]


def varied(ids: Tensor, ends: Tensor, longest: int) -> Tensor:
    """A text ``(N,)`` in another form, of ``longest`` tokens at most; drawn anew at each call.

    A text of several sentences is met as a run of them, with them in another order, or as one of them several times
    over; a shorter text is met several times over.
    """
    first, inner, last = ids[:1], ids[1:-1], ids[-1:]
    parts = sentences(inner, ends)
    form = int(torch.randint(3, ())) if len(parts) >= LONG else 2
    if form == 0:
        found = [parts[i] for i in torch.randperm(len(parts)).tolist()]
    elif form == 1:
        count = 1 + int(torch.randint(len(parts) - 1, ()))
        start = int(torch.randint(len(parts) - count + 1, ()))
        found = parts[start : start + count]
    else:
        piece = parts[int(torch.randint(len(parts), ()))] if len(parts) >= LONG else inner
        room = max(1, (longest - 2) // max(1, len(piece)))
        found = [piece] * min(room, 2 + int(torch.randint(MOST - 1, ())))
    return torch.cat([first, *found, last])
