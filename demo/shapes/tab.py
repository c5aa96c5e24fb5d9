"""What the tabs of shapes share: a scene is random, steered, straightened, reset and pinned in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

import gradio as gr

from demo.models.kinds import ShapeKind
from demo.models.registry import Loaded
from demo.shapes import steering
from demo.shapes.steering import MAX_SEED, Scene, next_seed
from demo.tab import ModelTab, Scenes, field
from demo.types import Outputs
from demo.uploads.values import read_choice, read_integer

S = TypeVar("S", bound=Scene)


class ShapeScenes(Scenes[S, Loaded], Protocol[S]):
    """Where the scenes of a tab of shapes come from."""

    def from_seed(self, loaded: Loaded, seed: int) -> S:
        """A random shape in a random orientation."""

    def steer(self, scene: S, loaded: Loaded, z: object, pose: object) -> S:
        """Where the visitor moved to; ``UploadError`` for anything but the right number of finite numbers."""

    def random_shape(self, scene: S, loaded: Loaded, seed: int) -> S:
        """Another shape, turned as this one, as a thing of its own to look at."""

    def straighten(self, scene: S, loaded: Loaded) -> S:
        """The shape, standing."""

    def random_orientation(self, scene: S, loaded: Loaded, seed: int) -> S:
        """This shape, turned otherwise."""


class ShapeTab(ModelTab[S, Loaded]):
    """A tab of shapes and orientations. A handler takes the visitor's scene and gives the values of all components."""

    kind: ShapeKind
    scenes: ShapeScenes[S]

    def names(self) -> list[str]:
        return self.models.names(self.kind)

    def load(self, name: str) -> Loaded:
        return self.models.get(name, self.kind)

    def _kept(self, scene: S, other: S) -> S:
        """Something else to look at; ``UploadError`` where the page forgot the scene."""
        return steering.keeping(scene, other, self.scenes.opening(self._loaded(scene)))

    # ---- handlers ----

    def random(self, scene: S) -> Outputs:
        drawn = self.scenes.from_seed(self._loaded(scene), next_seed(scene.seed))
        return self.show(replace(drawn, pinned=scene.pinned))

    def steer(self, scene: S, event: gr.EventData) -> Outputs:
        moved = self.scenes.steer(scene, self._loaded(scene), field(event, "z"), field(event, "pose"))
        return self.show(moved, steered=True)

    def fresh(self, scene: S, event: gr.EventData) -> Outputs:
        """Another shape: the next one, or that of a seed."""
        given = field(event, "seed")
        seed = next_seed(scene.seed) if given is None else read_integer(given, "The seed", 0, MAX_SEED)
        return self.show(self.scenes.random_shape(scene, self._loaded(scene), seed))

    def act(self, scene: S, event: gr.EventData) -> Outputs:
        loaded, seed = self._loaded(scene), next_seed(scene.seed)
        acts: dict[str, Callable[[], S]] = {
            "orientation": lambda: self.scenes.random_orientation(scene, loaded, seed),
            "straighten": lambda: self.scenes.straighten(scene, loaded),
            "reset": lambda: steering.reset(scene),
            "pin": lambda: steering.pin(scene),
        }
        return self.show(acts[read_choice(field(event, "act"), list(acts), "The button")](), steered=True)
