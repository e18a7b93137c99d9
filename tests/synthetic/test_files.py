"""Written files are real ones: any reader finds the clip's frames in them at the clip's times."""

from __future__ import annotations

import dataclasses

import av
import numpy as np
import pytest

from videollm.errors import ConfigError
from videollm.synthetic.files import degrade, frame_count, frame_rate, write_clip
from videollm.synthetic.rendering import render_frame, render_frames
from videollm.synthetic.sampling import sample_clip


@pytest.fixture(scope="module")
def clip():
    drawn = sample_clip(4, shots=1, objects=1, duration_s=(2, 2.5), backdrop="gradient", max_short_side=96)
    return dataclasses.replace(drawn, width=130, height=96, fps=10.0, noise=0.0)


def read(path):
    """Times in seconds, frames (T, H, W, 3) as stored, the rotation asked for, and the number of sound tracks."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        times = np.array([float(frame.time) for frame in frames])
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
        return times - times[0], pictures, frames[0].rotation, len(container.streams.audio)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "h264"),
        ("clip.mp4", "hevc"),
        ("clip.mov", "mpeg4"),
        ("clip.mkv", "vp8"),
        ("clip.webm", "vp9"),
        ("clip.webm", "av1"),
        ("clip.avi", "mjpeg"),
        ("clip.avi", "h264"),
        ("clip.gif", "gif"),
    ],
)
def test_every_container_holds_the_clips_frames_at_their_times(clip, tmp_path, name, codec):
    write_clip(clip, tmp_path / name, codec=codec)
    times, pictures, _, _ = read(tmp_path / name)
    assert len(pictures) == frame_count(clip)
    assert times == pytest.approx(np.arange(len(times)) / clip.fps, abs=0.011)
    truth = render_frames(clip, (np.arange(len(times)) / clip.fps).tolist())
    assert np.abs(pictures.astype(float) - truth).mean() < 6


@pytest.mark.parametrize(
    ("name", "codec", "shape"),
    [
        ("odd.mp4", "h264", (98, 132, 3)),
        ("odd.webm", "vp9", (97, 131, 3)),
        ("odd.avi", "mpeg4", (97, 131, 3)),
        ("odd.gif", "gif", (97, 131, 3)),
    ],
)
def test_odd_sizes_are_kept_or_gain_one_repeated_line(clip, tmp_path, name, codec, shape):
    write_clip(clip, tmp_path / name, codec=codec, height=97, width=131)
    _, pictures, _, _ = read(tmp_path / name)
    assert pictures.shape[1:] == shape
    truth = render_frame(clip, 0.0, height=97, width=131).astype(float)
    assert np.abs(pictures[0, :97, :131] - truth).mean() < 6


@pytest.mark.parametrize("name", ["turned.mp4", "turned.mov", "turned.mkv"])
@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_a_rotated_file_is_stored_turned_and_shown_upright(clip, tmp_path, name, rotation_deg):
    write_clip(clip, tmp_path / name, rotation_deg=rotation_deg)
    _, pictures, counterclockwise, _ = read(tmp_path / name)
    assert counterclockwise % 360 == -rotation_deg % 360
    upright = np.rot90(pictures[0], counterclockwise // 90)
    assert np.abs(upright.astype(float) - render_frame(clip, 0.0)).mean() < 6


@pytest.mark.parametrize("name", ["varying.mp4", "varying.mkv", "varying.webm", "varying.gif"])
def test_a_variable_rate_drops_frames_and_keeps_times(clip, tmp_path, name):
    write_clip(clip, tmp_path / name, variable_rate=True)
    times, pictures, _, _ = read(tmp_path / name)
    assert len(times) < frame_count(clip)
    assert times[-1] == pytest.approx((frame_count(clip) - 1) / clip.fps, abs=0.02)
    steps = np.diff(times)
    assert steps.max() > 1.8 * steps.min()
    for picture, time_s in zip(pictures[::4], times[::4], strict=True):
        assert np.abs(picture.astype(float) - render_frame(clip, round(time_s, 1))).mean() < 6


@pytest.mark.parametrize("name", ["sound.mp4", "sound.webm", "sound.avi", "sound.mkv"])
def test_sound_is_added_without_moving_the_picture(clip, tmp_path, name):
    write_clip(clip, tmp_path / name, audio=True)
    times, _, _, tracks = read(tmp_path / name)
    assert tracks == 1
    assert times == pytest.approx(np.arange(frame_count(clip)) / clip.fps, abs=0.011)
    with av.open(str(tmp_path / name)) as container:
        seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert seconds == pytest.approx(clip.duration_s, abs=0.1)


def test_ten_bits_quality_and_keyframes_are_as_asked_for(clip, tmp_path):
    fine, coarse = tmp_path / "fine.mp4", tmp_path / "coarse.mp4"
    write_clip(clip, fine, crf=12, pixel_format="yuv420p10le", keyframe_gap=4)
    write_clip(clip, coarse, crf=45)
    assert coarse.stat().st_size < fine.stat().st_size
    with av.open(str(fine)) as container:
        keys = [frame.key_frame for frame in container.decode(video=0)]
        assert container.streams.video[0].pix_fmt == "yuv420p10le"
    assert all(keys[::4])


def test_a_file_is_the_same_every_time(clip, tmp_path):
    for name in ("one.mp4", "two.mp4"):
        write_clip(clip, tmp_path / name)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_broken_rates_are_written_as_the_fractions_they_are(clip):
    ntsc = dataclasses.replace(clip, fps=30_000 / 1001)
    assert (frame_rate(ntsc).numerator, frame_rate(ntsc).denominator) == (30_000, 1001)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("clip.txt", {}),
        ("clip.webm", {"codec": "h264"}),
        ("clip.gif", {"audio": True}),
        ("clip.avi", {"variable_rate": True}),
        ("clip.mp4", {"rotation_deg": 45}),
        ("clip.webm", {"rotation_deg": 90}),
    ],
)
def test_what_a_container_cannot_hold_is_refused_in_one_line(clip, tmp_path, name, wrong):
    with pytest.raises(ConfigError) as refused:
        write_clip(clip, tmp_path / name, **wrong)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / name).exists()


def test_degraded_frames_stay_in_place_and_lose_detail():
    rng = np.random.default_rng(0)
    frames = render_frames(
        sample_clip(2, backdrop="texture", max_short_side=97), np.arange(0, 2, 0.25).tolist()
    )
    losses = []
    for _ in range(12):
        degraded = degrade(frames, rng)
        assert degraded.shape == frames.shape
        assert degraded.dtype == np.uint8
        losses.append(np.abs(degraded.astype(float) - frames).mean())
    assert min(losses) > 0.3
    assert max(losses) < 30


@pytest.mark.parametrize("shape", [(1, 96, 96, 3), (3, 97, 131, 3)])
def test_degrading_takes_any_number_and_size_of_frames(shape):
    frames = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    rng = np.random.default_rng(2)
    for _ in range(6):
        assert degrade(frames, rng).shape == shape
