"""Many photos, or the pictures of a camera: each is classified as it comes, and a table says how it went."""

from __future__ import annotations

from PIL import Image

from demo.classify import scene as scenes
from demo.models.registry import Classifier
from demo.tables import summary
from demo.types import Values
from demo.uploads.texts import clean_text
from demo.uploads.values import UploadError, read_number
from demo.words import percent

MOST = 2_000  # photos at once
LIVE = 3  # classes that are shown while the camera runs
LONGEST = 300  # characters of a file's name


def classify(loaded: Classifier, plan: object, picture: Image.Image) -> Values:
    """The likeliest classes of one picture: one answer, and nothing besides."""
    net = loaded.planned(loaded.plan(plan))
    said = scenes.answer(net, net.model.prepare([picture]))
    return {"top": [{"name": name, "p": p, "words": percent(p)} for name, p in said.top(LIVE)]}


def sum_up(rows: object, seconds: object) -> Values:
    """A summary and a CSV of rows [file, label or None, probability], which the page has collected."""
    if not isinstance(rows, list) or len(rows) > MOST:
        raise UploadError(f"A table may have {MOST:,} photos.")
    names, found = list[list[str]](), list[tuple[str, float] | None]()
    for row in rows:
        if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str):
            raise UploadError("Each row must be a file, a label and a probability.")
        names.append([clean_text(row[0][:LONGEST])])
        label = row[1]
        known = isinstance(label, str) and (
            clean_text(label[:LONGEST]),
            read_number(row[2], "A probability", 0, 1),
        )
        found.append(known or None)
    unread = sum(answer is None for answer in found)
    notes = [f"Files that are no pictures and got no label: {unread:,}."] if unread else []
    return summary(["file"], names, 0, found, read_number(seconds, "The time", 0, 1e6), notes)
