"""The thorough search of poses, on the GPU that a Space with ZeroGPU lends for a call; elsewhere on the processor.

All else that the page does takes milliseconds on a processor, which is less than being lent a GPU takes.
"""

from __future__ import annotations

import os

import gradio as gr
from torch import Tensor

from affinevae import AffineVAE
from affinevae.model import Code, Effort

DEVICE = "cuda"
SECONDS = 20  # that a GPU is asked for
LENT = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")  # as the package reads it


def encode(model: AffineVAE, image: Tensor, effort: Effort) -> Code:
    """As :meth:`AffineVAE.encode`. Where there is no GPU to spare, or the visitor's share of it is used up, as well."""
    if LENT and effort == "best":
        try:
            return thorough(model, image)
        except (gr.Error, RuntimeError):
            pass
    return model.encode(image, effort)


def thorough(model: AffineVAE, image: Tensor) -> Code:
    """The whole search on the GPU, in a process that has its own copy of the model."""
    code = model.to(DEVICE).encode(image.to(DEVICE), "best")
    return Code(*(part.cpu() for part in code))


if LENT:
    # Every such Space has it; one without a function that borrows is taken for broken.
    import spaces  # type: ignore[import-not-found]

    thorough = spaces.GPU(duration=SECONDS)(thorough)
