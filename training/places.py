"""What ``--data`` names on this machine, and the sentence where it names nothing."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from training.errors import DataError


def place(data: str) -> Path | None:
    """The file or folder of a path, ``~`` being one's home; None where there is none.

    Raises:
        DataError: nothing is named, or what is there is neither a file nor a folder.
    """
    if not data.strip():
        raise DataError("the data have no name: give a data set's, a file or a folder")
    try:
        path = Path(data).expanduser()
        if not path.exists():
            return None
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, or of a home that nobody has
        return None
    if not (path.is_file() or path.is_dir()):
        raise DataError(f"{data} is neither a file nor a folder: save the data in one")
    return path


def nowhere(data: str) -> DataError:
    """For a path with nothing there: an address that is not fetched, or a name that is nearly one."""
    if hub := re.fullmatch(r"https?://huggingface\.co/datasets/([\w.-]+/[\w.-]+?)/?", data.strip()):
        return DataError(f"{data} is an address, which is not fetched: give the data set's name, {hub[1]}")
    if re.match(r"[a-z]+://", data.strip(), re.IGNORECASE):
        return DataError(f"{data} is an address, which is not fetched: download it and give the file's path")
    return DataError(
        f"there is no file or folder {data[:200]}{_near(data)}: give its path from the folder that you are in"
    )


def _near(data: str) -> str:
    """The file that was meant, perhaps."""
    try:
        path = Path(data.strip(" '\"")).expanduser()
        there = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, ValueError, RuntimeError):
        return ""
    return did_you_mean(path.name, there)


def did_you_mean(name: str, there: list[str]) -> str:
    """ " (did you mean mnist?)" of a name that is nearly one of those there; empty where none is."""
    alike = [known for known in there if known.casefold() == name.casefold()]
    close = alike or difflib.get_close_matches(name[:100], there, 1)
    return f" (did you mean {close[0]}?)" if close else ""
