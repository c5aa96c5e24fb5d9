"""Name -> checkpoint folder, and the checkpoints we ship. Knows no model.

A checkpoint is a folder in Hub layout: ``config.json`` (the model's ``library`` and ``__init__`` arguments),
``model.safetensors``, and maybe ``metrics.json`` and ``README.md``. Everything that can be wrong with one is
a ``WeightsError`` of one sentence. The environment variable ``WEIGHTS_DIR`` puts another folder, with its own
``catalog.json``, in the place of this one.
"""

from weights.catalog import Entry, available, catalog, folder, register
from weights.checkpoint import WeightsError
from weights.pretrained import Pretrained, locate

__all__ = ["Entry", "Pretrained", "WeightsError", "available", "catalog", "folder", "locate", "register"]
