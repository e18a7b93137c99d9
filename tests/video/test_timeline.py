"""When each frame is shown and from which keyframe it is decoded, from packets alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.video.timeline import PacketTable, Timeline, build_timeline
from videollm.video.walk import plan_walk, stretches_for


def table(pts: list[int], keyframes: set[int], hidden: frozenset[int] = frozenset()) -> PacketTable:
    """Packets in decoding order; keyframes and hidden frames by their time."""
    times = np.array(pts)
    return PacketTable(
        pts=times,
        dts=np.arange(len(pts)),
        duration=np.full(len(pts), 10),
        size=np.full(len(pts), 100),
        is_keyframe=np.isin(times, list(keyframes)),
        is_shown=~np.isin(times, list(hidden)),
    )


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    steps = draw(st.lists(st.integers(1, 40), min_size=1, max_size=60))
    pts = np.cumsum(steps) - draw(st.integers(0, 1000))
    keyframes = {int(pts[0]), *draw(st.sets(st.sampled_from(pts.tolist())))}
    return build_timeline(table(pts.tolist(), keyframes), 0.01)


@given(timelines(), st.lists(st.floats(0, 30), min_size=1, max_size=20))
def test_the_frame_of_a_second_is_the_last_one_not_later(timeline: Timeline, seconds: list[float]) -> None:
    for second, frame in zip(seconds, timeline.frames_at(seconds), strict=True):
        not_later = [index for index, time in enumerate(timeline.times_s) if time <= second + 0.0005]
        assert frame == (not_later[-1] if not_later else 0)


@given(timelines(), st.lists(st.floats(0, 30), min_size=1, max_size=20), st.floats(0, 3))
def test_only_a_cheaper_frame_within_the_tolerance_stands_in(
    timeline: Timeline, seconds: list[float], tolerance: float
) -> None:
    seconds = [min(second, timeline.end_s) for second in seconds]
    exact = timeline.frames_at(seconds)
    for second, frame, right in zip(seconds, timeline.frames_near(seconds, tolerance), exact, strict=True):
        distances = np.abs(timeline.times_s[timeline.is_keyframe] - second)
        if tolerance > 0 and distances.min() <= tolerance:
            assert timeline.is_keyframe[frame]
            assert abs(timeline.times_s[frame] - second) == pytest.approx(distances.min())
        elif frame != right:
            assert abs(timeline.times_s[frame] - second) <= tolerance + 1e-9
            assert timeline.start[frame] == timeline.start[right]
            assert timeline.packet[frame] < timeline.packet[right]


@given(timelines(), st.lists(st.floats(0, 30), min_size=1, max_size=20), st.floats(0.01, 3))
def test_a_tolerance_merges_frames_only_at_keyframes(
    timeline: Timeline, seconds: list[float], tolerance: float
) -> None:
    seconds = [min(second, timeline.end_s) for second in seconds]
    near = timeline.frames_near(seconds, tolerance)
    others = ~timeline.is_keyframe[near]
    wanted = timeline.frames_at(seconds)[others]
    assert len(np.unique(near[others])) == len(np.unique(wanted))


def test_the_last_wanted_frame_of_a_group_gives_way_to_an_earlier_one() -> None:
    timeline = build_timeline(
        table(list(range(0, 200, 10)), {0, 100}), 0.1
    )  # a frame a second, keyframes at 0 and 10
    assert timeline.frames_near([3, 5, 7, 13], 1.5).tolist() == [3, 5, 6, 12]
    assert timeline.frames_near([3, 6, 7], 1.5).tolist() == [3, 6, 7]
    assert timeline.frames_near([3, 5, 9], 1.5).tolist() == [3, 4, 10]


def test_times_count_from_the_first_shown_frame() -> None:
    timeline = build_timeline(table([970, 990, 1010, 1030], {970}, frozenset({970, 990})), 0.01)
    assert timeline.times_s.tolist() == pytest.approx([0.0, 0.2])
    assert timeline.start.tolist() == [0, 0]
    assert timeline.end_s == pytest.approx(0.3)


def test_a_leading_frame_starts_from_the_keyframe_before() -> None:
    # Decoding order: key 0, 30 (P), 10 (B), 20 (B), key 60, 40 (B), 50 (B): the last two are shown before their key.
    timeline = build_timeline(table([0, 30, 10, 20, 60, 40, 50], {0, 60}), 0.01)
    assert timeline.pts.tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert timeline.start.tolist() == [0, 0, 0, 0, 0, 0, 4]


def test_leading_frames_of_the_first_keyframe_cannot_be_shown() -> None:
    timeline = build_timeline(table([50, 30, 40, 60], {50}), 0.01)
    assert timeline.pts.tolist() == [50, 60]


def test_rewinding_starts_one_keyframe_earlier() -> None:
    timeline = build_timeline(table([0, 10, 20, 30, 40, 50], {0, 20, 40}), 0.01)
    assert timeline.rewound().start.tolist() == [0, 0, 0, 0, 2, 2]


@given(timelines(), st.data(), st.integers(1, 8))
def test_a_walk_covers_every_wanted_frame_and_nothing_twice(
    timeline: Timeline, data: st.DataObject, processors: int
) -> None:
    wanted = sorted(data.draw(st.sets(st.integers(0, len(timeline) - 1), min_size=1)))
    stretches = stretches_for(timeline, wanted)
    assert [frame for stretch in stretches for frame in stretch.frames] == wanted
    for stretch in stretches:
        assert timeline.is_keyframe[stretch.first]
        assert all(stretch.first <= timeline.packet[frame] <= stretch.last for frame in stretch.frames)
        assert stretch.last == max(timeline.packet[frame] for frame in stretch.frames)
    assert all(a.last < b.first for a, b in pairwise(stretches))
    walk = plan_walk(timeline, wanted, processors)
    assert [stretch for share in walk.shares for stretch in share] == stretches
    assert 1 <= walk.readers * walk.threads <= processors


def test_far_apart_frames_are_jumped_to_and_near_ones_read_in_one_go() -> None:
    pts = list(range(0, 6000, 10))
    timeline = build_timeline(table(pts, set(range(0, 6000, 500))), 0.01)
    far = stretches_for(timeline, [20, 320, 560])
    assert [(stretch.first, stretch.last) for stretch in far] == [(0, 20), (300, 320), (550, 560)]
    near = stretches_for(timeline, [51, 60, 70, 99])
    assert [(stretch.first, stretch.last) for stretch in near] == [(50, 99)]


def test_one_long_stretch_is_left_to_one_reader_with_all_threads() -> None:
    timeline = build_timeline(table(list(range(0, 3000, 10)), {0}), 0.01)
    walk = plan_walk(timeline, [10, 100, 290], 4)
    assert (walk.readers, walk.threads) == (1, 4)


def test_even_stretches_are_shared_by_readers_of_one_thread() -> None:
    timeline = build_timeline(table(list(range(0, 3000, 10)), set(range(0, 3000, 100))), 0.01)
    walk = plan_walk(timeline, list(range(5, 300, 10)), 4)
    assert (walk.readers, walk.threads) == (4, 1)
