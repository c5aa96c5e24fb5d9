"""Pictures in a ``.npz``, under the names that people give to arrays.

One set is ``images`` (or x, pictures, data) with ``labels`` (or y, targets), ``split`` and ``classes``; or each part
has arrays of its own, as in ``x_train``, ``y_train``, ``x_test`` and MedMNIST's ``train_images``, ``train_labels``.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError, sentence
from training.folders import split_of
from training.report import listed

Array = NDArray[Any]

IMAGES = ("images", "image", "x", "pictures", "data", "pixels", "arr0")
LABELS = ("labels", "label", "y", "targets", "target", "arr1")
OTHERS = ("jpeg", "offset", "split", "classes")
SHAPES = "(N, H, W) or (N, H, W, 1 or 3)"


@dataclass(frozen=True)
class Arrays:
    """What a ``.npz`` holds: ``images`` (N, H, W, C) uint8, or encoded files one after the other in ``jpeg``, the i-th
    up to ``offset[i + 1]``; the rest as it is written, ``split`` as numbers or words.
    """

    images: Array | None
    jpeg: Array | None
    offset: Array | None
    labels: Array | None
    split: Array | None
    classes: Array | None
    notes: tuple[str, ...]


def read_arrays(path: Path, most: int) -> Arrays:
    """The pictures of a ``.npz`` that unpacks to at most so many bytes.

    Raises:
        DataError: it is none, or its arrays are not those of pictures.
    """
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path.name} is not a .npz archive")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > most:
            raise DataError(f"{path.name} unpacks to {size:,} bytes, more than the limit of {most:,}")
        with np.load(path, allow_pickle=False) as arrays:
            keys = _keys(arrays.files)
            found = {role: np.asarray(arrays[key]) for role, key in keys.items()}
            there = list(arrays.files)
    except DataError:
        raise
    except (
        ValueError,
        OSError,
        EOFError,
        MemoryError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if "pickle" in str(error):
            raise DataError(
                f"{path.name} holds Python objects: save numbers and words as plain arrays"
            ) from error
        raise DataError(f"{path.name} cannot be read: {sentence(error)}") from error
    parted = {role: array for role, array in found.items() if "-" in role}
    if parted and "images" not in found:
        kept = {role: found[role] for role in ("classes",) if role in found}
        found = kept | _joined(parted, path.name) | {"split": _parts(parted)}
    if "images" not in found and not {"jpeg", "offset"} <= set(found):
        raise DataError(
            f"{path.name} holds no array called images, only {listed(there, 5) or 'nothing'}: save the pictures as "
            "images and what they show as labels"
        )
    notes: list[str] = []
    if keys.get("images", "images") != "images":
        notes.append(f"the pictures are in the array {keys['images']}")
    jpeg = found.get("jpeg") if "offset" in found else None
    images = as_pixels(found["images"], path.name, notes) if jpeg is None else None
    labels = _of_one_hot(found["labels"], notes) if "labels" in found else None
    return Arrays(
        images, jpeg, found.get("offset"), labels, found.get("split"), found.get("classes"), tuple(notes)
    )


def _keys(names: list[str]) -> dict[str, str]:
    """What an array is -> its name: "images", "labels", "jpeg", ...; of one part "train-images", "test-labels"."""
    found: dict[str, str] = {}
    for usual, role in ((IMAGES, "images"), (LABELS, "labels"), *(((o,), o) for o in OTHERS)):
        plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(names)}
        if (name := next((plain[u] for u in usual if u in plain), None)) is not None:
            found[role] = name
    for name in names:
        words = name.lower().split("_")
        for i, word in enumerate(words):
            rest = "".join(words[:i] + words[i + 1 :])
            of = "images" if rest in IMAGES else "labels" if rest in LABELS else None
            if of and len(words) > 1 and split_of(word) is not None:
                found.setdefault(f"{split_of(word)}-{of}", name)
    return found


def _joined(parts: Mapping[str, Array], name: str) -> dict[str, Array]:
    """The arrays of all parts, one after the other."""
    images = [array for role, array in sorted(parts.items()) if role.endswith("images")]
    labels = [array for role, array in sorted(parts.items()) if role.endswith("labels")]
    if labels and [role[0] for role in sorted(parts) if role.endswith("labels")] != [
        role[0] for role in sorted(parts) if role.endswith("images")
    ]:
        raise DataError(f"{name} has labels for some parts only: give each part its labels")
    try:
        joined = {"images": np.concatenate(images)} if images else {}
        return joined | ({"labels": np.concatenate(labels)} if labels else {})
    except ValueError as error:
        shapes = listed([str(array.shape) for array in (*images, *labels)], 8)
        raise DataError(f"{name}: the arrays of its parts do not fit together: they are {shapes}") from error


def _parts(parts: Mapping[str, Array]) -> Array:
    counts = {int(role[0]): len(array) for role, array in sorted(parts.items()) if role.endswith("images")}
    return np.repeat(list(counts), list(counts.values()))


def _of_one_hot(labels: Array, notes: list[str]) -> Array:
    """Places of the ones in rows that have one each; any other labels as they are."""
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "biuf":
        return labels
    if not (np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()):
        return labels
    notes.append("labels are one-hot: each is the place of its one, counted from 0")
    return labels.argmax(1)


def as_pixels(images: Array, name: str, notes: list[str] | None = None) -> Array:
    """Whole numbers up to 255, or floats in [0, 1], as (N, H, W, C) uint8; channels may come first, and squares flat.

    Raises:
        DataError: another shape, or numbers whose white is not known.
    """
    images = _placed(images, name, [] if notes is None else notes)
    if not images.size:
        raise DataError(f"{name} is empty")
    if images.dtype.kind not in "biuf":
        raise DataError(f"{name}: pixels are not numbers but {images.dtype}")
    low, high = float(images.min()), float(images.max())
    if not math.isfinite(low) or not math.isfinite(high):
        raise DataError(f"{name} has NaN or infinite pixels")
    whole = images.dtype.kind in "iu" or (
        images.dtype.kind == "f" and low >= 0 and 1 < high <= 255 and bool((images == np.rint(images)).all())
    )
    top = 255 if whole and high > 1 else 1  # whole numbers up to 1 are black and white
    if low < 0 or high > top:
        mend = (
            "as (x + 1) / 2"
            if -1 <= low < 0 and high <= 1
            else "as x / 255"
            if low >= 0 and high <= 255
            else ""
        )
        raise DataError(
            f"{name}: pixels are {low:g} to {high:g}, not integers in 0..255 or floats in [0, 1]: scale them "
            + (mend or "to one of these")
        )
    return images.astype(np.uint8, copy=False) if top == 255 else np.rint(images * 255.0).astype(np.uint8)


def _placed(images: Array, name: str, notes: list[str]) -> Array:
    """(N, H, W, C), whichever axis the channels were."""
    side = math.isqrt(images.shape[1]) if images.ndim == 2 else 0
    if side > 1 and side**2 == images.shape[1]:
        notes.append(f"rows of {images.shape[1]} numbers are read as {side} x {side} grey pixels")
        return images.reshape(-1, side, side, 1)
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4 and images.shape[-1] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[1] in (1, 3):
        notes.append("channels are the second axis")
        return np.moveaxis(images, 1, -1)
    advice = (
        ": lay transparent parts on a ground and keep three channels"
        if images.ndim == 4 and 4 in (images.shape[-1], images.shape[1])
        else ""
    )
    raise DataError(f"{name}: images are {images.shape}, not {SHAPES}{advice}")
