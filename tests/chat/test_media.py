"""Reading media: one plan from file to tokens, and a cache that knows a medium by its content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from videollm import VideoLLM
from videollm.errors import ConfigError, DataError, UnreadableVideoError
from videollm.media import (
    PROCESS_CACHE,
    ReadOptions,
    content_hash,
    encode_frames,
    load_medium,
    read_frames,
    read_media,
)
from videollm.model.settings import ImageSettings, VideoSettings
from videollm.synthetic.reading import read_clip
from videollm.synthetic.sampling import sample_clip

Clips = tuple[Path, Path]


def test_a_file_becomes_what_its_rendered_frames_become(model: VideoLLM, clip_files: Clips) -> None:
    # The file of clip_files[0] is this clip; compression changes pixels a little, never plan or counts.
    clip = sample_clip(0, "test", shots=1, duration_s=(2.0, 4.0), max_short_side=96)
    frames, plan = read_clip(clip, model.config.video)
    encoded = read_media(model, clip_files[0])
    assert encoded.plan.segments == plan.segments
    assert np.allclose(encoded.plan.times_s, plan.times_s, atol=1 / clip.fps)
    assert model.processor is not None
    direct = model.encode_video(model.processor.prepare_frames(frames), plan)
    assert direct.counts == encoded.counts


def test_reading_needs_no_model_and_encoding_gives_the_same(model: VideoLLM, clip_files: Clips) -> None:
    config = model.config
    frames = read_frames(clip_files[0], config.video, config.image, ReadOptions())
    assert max(frames.frames_THW3.shape[1:3]) <= 2 * config.image.size
    apart = encode_frames(model, frames, None)
    assert torch.equal(apart.encoded.tokens_KD, read_media(model, clip_files[0]).tokens_KD)
    assert apart.encoded.source == str(clip_files[0])


def test_the_same_content_is_encoded_once_wherever_it_lies(
    model: VideoLLM, clip_files: Clips, tmp_path: Path
) -> None:
    first = load_medium(model, clip_files[0])
    copied = shutil.copy(clip_files[0], tmp_path / "elsewhere.mp4")
    again = load_medium(model, copied)
    assert again.encoded.tokens_KD is first.encoded.tokens_KD
    assert again.encoded.source == str(copied)
    assert first.read_s > 0
    assert (again.read_s, again.vision_s) == (0, 0)


def test_another_content_or_setting_is_encoded_anew(model: VideoLLM, clip_files: Clips) -> None:
    first = read_media(model, clip_files[0])
    assert read_media(model, clip_files[1]) is not first
    assert read_media(model, clip_files[0], max_frames=1).plan.frame_count == 1
    assert read_media(model, clip_files[0], max_visual_tokens=4).token_count <= 4
    assert read_media(model, clip_files[0]) is first


def test_a_file_that_changed_under_its_name_is_noticed(clip_files: Clips, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    shutil.copy(clip_files[0], path)
    before = content_hash(path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    os.utime(path, (0, 0))
    assert content_hash(path) != before


def test_a_picture_in_memory_is_one_frame_without_time(model: VideoLLM) -> None:
    encoded = read_media(model, Image.new("L", (50, 30), 90))
    assert (encoded.plan.kind, encoded.plan.frame_count) == ("image", 1)
    assert len(PROCESS_CACHE) == 1


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_pixels_of_another_form_are_refused(model: VideoLLM, wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"uint8 RGB of shape \(H, W, 3\)"):
        read_media(model, wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0.0}, "fps must be a number above 0"),
        ({"max_frames": 0}, "max_frames must be at least 1"),
        ({"start_s": 99.0}, "the window starts at 99 s"),
        ({"max_visual_tokens": 0}, "max_visual_tokens must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(
    model: VideoLLM, clip_files: Clips, options: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_media(model, clip_files[0], **options)  # type: ignore[arg-type]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVideoError, match=r"gone\.mp4"):
        read_frames(tmp_path / "gone.mp4", VideoSettings(), ImageSettings(40), ReadOptions())
