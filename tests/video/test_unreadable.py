"""What cannot be read gives one line that a person understands, and the next file is read as if nothing had been."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from videollm.errors import ConfigError, UnreadableVideoError
from videollm.video import DecodeLimits, decode_frames, plan_frames, probe


def complaint_about(path: Path, **limits: float) -> str:
    with pytest.raises(UnreadableVideoError) as caught:
        probe(path, limits=DecodeLimits(**limits))
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such file" in complaint_about(tmp_path / "missing.mp4")


def test_a_directory(tmp_path: Path) -> None:
    assert "directory" in complaint_about(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert "empty" in complaint_about(path)


def test_text_named_mp4(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("Größe: ein Film?\n" * 1000)
    assert "plain text" in complaint_about(path)


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXTINF:5,\n/etc/passwd\n")
    assert "plain text" in complaint_about(path)


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(seed).bytes(50_000))
    assert complaint_about(path)


@pytest.mark.parametrize(
    ("suffix", "codec", "size"),
    [
        ("mp4", "libx264", 40),
        ("mp4", "libx264", 700),
        ("webm", "libvpx-vp9", 200),
        ("avi", "mpeg4", 300),
        ("gif", "gif", 12),
    ],
)
def test_a_file_cut_down_to_its_head(
    suffix: str, codec: str, size: int, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    whole = make_clip(suffix, codec, pixel_format="gray" if codec == "gif" else "yuv420p")
    path = tmp_path / f"head.{suffix}"
    path.write_bytes(whole.read_bytes()[:size])
    assert complaint_about(path)


def test_an_image_cut_down_to_its_head(tmp_path: Path) -> None:
    path = tmp_path / "head.png"
    Image.new("RGB", (50, 50)).save(path)
    path.write_bytes(path.read_bytes()[:20])
    assert complaint_about(path)


def test_sound_without_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "sound but no picture" in complaint_about(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    assert "regular file" in complaint_about(path)


def test_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "s.mp4"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert "regular file" in complaint_about(path)


def test_no_permission(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    """Root may read everything, so the test gives its rights up in a process of its own."""
    path = tmp_path / "secret.mp4"
    path.write_bytes(make_clip("mp4").read_bytes())
    path.chmod(0)
    program = (
        "import os, sys\n"
        "from videollm.errors import UnreadableVideoError\n"
        "from videollm.video import probe\n"
        "if os.getuid() == 0:\n    os.setuid(65534)\n"
        "try:\n    probe(sys.argv[1])\n"
        "except UnreadableVideoError as error:\n    print(error)\n"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder.name:
            folder.chmod(folder.stat().st_mode | 0o111)
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert "no permission" in done.stdout
    assert "secret.mp4" in done.stdout


def test_pictures_beyond_the_pixel_limit(make_clip: Callable[..., Path]) -> None:
    assert "160 x 120" in complaint_about(make_clip("mp4"), max_pixels=10_000)


def test_a_plan_beyond_the_memory_limit_says_what_it_would_need(make_clip: Callable[..., Path]) -> None:
    clip = make_clip("mp4", width=640, height=480)
    plan = plan_frames(probe(clip), fps=20, max_frames=40)
    with pytest.raises(UnreadableVideoError, match="fewer or smaller"):
        decode_frames(clip, plan, limits=DecodeLimits(memory_bytes=30_000_000))
    assert decode_frames(clip, plan, max_side=64).plan.frame_count == 40


def test_unusual_names_are_only_names(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("concat:a|b.mp4", "frame%03d.mp4", "ein Film – №1 \n.mp4", "-y.mp4", "http:x.mp4"):
        path = tmp_path / name
        path.write_bytes(make_clip("mp4").read_bytes())
        assert probe(path).frame_count == 40


@pytest.mark.parametrize(
    "settings", [{"backend": "opencv"}, {"max_side": 0}, {"tolerance_s": -1}, {"tolerance_s": float("nan")}]
)
def test_a_wrong_setting_is_a_config_error(
    settings: dict[str, object], make_clip: Callable[..., Path]
) -> None:
    clip = make_clip("mp4")
    with pytest.raises(ConfigError, match="got"):
        decode_frames(clip, plan_frames(probe(clip), fps=1, max_frames=1), **settings)


@pytest.mark.parametrize("name", ["seconds", "memory_bytes", "max_pixels"])
def test_limits_must_be_above_zero(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        DecodeLimits(**{name: 0})
