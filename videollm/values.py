"""The values that travel between the rooms of the library: plans, encoded videos, messages and answers.

All are frozen and comparable. ``torch`` is named here for type checkers only, so importing this module is cheap.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import ConfigError, DataError

if TYPE_CHECKING:
    import torch

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a file says about its picture before any frame is decoded.

    Attributes:
        path: The file.
        kind: ``"video"``, or ``"image"`` for a still picture (one frame, no duration).
        duration_s: Length in seconds, measured from the first presented frame; 0 for an image.
        width: Displayed width in pixels (rotation and sample aspect applied).
        height: Displayed height in pixels.
        fps: Average frames per second; 0 for an image.
        frame_count: Frames the container declares or its packets show; ``None`` where only decoding would tell.
        codec: FFmpeg's name of the video codec.
        container: FFmpeg's name of the container.
        pixel_format: FFmpeg's name of the pixel format.
        rotation_deg: Clockwise rotation that display asks for: 0, 90, 180 or 270.
        sample_aspect: Width of a stored pixel divided by its height.
        has_audio: Whether there is a sound track.
        variable_frame_rate: Whether frame durations differ by more than a tenth.
        keyframe_gap_s: Median distance of keyframes in seconds; ``None`` where unknown.
        damage: Signs of damage found, each one phrase; empty for a sound file.
    """

    path: Path
    kind: Literal["video", "image"]
    duration_s: float
    width: int
    height: int
    fps: float
    frame_count: int | None
    codec: str
    container: str
    pixel_format: str
    rotation_deg: int
    sample_aspect: float
    has_audio: bool
    variable_frame_rate: bool
    keyframe_gap_s: float | None
    damage: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FramePlan:
    """Which seconds of a medium are looked at, and how they fall into segments.

    A plan is made from a file's :class:`VideoInfo` and settings alone; decoding returns it *resolved*, with the true
    time of every frame that was read. Training, chat, serving and citations all use that one resolved plan.

    Attributes:
        times_s: Seconds of the T frames, ascending; wanted ones, or the true ones once ``resolved``.
        segments: Half-open runs ``(first, past_last)`` of frame indices; together they cover all T frames in order.
        start_s: Where the looked-at window starts in the file, in seconds.
        end_s: Where it ends.
        resolved: Whether ``times_s`` are the true times of decoded frames.
        kind: ``"video"``, or ``"image"`` for a still picture.
        size_px: Height and width of a picture in the file; ``None`` for a video.
    """

    times_s: tuple[float, ...]
    segments: tuple[tuple[int, int], ...]
    start_s: float
    end_s: float
    resolved: bool = False
    kind: Literal["video", "image"] = "video"
    size_px: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.times_s:
            raise ConfigError("a frame plan needs at least one frame, got none")
        if list(self.times_s) != sorted(self.times_s):
            raise ConfigError("the times of a frame plan must ascend")
        edges = [0, *(past for _, past in self.segments)]
        if edges[-1] != len(self.times_s) or any(
            first != edge or past <= first for (first, past), edge in zip(self.segments, edges, strict=False)
        ):
            raise ConfigError(
                f"segments must cover the {len(self.times_s)} frames in order without gaps, got {self.segments}"
            )

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.times_s)

    @property
    def spans_s(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each segment in seconds: from its first frame's time to the next segment's (or the end)."""
        starts = [self.times_s[first] for first, _ in self.segments]
        starts[0] = min(self.start_s, starts[0])
        ends = [*starts[1:], max(self.end_s, self.times_s[-1])]
        return tuple(zip(starts, ends, strict=True))

    def with_times(self, times_s: tuple[float, ...]) -> FramePlan:
        """Returns the resolved plan: the same frames at their true times."""
        return dataclasses.replace(self, times_s=times_s, resolved=True)

    def to_json(self) -> str:
        """Returns the plan as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> FramePlan:
        """Reads what :meth:`to_json` wrote.

        Raises:
            DataError: The text is not such a plan.
        """
        try:
            fields = json.loads(text)
            fields["times_s"] = tuple(fields["times_s"])
            fields["segments"] = tuple((first, past) for first, past in fields["segments"])
            if fields.get("size_px") is not None:
                fields["size_px"] = tuple(fields["size_px"])
            return cls(**fields)
        except (TypeError, KeyError, ValueError) as error:
            raise DataError(f"not a frame plan: {error}") from error


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a video that an answer rests on.

    Attributes:
        start_s: Start in seconds.
        end_s: End in seconds.
        score: Share of the evidence that lies in the span, 0 to 1.
        video: Index of the video in the conversation.
    """

    start_s: float
    end_s: float
    score: float
    video: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class FrameStates:
    """What the encoder says of a video's frames, for a model that reads them together with each question.

    Attributes:
        states_TNC: All tokens of each frame, shape (T, N, C).
        plan: The plan of these frames.
        max_visual_tokens: The budget that was asked for; ``None`` for the model's own.
    """

    states_TNC: torch.Tensor
    plan: FramePlan
    max_visual_tokens: int | None


@dataclass(frozen=True, slots=True, eq=False)
class EncodedVideo:
    """A video as the language model sees it: made once, asked many times.

    Attributes:
        tokens_KD: Visual tokens, shape (K, D), in the language model's width and in order of time; the memory tokens,
            which span the whole video, stand first.
        spans_K2: Start and end second of each token, float32, shape (K, 2).
        counts: Tokens of each segment, in order; ``memory + sum(counts) == K``.
        segment_spans_s: Start and end of each segment in seconds (segments may have been joined to meet a budget).
        memory: Number of leading memory tokens.
        plan: The resolved plan of the frames that were seen.
        fingerprint: Hash of the weights and settings that made the tokens.
        source: Where the video came from, for people; empty if unknown.
        states: What ``read_for`` reads anew for each question; ``None`` for models that see a video without one.
    """

    tokens_KD: torch.Tensor
    spans_K2: torch.Tensor
    counts: tuple[int, ...]
    segment_spans_s: tuple[tuple[float, float], ...]
    memory: int
    plan: FramePlan
    fingerprint: str
    source: str = ""
    states: FrameStates | None = None

    def __post_init__(self) -> None:
        expected = self.memory + sum(self.counts)
        if len(self.tokens_KD) != expected or len(self.spans_K2) != expected:
            raise DataError(
                f"an encoded video of {self.memory} memory and {sum(self.counts)} segment tokens "
                f"has {len(self.tokens_KD)} rows and {len(self.spans_K2)} spans"
            )
        if len(self.counts) != len(self.segment_spans_s):
            raise DataError(f"{len(self.counts)} token counts for {len(self.segment_spans_s)} segments")

    @property
    def token_count(self) -> int:
        """Number of visual tokens K."""
        return len(self.tokens_KD)

    @property
    def token_spans_s(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each token in seconds, on the CPU."""
        return tuple((start, end) for start, end in self.spans_K2.tolist())


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. ``<video>`` in ``content`` marks where a medium stands, in order."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost.

    Attributes:
        frames: Frames seen, over all media.
        visual_tokens: Visual tokens spliced into the prompt, memory tokens included.
        prompt_tokens: All rows of the prompt, visual tokens included.
        cached_tokens: How many of those came from the kept key-value prefix.
        completion_tokens: Tokens generated.
        seconds: Wall-clock seconds by phase: ``read``, ``vision``, ``prefill``, ``generate``.
    """

    frames: int
    visual_tokens: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: Usage) -> Usage:
        """Returns what both cost together."""
        seconds = {
            name: self.seconds.get(name, 0.0) + other.seconds.get(name, 0.0)
            for name in {**self.seconds, **other.seconds}
        }
        return Usage(
            self.frames + other.frames,
            self.visual_tokens + other.visual_tokens,
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            seconds,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer.

    Attributes:
        text: The answer.
        evidence: Spans it rests on, strongest first; empty where the model gives none.
        usage: What it cost.
        finish_reason: ``"stop"``, ``"length"`` or ``"cancelled"``.
        notices: What the person should know besides: turns that were dropped, damage in the file, and so on.
    """

    text: str
    evidence: tuple[Span, ...]
    usage: Usage
    finish_reason: Literal["stop", "length", "cancelled"]
    notices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the answer as plain JSON types."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Event:
    """What happens in a stretch of a video.

    Attributes:
        start_s: Start in seconds.
        end_s: End in seconds.
        text: What the model says of it.
    """

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Description:
    """A video described.

    Attributes:
        summary: All of it in a few sentences.
        events: What happens, in order of time and without gaps.
        usage: What it cost.
        notices: What the person should know besides.
    """

    summary: str
    events: tuple[Event, ...]
    usage: Usage
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How an answer is sampled.

    Attributes:
        max_new_tokens: Most tokens to generate, at least 1.
        temperature: 0 for the most likely token each time; higher is more varied.
        top_p: Smallest set of tokens with this total probability is sampled from, in (0, 1].
        repetition_penalty: Above 1 discourages repeating; 1 leaves the model as it is.
        stop: Strings that end the answer (not part of it).
        seed: Makes sampling repeatable; ``None`` draws a fresh one.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, valid, expected in (
            ("max_new_tokens", self.max_new_tokens >= 1, "at least 1"),
            ("temperature", self.temperature >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("repetition_penalty", self.repetition_penalty > 0, "above 0"),
        ):
            if not valid:
                raise ConfigError(f"{name} must be {expected}, got {getattr(self, name)}")
