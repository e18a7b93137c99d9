"""Pictures of events: the right frame, made once, and none rather than a wrong one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videollm.describe.outputs import write_collections
from videollm.describe.rows import Row, Source
from videollm.describe.thumbnails import make_thumbnails, thumbnail
from videollm.synthetic.files import write_clip
from videollm.synthetic.rendering import render_frame
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip
from videollm.values import Event


@pytest.fixture(scope="module")
def clip() -> Clip:
    return sample_clip(42, "test", shots=2, duration_s=(6.0, 9.0), max_short_side=96)


@pytest.fixture(scope="module")
def video(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "clip.webm"
    write_clip(clip, path, codec="vp8", keyframe_gap=10)
    return path


def row_of(path: Path, clip: Clip, count: int = 2) -> Row:
    step = clip.duration_s / count
    events = tuple(Event(number * step, (number + 1) * step, "A star.") for number in range(count))
    return Row(Source(path, name=path.stem), "aa" * 32, "model", clip.duration_s, events=events)


def near(picture: Image.Image, frame: np.ndarray) -> float:
    """Mean difference of two pictures, whatever their sizes."""
    small = [one.convert("RGB").resize((32, 32)) for one in (picture, Image.fromarray(frame))]
    return float(np.abs(np.asarray(small[0], float) - np.asarray(small[1], float)).mean())


def test_a_thumbnail_is_the_frame_in_the_middle_of_its_event(clip: Clip, video: Path, tmp_path: Path) -> None:
    row = row_of(video, clip)
    make_thumbnails(row, row.events, tmp_path)
    for event in row.events:
        with Image.open(tmp_path / thumbnail(row, event)) as picture:
            frame = render_frame(clip, (event.start_s + event.end_s) / 2)
            others = [render_frame(clip, second) for second in (0.1, clip.duration_s - 0.1)]
            assert near(picture, frame) < min(near(picture, other) for other in others)
            assert near(picture, frame) < 10


def test_thumbnails_are_made_once_and_outlive_their_file(clip: Clip, video: Path, tmp_path: Path) -> None:
    path = tmp_path / "moved.webm"
    shutil.copy(video, path)
    row = row_of(path, clip)
    make_thumbnails(row, row.events[:1], tmp_path)
    first, second = (tmp_path / thumbnail(row, event) for event in row.events)
    first.write_bytes(b"kept")
    make_thumbnails(row, row.events, tmp_path)
    assert first.read_bytes() == b"kept"
    assert second.stat().st_size > 500
    path.unlink()
    write_collections(lambda: iter([row]), ("html",), tmp_path)
    assert (tmp_path / "index.html").read_text("utf-8").count("<img") == 2


def test_what_damage_has_taken_gets_no_picture_of_something_else(
    clip: Clip, video: Path, tmp_path: Path
) -> None:
    whole = video.read_bytes()
    path = tmp_path / "cut.webm"
    path.write_bytes(whole[: len(whole) // 2])
    row = row_of(path, clip, 10)
    make_thumbnails(row, row.events, tmp_path)
    made = [(tmp_path / thumbnail(row, event)).is_file() for event in row.events]
    assert made[0]
    assert not made[-1]
    assert made == sorted(made, reverse=True)
