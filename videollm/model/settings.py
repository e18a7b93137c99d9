"""What a checkpoint carries besides its towers' sizes: how videos are read, pictures prepared, prompts written."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from ..errors import ConfigError
from .compressor_config import at_least, check_names, true_or_false

#: Mean and standard deviation of red, green and blue that CLIP was trained with.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How a video is read when the caller does not say otherwise.

    Attributes:
        fps: Frames looked at in each second.
        max_frames: Most frames of one video, however long it is.
        frames_per_segment: Frames that are compressed together.
        seconds_per_segment: Seconds that are compressed together, instead of a number of frames.
        max_segments: Most segments of one video.
        max_visual_tokens: Most rows of one video in the prompt; ``None`` for as many as the compressor gives.
        trained_max_s: Longest video that the model was trained on, in seconds; ``None`` if that is not known. Longer
            ones work, and the person is told.
        trained_max_videos: Most videos in one conversation that the model was trained on; ``None`` if that is not
            known. More work, and the person is told.
    """

    fps: float = 2.0
    max_frames: int = 32
    frames_per_segment: int = 2
    seconds_per_segment: float | None = None
    max_segments: int = 16
    max_visual_tokens: int | None = None
    trained_max_s: float | None = None
    trained_max_videos: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.fps < float("inf"):
            raise ConfigError(f"video.fps must be above 0, got {self.fps}")
        at_least(self, 1, "max_frames", "frames_per_segment", "max_segments")
        if self.seconds_per_segment is not None and not 0 < self.seconds_per_segment < float("inf"):
            raise ConfigError(f"video.seconds_per_segment must be above 0, got {self.seconds_per_segment}")
        if self.max_visual_tokens is not None:
            at_least(self, 1, "max_visual_tokens")
        if self.trained_max_s is not None and not self.trained_max_s > 0:
            raise ConfigError(f"video.trained_max_s must be above 0, got {self.trained_max_s}")
        if self.trained_max_videos is not None:
            at_least(self, 1, "trained_max_videos")


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How a frame becomes the encoder's input.

    Attributes:
        size: Side of the square in pixels.
        fit: ``"letterbox"`` keeps aspect and all of the picture, between two bars; ``"crop"`` (to the square in the
            middle) and ``"stretch"`` are for published models that were trained so.
        tiles: Heights and widths in pixels in which an image may be cut into tiles of ``size``, see :mod:`.tiling`;
            none for images seen as frames of videos are.
        most_tiles: Images of more patches than so many tiles have are shrunk to that; ``None`` for no limit.
        mean: Mean of red, green and blue (from 0 to 1), which is subtracted.
        std: Standard deviation of red, green and blue, which is divided by.
        fill: Colour of the bars beside the picture, from 0 to 1; the mean, so that they are zero for the encoder.
    """

    size: int = 224
    fit: Literal["letterbox", "crop", "stretch"] = "letterbox"
    tiles: tuple[tuple[int, int], ...] = ()
    most_tiles: int | None = None
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    fill: tuple[float, float, float] = CLIP_MEAN

    def __post_init__(self) -> None:
        at_least(self, 1, "size")
        if self.fit not in ("letterbox", "crop", "stretch"):
            raise ConfigError(f"image.fit must be letterbox, crop or stretch, got {self.fit!r}")
        for name in ("mean", "std", "fill"):
            colour = tuple(float(value) for value in getattr(self, name))
            if len(colour) != 3:
                raise ConfigError(
                    f"image.{name} must be three numbers (red, green, blue), got {list(colour)}"
                )
            object.__setattr__(self, name, colour)
        if min(self.std) <= 0:
            raise ConfigError(f"image.std must be above 0, got {list(self.std)}")
        object.__setattr__(self, "tiles", tuple((int(high), int(wide)) for high, wide in self.tiles))
        if any(side < self.size or side % self.size for sides in self.tiles for side in sides):
            raise ConfigError(
                f"image.tiles must be multiples of image.size {self.size}, got {list(self.tiles)}"
            )
        if self.most_tiles is not None:
            at_least(self, 1, "most_tiles")

    @property
    def largest_side(self) -> int:
        """Most pixels along a side of an image that the encoder can see."""
        return max([self.size, *(side for sides in self.tiles for side in sides)])


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How a video stands in the prompt.

    Attributes:
        placeholder: Special token that holds the place of one visual token.
        vision_start: Special token in front of a video or image; ``None`` for none.
        vision_end: Special token behind it; ``None`` for none.
        write_times: Whether the times of a video are written.
        text_before: Text in front of a video or image.
        text_behind: Text behind a video; ``{frames}`` is its number of frames, ``{seconds}`` their times.
        media_first: Whether videos and images stand before the whole conversation instead of at their marks.
        times: Of what: each of the ``"segments"`` is led by its start, such as ``0:04``; or each of the ``"tokens"`` by
            its start and end, ``0:04-0:06``, which suits the codes of a codebook, since they are not in segments.
    """

    placeholder: str = "<|video_pad|>"
    vision_start: str | None = "<|vision_start|>"
    vision_end: str | None = "<|vision_end|>"
    write_times: bool = True
    times: Literal["segments", "tokens"] = "segments"
    media_first: bool = False
    text_before: str = ""
    text_behind: str = ""

    def __post_init__(self) -> None:
        if self.times not in ("segments", "tokens"):
            raise ConfigError(f"prompt.times must be segments or tokens, got {self.times!r}")

    @property
    def tokens(self) -> tuple[str, ...]:
        """The special tokens that the tokenizer has to know."""
        return tuple(
            token for token in (self.placeholder, self.vision_start, self.vision_end) if token is not None
        )


@dataclass(frozen=True, slots=True)
class ProjectorSettings:
    """The way from the compressor's width to the language model's.

    Attributes:
        layers: Linear layers with a GELU between them; 1 is a plain linear map.
        norm: Whether there is a LayerNorm in front of them.
        hidden_size: Width between the layers; ``None`` for the language model's.
        time_frequencies: Frequencies by which the start and the end second of what a token stands for are written
            beside it, as a sine and a cosine each; 0 leaves the telling of times to the prompt.
        place_frequencies: Frequencies by which the rows and columns where it begins and ends are written beside it in
            the same way; 0 leaves it to the encoder to say where things are.
        shortest_period_s: Period of the highest in seconds.
        longest_period_s: Period of the lowest in seconds; longer videos work, only their far times look alike.
    """

    layers: int = 2
    norm: bool = True
    hidden_size: int | None = None
    time_frequencies: int = 0
    place_frequencies: int = 0
    shortest_period_s: float = 1.0
    longest_period_s: float = 64.0

    def __post_init__(self) -> None:
        at_least(self, 1, "layers")
        at_least(self, 0, "time_frequencies", "place_frequencies")
        true_or_false(self, "projector", "norm")
        if not 0 < self.shortest_period_s < self.longest_period_s:
            raise ConfigError(
                f"projector.shortest_period_s must be above 0 and below longest_period_s, got "
                f"{self.shortest_period_s} and {self.longest_period_s}"
            )
        if self.hidden_size is not None:
            at_least(self, 1, "hidden_size")

    @property
    def reads_extents(self) -> bool:
        """Whether it reads when or where tokens begin and end."""
        return bool(self.time_frequencies or self.place_frequencies)


@dataclass(frozen=True, slots=True)
class TemporalSettings:
    """Temporal soft attention in the frame encoder, see :mod:`.temporal`.

    Its weights are ``vision.temporal.N``, beside the tower's ``vision.tower.encoder.layers.N``. A checkpoint without
    them does not load into a model with them: assemble the model anew from its towers (``videollm train assemble``), or
    give the old weights to a fresh ``VideoLLM(config)`` with ``load_state_dict(weights, strict=False)``. Until the
    gate has learned, it then computes what it did.

    Attributes:
        hidden_size: Width of queries and keys, of all heads together.
        heads: Attention heads; they divide ``hidden_size`` and the encoder's width.
        layers: The encoder's layers that it follows, 0 the first and -1 the last; ``None`` for all.
        window_frames: How many frames away a frame may look, in one layer; ``None`` for all of the video, at a cost
            that grows with the square of its frames.
    """

    hidden_size: int = 256
    heads: int = 8
    layers: tuple[int, ...] | None = None
    window_frames: int | None = None

    def __post_init__(self) -> None:
        at_least(self, 1, "hidden_size", "heads")
        if self.hidden_size % self.heads:
            raise ConfigError(
                f"temporal.heads must divide temporal.hidden_size {self.hidden_size}, got {self.heads}"
            )
        if self.window_frames is not None:
            at_least(self, 1, "window_frames")
        if self.layers is not None:
            object.__setattr__(self, "layers", _layers(self.layers))


@dataclass(frozen=True, slots=True)
class StemSettings:
    """A convolutional stem in front of the frame encoder, see :mod:`.stem`.

    The encoder's ``vision_config`` describes what follows it: ``num_channels`` are the last of ``channels``,
    ``patch_size`` is usually 1, and ``image_size`` is the side of a frame divided by :attr:`stride`.

    Attributes:
        channels: Channels after each convolution.
        strides: Stride of each convolution.
        blocks: Residual blocks behind each convolution; empty for none.
        frames: Frames seen together, odd: each frame with as many before as after it. 1 for each on its own.
    """

    channels: tuple[int, ...] = (24, 48, 96)
    strides: tuple[int, ...] = (2, 2, 2)
    blocks: tuple[int, ...] = ()
    frames: int = 1

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("strides", 1), ("blocks", 0)):
            numbers = tuple(getattr(self, name))
            if not all(type(number) is int and number >= least for number in numbers):
                raise ConfigError(
                    f"stem.{name} must be a list of numbers from {least} up, got {list(numbers)}"
                )
            object.__setattr__(self, name, numbers)
        counts = {len(self.channels), len(self.strides), len(self.blocks or self.channels)}
        if counts == {0} or len(counts) > 1:
            raise ConfigError(
                "stem.channels and stem.strides must have one number for each convolution, and stem.blocks too or none "
                f"at all; got {len(self.channels)}, {len(self.strides)} and {len(self.blocks)}"
            )
        if self.frames < 1 or self.frames % 2 == 0:
            raise ConfigError(f"stem.frames must be odd, got {self.frames}")

    @property
    def stride(self) -> int:
        """Pixels of a frame, along each side, that become one pixel of the encoder's picture."""
        return math.prod(self.strides)


@dataclass(frozen=True, slots=True)
class MatchingSettings:
    """Comparison of each frame with its neighbours, beside the stem, see :mod:`.matching`.

    Attributes:
        channels: Channels that are compared.
        stride: Pixels of a frame between places that are compared, along each side; even, and a divisor of the stem's.
        radius: How many places away is looked, along both sides.
        frames: Frames seen together, odd and at least 3.
        hidden_size: Channels between what is found and the picture.
    """

    channels: int = 32
    stride: int = 8
    radius: int = 3
    frames: int = 3
    hidden_size: int = 128

    def __post_init__(self) -> None:
        at_least(self, 1, "channels", "radius", "hidden_size")
        if self.stride < 2 or self.stride % 2:
            raise ConfigError(f"matching.stride must be even, got {self.stride}")
        if self.frames < 3 or self.frames % 2 == 0:
            raise ConfigError(f"matching.frames must be odd and at least 3, got {self.frames}")


@dataclass(frozen=True, slots=True)
class QuestionSettings:
    """How InstructBLIP's Q-Former reads a question.

    Attributes:
        vocab_size: Words of the tokenizer that it has of its own.
        most_tokens: Most ids of a question; what is longer is cut there.
    """

    vocab_size: int = 30_523
    most_tokens: int = 512

    def __post_init__(self) -> None:
        at_least(self, 1, "vocab_size", "most_tokens")


@dataclass(frozen=True, slots=True)
class FrameQueriesSettings:
    """BLIP-2's Q-Former over single frames, see :mod:`.frame_queries`.

    Attributes:
        num_queries: Queries, and so the tokens that stand for a frame's patches.
        hidden_size: Their width.
        layers: Transformer layers.
        heads: Attention heads.
        intermediate_size: Inner width of the feed-forward layers.
        cross_attention_every: Queries look at the frame in every n-th layer, beginning with the first.
        question: How the question is read together with the frames; also accepted as a mapping. ``None`` if it is not.
    """

    num_queries: int = 32
    hidden_size: int = 768
    layers: int = 12
    heads: int = 12
    intermediate_size: int = 3072
    cross_attention_every: int = 2
    question: QuestionSettings | None = None

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "question", read_optional_settings(QuestionSettings, "question", self.question)
        )
        at_least(
            self,
            1,
            "num_queries",
            "hidden_size",
            "layers",
            "heads",
            "intermediate_size",
            "cross_attention_every",
        )


@dataclass(frozen=True, slots=True)
class VideoQueriesSettings:
    """Video-LLaMA's Q-Former over the tokens of all frames, see :mod:`.video_queries`.

    Attributes:
        frames: Frames that there is a learned vector for.
        queries: Sizes of its Q-Former; also accepted as a mapping.
    """

    frames: int = 32
    queries: FrameQueriesSettings = field(
        default_factory=lambda: FrameQueriesSettings(layers=2, cross_attention_every=1)
    )

    def __post_init__(self) -> None:
        at_least(self, 1, "frames")
        object.__setattr__(
            self, "queries", read_settings(FrameQueriesSettings, "video_queries.queries", self.queries)
        )


def _layers(layers: Any) -> tuple[int, ...]:
    numbers = tuple(layers) if isinstance(layers, list | tuple) else ()
    if not numbers or not all(type(number) is int for number in numbers):
        raise ConfigError(f"temporal.layers must be a list of layer numbers, or null for all, got {layers!r}")
    return numbers


def read_optional_settings(
    kind: type[Settings], name: str, values: Settings | Mapping[str, Any] | None
) -> Settings | None:
    """Makes settings of what a model may do without: as :func:`read_settings`, but ``None`` stays ``None``."""
    return None if values is None else read_settings(kind, name, values)


def read_settings(kind: type[Settings], name: str, values: Settings | Mapping[str, Any] | None) -> Settings:
    """Makes settings from a mapping, such as a part of ``config.json``.

    Args:
        kind: The settings' class.
        name: What the user calls them, for the message.
        values: Settings by name, finished settings, or ``None`` for the defaults.

    Raises:
        ConfigError: A name is unknown (the nearest valid one is named) or a value is out of range.
    """
    if isinstance(values, kind):
        return values
    if not isinstance(values, Mapping | None):
        raise ConfigError(f"{name} settings must be a mapping, got {values!r}")
    fields = dict(values or {})
    check_names(name, kind, fields)
    return kind(**fields)


def write_settings(settings: Any) -> dict[str, Any]:
    """Returns settings as plain JSON types; :func:`read_settings` gives them back exactly."""
    return {name: _plain(value) for name, value in dataclasses.asdict(settings).items()}


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
