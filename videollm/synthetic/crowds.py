"""Clips with more objects than the world has: more to learn from every frame for whoever learns to see."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np

from . import casting, staging
from .nameless import is_unnamed, nameless_role
from .scenes import Action, Clip, Shot

_FAILURES = 3
_MOST_PAIRS = 20  # of colour and shape in a clip: in black and white there are 22 to choose from
_LARGE_SHARE = 0.2  # for these there is room


def crowd(
    clip: Clip, rng: np.random.Generator, most: int, among: Collection[int], *, unnamed_share: float = 0.0
) -> Clip:
    """Adds objects that stay still to shots of a clip that are neither dark nor bright, where they stand out.

    Args:
        clip: Any clip.
        rng: Source of chance.
        most: Objects of a shot up to which some are added; fewer where no room is found.
        among: Numbers of these shots.
        unnamed_share: Share of the added objects whose colour or shape has no name in the world.

    Returns:
        A clip of the same split and seed in which, as everywhere in the world, no two objects share colour and shape,
        but for those without a name.
    """
    taken = {(thing.colour, thing.shape) for shot in clip.shots for thing in shot.objects}
    shots = [
        _crowded(shot, clip, rng, most, taken, unnamed_share) if number in among else shot
        for number, shot in enumerate(clip.shots)
    ]
    return dataclasses.replace(clip, shots=tuple(shots))


def _crowded(
    shot: Shot,
    clip: Clip,
    rng: np.random.Generator,
    most: int,
    taken: set[tuple[str, str]],
    unnamed_share: float,
) -> Shot:
    if shot.light in ("dark", "bright"):
        return shot
    frame = (clip.width, clip.height)
    behind = staging.preview(shot, frame, shot.start_s)
    still = Action("stays still", shot.start_s, shot.end_s)
    failures = 0
    while len(shot.objects) < most and len(taken) < _MOST_PAIRS and failures < _FAILURES:
        if unnamed_share and rng.random() < unnamed_share:
            role = nameless_role(rng, shot)
        else:
            (role,) = casting.cast(rng, 1, split=clip.split, tone=shot.tone, acts=False, taken=taken)
        added = casting.place(rng, [role], [still], shot, frame, behind, large_share=_LARGE_SHARE)
        if added is None:
            failures += 1
            continue
        if not is_unnamed(role):
            taken.add((role.colour, role.shape))
        shot = dataclasses.replace(shot, objects=(*shot.objects, *added))
    return shot
