"""Affine VAE: shape and orientation of images, taken apart without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affinevae.model import AffineVAE, AffineVAEConfig, Code

__all__ = ["AffineVAE", "AffineVAEConfig", "Code"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: the process in which the page reads strangers' meshes has no use for torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from affinevae import model

    return getattr(model, name)
