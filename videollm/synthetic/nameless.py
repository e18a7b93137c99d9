"""Objects whose colour or shape has no name in the world: who learns from them cannot go by what is missing."""

from __future__ import annotations

import dataclasses

import numpy as np

from .casting import Role, colours_in
from .colours import RGB, as_light, draw_shade, draw_unnamed
from .scenes import SHAPES, UNNAMED, Clip, Shot, WorldObject

_SHAPE_SHARE = 0.4  # of those without a name; the others lack that of their colour
_SHADES_TRIED = 200


def is_unnamed(thing: WorldObject | Role) -> bool:
    """Whether an object's colour or shape has no name."""
    return UNNAMED in (thing.colour, thing.shape)


def has_unnamed(clip: Clip) -> bool:
    """Whether a clip has objects whose colour or shape has no name: of these not everything can be asked."""
    return any(map(is_unnamed, clip.objects))


def named_only(clip: Clip) -> Clip:
    """Returns a clip without the objects whose colour or shape has no name, as words can tell it."""
    shots = [
        dataclasses.replace(shot, objects=tuple(thing for thing in shot.objects if not is_unnamed(thing)))
        for shot in clip.shots
    ]
    return dataclasses.replace(clip, shots=tuple(shots))


def nameless_role(rng: np.random.Generator, shot: Shot) -> Role:
    """Draws an object for a shot that stays still and lacks the name of its colour or of its shape."""
    neutral = _is_neutral(shot)
    if rng.random() < _SHAPE_SHARE:
        colour = str(rng.choice(colours_in(shot.tone)))
        return Role(colour, UNNAMED, "stays still", draw_shade(rng, colour, neutral=neutral))
    return Role(UNNAMED, str(rng.choice(SHAPES)), "stays still", draw_unnamed(rng, neutral=neutral))


def unname(clip: Clip, rng: np.random.Generator, share: float) -> Clip:
    """Takes the name of colour or shape from objects: another one, unlike all that have a name, is put in its place.

    Args:
        clip: Any clip.
        rng: Source of chance.
        share: Share of the objects that lose one of the two; fewer where no shade is found that is as light as theirs.

    Returns:
        A clip of the same split and seed; what its objects do, and where, stays as it was.
    """
    shots = [
        dataclasses.replace(shot, objects=tuple(_unnamed(thing, shot, rng, share) for thing in shot.objects))
        for shot in clip.shots
    ]
    return dataclasses.replace(clip, shots=tuple(shots))


def _unnamed(thing: WorldObject, shot: Shot, rng: np.random.Generator, share: float) -> WorldObject:
    if rng.random() >= share:
        return thing
    if rng.random() < _SHAPE_SHARE:
        return dataclasses.replace(thing, shape=UNNAMED)
    rgb = _shade_like(thing.rgb, rng, shot)
    return thing if rgb is None else dataclasses.replace(thing, colour=UNNAMED, rgb=rgb)


def _shade_like(rgb: RGB, rng: np.random.Generator, shot: Shot) -> RGB | None:
    for _ in range(_SHADES_TRIED):
        shade = draw_unnamed(rng, neutral=_is_neutral(shot))
        if as_light(shade, rgb):
            return shade
    return None


def _is_neutral(shot: Shot) -> bool:
    return shot.tone == "in black and white"
