"""The tutorial as a notebook for Jupyter and Colab, from the same source.

python -m benchmarks.tools.notebook

A test holds the two equal, and runs what the tutorial shows.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
NOTEBOOK = TUTORIAL.with_suffix(".ipynb")
FENCE = re.compile(r"^```(python|bash)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
START = """# In Colab, first: !git clone THIS_REPOSITORY page && pip install -q -e "page[train]"; then restart it.
import os

os.makedirs("try", exist_ok=True)
os.chdir("try")
"""


def notebook(text: str) -> str:
    """A Markdown document as JSON of nbformat 4.5: Python and shell become cells to run."""
    head, first, rest = text.partition("\n## ")
    cells = [_cell("markdown", head), _cell("code", START)]
    at, text = 0, first.lstrip("\n") + rest
    for block in FENCE.finditer(text):
        language, content = block.groups()
        cells += [_cell("markdown", text[at : block.start()])]
        cells += [_cell("code", content if language == "python" else f"%%bash\n{content}")]
        at = block.end()
    cells += [_cell("markdown", text[at:])]
    kept = [cell for cell in cells if cell["source"]]
    for number, cell in enumerate(kept):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {"cells": kept, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, source: str) -> dict[str, Any]:
    cell = {
        "cell_type": kind,
        "id": "",
        "metadata": {},
        "source": source.strip("\n").splitlines(keepends=True),
    }
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(TUTORIAL.read_text(encoding="utf-8")), encoding="utf-8")
