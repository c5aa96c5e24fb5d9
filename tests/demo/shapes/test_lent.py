"""The GPU that a Space lends: taken for the thorough search only, done without where there is none to spare."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import gradio as gr
import pytest
import torch
from PIL import Image, ImageDraw

from affinevae import AffineVAE
from demo.shapes import lent
from demo.shapes2d import endpoints


@pytest.fixture
def model() -> AffineVAE:
    torch.manual_seed(0)
    return AffineVAE((16, 16), latent_dim=2, width=32, features=4).eval()


@pytest.fixture
def zero(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A Space with ZeroGPU, whose worker process is played by pickling what goes in and comes out."""
    seen = SimpleNamespace(calls=0, durations=[], error=None)

    def gpu(duration: int) -> Callable[[Callable[..., object]], Callable[..., object]]:
        seen.durations.append(duration)

        def decorated(task: Callable[..., object]) -> Callable[..., object]:
            def called(*values: object) -> object:
                seen.calls += 1
                if seen.error:
                    raise seen.error
                return pickle.loads(pickle.dumps(task(*pickle.loads(pickle.dumps(values)))))

            return called

        return decorated

    package = ModuleType("spaces")
    package.GPU = gpu  # type: ignore[attr-defined]
    with monkeypatch.context() as there:
        there.setitem(sys.modules, "spaces", package)
        there.setenv("SPACES_ZERO_GPU", "true")
        importlib.reload(lent)
        lent.DEVICE = "cpu"  # there is no other one here
        yield seen
    importlib.reload(lent)


def test_without_a_space_nothing_is_borrowed(model: AffineVAE) -> None:
    assert not lent.LENT
    image = torch.rand(1, 1, 16, 16)
    assert torch.equal(lent.encode(model, image, "best").z, model.encode(image, "best").z)


def test_the_thorough_search_is_the_same_on_what_is_lent(model: AffineVAE, zero: SimpleNamespace) -> None:
    image = torch.rand(1, 1, 16, 16)
    found, own = lent.encode(model, image, "best"), model.encode(image, "best")
    assert (zero.calls, zero.durations) == (1, [lent.SECONDS])
    assert all(torch.allclose(a, b) for a, b in zip(found, own, strict=True))
    assert type(found) is type(own)
    lent.encode(model, image, "fast")
    assert zero.calls == 1


@pytest.mark.parametrize("error", [gr.Error("You have exceeded your GPU quota"), RuntimeError("no CUDA")])
def test_without_a_gpu_to_spare_the_processor_answers(
    error: Exception, model: AffineVAE, zero: SimpleNamespace
) -> None:
    zero.error = error
    image = torch.rand(1, 1, 16, 16)
    assert torch.equal(lent.encode(model, image, "best").z, model.encode(image, "best").z)
    assert zero.calls == 1


def test_the_endpoint_borrows(model: AffineVAE, zero: SimpleNamespace, tmp_path: Path) -> None:
    picture = Image.new("L", (40, 40))
    ImageDraw.Draw(picture).line((5, 5, 30, 35), fill=255, width=4)
    picture.save(tmp_path / "stroke.png")
    loaded = SimpleNamespace(model=model, name="mine", fill=0.6)
    answer = endpoints._encode(loaded, str(tmp_path / "stroke.png"), "best")  # type: ignore[arg-type]
    assert (zero.calls, len(answer["z"])) == (1, model.config.latent_dim)
