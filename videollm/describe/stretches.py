"""A video read window by window and cut into stretches, each of which a text will be about.

A window is no longer than the model can look at closely, so that an hour costs an hour's frames, a window at a time.
Nothing here needs torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..media import Frames, read_frames
from ..model.settings import ImageSettings, VideoSettings
from ..video import probe
from ..video.plan import part_of_plan
from ..video.scenes import find_cuts
from .settings import DescribeOptions
from .sights import Look, Sight

# Stretches that a dense description is about, at most.
_DENSE_S = 5.0
# A rest of a window that is not worth reading on its own.
_SHORTEST_REST_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What was read together.

    Attributes:
        stretches: What texts will be about, in order of time; none where the file was only read once more.
        whole: All of what is described at once; with the last window, if it is wanted.
    """

    stretches: tuple[Sight, ...]
    whole: Sight | None = None


def read_windows(
    source: str | os.PathLike[str],
    video: VideoSettings,
    image: ImageSettings,
    options: DescribeOptions,
    *,
    whole_up_to_s: float | None = None,
) -> Iterator[Window]:
    """Reads what texts will be about, in order of time.

    Args:
        source: A video or image file.
        video: How the checkpoint reads videos.
        image: How it prepares pictures.
        options: What is wished for.
        whole_up_to_s: Seconds up to which all of it is read at once too; ``None`` for never.

    Raises:
        UnreadableVideoError: The file cannot be read; one line for a person.
        ConfigError: The window holds nothing.
    """
    reading = options.reading
    info = probe(source, limits=reading.limits)
    if info.kind == "image":
        sight = Sight.alone(read_frames(source, video, image, reading))
        yield Window((sight,), None if whole_up_to_s is None else sight)
        return
    whole = reading.plan(info, video)
    wants_whole = whole_up_to_s is not None and whole.end_s - whole.start_s <= whole_up_to_s
    window_s = options.window_s(video)
    start = first = whole.start_s
    while start < whole.end_s:
        past = first + window_s
        if whole.end_s - past < _SHORTEST_REST_S:
            past = whole.end_s
        read = read_frames(source, video, image, replace(reading, start_s=first, end_s=past))
        is_whole = start == whole.start_s and past >= whole.end_s
        shots = _shots(read, start, options)
        start = first = past
        if past < whole.end_s and len(shots) > 1:
            # It may go on in the next window, which begins with its first frame.
            unfinished = shots.pop()
            start, first = unfinished.start_s, read.plan.times_s[unfinished.first]
        look = Look(read)
        stretches = tuple(
            Sight(_part(read, shot, video), look, (shot.first, shot.past))
            for shot in _divided(shots, options)
        )
        yield Window(stretches, Sight(read, look, is_again=True) if is_whole and wants_whole else None)
    if wants_whole and not is_whole:
        yield Window((), Sight.alone(read_frames(source, video, image, reading)))


@dataclass(frozen=True)
class _Shot:
    """Frames of a window, half-open, and from when to when they last."""

    first: int
    past: int
    start_s: float
    end_s: float

    def divided(self, longest_s: float) -> list[_Shot]:
        """Equal parts of at most so many seconds, each with a frame at least."""
        frames, seconds = self.past - self.first, self.end_s - self.start_s
        count = min(math.ceil(seconds / longest_s), frames)
        frame = [self.first + index * frames // count for index in range(count + 1)]
        second = [self.start_s + seconds * index / count for index in range(count + 1)]
        return [
            _Shot(frame[index], frame[index + 1], second[index], second[index + 1]) for index in range(count)
        ]


def _shots(read: Frames, start_s: float, options: DescribeOptions) -> list[_Shot]:
    plan = read.plan
    cuts = () if options.every_s is not None else find_cuts(read.frames_THW3)
    # A cut lies between two frames, nobody knows where.
    seconds = [(plan.times_s[cut - 1] + plan.times_s[cut]) / 2 for cut in cuts]
    frames, times = (0, *cuts, plan.frame_count), (start_s, *seconds, plan.end_s)
    edges = pairwise(zip(frames, times, strict=True))
    return [_Shot(first, past, start, end) for (first, start), (past, end) in edges]


def _divided(shots: Sequence[_Shot], options: DescribeOptions) -> list[_Shot]:
    if options.every_s is not None or options.detail == "normal":
        return list(shots)
    if options.detail == "brief":
        return [replace(shots[0], past=shots[-1].past, end_s=shots[-1].end_s)]
    return [part for shot in shots for part in shot.divided(_DENSE_S)]


def _part(read: Frames, shot: _Shot, video: VideoSettings) -> Frames:
    plan = part_of_plan(
        read.plan,
        (shot.first, shot.past),
        shot.start_s,
        shot.end_s,
        frames_per_segment=video.frames_per_segment,
        seconds_per_segment=video.seconds_per_segment,
        max_segments=video.max_segments,
    )
    share = (shot.past - shot.first) / read.plan.frame_count
    return replace(
        read,
        frames_THW3=read.frames_THW3[shot.first : shot.past],
        plan=plan,
        seconds=read.seconds * share,
    )
