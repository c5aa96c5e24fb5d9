"""Every claim again: quickly from the shipped weights, or in full from scratch (text models: as they are shipped).

    python -m benchmarks.tools.all --quick   # minutes: shipped models on part of their test data, recorded and found
    python -m benchmarks.tools.all --full     # days: every command behind the README, resumable, then its tables

Data sets come from the Hub by name, or from the files of ``--data`` (``mnist.npz``, ``agnews.csv.gz``, ...).
"""

from __future__ import annotations

import fnmatch
import math
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from affinevae import AffineVAE
from affinevae.data import load as load_shapes
from affinevae.evaluate import TEST_SEED, encode_all
from affinevae.groups import get_group
from affinevae.turned import turn_all
from benchmarks.claims import Claim
from benchmarks.tools.readme import ROOT, every_claim
from benchmarks.tools.tables import markdown, plainly
from classifiers import CompactCNN
from classifiers.data import load as load_pictures
from classifiers.evaluate import accuracy as picture_accuracy
from textclf import TextClassifier
from textclf.evaluate import accuracy as text_accuracy
from textclf.evaluate import classify
from training.command import command
from training.datasets import DataError, ImageSplit
from training.loop import RunError
from training.runs import read_metrics
from training.texts import load_texts, subset

ERRORS = 4.0  # standard errors that a number on part of the test data may be away from the one on all of it
ENDINGS = (".npz", ".csv.gz", ".csv", ".parquet")


@dataclass(frozen=True)
class All:
    """Check the shipped models' numbers, or measure every claim anew.

    Args:
        quick: measure the shipped models on part of their test data.
        full: train and measure everything from scratch but the text models; finished runs in ``runs/`` are read
            again, not repeated.
        data: folder with files of the data sets; those that it lacks come from the Hub.
        only: claims or models whose name matches, with * and ?.
        test: test examples of every model, for ``--quick``.
    """

    quick: bool = False
    full: bool = False
    data: Path | None = None
    only: str = "*"
    test: int = 500


class Check(NamedTuple):
    """A recorded number, the same found on part of the test data, and its standard error there."""

    what: str
    recorded: float
    found: float
    error: float

    @property
    def agrees(self) -> bool:
        """Whether chance explains the difference."""
        return abs(self.found - self.recorded) <= ERRORS * self.error


def source(name: str, folder: Path | None) -> str:
    """A data set's file in the folder, by the name or the name before "_"; the name itself where there is none."""
    for stem in dict.fromkeys((name, name.split("_")[0])):
        for ending in ENDINGS:
            if folder is not None and (folder / f"{stem}{ending}").is_file():
                return str(folder / f"{stem}{ending}")
    return name


# From the shipped weights ------------------------------------------------------------------------------------------


def some(count: int, wanted: int) -> torch.Tensor:
    """Indices of test examples, at random: data sets are often sorted, and the first are the easy ones."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:wanted]


def shapes(folder: Path, metrics: Mapping[str, Any], data: str, n: int) -> Iterator[Check]:
    """Bound and squared error of an affine or a plain VAE, on the test images in their recorded poses."""
    model, split = AffineVAE.from_pretrained(folder), load_shapes(data).test
    group = get_group("rotation", model.config.dims)
    poses = group.sample(len(split), torch.Generator().manual_seed(TEST_SEED))
    index = some(len(split), min(n, 128) if model.config.dims == 3 else n)
    images = turn_all(split.images[index], poses[index], group, model.config.size[0])
    code = encode_all(model, images)
    nats = code.nll + code.pose_nats
    yield Check("nats", metrics["test"]["nats"], float(nats.mean()), _standard_error(nats))
    each = (model.decode(code.z, code.pose) - images).square().flatten(1).sum(1)
    yield Check("squared error", metrics["test"]["squared_error"], float(each.mean()), _standard_error(each))


def _standard_error(values: torch.Tensor) -> float:
    return float(values.std() / math.sqrt(len(values)))


def pictures(folder: Path, metrics: Mapping[str, Any], data: str, n: int) -> Iterator[Check]:
    """Accuracy of an image classifier."""
    model = CompactCNN.from_pretrained(folder)
    test = load_pictures(data, model.config.prepared).test
    assert test.labels is not None
    index = some(len(test), n)
    right = picture_accuracy(model, ImageSplit(test.images[index], test.labels[index]))
    yield _share("accuracy", metrics["test"]["accuracy"], right, len(index))


def texts(folder: Path, metrics: Mapping[str, Any], data: str, n: int) -> Iterator[Check]:
    """Accuracy of every plan of a text classifier."""
    model, training = TextClassifier.from_pretrained(folder), metrics["training"]
    columns, classes = tuple(training["text_column"]), tuple(training["class_names"])
    test = subset(load_texts(data, text=columns, label=training["label_column"], classes=classes).test, n)
    for name in model.plans:
        right = text_accuracy(classify(model, test.texts, name, "auto"), test.labels)
        yield _share(f"accuracy, {name}", metrics["test"]["plans"][name]["accuracy"], right, n)


def _share(what: str, recorded: float, found: float, n: int) -> Check:
    return Check(what, recorded, found, math.sqrt(max(recorded * (1 - recorded), 0.01) / n))


KINDS: dict[str, Callable[[Path, Mapping[str, Any], str, int], Iterator[Check]]] = {
    "affinevae-": shapes,
    "vae-": shapes,
    "cnn-": pictures,
    "text-": texts,
}


def quick(options: All) -> None:
    """Print what was recorded beside what is found.

    Raises:
        RunError: a number is not what chance explains, or nothing could be measured.
    """
    rows, wrong = {}, []
    for path in sorted((ROOT / "weights").glob("*/metrics.json")):
        name, metrics = path.parent.name, read_metrics(path.parent)
        kind = next((measure for prefix, measure in KINDS.items() if name.startswith(prefix)), None)
        if kind is None or not metrics.get("test") or not fnmatch.fnmatch(name, options.only):
            continue
        try:
            for check in kind(path.parent, metrics, source(metrics["data"], options.data), options.test):
                rows[f"{name}, {check.what}"] = check._asdict()
                wrong += [] if check.agrees else [f"{name}, {check.what}"]
        except DataError as error:
            sys.stderr.write(f"{name}: {error}\n")
    markdown(rows, plainly("recorded", "found", "error", form="{:.4g}"))
    if wrong or not rows:
        raise RunError(f"not as recorded: {', '.join(wrong)}" if wrong else "there was nothing to measure")


# From scratch ------------------------------------------------------------------------------------------------------


def arguments(claim: Claim, folder: Path | None) -> list[str]:
    """The claim's command, its data sets read from the folder where that has them."""
    words, option = shlex.split(claim.command), ""
    for at, word in enumerate(words):
        if word.startswith("--"):
            option = word
        elif option == "--data":
            words[at] = source(word.split(".")[0], folder)
    return [sys.executable, *words[1:]]


def training_hours(value: Any) -> float:
    """Processor hours of training behind a result, as far as it says."""
    if isinstance(value, Mapping):
        spent = value.get("cpu_seconds")
        if isinstance(spent, Mapping):
            return float(spent["mean"] * spent["n"] / 3600)
        if isinstance(spent, int | float):
            return spent / 3600
        return sum(map(training_hours, value.values()))
    return 0.0


def full(options: All) -> None:
    """Run every claim's command, then draw the tables and take the pictures anew.

    Raises:
        RunError: some commands failed; the others were run.
    """
    claims = {c.command: c for c in every_claim() if fnmatch.fnmatch(c.name, options.only)}
    hours = sum(training_hours(claim.results) for claim in claims.values())
    sys.stderr.write(
        f"{len(claims)} commands; training took {hours:.1f} processor hours when it was measured\n"
    )
    drawn = [[sys.executable, "-m", f"benchmarks.tools.{name}"] for name in ("readme", "screenshots")]
    failed = []
    for words in [*(arguments(claim, options.data) for claim in claims.values()), *drawn]:
        sys.stderr.write(f"\n{shlex.join(words)}\n")
        if subprocess.run(words, cwd=ROOT).returncode:
            failed.append(shlex.join(words[1:]))
    if failed:
        raise RunError(f"these failed: {'; '.join(failed)}")


def run(options: All) -> None:
    """The one or the other.

    Raises:
        ValueError: neither is asked for, or both.
    """
    if options.quick == options.full:
        raise ValueError("say --quick (minutes, from the shipped weights) or --full (days, from scratch)")
    (full if options.full else quick)(options)


if __name__ == "__main__":
    command(All, run, flags=True)
