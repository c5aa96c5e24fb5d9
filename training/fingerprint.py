"""What identifies the data that a run was trained on, so that the same command notices when they are others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

BLOCK = 4096  # examples that are hashed at once


class Split(Protocol):
    """Examples, as ``images`` or ``texts``, and their labels."""

    @property
    def labels(self) -> Tensor | None: ...

    def __len__(self) -> int: ...


class Data(Protocol):
    """A data set as it was loaded."""

    @property
    def train(self) -> Split: ...
    @property
    def validation(self) -> Split: ...
    @property
    def test(self) -> Split: ...
    @property
    def classes(self) -> Sequence[str]: ...


def fingerprint(data: Data) -> dict[str, Any]:
    """Classes, numbers of examples, and digests of labels and contents, of each part.

    Contents are the pixels or the texts as they were loaded; of a folder whose pictures are read as they are needed,
    the names and sizes of its files. When a file was changed does not count.
    """
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    labels, contents = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    for name, part in parts.items():
        labels.update(f"{name} {len(part)}".encode())
        contents.update(f"{name} {len(part)}".encode())
        if part.labels is not None:
            labels.update(part.labels.numpy().tobytes())
        _add(contents, part)
    return {
        "classes": list(data.classes),
        "examples": {name: len(part) for name, part in parts.items()},
        "labels": labels.hexdigest(),
        "contents": contents.hexdigest(),
    }


def brief(data: Data) -> str:
    """Short digest of examples, labels and how they are divided, so that a search is not continued on others."""
    found = fingerprint(data)
    return f"{found['contents'][:16]}{found['labels'][:16]}"


def weights_digest(model: nn.Module) -> str:
    """Short digest of a model's weights, so that a search is not continued on others."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _add(digest: Any, part: Any) -> None:
    if hasattr(part, "texts"):
        for text in part.texts:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d " % len(content) + content)
    elif hasattr(part.images, "files"):
        files = [Path(file) for file in part.images.files]
        root = os.path.commonpath([file.parent.parent for file in files]) if files else ""
        for file in files:
            digest.update(
                f"{os.path.relpath(file, root)} {file.stat().st_size}\0".encode("utf-8", "surrogateescape")
            )
    else:
        digest.update(str(tuple(part.images.shape[1:])).encode())
        for block in part.images.split(BLOCK):
            digest.update(block.contiguous().numpy().data)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two fingerprints, in phrases: the first that explains the rest comes alone."""
    old, new = list(before.get("classes", ())), list(now["classes"])
    added, gone = [c for c in new if c not in old], [c for c in old if c not in new]
    if added or gone:
        return [f"{_named(added)} added"] * bool(added) + [f"{_named(gone)} gone"] * bool(gone)
    counts = before.get("examples", {})
    moved = [
        f"{n:,} {split} examples instead of {counts.get(split, 0):,}"
        for split, n in now["examples"].items()
        if n != counts.get(split)
    ]
    if moved:
        return moved
    found = ["its classes in another order"] * (old != new)
    found += [f"other {what}" for what in ("labels", "contents") if before.get(what) != now[what]]
    return found


def _named(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:5]) + (f" and {len(classes) - 5:,} others" if len(classes) > 5 else "")
    return f"class{'es' * (len(classes) > 1)} {shown}"
