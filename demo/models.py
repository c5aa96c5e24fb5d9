"""The models behind the page: found in the weights, loaded once when first asked for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from affinevae import AffineVAE
from affinevae.explore import DEFAULT_FILL, Map, read_map, typical_fill
from weights import WeightsError, available, folder
from weights.checkpoint import WEIGHTS, read_config

Kind = Literal["image", "shape"]  # 2D, 3D
KINDS: dict[int, Kind] = {2: "image", 3: "shape"}


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model with what belongs to it: its map and plain counterpart where there are any, its framing in 2D."""

    name: str
    model: AffineVAE
    plain: AffineVAE | None
    map: Map | None
    fill: float


class Models:
    """Thread-safe: two visitors who ask for the same model wait for one load.

    A folder whose weights were replaced is loaded again, so a retrained model shows without a restart.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[str, tuple[int, Loaded]] = {}

    def names(self, kind: Kind = "image") -> list[str]:
        """Names that the tab of that kind can show: those with a pose."""
        return [name for name in available("affinevae") if _kind(name) == kind]

    def get(self, name: str, kind: Kind = "image") -> Loaded:
        """The model of that name and kind.

        Raises:
            WeightsError: it is not in the weights, or damaged; one sentence.
        """
        if name not in self.names(kind):
            known = ", ".join(self.names(kind)) or "none yet"
            raise WeightsError(f"There is no model called {str(name)[:60]!r} here: choose one of {known}.")
        with self._lock:
            stamp = _stamp(name)
            if name not in self._loaded or self._loaded[name][0] != stamp:
                self._loaded[name] = (stamp, _load(name))
            return self._loaded[name][1]


def _kind(name: str) -> Kind | None:
    """None for a plain model: the page shows it beside its counterpart only."""
    try:
        config = read_config(folder(name))[1]
    except WeightsError:  # only on the Hub so far, where the names are the catalogue's
        return None if name.startswith("vae-") else "shape" if "modelnet" in name else "image"
    return None if config.get("group") == "none" else KINDS.get(len(config.get("size", ())))


def _stamp(name: str) -> int:
    path = folder(name) / WEIGHTS
    return path.stat().st_mtime_ns if path.is_file() else 0


def _load(name: str) -> Loaded:
    model = AffineVAE.from_pretrained(name)
    layout = read_map(folder(name), model.config.latent_dim)
    if model.config.dims == 3:  # its tab compares with nothing and frames nothing
        return Loaded(name, model, None, layout, DEFAULT_FILL)
    twin = name.removeprefix("affine")
    plain = AffineVAE.from_pretrained(twin) if twin != name and twin in available("affinevae") else None
    if plain is not None and plain.config.size != model.config.size:
        plain = None
    return Loaded(name, model, plain, layout, typical_fill(model, layout and layout.z))
