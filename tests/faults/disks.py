"""A small disk of one's own, to be filled and to be made read-only."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Disk:
    """``folder`` is where it is mounted."""

    folder: Path

    @property
    def free(self) -> int:
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize

    def fill(self, left: int = 0) -> Path:
        """Fill it with one file, which is returned: without it there is room again."""
        path = self.folder / "ballast"
        path.write_bytes(bytes(max(0, self.free - left)))
        return path

    def protect(self) -> None:
        """Nothing can be written from here on."""
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)


def leftovers(folder: Path) -> list[str]:
    """Hidden things that something left behind."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
