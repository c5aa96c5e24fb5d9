"""Every claim that we make, read from the files that a benchmark or an evaluation wrote.

What a kind of result looks like is known here once: the benchmarks print, the README holds and the page draws the same
rows and columns. Needs none of the extras that measuring needs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.claims import (
    ablations,
    affine_vae,
    canonical,
    cold_start,
    frozen_classifier,
    latent_size,
    load,
    network_costs,
    outside_encoder,
    outside_vae,
    pose_search,
    robustness,
    shape_classes,
    text_alternatives,
    text_fronts,
    text_latency,
    text_layers,
    text_lengths,
    text_plans,
    text_promises,
    text_search,
    tied_networks,
    training_time,
    voxel_orientation,
)
from benchmarks.claims.claim import SYSTEMS, Axis, Claim, ClaimError, Plot, Point

__all__ = [
    "KINDS",
    "RESULTS",
    "Axis",
    "Claim",
    "ClaimError",
    "Plot",
    "Point",
    "gather",
    "read",
    "read_model",
]

RESULTS = Path(__file__).parents[1] / "results"
# A file of results begins with its kind: ``pose_search_mnist.json``. In the order of the page.
KINDS: dict[str, Callable[[str, dict[str, Any]], list[Claim]]] = {
    "affine_vae": affine_vae.claims,
    "latent_size": latent_size.claims,
    "outside_vae": outside_vae.claims,
    "ablations": ablations.claims,
    "pose_search": pose_search.claims,
    "robustness": robustness.claims,
    "canonical": canonical.claims,
    "frozen_classifier": frozen_classifier.claims,
    "voxel_orientation": voxel_orientation.claims,
    "shape_classes": shape_classes.claims,
    "training_time": training_time.claims,
    "tied_networks": tied_networks.claims,
    "network_costs": network_costs.claims,
    "text_fronts": text_fronts.claims,
    "text_alternatives": text_alternatives.claims,
    "text_layers": text_layers.claims,
    "text_latency": text_latency.claims,
    "text_search": text_search.claims,
    "text_promises": text_promises.claims,
    "text_lengths": text_lengths.claims,
    "outside_encoder": outside_encoder.claims,
    "cold_start": cold_start.claims,
    "load": load.claims,
}
# What a file that is not what its name says ends in.
FOREIGN = (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration, ArithmeticError)


def read(path: Path) -> list[Claim]:
    """The claims of a file of results.

    Raises:
        ClaimError: it is missing, no JSON, of no kind that is known, or not what its name says.
    """
    kind = next((kind for kind in KINDS if path.stem.startswith(kind)), None)
    if kind is None:
        raise ClaimError(
            f"{path.name} is of no known kind: its name must begin with one of {', '.join(KINDS)}."
        )
    return _claims(path, path.stem, path.name, KINDS[kind])


def read_model(path: Path) -> list[Claim]:
    """The claims of a text classifier's ``metrics.json``; none where its plans were never tested.

    Raises:
        ClaimError: it is missing, no JSON, or not what ``textclf.evaluate`` writes.
    """
    name = f"{path.parent.name}/{path.name}"
    if not (_json(path, name).get("test") or {}).get("plans"):
        return []
    return _claims(path, path.parent.name, name, text_plans.claims)


def gather(results: Path = RESULTS, models: Iterable[Path] = ()) -> tuple[list[Claim], list[str]]:
    """All claims, system by system, and a sentence for every file that holds none.

    Args:
        results: folder with files of results.
        models: ``metrics.json`` of text classifiers.
    """
    found: list[Claim] = []
    refused: list[str] = []
    sources = [(read, path) for path in sorted(results.glob("*.json"), key=_order)] + [
        (read_model, p) for p in models
    ]
    for source, path in sources:
        try:
            found += source(path)
        except ClaimError as error:
            refused.append(str(error))
    return sorted(found, key=lambda claim: SYSTEMS.index(claim.system)), refused


def _order(path: Path) -> tuple[int, str]:
    """By kind, then those of MNIST first, as the README has them."""
    kind = next((i for i, kind in enumerate(KINDS) if path.stem.startswith(kind)), len(KINDS))
    return kind, path.stem.replace("mnist", "")


def _claims(
    path: Path, name: str, said: str, make: Callable[[str, dict[str, Any]], list[Claim]]
) -> list[Claim]:
    try:
        found = make(name, _json(path, said))
    except ClaimError as error:
        raise (
            error if str(error).startswith(said) else ClaimError(f"{said} cannot be shown: {error}.")
        ) from error
    except FOREIGN as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else "it does not hold what its name says"
        raise ClaimError(f"{said} cannot be shown: {why}.") from error
    if any(not plot.points for claim in found for plot in claim.plots[:1]):
        raise ClaimError(f"{said} cannot be shown: it holds no number that could be drawn.")
    return found


def _json(path: Path, said: str) -> dict[str, Any]:
    """The object in a file, with None for what is not a finite number."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ClaimError(f"{said} is missing.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ClaimError(f"{said} is not readable JSON.") from error
    if not isinstance(value, dict):
        raise ClaimError(f"{said} holds a {type(value).__name__} where a JSON object is needed.")
    return {key: finite(each) for key, each in value.items()}


def finite(value: Any) -> Any:
    """The same with None in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
