"""Rows of tied and dense networks: trained alike, kept, timed together, and told apart."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmarks.tied_networks
from benchmarks.claims import read
from benchmarks.claims.tied_networks import FROM_TWIN, TRAINED, Entry, claims, compared, over_dense
from benchmarks.tied_networks import TiedNetworks, run

DENSE, TIED, BLOCK = "resnet20@0.25", "resnet20@0.25:blueprint", "resnet20@0.25:block-2"
TAUGHT = f"{BLOCK}, from its twin"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of three networks on blobs, the last one measured later."""
    folder = tmp_path_factory.mktemp("tied")
    noise = np.random.default_rng(0)
    labels = np.tile(np.arange(2, dtype=np.uint8), 120)
    images = noise.integers(0, 60, (240, 12, 12), dtype=np.uint8) + 150 * labels[:, None, None]
    np.savez(folder / "blobs.npz", images=images.astype(np.uint8), labels=labels, split=np.arange(240) >= 200)
    for networks, from_twin in (((DENSE, TIED), ()), ((DENSE,), (BLOCK,))):
        run(
            TiedNetworks(
                str(folder / "blobs.npz"),
                networks,
                from_twin,
                seeds=2,
                epochs=1,
                runs=folder,
                output=folder / "tied_networks_blobs.json",
            )
        )
    return folder


@pytest.mark.slow
@pytest.mark.training
def test_rows_that_are_not_asked_for_stay_and_are_timed_with_the_others(found: Path) -> None:
    rows = json.loads((found / "tied_networks_blobs.json").read_text())["rows"]
    assert list(rows) == [DENSE, TIED, TAUGHT]
    for batch, ms in (("batch 1", "ms"), ("batch 64", "ms, batch 64")):
        for row in rows.values():
            assert row[f"faster, {batch}"] == pytest.approx(rows[DENSE][ms] / row[ms])
    assert rows[DENSE]["parameters"] > rows[TAUGHT]["parameters"]
    assert all(len(row["accuracies"]) == 2 for row in rows.values())


@pytest.mark.slow
@pytest.mark.training
def test_a_network_from_its_twin_started_there_and_was_taught_by_it(found: Path) -> None:
    metrics = json.loads(next(found.glob("*from-twin-s1/metrics.json")).read_text())
    assert metrics["training"]["start"] == metrics["training"]["teacher"] == "blobs-resnet20@0.25-s1"
    assert metrics["training"]["network"] == "resnet20@0.25:block-2"
    (claim,) = read(found / "tied_networks_blobs.json")
    assert (
        "resnet20@0.25:block-2, trained as long again from its twin and taught by it, is right"
        in claim.limits
    )
    assert f"--networks {DENSE} {TIED} --from-twin {BLOCK} --epochs 1 --seeds 2" in claim.command


@pytest.mark.slow
@pytest.mark.training
def test_a_narrower_network_starts_from_itself_and_is_taught_by_the_widest(
    found: Path, tmp_path: Path
) -> None:
    wide, narrow, tied = DENSE, "resnet20@0.2", "resnet20@0.2:block-2"
    output = tmp_path / "tied_networks_blobs.json"
    data = str(found / "blobs.npz")
    run(TiedNetworks(data, (wide, narrow), (narrow, tied), seeds=1, epochs=1, runs=found, output=output))
    for network in (narrow, tied):
        folder = f"blobs-{network.replace(':', '_')}_from-twin-taught-by-{wide}-s0"
        training = json.loads((found / folder / "metrics.json").read_text())["training"]
        assert training["start"] == f"blobs-{narrow}-s0"
        assert training["teacher"] == f"blobs-{wide}-s0"
    (claim,) = read(output)
    (said,) = [sentence for sentence in claim.limits.split(". ") if tied in sentence]
    assert f"taught by {wide}" in said


def rows_of(sizes: dict[Entry, tuple[int, float]]) -> dict[str, dict[str, Any]]:
    return {
        entry.title: {**entry._asdict(), "parameters": size, "accuracies": [right]}
        for entry, (size, right) in sizes.items()
    }


def test_a_tie_is_compared_with_dense_networks_that_had_the_same_schooling() -> None:
    rows = rows_of(
        {
            Entry("airbench"): (400, 80.0),
            Entry("airbench@0.5"): (100, 70.0),
            Entry("airbench:block-2"): (200, 74.0),
            Entry("airbench", FROM_TWIN): (400, 90.0),
            Entry("airbench@0.5", FROM_TWIN): (100, 86.0),
            Entry("airbench:block-2", FROM_TWIN): (200, 89.0),
        }
    )
    assert over_dense(rows, "airbench:block-2") == pytest.approx(-1.0)  # half way between 70 and 80
    assert over_dense(rows, "airbench:block-2, from its twin") == pytest.approx(1.0)  # and between 86 and 90
    assert over_dense(rows, "airbench") is None


@pytest.mark.slow
@pytest.mark.training
def test_a_second_width_is_told_by_its_name_and_whether_it_is_level_with_the_twin(found: Path) -> None:
    path = found / "tied_networks_blobs.json"
    results = json.loads(path.read_text())
    some = results["rows"][TIED]
    sizes = {
        "airbench": 400,
        "airbench@0.7:blueprint": 100,
        "airbench@0.9:blueprint": 200,
        "airbench@0.25": 90,
    }
    right = {"airbench": [83.0, 82.8], "airbench@0.25": [78.0, 78.2]}
    right |= {"airbench@0.7:blueprint": [81.0, 81.2], "airbench@0.9:blueprint": [82.6, 83.0]}
    results["rows"] = {
        name: {**some, "network": name, "parameters": size, "accuracies": right[name]}
        for name, size in sizes.items()
    }
    (claim,) = claims("tied_networks_blobs", results)
    assert re.search(
        r"airbench@0\.9:blueprint\W.* 2\.0 times fewer parameters.* as accurate as", claim.limits
    )
    assert claim.limits.count("as accurate as") == 1
    assert "airbench@0.7:blueprint (+2.7) and airbench@0.9:blueprint (+2.1)" in claim.limits  # in this order
    results["rows"]["airbench@0.9:blueprint"]["accuracies"] = [82.4, 82.5]
    (claim,) = claims("tied_networks_blobs", results)
    assert "as accurate as" not in claim.limits


def test_a_network_from_a_twin_that_is_not_named_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody to learn from"):
        run(TiedNetworks("blobs.npz", from_twin=(BLOCK,), runs=tmp_path, output=tmp_path / "none.json"))


@pytest.mark.slow
@pytest.mark.training
def test_a_shipped_network_is_measured_as_it_is(
    found: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(next(found.glob("*blueprint-s1")), tmp_path / "cnn-blobs")
    shutil.copytree(next(found.glob("*@0.25-s1")), tmp_path / "cnn-blobs-dense")
    monkeypatch.setattr(benchmarks.tied_networks, "directory", lambda: tmp_path)
    output = tmp_path / "tied_networks_blobs.json"
    shutil.copy(found / output.name, output)
    names = (f"{DENSE}, shipped", f"{TIED}, shipped")
    data = str(found / "blobs.npz")
    run(
        TiedNetworks(data, shipped=(DENSE, TIED), seeds=2, epochs=1, runs=tmp_path / "nowhere", output=output)
    )
    rows = json.loads(output.read_text())["rows"]
    assert list(rows) == [DENSE, TIED, TAUGHT, *names]
    assert [rows[name]["origin"] for name in (*names, TIED)] == ["shipped", "shipped", TRAINED]
    assert rows[names[1]]["accuracies"] == rows[TIED]["accuracies"][1:]
    assert rows[names[1]]["faster, batch 1"] == pytest.approx(rows[DENSE]["ms"] / rows[names[1]]["ms"])
    with pytest.raises(ValueError, match="holds no resnet9 for blobs"):
        run(TiedNetworks(data, shipped=("resnet9",), runs=tmp_path, output=output))


def test_ties_are_compared_with_dense_networks_of_as_many_parameters() -> None:
    sizes = {
        "a": (10_000, 90.0), "a@0.2": (1_000, 84.0), "a@0.1": (100, 80.0), "b": (316, 99.0),
        "a:block": (3162, 88.0),
        "a:blueprint": (316, 82.0), "a:tiny": (95, 79.0), "a:less": (50, 70.0),
    }  # fmt: skip
    rows = rows_of(
        {Entry(name): found for name, found in sizes.items()} | {Entry("a", FROM_TWIN): (10_000, 95.0)}
    )
    over = {name: row["over dense"] for name, row in compared(rows).items()}
    assert over["a:block"] == pytest.approx(1.0, abs=0.01)  # half way between 84 and 90
    assert over["a:blueprint"] == pytest.approx(0.0, abs=0.01)
    assert over["a:tiny"] == -1.0  # as good as the size of the smallest
    assert [name for name, points in over.items() if points is None] == [
        "a", "a@0.2", "a@0.1", "b", "a:less", "a, from its twin"
    ]  # fmt: skip
