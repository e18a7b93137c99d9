"""Clips of the pocket world as a model sees them: rendered to the planned frames, or through real files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..media import Frames, ReadOptions, load_medium, read_frames
from ..model.modeling import VideoLLM
from ..synthetic.files import write_clip
from ..synthetic.reading import read_clip
from ..synthetic.scenes import Clip
from ..values import EncodedVideo


def encode_clip(
    model: VideoLLM, clip: Clip, *, max_visual_tokens: int | None = None, through_file: bool = False
) -> EncodedVideo:
    """Encodes a clip as the model's settings say.

    Args:
        model: A model with its processor.
        clip: The clip.
        max_visual_tokens: Most rows in the prompt; ``None`` for the checkpoint's own setting.
        through_file: Whether an mp4 is written and decoded; else the same frames are rendered directly.
    """
    frames = _filed_frames(model, clip) if through_file else _rendered_frames(model, clip)
    return load_medium(model, frames, ReadOptions(max_visual_tokens=max_visual_tokens)).encoded


def _rendered_frames(model: VideoLLM, clip: Clip) -> Frames:
    pixels, plan = read_clip(clip, model.config.video)
    return Frames(pixels, plan)


def _filed_frames(model: VideoLLM, clip: Clip) -> Frames:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "clip.mp4"
        write_clip(clip, path)
        return read_frames(path, model.config.video, model.config.image, ReadOptions())
