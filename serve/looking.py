"""Reading a medium so that both can use it: the model gets it encoded, the person sees the frames it was made from."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from videollm.media import Medium, ReadOptions, encode_frames, read_frames
from videollm.model.budget import plan_tokens
from videollm.values import FramePlan, VideoInfo

from .events import MediumView, SeenFrame

if TYPE_CHECKING:
    from videollm.model.modeling import VideoLLM

_THUMBNAIL_HEIGHT = 144
_THUMBNAIL_QUALITY = 80


def look_at(model: VideoLLM, path: Path, options: ReadOptions) -> tuple[MediumView, Medium]:
    """Reads and encodes a file, and keeps small pictures of the very frames that were encoded.

    Raises:
        UnreadableVideoError: The file cannot be read.
        ConfigError: A setting is out of range.
    """
    frames = read_frames(path, model.config.video, model.config.image, options)
    assert frames.info is not None, "a file says something of itself"
    medium = encode_frames(model, frames, options.max_visual_tokens)
    pictures = tuple(
        SeenFrame(time_s, _jpeg(picture))
        for time_s, picture in zip(frames.plan.times_s, frames.frames_THW3, strict=True)
    )
    return MediumView(path, frames.info, pictures, medium.encoded.token_count, medium.notices), medium


def plan_look(model: VideoLLM, info: VideoInfo, options: ReadOptions) -> tuple[int, int]:
    """Returns how many frames a look would take and at most how many visual tokens it would give; nothing is decoded.

    Raises:
        ConfigError: A setting is out of range.
    """
    plan = options.plan(info, model.config.video)
    return plan.frame_count, model.plan_tokens(plan, options.max_visual_tokens).total


def most_visual_tokens(model: VideoLLM) -> int:
    """Returns how many visual tokens a medium gives when it fills every segment and nothing limits the compressor."""
    config = model.config
    runs = config.video.max_segments
    frames = math.ceil(config.video.max_frames / runs)
    segments = tuple((index * frames, (index + 1) * frames) for index in range(runs))
    times = tuple(float(index) for index in range(runs * frames))
    plan = FramePlan(times, segments, 0.0, float(runs * frames))
    return plan_tokens(plan, config.compressor, None, grid=model.vision.grid).total


def _jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    height, width = picture.shape[:2]
    image = Image.fromarray(picture)
    if height > _THUMBNAIL_HEIGHT:
        image = image.resize((max(1, round(width * _THUMBNAIL_HEIGHT / height)), _THUMBNAIL_HEIGHT))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_THUMBNAIL_QUALITY)
    return stream.getvalue()
