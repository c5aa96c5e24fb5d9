"""A folder of tiny random models that behave like the shipped ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import safetensors.torch
import torch

from affinevae import AffineVAE

MODEL, PLAIN = "affinevae-mnist", "vae-mnist"
BROKEN = "half"
COLOURS = "colours"


def tiny(**config: object) -> AffineVAE:
    """A random model whose pictures depend visibly on z."""
    torch.manual_seed(0)
    defaults = {"size": (32, 32), "latent_dim": 4, "width": 32, "features": 4}
    model = AffineVAE(**{**defaults, **config}).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for layer in model.decoder.trunk:
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(4)
    return model


def write_weights(root: Path) -> Path:
    """A model, its plain twin, its map; a user's RGB model of another size and group; half a checkpoint."""
    tiny(classes=tuple("0123456789")).save_pretrained(root / MODEL)
    tiny(latent_dim=5, group="none").save_pretrained(root / PLAIN)
    tiny(size=(24, 24), channels=3, group="affine").save_pretrained(root / COLOURS)
    shutil.copytree(root / MODEL, root / BROKEN)
    whole = (root / BROKEN / "model.safetensors").read_bytes()
    (root / BROKEN / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    layout = {"xy": torch.rand(200, 2), "z": torch.randn(200, 4), "label": torch.randint(10, (200,))}
    safetensors.torch.save_file(layout, root / MODEL / "map.safetensors")
    return root
