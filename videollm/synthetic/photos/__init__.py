"""The photographs that shots stand over, split by file between train and test; see ``LICENSES.md`` beside them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..scenes import Backdrop

_FOLDER = Path(__file__).parent
_TO_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# There are few photographs: each is seen from near and far, turned, and in exchanged colours.
_CLOSEST = 0.35
_TURNED_SHARE = 0.3
_TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
_RECOLOURED_SHARE = 0.25


@lru_cache(maxsize=2)
def photo_names(split: str) -> tuple[str, ...]:
    """Returns the names of a split's photographs, ``"<split>/<stem>"``, sorted."""
    return tuple(sorted(f"{split}/{file.stem}" for file in (_FOLDER / split).glob("*.jpg")))


@lru_cache(maxsize=32)
def _open(name: str) -> Image.Image:
    with Image.open(_FOLDER / f"{name}.jpg") as file:
        return file.convert("RGB")


def paint_photo(backdrop: Backdrop, pixels: tuple[int, int]) -> Image.Image:
    """Paints a photographed backdrop: a crop by its seed, perhaps turned or mirrored, in colours of its own.

    Args:
        backdrop: One of kind ``"photo"``.
        pixels: Width and height of the picture wanted.

    Returns:
        An RGB picture of that size.
    """
    rng = np.random.default_rng(backdrop.seed)
    photo = _open(backdrop.photo)
    share, left, top, mirrored, turned = rng.random(5)
    if turned < _TURNED_SHARE:
        photo = photo.transpose(_TURNS[int(turned / _TURNED_SHARE * len(_TURNS))])
    shrink = min(photo.width / pixels[0], photo.height / pixels[1]) * (_CLOSEST + (1 - _CLOSEST) * share)
    width, height = pixels[0] * shrink, pixels[1] * shrink
    box_left, box_top = left * (photo.width - width), top * (photo.height - height)
    box = (box_left, box_top, box_left + width, box_top + height)
    picture = photo.resize(pixels, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
    if mirrored < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _tuned(picture, backdrop, rng)


def _tuned(picture: Image.Image, backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """Brings a picture to the backdrop's contrast and brightness, with a slight cast and hues of its own."""
    gains = (backdrop.contrast * rng.uniform(0.92, 1.08, 3)).astype(np.float32)
    values = np.asarray(picture, dtype=np.float32)
    if rng.random() < _RECOLOURED_SHARE:
        values = values[..., rng.permutation(3)]
    mean = float((values.mean(axis=(0, 1)) * _TO_LUMA).sum())
    target = backdrop.brightness or mean
    return Image.fromarray(np.clip((values - mean) * gains + target, 0, 255).astype(np.uint8))
