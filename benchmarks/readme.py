"""Fill the tables of the README and of ``docs/`` from ``benchmarks/results``; a test holds the two equal.

python -m benchmarks.readme
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.claims import RESULTS, Claim, gather
from benchmarks.tables import table

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "report.md", ROOT / "docs" / "networks.md")
BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def every_claim() -> list[Claim]:
    """Those of the benchmarks' results, and those of the shipped text classifiers."""
    return gather(RESULTS, sorted((ROOT / "weights").glob("*/metrics.json")))[0]


def render(text: str) -> str:
    """The text with every marked table drawn anew from the claim of that name; ``KeyError`` if there is none."""
    claims = {claim.name: claim for claim in every_claim()}

    def fill(match: re.Match[str]) -> str:
        claim = claims[match.group(2)]
        return f"{match.group(1)}{table(claim.rows, claim.columns)}\n{match.group(3)}"

    return BLOCK.sub(fill, text)


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(render(document.read_text()))
