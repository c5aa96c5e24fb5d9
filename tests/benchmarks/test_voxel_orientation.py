"""Seeds that are added to recorded ones count as if all had been run together, and words follow who has most."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import voxel_orientation
from benchmarks.claims import read
from benchmarks.tools.tables import joined, several
from benchmarks.voxel_orientation import VoxelOrientation
from training.loop import RunError

COMMITTED = Path("benchmarks/results/voxel_orientation.json")


@pytest.mark.parametrize("first", [[3.0], [3.0, 4.5], [1.0, 1.0, 7.0]])
def test_joined_seeds_are_all_of_them_at_once(first: list[float]) -> None:
    rest = [2.0, 8.0]
    found, wanted = joined(several(first), several(rest)), several([*first, *rest])
    assert found == pytest.approx(wanted)
    assert joined(several(first), several(rest[:1])) == pytest.approx(several([*first, 2.0]))


def run_metrics(error: float) -> dict[str, Any]:
    robust = {"upright": {"iou": 0.9}, "rotation": {"iou": 0.5}}
    scores = dict.fromkeys(("nats", "iou", "kmeans_accuracy", "knn_accuracy"), 0.5)
    test = {"n": 908, **scores, "squared_error": error, "robustness": robust}
    return {"test": test, "training": {"cpu_seconds": 100.0}}


def recorded(tmp_path: Path, errors: list[float]) -> VoxelOrientation:
    """Results with these seeds of any rotation, whose runs are gone."""
    rotation = voxel_orientation.row([run_metrics(error) for error in errors])
    cube = voxel_orientation.row([run_metrics(500.0)])
    rows = {
        f"{t}: {k} VAE": r for t, r in (("cube", cube), ("rotation", rotation)) for k in ("affine", "plain")
    }
    output = tmp_path / "voxel_orientation.json"
    output.write_text(json.dumps({"rows": rows, "machine": {"cpu": "an abacus"}}))
    return VoxelOrientation("shapes.npz", rotation_seeds=3, more="rotation", runs=tmp_path, output=output)


def test_only_the_seeds_after_the_recorded_ones_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measured(plan: Any, terms: str | None) -> dict[str, Any]:
        asked.append(plan.output.name)
        return run_metrics(400.0 + plan.loop.seed)

    monkeypatch.setattr(voxel_orientation, "measured", measured)
    options = recorded(tmp_path, [400.0])
    voxel_orientation.run(options)
    assert asked == [f"shapes-{k}-rotation-s{s}" for k in ("rotation-16", "none-19") for s in (1, 2)]
    results = json.loads(options.output.read_text())
    assert "an abacus" in results["machine"]["cpu"].split(" and ")
    assert len(results["machine"]["cpu"].split(" and ")) == 2
    assert results["seeds"] == {"rotation": 3, "cube": 1}
    assert results["rows"]["rotation: plain VAE"]["squared_error"] == pytest.approx(several([400, 401, 402]))
    assert results["rows"]["cube: plain VAE"]["squared_error"] == several([500.0])
    with pytest.raises(RunError, match="raise --rotation-seeds"):
        voxel_orientation.run(options)
    voxel_orientation.run(replace(options, rotation_seeds=4))
    assert asked[-1] == "shapes-none-19-rotation-s3"


def with_seeds(tmp_path: Path, turns: str, seeds: int) -> str:
    """The claim's sentence if the shorter runs had so many seeds."""
    results = json.loads(COMMITTED.read_text())
    for kind in ("affine", "plain"):
        results["rows"][f"{turns}: {kind} VAE"]["squared_error"]["n"] = seeds
    (tmp_path / COMMITTED.name).write_text(json.dumps(results))
    (claim,) = read(tmp_path / COMMITTED.name)
    return claim.sentence


def test_the_sentence_is_of_the_runs_with_most_seeds(tmp_path: Path) -> None:
    rows = json.loads(COMMITTED.read_text())["rows"]

    def ratio(length: str) -> str:
        ours, plain = (rows[f"rotation: {kind} VAE{length}"] for kind in ("affine", "plain"))
        return f"{ours['squared_error']['mean'] / plain['squared_error']['mean']:.2f} times the squared error"

    assert ratio(", converged") in with_seeds(tmp_path, "rotation", 1)
    assert ratio("") in with_seeds(tmp_path, "rotation", 3)
