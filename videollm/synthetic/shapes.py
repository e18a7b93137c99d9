"""The outlines of the shapes, and anti-aliased masks of them.

An outline is a polygon around the centre of its smallest enclosing circle, y downwards as in pictures; its scale means
nothing, callers bring it to size by its bounding box.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .scenes import UNNAMED

ROUND_SHAPES = frozenset({"circle", "ring"})
Points = npt.NDArray[np.float64]
_CIRCLE_CORNERS = 72
_TURN = 2 * math.pi


def _lerp(ends: tuple[float, float], proportion: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * proportion


def _circle() -> Points:
    turns = np.arange(_CIRCLE_CORNERS) / _CIRCLE_CORNERS * _TURN
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


def _square() -> Points:
    return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=float)


def _triangle(proportion: float) -> Points:
    height = _lerp((1.5, 2.1), proportion)
    return np.array([(0, -height / 2), (1, height / 2), (-1, height / 2)])


def _star(proportion: float) -> Points:
    turns = (np.arange(10) / 10 - 0.25) * _TURN
    radii = np.where(np.arange(10) % 2 == 0, 1.0, _lerp((0.32, 0.55), proportion))
    return np.stack([np.cos(turns) * radii, np.sin(turns) * radii], axis=1)


def _cross(proportion: float) -> Points:
    arm = _lerp((0.15, 0.33), proportion)
    quarter = [(-arm, -1), (arm, -1), (arm, -arm)]
    corners = [_quarter_turns(point, quarter_turns) for quarter_turns in range(4) for point in quarter]
    return np.array(corners)


def _quarter_turns(point: tuple[float, float], count: int) -> tuple[float, float]:
    x, y = point
    for _ in range(count):
        x, y = -y, x
    return x, y


def _heart(proportion: float) -> Points:
    """One of two usual hearts, its height varied: the sine-cubed curve, or a square on its tip and two half circles."""
    if proportion > 0.5:
        return _round_heart() * (1.0, _lerp((0.8, 1.2), proportion))
    turns = np.arange(_CIRCLE_CORNERS) / _CIRCLE_CORNERS * _TURN
    x = 16 * np.sin(turns) ** 3
    y = 13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)
    return np.stack([x, -y * _lerp((0.95, 1.15), proportion)], axis=1)


def _round_heart() -> Points:
    turns = np.linspace(1 / 8, -3 / 8, _CIRCLE_CORNERS // 2) * _TURN
    right = 0.5**0.5 * np.stack([np.cos(turns), np.sin(turns)], axis=1) + (0.5, -0.5)
    left = right[::-1] * (-1, 1)
    return np.concatenate([[(0, 1)], right, left[1:]])


def _diamond(proportion: float) -> Points:
    width = _lerp((0.45, 0.8), proportion)
    return np.array([(0, -1), (width, 0), (0, 1), (-width, 0)])


def _arrow(proportion: float) -> Points:
    shaft, head = _lerp((0.15, 0.4), proportion), _lerp((0.5, 1.0), proportion)
    right = [(0, -1), (head, -0.1), (shaft, -0.1), (shaft, 1)]
    return np.array(right + [(-x, y) for x, y in reversed(right[1:])])


def _crescent(proportion: float) -> Points:
    turns = np.linspace(-0.4, 0.4, _CIRCLE_CORNERS) * _TURN
    from_tips = np.stack([np.cos(turns) - np.cos(turns[0]), np.sin(turns)], axis=1)
    return np.concatenate([from_tips, from_tips[::-1] * (_lerp((0.2, 0.7), proportion), 1)])


def _angle(proportion: float) -> Points:
    arm, foot = _lerp((0.25, 0.6), proportion), _lerp((1.0, 0.6), proportion)
    return np.array([(-1, -1), (arm - 1, -1), (arm - 1, 1 - arm), (foot, 1 - arm), (foot, 1), (-1, 1)])


def _nameless(proportion: float) -> Points:
    """One of a few outlines that the world has no name for."""
    which, rest = divmod(min(proportion, 1 - 1e-9) * len(_NAMELESS), 1)
    return _NAMELESS[int(which)](rest)


_NAMELESS = (_arrow, _crescent, _angle)


def _centred(points: Points) -> Points:
    """Moves the centre of the smallest enclosing circle (after Badoiu and Clarkson, 2003) to the origin."""
    centre: Points = points.mean(axis=0)
    for step in range(1, 400):
        farthest = points[np.argmax(np.sum((points - centre) ** 2, axis=1))]
        centre = centre + (farthest - centre) / (step + 1)
    return points - centre


#: Corners of shapes by their free proportion, 0 to 1. What is added here can be drawn like the world's own.
POLYGONS: dict[str, Callable[[float], Points]] = {
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "heart": _heart,
    "diamond": _diamond,
    UNNAMED: _nameless,
}


@lru_cache(maxsize=4096)
def outline(shape: str, proportion: float) -> Points:
    """Returns the corners (K, 2) of a shape; for a ring, of its outer edge."""
    if shape in ROUND_SHAPES:
        return _circle()
    return _square() if shape == "square" else _centred(POLYGONS[shape](proportion))


def hole(proportion: float) -> float:
    """Returns the radius of a ring's hole against its own."""
    return _lerp((0.45, 0.76), proportion)


def turned(points: Points, turns: float) -> Points:
    """Returns the points turned clockwise around the origin."""
    cos, sin = math.cos(turns * _TURN), math.sin(turns * _TURN)
    result: Points = points @ np.array([(cos, sin), (-sin, cos)])
    return result


def longer_side(points: Points) -> float:
    """Returns the longer side of the points' bounding box."""
    return float(np.ptp(points, axis=0).max())


def mask(points: Points, hole_points: Points | None) -> tuple[Image.Image, tuple[int, int]]:
    """Draws a polygon with smooth edges.

    Args:
        points: Corners (K, 2) in pixels of the picture.
        hole_points: Corners of what is cut out of it, or ``None``.

    Returns:
        The coverage as an 8-bit picture, and where its top left corner lies in the picture.
    """
    left, top = np.floor(points.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + 1
    finer = 4 if max(right - left, bottom - top) <= 160 else 2
    canvas = Image.new("L", ((right - left) * finer, (bottom - top) * finer))
    draw = ImageDraw.Draw(canvas)
    for corners, level in ((points, 255), (hole_points, 0)):
        if corners is not None:
            # PIL counts from the middle of a pixel.
            draw.polygon(((corners - (left, top)) * finer - 0.5).ravel().tolist(), fill=level)
    return canvas.reduce(finer), (int(left), int(top))
