"""Where a video is cut: found on the frames that are looked at anyway, few of them in a second.

Neighbouring frames are compared as small pictures, after the shift and the gain in light that make them most alike: so
a camera that moves and a light that fades are no cuts. A cut is a difference that stands out from those beside it, or a
step in brightness that neither goes on nor began before.

Shapes: T frames, S side of the small pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

# Side of the small pictures, and how far one may be shifted against the next: a fifth of the view.
_SIDE = 24
_REACH = 5
# Smallest difference of a cut, of the mean brightness, and how many times those of its neighbours it must be.
_DIFFERENCE = 0.05
_BRIGHTNESS = 0.06
_STANDS_OUT = 2.0
# Mean brightness below which a picture is black.
_DARKEST = 0.05

Small = npt.NDArray[np.floating[Any]]


def find_cuts(frames_THW3: npt.NDArray[np.uint8]) -> tuple[int, ...]:
    """Finds the cuts of a video.

    Args:
        frames_THW3: Frames in order of time, at one to a few in a second, RGB, uint8.

    Returns:
        The first frame of each shot but the first, ascending.
    """
    small_TSS3 = _small(frames_THW3)
    levels_T = small_TSS3.mean(axis=(1, 2, 3))
    steps = np.diff(levels_T).tolist()
    changes = [_difference(*pair) for pair in pairwise(small_TSS3)]
    return tuple(
        index + 1 for index in range(len(changes)) if _stands_out(changes, index) or _is_step(steps, index)
    )


def _small(frames_THW3: npt.NDArray[np.uint8]) -> Small:
    """Small pictures of frames, values from 0 to 1, (T, S, S, 3)."""
    sizes = (_SIDE, _SIDE)
    pictures = [Image.fromarray(frame).resize(sizes, Image.Resampling.BOX) for frame in frames_THW3]
    return np.stack([np.asarray(picture, dtype=np.float32) for picture in pictures]) / 255


def _difference(one_SS3: Small, other_SS3: Small) -> float:
    """How unlike two pictures are, as a share of the brighter one's light, at the shift that makes them most alike."""
    darker, level = sorted((float(one_SS3.mean()), float(other_SS3.mean())))
    if darker < _DARKEST:
        return 0.0  # black shows nothing to compare with; how its light changes tells whether it was a fade
    unmoved = _residual(one_SS3, other_SS3, 0, 0)
    if unmoved.mean() / level <= _DIFFERENCE:
        return float(unmoved.mean() / level)
    reach = range(-_REACH, _REACH + 1)
    residuals = [_residual(one_SS3, other_SS3, down, right) for down in reach for right in reach]
    best = min(residuals, key=lambda residual: np.median(residual) + 0.3 * residual.mean())
    return float(best.mean() / level)


def _residual(one_SS3: Small, other_SS3: Small, down: int, right: int) -> Small:
    """What is left of the second picture without the shifted first one in the light that suits best."""
    part = one_SS3[_overlap(down), _overlap(right)]
    beside = other_SS3[_overlap(-down), _overlap(-right)]
    gain = float((part * beside).sum()) / max(float((part * part).sum()), 1e-4)
    left: Small = np.abs(beside - gain * part).mean(axis=-1)
    return left


def _overlap(shift: int) -> slice:
    return slice(max(0, shift), _SIDE + min(0, shift))


def _stands_out(changes: Sequence[float], index: int) -> bool:
    beside = max(_near(changes, index, 1), default=0.0)
    # Another cut may be near, but not on both sides.
    farther = min(_near(changes, index, 2), default=0.0)
    return changes[index] > max(_DIFFERENCE, _STANDS_OUT * beside, _STANDS_OUT * farther)


def _is_step(steps: Sequence[float], index: int) -> bool:
    step = steps[index]
    goes_on = max((near for near in _near(steps, index, 1) if near * step > 0), key=abs, default=0.0)
    return abs(step) > max(_BRIGHTNESS, _STANDS_OUT * abs(goes_on))


def _near(values: Sequence[float], index: int, distance: int) -> list[float]:
    return [values[near] for near in (index - distance, index + distance) if 0 <= near < len(values)]
