"""Objects whose colour has no name in the world: who learns from them cannot go by colour."""

from __future__ import annotations

import dataclasses

import numpy as np

from .colours import RGB, UNNAMED, draw_unnamed, luma
from .scenes import Clip, Shot, WorldObject

# A shade about as light as the one before stands out as well from what is behind it.
_LUMA_SLACK = 12
_SHADES_TRIED = 200


def has_unnamed(clip: Clip) -> bool:
    """Whether a clip has objects whose colour has no name: of these not everything can be asked."""
    return any(thing.colour == UNNAMED for thing in clip.objects)


def named_only(clip: Clip) -> Clip:
    """Returns a clip without the objects whose colour has no name, as words can tell it."""
    shots = [
        dataclasses.replace(shot, objects=tuple(thing for thing in shot.objects if thing.colour != UNNAMED))
        for shot in clip.shots
    ]
    return dataclasses.replace(clip, shots=tuple(shots))


def unname(clip: Clip, rng: np.random.Generator, share: float) -> Clip:
    """Gives objects colours without a name, as light as those they had; what they are and do stays as it was.

    Args:
        clip: Any clip.
        rng: Source of chance.
        share: Share of the objects that lose their colour; fewer where no such shade is found.

    Returns:
        A clip of the same split and seed.
    """
    shots = [
        dataclasses.replace(shot, objects=tuple(_unnamed(thing, shot, rng, share) for thing in shot.objects))
        for shot in clip.shots
    ]
    return dataclasses.replace(clip, shots=tuple(shots))


def _unnamed(thing: WorldObject, shot: Shot, rng: np.random.Generator, share: float) -> WorldObject:
    rgb = _shade_like(thing.rgb, rng, shot) if rng.random() < share else None
    return thing if rgb is None else dataclasses.replace(thing, colour=UNNAMED, rgb=rgb)


def _shade_like(rgb: RGB, rng: np.random.Generator, shot: Shot) -> RGB | None:
    neutral = shot.tone == "in black and white"
    for _ in range(_SHADES_TRIED):
        shade = draw_unnamed(rng, neutral=neutral)
        if abs(luma(shade) - luma(rgb)) <= _LUMA_SLACK:
            return shade
    return None
