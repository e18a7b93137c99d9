"""What a caller may say about descriptions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..errors import ConfigError
from ..media import ReadOptions
from ..model.describe_settings import DescribeSettings
from ..model.settings import VideoSettings

Detail: TypeAlias = Literal["brief", "normal", "dense"]
DETAILS: tuple[Detail, ...] = ("brief", "normal", "dense")


@dataclass(frozen=True, slots=True)
class DescribeOptions:
    """How videos are described; ``None`` leaves what the checkpoint says.

    Attributes:
        detail: ``"normal"`` for a text about each shot, ``"dense"`` for one about every five seconds or fewer of it,
            ``"brief"`` for one about as many shots as the model can look at together.
        every_s: Seconds that each text is about, instead of shots.
        style: Name of one of the checkpoint's styles, which are questions about a stretch.
        prompt: What is asked about each stretch, in words.
        subtitles: Whether the model is told what the subtitles say meanwhile.
        reading: The window of the file, how closely it is looked at, and with how many visual tokens a stretch.
        max_new_tokens: Most tokens of a text.

    Raises:
        ConfigError: A setting is out of range, or two of them contradict each other.
    """

    detail: Detail = "normal"
    every_s: float | None = None
    style: str | None = None
    prompt: str | None = None
    subtitles: bool = False
    reading: ReadOptions = field(default_factory=ReadOptions)
    max_new_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.detail not in DETAILS:
            raise ConfigError(f"detail must be brief, normal or dense, got {self.detail!r}")
        is_number = isinstance(self.every_s, int | float)
        if self.every_s is not None and not (is_number and 0 < self.every_s < math.inf):
            raise ConfigError(f"every_s must be a number of seconds above 0, got {self.every_s!r}")
        if self.every_s is not None and self.detail != "normal":
            raise ConfigError(
                f"texts are about {self.every_s:g} s each or as detail says: give one of the two"
            )
        if self.style is not None and self.prompt is not None:
            raise ConfigError("style names a question and prompt is one: give one of the two")
        if self.prompt is not None and not self.prompt.strip():
            raise ConfigError("prompt must say what is asked")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")

    def check(self, asked: DescribeSettings, video: VideoSettings) -> None:
        """Compares what is wished for with what a checkpoint can do.

        Raises:
            ConfigError: It cannot.
        """
        self.question(asked)
        self.window_s(video)
        if self.subtitles and asked.subtitles is None:
            raise ConfigError("this model was not trained to read subtitles: leave them out")

    def question(self, asked: DescribeSettings) -> str:
        """Returns what is asked about a stretch.

        Raises:
            ConfigError: The checkpoint has no style of that name.
        """
        if self.style is None:
            return self.prompt or asked.events
        if self.style not in asked.styles:
            known = ", ".join(sorted(asked.styles)) or "none"
            raise ConfigError(f"this model has no style {self.style!r}; it has {known}")
        return asked.styles[self.style]

    def is_timed(self, asked: DescribeSettings) -> bool:
        """Whether answers are lines with times."""
        return asked.timed and self.prompt is None and self.style is None

    def window_s(self, video: VideoSettings) -> float:
        """Returns how many seconds are read, and looked at, together.

        Raises:
            ConfigError: ``every_s`` is more than the model can look at.
        """
        fps = self.reading.fps or video.fps
        longest = min((self.reading.max_frames or video.max_frames) / fps, video.trained_max_s or math.inf)
        if self.every_s is None:
            return longest
        most = max(longest, video.trained_max_s or 0)
        if self.every_s > most:
            raise ConfigError(
                f"this model looks at up to {most:g} s at a time: every_s must be above 0 and no more, "
                f"got {self.every_s:g}"
            )
        return self.every_s
