"""From decoded frames to what a person would see: upright, with square pixels, RGB, no larger than asked for."""

from __future__ import annotations

import dataclasses
import math
import struct
import threading
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

RGB = npt.NDArray[np.uint8]

# Aspects beyond this are nonsense in a broken header, not a picture.
_WIDEST_SAMPLE = 8.0
_SHRINKING = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND
)  # swscale widens its filters, so this antialiases
_CONVERTING = Interpolation.BICUBIC  # without a change of size this takes swscale's fast path


@dataclass(frozen=True, slots=True)
class Display:
    """How stored pictures become displayed ones.

    Attributes:
        quarter_turns: Counterclockwise quarter turns to apply.
        is_mirrored: Whether to flip left and right before turning.
        sample_aspect: Width of a stored pixel divided by its height.
        width: Displayed width.
        height: Displayed height.
    """

    quarter_turns: int
    is_mirrored: bool
    sample_aspect: float
    width: int
    height: int

    @property
    def upright(self) -> Display:
        """The same display for pictures that have already been turned, without a mirror."""
        return dataclasses.replace(self, quarter_turns=0)

    @property
    def rotation_deg(self) -> int:
        """Clockwise rotation in degrees."""
        return -self.quarter_turns % 4 * 90

    def size_within(self, max_side: int | None) -> tuple[int, int]:
        """Returns width and height, shrunk (never enlarged) so that neither is above ``max_side``."""
        return fit_within(self.width, self.height, max_side)


def fit_within(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """Returns a size of the same aspect whose longer side is at most ``max_side``."""
    longer = max(width, height)
    if max_side is None or longer <= max_side:
        return width, height
    return max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))


def display_of(frame: av.VideoFrame, sample_aspect: float) -> Display:
    """Reads from a decoded frame how it wants to be displayed."""
    turns, is_mirrored = _orientation(frame)
    if not 1 / _WIDEST_SAMPLE <= sample_aspect <= _WIDEST_SAMPLE:
        sample_aspect = 1.0
    width, height = max(1, round(frame.width * sample_aspect)), frame.height
    if turns % 2:
        width, height = height, width
    return Display(turns, is_mirrored, sample_aspect, width, height)


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Returns counterclockwise quarter turns and whether the picture is mirrored before them."""
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV gives no note at all where it does not know the kind of one (EXIF of photos)
        return round(frame.rotation / 90) % 4, False
    if matrix is None:
        return 0, False
    # The first row says where the x axis goes, the second where the y axis goes (downwards).
    x_right, x_down, _, y_right, y_down, *_ = struct.unpack("<9i", bytes(matrix))
    is_mirrored = x_right * y_down - x_down * y_right < 0
    sign = -1 if is_mirrored else 1
    return round(math.atan2(-sign * x_down, sign * x_right) / (math.pi / 2)) % 4, is_mirrored


class Painter:
    """Turns decoded frames into displayed RGB arrays; several threads may share one."""

    def __init__(self, display: Display, max_side: int | None) -> None:
        self._display = display
        self._width, self._height = display.size_within(max_side)
        self._local = threading.local()  # swscale's contexts are not shared between threads

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and 3."""
        return self._height, self._width, 3

    def paint(self, frame: av.VideoFrame) -> RGB:
        """Returns the frame as displayed, of this painter's ``shape``."""
        turns = self._display.quarter_turns
        width, height = (self._height, self._width) if turns % 2 else (self._width, self._height)
        has_alpha = any(component.is_alpha for component in frame.format.components)
        scaled = self._reformatter().reformat(
            frame,
            width,
            height,
            "rgba" if has_alpha else "rgb24",
            interpolation=_SHRINKING if (width, height) != (frame.width, frame.height) else _CONVERTING,
            threads=1,
        )
        picture: RGB = np.asarray(scaled.to_ndarray(), dtype=np.uint8)
        if has_alpha:
            picture = over_black(picture)
        if self._display.is_mirrored:
            picture = picture[:, ::-1]
        return np.rot90(picture, turns)

    def _reformatter(self) -> VideoReformatter:
        if not hasattr(self._local, "reformatter"):
            self._local.reformatter = VideoReformatter()
        reformatter: VideoReformatter = self._local.reformatter
        return reformatter


def over_black(rgba: npt.NDArray[np.uint8]) -> RGB:
    """Composites RGBA pixels over black."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)
