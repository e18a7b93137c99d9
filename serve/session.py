"""One person's session: the conversation that is open, and what begins a new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from videollm.media import ReadOptions

from .conversation import STOPPED, Conversation, Turn
from .events import BroughtFile, Event, MediumView
from .looking import Eyes, plan_look


class ChatSession:
    """What one person has open; knows neither Gradio nor HTTP.

    One piece of work runs at a time. :meth:`stop` and :meth:`clear` may be called from any thread: running work then
    ends by itself, and what it still writes belongs to the conversation that was left.

    Args:
        eyes: What media are looked at with, and what has the model; shared by all sessions of a service.
        owner: Whose it is.

    Attributes:
        owner: Whose it is.
    """

    def __init__(self, eyes: Eyes, owner: str) -> None:
        self.owner = owner
        self._eyes = eyes
        self._conversation = self._new()

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The exchanges so far, oldest first; the last one grows while its answer is written."""
        return self._conversation.turns

    @property
    def views(self) -> tuple[MediumView, ...]:
        """The media of the conversation, in order."""
        return self._conversation.views

    @property
    def files(self) -> list[BroughtFile]:
        """The files of the conversation, behind them those that could not be read."""
        return [*self._conversation.files, *self._conversation.unreadable]

    def holds(self, files: Sequence[BroughtFile]) -> bool:
        """Whether these are the media of the conversation, files that could not be read aside."""
        return self._readable(files) == self._conversation.files

    def set_media(self, files: Sequence[BroughtFile], options: ReadOptions) -> Iterator[Event]:
        """Makes these files the media of the conversation.

        Files added behind those that are there are read and the conversation goes on; any other change begins a new
        one. A file that cannot be read is reported, and tried again only after it has been taken away.
        """
        conversation = self._conversation_for(files, options)
        if unread := self._unread(files):
            yield from self._while_open(conversation.read(unread))

    def ask_about(
        self, files: Sequence[BroughtFile], question: str, options: ReadOptions, **sampling: Any
    ) -> Iterator[Event]:
        """Makes these files the media of the conversation and answers a question; one stopped meanwhile is not asked.

        Args:
            files: The files; see :meth:`set_media`.
            question: The question.
            options: How the media are looked at.
            sampling: See :meth:`ask`.
        """
        conversation = self._conversation_for(files, options)
        if unread := self._unread(files):
            yield from self._while_open(conversation.read(unread))
            if conversation is not self._conversation:
                return
            if conversation.stopped:
                yield conversation.refuse(question, STOPPED)
                return
        yield from self.ask(question, options, **sampling)

    def ask(self, question: str, options: ReadOptions, **sampling: Any) -> Iterator[Event]:
        """Answers a question.

        Args:
            question: The question.
            options: How the media are looked at; where they were not read so, they are read again.
            sampling: Fields of ``GenerationSettings`` that differ from their defaults.
        """
        return self._while_open(self._conversation.ask(question, options, sampling))

    def refuse(self, question: str, message: str) -> Event:
        """Takes a question down as one that cannot be answered, and says why."""
        return self._conversation.refuse(question, message)

    def receipt(self, options: ReadOptions) -> list[tuple[str, int, int]]:
        """Says what a look with these options would take: for each medium its name, frames and most visual tokens.

        Raises:
            ConfigError: An option is out of range.
        """
        return [(view.file.name, *plan_look(self._eyes.model, view.info, options)) for view in self.views]

    def stop(self) -> None:
        """Ends the running work after the token or the file it is at."""
        self._conversation.stop()

    def undo(self) -> str | None:
        """Takes the last question and its answer back; returns the question, or ``None`` if there was none."""
        return self._conversation.undo()

    def clear(self) -> None:
        """Forgets media, turns and what the model keeps of them."""
        left, self._conversation = self._conversation, self._new()
        left.stop()

    def _conversation_for(self, files: Sequence[BroughtFile], options: ReadOptions) -> Conversation:
        """The conversation that goes on with these files: the present one, or a new one."""
        self._conversation.unreadable &= set(files)
        known = self._conversation.files
        if self._readable(files)[: len(known)] != known:
            self.clear()
        if not self._conversation.files:
            self._conversation.options = options
        return self._conversation

    def _unread(self, files: Sequence[BroughtFile]) -> list[BroughtFile]:
        return self._readable(files)[len(self._conversation.files) :]

    def _while_open(self, events: Iterator[Event]) -> Iterator[Event]:
        """Passes events on until the conversation is left: nobody wants to hear the rest."""
        conversation = self._conversation
        for event in events:
            if conversation is not self._conversation:
                return
            yield event

    def _new(self) -> Conversation:
        return Conversation(self._eyes, self.owner, ReadOptions())

    def _readable(self, files: Sequence[BroughtFile]) -> list[BroughtFile]:
        return [file for file in files if file not in self._conversation.unreadable]
