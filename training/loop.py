"""One training loop for every model, on Accelerate: one process or many, CPU or GPU.

The loop owns batches, schedule, precision, clipping, logging and checkpoints; a model package brings a ``step`` that
turns example indices into a loss. A run killed at any moment continues with the same command and ends with the same
weights: checkpoints hold everything that the next step reads, and replace each other atomically.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors import SafetensorError
from torch import Tensor, nn

from training.fingerprint import changes
from training.progress import Steps, say
from training.trackers import Tracker, tracked
from weights.checkpoint import file_sha256, one_line

# (prepared model, example indices (B,), progress of the run in [0, 1)) -> "loss" and whatever is worth logging
Step = Callable[[nn.Module, Tensor, float], dict[str, Tensor]]


class RunError(RuntimeError):
    """A run that cannot go on; the message says why and what would work."""


@dataclass(frozen=True)
class LoopConfig:
    """How to train.

    Args:
        epochs: passes over the training examples.
        batch: examples a step, over all processes.
        lr: peak learning rate; linear warm-up, then a cosine to zero.
        weight_decay: AdamW's, decoupled; another optimizer brings its own way.
        clip: largest gradient norm.
        warmup: steps of warm-up.
        precision: "bf16" autocast or "no" (float32); "auto" takes bf16 where the processor has it.
        checkpoint_every: seconds between checkpoints, taken at the next end of an epoch.
        seed: of weights, batches and noise.
    """

    epochs: int = 20
    batch: int = 256
    lr: float = 4e-3
    weight_decay: float = 1e-4
    clip: float = 200.0
    warmup: int = 100
    precision: str = "auto"
    checkpoint_every: float = 60.0
    seed: int = 0

    def check(self) -> LoopConfig:
        """Itself; ``RunError`` names the option that no run can have."""
        precision(self.precision)
        require("--epochs", self.epochs, self.epochs >= 1, "at least 1")
        require("--batch", self.batch, self.batch >= 1, "at least 1")
        require("--lr", self.lr, 0 < self.lr < math.inf, "above 0")
        require("--weight-decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "at least 0")
        require("--clip", self.clip, self.clip > 0, "above 0")
        require("--warmup", self.warmup, self.warmup >= 0, "at least 0")
        require("--seed", self.seed, 0 <= self.seed < 2**32 - 1000, "0 to 4,294,966,295")
        return self


def require(option: str, value: object, right: bool, wanted: str) -> None:
    """``RunError`` for an option whose value no run can have."""
    if not right:
        raise RunError(f"{option} must be {wanted}, not {value}")


@dataclass
class Clock:
    """Where a run stands; travels with its checkpoints."""

    epoch: int = 0
    step: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def fit(
    model: nn.Module,
    step: Step,
    examples: int,
    config: LoopConfig,
    output: Path,
    *,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    state: tuple[Any, ...] = (),
    end_of_epoch: Callable[[Accelerator], None] | None = None,
    description: dict[str, Any] | None = None,
    fingerprint: dict[str, Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    log_with: Sequence[Tracker] = (),
) -> Clock:
    """Train ``model`` in place; returns the time it took.

    Args:
        step: see ``Step``; ``examples`` are numbered from 0.
        output: gets ``log.jsonl`` (one line an epoch) and, while running, ``checkpoint/``.
        validate: measured after each epoch on the main process and logged.
        state: objects with ``state_dict`` and ``load_state_dict`` that checkpoints keep too.
        end_of_epoch: called on every process before a checkpoint, to make ``state`` agree.
        description: whatever identifies the run; resuming under another one is refused.
        fingerprint: of the data, see :mod:`training.fingerprint`; resuming on other data is refused.
        optimizer: of the model's parameters, in place of AdamW; its learning rate follows the same schedule, times
            the ``share`` of a group of parameters that has one.
        log_with: trackers that get what ``log.jsonl`` gets; no part of what identifies the run.

    Raises:
        RunError: another run's checkpoint in ``output``, one on other data, or a damaged one; a loss that is not
            finite; a disk that is full or too small for a checkpoint.
        ValueError: a tracker does not start.
    """
    accelerator = Accelerator(mixed_precision=precision(config.precision), cpu=not torch.cuda.is_available())
    set_seed(config.seed, device_specific=True)
    clock, optimizer = Clock(), optimizer or adamw(model.parameters(), config)
    prepared, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(clock, *state)
    recipe = {"loop": asdict(config), "processes": accelerator.num_processes, **(description or {})}
    if fingerprint is not None:
        recipe["fingerprint"] = fingerprint
    if resumed := resume(accelerator, output, recipe):
        say(f"going on after epoch {clock.epoch} of {config.epochs}")
    _require_room(model, output)

    steps = max(1, examples // config.batch)
    total = steps * config.epochs
    saved = time.monotonic()
    trackers = tracked(log_with, output, recipe, resumed) if accelerator.is_main_process else nullcontext()
    with trackers as note, Steps(total, clock.step) as shown:
        while clock.epoch < config.epochs:
            started = time.process_time(), time.perf_counter()
            prepared.train()
            sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(()))
            for index in batches(accelerator, examples, clock.epoch, config):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(clock.step, total, config) * group.get("share", 1.0)
                losses = _update(accelerator, prepared, optimizer, step, index, clock.step / total, config)
                for name, value in losses.items():
                    sums[name] = sums[name] + value.detach().float().cpu()
                clock.step += 1
                shown.advance({"loss": float(losses["loss"].detach())})
            clock.epoch += 1
            clock.cpu_seconds += time.process_time() - started[0]
            clock.wall_seconds += time.perf_counter() - started[1]
            if end_of_epoch is not None:
                end_of_epoch(accelerator)
            record = {**asdict(clock), **{k: round(float(v) / steps, 4) for k, v in sums.items()}}
            if note is not None:  # on the main process
                prepared.eval()
                record |= {
                    f"validation_{k}": round(v, 4) for k, v in (validate(model) if validate else {}).items()
                }
                log(output, record)
                note({name: value for name, value in record.items() if name != "step"}, clock.step)
                numbers = {k: v for k, v in record.items() if k not in asdict(clock) and k != "step"}
                shown.line(f"epoch {clock.epoch} of {config.epochs}", numbers)
            accelerator.wait_for_everyone()
            if clock.epoch == config.epochs or time.monotonic() - saved > config.checkpoint_every:
                checkpoint(accelerator, output, recipe)
                saved = time.monotonic()
    model.eval()
    return clock


def adamw(parameters: Any, config: LoopConfig) -> torch.optim.Optimizer:
    """Of parameters, or of groups of them, as ``torch.optim`` takes both."""
    return torch.optim.AdamW(parameters, config.lr, (0.9, 0.99), weight_decay=config.weight_decay, fused=True)


def learning_rate(step: int, total: int, config: LoopConfig) -> float:
    """Linear warm-up, then a cosine to zero (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    warm = min(1.0, (step + 1) / max(1, min(config.warmup, total // 5)))
    return config.lr * warm * 0.5 * (1 + math.cos(math.pi * step / total))


def fitting(config: LoopConfig, examples: int) -> LoopConfig:
    """The configuration for so many examples: where they are fewer than a batch, smaller batches.

    The largest power of two of which an epoch has eight, and 8 at least, as far as there are so many.
    """
    if examples >= config.batch:
        return config
    return replace(config, batch=min(examples, max(8, 2 ** int(math.log2(max(1, examples // 8))))))


def batches(accelerator: Accelerator, examples: int, epoch: int, config: LoopConfig) -> Iterator[Tensor]:
    """Indices of one epoch, shuffled by seed and epoch; each process keeps its own share of the examples.

    A fixed share lets a process keep per-example state (a pose cache). An incomplete last batch is left out.
    """
    processes, rank = accelerator.num_processes, accelerator.process_index
    own = torch.arange(rank, examples - examples % processes or examples, processes)
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    order = own[torch.randperm(len(own), generator=generator)]
    share = max(1, config.batch // processes)
    for i in range(max(1, examples // config.batch)):
        yield order[i * share : (i + 1) * share]


def _update(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: Step,
    index: Tensor,
    progress: float,
    config: LoopConfig,
) -> dict[str, Tensor]:
    with accelerator.autocast():
        losses = step(model, index, progress)
    if not losses["loss"].isfinite():
        raise RunError("the loss is no longer a finite number: lower --lr, or train with --precision no")
    optimizer.zero_grad()
    accelerator.backward(losses["loss"])
    accelerator.clip_grad_norm_(model.parameters(), config.clip)
    optimizer.step()
    return losses


# Files -------------------------------------------------------------------------------------------------------------


CHECKPOINTS = ("checkpoint", "checkpoint.new", "checkpoint.old")  # the first complete one counts
CHECKSUMS = "checksums.json"


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a checkpoint but the list itself, by its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: file_sha256(path) for name, path in named.items() if name not in (CHECKSUMS, "complete")}


def checkpoint(accelerator: Accelerator, output: Path, recipe: dict[str, Any]) -> None:
    """Save the run's state beside the last one, then swap: a kill leaves one complete checkpoint or the other."""
    fresh, kept = output / "checkpoint.new", output / "checkpoint"
    if accelerator.is_main_process:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    accelerator.wait_for_everyone()
    try:
        accelerator.save_state(str(fresh))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            (fresh / "recipe.json").write_text(json.dumps(recipe, indent=1, sort_keys=True))
            (fresh / CHECKSUMS).write_text(json.dumps(checksums(fresh), indent=1))
            (fresh / "complete").touch()
            shutil.rmtree(output / "checkpoint.old", ignore_errors=True)
            if kept.exists():
                kept.rename(output / "checkpoint.old")
            fresh.rename(kept)
            shutil.rmtree(output / "checkpoint.old", ignore_errors=True)
    # torch and safetensors have errors of their own for a full disk
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        reason = getattr(error, "strerror", None) or one_line(error)
        raise RunError(f"could not save a checkpoint ({reason}): free some disk space") from error
    accelerator.wait_for_everyone()


def resume(accelerator: Accelerator, output: Path, recipe: dict[str, Any]) -> bool:
    """Load the newest complete checkpoint of ``output``, if there is one.

    Raises:
        RunError: it is another run's, or damaged.
    """
    found = [output / name for name in CHECKPOINTS]
    folder = next((f for f in found if (f / "complete").exists()), None)
    if folder is None:
        return False
    try:
        damaged = _damaged(folder)
        known = {} if damaged else json.loads((folder / "recipe.json").read_text())
        wanted = json.loads(json.dumps(recipe))
        refusal = None if damaged else _differs(output, known, wanted)
        if not damaged and not refusal:
            accelerator.load_state(str(folder))
    except Exception as error:  # torch, pickle, zipfile and safetensors raise a dozen kinds on damaged files
        damaged, refusal = one_line(error), None
    if damaged:
        raise RunError(f"{folder} is damaged ({damaged}): delete it, and the run starts from the beginning")
    if refusal:
        raise RunError(refusal)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and folder != found[0]:
        folder.rename(found[0])  # a kill cut the swap short; the next checkpoint must not delete the only one
    return True


def _damaged(folder: Path) -> str:
    """What is wrong with the files of a complete checkpoint; empty if nothing is."""
    if not (folder / CHECKSUMS).is_file():
        return f"it holds no {CHECKSUMS}, so nothing tells whether it is whole"
    known, there = json.loads((folder / CHECKSUMS).read_text()), checksums(folder)
    wrong = sorted(name for name in known if there.get(name) != known[name])
    return f"{', '.join(wrong[:3])} {'are' if len(wrong) > 1 else 'is'} not as written" if wrong else ""


def _differs(output: Path, known: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Why a checkpoint of the recipe ``known`` is not of the run that is ``wanted``; None if it is."""
    before, now = known.pop("fingerprint", None), wanted.pop("fingerprint", None)
    if known != wanted:
        names = [k for k in sorted({*known, *wanted} - {"loop"}) if known.get(k) != wanted.get(k)]
        loops = known.get("loop", {}), wanted.get("loop", {})
        names += [k for k in sorted({*loops[0], *loops[1]}) if loops[0].get(k) != loops[1].get(k)]
        return (
            f"{output} holds an interrupted run with other settings ({', '.join(names[:4])}): use the same settings, "
            "--fresh to start over, or another --output"
        )
    if before is not None and now is not None and (changed := changes(before, now)):
        return (
            f"the data have changed since the run in {output} was interrupted ({', '.join(changed)}): --fresh starts "
            "over with them, another --output keeps both"
        )
    return None


def _require_room(model: nn.Module, output: Path) -> None:
    """``RunError`` where not even one checkpoint fits on the disk: its weights, and a momentum for each."""
    place = next(path for path in (output, *output.absolute().parents) if path.exists())
    stored = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    needed = stored + sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    if (free := shutil.disk_usage(place).free) < needed:
        raise RunError(
            f"a checkpoint of this run takes {needed / 1e6:,.1f} MB, and {place} has {free / 1e6:,.1f} MB left: free "
            "some disk space, or choose another --output"
        )


def log(output: Path, record: dict[str, Any]) -> None:
    """Append one line to ``log.jsonl``."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / "log.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


def precision(wanted: str) -> str:
    if wanted not in ("auto", "bf16", "no"):
        raise RunError(f"unknown precision {wanted!r}: choose auto, bf16 or no")
    if wanted != "auto":
        return wanted
    fast = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else _cpu_has_bf16()
    return "bf16" if fast else "no"


def _cpu_has_bf16() -> bool:
    # torch's own probe; without the instructions bf16 is emulated and several times slower than float32.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
