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
# In 3D: any turn; quarter turns, shift and scale.
SOLID, QUARTERS = "affinevae-modelnet10", "quarters"


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


def tiny_solid(**config: object) -> AffineVAE:
    """A model that has seen blocks of all proportions for a second."""
    torch.manual_seed(0)
    defaults = {"size": (16, 16, 16), "latent_dim": 4, "width": 64, "features": 8}
    model = AffineVAE(**{**defaults, **config})  # type: ignore[arg-type]
    axis = (torch.arange(16) + 0.5) / 8 - 1
    half = 0.2 + 0.6 * torch.rand(64, 3, 1)
    x, y, z = (axis.abs() < half).float().unbind(1)
    blocks = torch.einsum("bx,by,bz->bxyz", x, y, z)[:, None]
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(60):
        loss, rate = model.losses(blocks, model.group.identity(64), torch.randn(64, 4))
        optimizer.zero_grad()
        (loss + rate).mean().backward()
        optimizer.step()
    return model.eval()


def write_weights(root: Path) -> Path:
    """A model, its plain twin and map; a user's RGB model of another size and group; half a one; two of shapes."""
    tiny(classes=tuple("0123456789")).save_pretrained(root / MODEL)
    tiny(latent_dim=5, group="none").save_pretrained(root / PLAIN)
    tiny(size=(24, 24), channels=3, group="affine").save_pretrained(root / COLOURS)
    tiny_solid(classes=("chair", "table")).save_pretrained(root / SOLID)
    tiny_solid(group="cube+shift+scale").save_pretrained(root / QUARTERS)
    shutil.copytree(root / MODEL, root / BROKEN)
    whole = (root / BROKEN / "model.safetensors").read_bytes()
    (root / BROKEN / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    layout = {"xy": torch.rand(200, 2), "z": torch.randn(200, 4), "label": torch.randint(10, (200,))}
    safetensors.torch.save_file(layout, root / MODEL / "map.safetensors")
    return root
