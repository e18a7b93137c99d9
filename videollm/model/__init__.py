"""The model: configuration, towers and compressor, prompts, generation. Importing it brings no torch; its parts do."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compressor import Compressor as Compressor
    from .compressor_config import CompressorConfig as CompressorConfig
    from .configuration import VideoLLMConfig as VideoLLMConfig
    from .encoder import FrameEncoder as FrameEncoder
    from .generation import PromptCache as PromptCache
    from .generation import stream_generate as stream_generate
    from .modeling import VideoLLM as VideoLLM
    from .processing import VideoLLMProcessor as VideoLLMProcessor
    from .settings import ImageSettings as ImageSettings
    from .settings import ProjectorSettings as ProjectorSettings
    from .settings import PromptSettings as PromptSettings
    from .settings import TemporalSettings as TemporalSettings
    from .settings import VideoSettings as VideoSettings

_HOMES = {
    "Compressor": "compressor",
    "CompressorConfig": "compressor_config",
    "FrameEncoder": "encoder",
    "ImageSettings": "settings",
    "ProjectorSettings": "settings",
    "PromptCache": "generation",
    "PromptSettings": "settings",
    "TemporalSettings": "settings",
    "VideoLLM": "modeling",
    "VideoLLMConfig": "configuration",
    "VideoLLMProcessor": "processing",
    "VideoSettings": "settings",
    "stream_generate": "generation",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
