"""Questions of programs: each brings its whole conversation; what is kept only makes the next one cheap."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from videollm.errors import CancelledError, VideoLLMError
from videollm.media import Medium, ReadOptions
from videollm.model.generation import PromptCache
from videollm.values import GenerationSettings, Message

from .answering import AnswerRun
from .events import Done, Event, Reading

if TYPE_CHECKING:
    from .looking import Eyes


@dataclass(frozen=True, slots=True)
class ProgramMedium:
    """A medium of a program's conversation.

    Attributes:
        path: The file.
        options: How it is looked at.
        name: What messages call it, instead of where it happens to lie.
    """

    path: Path
    options: ReadOptions
    name: str


class ProgramQuestion:
    """A conversation whose last message is to be answered; iterating does it and tells what happens.

    Args:
        eyes: What media are looked at with, and what has the model.
        owner: On whose behalf.
        messages: The turns, the question last.
        media: What their ``<video>`` marks stand for, in order.
        settings: How the answer is drawn.
    """

    def __init__(
        self,
        eyes: Eyes,
        owner: str,
        messages: Sequence[Message],
        media: Sequence[ProgramMedium],
        settings: GenerationSettings,
    ) -> None:
        self._eyes, self._owner = eyes, owner
        self._messages, self._media, self._settings = tuple(messages), tuple(media), settings
        self._stopping = threading.Event()

    def __iter__(self) -> Iterator[Event]:
        """Answers.

        Raises:
            VideoLLMError: A file cannot be read, the conversation is too long, the server is busy, or it was stopped
                before it began.
        """
        try:
            media = yield from self._read()
            if self._stopping.is_set():
                raise CancelledError("stopped before the answer began")
            yield from self._answer(media)
        except VideoLLMError as error:
            raise type(error)(self._named(str(error))) from error

    def stop(self) -> None:
        """Ends the work as soon as may be; may be called from any thread."""
        self._stopping.set()

    def _read(self) -> Generator[Event, None, list[Medium]]:
        media = []
        for one in self._media:
            yield Reading(one.name)
            media.append(
                (yield from self._eyes.encode(self._owner, one.path, one.options, self._stopping.is_set))
            )
        return media

    def _named(self, message: str) -> str:
        """A message in which files have names: where they lie is the server's own affair."""
        for one in self._media:
            message = message.replace(str(one.path), one.name).replace(one.path.name, one.name)
        return message

    def _answer(self, media: Sequence[Medium]) -> Iterator[Event]:
        # A program sends all of its conversation with every question: its turns say which of the kept caches it is.
        *before, _ = self._messages
        prefixes = self._eyes.prefixes
        cache = prefixes.take((self._owner, tuple(before))) or PromptCache()
        run = AnswerRun(
            self._eyes,
            self._owner,
            self._messages,
            media,
            self._settings,
            cache=cache,
            should_stop=self._stopping.is_set,
        )
        yield from run
        assert run.answer is not None, "an answer that did not fail has ended"
        said = Message("assistant", run.answer.text)
        prefixes.put((self._owner, (*self._messages, said)), cache)
        yield Done(replace(run.answer, notices=tuple(map(self._named, run.answer.notices))))
