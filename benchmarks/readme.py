"""Fill the tables of the README and of ``docs/``, and the page's plots of networks, from ``benchmarks/results``.

python -m benchmarks.readme

A test holds them equal.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.claims import RESULTS, Claim, gather
from benchmarks.tables import table
from weights.checkpoint import METRICS, read_json, to_json

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "report.md", ROOT / "docs" / "networks.md")
BLOCK = re.compile(r"(<!-- (table|claims): (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def every_claim() -> list[Claim]:
    """Those of the benchmarks' results, and those of the shipped text classifiers."""
    return gather(RESULTS, sorted((ROOT / "weights").glob("*/metrics.json")))[0]


def render(text: str) -> str:
    """The text with its marked parts written anew; ``KeyError`` if there is no claim of a name.

    ``table: NAME`` is the table of a claim, ``claims: NAME NAME`` what is claimed, with its limits, claim by claim.
    """
    known = {claim.name: claim for claim in every_claim()}

    def fill(match: re.Match[str]) -> str:
        start, kind, names, end = match.groups()
        claims = [known[name] for name in names.split()]
        parts = "\n".join(table(c.rows, c.columns) if kind == "table" else said(c) for c in claims)
        return f"{start}{parts}\n{end}"

    return BLOCK.sub(fill, text)


def said(claim: Claim) -> str:
    """A claim as an entry of a list."""
    return f"- **{claim.title}.** {claim.sentence} *{claim.limits}*"


def fronts() -> dict[Path, bytes]:
    """``front.json`` of each shipped compact network: what ``benchmarks.tied_networks`` found on its data."""
    found = {}
    for path in sorted((ROOT / "weights").glob("cnn-*/front.json")):
        data = read_json(path.with_name(METRICS))["data"]
        found[path] = to_json(read_json(RESULTS / f"tied_networks_{data}.json")["front"])
    return found


if __name__ == "__main__":
    for place, content in fronts().items():
        place.write_bytes(content)
    for document in DOCUMENTS:
        document.write_text(render(document.read_text()))
