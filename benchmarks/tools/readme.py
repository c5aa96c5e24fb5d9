"""Fill the README's one table, ``docs/`` and the page's plots of networks from ``benchmarks/results``.

python -m benchmarks.tools.readme

A test holds them equal.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.claims import RESULTS, Claim, gather
from benchmarks.claims.words import WORDS
from benchmarks.tools.tables import table
from weights.checkpoint import METRICS, read_json, to_json

ROOT = Path(__file__).parents[2]
SUMMARY = Path(__file__).with_name("summary.md")
WIDTH = 120
BLOCK = re.compile(r"(<!-- (summary|table|result)(?:: (.+?))? -->\n).*?(<!-- end -->)", re.DOTALL)


def documents() -> list[Path]:
    """Those with a part that is drawn."""
    every = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [path for path in every if BLOCK.search(path.read_text())]


def every_claim() -> list[Claim]:
    """Those of the benchmarks' results, and those of the shipped text classifiers."""
    return gather(RESULTS, sorted((ROOT / "weights").glob("*/metrics.json")))[0]


def render(text: str) -> str:
    """The text with its marked parts written anew; ``KeyError`` if there is no claim of a name.

    ``table: NAME`` is the table of a claim; ``result: NAME`` what is claimed, its limits, table, machine and command;
    ``summary`` is ``summary.md`` with its named numbers.
    """
    known = {claim.name: claim for claim in every_claim()}
    parts: dict[str, Callable[[str], str]] = {
        "table": lambda name: table(known[name].rows, known[name].columns),
        "result": lambda name: result(known[name]),
        "summary": lambda _: summary(known),
    }

    def fill(match: re.Match[str]) -> str:
        start, kind, name, end = match.groups()
        return f"{start}{parts[kind](name)}\n{end}"

    return BLOCK.sub(fill, text)


def summary(claims: Mapping[str, Claim]) -> str:
    """A row a claim: our number, the alternative's, and where it fails."""
    numbers = {name: claim.results for name, claim in claims.items()}
    return WORDS.vformat(SUMMARY.read_text().rstrip("\n"), (), numbers)


def result(claim: Claim) -> str:
    """A claim at length."""
    facts = {"Tested on": claim.n, "Runs": claim.seeds, "Machine": claim.machine, "Commit": claim.commit}
    ran = " ".join(f"{title}: {fact}." for title, fact in facts.items() if fact)
    parts = (
        wrapped(claim.sentence),
        wrapped(f"*Where it fails.* {claim.limits}"),
        table(claim.rows, claim.columns),
        wrapped(" ".join(filter(None, (claim.notes, ran)))),
        f"```bash\n{shell(claim.command)}\n```",
    )
    return "\n\n".join(parts)


def wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def shell(command: str) -> str:
    """A command in lines that a shell joins."""
    words = [shlex.quote(word) for word in shlex.split(command)]
    lines = textwrap.wrap(" ".join(words), WIDTH - 6, break_long_words=False, break_on_hyphens=False)
    return " \\\n    ".join(lines)


def fronts() -> dict[Path, bytes]:
    """``front.json`` of each shipped compact network: what ``benchmarks.tied_networks`` found on its data."""
    found = {}
    for path in sorted((ROOT / "weights").glob("cnn-*/front.json")):
        data = read_json(path.with_name(METRICS))["data"]
        found[path] = to_json(read_json(RESULTS / f"tied_networks_{data}.json")["front"])
    return found


if __name__ == "__main__":
    for figure in RESULTS.glob("*.png"):
        figure.replace(ROOT / "docs" / figure.name)
    for place, content in fronts().items():
        place.write_bytes(content)
    for document in documents():
        document.write_text(render(document.read_text()))
