"""The models behind the page: found in the weights, loaded once when first asked for."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from affinevae import AffineVAE
from affinevae.explore import Map, read_map, typical_fill
from weights import WeightsError, available, folder
from weights.checkpoint import WEIGHTS, read_config


@dataclass(frozen=True)
class Loaded:
    """A model with what belongs to it: its map and plain counterpart where there are any, its framing."""

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

    def names(self) -> list[str]:
        """Names that the tab can show: images, with a pose."""
        return [name for name in available("affinevae") if _shows(name)]

    def get(self, name: str) -> Loaded:
        """The model of that name.

        Raises:
            WeightsError: it is not in the weights, or damaged; one sentence.
        """
        if name not in self.names():
            known = ", ".join(self.names()) or "none yet"
            raise WeightsError(f"There is no model called {name[:60]!r} here: choose one of {known}.")
        with self._lock:
            stamp = _stamp(name)
            if name not in self._loaded or self._loaded[name][0] != stamp:
                self._loaded[name] = (stamp, _load(name))
            return self._loaded[name][1]


def _shows(name: str) -> bool:
    try:
        config = read_config(folder(name))[1]
    except WeightsError:
        return not name.startswith(
            "vae-"
        )  # only on the Hub so far: the catalogue's plain ones are called vae-
    return config.get("group") != "none" and len(config.get("size", ())) == 2


def _stamp(name: str) -> int:
    path = folder(name) / WEIGHTS
    return path.stat().st_mtime_ns if path.is_file() else 0


def _load(name: str) -> Loaded:
    model = AffineVAE.from_pretrained(name)
    twin = name.removeprefix("affine")
    plain = AffineVAE.from_pretrained(twin) if twin != name and twin in available("affinevae") else None
    if plain is not None and plain.config.size != model.config.size:
        plain = None
    layout = read_map(folder(name), model.config.latent_dim)
    return Loaded(name, model, plain, layout, typical_fill(model, layout and layout.z))
