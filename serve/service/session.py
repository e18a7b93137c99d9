"""One person's window: the conversation that is open in it, and what begins or opens another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from videollm.media import ReadOptions

from ..store.values import Turn
from .conversation import STOPPED, Conversation
from .events import BroughtFile, Event, MediumView
from .looking import Eyes, plan_look
from .receipts import Receipt, plan_receipt
from .shelf import Shelf


class ChatSession:
    """What one person has open; knows neither Gradio nor HTTP.

    One piece of work runs at a time. All methods may be called from any thread: work of a conversation that was left
    ends by itself, and what it still writes belongs to that one.

    Args:
        shelf: Where conversations are begun and opened; shared by all sessions of a server.
        eyes: What media are looked at with, and what has the model; shared by all sessions of a service.
        owner: Whose it is.

    Attributes:
        owner: Whose it is.
        conversation: What is open.
        pending: A question that waits for a file to be read; ``None`` while there is none.
    """

    def __init__(self, shelf: Shelf, eyes: Eyes, owner: str) -> None:
        self.owner = owner
        self.pending: str | None = None
        self.conversation = shelf.begin(eyes, owner)
        self._shelf, self._eyes = shelf, eyes
        shelf.enter(self)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The exchanges so far, oldest first; the last one grows while its answer is written."""
        return self.conversation.turns

    @property
    def views(self) -> tuple[MediumView, ...]:
        """The media of the conversation that were read, in order."""
        return self.conversation.views

    @property
    def files(self) -> list[BroughtFile]:
        """The files of the conversation that were read, behind them those that could not be read."""
        return [*self.conversation.files, *self.conversation.unreadable]

    @property
    def ids(self) -> list[str]:
        """The uploads that the conversation is about, in order, whether or not they have been read."""
        return list(self.conversation.ids)

    @property
    def gone(self) -> tuple[str, ...]:
        """Names of media that the conversation was about, but that are not kept any more."""
        return self.conversation.gone

    @property
    def options(self) -> ReadOptions:
        """How the media are looked at."""
        return self.conversation.options

    @property
    def conversation_id(self) -> str | None:
        """Id of the conversation; ``None`` while there is nothing to keep, or where nothing is kept."""
        return self.conversation.record.id

    @property
    def problem(self) -> str | None:
        """Why the conversation is not kept any more, one line for a person; ``None`` while all is well."""
        return self.conversation.record.problem

    @property
    def model(self) -> str:
        """Name of the model that answered last."""
        return self.conversation.eyes.name

    @property
    def revision(self) -> str:
        """Changes with every change of the conversation: two windows that know the same one show the same."""
        return self.conversation.revision

    def holds(self, files: Sequence[BroughtFile]) -> bool:
        """Whether these are the media of the conversation, files that could not be read aside."""
        return self._readable(files) == self.conversation.files

    def set_media(
        self, files: Sequence[BroughtFile], options: ReadOptions, *, patience_s: float = math.inf
    ) -> Iterator[Event]:
        """Makes these files the media of the conversation.

        Files added behind those that are there are read and the conversation goes on; any other change begins a new
        one. A file that cannot be read is reported, and tried again only after it has been taken away.

        Args:
            files: The files.
            options: How they are looked at, where they are the first of the conversation.
            patience_s: A file that takes longer is not read before it is wished for; see :attr:`held`.
        """
        conversation = self._conversation_for(files, options)
        if unread := self._unread(files):
            yield from self._while_open(conversation.read(unread, patience_s=patience_s))
        else:
            conversation.held = None

    def ask_about(
        self,
        files: Sequence[BroughtFile],
        question: str,
        options: ReadOptions,
        **sampling: Any,
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
            self.pending = question
            try:
                yield from self._while_open(conversation.read(unread))
            finally:
                self.pending = None
            if conversation is not self.conversation:
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
        return self._while_open(self.conversation.ask(question, options, sampling, self._eyes))

    def refuse(self, question: str, message: str) -> Event:
        """Takes a question down as one that cannot be answered, and says why."""
        return self.conversation.refuse(question, message)

    @property
    def held(self) -> Receipt | None:
        """What reading the file would take that was not read for that reason."""
        return self.conversation.held

    def held_with(self, options: ReadOptions) -> Receipt | None:
        """What it would take with these options, which it will be read with.

        Raises:
            ConfigError: An option is out of range.
        """
        held = self.conversation.held
        if held is not None:
            if not self.conversation.files:  # else it joins others, and is looked at as they are
                self.conversation.options = options
            held = self.conversation.held = plan_receipt(self._eyes, held, self.conversation.options)
        return held

    def receipt(self, options: ReadOptions) -> list[tuple[str, int, int]]:
        """Says what a look with these options would take: for each medium its name, frames and most visual tokens.

        Raises:
            ConfigError: An option is out of range.
        """
        return [(view.file.name, *plan_look(self._eyes.model, view.info, options)) for view in self.views]

    def choose(self, eyes: Eyes) -> None:
        """Has another model answer from now on; what it is to answer about it looks at when it is asked."""
        self._eyes = eyes
        if not self.conversation.files:
            self.conversation.eyes = eyes

    def stop(self) -> None:
        """Ends the running work after the token or the file it is at."""
        self.conversation.stop()

    def undo(self) -> str | None:
        """Takes the last question and its answer back; returns the question, or ``None`` if there was none."""
        asked = (place for place, turn in enumerate(self.turns) if turn.question is not None)
        return self.rewind(max(asked, default=-1))

    def rewind(self, position: int) -> str | None:
        """Takes a turn back, and all behind it.

        Args:
            position: Which turn, from 0.

        Returns:
            Its question, or ``None`` if it asks nothing, or work is still running.
        """
        return self.conversation.rewind(position)

    def begin(self) -> None:
        """Leaves the conversation and begins an empty one."""
        self._shelf.turn(self, self._shelf.begin(self._eyes, self.owner))

    def open(self, id: str) -> None:
        """Leaves the conversation and goes on with one that was kept; its media are still to be read.

        Raises:
            NotFoundError: The owner has none of this id.
        """
        if id != self.conversation_id:
            self._shelf.open(self, self._eyes, id)

    def forget(self) -> None:
        """Forgets the conversation, media, turns and what the model keeps of them, and begins an empty one."""
        left = self.conversation
        left.stop()
        left.record.delete()
        self.begin()

    def _conversation_for(self, files: Sequence[BroughtFile], options: ReadOptions) -> Conversation:
        """The conversation that goes on with these files: the present one, or a new one."""
        self.conversation.unreadable &= set(files)
        known = self.conversation.ids
        if [file.id for file in self._readable(files)][: len(known)] != known:
            self.begin()
        if not self.conversation.ids:
            self.conversation.options = options
        return self.conversation

    def _unread(self, files: Sequence[BroughtFile]) -> list[BroughtFile]:
        return [file for file in self._readable(files) if file not in self.conversation.files]

    def _while_open(self, events: Iterator[Event]) -> Iterator[Event]:
        """Passes events on until the conversation is left: nobody wants to hear the rest."""
        conversation = self.conversation
        for event in events:
            if conversation is not self.conversation:
                return
            yield event

    def _readable(self, files: Sequence[BroughtFile]) -> list[BroughtFile]:
        return [file for file in files if file not in self.conversation.unreadable]
