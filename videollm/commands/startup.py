"""From a command line to a conversation, the video read while torch is still being imported."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..checkpoints import find_model
from ..encodings.cache import EncodedCache
from ..encodings.memory import MemoryCache
from ..encodings.places import open_cache
from ..media import ReadOptions, load_medium, read_ahead
from ..values import GenerationSettings
from ..video.paths import readable_path

if TYPE_CHECKING:
    from ..chat import VideoChat
    from ..model.modeling import VideoLLM
    from ..values import Answer


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model, and how it is loaded; see :func:`~videollm.checkpoints.load_model`."""

    name: str
    device: str | None = None
    dtype: str | None = None
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    device_map: str | None = None

    def load(self) -> VideoLLM:
        """Loads the model; this imports torch."""
        from ..checkpoints import load_model

        return load_model(
            self.name,
            device=self.device,
            dtype=self.dtype,
            load_in_4bit=self.load_in_4bit,
            load_in_8bit=self.load_in_8bit,
            device_map=self.device_map,
        )


def open_chat(
    media: Sequence[str], model_options: ModelOptions, read_options: ReadOptions, *, no_cache: bool = False
) -> VideoChat:
    """Reads the media and loads the model, both at once, and starts a conversation.

    What the user's disk seems to hold encoded is not read.

    Args:
        media: Files.
        model_options: Which model.
        read_options: How the files are looked at.
        no_cache: Whether to do without what is kept on the disk.

    Raises:
        VideoLLMError: The model cannot be loaded, or a medium not be read; what can be told without torch comes first.
    """
    cache = EncodedCache(MemoryCache()) if no_cache else open_cache()
    video, image = find_model(model_options.name).read_reading_settings()
    for path in media:
        readable_path(path)
    # Reading happens in worker processes; the threads only wait for them.
    with ThreadPoolExecutor(max_workers=max(1, len(media))) as pool:
        reading = [pool.submit(read_ahead, path, video, image, read_options, cache) for path in media]
        model = model_options.load()
        from ..chat import VideoChat

        read = [
            load_medium(model, path, read_options, cache=cache, ahead=future.result())
            for path, future in zip(media, reading, strict=True)
        ]
    return VideoChat(
        model,
        read,
        max_visual_tokens=read_options.max_visual_tokens,
        fps=read_options.fps,
        max_frames=read_options.max_frames,
        start_s=read_options.start_s,
        end_s=read_options.end_s,
        backend=read_options.backend,
        cache=cache,
    )


def print_evidence(answer: Answer, media: int) -> None:
    """Prints where to look for what an answer rests on, in whole seconds, the strongest first; on terminals only.

    Args:
        answer: The answer.
        media: How many videos and images it is about; of several, each stretch says of which it is.
    """
    if not answer.evidence or not sys.stderr.isatty():
        return
    from ..clock import format_time

    stretches = (
        f"{format_time(math.floor(span.start_s))}-{format_time(math.ceil(span.end_s))}"
        + (f" in video {span.video + 1}" if media > 1 else "")
        for span in answer.evidence
    )
    print(f"seen at {', '.join(stretches)}", file=sys.stderr)


def print_notices(answer: Answer) -> None:
    """Prints what the person should know besides the answer."""
    for notice in answer.notices:
        print(f"note: {notice}", file=sys.stderr)
    if answer.finish_reason == "length":
        tokens = answer.usage.completion_tokens
        print(f"note: the answer was cut short at {tokens} tokens: raise --max-new-tokens", file=sys.stderr)


def generation_settings(**settings: Any) -> dict[str, Any]:
    """Returns the settings that were given, without those left at ``None``.

    Raises:
        ConfigError: One is out of range; better told now than after a model was loaded for nothing.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    GenerationSettings(**given)
    return given
