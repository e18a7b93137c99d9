"""Configuration of a video language model: towers, compressor, and everything needed to read, prepare and prompt."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, ClassVar

from huggingface_hub.errors import StrictDataclassError
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    Blip2VisionConfig,
    CLIPVisionConfig,
    PreTrainedConfig,
    SiglipVisionConfig,
)

from ..errors import ConfigError
from .compressor_config import CompressorConfig
from .describe_settings import DescribeSettings
from .settings import (
    FrameQueriesSettings,
    ImageSettings,
    MatchingSettings,
    ProjectorSettings,
    PromptSettings,
    StemSettings,
    TemporalSettings,
    VideoQueriesSettings,
    VideoSettings,
    read_optional_settings,
    read_settings,
    write_settings,
)

_SETTINGS = {
    "video": VideoSettings,
    "image": ImageSettings,
    "prompt": PromptSettings,
    "projector": ProjectorSettings,
    "describe": DescribeSettings,
}
_OPTIONAL_SETTINGS = {
    "stem": StemSettings,
    "matching": MatchingSettings,
    "temporal": TemporalSettings,
    "frame_queries": FrameQueriesSettings,
    "video_queries": VideoQueriesSettings,
}
_HOW_IT_WAS_READ = ("transformers_version", "_name_or_path", "dtype")


class VideoLLMConfig(PreTrainedConfig):
    """What ``config.json`` of a checkpoint holds. Nested parts may be given as mappings or as finished objects.

    Attributes:
        vision_config: Sizes of the frame encoder, a ``CLIPVisionConfig`` or ``SiglipVisionConfig``.
        text_config: Sizes of the language model: the config of any causal language model of transformers.
        compressor: How many tokens a segment becomes, and how.
        projector: The way from the compressor's width to the language model's.
        video: How a video is read by default.
        image: How frames are prepared.
        prompt: How videos stand in the prompt.
        describe: How the model is asked for descriptions.
        placeholder_token_id: Id of ``prompt.placeholder`` in the tokenizer.
        vision_layer: Hidden state of the encoder that patches are read from: 0 is the embeddings, -1 the last layer.
        vision_chunk_frames: Frames that pass through the encoder together; the result does not depend on it.
        stem: Convolutions in front of the encoder, ``StemSettings``; ``None`` for none.
        matching: Comparison of neighbouring frames beside the stem, ``MatchingSettings``; ``None`` for none.
        temporal: Temporal soft attention in the encoder, ``TemporalSettings``; ``None`` for none. Without it, without
            matching and without a stem of several frames, the encoder sees each frame on its own.
        frame_queries: BLIP-2's Q-Former over single frames, ``FrameQueriesSettings``; ``None`` for none.
        video_queries: Video-LLaMA's over what that gives of all frames, ``VideoQueriesSettings``; ``None`` for none.
    """

    model_type: ClassVar[str] = "videollm"
    sub_configs: ClassVar[dict[str, Any]] = {"vision_config": AutoConfig, "text_config": AutoConfig}

    vision_config: Any = None
    text_config: Any = None
    compressor: Any = None
    projector: Any = None
    video: Any = None
    image: Any = None
    prompt: Any = None
    describe: Any = None
    placeholder_token_id: int = 0
    vision_layer: int = -2
    vision_chunk_frames: int = 4
    stem: Any = None
    matching: Any = None
    temporal: Any = None
    frame_queries: Any = None
    video_queries: Any = None

    def __post_init__(self, **others: Any) -> None:
        _refuse_misspelt(others)
        self.vision_config = _tower(self.vision_config, "vision_config", "clip_vision_model")
        self.text_config = _tower(self.text_config, "text_config", "llama")
        self.compressor = _compressor(self.compressor)
        for name, kind in _OPTIONAL_SETTINGS.items():
            setattr(self, name, read_optional_settings(kind, name, getattr(self, name)))
        if self.image is None:
            self.image = ImageSettings(size=self.frame_size)
        for name, kind in _SETTINGS.items():
            setattr(self, name, read_settings(kind, name, getattr(self, name)))
        super().__post_init__(**others)  # type: ignore[no-untyped-call]
        self._check()

    def _check(self) -> None:
        if not isinstance(self.vision_config, CLIPVisionConfig | SiglipVisionConfig | Blip2VisionConfig):
            raise ConfigError(
                "vision_config must be of type clip_vision_model, siglip_vision_model or blip_2_vision_model, "
                f"got {self.vision_config.model_type}"
            )
        if isinstance(self.vision_config, Blip2VisionConfig) != (self.frame_queries is not None):
            raise ConfigError(
                "frame_queries go with a vision_config of type blip_2_vision_model, and it with them"
            )
        if self.video_queries is not None and self.frame_queries is None:
            raise ConfigError("video_queries read what frame_queries give: give those too")
        if self.video_queries is not None and self.frame_queries.question is not None:
            raise ConfigError("video_queries do not go with frame_queries that read questions")
        if self.image.size != self.frame_size:
            strides = "" if self.stem is None else f" times the stem's stride {self.stem.stride}"
            raise ConfigError(
                f"image.size {self.image.size} is not the encoder's vision_config.image_size "
                f"{self.vision_config.image_size}{strides}"
            )
        if not 0 <= self.placeholder_token_id < self.text_config.vocab_size:
            raise ConfigError(
                f"placeholder_token_id must be an id of the language model's vocabulary of "
                f"{self.text_config.vocab_size}, got {self.placeholder_token_id}"
            )

    @property
    def frame_size(self) -> int:
        """Side in pixels of the frames that the encoder takes."""
        return int(self.vision_config.image_size * (1 if self.stem is None else self.stem.stride))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a frame's patches; of queries that stand for them or for a video's, one column."""
        if self.video_queries is not None:
            return self.video_queries.queries.num_queries, 1
        if self.frame_queries is not None:
            return self.frame_queries.num_queries, 1
        side = self.vision_config.image_size // self.vision_config.patch_size
        return side, side

    @property
    def hidden_size(self) -> int:
        """Width of the language model, and so of a visual token in the prompt."""
        return int(self.text_config.hidden_size)

    @property
    def context_length(self) -> int | None:
        """Longest prompt with its answer that the language model was made for; ``None`` if it does not say."""
        return getattr(self.text_config, "max_position_embeddings", None)

    def to_dict(self) -> dict[str, Any]:
        """Returns the configuration as plain JSON types."""
        values: dict[str, Any] = super().to_dict()
        for name in _SETTINGS:
            values[name] = write_settings(getattr(self, name))
        for name in _OPTIONAL_SETTINGS:
            settings = getattr(self, name)
            values[name] = None if settings is None else write_settings(settings)
        values["compressor"] = self.compressor.to_dict()
        for tower in self.sub_configs:
            # A path on the disk of whoever made the checkpoint.
            values[tower].pop("_name_or_path", None)
        return values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VideoLLMConfig) and _comparable(self.to_dict()) == _comparable(
            other.to_dict()
        )


def _tower(
    config: PreTrainedConfig | Mapping[str, Any] | None, name: str, default_type: str
) -> PreTrainedConfig:
    if isinstance(config, PreTrainedConfig):
        return config
    values = dict(config or {})
    model_type = values.pop("model_type", default_type)
    if model_type not in CONFIG_MAPPING:
        near = difflib.get_close_matches(model_type, list(CONFIG_MAPPING), n=1)
        hint = f": did you mean {near[0]}?" if near else ", which transformers does not know"
        raise ConfigError(f"unknown {name}.model_type {model_type!r}{hint}")
    try:
        return AutoConfig.for_model(model_type, **values)
    except (ValueError, StrictDataclassError) as error:
        raise ConfigError(f"{name}: {' '.join(str(error).split())}") from error


def _compressor(config: CompressorConfig | Mapping[str, Any] | None) -> CompressorConfig:
    return config if isinstance(config, CompressorConfig) else CompressorConfig.from_dict(config or {})


def _refuse_misspelt(others: Mapping[str, Any]) -> None:
    """The base class keeps whatever it is given; what looks like a setting of ours is a slip of the pen."""
    known = [name for name in VideoLLMConfig.__annotations__ if name not in ("model_type", "sub_configs")]
    for name in others:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if near:
            raise ConfigError(f"unknown setting {name!r}: did you mean {near[0]}?")


def _comparable(value: Any) -> Any:
    """Drops what tells how the configuration was read rather than what it is: version, path, dtype of the weights."""
    if not isinstance(value, dict):
        return value
    return {name: _comparable(part) for name, part in value.items() if name not in _HOW_IT_WAS_READ}
