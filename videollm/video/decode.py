"""From a plan to the frames themselves, at their true times."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..values import FramePlan, VideoInfo
from .limits import DecodeLimits
from .paths import readable_path
from .reading import Backend, ReadOutcome, ReadRequest, read_file
from .worker import run_in_worker

_BACKENDS = ("auto", "pyav", "decord")


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrames:
    """Frames of a file and where they come from.

    Attributes:
        frames_THW3: RGB as displayed (upright, square pixels), ``uint8``, shape (T, H, W, 3), in order of time.
        plan: The resolved plan: the true time of each of the T frames.
        info: What the file says about its picture.
        backend: Who read it: ``"pyav"``, ``"decord"`` or, for a still image, ``"pillow"``.
        damage: Signs of damage found on the way, each one phrase; empty for a sound file.
    """

    frames_THW3: npt.NDArray[np.uint8]
    plan: FramePlan
    info: VideoInfo
    backend: str
    damage: tuple[str, ...]


def decode_frames(
    path: str | os.PathLike[str],
    plan: FramePlan,
    *,
    backend: Backend = "auto",
    max_side: int | None = None,
    tolerance_s: float = 0.0,
    limits: DecodeLimits = DecodeLimits(),
) -> DecodedFrames:
    """Reads the frames that a plan wants, in a worker process.

    The frame of a second is the one being shown then, counted from the first frame that is shown. Where two wanted
    seconds hit one frame it is returned once, and wanted frames that a damaged file no longer holds are left out: the
    resolved plan then has fewer frames (and perhaps segments) than the wanted one, and never an invented frame.

    Args:
        path: A video, an animation or an image.
        plan: The wanted seconds; see :func:`~videollm.video.plan_frames`.
        backend: ``"pyav"``, ``"decord"``, or ``"auto"`` for the faster one that can read the file rightly.
        max_side: Frames are shrunk, antialiased, so that neither side is longer; memory is bounded by this and the
            plan, not by the file.
        tolerance_s: A frame at most this far from a wanted second may stand in where that is faster: a keyframe, or one
            that is decoded sooner. The resolved plan carries its true time.
        limits: What reading may cost.

    Raises:
        UnreadableVideoError: One line that names the file, says what is wrong with it and what to do.
        ConfigError: A setting is out of range.
    """
    if backend not in _BACKENDS:
        raise ConfigError(f"backend must be one of {', '.join(_BACKENDS)}, got {backend!r}")
    if max_side is not None and max_side < 1:
        raise ConfigError(f"max_side must be at least 1, got {max_side}")
    if not tolerance_s >= 0:
        raise ConfigError(f"tolerance_s must be 0 or more, got {tolerance_s}")
    file = readable_path(path)
    request = ReadRequest(file, plan, backend, max_side, tolerance_s, limits)
    outcome, frames = run_in_worker(read_file, request, limits=limits, subject=str(file))
    assert isinstance(outcome, ReadOutcome)
    assert frames is not None
    return DecodedFrames(frames, outcome.plan, outcome.info, outcome.backend, outcome.damage)
