"""What the tabs of shapes share: a scene is random, steered, straightened, reset and pinned in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from demo.models.registry import Kind, Loaded
from demo.shapes import steering
from demo.shapes.steering import MAX_SEED, Scene, next_seed
from demo.tab import ModelTab, field
from demo.uploads.values import read_choice, read_integer


class ShapeTab(ModelTab):
    """A tab of shapes and orientations. Every handler takes the visitor's scene and gives the values of all components.

    Its scenes also have ``from_seed``, ``steer``, ``random_shape`` and ``random_orientation``.
    """

    kind: Kind

    def names(self) -> list[str]:
        return self.models.names(self.kind)

    def load(self, name: str) -> Loaded:
        return self.models.get(name, self.kind)

    def kept(self, scene: Any) -> dict[str, Any]:
        """What stays when something else is looked at."""
        return {"seed": scene.seed, "pinned": scene.pinned}

    # ---- handlers ----

    def random(self, scene: Scene) -> list[Any]:
        kept = self.kept(scene) | {"seed": next_seed(scene.seed)}
        return self.show(self.scenes.from_seed(self._loaded(scene), **kept))

    def steer(self, scene: Scene, event: gr.EventData) -> list[Any]:
        moved = self.scenes.steer(scene, self._loaded(scene), field(event, "z"), field(event, "pose"))
        return self.show(moved, steered=True)

    def act(self, scene: Scene, event: gr.EventData) -> list[Any]:
        loaded, seed, scenes = self._loaded(scene), next_seed(scene.seed), self.scenes
        acts: dict[str, Callable[[], Scene]] = {
            "shape": lambda: scenes.random_shape(scene, loaded, seed),
            "orientation": lambda: scenes.random_orientation(scene, loaded, seed),
            "seed": lambda: scenes.random_shape(
                scene, loaded, read_integer(field(event, "seed"), "The seed", 0, MAX_SEED)
            ),
            "straighten": lambda: steering.straighten(scene),
            "reset": lambda: steering.reset(scene),
            "pin": lambda: steering.pin(scene),
        }
        return self.show(acts[read_choice(field(event, "act"), list(acts), "The button")](), steered=True)
