"""A tokenizer, random models and labelled texts that are made here."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from textclf import TextClassifier
from textclf.encoder import Encoder, EncoderConfig
from textclf.tokens import Tokens

GOOD = ["good", "fine", "lovely", "bright"]
BAD = ["bad", "awful", "dull", "grim"]
FILLER = [f"word{i}" for i in range(40)]
LAYERS = 4


def tokens() -> Tokens:
    """A BERT-like WordPiece tokenizer of the words above, letters and digits."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,"
    listed = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *letters,
        *("##" + c for c in letters),
        *GOOD,
        *BAD,
        *FILLER,
    ]
    vocabulary = {token: i for i, token in enumerate(listed)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return Tokens(json.loads(tokenizer.to_str()))


def encoder(vocabulary: int, seed: int = 0, positions: int = 128) -> Encoder:
    """A random encoder whose words differ enough to matter."""
    torch.manual_seed(seed)
    return Encoder(EncoderConfig(vocabulary, 32, LAYERS, 4, 64, positions)).eval()


def model(
    pooling: str = "learned", classes: tuple[str, ...] = ("bad", "good"), seed: int = 0
) -> TextClassifier:
    """An untrained classifier whose every parameter is random, the bottlenecks' too."""
    known = tokens()
    built = TextClassifier.build(encoder(len(known), seed), known, classes, longest=64, pooling=pooling)
    with torch.no_grad():
        for parameter in (*built.bottlenecks.parameters(), built.head.weight):
            parameter.normal_(0, 0.5)
    return built.eval()


def reviews(n: int, seed: int = 0, words: int = 12) -> tuple[list[str], list[str]]:
    """Texts of filler with one telling word, and their labels."""
    source = random.Random(seed)
    texts, labels = [], []
    for _ in range(n):
        label = source.choice(["bad", "good"])
        text = source.choices(FILLER, k=source.randint(3, words))
        text[source.randrange(len(text))] = source.choice(GOOD if label == "good" else BAD)
        texts.append(" ".join(text))
        labels.append(label)
    return texts, labels


def write_csv(path: Path, n: int, seed: int = 0) -> Path:
    """Reviews as a table with the columns text and label."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(*reviews(n, seed), strict=True))
    return path


def write_backbone(folder: Path) -> Path:
    """A folder like a Hub checkpoint of BERT: config, weights and tokenizer."""
    from transformers import BertConfig, BertModel

    known = tokens()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(known),
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(known.description))
    return folder
