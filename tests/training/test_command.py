"""What a person reads when a command goes wrong: one sentence and exit code 2, or the traceback of a defect of ours."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import pytest
import torch

from training.command import FULL, command
from training.loop import RunError


@dataclass(frozen=True)
class Options:
    """Nothing to choose."""


def stopped(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code of a command that meets an error."""

    def fail(_: Options) -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(SystemExit) as caught:
        command(Options, fail)
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RunError("the loss is\n no number"), "the loss is no number"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: free some space and run"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x"), "Permission denied: runs/x"),
        (MemoryError(), FULL),
        (torch.OutOfMemoryError("CUDA out of memory"), FULL),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), FULL),
        (KeyboardInterrupt(), "interrupted: the same command continues"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_a_person_can_mend_is_one_sentence(
    error: BaseException, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stopped(error, monkeypatch) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {sentence}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), KeyError("x")], ids=repr)
def test_a_defect_of_ours_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(type(error)):
        stopped(error, monkeypatch)
