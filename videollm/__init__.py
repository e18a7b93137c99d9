"""A video LLM to talk to: ``load_model`` a model, open a ``VideoChat`` about a file, ``ask``.

The names in ``__all__`` are the promised interface; everything else may be imported but can change. The heavy ones are
imported when they are first used, so ``import videollm`` needs neither torch nor transformers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import (
    CancelledError,
    CheckpointError,
    ConfigError,
    ContextOverflowError,
    DataError,
    OutputError,
    UnreadableVideoError,
    UnsupportedModelError,
    VideoLLMError,
)
from .values import (
    Answer,
    Description,
    EncodedVideo,
    Event,
    FramePlan,
    GenerationSettings,
    Message,
    Span,
    Usage,
    VideoInfo,
)

if TYPE_CHECKING:
    from .chat import VideoChat
    from .checkpoints import load_model
    from .describe.job import describe_files
    from .describe.settings import DescribeOptions
    from .describe.video import describe_video
    from .model.configuration import VideoLLMConfig
    from .model.modeling import VideoLLM
    from .model.processing import VideoLLMProcessor

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "CancelledError",
    "CheckpointError",
    "ConfigError",
    "ContextOverflowError",
    "DataError",
    "DescribeOptions",
    "Description",
    "EncodedVideo",
    "Event",
    "FramePlan",
    "GenerationSettings",
    "Message",
    "OutputError",
    "Span",
    "UnreadableVideoError",
    "UnsupportedModelError",
    "Usage",
    "VideoChat",
    "VideoInfo",
    "VideoLLM",
    "VideoLLMConfig",
    "VideoLLMError",
    "VideoLLMProcessor",
    "__version__",
    "describe_files",
    "describe_video",
    "load_model",
]

_LAZY = {
    "DescribeOptions": ".describe.settings",
    "VideoChat": ".chat",
    "VideoLLM": ".model.modeling",
    "VideoLLMConfig": ".model.configuration",
    "VideoLLMProcessor": ".model.processing",
    "describe_files": ".describe.job",
    "describe_video": ".describe.video",
    "load_model": ".checkpoints",
}


def __getattr__(name: str) -> Any:
    """Imports a heavy name from its home when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Lists the lazy names beside the loaded ones, so that completion finds them."""
    return sorted({*globals(), *__all__})
