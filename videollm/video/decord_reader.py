"""Reading wanted frames with decord, as far as it can be trusted to give the right ones.

decord counts frames by their packets. Where that is safe we let it seek; where frames leave the decoder in fewer
numbers or another order than their packets went in (open groups of pictures, edit lists) it would silently give
neighbours of the wanted frames, so there we have it walk from the start in one pass.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import av
import numpy as np

from ..errors import UnreadableVideoError
from .damage import DecoderLog
from .survey import Survey

Deliver = Callable[[int, av.VideoFrame, int], None]

_FRAMES_AT_A_TIME = 8  # bounds memory: decord gives frames at full size only
_STDERR = 2
_MISCOUNTED = frozenset({"mpegts"})  # decord hangs there, or is one frame off


def read_frames(survey: Survey, frames: Sequence[int], deliver: Deliver, log: DecoderLog) -> None:
    """Decodes the wanted frames and hands each over once, turned upright, in order.

    Args:
        survey: What is known of the file.
        frames: Wanted frames as indices into its timeline, distinct and ascending.
        deliver: Called with each frame's index, its picture and its time in ticks.
        log: Takes notes of what the decoder refuses.

    Raises:
        UnreadableVideoError: decord is not installed, cannot open the file, or gives up on it.
    """
    path = survey.info.path
    if survey.info.container in _MISCOUNTED:
        raise UnreadableVideoError(
            f"{path}: decord gives wrong frames of {survey.info.container} files; choose the backend pyav"
        )
    try:
        import decord
    except ImportError:
        raise UnreadableVideoError(f"{path}: decord is not installed; choose the backend pyav") from None
    decord.logging.set_level(decord.logging.ERROR)
    try:
        with _printed_errors(log):
            reader = decord.VideoReader(str(path), ctx=decord.cpu(0))
            for frame, pixels in _pictures(reader, survey, frames):
                picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                deliver(frame, picture, int(survey.timeline.pts[frame]))
    except (decord.DECORDError, RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0][-150:]
        raise UnreadableVideoError(
            f"{path}: decord cannot read it ({reason}); choose the backend pyav"
        ) from None


def can_seek_rightly(survey: Survey) -> bool:
    """Whether packets and frames agree in number and order, keyframe by keyframe."""
    timeline = survey.timeline
    keyframes = np.flatnonzero(timeline.is_keyframe)
    return (
        not survey.is_counted
        and not survey.options
        and len(timeline) == len(survey.table)
        and bool((timeline.packet[keyframes] == keyframes).all())
    )


def _pictures(
    reader: Any, survey: Survey, frames: Sequence[int]
) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    if can_seek_rightly(survey) and len(reader) == len(survey.timeline):
        for first in range(0, len(frames), _FRAMES_AT_A_TIME):
            batch = frames[first : first + _FRAMES_AT_A_TIME]
            yield from zip(batch, reader.get_batch(list(batch)).asnumpy(), strict=True)
        return
    # Not skip_frames(): after an open group of pictures it loses count.
    wanted = set(frames)
    for frame in range(frames[-1] + 1):
        picture = reader.next()
        if frame in wanted:
            yield frame, picture.asnumpy()


@contextmanager
def _printed_errors(log: DecoderLog) -> Iterator[None]:
    """Notes in the log what a library prints to stderr meanwhile: decord's decoder tells of damage in no other way."""
    kept = os.dup(_STDERR)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            printed.seek(0)
            for line in printed.read().decode(errors="replace").splitlines():
                log.note("decord", line)
