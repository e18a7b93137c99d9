"""An answer of a model that many share, as events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from videollm.asking import AnswerStream

from .driving import EngineDriver
from .events import TextPiece, Waiting

if TYPE_CHECKING:
    from videollm.media import Medium
    from videollm.model.generation import PromptCache
    from videollm.values import Answer, GenerationSettings, Message

    from .looking import Eyes


class AnswerRun:
    """The answer to a conversation's last message; iterating has it written, and tells how it comes.

    Leaving the loop stops the work; what has come by then is the answer.

    Args:
        eyes: What has the model.
        owner: On whose behalf.
        messages: The turns, the question last.
        media: What their ``<video>`` marks stand for, in order.
        settings: How the answer is drawn.
        cache: The conversation's keys and values, which are brought up to date.
        should_stop: Whether nobody waits for it any more.
        untold: Those of the media whose costs and notices no earlier answer has told; ``None`` for all.

    Attributes:
        answer: The answer once it has ended or was stopped; ``None`` before, and where it failed.
    """

    def __init__(
        self,
        eyes: Eyes,
        owner: str,
        messages: Sequence[Message],
        media: Sequence[Medium],
        settings: GenerationSettings,
        *,
        cache: PromptCache,
        should_stop: Callable[[], bool],
        untold: Sequence[Medium] | None = None,
    ) -> None:
        self.answer: Answer | None = None
        self._driver = EngineDriver(eyes.engine, owner)
        self._stream = AnswerStream(
            eyes.model,
            messages,
            media,
            settings,
            cache=cache,
            should_stop=should_stop,
            driver=self._driver,
            untold=untold,
        )

    def __iter__(self) -> Iterator[TextPiece | Waiting]:
        """Answers.

        Raises:
            VideoLLMError: The conversation is too long, or the server is busy.
        """
        try:
            for piece in self._stream:
                if piece:
                    yield TextPiece(piece)
                elif self._driver.place:
                    yield Waiting(self._driver.place)
        finally:
            self._stream.close()
            self.answer = self._stream.answer
