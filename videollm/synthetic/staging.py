"""Drawing a shot's backdrop, light and camera so that each can really be seen."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
from PIL import Image

from .backdrops import TEXTURES
from .casting import LEAST_CONTRAST, Role
from .colours import draw_shade, luma, luma_of, with_luma
from .photos import photo_names
from .rendering import ShotRenderer, light_table
from .scenes import COLOURS, SPLITS, Backdrop, Shot

_PREVIEW_SIDE = 44
_NORMAL_LUMA = (60.0, 165.0)  # mean of a textured or photographed shot in normal light
_LIT_LUMA = {"dark": (20.0, 42.0), "bright": (185.0, 235.0)}
_LIT_AMOUNT = {"dark": (0.1, 0.5), "bright": (1.35, 5.0)}
_LIT_GRADIENT = {
    "dark": ("gain", (0.24, 0.38)),
    "bright": ("lift", (2.2, 3.2)),
}  # out of the range of any name
_BRIGHTEST_IN_DARK = 125.0  # channel
_LEAST_LIT_CHROMA = 7.0
_LEAST_FADING_LUMA = 60.0
_LEAST_BESIDE_BLACK = 28.0
_LEAST_CHROMA = 16.0
_LEAST_DETAIL = 9.0
_LEAST_MOVED = 12.0  # mean difference of the first and last picture under a moving camera
_LEAST_CUT = 26.0
_LEAST_CUT_BETWEEN_LIT = 12.0  # both dark or both bright: little is left to differ in
# Darkened orange looks brown, bleached red looks pink: only shades that keep their name are lit.
_LIT_GRADIENTS = {
    "dark": ("red", "yellow", "green", "blue", "purple"),
    "bright": ("orange", "yellow", "green", "blue", "purple"),
}


def draw_backdrop(
    rng: np.random.Generator, kind: str, shot: Shot, roles: list[Role], split: str
) -> Backdrop | None:
    """Draws a backdrop of a kind against which the objects' shades can stand out; ``None`` if none was found."""
    if kind == "plain":
        return _draw_plain(rng, roles)
    if kind == "gradient":
        return _draw_gradient(rng, shot.light, roles)
    band = _draw_band(rng, [luma(role.rgb) for role in roles])
    if band is None:
        return None
    # The lowest bit keeps the seeds of the splits apart.
    seed = int(rng.integers(2**30)) * 2 + SPLITS.index(split)
    if kind == "texture":
        return Backdrop(
            "texture", rgbs=_draw_shades(rng, band), texture=_draw_texture(rng, shot.camera), seed=seed
        )
    contrast = float(rng.uniform(0.7, 1.15)) if not roles else (band[1] - band[0]) / 140
    brightness = (band[0] + band[1]) / 2
    return Backdrop(
        "photo",
        photo=str(rng.choice(photo_names(split))),
        seed=seed,
        contrast=round(contrast, 3),
        brightness=round(brightness, 1),
    )


def _draw_plain(rng: np.random.Generator, roles: list[Role]) -> Backdrop | None:
    for _ in range(20):
        colour = str(rng.choice(COLOURS))
        rgb = draw_shade(rng, colour)
        if all(
            role.colour != colour and abs(luma(role.rgb) - luma(rgb)) > LEAST_CONTRAST + 2 for role in roles
        ):
            return Backdrop("plain", (colour,), (rgb,))
    return None


def _draw_gradient(rng: np.random.Generator, light: str, roles: list[Role]) -> Backdrop | None:
    shown = {role.colour for role in roles}
    names = [colour for colour in _LIT_GRADIENTS.get(light, COLOURS) if colour not in shown]
    for _ in range(20):
        first, second = (str(name) for name in rng.choice(names, 2, replace=False))
        rgbs = (draw_shade(rng, first), draw_shade(rng, second))
        if np.abs(np.subtract(*rgbs)).sum() >= 150:
            return Backdrop(
                "gradient", (first, second), rgbs, axis=str(rng.choice(["horizontal", "vertical"]))
            )
    return None


def _draw_band(rng: np.random.Generator, lumas: list[float]) -> tuple[float, float] | None:
    """Draws the range of luma that a texture or photograph fills: wide without objects, else clear of theirs."""
    for _ in range(30):
        middle = float(rng.uniform(60, 160))
        half = float(rng.uniform(45, 95)) if not lumas else float(rng.uniform(14, 45))
        low, high = max(middle - half, 8.0), min(middle + half, 245.0)
        if all(not low - LEAST_CONTRAST < value < high + LEAST_CONTRAST for value in lumas):
            return low, high
    return None


def _draw_shades(rng: np.random.Generator, band: tuple[float, float]) -> tuple[tuple[int, int, int], ...]:
    """Draws 2 to 4 shades that span a band of luma, of one family of hues or of any."""
    count = int(rng.integers(2, 5))
    spread = float(rng.choice([0.08, 0.25, 1.0]))
    hues = (rng.random() + spread * rng.uniform(-0.5, 0.5, count)) % 1
    lumas = rng.permutation(np.concatenate([band, rng.uniform(*band, count - 2)]))
    saturations = rng.uniform(0.3, 0.95, count)
    return tuple(
        with_luma(float(hue), float(saturation), float(wanted))
        for hue, saturation, wanted in zip(hues, saturations, lumas, strict=True)
    )


def _draw_texture(rng: np.random.Generator, camera: str) -> str:
    """Draws a texture on which the camera's move can be seen without doubt."""
    needed = {"is": "", "pans": "x", "tilts": "y", "zooms": "xy"}[camera.split()[0]]
    return str(rng.choice([name for name, texture in TEXTURES.items() if needed in texture.moves]))


def lit(rng: np.random.Generator, shot: Shot, frame: tuple[int, int]) -> Shot:
    """Returns a dark or bright shot with the curve and amount that make it look so.

    Textures and photographs are brought to a mean luma, gradients to shades that no name covers.
    """
    if shot.backdrop.kind == "gradient":
        curve, amounts = _LIT_GRADIENT[shot.light]
        return dataclasses.replace(
            shot, light_curve=curve, light_amount=round(float(rng.uniform(*amounts)), 3)
        )
    target = float(rng.uniform(*_LIT_LUMA[shot.light]))
    curve = str(rng.choice(["gain", "gamma"] if shot.light == "dark" else ["gain", "gamma", "lift"]))
    levels = preview(dataclasses.replace(shot, light="normal"), frame, shot.start_s)
    low, high = _LIT_AMOUNT[shot.light]
    for _ in range(12):
        amount = (low * high) ** 0.5
        bent = np.array(light_table(curve, amount))[levels]
        low, high = (amount, high) if mean_luma(bent) < target else (low, amount)
    return dataclasses.replace(shot, light_curve=curve, light_amount=round((low * high) ** 0.5, 3))


def preview(shot: Shot, frame: tuple[int, int], time_s: float) -> np.ndarray:
    """Renders a shot without its objects and fades small: read-only uint8 (height, width, 3)."""
    return _preview(dataclasses.replace(shot, objects=()), frame, time_s)


@lru_cache(maxsize=32)
def _preview(shot: Shot, frame: tuple[int, int], time_s: float) -> np.ndarray:
    shrink = _PREVIEW_SIDE / min(frame)
    pixels = (round(frame[0] * shrink), round(frame[1] * shrink))
    picture = np.array(ShotRenderer(shot, frame, pixels).picture(time_s))
    picture.flags.writeable = False  # it is shared
    return picture


def mean_luma(picture: np.ndarray) -> float:
    """Returns the mean luma of an RGB picture, 0 to 255."""
    return float(luma_of(picture).mean())


def is_clear(shot: Shot, frame: tuple[int, int]) -> bool:
    """Tells whether a shot's light, tone and camera show in its pictures."""
    picture = preview(shot, frame, shot.start_s)
    if shot.light.startswith("fades") and mean_luma(picture) < _LEAST_FADING_LUMA:
        return False
    if shot.backdrop.kind in ("plain", "gradient"):
        return True
    low, high = _LIT_LUMA.get(shot.light, _NORMAL_LUMA)
    return low - 3 <= mean_luma(picture) <= high + 3 and _is_lit(shot, picture) and _has_content(shot, frame)


def _is_lit(shot: Shot, picture: np.ndarray) -> bool:
    """Tells whether a dark or bright picture keeps its colour, and a dark one has no light patches."""
    if shot.light not in _LIT_LUMA:
        return True
    coloured = shot.tone != "in colour" or np.ptp(picture, axis=2).mean() >= _LEAST_LIT_CHROMA
    return bool(coloured) and (
        shot.light == "bright" or float(np.percentile(picture.max(axis=2), 98)) <= _BRIGHTEST_IN_DARK
    )


def _has_content(shot: Shot, frame: tuple[int, int]) -> bool:
    """Tells whether a textured or photographed shot has detail, colour (before black and white), and shows its move."""
    plainly = dataclasses.replace(shot, tone="in colour", light="normal")
    first = preview(plainly, frame, shot.start_s).astype(float)
    if luma_of(first).std() < _LEAST_DETAIL or np.ptp(first, axis=2).mean() < _LEAST_CHROMA:
        return False
    last = preview(plainly, frame, shot.end_s)
    return shot.camera == "is static" or bool(np.abs(first - last).mean() >= _LEAST_MOVED)


def cut_shows(before: Shot, after: Shot, frame: tuple[int, int]) -> bool:
    """Tells whether the cut between two shots can be seen: not black to black, nor between look-alikes."""
    last, first = preview(before, frame, before.end_s), preview(after, frame, after.start_s)
    if before.light == "fades out" or after.light == "fades in":
        lit = first if before.light == "fades out" else last
        both = before.light == "fades out" and after.light == "fades in"
        return not both and mean_luma(lit) >= _LEAST_BESIDE_BLACK
    small = [np.asarray(Image.fromarray(side).resize((16, 16)), dtype=float) for side in (last, first)]
    least = _LEAST_CUT_BETWEEN_LIT if before.light == after.light in _LIT_LUMA else _LEAST_CUT
    return float(np.abs(small[0] - small[1]).mean()) >= least
