"""Choosing a shot's objects: who they are, what they do and when, and where there is room for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np

from . import motion, shapes
from .colours import ACHROMATIC, draw_shade, luma_of
from .rendering import pixel_outline, screen_centre
from .scenes import (
    ACTIONS,
    COLOURS,
    HELD_OUT_ACTING,
    HELD_OUT_COLOURED,
    SHAPES,
    Action,
    Shot,
    WorldObject,
)

LEAST_CONTRAST = 30.0  # of luma, 0 to 255
_LEAST_DISTANCE = 65.0  # of RGB, Euclidean
_ALIKE_SHARE = 0.06  # of an object's own area that may lie over what is like it, anywhere along its path
_HELD_OUT_SHARE = 1 / 3
_STILL_SHARE = 0.2
_LARGE_SHARE = 0.6
_LONGEST_ACTION_S = 4.0
_SHORTEST_ACTION_S = 0.8
_EDGE_S = 0.4  # between an event and the cut or fade next to it
_TOGETHER_S = 0.25  # events start at most so far apart ...
_APART_S = 0.8  # ... or at least so far, never in between
_SMALLEST_PIXELS = 14
_LEAST_PIXELS_SHRUNK = 8
_MARGIN_PIXELS = 2.0
_PLACES_TRIED = 30

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Role:
    """Who an object is before it gets its time and place."""

    colour: str
    shape: str
    action: str
    rgb: tuple[int, int, int]


def cast(
    rng: np.random.Generator,
    count: int,
    *,
    split: str,
    tone: str = "in colour",
    acts: bool = True,
    taken: Collection[tuple[str, str]] = (),
) -> list[Role]:
    """Draws the roles of a shot.

    Args:
        rng: Source of chance.
        count: How many.
        split: ``"train"`` avoids the held-out combinations, ``"test"`` favours them.
        tone: The shot's tone; in black and white only colours that keep their name are chosen, in neutral shades.
        acts: Whether objects may do anything but stay still.
        taken: Pairs of colour and shape that the clip's other shots already show.
    """
    neutral = tone == "in black and white"
    colours = colours_in(tone)
    used = set(taken)
    roles: list[Role] = []
    while len(roles) < count:
        colour, shape, action = _draw_role(rng, split, colours, acts)
        if (colour, shape) not in used:
            used.add((colour, shape))
            roles.append(Role(colour, shape, action, draw_shade(rng, colour, neutral=neutral)))
    return roles


def colours_in(tone: str) -> list[str]:
    """Returns the colours that keep their name in a tone."""
    return [colour for colour in COLOURS if colour in ACHROMATIC or tone != "in black and white"]


def _draw_role(rng: np.random.Generator, split: str, colours: list[str], acts: bool) -> tuple[str, str, str]:
    held_out = split == "test" and rng.random() < _HELD_OUT_SHARE
    while True:
        colour, shape = str(rng.choice(colours)), str(rng.choice(SHAPES))
        still = not acts or rng.random() < _STILL_SHARE
        action = "stays still" if still else str(rng.choice(ACTIONS[1:]))
        if action == "spins" and shape in shapes.ROUND_SHAPES:
            continue
        is_held_out = (colour, shape) in HELD_OUT_COLOURED or (shape, action) in HELD_OUT_ACTING
        if is_held_out == held_out:
            return colour, shape, action


def schedule(rng: np.random.Generator, kinds: Collection[str], shot: Shot) -> list[Action] | None:
    """Gives actions their times within a shot, away from cuts and fades and from half a second between starts.

    Returns:
        The actions in the order of ``kinds``, or ``None`` where no room was found.
    """
    first, last = event_window(shot)
    actions = [_draw_action(rng, kind, shot, last - first) for kind in kinds]
    for _ in range(12):
        placed = [_started(rng, action, first, last) for action in actions if action is not None]
        if len(placed) < len(actions):
            return None
        starts = [action.start_s for action in placed if action.kind != "stays still"]
        if _orderly(starts):
            return placed
    return None


def event_window(shot: Shot) -> tuple[float, float]:
    """Returns the seconds between which a shot's events must lie."""
    first = shot.start_s + (shot.light_amount if shot.light == "fades in" else 0) + _EDGE_S
    last = shot.end_s - (shot.light_amount if shot.light == "fades out" else 0) - _EDGE_S
    return first, last


def _orderly(starts_s: list[float]) -> bool:
    gaps = [abs(a - b) for index, a in enumerate(starts_s) for b in starts_s[:index]]
    return all(gap <= _TOGETHER_S or gap >= _APART_S for gap in gaps)


def _draw_action(rng: np.random.Generator, kind: str, shot: Shot, room_s: float) -> Action | None:
    """Draws an action with its length, starting at 0; ``None`` if it does not fit into ``room_s``."""
    if kind == "stays still":
        return Action(kind, shot.start_s, shot.end_s)
    longest = min(_LONGEST_ACTION_S, room_s)
    if longest < _SHORTEST_ACTION_S:
        return None
    easing = str(rng.choice(["linear", "smooth"]))
    if kind == "blinks":
        return _draw_blinking(rng, longest)
    if kind in ("appears", "disappears"):
        return Action(kind, 0.0, float(rng.uniform(0.8, min(1.2, longest))), easing=easing)
    length = float(rng.uniform(_SHORTEST_ACTION_S, longest))
    return Action(kind, 0.0, length, _draw_amount(rng, kind, length, easing), easing)


def _draw_blinking(rng: np.random.Generator, longest_s: float) -> Action | None:
    count = int(rng.integers(3, 7))
    phases = 2 * count - 1
    longest_phase = min(0.5, longest_s / phases)
    if longest_phase < 0.26:
        return None
    return Action("blinks", 0.0, phases * float(rng.uniform(0.255, longest_phase)), count)


def _draw_amount(rng: np.random.Generator, kind: str, length_s: float, easing: str) -> float:
    if kind == "spins":
        fastest = 1.5 if easing == "smooth" else 1.0  # peak of the progress's slope
        turns = rng.uniform(0.5, max(min(2.5, 0.98 * length_s / fastest), 0.5))
        return float(turns * rng.choice([-1, 1]))
    factor = float(rng.uniform(1.62, 2.4))
    if kind == "grows":
        return factor
    if kind == "shrinks":
        return 1 / factor
    return float(rng.uniform(0.27, 0.6))


def _started(rng: np.random.Generator, action: Action, first_s: float, last_s: float) -> Action:
    if action.kind == "stays still":
        return action
    length = action.end_s
    start = round(float(rng.uniform(first_s, last_s - length)), 3)
    return dataclasses.replace(action, start_s=start, end_s=min(round(start + length, 3), last_s))


def place(
    rng: np.random.Generator,
    roles: list[Role],
    actions: list[Action],
    shot: Shot,
    frame: tuple[int, int],
    behind: np.ndarray,
    *,
    large_share: float = _LARGE_SHARE,
) -> tuple[WorldObject, ...] | None:
    """Finds sizes and places at which objects stay inside the frame, apart from each other, and easy to see.

    Args:
        rng: Source of chance.
        roles: Who they are.
        actions: What they do, in the same order.
        shot: The shot, with no objects or those beside which room is to be found.
        frame: Width and height of the frame in pixels.
        behind: The shot's first picture without objects (height, width, 3), at any resolution.
        large_share: Share of large objects before placing, which is harder for them.

    Returns:
        The new objects, or ``None`` where no room was found.
    """
    placed: list[WorldObject] = []
    boxes = [swept_box(thing, shot, frame) for thing in shot.objects]
    for role, action in zip(roles, actions, strict=True):
        for _ in range(_PLACES_TRIED):
            thing = _moved_inside(rng, _draw_object(rng, role, action, min(frame), large_share), shot, frame)
            if thing is None:
                continue
            box = swept_box(thing, shot, frame)
            if _is_free(box, boxes, frame) and _stands_out(thing, box, shot, frame, behind):
                placed.append(thing)
                boxes.append(box)
                break
        else:
            return None
    return tuple(placed)


def _draw_object(
    rng: np.random.Generator, role: Role, action: Action, short_side: int, large_share: float
) -> WorldObject:
    size = "large" if rng.random() < large_share else "small"
    smallest = max(0.1, _SMALLEST_PIXELS / short_side) + 0.002
    extent = float(rng.uniform(smallest, 0.164) if size == "small" else rng.uniform(0.253, 0.397))
    if action.kind == "shrinks":
        least = _LEAST_PIXELS_SHRUNK / (extent * short_side)
        action = dataclasses.replace(action, amount=min(max(action.amount, least), 1 / 1.62))
    tilt = (
        0.0 if role.shape in shapes.ROUND_SHAPES else float(rng.uniform(-0.02, 0.02) * (rng.random() < 0.7))
    )
    return WorldObject(
        colour=role.colour,
        shape=role.shape,
        size=size,
        action=action,
        x=0.5,
        y=0.5,
        extent=extent,
        rgb=role.rgb,
        angle_turns=tilt,
        proportion=round(float(rng.random()), 1),
    )


def _moved_inside(
    rng: np.random.Generator, thing: WorldObject, shot: Shot, frame: tuple[int, int]
) -> WorldObject | None:
    """Draws a place from where the whole path stays inside the frame (exactly so, but for a zoom)."""
    left, top, right, bottom = swept_box(thing, shot, frame)
    margins = (_MARGIN_PIXELS / frame[0], _MARGIN_PIXELS / frame[1])
    lowest = (0.5 - left / frame[0] + margins[0], 0.5 - top / frame[1] + margins[1])
    highest = (1.5 - right / frame[0] - margins[0], 1.5 - bottom / frame[1] - margins[1])
    if lowest[0] > highest[0] or lowest[1] > highest[1]:
        return None
    x, y = rng.uniform(lowest, highest)
    return dataclasses.replace(thing, x=round(float(x), 4), y=round(float(y), 4))


def swept_box(thing: WorldObject, shot: Shot, frame: tuple[int, int]) -> Box:
    """Returns the bounding box, in pixels, of all that an object covers on screen during its shot."""
    points, _ = pixel_outline(thing, min(frame))
    moments = (shot.start_s, thing.action.start_s, thing.action.end_s, shot.end_s)
    reach = _reach(points, thing)
    boxes = []
    for time_s in moments:
        pose, view = motion.pose(thing, time_s), motion.view(shot, time_s)
        centre = screen_centre(pose, view) * frame
        boxes.append((centre + reach * pose.scale * view.scale).ravel())
    swept = np.array(boxes)
    left, top = swept[:, :2].min(axis=0)
    right, bottom = swept[:, 2:].max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _reach(points: np.ndarray, thing: WorldObject) -> np.ndarray:
    """Returns the lowest and highest coordinates (2, 2) that the outline takes around its centre, however it spins."""
    if thing.action.kind == "spins":
        radius = np.hypot(*points.T).max()
        return np.array([(-radius, -radius), (radius, radius)])
    corners = shapes.turned(points, thing.angle_turns)
    return np.array([corners.min(axis=0), corners.max(axis=0)])


def _is_free(box: Box, others: list[Box], frame: tuple[int, int]) -> bool:
    left, top, right, bottom = box
    if left < 1 or top < 1 or right > frame[0] - 1 or bottom > frame[1] - 1:
        return False
    gap = _MARGIN_PIXELS + 0.01 * min(frame)
    return all(
        right + gap < other[0] or other[2] + gap < left or bottom + gap < other[1] or other[3] + gap < top
        for other in others
    )


def _stands_out(thing: WorldObject, box: Box, shot: Shot, frame: tuple[int, int], behind: np.ndarray) -> bool:
    """Tells whether the object's colour, and its luma too, are clearly others than what is behind it along its path.

    Under a moving camera the object covers the same content all the time: that of the first picture.
    """
    if shot.camera != "is static":
        still = dataclasses.replace(shot, camera="is static")
        box = swept_box(thing, still, frame)
    pad = 0.03 * min(frame)
    scale_x, scale_y = behind.shape[1] / frame[0], behind.shape[0] / frame[1]
    columns = slice(max(int((box[0] - pad) * scale_x), 0), int((box[2] + pad) * scale_x) + 2)
    rows = slice(max(int((box[1] - pad) * scale_y), 0), int((box[3] + pad) * scale_y) + 2)
    difference = behind[rows, columns].astype(float) - thing.rgb
    alike = (np.abs(luma_of(difference)) < LEAST_CONTRAST) | (
        np.hypot.reduce(difference, axis=2) < _LEAST_DISTANCE
    )
    own_area = (thing.extent * min(behind.shape[:2])) ** 2
    return bool(alike.sum() <= _ALIKE_SHARE * own_area)
