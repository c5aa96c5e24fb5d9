"""The image holds what the page needs, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COPIED = re.findall(r"^COPY (\S+) \S+$", DOCKERFILE, re.MULTILINE)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert len(COPIED) == DOCKERFILE.count("\nCOPY ")
    for name in COPIED:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored


def test_every_package_is_copied_that_the_page_may_import() -> None:
    (listed,) = re.findall(r"^include = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    packages = set(re.findall(r'"(\w+)\*"', listed))
    assert packages == set(COPIED) - {"app.py", "requirements.txt"}


def test_the_image_runs_the_python_of_the_space_as_nobody_special() -> None:
    (version,) = re.findall(r"^FROM python:(\S+)-slim$", DOCKERFILE, re.MULTILINE)
    assert f'python_version: "{version}"' in (ROOT / "README.md").read_text()
    assert DOCKERFILE.index("\nUSER visitor") < DOCKERFILE.index("\nCMD ")
