"""Which seconds of a medium to look at, decided from what its file says and a few settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from itertools import pairwise

from ..errors import ConfigError
from ..values import FramePlan, VideoInfo


def plan_frames(
    info: VideoInfo,
    *,
    fps: float,
    max_frames: int,
    frames_per_segment: int = 2,
    seconds_per_segment: float | None = None,
    max_segments: int = 16,
    start_s: float | None = None,
    end_s: float | None = None,
) -> FramePlan:
    """Plans T = clamp(round(``fps`` × window), 1, ``max_frames``) frames at the midpoints of T equal spans.

    Midpoints, because a span's middle stands for it better than its edge, and no frame falls on a fade at the very
    start or end. The segments are S = clamp(ceil(T / ``frames_per_segment``), 1, ``max_segments``) runs of frames whose
    lengths differ by at most one; or, by seconds, those of S = clamp(ceil(window / ``seconds_per_segment``), 1,
    ``max_segments``) equal spans in which there are frames. A still image gives one frame at second 0.

    Args:
        info: What :func:`~videollm.video.probe` said about the file.
        fps: Frames to look at per second of the window.
        max_frames: Most frames to look at.
        frames_per_segment: Frames that one segment should hold.
        seconds_per_segment: Seconds that one segment should hold, instead of frames.
        max_segments: Most segments; beyond it they grow longer.
        start_s: Start of the window in seconds, default the start of the file.
        end_s: End of the window; default, and at most, the end of the file.

    Returns:
        The plan, not yet resolved: its times are the wanted ones.

    Raises:
        ConfigError: A setting is out of range or the window holds nothing.
    """
    check_counts(
        max_frames=max_frames, frames_per_segment=frames_per_segment, max_segments=max_segments, fps=fps
    )
    if seconds_per_segment is not None and not 0 < seconds_per_segment < math.inf:
        raise ConfigError(f"seconds_per_segment must be a number above 0, got {seconds_per_segment}")
    if info.kind == "image":
        return FramePlan((0.0,), ((0, 1),), 0.0, 0.0, kind="image", size_px=(info.height, info.width))
    start, end = _window(info, start_s, end_s)
    count = min(max(round(fps * (end - start)), 1), max_frames)
    step = (end - start) / count
    times = tuple(start + (index + 0.5) * step for index in range(count))
    segments = _segments(count, end - start, frames_per_segment, seconds_per_segment, max_segments)
    return FramePlan(times, segments, start, end)


def part_of_plan(
    plan: FramePlan,
    frames: tuple[int, int],
    start_s: float,
    end_s: float,
    *,
    frames_per_segment: int = 2,
    seconds_per_segment: float | None = None,
    max_segments: int = 16,
) -> FramePlan:
    """Plans a part of what was read already, with segments of its own.

    Args:
        plan: The resolved plan of all frames.
        frames: Half-open run of frames that the part has.
        start_s: Where the part starts in the file.
        end_s: Where it ends.
        frames_per_segment: As for :func:`plan_frames`.
        seconds_per_segment: As for :func:`plan_frames`.
        max_segments: As for :func:`plan_frames`.
    """
    times = plan.times_s[slice(*frames)]
    segments = _segments(len(times), end_s - start_s, frames_per_segment, seconds_per_segment, max_segments)
    return dataclasses.replace(plan, times_s=times, segments=segments, start_s=start_s, end_s=end_s)


def resolve_plan(plan: FramePlan, times_s: Sequence[float | None]) -> FramePlan:
    """Returns the plan of the frames that were really read, at their true times.

    No frame is ever invented: where two wanted seconds hit one frame it is kept once, a wanted second without a
    readable frame is dropped, and a segment left without frames vanishes.

    Args:
        plan: The plan as wanted.
        times_s: For each wanted second the true time of its frame, ascending, or ``None`` where it could not be read.
    """
    kept: list[float] = []
    segments: list[tuple[int, int]] = []
    for first, past in plan.segments:
        start = len(kept)
        for time in times_s[first:past]:
            if time is not None and (not kept or time > kept[-1]):
                kept.append(time)
        if len(kept) > start:
            segments.append((start, len(kept)))
    return dataclasses.replace(plan, times_s=tuple(kept), segments=tuple(segments), resolved=True)


def check_counts(*, fps: float | None = None, **counts: int | None) -> None:
    """Checks how densely something is to be looked at; what is ``None`` is not checked.

    Args:
        fps: Frames per second, above 0.
        **counts: Numbers that must be 1 or more, by their name.

    Raises:
        ConfigError: One of them is out of range.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ConfigError(f"fps must be a number above 0, got {fps}")
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigError(f"{name} must be at least 1, got {count}")


def check_window(start_s: float | None, end_s: float | None) -> None:
    """Checks that a window can hold something, whatever the medium is.

    Raises:
        ConfigError: It starts before second 0 or ends before it starts.
    """
    start = 0.0 if start_s is None else start_s
    if not (math.isfinite(start) and start >= 0):
        raise ConfigError(f"the start of the window must be 0 s or later, got {start:g} s")
    if end_s is not None and not end_s > start:
        raise ConfigError(f"the window must end after it starts, got {start:g} s to {end_s:g} s")


def _segments(
    count: int,
    seconds: float,
    frames_per_segment: int,
    seconds_per_segment: float | None,
    max_segments: int,
) -> tuple[tuple[int, int], ...]:
    if seconds_per_segment is None:
        return _equal_runs(count, min(math.ceil(count / frames_per_segment), max_segments))
    return _timed_runs(count, min(math.ceil(seconds / seconds_per_segment), max_segments))


def _equal_runs(count: int, runs: int) -> tuple[tuple[int, int], ...]:
    return tuple((index * count // runs, (index + 1) * count // runs) for index in range(runs))


def _timed_runs(count: int, spans: int) -> tuple[tuple[int, int], ...]:
    """Runs of the ``count`` midpoints that lie in the same of so many equal spans; empty spans give none."""
    span_of = [int((index + 0.5) / count * spans) for index in range(count)]
    edges = [index for index in range(count) if index == 0 or span_of[index] != span_of[index - 1]]
    return tuple(pairwise([*edges, count]))


def _window(info: VideoInfo, start_s: float | None, end_s: float | None) -> tuple[float, float]:
    check_window(start_s, end_s)
    start = 0.0 if start_s is None else start_s
    end = info.duration_s if end_s is None else min(end_s, info.duration_s)
    if start > 0 and start >= info.duration_s:
        raise ConfigError(
            f"the window starts at {start:g} s but {info.path.name} lasts only {info.duration_s:.2f} s; "
            "choose an earlier start"
        )
    return start, end
