"""Which seconds a plan asks for, and what becomes of it when the frames are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from videollm.errors import ConfigError
from videollm.values import VideoInfo
from videollm.video import plan_frames
from videollm.video.plan import resolve_plan

SECONDS = st.floats(0, 1e5, allow_nan=False)


def info(duration_s: float = 10.0, kind: str = "video") -> VideoInfo:
    return VideoInfo(
        Path("clip.mp4"),
        kind,
        duration_s,
        320,
        240,
        25.0,
        250,
        "h264",
        "mp4",
        "yuv420p",
        0,
        1.0,
        False,
        False,
        1.0,
    )


@given(SECONDS, st.floats(0.01, 100), st.integers(1, 500), st.integers(1, 9), st.integers(1, 40))
def test_a_plan_keeps_its_promises(
    duration: float, fps: float, max_frames: int, per_segment: int, max_segments: int
) -> None:
    plan = plan_frames(
        info(duration),
        fps=fps,
        max_frames=max_frames,
        frames_per_segment=per_segment,
        max_segments=max_segments,
    )
    assert plan.frame_count == min(max(round(fps * duration), 1), max_frames)
    assert all(0 <= time <= duration for time in plan.times_s)
    assert len(plan.segments) == min(-(-plan.frame_count // per_segment), max_segments)
    lengths = [past - first for first, past in plan.segments]
    assert max(lengths) - min(lengths) <= 1
    assert not plan.resolved


def test_frames_stand_in_the_middle_of_equal_spans() -> None:
    plan = plan_frames(info(10), fps=0.5, max_frames=100)
    assert plan.times_s == (1, 3, 5, 7, 9)
    assert plan.segments == ((0, 1), (1, 3), (3, 5))


@given(SECONDS, st.floats(0.01, 100), st.integers(1, 500), st.floats(0.01, 1e4), st.integers(1, 40))
def test_segments_by_seconds_are_equal_spans_with_frames_in_them(
    duration: float, fps: float, max_frames: int, seconds: float, max_segments: int
) -> None:
    plan = plan_frames(
        info(duration),
        fps=fps,
        max_frames=max_frames,
        seconds_per_segment=seconds,
        max_segments=max_segments,
    )
    spans = min(max(-(-duration // seconds), 1), max_segments)
    assert len(plan.segments) <= min(spans, plan.frame_count)
    for first, past in plan.segments:
        assert plan.times_s[past - 1] - plan.times_s[first] <= duration / spans * 1.001


def test_a_segment_lasts_the_seconds_asked_for() -> None:
    plan = plan_frames(info(10), fps=2, max_frames=100, seconds_per_segment=2.5)
    assert plan.segments == ((0, 5), (5, 10), (10, 15), (15, 20))
    sparse = plan_frames(info(10), fps=0.3, max_frames=100, seconds_per_segment=1)
    assert sparse.segments == ((0, 1), (1, 2), (2, 3))
    few = plan_frames(info(10), fps=2, max_frames=100, seconds_per_segment=1, max_segments=3)
    assert few.segments == ((0, 7), (7, 13), (13, 20))


def test_a_window_limits_the_plan_and_ends_with_the_file() -> None:
    plan = plan_frames(info(10), fps=1, max_frames=100, start_s=6, end_s=99)
    assert plan.times_s == (6.5, 7.5, 8.5, 9.5)
    assert (plan.start_s, plan.end_s) == (6, 10)


def test_an_image_gives_one_frame_at_second_zero() -> None:
    plan = plan_frames(info(0, "image"), fps=30, max_frames=64)
    assert (plan.times_s, plan.segments, plan.kind) == ((0.0,), ((0, 1),), "image")


@pytest.mark.parametrize(
    "settings",
    [
        {"fps": 0},
        {"fps": float("nan")},
        {"max_frames": 0},
        {"frames_per_segment": 0},
        {"seconds_per_segment": 0},
        {"seconds_per_segment": float("inf")},
        {"max_segments": 0},
        {"start_s": -1},
        {"start_s": 10.5},
        {"start_s": 5, "end_s": 5},
        {"start_s": float("inf")},
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"got|lasts only"):
        plan_frames(info(10), **{"fps": 1, "max_frames": 8, **settings})


@given(st.lists(st.one_of(st.none(), st.integers(0, 20)), min_size=1, max_size=40), st.integers(1, 16))
def test_resolving_keeps_each_true_time_once_and_invents_nothing(
    steps: list[int | None], segments: int
) -> None:
    times = [
        None if step is None else sum(s or 0 for s in steps[: index + 1]) for index, step in enumerate(steps)
    ]
    distinct = sorted({time for time in times if time is not None})
    assume(distinct)
    plan = plan_frames(info(100), fps=len(times) / 100, max_frames=len(times), max_segments=segments)
    resolved = resolve_plan(plan, times)
    assert list(resolved.times_s) == distinct
    assert resolved.resolved
    assert len(resolved.segments) <= len(plan.segments)


def test_a_segment_left_without_frames_vanishes() -> None:
    plan = plan_frames(info(6), fps=1, max_frames=6)
    resolved = resolve_plan(plan, [0.0, 1.0, None, None, 4.0, 4.0])
    assert resolved.times_s == (0.0, 1.0, 4.0)
    assert resolved.segments == ((0, 2), (2, 3))
    assert (resolved.start_s, resolved.end_s) == (plan.start_s, plan.end_s)
