"""Painting what is behind the objects: plain colours, gradients, procedural textures and photographs.

A backdrop is painted on a canvas whose ``span`` (width and height in units of the frame's shorter side) fixes the
pattern; ``pixels`` only says how finely, so a small preview shows the same picture as the full canvas.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .photos import paint_photo
from .scenes import Backdrop

Span = tuple[float, float]
Pixels = tuple[int, int]
Field = npt.NDArray[np.floating]


class Texture(NamedTuple):
    """A procedural texture.

    Attributes:
        paint: Draws a field (height, width) of values 0 to 1, to be coloured by the backdrop's shades.
        moves: Axes along which a camera move is seen without doubt: it varies there and has no period.
        steps: Whether the shades stay apart (one for each range of values) instead of running into each other.
    """

    paint: Callable[[np.random.Generator, Span, Pixels], Field]
    moves: str
    steps: bool


def paint_backdrop(backdrop: Backdrop, span: Span, pixels: Pixels) -> Image.Image:
    """Paints a backdrop.

    Args:
        backdrop: What to paint.
        span: Width and height of the canvas in units of the frame's shorter side.
        pixels: Width and height to paint it at.

    Returns:
        An RGB picture of that size.
    """
    if backdrop.kind == "plain":
        return Image.new("RGB", pixels, backdrop.rgbs[0])
    if backdrop.kind == "gradient":
        return _paint_gradient(backdrop, pixels)
    if backdrop.kind == "photo":
        return paint_photo(backdrop, pixels)
    texture = TEXTURES[backdrop.texture]
    field = texture.paint(np.random.default_rng(backdrop.seed), span, pixels)
    levels = np.clip(field * 256, 0, 255).astype(np.uint8)
    return Image.fromarray(_shade_table(backdrop, steps=texture.steps)[levels])


def _paint_gradient(backdrop: Backdrop, pixels: Pixels) -> Image.Image:
    ends = np.array(backdrop.rgbs, dtype=float)
    count = pixels[0] if backdrop.axis == "horizontal" else pixels[1]
    share = (np.arange(count) + 0.5)[:, None] / count
    line = np.rint(ends[0] * (1 - share) + ends[1] * share).astype(np.uint8)
    line = line[None] if backdrop.axis == "horizontal" else line[:, None]
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(line, (pixels[1], pixels[0], 3))))


def _shade_table(backdrop: Backdrop, *, steps: bool) -> npt.NDArray[np.uint8]:
    """Returns the colours of the 256 levels of a field."""
    shades = np.array(backdrop.rgbs, dtype=float)
    levels = np.arange(256)
    if steps:
        return shades[levels * len(shades) // 256].astype(np.uint8)
    anchors = np.linspace(0, 255, len(shades))
    return np.stack([np.interp(levels, anchors, channel) for channel in shades.T], axis=1).astype(np.uint8)


def _smooth_noise(rng: np.random.Generator, span: Span, pixels: Pixels, cells: float) -> Field:
    """Value noise: random values ``cells`` to the unit, joined by cubics."""
    across, down = span[0] * cells, span[1] * cells
    grid = rng.random((int(down) + 4, int(across) + 4), dtype=np.float32)
    box = (1.0, 1.0, 1.0 + across, 1.0 + down)
    return np.asarray(Image.fromarray(grid).resize(pixels, Image.Resampling.BICUBIC, box=box))


def _fractal(
    rng: np.random.Generator, span: Span, pixels: Pixels, cells: float, octaves: int, gain: float
) -> Field:
    """Sums octaves of value noise, spread so that most values fill 0 to 1."""
    total = np.zeros((pixels[1], pixels[0]), dtype=np.float32)
    weights = gain ** np.arange(octaves)
    for octave, weight in enumerate(weights):
        total += float(weight) * (_smooth_noise(rng, span, pixels, cells * 2**octave) - 0.5)
    spread = 0.22 * float(np.sqrt(np.sum(weights**2)))
    return total / (4 * spread) + 0.5


def _noise(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    return _fractal(rng, span, pixels, rng.uniform(4, 9), 4, rng.uniform(0.6, 0.95))


def _clouds(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    return _fractal(rng, span, pixels, rng.uniform(2.5, 4), 4, 0.5)


def _blobs(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    return _fractal(rng, span, pixels, rng.uniform(4, 9), 1, 1.0)


def _marble(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    warp = _fractal(rng, span, pixels, rng.uniform(2.5, 4), 4, 0.5)
    across, down = _coordinates(span, pixels)
    angle = rng.uniform(0, 2 * np.pi)
    along = math.cos(angle) * across + math.sin(angle) * down
    return 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(1, 2.5) * along + rng.uniform(1.5, 3) * warp))


def _coordinates(span: Span, pixels: Pixels) -> tuple[Field, Field]:
    """Returns the positions of columns (1, width) and rows (height, 1) in units."""
    across = (np.arange(pixels[0], dtype=np.float32) + 0.5) * (span[0] / pixels[0])
    down = (np.arange(pixels[1], dtype=np.float32) + 0.5) * (span[1] / pixels[1])
    return across[None, :], down[:, None]


def _bands(rng: np.random.Generator, length: float, positions: Field, width: float) -> npt.NDArray[np.intp]:
    """Returns for each position the number of its band; bands have random widths around ``width``."""
    widths = width * rng.uniform(0.4, 1.8, int(length / width * 2.5) + 2)
    return np.searchsorted(np.cumsum(widths), positions)


def _unlike_neighbours(rng: np.random.Generator, count: int) -> Field:
    """Returns random values 0 to 1 of which neighbours always differ clearly."""
    return np.cumsum(rng.uniform(0.25, 0.75, count)) % 1


def _stripes_along(axis: int) -> Callable[[np.random.Generator, Span, Pixels], Field]:
    def paint(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
        bands = _bands(rng, span[axis], _coordinates(span, pixels)[axis], rng.uniform(0.05, 0.2))
        values = _unlike_neighbours(rng, 512)[bands]
        return np.broadcast_to(values, (pixels[1], pixels[0]))

    return paint


def _slanted_stripes(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    across, down = _coordinates(span, pixels)
    slope = rng.choice([-1, 1]) * rng.uniform(0.5, 2)
    along = across + slope * down + (span[1] * 2 if slope < 0 else 0)
    bands = _bands(rng, span[0] + 4 * span[1], along, rng.uniform(0.08, 0.25))
    return _unlike_neighbours(rng, 1024)[bands]


def _plaid(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    columns, rows = (_stripes_along(axis)(rng, span, pixels) for axis in (0, 1))
    return 0.5 * (columns + rows)


def _mosaic(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    across, down = _coordinates(span, pixels)
    columns = _bands(rng, span[0], across, rng.uniform(0.06, 0.2))
    rows = _bands(rng, span[1], down, rng.uniform(0.06, 0.2))
    return rng.random((256, 256))[rows, columns]


def _cells(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    """Voronoi cells of a jittered grid; each pixel looks at the 3 x 3 points around it."""
    scale = rng.uniform(4, 8)
    down_count, across_count = int(span[1] * scale) + 4, int(span[0] * scale) + 4
    jitter = rng.uniform(0.1, 0.9, (2, down_count, across_count)).astype(np.float32)
    values = rng.random((down_count, across_count), dtype=np.float32)
    coarse = (max(pixels[0] // 2, 1), max(pixels[1] // 2, 1))
    across, down = (positions * scale + 1 for positions in _coordinates(span, coarse))
    column, row = across.astype(int), down.astype(int)
    best = np.full((coarse[1], coarse[0]), np.inf, dtype=np.float32)
    field = np.zeros_like(best)
    for step_y in (-1, 0, 1):
        for step_x in (-1, 0, 1):
            at = (row + step_y, column + step_x)
            distance = (at[1] + jitter[0][at] - across) ** 2 + (at[0] + jitter[1][at] - down) ** 2
            nearer = distance < best
            best = np.where(nearer, distance, best)
            field = np.where(nearer, values[at], field)
    return np.asarray(Image.fromarray(field).resize(pixels, Image.Resampling.BILINEAR))


def _strewn(
    rng: np.random.Generator,
    span: Span,
    pixels: Pixels,
    density: float,
    mark: Callable[[ImageDraw.ImageDraw, np.random.Generator, float, float, float, int], None],
) -> Field:
    """Strews ``density`` marks to the square unit over a canvas; ``mark`` gets x, y and the unit in pixels."""
    canvas = Image.new("L", pixels, int(rng.integers(256)))
    draw = ImageDraw.Draw(canvas)
    unit = pixels[0] / span[0]
    places = rng.random((int(density * span[0] * span[1]), 3))
    for x, y, value in places:
        mark(draw, rng, x * pixels[0], y * pixels[1], unit, int(value * 255))
    return np.asarray(canvas, dtype=np.float32) / 256


def _stroke(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, unit: float, level: int
) -> None:
    angle, length, width = rng.random(3)
    reach = (0.1 + 0.2 * length) * unit
    end = (x + np.cos(angle * 2 * np.pi) * reach, y + np.sin(angle * 2 * np.pi) * reach)
    draw.line([(x, y), end], fill=level, width=max(round((0.01 + 0.03 * width) * unit), 1))


def _speck(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, unit: float, level: int
) -> None:
    width, height = (0.008 + 0.025 * rng.random(2)) * unit
    draw.ellipse([x - width, y - height, x + width, y + height], fill=level)


def _brush(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    return _strewn(rng, span, pixels, rng.uniform(120, 260), _stroke)


def _specks(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    return _strewn(rng, span, pixels, rng.uniform(120, 320), _speck)


def _ridges(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    """Ranges of hills, one before the other, with a rough surface."""
    _, down = _coordinates(span, pixels)
    field = 0.25 * _fractal(rng, span, pixels, 3, 3, 0.5)
    count = max(int(span[1] * rng.uniform(5, 8)), 3)
    for base, level in zip(np.linspace(0.1, span[1], count), rng.permutation(count) / count, strict=True):
        crest = base + rng.uniform(0.05, 0.15) * (
            _fractal(rng, (span[0], 0.1), (pixels[0], 1), 4, 4, 0.6) - 0.5
        )
        rough = rng.uniform(0.1, 0.3)
        surface = level * (1 - rough) + rough * _smooth_noise(rng, span, pixels, 12)
        field = np.where(down > crest, surface, field)
    return field


def _checks(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    across, down = _coordinates(span, pixels)
    width, height = rng.uniform(0.06, 0.2), rng.uniform(0.06, 0.2)
    return ((across // width + down // height) % 2) * 0.999


def _waves(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    across, down = _coordinates(span, pixels)
    angle, cycles = rng.uniform(0, 2 * np.pi), rng.uniform(4, 9)
    return 0.5 + 0.5 * np.sin(2 * np.pi * cycles * (math.cos(angle) * across + math.sin(angle) * down))


def _bricks(rng: np.random.Generator, span: Span, pixels: Pixels) -> Field:
    across, down = _coordinates(span, pixels)
    height = rng.uniform(0.06, 0.12)
    width, joint = height * rng.uniform(1.6, 2.6), height * rng.uniform(0.1, 0.2)
    row = down // height
    column = across + width / 2 * (row % 2)
    mortar = (down % height < joint) | (column % width < joint)
    shade = 0.35 + 0.65 * rng.random((64, 64))[row.astype(int) % 64, (column // width).astype(int) % 64]
    return np.where(mortar, 0.0, shade)


TEXTURES = {
    "noise": Texture(_noise, "xy", steps=False),
    "clouds": Texture(_clouds, "xy", steps=False),
    "blobs": Texture(_blobs, "xy", steps=True),
    "marble": Texture(_marble, "xy", steps=False),
    "cells": Texture(_cells, "xy", steps=False),
    "mosaic": Texture(_mosaic, "xy", steps=False),
    "brush": Texture(_brush, "xy", steps=False),
    "specks": Texture(_specks, "xy", steps=False),
    "ridges": Texture(_ridges, "xy", steps=False),
    "plaid": Texture(_plaid, "xy", steps=False),
    "upright stripes": Texture(_stripes_along(0), "x", steps=False),
    "level stripes": Texture(_stripes_along(1), "y", steps=False),
    "slanted stripes": Texture(_slanted_stripes, "", steps=False),
    "checks": Texture(_checks, "", steps=False),
    "waves": Texture(_waves, "", steps=False),
    "bricks": Texture(_bricks, "", steps=False),
}
