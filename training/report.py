"""What was found in somebody's data and what was made of it, said alike for images, texts, tables and meshes.

A reader returns a ``DataReport`` with the data, and a command prints its sentences before the first step. What cannot
be used at all is a ``DataError``: one sentence that names every file concerned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from training.errors import DataError

FIRST = 3  # names given of files that were left out
LISTED = 100  # names given of files that stand in the way
CLASSES = 12  # of a split that are named one by one
ADVICE = "replace them or take them out"


@dataclass(frozen=True)
class DataReport:
    """What was found, read and left out of one data set.

    Args:
        found: files or rows that there were.
        read: those of them that became data.
        left_out: reason -> names of files or rows; the reason follows the words "left out: ".
        layout: how the folders or the table were understood, as it follows "as ".
        classes: split ("train", "validation", "test") -> class -> count; empty where there are no labels.
        notes: whatever else a person should know, whole sentences without a full stop.
        what: what there was to find: "files", "rows", "meshes".
    """

    found: int
    read: int
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    layout: str = ""
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    what: str = "files"

    def sentences(self) -> list[str]:
        """The report for a reader: one line for everything there is to say."""
        layout = f", as {self.layout}" if self.layout else ""
        lines = [f"{self.found:,} {self.what} found, {self.read:,} read{layout}"]
        lines += [
            f"{len(names):,} left out: {reason} ({listed(names, FIRST)})"
            for reason, names in self.left_out.items()
        ]
        lines += [f"{split}: {_counted(counts)}" for split, counts in self.classes.items()]
        return lines + list(self.notes)

    def facts(self) -> dict[str, object]:
        """The report in numbers, for ``metrics.json``: names of what was left out give way to their count."""
        gone = {reason: len(names) for reason, names in self.left_out.items()}
        classes = {split: dict(counts) for split, counts in self.classes.items()}
        return {
            "found": self.found,
            "read": self.read,
            "left_out": gone,
            "layout": self.layout,
            "classes": classes,
            "notes": list(self.notes),
        }


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """``a, b, c and 7 more``, printable whatever bytes the names are of."""
    said = ", ".join(_printable(name) for name in names[:most])
    return said + (f" and {len(names) - most:,} more" if len(names) > most else "")


def refuse_unreadable(
    faults: Mapping[str, str],
    found: int,
    what: str,
    where: str,
    advice: str = ADVICE,
) -> None:
    """Nothing where nothing is wrong.

    Args:
        faults: name -> what is wrong with it, as it stands in brackets behind the name.
        found: how many there were in all.
        what: "images", "texts", "meshes".
        where: name of the folder or file that they were found in.
        advice: what to do, as the sentence ends.

    Raises:
        DataError: names every one of them (the first hundred).
    """
    if faults:
        said = listed([f"{name} ({fault})" for name, fault in faults.items()])
        raise DataError(f"{where}: {len(faults):,} of {found:,} {what} cannot be read: {said}; {advice}")


def _counted(counts: Mapping[str, int]) -> str:
    head = f"{sum(counts.values()):,} in {len(counts):,} {'class' if len(counts) == 1 else 'classes'}"
    if not counts:
        return "none"
    if len(counts) > CLASSES:
        rare, often = (pick(counts, key=counts.__getitem__) for pick in (min, max))
        return f"{head}, from {counts[rare]:,} ({_printable(rare)}) to {counts[often]:,} ({_printable(often)}) each"
    return f"{head} ({', '.join(f'{_printable(name)} {count:,}' for name, count in counts.items())})"


def _printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
