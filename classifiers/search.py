"""Search the plans of a trained network that fit some pictures and a latency budget, and export those that get names.

    python -m classifiers.search weights/my --data my_pictures/ --budget-ms 5

:mod:`training.study` over the picture's size and, stage by stage, blocks and channels. Every plan that is tried gets
norms of its own from training pictures, and is judged by validation. The front, and what comes next to it, is timed as
a whole in ONNX Runtime, and four names are given: ``full``, ``accurate``, ``balanced`` and ``fastest``, each exported
in float32 and in int8. With ``--storage`` the same command continues an interrupted search, and run several times at
once it shares one search among processes or machines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from torch import Tensor

from classifiers import plans
from classifiers.data import in_order, load
from classifiers.export import halved, plan_to_onnx, run_session, to_int8, traced
from classifiers.images import resize
from classifiers.latency import LatencyTable, measure_table
from classifiers.model import PRECISIONS, CompactCNN, PlanFacts, Precision, graph_path, session
from classifiers.plans import LEAST, WHOLE, Plan
from classifiers.supernet import chosen_for
from training.command import command
from training.datasets import ImageData, ImageSplit
from training.fingerprint import brief, weights_digest
from training.front import Candidate, expected_error
from training.loop import RunError, require
from training.measure import Latency, compare, macs, parameters
from training.pictures import to_floats
from training.progress import say
from training.runs import read_metrics
from training.study import Found, Objective, Searching, Space, Spent, remeasured, searching, told, tried
from weights.checkpoint import write

BATCH = 32  # pictures at once: maps of more fall out of the cache


@dataclass(frozen=True)
class Search(Searching):
    """Search a trained model's plans, on the pictures it was trained on, and name the best in its folder.

    Args:
        model: folder of a model of a network of inverted residuals, trained with its plans.
        data: data set: name, file or folder, as for training.
        max_loss: expected error that "balanced" may add on validation where there is no budget, as a share: 0.01 is a
            point.
        pictures: validation pictures that every plan is tried on.
        final: validation pictures that the front, and what comes next to it, is measured on.
        ranks: search the ranks of 1x1 kernels too, which no training has seen.
        half: store the weights, and those of float32 graphs, as float16.
        keep: graphs of a plan: both, or only the faster of float32 and int8 of those that lose no accuracy.
        tolerance: accuracy that int8 may cost on validation, as a share, before float32 is called the faster.
        seed: of the data's split, as in training, and of the search.
    """

    model: Annotated[Path, tyro.conf.Positional] = Path()
    data: str = ""
    max_loss: float = 0.01
    pictures: int = 400
    final: int = 2000
    ranks: bool = False
    half: bool = True
    keep: Literal["both", "faster"] = "both"
    tolerance: float = 0.005
    seed: int = 0

    def check(self) -> None:
        super().check()
        require("--data", repr(self.data), bool(self.data), "the pictures that the model was trained on")
        for name in ("pictures", "final"):
            require(f"--{name}", getattr(self, name), getattr(self, name) >= 1, "at least 1")


# The space ---------------------------------------------------------------------------------------------------------


def space(model: CompactCNN, ranks: bool = False) -> Space[Plan]:
    """The plans of a model as numbers; widths and ranks of all stages move together, and each on its own from there."""
    network, size = model.network, model.config.size
    full, sizes = plans.full_plan(network, size), plans.sizes(size)
    stages = len(full.blocks)
    ranges = {"size": (0, len(sizes) - 1)}
    ranges |= {f"blocks{i}": (1, most) for i, most in enumerate(full.blocks) if most > 1}
    ranges |= {f"width{i}": (LEAST, WHOLE) for i in range(stages + 1)}
    ranges |= {f"rank{i}": (LEAST, WHOLE) for i in range(stages)} if ranks else {}

    def plan(numbers: Mapping[str, int]) -> Plan:
        blocks = tuple(numbers.get(f"blocks{i}", 1) for i in range(stages))
        widths = tuple(numbers[f"width{i}"] for i in range(stages + 1))
        low = tuple(numbers.get(f"rank{i}", WHOLE) for i in range(stages))
        return plans.whole_where_it_must(network, Plan(sizes[numbers["size"]], blocks, widths, low))

    def numbers(at: int, width: int, fewer: int) -> dict[str, int]:
        found = {"size": at, **{f"width{i}": width for i in range(stages + 1)}}
        found |= {f"blocks{i}": max(1, n - fewer) for i, n in enumerate(full.blocks) if n > 1}
        return found | ({f"rank{i}": WHOLE for i in range(stages)} if ranks else {})

    top = len(sizes) - 1
    seeds = [numbers(top, WHOLE, 0)]
    seeds += [
        numbers(at, width, fewer)
        for at in sorted({top, max(0, top - 1), max(0, top - 2)}, reverse=True)
        for width, fewer in ((WHOLE, 0), (6, 0), (WHOLE, 1), (6, 1), (5, 1), (4, 1), (4, 2), (3, 2))
    ]
    return Space(ranges, plan, list({str(s): s for s in seeds}.values()), f"{size} {ranks}")


# The command -------------------------------------------------------------------------------------------------------


class Judge:
    """What a search asks of a model: the error and the norms of a plan, on pictures that lie in memory."""

    def __init__(self, model: CompactCNN, data: ImageData) -> None:
        labels = data.train.labels
        assert labels is not None
        self.model, self.full = model, plans.full_plan(model.network, model.config.size)
        self.given = to_floats(data.train.images[chosen_for(labels, plans.enough(model.config.size))])
        self.moments = model.moments(self.given)
        self.known: dict[Plan, Tensor] = {}

    def norms(self, plan: Plan) -> Tensor:
        """Scales and shifts of a plan; of the full one, those that it was trained with."""
        if plan == self.full:
            return plans.own_scales(self.model.network, plan)
        if plan not in self.known:  # some tens of kilobytes, and seconds to find
            self.known[plan] = self.model.calibrated(plan, self.given, self.moments)
        return self.known[plan]

    @torch.no_grad()
    def logits(self, plan: Plan, images: Tensor) -> Tensor:
        """Of bytes (N, C, H, W)."""
        network = self.model.planned(plan, self.norms(plan)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parts = (resize(to_floats(part), plan.size) for part in images.split(BATCH))
        return torch.cat([network(part.contiguous(memory_format=torch.channels_last)) for part in parts])


def run(options: Search) -> dict[str, Candidate[Plan]]:
    """Search, name plans and write them into the model's folder; returns them."""
    options.check()
    spent = Spent()
    if not options.model.is_dir():
        raise RunError(f"there is no folder {options.model}: train one with python -m classifiers.train")
    model = CompactCNN.from_pretrained(options.model, engine="torch")
    plans.parts(model.network)  # refuses networks that have none
    data = in_order(load(options.data, model.config.prepared), model.classes)
    with searching(options.model, options) as writing:
        judge = Judge(model, data)
        few, many = (some(data.validation, n) for n in (options.pictures, options.final))
        say("timing stages at every size")
        candidates = tried(
            make_objective(judge, few, measure_table(model)),
            space(model, options.ranks),
            trials=options.trials,
            storage=options.storage,
            identity=f"{weights_digest(model)} {brief(data)} {len(few)}",
            seed=None if options.storage else options.seed,  # workers must not all try the same
        )

        def measure(chosen: list[Plan]) -> list[Candidate[Plan]]:
            say(f"timing {len(chosen)} plans as a whole, and measuring them on {len(many):,} pictures")
            return measured(judge, chosen, many)

        found = remeasured(candidates, judge.full, (), measure, options)
        with writing():
            save(judge, data, many, found, spent, options)
    return found.named


def some(split: ImageSplit, count: int) -> ImageSplit:
    """``count`` pictures at most that stand for all, always the same."""
    assert split.labels is not None
    places = chosen_for(split.labels, count)
    return ImageSplit(split.images[places], split.labels[places])


def make_objective(judge: Judge, split: ImageSplit, table: LatencyTable) -> Objective[Plan]:
    """Expected validation error of a plan, and its latency as the table predicts it."""

    def objective(plan: Plan) -> tuple[float, float]:
        return error_of(judge.logits(plan, split.images), split), table.predict(plan)

    return objective


def error_of(logits: Tensor, split: ImageSplit) -> float:
    """Expected error of logits (N, K)."""
    assert split.labels is not None
    return expected_error(logits.log_softmax(1), split.labels)


def accuracy_of(logits: Tensor, split: ImageSplit) -> float:
    """Share of pictures whose likeliest class is the right one."""
    assert split.labels is not None
    return float((logits.argmax(1) == split.labels).float().mean())


def measured(judge: Judge, chosen: Sequence[Plan], split: ImageSplit) -> list[Candidate[Plan]]:
    """Plans with their errors on a whole split and their time as a whole, in turns on one thread."""
    channels = judge.model.config.channels
    runs = {}
    for plan in chosen:
        network = judge.model.planned(plan, judge.norms(plan))
        runs[str(plan)] = call_of(traced(network, torch.rand(1, channels, plan.size, plan.size)), plan.size)
    times = compare(runs, rounds=10, repeats=3)
    logits = {plan: judge.logits(plan, split.images) for plan in chosen}
    return [
        Candidate(p, error_of(x, split), times[str(p)].median_ms, accuracy_of(x, split))
        for p, x in logits.items()
    ]


def call_of(graph: bytes, size: int) -> Callable[[], object]:
    """One picture through a graph, on one thread."""
    run = session(graph)
    channels = run.get_inputs()[0].shape[1]
    given = {"image": torch.rand(1, channels, size, size).numpy()}
    return lambda: run.run(None, given)


def save(
    judge: Judge,
    data: ImageData,
    held: ImageSplit,
    found: Found[Plan],
    spent: Spent,
    options: Search,
) -> None:
    """Write the named plans and their norms into the folder, the front into its metrics, and fresh graphs."""
    model, folder = judge.model, options.model
    norms = {name: judge.norms(c.plan) for name, c in found.named.items()}
    facts = {name: facts_of(model, c, norms[name], len(held)) for name, c in found.named.items()}
    searched: dict[str, Any] = {
        **told(options, options.seed, spent),
        "pictures": min(options.pictures, len(data.validation)),
        "n": len(held),
        "front": [
            {**c.plan._asdict(), "error": 1 - c.accuracy, "expected_error": c.error, "latency_ms": c.ms}
            for c in found.timed
        ],
        "plans": {name: c.plan._asdict() for name, c in found.named.items()},
    }
    metrics = {**read_metrics(folder), "search": searched}
    for graph in folder.glob("*.onnx"):
        graph.unlink()
    model.with_plans(facts, norms).save_pretrained(folder, half=options.half, metrics=metrics)
    if options.export:
        export_plans(folder, judge.given, held, options)


def facts_of(model: CompactCNN, candidate: Candidate[Plan], norms: Tensor, n: int) -> PlanFacts:
    """What is known of a plan before it is exported."""
    network, channels = model.planned(candidate.plan, norms), model.config.channels
    one = torch.zeros(1, channels, network.size, network.size)
    return PlanFacts(
        candidate.plan, candidate.accuracy, n, parameters(network), macs(network, one), candidate.ms
    )


def export_plans(folder: Path, calibration: Tensor, held: ImageSplit, options: Search) -> None:
    """Write the graphs of a folder's named plans, and into its config which form serves each best.

    Args:
        calibration: training pictures (N, C, H, W) in [0, 1] that set the ranges of int8's activations.
    """
    model = CompactCNN.from_pretrained(folder, engine="torch")
    graphs: dict[tuple[str, Precision], bytes] = {}
    for name, facts in model.plans.items():
        say(f"exporting {name}: {plans.in_words(facts.plan)}")
        whole = plan_to_onnx(model, name)
        graphs[name, "float32"] = halved(whole) if options.half else whole
        graphs[name, "int8"] = to_int8(whole, resize(calibration, facts.plan.size))
    sizes = {name: facts.plan.size for name, facts in model.plans.items()}
    times = compare(
        {f"{name} {form}": call_of(graph, sizes[name]) for (name, form), graph in graphs.items()}, repeats=3
    )
    known = {
        name: facts._replace(
            **_served(graphs, times, name, resize(to_floats(held.images), sizes[name]), held, options)
        )
        for name, facts in model.plans.items()
    }
    norms = {name: made for name in known if (made := model.norms_of(name)) is not None}
    model.with_plans(known, norms).save_pretrained(folder, half=options.half)
    for (name, form), graph in graphs.items():
        if options.keep == "both" or form == known[name].form:
            write(folder, {graph_path(folder, name, form).name: graph})


def _served(
    graphs: Mapping[tuple[str, Precision], bytes],
    times: Mapping[str, Latency],
    name: str,
    images: Tensor,
    held: ImageSplit,
    options: Search,
) -> dict[str, Any]:
    """How right and how fast both forms of a plan are, and which of them is the faster that loses no accuracy."""
    right = {form: accuracy_of(run_session(graphs[name, form], images), held) for form in PRECISIONS}
    ms = {form: times[f"{name} {form}"].median_ms for form in PRECISIONS}
    loses = right["float32"] - right["int8"] > options.tolerance
    return {
        "accuracy": right["float32"],
        "latency_ms": ms["float32"],
        "int8_accuracy": right["int8"],
        "int8_latency_ms": ms["int8"],
        "form": "float32" if loses or ms["float32"] <= ms["int8"] else "int8",
    }


if __name__ == "__main__":
    command(Search, run)
