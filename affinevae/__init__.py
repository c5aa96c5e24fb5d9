"""Affine VAE: shape and orientation of images, taken apart without labels."""

from affinevae.model import AffineVAE, AffineVAEConfig, Code

__all__ = ["AffineVAE", "AffineVAEConfig", "Code"]
