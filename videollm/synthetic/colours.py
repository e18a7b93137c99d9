"""The shades that a colour name stands for."""

from __future__ import annotations

import colorsys
from typing import NamedTuple

import numpy as np

RGB = tuple[int, int, int]


class ShadeRange(NamedTuple):
    """What a colour name covers: hues in degrees (the lower end may be negative), saturations and values in 0 to 1."""

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]


SHADES = {
    "red": ShadeRange((-10, 8), (0.75, 1), (0.6, 1)),
    "orange": ShadeRange((22, 36), (0.85, 1), (0.88, 1)),
    "yellow": ShadeRange((48, 62), (0.7, 1), (0.85, 1)),
    "green": ShadeRange((100, 145), (0.5, 1), (0.4, 0.85)),
    "blue": ShadeRange((208, 240), (0.65, 1), (0.6, 1)),
    "purple": ShadeRange((268, 292), (0.5, 1), (0.45, 0.8)),
    "pink": ShadeRange((325, 350), (0.25, 0.55), (0.9, 1)),
    "brown": ShadeRange((15, 30), (0.5, 0.85), (0.3, 0.52)),
    "white": ShadeRange((0, 360), (0, 0.05), (0.92, 1)),
    "black": ShadeRange((0, 360), (0, 0.1), (0, 0.1)),
    "gray": ShadeRange((0, 360), (0, 0.1), (0.4, 0.65)),
}
LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114])  # Rec. 601
ACHROMATIC = frozenset({"white", "black", "gray"})
_LUMA_SLACK = 12


def luma(rgb: RGB) -> float:
    """Returns the luma of a colour, 0 to 255."""
    return float(LUMA_WEIGHTS @ rgb)


def as_light(rgb: RGB, other: RGB) -> bool:
    """Tells whether two colours are about as light: what stands out in the one stands out in the other."""
    return abs(luma(rgb) - luma(other)) <= _LUMA_SLACK


def luma_of(picture: np.ndarray) -> np.ndarray:
    """Returns the luma (height, width) of an RGB picture as float, 0 to 255."""
    return np.asarray(picture @ LUMA_WEIGHTS)


def is_shade(rgb: RGB, colour: str) -> bool:
    """Tells whether ``rgb`` lies within what the name ``colour`` covers."""
    (hue_low, hue_high), saturations, values = SHADES[colour]
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in rgb))
    return (
        (hue * 360 - hue_low) % 360 <= hue_high - hue_low
        and saturations[0] <= saturation <= saturations[1]
        and values[0] <= value <= values[1]
    )


def draw_shade(rng: np.random.Generator, colour: str, *, neutral: bool = False) -> RGB:
    """Draws a shade of the named colour, evenly over hue, saturation (none if ``neutral``) and value."""
    shades = SHADES[colour]
    while True:
        hue, saturation, value = (rng.uniform(*ends) for ends in shades)
        rgb = _to_bytes(colorsys.hsv_to_rgb(hue % 360 / 360, 0.0 if neutral else saturation, value))
        if is_shade(rgb, colour):  # rounding to bytes may step over an edge, most of all near black
            return rgb


def draw_unnamed(rng: np.random.Generator, *, neutral: bool = False) -> RGB:
    """Draws a shade that no name covers, evenly over hue, saturation (none if ``neutral``) and value."""
    while True:
        hue, saturation, value = rng.random(3)
        rgb = _to_bytes(colorsys.hsv_to_rgb(hue, 0.0 if neutral else saturation, value))
        if not any(is_shade(rgb, colour) for colour in SHADES):
            return rgb


def with_luma(hue: float, saturation: float, wanted: float) -> RGB:
    """Returns the colour of a hue (0 to 1) that has about the wanted luma (0 to 255): darkened, or mixed with white."""
    channels = colorsys.hsv_to_rgb(hue, saturation, 1.0)
    brightest = luma(_to_bytes(channels))
    if wanted <= brightest:
        return _to_bytes(tuple(channel * wanted / brightest for channel in channels))
    white = (wanted - brightest) / (255 - brightest)
    return _to_bytes(tuple(channel + (1 - channel) * white for channel in channels))


def _to_bytes(channels: tuple[float, ...]) -> RGB:
    red, green, blue = (round(255 * min(max(channel, 0.0), 1.0)) for channel in channels)
    return red, green, blue
