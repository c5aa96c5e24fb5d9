"""The tutorial runs as it is written, prints what it says, and its models open on the page."""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from affinevae import AffineVAE
from affinevae.evaluate import encode_all, turned
from affinevae.metrics import angle_summary, pose_errors, wrap
from benchmarks.tools.notebook import NOTEBOOK, notebook
from training.datasets import load_images

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE = 300  # seconds a command may hang


def blocks() -> list[tuple[str, str]]:
    """Language and content of every block, in order."""
    return FENCE.findall(TUTORIAL)


def run_shell(script: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{script}\n{done.stderr[-2000:]}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that somebody has who did it all."""
    folder, before = tmp_path_factory.mktemp("try"), Path.cwd()
    namespace: dict[str, object] = {}
    printed = ""
    os.chdir(folder)
    try:
        for language, content in blocks():
            if language == "bash":
                run_shell(content, folder)
            elif language == "python":
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(content, "tutorial", "exec"), namespace)
                printed = out.getvalue()
            elif language == "text":
                same = doctest.OutputChecker().check_output(content, printed, doctest.ELLIPSIS)
                assert same, f"it says\n{content}\nand prints\n{printed}"
        yield folder
    finally:
        os.chdir(before)


def test_every_block_is_of_a_kind_that_is_run_or_shown() -> None:
    kinds = [language for language, _ in blocks()]
    assert set(kinds) == {"python", "bash", "text", "console"}
    assert kinds.count("bash") == 3
    assert all(kinds[i - 1] == "python" for i, kind in enumerate(kinds) if kind == "text")
    assert all(
        ready for ready in re.findall(r"\]\((?!http)([^)#]+)", TUTORIAL) if (ROOT / "docs" / ready).exists()
    )


def test_the_notebook_is_the_tutorial_and_runs_what_the_tutorial_runs() -> None:
    assert NOTEBOOK.read_text(encoding="utf-8") == notebook(TUTORIAL)
    cells = json.loads(notebook(TUTORIAL))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    run = [
        (language, content.strip("\n")) for language, content in blocks() if language in ("python", "bash")
    ]
    assert code[1:] == [
        content if language == "python" else f"%%bash\n{content}" for language, content in run
    ]


def test_shape_and_orientation_come_apart_without_labels(finished: Path) -> None:
    model = AffineVAE.from_pretrained(finished / "runs" / "letters")
    test = load_images(str(finished / "letters.npz")).test
    (view, pose, _), (again, other, _) = (turned(test, 24, "rotation", seed, 200) for seed in (5, 6))
    first, second = encode_all(model, view), encode_all(model, again)
    follow = wrap(second.pose - first.pose - (other - pose))[:, 0]
    assert angle_summary(follow)["within_15"] > 0.9
    assert pose_errors(first.pose[:, 0], pose[:, 0], test.labels)["within_15"] > 0.7
    searched = (first.nll + first.pose_nats).mean()
    assert searched < 0.7 * encode_all(model, view, "none").nll.mean()


@pytest.mark.parametrize(
    ("name", "tab"), [("letters", "shapes2d"), ("stripes", "classify"), ("reviews", "text")]
)
def test_it_runs_as_written_and_its_models_open_on_the_page(finished: Path, name: str, tab: str) -> None:
    from demo.models.outside import Policy
    from demo.models.registry import Models
    from demo.yourown.tab import YourOwn
    from demo.yourown.views import card

    models = Models(Policy("all", at_home=True))
    found = YourOwn(models)._open(f"runs/{name}")
    known = card(models, found.name)
    assert (known["tab"], known["title"]) == (tab, name)
    facts = dict(known["facts"])
    assert facts["Measured"].startswith(("right in", *"0123456789"))
    assert name in facts["Trained"]
