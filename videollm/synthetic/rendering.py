"""Rendering clips to frames, at any size and any second.

A shot's backdrop is painted once, with its tone and light, on a canvas as large as the camera's whole path; a frame is
a crop of it with the objects on top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from . import motion, shapes
from .backdrops import paint_backdrop
from .colours import luma
from .passers import paint_passer, passer_centre
from .scenes import Clip, Passer, Shot, WorldObject

_FINEST_ZOOM = 1.5  # more canvas pixels to a frame pixel than this are not seen
_NOISE_SLACK = 65_536


class ClipRenderer:
    """Renders frames of one clip, keeping what they share.

    Args:
        clip: The clip.
        height: Height of the frames in pixels; the clip's own by default.
        width: Width of the frames in pixels; the clip's own by default.
    """

    def __init__(self, clip: Clip, *, height: int | None = None, width: int | None = None) -> None:
        self.clip = clip
        self.height = height or clip.height
        self.width = width or clip.width
        self._shots: dict[int, ShotRenderer] = {}
        self._noise: np.ndarray | None = None

    def frame(self, time_s: float) -> np.ndarray:
        """Returns the frame at a second as uint8 (height, width, 3); beyond the clip, its last moment."""
        index = shot_index(self.clip, time_s)
        if index not in self._shots:
            self._shots[index] = ShotRenderer(
                self.clip.shots[index], (self.clip.width, self.clip.height), (self.width, self.height)
            )
        shot = self.clip.shots[index]
        time_s = min(max(time_s, shot.start_s), shot.end_s)
        frame: np.ndarray = np.array(self._shots[index].picture(time_s))
        left = motion.brightness(shot, time_s)
        if left < 1:
            frame = (frame * np.uint16(round(left * 256)) >> 8).astype(np.uint8)
        return self._with_noise(frame, shot, time_s) if self.clip.noise else frame

    def _with_noise(self, frame: np.ndarray, shot: Shot, time_s: float) -> np.ndarray:
        """Adds sensor noise: a stretch of a fixed supply, other for each moment; without colour in black and white."""
        if self._noise is None:
            rng = np.random.default_rng([self.clip.seed, frame.size])
            supply = rng.standard_normal(frame.size + _NOISE_SLACK, dtype=np.float32) * self.clip.noise
            self._noise = np.rint(supply).astype(np.int16)
        start = round(time_s * 79_190) % _NOISE_SLACK
        channels = 1 if shot.tone == "in black and white" else 3
        noise = self._noise[start : start + frame.size // 3 * channels].reshape(*frame.shape[:2], channels)
        noisy: np.ndarray = np.clip(frame + noise, 0, 255).astype(np.uint8)
        return noisy


class ShotRenderer:
    """Renders pictures of one shot, before fades and noise.

    Args:
        shot: The shot.
        frame: Width and height of the clip's frame, whose proportions fix the backdrop's pattern.
        pixels: Width and height of the pictures.
    """

    def __init__(self, shot: Shot, frame: tuple[int, int], pixels: tuple[int, int]) -> None:
        self._shot = shot
        self._width, self._height = pixels
        self._canvas = _paint_canvas(shot, frame, pixels)
        self._passers = [_DrawnPasser(passer, shot, pixels) for passer in shot.passers]
        self._drawn = [_DrawnObject(thing, shot, pixels) for thing in shot.objects]

    def picture(self, time_s: float) -> Image.Image:
        """Returns the picture at a second of the clip as RGB."""
        view = motion.view(self._shot, time_s)
        picture = self._backdrop(view)
        for passer in self._passers:
            passer.draw(picture, view, time_s)
        for drawn in self._drawn:
            drawn.draw(picture, view, time_s)
        return picture

    def _backdrop(self, view: motion.View) -> Image.Image:
        if self._shot.camera == "is static":
            return self._canvas.copy()
        if self._shot.camera.startswith("zooms"):
            return self._zoomed(view)
        end = motion.view(self._shot, self._shot.end_s)
        left = (view.shift_x - min(end.shift_x, 0.0)) * self._width
        top = (view.shift_y - min(end.shift_y, 0.0)) * self._height
        return _shifted_crop(self._canvas, left, top, self._width, self._height)

    def _zoomed(self, view: motion.View) -> Image.Image:
        """Crops the middle of the canvas, which holds the widest view of the shot."""
        widest = min(1.0, motion.view(self._shot, self._shot.end_s).scale)
        width, height = (side * min(widest / view.scale, 1.0) for side in self._canvas.size)
        left, top = (self._canvas.width - width) / 2, (self._canvas.height - height) / 2
        box = (left, top, left + width, top + height)
        return self._canvas.resize((self._width, self._height), Image.Resampling.BILINEAR, box=box)


def _shifted_crop(canvas: Image.Image, left: float, top: float, width: int, height: int) -> Image.Image:
    """Crops at a fractional place along one axis, blending the two nearest whole ones."""
    column, row = math.floor(left), math.floor(top)
    rest = max(left - column, top - row)
    first = canvas.crop((column, row, column + width, row + height))
    if rest < 0.02:
        return first
    step_x, step_y = (1, 0) if left > column else (0, 1)
    second = canvas.crop((column + step_x, row + step_y, column + step_x + width, row + step_y + height))
    return Image.blend(first, second, rest)


def _paint_canvas(shot: Shot, frame: tuple[int, int], pixels: tuple[int, int]) -> Image.Image:
    """Paints the shot's backdrop over the camera's whole path, in its tone and light."""
    width, height = pixels
    span = (frame[0] / min(frame), frame[1] / min(frame))
    if shot.camera.startswith("zooms"):
        finer = min(shot.camera_amount, _FINEST_ZOOM)
        pixels = (math.ceil(width * finer), math.ceil(height * finer))
    elif shot.camera != "is static":
        end = motion.view(shot, shot.end_s)
        longer = (1 + abs(end.shift_x), 1 + abs(end.shift_y))
        span = (span[0] * longer[0], span[1] * longer[1])
        pixels = (math.ceil(width * longer[0]) + 2, math.ceil(height * longer[1]) + 2)
    return _lit_and_toned(paint_backdrop(shot.backdrop, span, pixels), shot)


def _lit_and_toned(picture: Image.Image, shot: Shot) -> Image.Image:
    """Gives a picture the shot's lasting light and its tone."""
    if shot.light in ("dark", "bright"):
        picture = picture.point(light_table(shot.light_curve, shot.light_amount) * 3)
    return picture.convert("L").convert("RGB") if shot.tone == "in black and white" else picture


def light_table(curve: str, amount: float) -> list[int]:
    """Returns what the 256 levels of a channel become in a dark (amount < 1) or bright shot.

    Args:
        curve: ``"gain"``, ``"gamma"`` or ``"lift"`` (see :class:`~.scenes.Shot`).
        amount: How much; 1 changes nothing.
    """
    levels = np.arange(256) / 255
    if curve == "gamma":
        bent = levels ** (1 / amount)
    elif curve == "lift":
        bent = 1 - (1 - levels) / amount
    else:
        bent = levels * amount
    return [round(level) for level in np.clip(bent, 0, 1) * 255]


class _DrawnPasser:
    """A passer-by with its picture."""

    def __init__(self, passer: Passer, shot: Shot, pixels: tuple[int, int]) -> None:
        self._passer, self._shot, self._size = passer, shot, pixels
        picture, self._outline = paint_passer(passer, min(pixels))
        self._picture = _lit_and_toned(picture, shot)

    def draw(self, picture: Image.Image, view: motion.View, time_s: float) -> None:
        """Draws it into ``picture`` as it is at a second, seen through ``view``."""
        x, y = passer_centre(self._passer, self._shot, time_s)
        across, down = screen_centre(motion.Pose(x, y, 1.0, 0.0, 1.0), view) * self._size
        side = max(round(self._picture.width * view.scale), 1)
        seen, outline = self._picture, self._outline
        if side != seen.width:
            seen, outline = (part.resize((side, side), Image.Resampling.BILINEAR) for part in (seen, outline))
        picture.paste(seen, (round(across - side / 2), round(down - side / 2)), outline)


class _DrawnObject:
    """An object with its outline in pixels; draws itself, keeping its last mask for as long as it fits."""

    def __init__(self, thing: WorldObject, shot: Shot, pixels: tuple[int, int]) -> None:
        self._thing = thing
        self._size = pixels
        self._points, self._hole = pixel_outline(thing, min(pixels))
        gray = round(luma(thing.rgb))
        self._rgb = (gray, gray, gray) if shot.tone == "in black and white" else thing.rgb
        self._kept: tuple[object, Image.Image, tuple[int, int]] | None = None

    def draw(self, picture: Image.Image, view: motion.View, time_s: float) -> None:
        """Draws the object into ``picture`` as it is at a second, seen through ``view``."""
        pose = motion.pose(self._thing, time_s)
        if pose.opacity <= 0:
            return
        mask, corner = self._mask(pose, view)
        if pose.opacity < 1:
            mask = mask.point([round(level * pose.opacity) for level in range(256)])
        picture.paste(self._rgb, corner, mask)

    def _mask(self, pose: motion.Pose, view: motion.View) -> tuple[Image.Image, tuple[int, int]]:
        key = (pose.x, pose.y, pose.scale, pose.turns, view)
        if self._kept is None or self._kept[0] != key:
            centre = screen_centre(pose, view) * self._size
            scale = pose.scale * view.scale
            hole = None if self._hole is None else self._hole * scale + centre
            self._kept = (key, *shapes.mask(shapes.turned(self._points, pose.turns) * scale + centre, hole))
        return self._kept[1:]


def pixel_outline(thing: WorldObject, short_side: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns an object's untilted outline (K, 2) in pixels around its centre, and a ring's hole's."""
    corners = shapes.outline(thing.shape, thing.proportion)
    scale = thing.extent * short_side / shapes.longer_side(shapes.turned(corners, thing.angle_turns))
    hole = corners * scale * shapes.hole(thing.proportion) if thing.shape == "ring" else None
    return corners * scale, hole


def screen_centre(pose: motion.Pose, view: motion.View) -> np.ndarray:
    """Returns where an object's centre is seen, in fractions of the frame; a zoom is about its middle."""
    return np.array(
        [(pose.x - view.shift_x - 0.5) * view.scale + 0.5, (pose.y - view.shift_y - 0.5) * view.scale + 0.5]
    )


def shot_index(clip: Clip, time_s: float) -> int:
    """Returns the index of the shot that is shown at a second; the last one's beyond the end."""
    return max((index for index, shot in enumerate(clip.shots) if shot.start_s <= time_s), default=0)


@lru_cache(maxsize=2)
def _renderer(clip: Clip, height: int | None, width: int | None) -> ClipRenderer:
    return ClipRenderer(clip, height=height, width=width)


def render_frame(
    clip: Clip, time_s: float, *, height: int | None = None, width: int | None = None
) -> np.ndarray:
    """Renders one frame.

    Args:
        clip: The clip.
        time_s: Second of the clip; beyond its end the last moment is shown.
        height: Height in pixels; the clip's own by default.
        width: Width in pixels; the clip's own by default.

    Returns:
        uint8 array (height, width, 3) in RGB.
    """
    return _renderer(clip, height, width).frame(time_s)


def render_frames(
    clip: Clip, times_s: Sequence[float], *, height: int | None = None, width: int | None = None
) -> np.ndarray:
    """Renders the frames at several seconds, uint8 (T, height, width, 3) in RGB; see :func:`render_frame`."""
    renderer = ClipRenderer(clip, height=height, width=width)
    return np.stack([renderer.frame(time_s) for time_s in times_s])
