"""How a checkpoint is asked for descriptions of videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ConfigError
from .compressor_config import true_or_false

_STYLES = {
    "actions": "Say in order who or what does what in this part of the video, and nothing else.",
    "audio-description": "Describe this part of the video in one or two sentences for somebody who cannot see it.",
    "camera": "Describe the shot: framing, how the camera moves, and the light.",
    "detailed": "Describe this part of the video in detail: setting, people and things, actions, and text on screen.",
    "keywords": "List keywords under which somebody would search for this part of the video, separated by commas.",
}


@dataclass(frozen=True, slots=True)
class DescribeSettings:
    """How a model is asked for descriptions of videos.

    Attributes:
        events: What is asked about a stretch of a video.
        timed: Whether its answers are lines such as ``[0:02-0:05] …``, which are told apart, or one text.
        summary: What is asked for a summary; ``{events}`` stands for what was said of the stretches, a line each with
            its times. Without it the model is asked about the whole video, which must not be longer than it was
            trained on.
        styles: Other questions about a stretch, by name.
        subtitles: What is told of the subtitles before the question, which stand for ``{subtitles}``; ``None`` for a
            model that was not trained to read any.
    """

    events: str = "Describe what happens in this part of the video in one or two sentences."
    timed: bool = False
    summary: str = (
        "These are notes of what a video shows, in order of time:\n{events}\n\n"
        "Summarise the video in a few sentences."
    )
    styles: Mapping[str, str] = field(default_factory=lambda: dict(_STYLES))
    subtitles: str | None = "Subtitles of this part of the video:\n{subtitles}\n\n"

    def __post_init__(self) -> None:
        true_or_false(self, "describe", "timed")
        asked = {"events": self.events, "summary": self.summary, **self.styles}
        empty = [name for name, question in asked.items() if not str(question).strip()]
        if empty:
            raise ConfigError(f"describe.{empty[0]} must say what is asked")
        if self.subtitles is not None and "{subtitles}" not in self.subtitles:
            raise ConfigError("describe.subtitles must say where {subtitles} stand")
