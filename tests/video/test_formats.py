"""Real files of every format: each wanted second gives the right frame at its true time, whoever reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videollm.errors import UnreadableVideoError
from videollm.video import decode_frames, plan_frames, probe

OPEN_GOP = {"x264-params": "open-gop=1:bframes=3:keyint=12:min-keyint=12"}
INTRA_REFRESH = {"x264-params": "intra-refresh=1:keyint=12"}
QUIET = {"x265-params": "log-level=none:bframes=3"}
REALTIME = {"deadline": "realtime", "cpu-used": "8"}
AV1 = {"preset": "12", "crf": "20"}
VARIABLE = tuple(int(time) for time in np.cumsum(np.random.default_rng(0).integers(10, 200, 40)))

# What goes in, and whether decord can be asked for it too.
FORMATS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "H.264 in MP4": ("mp4", {}, True),
    "H.264 in MOV with sound": ("mov", {"has_audio": True}, True),
    "H.264 in MKV with sound": ("mkv", {"has_audio": True}, True),
    "H.264 in FLV": ("flv", {}, True),
    "H.264 in AVI, which stores no times": ("avi", {}, False),
    "H.264 in MPEG-TS": ("ts", {}, False),
    "H.264 without a container": ("h264", {}, False),
    "H.264 in 10 bits": ("mp4", {"pixel_format": "yuv420p10le"}, True),
    "H.264 with open groups of pictures": ("mp4", {"options": OPEN_GOP}, True),
    "H.264 refreshed column by column": ("mp4", {"options": INTRA_REFRESH}, False),
    "H.264 with one keyframe": ("mp4", {"gop": 1000}, True),
    "H.264 of keyframes only": ("mp4", {"gop": 1}, True),
    "H.264 of variable rate": ("mkv", {"frame_times": VARIABLE}, True),
    "H.264 of odd size": ("mp4", {"width": 161, "height": 121, "pixel_format": "yuv444p"}, True),
    "H.264 in portrait": ("mp4", {"width": 120, "height": 160}, True),
    "HEVC in MP4": ("mp4", {"codec": "libx265", "options": QUIET}, True),
    "HEVC in 10 bits": ("mkv", {"codec": "libx265", "options": QUIET, "pixel_format": "yuv420p10le"}, True),
    "VP9 in WebM with sound": ("webm", {"codec": "libvpx-vp9", "options": REALTIME, "has_audio": True}, True),
    "VP8 with hidden frames": (
        "webm",
        {"codec": "libvpx", "options": {"auto-alt-ref": "1", "cpu-used": "8"}},
        True,
    ),
    "AV1 in MP4": ("mp4", {"codec": "libsvtav1", "options": AV1}, False),
    "AV1 in WebM": ("webm", {"codec": "libsvtav1", "options": AV1}, False),
    "MPEG-4 in AVI": ("avi", {"codec": "mpeg4"}, True),
    "MPEG-4 with B-frames in AVI": ("avi", {"codec": "mpeg4", "options": {"bf": "2"}}, True),
    "MPEG-2 program stream": ("mpg", {"codec": "mpeg2video", "options": {"bf": "2"}, "fps": 25}, True),
    "Motion JPEG": ("avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}, True),
    "ProRes": ("mov", {"codec": "prores", "pixel_format": "yuv422p10le"}, True),
    "GIF": ("gif", {"codec": "gif", "pixel_format": "gray"}, False),
    "one frame": ("mp4", {"seconds": 0.05}, True),
    "0.2 seconds": ("mp4", {"seconds": 0.2}, True),
}
READERS = [("pyav", name) for name in FORMATS] + [("decord", name) for name in FORMATS if FORMATS[name][2]]


def true_times(clip: Path, settings: dict[str, Any]) -> np.ndarray:
    """The times that the clip's maker gave its frames, from the first one's."""
    if "frame_times" in settings:
        return (np.array(settings["frame_times"]) - settings["frame_times"][0]) / 1000
    rate = 25 if clip.suffix == ".h264" else settings.get("fps", 20)  # no container, no rate: FFmpeg takes 25
    return np.arange(max(1, round(settings.get("seconds", 2) * settings.get("fps", 20)))) / rate


@pytest.mark.parametrize(("backend", "name"), READERS, ids=lambda value: value)
def test_every_wanted_second_gives_the_frame_shown_then(
    backend: Any, name: str, make_clip: Callable[..., Path], numbers: Callable[..., list[int]]
) -> None:
    suffix, settings, _ = FORMATS[name]
    clip = make_clip(suffix, **settings)
    times = true_times(clip, settings)
    info = probe(clip)
    assert info.frame_count == len(times)
    assert info.has_audio == settings.get("has_audio", False)
    assert info.damage == ()
    for count in (1000, 7):
        plan = plan_frames(info, fps=1000, max_frames=count)
        got = decode_frames(clip, plan, backend=backend)
        wanted = {int(np.searchsorted(times, time + 0.002, side="right")) - 1 for time in plan.times_s}
        assert numbers(got.frames_THW3) == sorted(wanted)
        assert got.plan.times_s == pytest.approx([times[number] for number in sorted(wanted)], abs=0.002)
        assert got.backend == backend
        assert got.damage == ()


@pytest.mark.parametrize(
    "name", ["H.264 in MP4", "HEVC in MP4", "VP9 in WebM with sound", "H.264 of variable rate"]
)
def test_both_readers_give_the_same_pictures(name: str, make_clip: Callable[..., Path]) -> None:
    suffix, settings, _ = FORMATS[name]
    clip = make_clip(suffix, **settings)
    plan = plan_frames(probe(clip), fps=5, max_frames=9)
    pyav, decord = (decode_frames(clip, plan, backend=backend) for backend in ("pyav", "decord"))
    assert pyav.plan == decord.plan
    assert np.abs(pyav.frames_THW3.astype(int) - decord.frames_THW3).mean() < 3


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_clock_that_starts_late_does_not_shift_the_plan(
    suffix: str, make_clip: Callable[..., Path], numbers: Callable[..., list[int]]
) -> None:
    clip = make_clip(suffix, frame_times=tuple(range(5000, 7000, 50)))
    plan = plan_frames(probe(clip), fps=2, max_frames=9)
    got = decode_frames(clip, plan)
    assert got.plan.times_s == pytest.approx(plan.times_s, abs=0.026)
    assert numbers(got.frames_THW3) == [5, 15, 25, 35]


def test_a_file_with_fewer_frames_than_wanted_gives_each_once(make_clip: Callable[..., Path]) -> None:
    clip = make_clip("mp4", seconds=0.2)
    plan = plan_frames(probe(clip), fps=1000, max_frames=64, frames_per_segment=2)
    got = decode_frames(clip, plan)
    assert (plan.frame_count, len(plan.segments)) == (64, 16)
    assert got.plan.times_s == pytest.approx((0, 0.05, 0.1, 0.15))
    assert got.plan.segments == ((0, 1), (1, 2), (2, 3), (3, 4))
    assert len(got.frames_THW3) == got.plan.frame_count


def test_the_info_tells_rate_length_and_keyframes(make_clip: Callable[..., Path]) -> None:
    steady, uneven = probe(make_clip("mp4")), probe(make_clip("mkv", frame_times=VARIABLE))
    assert (steady.fps, steady.duration_s, steady.keyframe_gap_s) == pytest.approx((20, 2, 0.6))
    assert not steady.variable_frame_rate
    assert uneven.variable_frame_rate
    assert (steady.codec, steady.kind, steady.pixel_format) == ("h264", "video", "yuv420p")


def test_a_keyframe_within_the_tolerance_stands_in_at_its_own_time(
    make_clip: Callable[..., Path], numbers: Callable[..., list[int]]
) -> None:
    clip = make_clip("mp4", seconds=6, gop=20, options={"sc_threshold": "0"})
    plan = plan_frames(probe(clip), fps=0.5, max_frames=9)
    assert numbers(decode_frames(clip, plan).frames_THW3) == [20, 60, 100]
    shifted = plan_frames(probe(clip), fps=0.5, max_frames=9, start_s=0.3)
    exact, near = decode_frames(clip, shifted), decode_frames(clip, shifted, tolerance_s=0.5)
    assert numbers(near.frames_THW3) == [20, 60, 100]
    assert near.plan.times_s == pytest.approx((1, 3, 5))
    assert numbers(exact.frames_THW3) == [25, 63, 101]


def test_a_long_plan_is_memory_bound_by_the_plan_and_not_by_the_clip(make_clip: Callable[..., Path]) -> None:
    clip = make_clip("mp4", seconds=6, gop=20, options={"sc_threshold": "0"})
    plan = plan_frames(probe(clip), fps=20, max_frames=1000)
    got = decode_frames(clip, plan, max_side=32)
    assert got.frames_THW3.shape == (120, 24, 32, 3)
    assert got.frames_THW3.nbytes == 120 * 24 * 32 * 3


@pytest.mark.parametrize("name", ["AV1 in MP4", "GIF", "H.264 in MPEG-TS"])
def test_decord_refuses_what_it_would_get_wrong_and_names_the_other_reader(
    name: str, make_clip: Callable[..., Path]
) -> None:
    suffix, settings, _ = FORMATS[name]
    clip = make_clip(suffix, **settings)
    plan = plan_frames(probe(clip), fps=1, max_frames=2)
    with pytest.raises(UnreadableVideoError, match="pyav"):
        decode_frames(clip, plan, backend="decord")
    assert decode_frames(clip, plan, backend="auto").backend == "pyav"
