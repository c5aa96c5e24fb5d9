"""What the page's start does not do: the seconds before a visitor sees it are the page's own."""

from __future__ import annotations

import subprocess
import sys

SLOW = {"trimesh", "scipy", "skimage", "networkx", "torch._dynamo", "sympy", "transformers", "optuna", "onnx"}


def test_the_page_is_built_without_what_it_needs_only_later() -> None:
    script = f"import sys, demo.server.serve; found = {SLOW} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_once_served_the_collector_runs_again_over_what_came_since() -> None:
    script = (
        "import gc; gc.disable(); from demo.server import serve; serve._keep_for_good();"
        "assert gc.isenabled() and gc.get_freeze_count() > 100_000"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
