"""Damaged files are read as far as they go, and say that they are damaged; sound ones never do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from videollm.errors import UnreadableVideoError
from videollm.video import DecodedFrames, DecodeLimits, decode_frames, plan_frames, probe

FORMATS = [("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("mp4", "libx265"), ("avi", "mpeg4")]


@pytest.fixture
def damaged(make_clip: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Writes a copy of a grainy clip of four seconds whose bytes have been changed."""

    def make(suffix: str, codec: str, change: Callable[[bytearray], None]) -> Path:
        options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        whole = make_clip(suffix, codec, seconds=4, noise=8.0, options=options, is_streamable=True)
        data = bytearray(whole.read_bytes())
        change(data)
        path = tmp_path / f"damaged.{suffix}"
        path.write_bytes(data)
        return path

    return make


def read(path: Path) -> DecodedFrames:
    return decode_frames(path, plan_frames(probe(path), fps=20, max_frames=80))


def zero_the_middle(data: bytearray) -> None:
    middle = len(data) // 2
    data[middle : middle + 5000] = bytes(5000)


@pytest.mark.parametrize(("suffix", "codec"), FORMATS)
def test_a_zeroed_block_is_told(suffix: str, codec: str, damaged: Callable[..., Path]) -> None:
    got = read(damaged(suffix, codec, zero_the_middle))
    assert got.damage
    assert 10 <= got.plan.frame_count <= 80


@pytest.mark.parametrize(("suffix", "codec"), FORMATS)
def test_a_missing_piece_is_told(suffix: str, codec: str, damaged: Callable[..., Path]) -> None:
    got = read(
        damaged(suffix, codec, lambda data: data.__delitem__(slice(len(data) // 2, len(data) // 2 + 3000)))
    )
    assert got.damage


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4")])
def test_a_file_cut_off_says_where_it_ends(suffix: str, codec: str, damaged: Callable[..., Path]) -> None:
    path = damaged(suffix, codec, lambda data: data.__delitem__(slice(len(data) // 2, None)))
    info = probe(path)
    assert info.damage
    assert 0 < info.duration_s < 3
    got = read(path)
    assert got.plan.times_s[-1] < 3
    assert any("ends at" in phrase or "frames are there" in phrase for phrase in got.damage)


def test_a_plan_of_the_sound_file_gets_what_the_damaged_one_still_holds(
    make_clip: Callable[..., Path], damaged: Callable[..., Path], numbers: Callable[..., list[int]]
) -> None:
    path = damaged("ts", "libx264", lambda data: data.__delitem__(slice(len(data) // 2, None)))
    plan = plan_frames(probe(make_clip("ts", seconds=4, noise=8.0, is_streamable=True)), fps=4, max_frames=16)
    got = decode_frames(path, plan)
    assert 4 < got.plan.frame_count < 12
    assert any("behind the end" in phrase for phrase in got.damage)
    assert numbers(got.frames_THW3[:4]) == [2, 7, 12, 17]


def test_overwritten_bytes_are_told(damaged: Callable[..., Path]) -> None:
    def overwrite(data: bytearray) -> None:
        random = np.random.default_rng(0)
        for position in random.integers(len(data) // 5, len(data), 40):
            data[position] = int(random.integers(256))

    assert read(damaged("mp4", "libx264", overwrite)).damage


def test_a_recording_that_starts_amid_a_group_of_pictures_is_sound(
    make_clip: Callable[..., Path], tmp_path: Path, numbers: Callable[..., list[int]]
) -> None:
    data = make_clip("ts", seconds=4, noise=8.0, is_streamable=True).read_bytes()
    path = tmp_path / "recording.ts"
    path.write_bytes(data[len(data) // 3 // 188 * 188 :])
    got = read(path)
    assert got.damage == ()
    assert got.plan.times_s[0] == 0
    first = numbers(got.frames_THW3[:1])[0]
    assert numbers(got.frames_THW3) == list(range(first, 80))


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(st.sampled_from(FORMATS), st.data())
def test_whatever_is_done_to_a_file_it_is_read_or_refused_in_one_line(
    damaged: Callable[..., Path], kind: tuple[str, str], data: st.DataObject
) -> None:
    def change(content: bytearray) -> None:
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(0, len(content) - 1))
            length = data.draw(st.integers(1, 4000))
            content[start : start + length] = data.draw(
                st.sampled_from([b"", bytes(length), b"\xff" * length])
            )
            if not content:
                return

    path = damaged(*kind, change)
    try:
        plan = plan_frames(probe(path), fps=2, max_frames=8)
        got = decode_frames(path, plan, max_side=64, limits=DecodeLimits(seconds=60))
    except UnreadableVideoError as error:
        complaint = str(error)
        event("refused")
    else:
        complaint = ""
        assert got.frames_THW3.shape[0] == got.plan.frame_count >= 1
        assert list(got.plan.times_s) == sorted(set(got.plan.times_s))
    assert "\n" not in complaint
