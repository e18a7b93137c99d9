"""Animated WebP, through Pillow, since FFmpeg cannot read it; animated GIF, PNG and AVIF are read as videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import UnreadableVideoError
from ..values import VideoInfo
from .images import FAULTS, displayed, first_line
from .timeline import Timeline


def is_animated_webp(path: Path) -> bool:
    """Tells from the first bytes of a file whether it is a WebP with an animation."""
    with path.open("rb") as stream:
        head = stream.read(21)
    # RIFF size "WEBP" "VP8X" size flags: the second bit of the flags means animation.
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & 2)


def probe_animation(path: Path, max_pixels: int) -> tuple[VideoInfo, Timeline]:
    """Describes an animated WebP and says when each of its frames is shown.

    Raises:
        UnreadableVideoError: It cannot be decoded, or its pictures are larger than ``max_pixels``.
    """
    durations = []
    for image in _pictures(path):
        if image.width * image.height > max_pixels:
            raise UnreadableVideoError(
                f"{path}: its pictures are larger than the {max_pixels} pixels allowed; shrink them or allow more"
            )
        durations.append(max(1, int(image.info.get("duration", 0))))
    timeline = _timeline(np.array(durations, dtype=np.int64))
    info = VideoInfo(
        path=path,
        kind="video",
        duration_s=timeline.end_s,
        width=image.width,
        height=image.height,
        fps=len(durations) / timeline.end_s,
        frame_count=len(durations),
        codec="webp",
        container="webp",
        pixel_format=image.mode.lower(),
        rotation_deg=0,
        sample_aspect=1.0,
        has_audio=False,
        variable_frame_rate=max(durations) > 1.1 * min(durations),
        keyframe_gap_s=None,
    )
    return info, timeline


def read_animation(
    path: Path, frames: npt.NDArray[np.int64], max_side: int | None
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields the wanted frames (ascending indices) as displayed RGB."""
    wanted = set(frames.tolist())
    for index, image in enumerate(_pictures(path)):
        if index in wanted:
            yield displayed(image, max_side)


def _pictures(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=("WEBP",)) as image:
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                image.load()
                yield image
    except FAULTS as error:
        raise UnreadableVideoError(
            f"{path}: the animation cannot be decoded ({first_line(error)}); save it again"
        ) from None


def _timeline(durations_ms: npt.NDArray[np.int64]) -> Timeline:
    edges = np.concatenate([[0], np.cumsum(durations_ms)])
    number = np.arange(len(durations_ms))
    return Timeline(
        times_s=edges[:-1] / 1000,
        end_s=float(edges[-1]) / 1000,
        pts=edges[:-1],
        packet=number,
        start=number,
        is_keyframe=np.ones(len(number), dtype=bool),
        tick_s=0.001,
    )
