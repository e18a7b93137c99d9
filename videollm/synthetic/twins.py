"""Twins of a clip that differ in one respect: run backwards, cut in another order, or with one object recoloured."""

from __future__ import annotations

import dataclasses
import itertools
import random

import numpy as np

from . import motion, shapes, staging, truth
from .colours import as_light, draw_shade
from .passers import passing_backwards
from .scenes import COLOURS, Action, Clip, Shot, WorldObject

_OPPOSITES = {
    "left": "right",
    "right": "left",
    "up": "down",
    "down": "up",
    "in": "out",
    "out": "in",
    "grows": "shrinks",
    "shrinks": "grows",
    "appears": "disappears",
    "disappears": "appears",
}
_SIZES = {"small": (0.1, 1 / 6), "large": (1 / 4, 2 / 5)}
_SMALLEST_PIXELS = 14
_SHADES_TRIED = 60


def backwards(clip: Clip) -> Clip | None:
    """Returns the clip run backwards, frame by frame, or ``None`` where that is no clip of the world.

    So it is where an object would start at a size that is neither small nor large, or where a training clip would
    show a combination that is held out.
    """
    shots = [_shot_backwards(clip, shot) for shot in reversed(clip.shots)]
    found = [shot for shot in shots if shot is not None]
    return _checked(clip, found) if len(found) == len(shots) else None


def recut(clip: Clip, rng: random.Random) -> Clip | None:
    """Returns the clip with its shots in another order, or ``None`` where none leaves every cut visible."""
    orders = list(itertools.permutations(range(len(clip.shots))))[1:]
    for order in rng.sample(orders, len(orders)):
        shots = _back_to_back(clip, [clip.shots[index] for index in order])
        frame = (clip.width, clip.height)
        if all(staging.cut_shows(before, after, frame) for before, after in itertools.pairwise(shots)):
            return dataclasses.replace(clip, shots=tuple(shots))
    return None


def recoloured(clip: Clip, rng: random.Random) -> Clip | None:
    """Returns the clip with one object in another colour that stands out as well, or ``None`` where none does."""
    shots = [shot for shot in clip.shots if shot.tone == "in colour" and shot.objects]
    if not shots:
        return None
    shot = rng.choice(shots)
    thing = rng.choice(shot.objects)
    taken = {other.colour for other in clip.objects if other.shape == thing.shape} | {*shot.backdrop.colours}
    open_to = [colour for colour in COLOURS if colour not in taken]
    shades = np.random.default_rng(rng.getrandbits(32))
    for _ in range(_SHADES_TRIED):
        colour = rng.choice(open_to)
        rgb = draw_shade(shades, colour)
        held_out = clip.split == "train" and truth.is_held_out_pair(colour, thing.shape)
        if as_light(rgb, thing.rgb) and not held_out:
            return _with_thing(clip, shot, thing, dataclasses.replace(thing, colour=colour, rgb=rgb))
    return None


def _with_thing(clip: Clip, shot: Shot, old: WorldObject, new: WorldObject) -> Clip:
    changed = dataclasses.replace(
        shot, objects=tuple(new if thing == old else thing for thing in shot.objects)
    )
    return dataclasses.replace(clip, shots=tuple(changed if other == shot else other for other in clip.shots))


def _checked(clip: Clip, shots: list[Shot]) -> Clip | None:
    twin = dataclasses.replace(clip, shots=tuple(shots))
    return None if clip.split == "train" and truth.any_held_out(twin.objects) else twin


def _back_to_back(clip: Clip, shots: list[Shot]) -> list[Shot]:
    """Moves shots in time so that each starts, on a frame, where the one before ends."""
    moved, frames = [], 0
    for shot in shots:
        start_s = frames / clip.fps
        frames += round((shot.end_s - shot.start_s) * clip.fps)
        moved.append(_moved(shot, start_s, frames / clip.fps))
    return moved


def _moved(shot: Shot, start_s: float, end_s: float) -> Shot:
    offset = start_s - shot.start_s
    things = tuple(
        dataclasses.replace(
            thing, action=_timed(thing.action, thing.action.start_s + offset, thing.action.end_s + offset)
        )
        for thing in shot.objects
    )
    return dataclasses.replace(shot, start_s=start_s, end_s=end_s, objects=things)


def _timed(action: Action, start_s: float, end_s: float) -> Action:
    return dataclasses.replace(action, start_s=start_s, end_s=end_s)


def _opposite(act: str) -> str:
    """Returns what an action, a camera move or a fade is when run backwards."""
    *verb, last = act.split(" ")
    return " ".join([*verb, _OPPOSITES.get(last, last)])


def _shot_backwards(clip: Clip, shot: Shot) -> Shot | None:
    things = [_thing_backwards(clip, shot, thing) for thing in shot.objects]
    found = tuple(thing for thing in things if thing is not None)
    if len(found) < len(things):
        return None
    return dataclasses.replace(
        shot,
        start_s=_on_frame(clip, clip.duration_s - shot.end_s),
        end_s=_on_frame(clip, clip.duration_s - shot.start_s),
        camera=_opposite(shot.camera),
        light=_opposite(shot.light) if shot.light.startswith("fades") else shot.light,
        objects=found,
        passers=tuple(passing_backwards(passer, shot.end_s - shot.start_s) for passer in shot.passers),
    )


def _on_frame(clip: Clip, time_s: float) -> float:
    return round(time_s * clip.fps) / clip.fps


def _thing_backwards(clip: Clip, shot: Shot, thing: WorldObject) -> WorldObject | None:
    """Returns an object as it is at its shot's end, seen from the view that the camera ends with."""
    action = thing.action
    pose, view = motion.pose(thing, shot.end_s), motion.view(shot, shot.end_s)
    extent = thing.extent * pose.scale * view.scale * _turning_factor(thing, pose.turns)
    size = next((name for name, (least, most) in _SIZES.items() if least <= extent <= most), None)
    if size is None or extent * min(clip.width, clip.height) < _SMALLEST_PIXELS:
        return None
    reverse = dataclasses.replace(
        _timed(action, clip.duration_s - action.end_s, clip.duration_s - action.start_s),
        kind=_opposite(action.kind),
        amount=_amount_backwards(action),
    )
    return dataclasses.replace(
        thing,
        action=reverse,
        size=size,
        extent=extent,
        x=(pose.x - view.shift_x - 0.5) * view.scale + 0.5,
        y=(pose.y - view.shift_y - 0.5) * view.scale + 0.5,
        angle_turns=pose.turns,
    )


def _amount_backwards(action: Action) -> float:
    match action.kind:
        case "grows" | "shrinks":
            return 1 / action.amount
        case "spins":
            return -action.amount
        case _:
            return action.amount


def _turning_factor(thing: WorldObject, turns: float) -> float:
    """Returns by how much the longer side of its bounding box changes when an object is turned."""
    corners = shapes.outline(thing.shape, thing.proportion)
    before, after = (shapes.longer_side(shapes.turned(corners, tilt)) for tilt in (thing.angle_turns, turns))
    return after / before
