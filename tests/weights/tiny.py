"""A model with what makes checkpoints difficult: a tied weight, a counter, a list among the arguments."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weights import Pretrained


class Tiny(nn.Module, Pretrained, library_name="tinylib", tags=["tiny"], license="apache-2.0"):
    counter: Tensor

    def __init__(self, width: int, scales: list[float], activation: str = "relu") -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be positive, not {width}")
        self.embedding = nn.Embedding(3, width)
        self.head = nn.Linear(width, 3, bias=False)
        self.head.weight = self.embedding.weight
        self.norm = nn.LayerNorm(width)
        self.register_buffer("counter", torch.tensor(len(scales)))


class Other(nn.Module, Pretrained, library_name="otherlib"):
    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
