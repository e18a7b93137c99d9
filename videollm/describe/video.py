"""Dense descriptions: what happens in a video from when to when, and all of it in a few sentences.

from videollm import describe_video, load_model

description = describe_video(load_model("pocket"), "clip.mp4")
for event in description.events:
    print(event.start_s, event.end_s, event.text)
"""

from __future__ import annotations

import os

from ..media import ReadOptions
from ..model.modeling import VideoLLM
from ..values import Description
from ..video.reading import Backend
from .script import Script
from .settings import DescribeOptions, Detail
from .telling import tell


def describe_video(
    model: VideoLLM,
    source: str | os.PathLike[str],
    *,
    detail: Detail = "normal",
    every_s: float | None = None,
    style: str | None = None,
    prompt: str | None = None,
    subtitles: bool = False,
    start_s: float | None = None,
    end_s: float | None = None,
    fps: float | None = None,
    max_visual_tokens: int | None = None,
    backend: Backend = "auto",
    max_new_tokens: int | None = None,
) -> Description:
    """Describes a video or an image.

    Args:
        model: A model of :func:`~videollm.checkpoints.load_model`.
        source: The file.
        detail: ``"normal"`` for a text about each shot, ``"dense"`` for one about every five seconds or fewer of it,
            ``"brief"`` for one about as many shots as the model can look at together.
        every_s: Seconds that each text is about, instead of shots.
        style: Name of one of the checkpoint's styles (``describe.styles`` of its configuration).
        prompt: What is asked about each stretch; ``None`` for the checkpoint's own question.
        subtitles: Whether the model is told what the subtitles say, of a file beside the video or a track in it.
        start_s: Start of the window that is described, in seconds.
        end_s: End of the window.
        fps: Frames to look at in each second; ``None`` for the checkpoint's own setting.
        max_visual_tokens: Most visual tokens of a stretch; ``None`` for the checkpoint's own setting.
        backend: Who decodes: ``"auto"``, ``"pyav"`` or ``"decord"``.
        max_new_tokens: Most tokens of each text; ``None`` for as many as an answer has.

    Returns:
        The events, in order of time and without gaps, and a summary.

    Raises:
        UnreadableVideoError: The file cannot be read; one line for a person.
        ConfigError: A setting is out of range, or the window holds nothing.
    """
    reading = ReadOptions(start_s, end_s, fps, None, max_visual_tokens, backend)
    options = DescribeOptions(detail, every_s, style, prompt, subtitles, reading, max_new_tokens)
    script = Script(model, options)
    whole = None
    for window in script.read(source):
        asks = [script.about(stretch) for stretch in window.stretches]
        for ask, told in zip(asks, tell(model, asks, options), strict=True):
            script.take(ask, told)
        whole = window.whole
    closing = script.closing(whole)
    try:
        asks = next(closing)
        while True:
            asks = closing.send(tell(model, asks, options))
    except StopIteration as end:
        description: Description = end.value
        return description
