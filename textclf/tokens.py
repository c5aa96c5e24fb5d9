"""Text to token ids with the backbone's own vocabulary, cut down to what a data set needs.

A tokenizer is the JSON of the ``tokenizers`` package, kept inside the model's weights as compressed bytes: one file is
the whole model, and a vocabulary can not be mistaken for another's.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from weights import WeightsError

CHUNK = 1000  # texts tokenized at once: spans of a whole data set would fill the memory
MAX_BYTES = 64_000_000  # of a tokenizer's JSON; that of a multilingual vocabulary of 250,000 tokens has 17 MB
MARGIN = 200  # characters beside a cut whose tokens may be others than in the whole text; longer words are unknown ones
STRIDE = 32_000  # characters of a text that is looked at as a whole
A_TOKEN = (
    10  # characters of a longer one that are looked at first for each token; then twice as many, and so on
)
PADDING = 0  # any id will do, nobody looks at it


class Piece(NamedTuple):
    """One text as the model sees it: ids with [CLS] and [SEP], and the characters behind each (None: none)."""

    ids: list[int]
    spans: list[tuple[int, int] | None]


class Tokens:
    """A tokenizer; ``len`` is the size of its vocabulary."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = {**description, "truncation": None, "padding": None}
        try:
            self.tokenizer = Tokenizer.from_str(json.dumps(self.description))
        except Exception as error:  # the package raises plain Exceptions
            raise WeightsError(f"the tokenizer is not one of the tokenizers package ({error})") from error
        edge = self.tokenizer.encode("").ids
        if len(edge) != 2:
            raise WeightsError("the tokenizer adds no first and last token: it is not a BERT-family one")
        self.first, self.last = edge

    @classmethod
    def from_folder(cls, folder: Path) -> Tokens:
        """The ``tokenizer.json`` of a backbone; ``WeightsError`` if there is none."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise WeightsError(f"{folder.name} holds no tokenizer.json")
        try:
            return cls(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise WeightsError(f"{path.name} of {folder.name} is damaged ({error})") from error

    @classmethod
    def from_bytes(cls, stored: Tensor) -> Tokens:
        """From what :meth:`to_bytes` gave; ``WeightsError`` if it is anything else."""
        unpacking = zlib.decompressobj()
        try:
            text = unpacking.decompress(stored.cpu().numpy().tobytes(), MAX_BYTES)
            if unpacking.unconsumed_tail:
                raise WeightsError(f"the stored tokenizer unpacks to more than {MAX_BYTES // 10**6} MB")
            return cls(json.loads(text))
        except (zlib.error, ValueError) as error:
            raise WeightsError(f"the stored tokenizer is damaged ({error})") from error

    def to_bytes(self) -> Tensor:
        """Compressed JSON, ``(n,)`` uint8."""
        text = json.dumps(self.description, ensure_ascii=False, separators=(",", ":"))
        return torch.frombuffer(bytearray(zlib.compress(text.encode(), 9)), dtype=torch.uint8)

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str], longest: int, ends: bool = False) -> Iterator[Piece]:
        """Ids and spans of each text, of at most ``longest`` tokens.

        A longer text loses its end, or with ``ends`` its middle: a quarter from the start is kept and the rest from
        the end, where reviews sum up (Sun et al. 2019, arXiv:1905.05583, section 5.3.1).
        """
        room = longest - 2
        head = room // 4 if ends else room
        for start in range(0, len(texts), CHUNK):
            part = [text.encode("utf-8", "replace").decode() for text in texts[start : start + CHUNK]]
            short = [text if len(text) <= STRIDE else "" for text in part]
            for text, found in zip(
                part, self.tokenizer.encode_batch(short, add_special_tokens=False), strict=True
            ):
                ids, spans = found.ids, found.offsets
                if len(text) > STRIDE:
                    ids, spans = self._long(text, head, room - head)
                elif len(ids) > room:
                    ids = ids[:head] + ids[len(ids) - room + head :]
                    spans = spans[:head] + spans[len(spans) - room + head :]
                yield Piece([self.first, *ids, self.last], [None, *spans, None])

    def _long(self, text: str, head: int, tail: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Its first ``head`` and last ``tail`` tokens, or all of them; no more of it is tokenized than is needed.

        A million Chinese characters are a million tokens, which take half a gigabyte.
        """
        start = self._part(text, head, A_TOKEN * head + 2 * MARGIN, False)
        if not tail or len(start[0]) < head:  # it has no more
            return start
        end = self._part(text, tail, A_TOKEN * tail + 2 * MARGIN, True)
        if len(end[0]) < tail or (
            head and end[1][0][0] < start[1][-1][1]
        ):  # so few that the two would overlap
            return self._part(text, head + tail, len(text), False)
        return start[0] + end[0], start[1] + end[1]

    def _part(
        self, text: str, count: int, reach: int, backwards: bool
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """The first, or last, ``count`` tokens of a text, or all if it has fewer."""
        while True:
            shift = max(0, len(text) - reach) if backwards else 0
            # In a batch of one, or it would keep the interpreter from all other threads.
            (found,) = self.tokenizer.encode_batch([text[shift : shift + reach]], add_special_tokens=False)
            kept = slice(max(0, len(found.ids) - count), None) if backwards else slice(count)
            ids, spans = found.ids[kept], found.offsets[kept]
            sure = len(ids) == count and (
                spans[0][0] >= MARGIN if backwards else spans[-1][1] <= reach - MARGIN
            )
            if sure or reach >= len(text):
                return ids, [(start + shift, end + shift) for start, end in spans]
            reach *= 2

    def ids(self, texts: Sequence[str], longest: int, ends: bool = False) -> list[Tensor]:
        """The ids alone, as int32 tensors."""
        return [torch.tensor(piece.ids, dtype=torch.int32) for piece in self.encode(texts, longest, ends)]

    def trimmed(self, texts: Iterable[str], size: int) -> tuple[Tokens, Tensor]:
        """A WordPiece vocabulary of the ``size`` tokens that are most frequent in ``texts``.

        Special tokens and single letters always stay, so that a rare word still falls into pieces. Returns the
        tokenizer and the old ids (V,) of its tokens, to take their embeddings; other kinds of vocabulary (byte-pair
        merges build on each other) stay whole.
        """
        model = self.description["model"]
        if model.get("type") != "WordPiece" or size >= len(self):
            return self, torch.arange(len(self))
        counts: Counter[int] = Counter()
        listed = list(texts)
        for start in range(0, len(listed), CHUNK):
            for found in self.tokenizer.encode_batch(listed[start : start + CHUNK], add_special_tokens=False):
                counts.update(found.ids)
        vocabulary: dict[str, int] = model["vocab"]
        special = {token["content"] for token in self.description["added_tokens"]}
        always = {i for token, i in vocabulary.items() if token in special or _is_letter(token)}
        common = [i for i, _ in counts.most_common() if i not in always]
        kept = sorted([*always, *common[: max(0, size - len(always))]])
        return self._renumbered(kept), torch.tensor(kept)

    def _renumbered(self, kept: list[int]) -> Tokens:
        new = {old: i for i, old in enumerate(kept)}
        model = self.description["model"]
        vocabulary = {token: new[i] for token, i in model["vocab"].items() if i in new}
        added = [{**t, "id": vocabulary[t["content"]]} for t in self.description["added_tokens"]]
        return Tokens(
            {
                **self.description,
                "model": {**model, "vocab": vocabulary},
                "added_tokens": added,
                "post_processor": _with_ids(self.description["post_processor"], vocabulary),
            }
        )


def _is_letter(token: str) -> bool:
    letter = token.removeprefix("##")
    return len(letter) == 1 and letter.isascii()


def _with_ids(processor: dict[str, Any], vocabulary: dict[str, int]) -> dict[str, Any]:
    """The part that adds [CLS] and [SEP], with the ids of another vocabulary."""
    if "special_tokens" in processor:
        entries = processor["special_tokens"].items()
        renumbered = {name: {**e, "ids": [vocabulary[t] for t in e["tokens"]]} for name, e in entries}
        return {**processor, "special_tokens": renumbered}
    return {**processor, **{k: [processor[k][0], vocabulary[processor[k][0]]] for k in ("sep", "cls")}}


def batch(ids: Sequence[Tensor], length: int | None = None) -> tuple[Tensor, Tensor]:
    """Token ids and mask, each ``(B, length)``; the length is that of the longest text if left out."""
    length = max(map(len, ids)) if length is None else length
    filled = torch.full((len(ids), length), PADDING, dtype=torch.long)
    mask = torch.zeros(len(ids), length)
    for row, tokens in enumerate(ids):
        filled[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return filled, mask
