"""Whoever reads a number can check out the code that measured it, and finds the strongest alternative beside it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.claims import RESULTS, Claim, gather

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted((ROOT / "weights").glob("*/metrics.json"))
FILES = [*sorted(RESULTS.glob("*.json")), *MODELS]
# A rebase took these out of the history before anybody looked. They may leave the list, and none may join it.
LOST = {"ablations_mnist": "bce206e", "outside_vae_mnist": "4718031"}


def named(path: Path) -> str:
    """ "robustness_mnist", or "affinevae-mnist" of a model."""
    return path.stem if path.parent == RESULTS else path.parent.name


files = pytest.mark.parametrize("path", FILES, ids=named)


def commits(value: Any) -> Iterator[str]:
    """Every commit that a file names, of itself and of its rows."""
    if isinstance(value, dict):
        if isinstance(value.get("commit"), str):
            yield value["commit"]
        for each in value.values():
            yield from commits(each)
    elif isinstance(value, list):
        for each in value:
            yield from commits(each)


def git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)


def history() -> bool:
    """Whether the whole of it is here: no archive, no shallow clone."""
    try:
        return git("rev-parse", "--is-shallow-repository").stdout.strip() == "false"
    except OSError:
        return False


@files
def test_no_number_comes_from_sources_that_nobody_can_check_out(path: Path) -> None:
    found = set(commits(json.loads(path.read_text())))
    changed = {name for name in found if not re.fullmatch(r"[0-9a-f]{7,40}", name)}
    assert not changed
    if history():
        lost = {
            name for name in found - changed if git("merge-base", "--is-ancestor", name, "HEAD").returncode
        }
        assert lost <= {LOST.get(named(path))}


def test_changed_sources_are_noticed() -> None:
    assert list(commits({"commit": "1234567+dirty", "rows": {"a": {"commit": "89abcde"}}})) == [
        "1234567+dirty",
        "89abcde",
    ]


# The strongest alternative of each kind of claim: what its words name, and the row or column that holds it.
STRONGEST = {
    "affine_vae": ("second moments", "pose from moments"),
    "pose_search": ("Principal axes", "principal axes"),
    "latent_size": ("plain VAE", "plain, "),
    "frozen_classifier": ("Trained as often on turned pictures", "trained as often on turned pictures"),
    "training_time": ("narrower dense network", "airbench@0.25"),
    "voxel_orientation": ("plain VAE", "plain VAE"),
    "robustness": ("A model trained in unknown orientation", "affine VAE, trained in unknown orientation"),
}
CLAIMS = [
    claim for claim in gather(models=MODELS)[0] if any(claim.name.startswith(kind) for kind in STRONGEST)
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_the_strongest_alternative_that_a_claim_names_is_in_its_table(claim: Claim) -> None:
    words, held = next(pair for kind, pair in STRONGEST.items() if claim.name.startswith(kind))
    assert words in f"{claim.sentence} {claim.limits}"
    assert any(held in title for title in (*claim.rows, *claim.columns))


def test_no_claim_of_tied_networks_is_a_gain_at_equal_epochs() -> None:
    tied = [claim for claim in gather()[0] if claim.name.startswith("tied_networks")]
    assert tied
    for claim in tied:
        assert "narrower" not in claim.sentence
        if any(row.get("over dense") is not None for row in claim.rows.values()):
            assert "Equal epochs flatter the tied one" in claim.limits
