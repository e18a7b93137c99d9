"""An answer in OpenAI's JSON, whole or in chunks; what has no name there stands under ``videollm``."""

from __future__ import annotations

import dataclasses
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from videollm.values import Answer, Usage


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer on its way.

    Attributes:
        model: Name of the model.
        id: Its id.
        created_s: When it began, in seconds since 1970.
    """

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_urlsafe(16)}")
    created_s: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Returns the ``chat.completion`` object."""
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": answer.finish_reason,
            "logprobs": None,
        }
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": usage_of(answer.usage),
            "videollm": extension_of(answer),
        }

    def begin(self) -> dict[str, Any]:
        """Returns the first ``chat.completion.chunk``."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None}, None)

    def piece(self, text: str) -> dict[str, Any]:
        """Returns the chunk of a piece of text."""
        return self._chunk({"content": text}, None)

    def end(self, answer: Answer) -> dict[str, Any]:
        """Returns the chunk that says why the answer ended."""
        return {**self._chunk({}, answer.finish_reason), "videollm": extension_of(answer)}

    def cost(self, answer: Answer) -> dict[str, Any]:
        """Returns the chunk that says what the answer cost."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_of(answer.usage)}

    def _chunk(self, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created_s, "model": self.model}


def usage_of(usage: Usage) -> dict[str, Any]:
    """Returns what was spent in OpenAI's names; visual tokens are among the prompt's."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "visual_tokens": usage.visual_tokens,
        },
    }


def extension_of(answer: Answer) -> dict[str, Any]:
    """Returns what OpenAI's API has no name for: evidence, notices, frames and seconds."""
    return {
        "evidence": [dataclasses.asdict(span) for span in answer.evidence],
        "notices": list(answer.notices),
        "frames": answer.usage.frames,
        "seconds": seconds_of(answer.usage),
    }


def seconds_of(usage: Usage) -> dict[str, float]:
    """Returns the seconds of each phase of the work."""
    return {name: round(seconds, 4) for name, seconds in usage.seconds.items()}
