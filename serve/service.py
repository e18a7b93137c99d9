"""One loaded model and the sessions that talk to it; knows neither Gradio nor HTTP."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videollm.model.generation import default_settings

from .looking import most_visual_tokens
from .session import ChatSession

if TYPE_CHECKING:
    from videollm.model.modeling import VideoLLM

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
    """Holds a model and opens sessions; all sessions take turns at the model.

    Args:
        model: What ``load_model`` gave.
        name: What the model was called, for people.
        card: What its card says in short: what it can and cannot see.
    """

    def __init__(self, model: VideoLLM, name: str = "", card: str = "") -> None:
        self.model = model
        self.name = name
        self.card = card
        self._model_lock = threading.Lock()

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

    def open(self) -> ChatSession:
        """Opens a session."""
        return ChatSession(self.model, self._model_lock)


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
