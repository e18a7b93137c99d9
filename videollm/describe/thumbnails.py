"""A small picture for each event of a described video, kept as ``thumbnails/<content>/<milliseconds>.jpg``."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from PIL import Image

from ..errors import UnreadableVideoError
from ..values import Event, FramePlan
from ..video import DecodedFrames, decode_frames
from .atomic import aside
from .rows import Row

# 160 pixels high, unless the picture is a strip.
_BOX = (640, 160)
_SLACK_S = 0.001


def thumbnail(row: Row, event: Event) -> str:
    """Returns where the picture of an event is kept, relative to the job's folder, with ``/``."""
    return f"thumbnails/{row.content[:16]}/{_middle_ms(event)}.jpg"


def make_thumbnails(row: Row, events: tuple[Event, ...], out: Path) -> None:
    """Makes the pictures of some events of a row that are not there yet, in one reading of the file.

    A file that has gone or cannot be read any more, and a picture that damage has taken, give none.

    Args:
        row: The description.
        events: Those of its events that want a picture.
        out: Folder of the job.

    Raises:
        OSError: A picture cannot be written.
    """
    missing = [event for event in events if not (out / thumbnail(row, event)).is_file()]
    if not missing or not row.content:
        return
    # Anything near the middle does; it must not come near the next event.
    tolerance_s = max(0.0, min(event.end_s - event.start_s for event in missing) / 4)
    try:
        frames = _read(row.source.path, missing, tolerance_s)
    except UnreadableVideoError:
        return
    for event in missing:
        index = _index_for(event, frames, tolerance_s)
        if index is None:
            continue
        picture = Image.fromarray(frames.frames_THW3[index])
        picture.thumbnail(_BOX)
        with aside(out / thumbnail(row, event)) as temporary:
            picture.save(temporary, "JPEG", quality=80)


def _read(path: Path, events: list[Event], tolerance_s: float) -> DecodedFrames:
    times = tuple(sorted({_middle_ms(event) / 1000 for event in events}))
    plan = FramePlan(times, ((0, len(times)),), times[0], times[-1])
    return decode_frames(path, plan, max_side=max(_BOX), tolerance_s=tolerance_s)


def _index_for(event: Event, frames: DecodedFrames, tolerance_s: float) -> int | None:
    """The frame on show in the middle of an event; ``None`` where damage has left only one of another event."""
    times = frames.plan.times_s
    index = max(0, bisect_right(times, _middle_ms(event) / 1000 + tolerance_s + _SLACK_S) - 1)
    if frames.damage and not event.start_s <= times[index] <= event.end_s:
        return None
    return index


def _middle_ms(event: Event) -> int:
    return round((event.start_s + event.end_s) * 500)
