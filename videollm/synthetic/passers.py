"""Passers-by: pieces of photographs that move over a textured or photographed scene and have no name.

Real footage moves without its camera moving. Where shots have no objects, passers-by teach the difference, and that
what moves need not be one of the world's shapes. They belong to the scene: the camera's move carries them along, and
light and tone are the shot's.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .photos import paint_photo, photo_names
from .scenes import Backdrop, Passer, Shot

_SHARE = 0.5
_MOST = 3
_EXTENTS = (0.12, 0.7)
_SPEEDS = (0.02, 0.35)  # frames a second
_SWAYS = (0.0, 0.04)
_SWAYS_PER_S = (0.3, 1.5)
_CORNERS = 48
_FINER = 3  # outlines are drawn so many times as large, then shrunk


def draw_passers(rng: np.random.Generator, shot: Shot, split: str) -> tuple[Passer, ...]:
    """Draws who passes by in a shot: nobody where there are objects, or nothing but colours behind them."""
    photos = photo_names(split)
    pictured = shot.backdrop.kind in ("texture", "photo")
    if shot.objects or not pictured or not photos or rng.random() >= _SHARE:
        return ()
    return tuple(_draw_passer(rng, shot, photos) for _ in range(int(rng.integers(1, _MOST + 1))))


def _draw_passer(rng: np.random.Generator, shot: Shot, photos: tuple[str, ...]) -> Passer:
    angle, speed = rng.uniform(0, 2 * math.pi), float(np.exp(rng.uniform(*np.log(_SPEEDS))))
    way = speed * (shot.end_s - shot.start_s)
    shift_x, shift_y = way * math.cos(angle), 0.5 * way * math.sin(angle)
    # In the middle of the shot it is in the picture.
    x, y = rng.uniform(0.1, 0.9, 2) - (shift_x / 2, shift_y / 2)
    return Passer(
        photo=str(rng.choice(photos)),
        seed=int(rng.integers(2**31)),
        extent=round(float(rng.uniform(*_EXTENTS)), 3),
        x=round(float(x), 4),
        y=round(float(y), 4),
        shift_x=round(shift_x, 4),
        shift_y=round(shift_y, 4),
        sway=round(float(rng.uniform(*_SWAYS)), 4),
        sways_per_s=round(float(rng.uniform(*_SWAYS_PER_S)), 3),
        phase=round(float(rng.random()), 3),
    )


def paint_passer(passer: Passer, short_side: int) -> tuple[Image.Image, Image.Image]:
    """Paints a passer-by.

    Args:
        passer: Who.
        short_side: Shorter side of the frame in pixels.

    Returns:
        A square RGB picture, and the mask (8-bit) of what of it is seen: a rounded outline with a soft edge.
    """
    side = max(round(passer.extent * short_side), 4)
    picture = paint_photo(Backdrop("photo", photo=passer.photo, seed=passer.seed), (side, side))
    rng = np.random.default_rng(passer.seed)
    turns = np.arange(_CORNERS) / _CORNERS * 2 * math.pi
    waves = np.arange(2, 6)
    depths, phases = rng.uniform(-0.35, 0.35, 4) / waves, rng.uniform(0, 2 * math.pi, 4)
    radii = 1 + (depths * np.cos(np.outer(turns, waves) + phases)).sum(axis=1)
    # Leaves the mask's rim free for its soft edge.
    radii *= 0.46 / radii.max()
    corners = (0.5 + radii[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)) * side * _FINER
    mask = Image.new("L", (side * _FINER, side * _FINER))
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in corners], fill=255)
    softness = rng.uniform(0.3, 1.5) * _FINER
    return picture, mask.filter(ImageFilter.GaussianBlur(softness)).resize((side, side), Image.Resampling.BOX)


def passer_centre(passer: Passer, shot: Shot, time_s: float) -> tuple[float, float]:
    """Returns where the middle of a passer-by is at a second, in fractions of the frame, before the camera."""
    passed_s = time_s - shot.start_s
    done = passed_s / (shot.end_s - shot.start_s)
    swing = passer.sway * math.sin(2 * math.pi * (passer.sways_per_s * passed_s + passer.phase))
    return passer.x + passer.shift_x * done + swing, passer.y + passer.shift_y * done + swing / 2


def passing_backwards(passer: Passer, length_s: float) -> Passer:
    """Returns a passer-by of a shot of that length as it is when the shot runs backwards."""
    return dataclasses.replace(
        passer,
        x=passer.x + passer.shift_x,
        y=passer.y + passer.shift_y,
        shift_x=-passer.shift_x,
        shift_y=-passer.shift_y,
        sways_per_s=-passer.sways_per_s,
        phase=passer.phase + passer.sways_per_s * length_s,
    )
