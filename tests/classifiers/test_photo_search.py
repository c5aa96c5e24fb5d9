"""The search among a network's plans: its space, its table, and the command from a trained folder to graphs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifiers import CompactCNN, plans
from classifiers.evaluate import Evaluate
from classifiers.evaluate import run as evaluate
from classifiers.export import halved, run_session, traced
from classifiers.latency import LatencyTable, measure_table
from classifiers.search import Search, space
from classifiers.search import run as search
from training.loop import RunError
from weights import WeightsError

NETWORK = "mobilenetv2@0.1"
COLOURS = {"leaf": (40, 160, 60), "sea": (30, 90, 200)}


def model(classes: tuple[str, ...] = tuple(COLOURS)) -> CompactCNN:
    torch.manual_seed(0)
    made = CompactCNN(NETWORK, classes, 32, mean=(0.4,), std=(0.3,))
    for layer in made.network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    made.train()(torch.rand(16, 3, 32, 32))
    return made.eval()


def pictures(folder: Path, each: int = 10) -> Path:
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for i in range(each):
            noise = np.random.default_rng(i).normal(0, 40, (32, 32, 3))
            Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(
                folder / name / f"{i}.png"
            )
    return folder


@pytest.mark.parametrize("ranks", [False, True])
def test_numbers_of_the_space_are_plans_and_the_search_starts_with_all_of_the_network(ranks: bool) -> None:
    small = model()
    found = space(small, ranks)
    assert found.plan(found.seeds[0]) == plans.full_plan(small.network, 32)
    for seed in found.seeds:
        assert set(seed) == set(found.ranges)
        assert all(low <= seed[name] <= high for name, (low, high) in found.ranges.items())
    for end in (0, 1):
        plan = found.plan({name: ends[end] for name, ends in found.ranges.items()})
        assert plans.check_plan(small.network, 32, plan) == plan
    assert found.plan({name: low for name, (low, _) in found.ranges.items()}).size == 16


def test_the_table_adds_up_parts_between_the_widths_that_were_timed() -> None:
    line = ((16, 1.0), (32, 2.0))
    whole = {2: tuple((n, t / 2) for n, t in line), 8: line}
    curves = {(-1, True): {8: line}, (0, True): whole, (1, True): whole, (1, False): whole, (-2, True): whole}
    table = LatencyTable(curves)  # type: ignore[arg-type]
    full = plans.Plan(32, (1, 3), (8, 8, 8), (8, 8))
    assert table.predict(full) == pytest.approx(2 + 2 + 3 * 2 + 2)
    assert table.predict(full._replace(blocks=(1, 1))) == pytest.approx(2 + 2 + 2 + 2)
    assert table.predict(full._replace(widths=(8, 5, 2))) == pytest.approx(2 + 2 + 3 * 1.5 + 1)
    assert table.predict(full._replace(size=24)) == pytest.approx(12 * 0.75)


def test_every_part_is_timed() -> None:
    small = model()
    table = measure_table(small, rounds=1)
    full, least = plans.full_plan(small.network, 32), plans.smallest_plan(small.network, 32)
    assert 0 < table.predict(least) < table.predict(full)


def test_a_graph_of_half_the_size_answers_alike() -> None:
    network, x = model().planned(plans.full_plan(model().network, 32)), torch.rand(2, 3, 32, 32)
    graph = traced(network, x)
    small = halved(graph)
    assert len(small) < 0.65 * len(graph)
    wanted = run_session(graph, x)
    assert (run_session(small, x) - wanted).abs().max() < 0.01 * wanted.abs().max() + 1e-3


def test_the_command_names_plans_and_exports_them(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data")
    folder = model().save_pretrained(tmp_path / "model", metrics={"training": {"seed": 0}})
    options = Search(model=folder, data=str(data), trials=5, storage=str(tmp_path / "journal"))
    search(options)
    found = CompactCNN.from_pretrained(folder)
    assert set(found.plans) == {"full", "accurate", "balanced", "fastest"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["training"] == {"seed": 0}
    assert metrics["search"]["front"][0]["size"] == 32
    for name, facts in found.plans.items():
        assert facts.accuracy is not None
        assert facts.int8_latency_ms is not None
        assert {(folder / f"{name}.{form}.onnx").is_file() for form in ("float32", "int8")} == {True}
        assert facts.macs is not None
    full, fastest = found.plans["full"], found.plans["fastest"]
    assert fastest.macs <= full.macs  # type: ignore[operator]
    image = torch.rand(3, 3, 32, 32)
    for name in found.plans:
        exact = CompactCNN.from_pretrained(folder, engine="torch").predict(image, name)
        graph = CompactCNN.from_pretrained(folder, engine="onnx").predict(image, name)
        assert (graph - exact).abs().max() < 0.02
    assert found.compare_graphs() == 8
    assert found.engine == "ONNX Runtime"
    # Measured, and neither weights nor graphs were touched by it.
    before = {path.name: path.read_bytes() for path in folder.glob("*.onnx")}
    result = evaluate(Evaluate(str(folder), str(data)))
    tested = result["test"]["plans"]
    assert set(tested) == set(found.plans)
    assert all(plan["accuracy"] == plan[plan["form"]]["accuracy"] for plan in tested.values())
    assert result["search"] == metrics["search"]
    assert tested["fastest"]["int8"]["accuracy"] <= 1
    assert {path.name: path.read_bytes() for path in folder.glob("*.onnx")} == before
    assert "| fastest |" in (folder / "README.md").read_text()
    (folder / "fastest.int8.onnx").unlink()
    with pytest.raises(WeightsError, match="has no int8 graph"):
        CompactCNN.from_pretrained(folder, engine="int8").predict(image, "fastest")
    with pytest.raises(RunError, match="another search"):
        search(Search(model=folder, data=str(data), trials=5, storage=str(tmp_path / "journal"), ranks=True))


def test_networks_without_plans_and_folders_that_are_not_there_are_refused(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", 3)
    with pytest.raises(RunError, match="there is no folder"):
        search(Search(model=tmp_path / "none", data=str(data)))
    with pytest.raises(RunError, match="--data"):
        search(Search(model=tmp_path))
    plain = CompactCNN("resnet9@0.1", tuple(COLOURS), 32).save_pretrained(tmp_path / "plain")
    with pytest.raises(ValueError, match="inverted residuals"):
        search(Search(model=plain, data=str(data)))
