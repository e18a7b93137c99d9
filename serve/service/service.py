"""One loaded model and the sessions that talk to it; knows neither Gradio nor HTTP."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videollm.encodings.cache import EncodedCache
from videollm.encodings.memory import MemoryCache
from videollm.model.batching import BatchGenerator
from videollm.model.generation import default_settings
from videollm.values import GenerationSettings, Message

from .counted_cache import CountedCache
from .describing import DescriptionRun
from .engine import Engine, EngineLimits
from .looking import Eyes, most_visual_tokens
from .prefixes import PrefixCaches
from .programs import ProgramMedium, ProgramQuestion
from .session import ChatSession
from .shelf import Shelf

if TYPE_CHECKING:
    from videollm.describe.settings import DescribeOptions
    from videollm.model.modeling import VideoLLM

# Files that are decoded at a time; each has a process of its own.
_READERS = 2
# Keys and values of programs' conversations that may go on.
_PREFIX_BYTES = 512 << 20
_MOST_FRAMES = 128
_MOST_NEW_TOKENS = 4096
_NO_CARD = "It has no model card: what it can see is what it was trained on."


@dataclass(frozen=True, slots=True)
class Defaults:
    """Where the controls of a page start, and how far they go.

    Attributes:
        fps: Frames looked at in each second.
        max_frames: Most frames of a video.
        most_frames: How far ``max_frames`` may be raised.
        max_visual_tokens: Most visual tokens of a medium.
        most_visual_tokens: How far that may be raised: what the compressor gives at its best.
        max_new_tokens: Most tokens of an answer.
        most_new_tokens: How far that may be raised.
        temperature: 0 for the likeliest words.
        top_p: Total probability of the words that are drawn from.
    """

    fps: float
    max_frames: int
    most_frames: int
    max_visual_tokens: int
    most_visual_tokens: int
    max_new_tokens: int
    most_new_tokens: int
    temperature: float
    top_p: float


class ChatService:
    """Holds a model and opens sessions, which share it: their answers are decoded together.

    Args:
        model: What ``load_model`` gave; nobody else calls it from now on.
        name: What the model was called, for people.
        card: What its card says in short: what it can and cannot see.
        cache: Where encoded media are kept, which services may share; ``None`` for memory of its own.
        limits: How much it takes on at a time; ``None`` for the usual.
    """

    def __init__(
        self,
        model: VideoLLM,
        name: str = "",
        card: str = "",
        *,
        cache: EncodedCache | None = None,
        limits: EngineLimits | None = None,
    ) -> None:
        self.model = model
        self.name = name
        self.card = card
        limits = limits or EngineLimits()
        self.engine = Engine(BatchGenerator(model, max_rows=limits.rows), limits)
        cache = EncodedCache(MemoryCache()) if cache is None else cache
        self.memory = cache.memory
        self.encoded = CountedCache(cache)
        self.began_s = int(time.time())
        self.prefixes = PrefixCaches(_PREFIX_BYTES)
        readers = threading.BoundedSemaphore(_READERS)
        self.eyes = Eyes(name, model, self.engine, self.encoded, readers, self.prefixes)

    @property
    def description(self) -> str:
        """One line: which model is loaded, where, and what its card says that it can and cannot see."""
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        dtype = str(self.model.dtype).removeprefix("torch.")
        loaded = f"{self.name}: {_short(parameters)} parameters, {dtype} on {self.model.device.type}."
        return f"{loaded} {self.card or _NO_CARD}"

    @property
    def defaults(self) -> Defaults:
        """The checkpoint's own settings, as the controls start from them."""
        video, usual = self.model.config.video, default_settings(self.model)
        most_tokens = most_visual_tokens(self.model)
        most_new_tokens = min(_MOST_NEW_TOKENS, self.model.config.context_length or _MOST_NEW_TOKENS)
        return Defaults(
            fps=video.fps,
            max_frames=video.max_frames,
            most_frames=max(_MOST_FRAMES, video.max_frames),
            max_visual_tokens=min(video.max_visual_tokens or most_tokens, most_tokens),
            most_visual_tokens=most_tokens,
            max_new_tokens=min(usual.max_new_tokens, most_new_tokens),
            most_new_tokens=most_new_tokens,
            temperature=usual.temperature,
            top_p=usual.top_p,
        )

    def open(self, owner: str | None = None, shelf: Shelf | None = None) -> ChatSession:
        """Opens a session.

        Args:
            owner: Whose it is; ``None`` for somebody who is nobody else.
            shelf: Where conversations are kept; ``None`` for nowhere.
        """
        return ChatSession(shelf or Shelf(), self.eyes, owner or secrets.token_urlsafe(16))

    def question(
        self,
        owner: str,
        messages: Sequence[Message],
        media: Sequence[ProgramMedium],
        settings: GenerationSettings,
    ) -> ProgramQuestion:
        """Takes a program's conversation, whose last message is to be answered; see :class:`.ProgramQuestion`."""
        return ProgramQuestion(self.eyes, owner, messages, media, settings)

    def describe(self, owner: str, medium: ProgramMedium, options: DescribeOptions) -> DescriptionRun:
        """Takes a file that is to be described; see :class:`.DescriptionRun`.

        Raises:
            ConfigError: The model cannot do what is wished for.
        """
        return DescriptionRun(self.eyes, owner, medium, options)

    @property
    def prefix_bytes(self) -> int:
        """Bytes of keys and values of conversations that may go on."""
        return self.prefixes.nbytes

    def refuse(self) -> None:
        """Takes no more questions; answers that are coming go on."""
        self.engine.refuse()

    def close(self, grace_s: float = 5.0) -> bool:
        """Takes no more questions; answers that are coming may come to their end for a while.

        Returns:
            Whether the model's thread has ended; see :meth:`.Engine.close`.
        """
        return self.engine.close(grace_s)


def card_summary(directory: Path) -> str:
    """Returns the first paragraph of a checkpoint's ``README.md`` as one line; empty if there is none."""
    card = directory / "README.md"
    if not card.is_file():
        return ""
    text = re.sub(r"\A---\n.*?\n---\n", "", card.read_text("utf-8"), flags=re.DOTALL)
    paragraphs = (paragraph.strip() for paragraph in re.split(r"\n\s*\n", text))
    prose = (
        paragraph
        for paragraph in paragraphs
        if paragraph and not paragraph.startswith(("#", "<", "!", "|", "```"))
    )
    return " ".join(next(prose, "").split())


def _short(count: int) -> str:
    for size, unit in ((10**9, "billion"), (10**6, "million")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,}"
