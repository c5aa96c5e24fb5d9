"""Where things sit, as a picture: a squarified treemap (Bruls, Huizing & van Wijk 2000)."""

from __future__ import annotations

from collections.abc import Sequence

Rectangle = tuple[float, float, float, float]  # x, y, width, height


def treemap(values: Sequence[float], width: float = 1.0, height: float = 1.0) -> list[Rectangle]:
    """Rectangles whose areas are proportional to ``values`` and that cover ``width`` x ``height``.

    In the order of the values; zeros get an empty rectangle. Raises ``ValueError`` if nothing is above zero.
    """
    if min(values, default=0) < 0 or sum(values) <= 0:
        raise ValueError("a treemap needs values of which none is negative and one is above zero")
    unit = width * height / sum(values)
    left = sorted((i for i, v in enumerate(values) if v), key=lambda i: -values[i])
    places: list[Rectangle] = [(0.0, 0.0, 0.0, 0.0)] * len(values)
    room = (0.0, 0.0, width, height)
    while left:
        count = _row_length([values[i] * unit for i in left], min(room[2:]))
        row, left = left[:count], left[count:]
        laid, room = _lay([values[i] * unit for i in row], room)
        for i, place in zip(row, laid, strict=True):
            places[i] = place
    return places


def _row_length(areas: Sequence[float], side: float) -> int:
    """As many as can lie along ``side`` before the row's worst rectangle gets thinner."""
    count = 1
    while count < len(areas) and _worst(areas[: count + 1], side) <= _worst(areas[:count], side):
        count += 1
    return count


def _worst(areas: Sequence[float], side: float) -> float:
    """Largest ratio of a rectangle's sides; the areas fall."""
    total = sum(areas)
    return max(side**2 * areas[0] / total**2, total**2 / (side**2 * areas[-1]))


def _lay(areas: Sequence[float], room: Rectangle) -> tuple[list[Rectangle], Rectangle]:
    """A row along the shorter side of the room, and the room that it leaves."""
    x, y, width, height = room
    depth, places = sum(areas) / min(width, height), []
    for area in areas:
        along = area / depth
        if width >= height:
            places.append((x, y, depth, along))
            y += along
        else:
            places.append((x, y, along, depth))
            x += along
    left = (
        (x + depth, room[1], width - depth, height)
        if width >= height
        else (room[0], y + depth, width, height - depth)
    )
    return places, left
