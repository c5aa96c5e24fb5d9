"""A code as programs get it, in 2D and in 3D."""

from __future__ import annotations

from affinevae.model import Code
from demo.models.registry import Loaded
from demo.types import Values


def code_of(loaded: Loaded, code: Code) -> Values:
    """A code of one image or shape, in plain numbers."""
    modes = zip(code.modes[0], code.mode_probs[0].tolist(), strict=True)
    return {
        "model": loaded.name,
        "z": code.z[0].tolist(),
        "pose": code.pose[0].tolist(),
        "pose_names": list(loaded.model.group.names),
        "nll": float(code.nll[0]),
        "pose_nats": float(code.pose_nats[0]),
        "alternatives": [{"pose": pose.tolist(), "probability": p} for pose, p in modes if p > 0],
    }
