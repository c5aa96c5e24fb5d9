"""The types of what passes between the page, its visitors and Gradio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    Json: TypeAlias = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
else:
    Json = object  # Gradio evaluates the annotations of handlers, and would not find a type that names itself

Values = dict[str, Json]  # what a component, or a program, is given
Asked = Mapping[str, object]  # what the page sends past the queue: nothing in it is known before it was read
Direct = Callable[[Asked], Values]  # what answers that, with ``refused`` where it cannot
Outputs = list[object]  # of a handler: a value for each component, or that it stays as it is
Options = dict[str, Any]  # keywords of Gradio's listeners
